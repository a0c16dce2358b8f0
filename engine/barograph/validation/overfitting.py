"""How often the best in sample is below the median out of sample: PBO by combinatorially symmetric cross-validation.

Bailey, Borwein, López de Prado & Zhu 2017, "The probability of backtest overfitting". The bars are cut into S groups;
each of the S! / (S/2)!² ways to choose half of them is an in-sample part whose best trial is looked up in the other
half. It needs block sums alone.

One world says little. "Noise gives one half" is true of the mean of many worlds: a single one of 20 to 500 trials gave
anything from 0.21 to 0.83. And where all trials are one idea, every one is near the median of the others.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from barograph.jit.arithmetic import log
from barograph.jit.kernel import compiled, kernel
from barograph.types import Floats
from barograph.validation.block_sums import coarser

__all__ = ["Overfitting", "overfitting"]


class Overfitting(NamedTuple):
    """What cross-validation found: `logits` (C,), one a combination, in the order of `itertools.combinations`.

    `pbo` is the share of logits ≤ 0, `loss` the share of combinations whose chosen trial lost money out of sample, and
    `chosen` and `kept` (C,) are the chosen trial's figure in and out of sample, a bar.
    """

    pbo: float
    loss: float
    logits: Floats
    chosen: Floats
    kept: Floats


def overfitting(sums: Floats, groups: int = 16, figure: str = "sharpe") -> Overfitting:
    """Return the PBO of trials from their block sums (N, B, 3); the figure is ``"sharpe"`` or ``"mean"``.

    The logit of a combination is ln(ω / (1 − ω)), ω = rank / (N + 1), the rank out of sample of the trial that was best
    in sample; equal ones share their ranks, and of equal ones the first is chosen. A trial without risk has a Sharpe
    ratio of 0.

    >>> from barograph.validation.block_sums import block_sums
    >>> noise = np.random.default_rng(0).standard_normal((50, 1024))
    >>> len(overfitting(block_sums(noise, 16)).logits)
    12870

    Raises `ValueError` for an odd number of groups, one that does not divide the blocks, fewer than two trials, or an
    unknown figure.
    """
    if figure not in ("sharpe", "mean"):
        raise ValueError(f"figure = {figure!r} is unknown; known: sharpe, mean")
    if groups < 2 or groups % 2:
        raise ValueError(f"groups = {groups}; wanted an even number of at least 2")
    if sums.shape[0] < 2:
        raise ValueError(f"overfitting: found {sums.shape[0]} trials, wanted at least 2 to choose from")
    # Trials last: the inner loops run over neighbours.
    laid = np.ascontiguousarray(np.moveaxis(coarser(sums, groups), 0, -1))
    combinations = np.array(list(itertools.combinations(range(groups), groups // 2)), dtype=np.int64)
    found = np.empty((3, len(combinations)))
    _cross_validate(laid, combinations, figure == "sharpe", found)
    logits, chosen, kept = found
    return Overfitting(float(np.mean(logits <= 0.0)), float(np.mean(kept < 0.0)), logits, chosen, kept)


@kernel
def _figures(count: Any, total: Any, squares: Any, by_sharpe: bool, out: Any) -> None:
    for i in range(out.shape[0]):
        n = max(count[i], 1.0)
        mean = total[i] / n
        if by_sharpe:
            variance = (squares[i] - total[i] * mean) / max(n - 1.0, 1.0)
            # Below it the difference of two sums is their rounding, not risk.
            if variance > 1e-14 * squares[i] / n:
                out[i] = mean / np.sqrt(variance)
            else:
                out[i] = 0.0
        else:
            out[i] = mean


@kernel
def _add(laid: Any, group: int, count: Any, total: Any, squares: Any) -> None:
    for i in range(count.shape[0]):
        count[i] += laid[group, 0, i]
        total[i] += laid[group, 1, i]
        squares[i] += laid[group, 2, i]


@kernel
def _rank(figures: Any, best: int) -> float:
    """The rank of one among all, 1 the lowest, the mean rank among equals."""
    below, equal = 0, 0
    mine = figures[best]
    for i in range(figures.shape[0]):
        if figures[i] < mine:
            below += 1
        elif figures[i] == mine:
            equal += 1
    return below + (equal + 1) / 2.0


@compiled
def _cross_validate(laid: Any, combinations: Any, by_sharpe: bool, found: Any) -> None:
    groups, trials = laid.shape[0], laid.shape[2]
    inside = np.zeros((4, trials))
    outside = np.zeros((4, trials))
    for c in range(combinations.shape[0]):
        inside[:] = 0.0
        outside[:] = 0.0
        at = 0
        for g in range(groups):
            if at < combinations.shape[1] and combinations[c, at] == g:
                _add(laid, g, inside[0], inside[1], inside[2])
                at += 1
            else:
                _add(laid, g, outside[0], outside[1], outside[2])
        _figures(inside[0], inside[1], inside[2], by_sharpe, inside[3])
        _figures(outside[0], outside[1], outside[2], by_sharpe, outside[3])
        best = 0
        for i in range(trials):
            if inside[3, i] > inside[3, best]:
                best = i
        omega = _rank(outside[3], best) / (trials + 1.0)
        found[0, c] = log(omega / (1.0 - omega))
        found[1, c] = inside[3, best]
        found[2, c] = outside[3, best]
