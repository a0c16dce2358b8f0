"""What a trial leaves behind for every later test: the sums of its returns over blocks, 3 kB instead of the stream.

A stream of T returns is cut into B blocks, block b holding the bars from b T // B up to (b + 1) T // B, and of each
remain three numbers: how many returns it has, their sum, and the sum of their squares. Sharpe ratios of any stretch of
blocks follow from them exactly, so PBO by cross-validation does; a bootstrap of whole blocks needs no more either.

Sums are added from the first bar to the last, so that a sweep that adds them in its inner loop, a notebook and plain
Python have the same bits. A return that is NaN is counted nowhere.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.kernel import compiled, kernel
from barograph.types import Floats

__all__ = ["BLOCKS", "COUNT", "SQUARES", "SUM", "Moments", "block_sums", "coarser", "fill_both",
           "fill_from_equity", "fill_from_returns", "moments"]  # fmt: skip

BLOCKS: Final = 128
"""Blocks a trial: 16 · 8, so that every usual number of CSCV groups divides it."""

COUNT: Final = 0
SUM: Final = 1
SQUARES: Final = 2

# Streams may lie on disk: so many are in memory at once.
_AT_ONCE: Final = 64
# A variance this small a part of the mean square is the rounding of the difference of two sums.
_ROUNDING: Final = 1e-14


class Moments(NamedTuple):
    """Bars, mean and variance (ddof = 1) a bar of each trial, (N,); NaN where there are too few bars."""

    bars: Floats
    mean: Floats
    variance: Floats

    @property
    def sharpe(self) -> Floats:
        """The Sharpe ratio a bar, mean / √variance, (N,); NaN without risk."""
        risky = np.where(self.variance > 0.0, self.variance, np.nan)
        found: Floats = self.mean / np.sqrt(risky)
        return found


@kernel
def _added(count: int, total: float, squares: float, r: float) -> tuple[int, float, float]:
    return (count + 1, total + r, squares + r * r) if r == r else (count, total, squares)


@kernel
def fill_from_returns(returns: Any, sums: Any) -> None:
    """Write the block sums (B, 3) of one stream of returns (T,): count, sum, sum of squares."""
    bars, blocks = returns.shape[0], sums.shape[0]
    for b in range(blocks):
        count, total, squares = 0, 0.0, 0.0
        for t in range(b * bars // blocks, (b + 1) * bars // blocks):
            count, total, squares = _added(count, total, squares, returns[t])
        sums[b, 0] = count
        sums[b, 1] = total
        sums[b, 2] = squares


@kernel
def fill_both(returns: Any, market: Any, sums: Any, beyond: Any) -> None:
    """Write the block sums (B, 3) of one stream of returns (T,), and of the same less those of a market.

    A market that ends before has no returns from there on. Both are added side by side: each alone waits for itself.
    """
    bars, blocks = returns.shape[0], sums.shape[0]
    for b in range(blocks):
        count, total, squares, above, over, square = 0, 0.0, 0.0, 0, 0.0, 0.0
        for t in range(b * bars // blocks, (b + 1) * bars // blocks):
            count, total, squares = _added(count, total, squares, returns[t])
            if t < market.shape[0]:
                above, over, square = _added(above, over, square, returns[t] - market[t])
        sums[b, 0], sums[b, 1], sums[b, 2] = count, total, squares
        beyond[b, 0], beyond[b, 1], beyond[b, 2] = above, over, square


@kernel
def fill_from_equity(equity: Any, sums: Any) -> None:
    """Write the block sums (B, 3) of the returns e_t / e_{t-1} − 1 of one curve of equity (T + 1,).

    A bar that begins without money has no return: a ruined account counts up to the bar of its ruin.
    """
    bars, blocks = equity.shape[0] - 1, sums.shape[0]
    for b in range(blocks):
        count, total, squares = 0, 0.0, 0.0
        for t in range(b * bars // blocks, (b + 1) * bars // blocks):
            if equity[t] > 0.0:
                r = equity[t + 1] / equity[t] - 1.0
                count, total, squares = count + 1, total + r, squares + r * r
        sums[b, 0] = count
        sums[b, 1] = total
        sums[b, 2] = squares


@compiled
def _fill_all(streams: Any, sums: Any) -> None:
    for i in range(streams.shape[0]):
        fill_from_returns(streams[i], sums[i])


def block_sums(streams: Any, blocks: int = BLOCKS) -> Floats:
    """Return the block sums (N, B, 3) of streams of simple returns (N, T); those of one stream (T,) are (B, 3).

    >>> block_sums([0.01, 0.02, -0.01, 0.03], blocks=2).round(4).tolist()
    [[2.0, 0.03, 0.0005], [2.0, 0.02, 0.001]]

    Raises `ValueError` when there are fewer bars than blocks.
    """
    rows = np.atleast_2d(streams)
    if blocks < 1 or rows.shape[1] < blocks:
        raise ValueError(f"block sums: found {rows.shape[1]} bars for {blocks} blocks, wanted a bar a block at least")
    sums = np.empty((rows.shape[0], blocks, 3))
    for at in range(0, rows.shape[0], _AT_ONCE):
        _fill_all(np.array(rows[at : at + _AT_ONCE], dtype=np.float64, order="C"), sums[at : at + _AT_ONCE])
    return sums if np.ndim(streams) > 1 else sums[0]


def coarser(sums: Floats, groups: int) -> Floats:
    """Return the sums (N, G, 3) of G runs of neighbouring blocks, of sums (N, B, 3).

    >>> coarser(block_sums([[0.01, 0.02, -0.01, 0.03]], blocks=4), 2)[0, :, COUNT].tolist()
    [2.0, 2.0]

    Raises `ValueError` when G does not divide B.
    """
    blocks = sums.shape[1]
    if groups < 1 or blocks % groups:
        raise ValueError(f"block sums: {groups} groups of {blocks} blocks; wanted a number that divides {blocks}")
    found = np.zeros((sums.shape[0], groups, 3))
    for k in range(blocks // groups):
        found += sums[:, k :: blocks // groups]
    return found


def moments(sums: Floats) -> Moments:
    """Return bars, mean and variance of each trial from its block sums (N, B, 3).

    >>> found = moments(block_sums([[0.01, 0.02, -0.01, 0.03]], blocks=2))
    >>> [round(float(x[0]), 6) for x in found]
    [4.0, 0.0125, 0.000292]
    """
    count, total, squares = np.moveaxis(np.cumsum(sums, axis=1)[:, -1], -1, 0)
    several = np.where(count > 1.0, count, np.nan)
    mean = total / several
    spread = squares - total * mean
    spread = np.where(spread > _ROUNDING * squares, spread, 0.0)
    return Moments(count, mean, spread / (several - 1.0))
