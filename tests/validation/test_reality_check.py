"""The reality check and its kin: against the package `arch` on its own draws, by simulation, and to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from barograph.jit import kernel
from barograph.metrics.bootstrap import resample
from barograph.validation.block_sums import SUM, block_sums
from barograph.validation.confidence_set import confidence_set
from barograph.validation.reality_check import reality_check, superior
from barograph.validation.resampling import Draws, deviations, draw, draws_of, resampled, usual_block


def losses() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2026)
    benchmark = rng.standard_normal(500) ** 2
    models = rng.standard_normal((500, 20)) ** 2
    models[:, 3] -= 0.15
    return benchmark, models


def their_draws(size: int, block: int, samples: int, seed: int) -> Draws:
    peers = pytest.importorskip("arch.bootstrap")
    bootstrap = peers.StationaryBootstrap(block, np.arange(size), seed=seed)
    return draws_of(np.array([data[0][0] for data in bootstrap.bootstrap(samples)]))


def test_the_plain_check_is_arch_and_the_studentised_one_is_not() -> None:
    """arch takes `studentize` and ignores it: .021 both ways, where the studentised check says .004."""
    peers = pytest.importorskip("arch.bootstrap")
    benchmark, models = losses()
    spa = peers.SPA(benchmark, models, block_size=10, reps=1000, seed=7)
    spa.compute()
    streams = (benchmark[:, None] - models).T
    plain = reality_check(streams, 10, draws=their_draws(500, 10, 1000, 7), studentised=False)
    assert [plain.lower, plain.consistent, plain.upper] == spa.pvalues.tolist()
    assert plain.consistent == plain.white == 0.021
    studentised = reality_check(streams, 10, draws=their_draws(500, 10, 1000, 7))
    assert studentised.consistent == 0.004
    assert studentised.best == plain.best == 3


@pytest.mark.parametrize("seed", range(3))
def test_three_kinds_of_centre_are_arch_s(seed: int) -> None:
    peers = pytest.importorskip("arch.bootstrap")
    rng = np.random.default_rng(seed)
    streams = rng.standard_normal((15, 400)) - np.linspace(-0.08, 0.4, 15)[:, None]
    spa = peers.SPA(np.zeros(400), -streams.T, block_size=8, reps=300, seed=1)
    spa.compute()
    found = reality_check(streams, 8, draws=their_draws(400, 8, 300, 1), studentised=False)
    assert [found.lower, found.consistent, found.upper] == spa.pvalues.tolist()
    assert found.lower < found.upper


@pytest.mark.parametrize("seed", range(3))
def test_the_superior_ones_are_arch_s(seed: int) -> None:
    peers = pytest.importorskip("arch.bootstrap")
    rng = np.random.default_rng(seed)
    streams = rng.standard_normal((30, 400)) * np.linspace(0.5, 2.0, 30)[:, None]
    streams[::5] += 0.22
    stepwise = peers.StepM(np.zeros(400), -streams.T, block_size=8, reps=300, seed=1)
    stepwise.compute()
    draws = their_draws(400, 8, 300, 1)
    assert superior(streams, 8, draws=draws, studentised=False) == list(stepwise.superior_models)
    assert len(superior(streams, 8, draws=draws)) > 1


def test_what_was_found_no_longer_hides_the_rest() -> None:
    streams = np.random.default_rng(0).standard_normal((12, 400))
    streams[0] = 5 * streams[0] + 2.0
    streams[1] += 0.3
    first = reality_check(streams, 1.0, samples=200, studentised=False)
    assert 20 * streams[1].mean() < first.critical
    assert superior(streams, 1.0, samples=200, studentised=False) == [0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_the_confidence_set_is_arch_s(seed: int) -> None:
    peers = pytest.importorskip("arch.bootstrap")
    rng = np.random.default_rng(seed)
    streams = rng.standard_normal((12, 400)) + np.linspace(0.0, 0.3, 12)[:, None]
    theirs = peers.MCS(-streams.T, size=0.1, block_size=8, reps=300, method="max", seed=1)
    theirs.compute()
    found = confidence_set(streams, 8, level=0.1, draws=their_draws(400, 8, 300, 1))
    assert found.included == theirs.included
    assert found.p == pytest.approx(theirs.pvalues["Pvalue"].sort_index().to_numpy(), abs=1e-12)
    assert 0 < len(found.included) < 12


def test_stretches_are_the_rows_they_were_made_of() -> None:
    rows = resample(60, 5.0, 40, np.random.default_rng(3))
    draws = draws_of(rows)
    for s, path in enumerate(rows):
        at = slice(draws.first[s], draws.first[s + 1])
        again = [np.arange(b, b + n) % 60 for b, n in zip(draws.starts[at], draws.lengths[at], strict=True)]
        assert np.array_equal(np.concatenate(again), path)
    streams = np.random.default_rng(0).standard_normal((130, 60))
    found = np.concatenate([part for _, part in resampled(streams, draws)], axis=1)
    assert found == pytest.approx(streams[:, rows].mean(axis=2).T, abs=1e-14)


@pytest.mark.parametrize("block", [1.0, 3.0, 10.0, 200.0])
def test_deviations_are_hansen_s_sum(block: float) -> None:
    x = np.random.default_rng(0).standard_normal((3, 90)) + 5
    n, decay = 90, 1 - 1 / block
    for row, found in zip(x, deviations(x, block), strict=True):
        d = row - row.mean()
        gamma = [float(np.dot(d[: n - i], d[i:])) / n for i in range(n)]
        weights = [(1 - i / n) * decay**i + i / n * decay ** (n - i) for i in range(1, n)]
        assert found**2 == pytest.approx(gamma[0] + 2 * np.dot(weights, gamma[1:]), rel=1e-9)


def test_deviations_are_what_the_draws_have() -> None:
    x = np.cumsum(np.random.default_rng(0).standard_normal((2, 300)), axis=1)
    ((_, found),) = resampled(x, draw(300, 12.0, 20_000, 0))
    assert found.std(axis=0) * np.sqrt(300) == pytest.approx(deviations(x, 12.0), rel=0.02)


def test_compiled_and_plain_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = np.random.default_rng(0).normal(1e-3, 0.01, (70, 120))
    found = reality_check(streams, samples=30)
    monkeypatch.setattr(kernel.config, "DISABLE_JIT", 1)
    assert reality_check(streams, samples=30) == found


def test_a_quiet_good_trial_among_noisy_ones() -> None:
    """What plain means cannot see: one edge of .2 deviations among nineteen that are five times as noisy."""
    plain, studentised = 0, 0
    for seed in range(40):
        streams = np.random.default_rng(seed).standard_normal((20, 500)) * 5
        streams[0] = streams[0] / 5 + 0.2
        found = reality_check(streams, block=2.0, samples=300, seed=seed)
        studentised += found.consistent < 0.05
        plain += found.white < 0.05
    assert studentised >= 34
    assert plain <= 10


def test_sums_of_blocks_give_nearly_the_same_answer() -> None:
    streams = np.random.default_rng(3).normal(0, 0.01, (40, 2560))
    streams[5] += 0.0008
    long, short = reality_check(streams), reality_check(block_sums(streams, 128)[:, :, SUM])
    assert short.best == long.best == 5
    assert short.statistic == pytest.approx(long.statistic, rel=0.25)
    assert short.consistent == pytest.approx(long.consistent, abs=0.02)


def test_what_trades_nothing_is_not_judged() -> None:
    streams = np.random.default_rng(0).standard_normal((5, 300))
    streams[2] += 0.5
    with_idle = np.vstack([streams, np.zeros((3, 300)), np.full((1, 300), 0.01)])
    found = reality_check(with_idle, block=2.0, samples=200)
    assert found.best == 2
    assert found.consistent == reality_check(streams, block=2.0, samples=200).consistent
    assert superior(with_idle, block=2.0, samples=200) == [2]
    assert superior(with_idle[5:], block=2.0, samples=50) == []


def test_the_same_seed_gives_the_same_answer() -> None:
    streams = np.random.default_rng(0).standard_normal((20, 300))
    assert reality_check(streams, samples=100) == reality_check(streams, samples=100)
    assert reality_check(streams, samples=100) != reality_check(streams, samples=100, seed=1)


def test_a_block_for_all_is_the_usual_one() -> None:
    noise = np.random.default_rng(0).standard_normal((30, 2000))
    assert usual_block(noise) <= 3
    smooth = np.apply_along_axis(np.convolve, 1, noise, np.ones(20), "valid")
    assert usual_block(smooth) > 10


def test_what_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match=r"\(trials, bars\)"):
        reality_check(np.zeros(100))
    streams = np.random.default_rng(0).standard_normal((100, 50))
    streams[70, 3] = np.nan
    with pytest.raises(ValueError, match="trial 70 has returns that are NaN"):
        reality_check(streams, block=1.0)
