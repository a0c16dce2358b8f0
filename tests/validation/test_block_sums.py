"""Block sums: each block is a sum from front to back, to the bit, however it is made."""

from __future__ import annotations

import numpy as np
import pytest

import barograph as bg
from barograph.validation.block_sums import block_sums, coarser, fill_from_equity, fill_from_returns, moments


def streams(trials: int, bars: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3e-4, 0.01, (trials, bars))


@pytest.mark.parametrize(("bars", "blocks"), [(2500, 128), (17, 16), (16, 16), (1000, 7)])
def test_blocks_add_up_from_front_to_back(bars: int, blocks: int) -> None:
    rows = streams(3, bars)
    edges = [b * bars // blocks for b in range(blocks + 1)]
    for row, sums in zip(rows, block_sums(rows, blocks), strict=True):
        for b in range(blocks):
            part = row[edges[b] : edges[b + 1]]
            assert sums[b].tolist() == [len(part), np.cumsum(part)[-1], np.cumsum(part * part)[-1]]


def test_compiled_and_plain_have_the_same_bits() -> None:
    rows = streams(2, 777)
    rows[1, 100] = np.nan
    plain = np.empty((2, 16, 3))
    for row, sums in zip(rows, plain, strict=True):
        fill_from_returns(row, sums)
    assert block_sums(rows, 16).tobytes() == plain.tobytes()
    assert plain[1, :, 0].sum() == 776


def test_a_curve_of_equity_has_the_sums_of_its_returns() -> None:
    equity = 100 * np.cumprod(np.r_[1.0, 1 + streams(1, 500)[0]])
    found = np.empty((16, 3))
    fill_from_equity(equity, found)
    assert found.tobytes() == block_sums(equity[1:] / equity[:-1] - 1, 16).tobytes()


def test_a_ruined_account_counts_up_to_its_ruin() -> None:
    found = np.empty((1, 3))
    fill_from_equity(np.array([100.0, 50.0, 0.0, 0.0, 0.0]), found)
    assert found[0].tolist() == [2.0, -1.5, 1.25]


def test_moments_are_those_of_the_stream() -> None:
    rows = streams(5, 1234)
    found = moments(block_sums(rows))
    assert found.bars.tolist() == [1234] * 5
    assert found.mean == pytest.approx(rows.mean(axis=1), rel=1e-12)
    assert found.variance == pytest.approx(rows.var(axis=1, ddof=1), rel=1e-12)
    assert found.sharpe == pytest.approx(rows.mean(axis=1) / rows.std(axis=1, ddof=1), rel=1e-12)
    assert moments(coarser(block_sums(rows), 16)).mean == pytest.approx(found.mean, rel=1e-12)


def test_what_never_moved_has_no_sharpe() -> None:
    found = moments(block_sums(np.array([np.full(200, 0.01), np.zeros(200)])))
    assert found.variance.tolist() == [0.0, 0.0]
    assert np.isnan(found.sharpe).all()


def test_too_few_bars_and_groups_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="found 10 bars for 16 blocks"):
        block_sums(np.zeros((2, 10)), 16)
    with pytest.raises(ValueError, match="divides 128"):
        coarser(np.zeros((1, 128, 3)), 10)


def test_the_package_reaches_it() -> None:
    assert bg.validation.block_sums is block_sums
