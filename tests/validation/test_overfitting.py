"""PBO: the case by hand, a second way to compute it from the streams, and worlds whose answer is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from barograph.jit import kernel
from barograph.validation.block_sums import block_sums
from barograph.validation.overfitting import overfitting

BY_HAND = np.array([[1, 2, 3], [2, 1, 3], [1, 3, 1], [3, 1, 2], [2, 2, 0], [0, 3, 2], [3, 0, 1], [1, 2, 4]], float).T


def the_long_way(streams: np.ndarray, groups: int) -> list[float]:
    """Logits from the streams themselves, halves laid end to end."""
    parts = np.split(streams, groups, axis=1)
    found = []
    for inside in itertools.combinations(range(groups), groups // 2):
        ins = np.concatenate([parts[g] for g in inside], axis=1)
        outs = np.concatenate([parts[g] for g in range(groups) if g not in inside], axis=1)
        best = np.argmax(ins.mean(axis=1) / ins.std(axis=1, ddof=1))
        figures = outs.mean(axis=1) / outs.std(axis=1, ddof=1)
        rank = np.sum(figures < figures[best]) + (np.sum(figures == figures[best]) + 1) / 2
        omega = rank / (len(streams) + 1)
        found.append(math.log(omega / (1 - omega)))
    return found


def test_the_case_by_hand() -> None:
    found = overfitting(block_sums(BY_HAND, 4), 4, "mean")
    assert found.pbo == 5 / 6
    assert found.logits.round(4).tolist() == [0.5108, -1.0986, -1.0986, -1.0986, -1.0986, -0.5108]


@pytest.mark.parametrize("blocks", [8, 64, 512])
def test_block_sums_say_what_streams_say(blocks: int) -> None:
    streams = np.random.default_rng(4).normal(3e-4, 0.01, (13, 512))
    assert overfitting(block_sums(streams, blocks), 8).logits == pytest.approx(the_long_way(streams, 8), abs=1e-12)


def test_compiled_and_plain_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = block_sums(np.random.default_rng(4).normal(0, 0.01, (9, 300)), 12)
    found = overfitting(sums, 6)
    monkeypatch.setattr(kernel.config, "DISABLE_JIT", 1)
    plain = overfitting(sums, 6)
    assert [x.tobytes() for x in plain[2:]] == [x.tobytes() for x in found[2:]]


def test_sixteen_groups_are_12870_ways() -> None:
    assert len(overfitting(block_sums(np.random.default_rng(0).normal(0, 0.01, (20, 512))), 16).logits) == 12_870


@pytest.mark.parametrize("trials", [20, 21])
def test_the_mean_of_worlds_of_noise_is_one_half(trials: int) -> None:
    """(N + 1) / 2N for odd N: the trial in the middle has a logit of 0, and counts. One world says little."""
    rng = np.random.default_rng(0)
    found = [overfitting(block_sums(rng.standard_normal((trials, 200)), 10), 10).pbo for _ in range(300)]
    wanted = 0.5 if trials % 2 == 0 else (trials + 1) / (2 * trials)
    assert np.mean(found) == pytest.approx(wanted, abs=4 * np.std(found) / math.sqrt(300))
    assert 0.1 < np.std(found) < 0.25


def test_the_full_overfit_and_an_edge() -> None:
    """What is best in one half of a noise without mean is worst in the other; a real edge stays."""
    noise = np.random.default_rng(0).standard_normal((50, 1000))
    recentred = noise - noise.mean(axis=1, keepdims=True)
    assert round(overfitting(block_sums(recentred, 10), 10, "mean").pbo, 3) == 1.000
    found = []
    for seed in range(20):
        edged = np.random.default_rng(seed).standard_normal((50, 1000))
        edged[7] += 0.2
        found.append(overfitting(block_sums(edged, 10), 10).pbo)
    assert np.mean(found) == pytest.approx(0.010, abs=0.01)


def test_a_trial_without_risk_is_neither_best_nor_worst() -> None:
    streams = np.random.default_rng(0).normal(0.0, 0.01, (3, 160))
    streams[0] = 0.0
    streams[1] += 0.05
    streams[2] -= 0.05
    found = overfitting(block_sums(streams, 16), 4)
    assert found.pbo == 0
    assert found.loss == 0
    assert np.all(found.chosen > 0)


def test_what_cannot_be_asked() -> None:
    sums = block_sums(np.zeros((3, 64)), 16)
    with pytest.raises(ValueError, match="even number"):
        overfitting(sums, 5)
    with pytest.raises(ValueError, match="divides 16"):
        overfitting(sums, 10)
    with pytest.raises(ValueError, match="found 1 trials"):
        overfitting(sums[:1], 4)
    with pytest.raises(ValueError, match="sharpe, mean"):
        overfitting(sums, 4, "sortino")
