"""The verdict: nothing in noise, something where there is an edge, from streams and from block sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from barograph.validation.block_sums import block_sums
from barograph.validation.reality_check import reality_check
from barograph.validation.sharpe import deflated_sharpe, shape
from barograph.validation.verdict import verdict


def trials(edge: float, seed: int = 0) -> np.ndarray:
    streams = np.random.default_rng(seed).normal(0.0, 0.01, (60, 2000))
    streams[7] += edge
    return streams


def test_nothing_is_found_in_noise() -> None:
    found = verdict(trials(0.0))
    assert not found.found
    assert found.words.startswith("Nothing was found. Of 60 trials over 2,000 bars")
    assert f"{100 * found.p:.1f} %" in found.words
    assert found.p == pytest.approx(found.check.consistent, abs=1e-15)


@pytest.mark.parametrize("made", [lambda x: x, block_sums], ids=["streams", "block sums"])
def test_an_edge_is_found_and_told_how_surely(made: object) -> None:
    found = verdict(made(trials(0.0012)))  # type: ignore[operator]
    assert found.found
    assert found.best == 7
    assert found.words.startswith("Something was found.")
    assert "less than 0.1 %" in found.words or f"{100 * found.p:.1f} %" in found.words
    assert found.deflated > 0.95


def test_many_trials_of_few_blocks_are_not_found_for_their_small_deviations() -> None:
    """Each trial's own deviation from 128 blocks finds something in this noise; that of its bars does not."""
    noise = np.random.default_rng(5).standard_normal((3000, 1500)) * 0.01
    sums = block_sums(noise)
    assert reality_check(sums[:, :, 1], samples=300).consistent < 0.01
    short, long = verdict(sums, samples=300), verdict(noise, samples=300)
    assert not short.found
    assert short.p == pytest.approx(long.p, abs=0.1)


def test_the_deflated_ratio_is_that_of_the_best_over_all_trials() -> None:
    streams = trials(0.0008)
    found = verdict(streams)
    sharpes = streams.mean(axis=1) / streams.std(axis=1, ddof=1)
    best = shape(streams[7])
    wanted = deflated_sharpe(best.sharpe, 2000, 60, sharpes.var(ddof=1), best.skew, best.kurtosis)
    assert found.deflated == pytest.approx(wanted, rel=1e-9)
    assert found.sharpe == pytest.approx(best.sharpe * math.sqrt(252), rel=1e-9)
    from_sums = verdict(block_sums(streams), best_returns=streams[7])
    assert from_sums.deflated == pytest.approx(wanted, rel=1e-9)
    assert verdict(block_sums(streams)).deflated != from_sums.deflated


def test_trials_that_are_not_here_count_too() -> None:
    streams = trials(0.0007)
    here, more = verdict(streams), verdict(streams, tried=600)
    assert more.p == pytest.approx(1 - (1 - here.p) ** 10)
    assert more.deflated < here.deflated
    assert more.trials == 600
    assert "Of 600 trials" in more.words
    assert verdict(streams, tried=3) == here


def test_one_trial_is_no_choice() -> None:
    found = verdict(trials(0.002)[7:8])
    assert found.found
    assert "Of 1 trial over" in found.words
    assert "were it worthless, it would" in found.words


def test_trials_that_never_traded() -> None:
    found = verdict(np.zeros((3, 500)))
    assert not found.found
    assert math.isnan(found.deflated)
    assert found.p == pytest.approx(1)
    assert found.words == "Nothing was found. None of 3 trials over 500 bars took any risk."


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"streams \(N, T\) or block sums"):
        verdict(np.zeros(100))
