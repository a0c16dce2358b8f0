"""What is kept of a trial's returns: how many, their sum and the sum of their squares, block by block."""

from __future__ import annotations

from typing import Final

import numpy as np

from barograph.jit.ordered import total
from barograph.types import Floats

__all__ = ["BLOCKS", "block_sums", "sharpe_of"]

BLOCKS: Final = 128
"""Blocks a trial: 3 kB, from which Sharpe ratios, their errors and cross-validation over blocks can be computed."""


def block_sums(returns: Floats, blocks: int = BLOCKS) -> Floats:
    """Return n, Σr and Σr² of `blocks` stretches of simple returns (T,), (blocks, 3); block b begins at b·T // blocks.

    Of fewer returns than blocks each is one. Sums go from the first to the last: the same bits everywhere.

    >>> block_sums(np.array([0.5, 0.25, -0.5, 1.0]), blocks=2).tolist()
    [[2.0, 0.75, 0.3125], [2.0, 0.5, 1.25]]
    """
    blocks = max(1, min(blocks, len(returns)))
    edges = np.arange(blocks + 1) * len(returns) // blocks
    counts = np.diff(edges)
    # A row a block, filled up with zeros, which change no sum.
    rows = np.zeros((blocks, int(counts.max())))
    rows[np.arange(rows.shape[1]) < counts[:, None]] = returns
    return np.stack([counts.astype(np.float64), total(rows, axis=1), total(rows * rows, axis=1)], axis=1)


def sharpe_of(sums: Floats) -> Floats:
    """Return the Sharpe ratio a bar, mean(r) / std(r, ddof=1), of trials (M, B, 3); NaN without risk.

    >>> sharpe_of(np.array([[[2.0, 0.75, 0.3125], [2.0, 0.5, 1.25]]])).round(6)
    array([0.5])
    """
    n, plain, squared = (total(sums[:, :, column], axis=1) for column in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = plain / n
        spread = np.sqrt((squared - plain * mean) / (n - 1.0))
        # Below this it is the rounding of the squares, not risk.
        found: Floats = np.where(spread > 1e-8 * np.sqrt(squared / n), mean / spread, np.nan)
    return found
