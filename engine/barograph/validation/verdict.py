"""Whether anything was found, in words: the studentised reality check over all trials, the deflated ratio beside it.

The check decides, because it looks at the streams: that a thousand trials are one idea it sees, and a count of trials
does not. The deflated ratio stands beside it as what others report.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from barograph.types import Floats
from barograph.validation.block_sums import SUM, Moments, block_sums, moments
from barograph.validation.reality_check import RealityCheck, reality_check
from barograph.validation.resampling import deviations, usual_block
from barograph.validation.sharpe import Shape, deflated_sharpe, shape

__all__ = ["Verdict", "verdict"]


class Verdict(NamedTuple):
    """What N trials are worth together.

    `found` is whether `p`, the consistent p-value of the studentised reality check, is below `level`; `best` the trial
    of the largest t-value, `sharpe` its annual ratio, `deflated` its DSR with N = `trials`. `words` are sentences for a
    report, and `check` is the whole test.
    """

    found: bool
    p: float
    deflated: float
    trials: int
    bars: int
    best: int
    sharpe: float
    words: str
    check: RealityCheck


def verdict(
    trials: Floats,
    periods: float = 252.0,
    level: float = 0.05,
    tried: int | None = None,
    best_returns: Floats | None = None,
    block: float | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Verdict:
    """Return the verdict over streams (N, T) of returns over what is to be beaten, or over block sums (N, B, 3).

    `tried` is how many trials count, where more were made than are here: the p-value becomes 1 − (1 − p)^(tried / N),
    as if the others were as unlike each other as these, and the DSR's N is `tried`. Block sums do not hold the skew and
    the kurtosis that the DSR asks for: hand it `best_returns`, else it takes those of the normal. `block` is in bars,
    or in blocks of block sums.

    >>> noise = np.random.default_rng(0).normal(0.0, 0.01, (50, 1000))
    >>> found = verdict(noise, samples=500)
    >>> print(found.words[:98])
    Nothing was found. Of 50 trials over 1,000 bars the best has a Sharpe ratio of 1.23 a year; were a

    Raises `ValueError` for another shape than these two.
    """
    known, streams = _known(trials)
    length = usual_block(streams) if block is None else block
    deviation = _pooled(streams, known, length) if trials.ndim == 3 else None
    check = reality_check(streams, length, samples, seed, level, deviation=deviation)
    count = max(tried or 0, len(trials))
    p = -math.expm1(count / len(trials) * math.log1p(-min(check.consistent, 1.0 - 1e-16)))
    sharpe = known.sharpe[check.best]
    found = _shape(check.best, known, trials, best_returns)
    variance = float(np.nanvar(known.sharpe, ddof=1)) if np.count_nonzero(~np.isnan(known.sharpe)) > 1 else 0.0
    deflated = deflated_sharpe(found.sharpe, found.bars, count, variance, found.skew, found.kurtosis)
    bars = int(known.bars[check.best])
    annual = float(sharpe) * math.sqrt(periods)
    words = _words(p, level, deflated, count, bars, annual, samples)
    return Verdict(p < level, p, deflated, count, bars, check.best, annual, words, check)


def _known(trials: Floats) -> tuple[Moments, Floats]:
    if trials.ndim == 3:
        return moments(trials), trials[:, :, SUM]
    if trials.ndim != 2 or trials.shape[1] < 2:
        raise ValueError(f"verdict: found shape {trials.shape}, wanted streams (N, T) or block sums (N, B, 3)")
    return moments(block_sums(trials, blocks=1)), trials


def _pooled(streams: Floats, known: Moments, block: float) -> Floats:
    """Deviations of sums of blocks from those of the bars, times what memory adds to the usual trial.

    From 128 blocks alone each trial's own is so uncertain that the best of ten thousand is the one whose is too small.
    """
    plain: Floats = known.variance * known.bars / streams.shape[1]
    risky = plain > 0.0
    if not risky.any():
        return plain
    ratio = float(np.median(deviations(streams[risky], block) ** 2 / plain[risky]))
    found: Floats = np.sqrt(np.where(risky, plain * ratio, 1.0))
    return found


def _shape(best: int, known: Moments, trials: Floats, returns: Floats | None) -> Shape:
    if returns is None and trials.ndim == 3:
        return Shape(float(known.sharpe[best]), int(known.bars[best]), 0.0, 3.0)
    return shape(trials[best] if returns is None else returns)


def _share(p: float, least: float) -> str:
    return f"less than {100 * least:.2g} %" if p < least else f"{100 * p:.1f} %"


def _words(p: float, level: float, deflated: float, trials: int, bars: int, sharpe: float, samples: int) -> str:
    plural = f"{trials:,} trials" if trials > 1 else "1 trial"
    if math.isnan(sharpe):
        return f"Nothing was found. None of {plural} over {bars:,} bars took any risk."
    found = "Something was found." if p < level else "Nothing was found."
    worthless = "were all of them worthless, the best" if trials > 1 else "were it worthless, it"
    told = "cannot be told" if math.isnan(deflated) else f"{100 * deflated:.1f} %"
    asked = f"(studentised reality check; {100 * level:g} % are asked for)"
    return (
        f"{found} Of {plural} over {bars:,} bars the best has a Sharpe ratio of {sharpe:.2f} a year; {worthless} would "
        f"look as good in {_share(p, 1 / samples)} of cases {asked}. Deflated Sharpe ratio: {told}."
    )
