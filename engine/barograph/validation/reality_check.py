"""Whether the best of many trials beats chance, told from the streams of all: Hansen's SPA and what goes with it.

Every trial's mean return, over the long-run deviation that its own stream has, is a t-value; the largest of them is
held against the largest of draws in which no trial has an edge, but all keep their likeness. A thousand crosses of two
averages are one idea, and count as about one.

Studentised is the point: in a sweep over leverages or sizes the noisiest trials decide a maximum of plain means. With
one quiet good model among nineteen five times as noisy, the plain check found it in 6 % of worlds, the studentised in
96 %.

White 2000, "A reality check for data snooping"; Hansen 2005, "A test for superior predictive ability"; Romano & Wolf
2005, "Stepwise multiple testing as formalized data snooping".
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.types import Floats
from barograph.validation.resampling import Draws, deviations, draw, means, resampled, usual_block

__all__ = ["RealityCheck", "reality_check", "superior"]

# A deviation this small beside the mean is the rounding of a constant.
_ROUNDING: Final = 1e-10


class RealityCheck(NamedTuple):
    """The best of N trials against chance.

    `best` is the trial of the largest t-value, `statistic`; `white` the p-value of the plain reality check (largest
    mean, not studentised). The three of the studentised one differ in the trials that are worse than nothing: `upper`
    counts them all as if they might be as good as nothing, `lower` none, `consistent` those not clearly worse.
    `critical` is what `statistic` must exceed at the level asked for, by `consistent`.
    """

    trials: int
    bars: int
    best: int
    statistic: float
    critical: float
    white: float
    lower: float
    consistent: float
    upper: float
    block: float
    samples: int


class _Trials(NamedTuple):
    """All that is known of the trials before anything is drawn; `scale` is 1 where nothing is studentised."""

    mean: Floats
    scale: Floats
    t: Floats
    judged: NDArray[np.bool_]
    centres: tuple[Floats, Floats, Floats]


def reality_check(
    streams: Floats,
    block: float | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.05,
    studentised: bool = True,
    draws: Draws | None = None,
    deviation: Floats | None = None,
) -> RealityCheck:
    """Test whether any of N trials (N, T) earns more than nothing; for a benchmark subtract its returns first.

    The sums of blocks, ``block_sums(streams)[:, :, 1]``, are streams too, of longer bars: they give the same test in a
    fortieth of the memory. `block` is the mean block length in bars; the median of what suits each trial, if none is
    given. `draws` replaces block, samples and seed. A trial without risk is not
    judged. `deviation` (N,) takes the place of ω in the t-values, where it is known better than from these streams.

    >>> noise = np.random.default_rng(1).standard_normal((20, 500))
    >>> found = reality_check(noise, samples=200)
    >>> found.lower <= found.consistent <= found.upper, found.consistent > 0.05
    (True, True)

    Raises `ValueError` for returns that are NaN, and for fewer than 8 bars.
    """
    rows = _checked(streams)
    length = usual_block(rows) if block is None else block
    drawn = draw(rows.shape[1], length, samples, seed) if draws is None else draws
    known = _known(rows, length, studentised)
    if deviation is not None:
        # Draws keep the deviations of these streams: each trial's own has the spread 1 in them.
        t = known.mean * math.sqrt(rows.shape[1]) / np.where(known.judged, deviation, 1.0)
        known = known._replace(t=np.where(known.judged, t, -np.inf))
    maxima, plain = _maxima(rows, drawn, known)
    root = math.sqrt(rows.shape[1])
    statistic = max(0.0, float(np.max(known.t)))
    # Nothing that lost, or never moved, is above chance.
    lower, consistent, upper = (float(np.mean(row > statistic)) if statistic > 0.0 else 1.0 for row in maxima)
    return RealityCheck(
        trials=len(rows),
        bars=rows.shape[1],
        best=int(np.argmax(known.t)),
        statistic=statistic,
        critical=float(np.quantile(maxima[1], 1.0 - level)),
        white=float(np.mean(plain > np.max(known.mean) * root)),
        lower=lower,
        consistent=consistent,
        upper=upper,
        block=length,
        samples=drawn.samples,
    )


def superior(
    streams: Floats,
    block: float | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.05,
    studentised: bool = True,
    draws: Draws | None = None,
) -> list[int]:
    """Return the trials that earn more than nothing, with at most `level` chance that any of them does not (StepM).

    What was found is taken out and the rest held against the smaller maximum that is left, until nothing more is found.
    Arguments and errors are those of `reality_check`.

    >>> streams = np.random.default_rng(1).standard_normal((20, 500))
    >>> streams[3] += 0.3
    >>> superior(streams, samples=200)
    [3]
    """
    rows = _checked(streams)
    length = usual_block(rows) if block is None else block
    drawn = draw(rows.shape[1], length, samples, seed) if draws is None else draws
    known = _known(rows, length, studentised)
    left = known.judged.copy()
    while left.any():
        maxima, _ = _maxima(rows, drawn, known._replace(judged=left))
        found = left & (known.t > np.quantile(maxima[1], 1.0 - level))
        if not found.any():
            break
        left &= ~found
    return np.flatnonzero(known.judged & ~left).tolist()


def _checked(streams: Floats) -> Floats:
    if streams.ndim != 2 or streams.shape[1] < 8:
        raise ValueError(f"streams: found shape {streams.shape}, wanted (trials, bars) with at least 8 bars")
    return streams


def _known(rows: Floats, block: float, studentised: bool) -> _Trials:
    mean = np.concatenate([means(np.asarray(rows[at : at + 64])) for at in range(0, len(rows), 64)])
    if np.isnan(mean).any():
        raise ValueError(f"streams: trial {int(np.flatnonzero(np.isnan(mean))[0])} has returns that are NaN")
    deviation = deviations(rows, block)
    risky = deviation > _ROUNDING * np.abs(mean)
    safe = np.where(risky, deviation, 1.0)
    root = math.sqrt(rows.shape[1])
    scale = safe if studentised else np.ones(len(rows))
    judged = risky if studentised else np.ones(len(rows), dtype=bool)
    t = np.where(judged, mean * root / scale, -np.inf)
    # By the law of the iterated logarithm what is this far below nothing is worse than nothing.
    near = mean * root / safe >= -math.sqrt(2.0 * math.log(math.log(rows.shape[1])))
    return _Trials(mean, scale, t, judged, (np.maximum(mean, 0.0), np.where(near, mean, 0.0), mean))


def _maxima(rows: Floats, draws: Draws, known: _Trials) -> tuple[Floats, Floats]:
    """The largest statistic of each draw: three kinds of centre (3, samples), and not studentised (samples,)."""
    maxima, plain = np.zeros((3, draws.samples)), np.full(draws.samples, -np.inf)
    root = math.sqrt(rows.shape[1])
    for at, found in resampled(rows, draws):
        np.maximum(plain, np.max(found - known.mean[at], axis=1) * root, out=plain)
        judged = known.judged[at]
        if judged.any():
            scale = root / known.scale[at][judged]
            for row, centre in zip(maxima, known.centres, strict=True):
                np.maximum(row, np.max((found[:, judged] - centre[at][judged]) * scale, axis=1), out=row)
    return maxima, plain
