"""CUSUM: sums of evidence against the training window's mean and volatility, which ring when they have added up."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.arithmetic import log
from barograph.jit.kernel import kernel
from barograph.jit.views import frozen, unowned
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.window import Window
from barograph.types import Belief, Floats
from barograph_models._chain.filter import observed
from barograph_models._fit.data import check_choice, check_counts, check_positive, emitted, sample
from barograph_models._fit.settings import checked

__all__ = ["CUSUM", "LABELS", "CusumParams", "cusum"]

NAME: Final = "cusum"
LABELS: Final = ("steady", "changed")
FAR: Final = 1e100  # deviations; the square of more could be no number
WATCHED: Final = {"level": (1.0, 0.0), "volatility": (0.0, 1.0), "both": (1.0, 1.0)}


class CusumParams(NamedTuple):
    """``z = (x - centre) * shrink`` (d,), and what the sums for a mean and a volatility that rose or fell are made of.

    A bar adds ``linear * z + square * z^2 - drift`` to a sum, all three (4,); at `threshold` (1,) nats it rings, and
    for `recent` (1,) bars after that the market counts as changed.
    """

    centre: Floats
    shrink: Floats
    linear: Floats
    square: Floats
    drift: Floats
    threshold: Floats
    recent: Floats


class CusumState(NamedTuple):
    """P(steady) and P(changed), one of them 1; the four sums of every feature (d, 4); bars since it rang, or -1."""

    probs: Floats
    sums: Floats
    since: int


@kernel
def init(params: Any) -> CusumState:
    """Begin with no evidence."""
    probs = np.zeros(2)
    probs[0] = 1.0
    return CusumState(probs, np.zeros((params.centre.size, params.linear.size)), -1)


@kernel
def _rings(x: Any, sums: Any, params: Any) -> Any:
    """Add a row's evidence to the sums; return whether one of them rings."""
    linear, square, drift = unowned(params.linear), unowned(params.square), unowned(params.drift)
    rings = False
    for j in range(sums.shape[0]):
        z = min(max((x[j] - params.centre[j]) * params.shrink[j], -FAR), FAR)
        for i in range(drift.size):
            sums[j, i] = max(0.0, sums[j, i] + linear[i] * z + square[i] * (z * z) - drift[i])
            rings = rings or sums[j, i] >= params.threshold[0]
    return rings


@kernel
def step(state: Any, x: Any, params: Any) -> tuple[CusumState, Belief]:
    """Add the row's evidence; when a sum rings, all begin again. A row with any NaN changes nothing.

    The log density is NaN, as there is none, and zero for a row that was not observed.
    """
    probs, sums, since, logpdf = unowned(state.probs), unowned(state.sums), state.since, 0.0
    if observed(x):
        logpdf = math.nan
        since = since + 1 if since >= 0 else -1
        if _rings(x, sums, params):
            since = 0
            sums[:, :] = 0.0
        probs[1] = 1.0 if 0 <= since <= params.recent[0] else 0.0
        probs[0] = 1.0 - probs[1]
    return CusumState(state.probs, state.sums, since), Belief(frozen(state.probs), logpdf)


CUSUM = Family(f"{__name__}:CUSUM", CusumParams, init, step, events=True)


@checked
def cusum(
    watch: Literal["level", "volatility", "both"] = "both",
    shift: float = 1.0,
    ratio: float = 2.0,
    threshold: float = 5.0,
    recent: int = 5,
) -> Model:
    """Two-sided CUSUM on the mean, the volatility, or both: S_t = max(0, S_{t-1} + log p_1(z_t) / p_0(z_t)).

    z is a feature in the mean and deviation of the training rows, p_0 the standard normal. Against it stand, each with
    a sum of its own, a mean `shift` deviations higher, one as much lower (a bar adds shift * z - shift^2 / 2: Page's
    chart with allowance shift / 2 and limit threshold / shift), a deviation `ratio` times as large and one as much
    smaller. A sum that reaches `threshold` nats rings: all sums begin again, and the regime is "changed" at this bar
    and for `recent` more, else "steady"; they are never renumbered. Of d features each has its sums. Nothing rings by
    chance more often than once in e^threshold bars a sum (Lorden 1971). `logpdf` is NaN; there is no likelihood, no
    chain and no forecast.

    ``fit(window)`` takes rows (T, d), NaN where missing; a row with any NaN is none. It raises `FitError` for rows that
    are too few, constant or infinite.

    E. Page, *Continuous inspection schemes*, Biometrika 41 (1954); G. Lorden, *Procedures for reacting to a change in
    distribution*, Ann. Math. Stat. 42 (1971); G. Moustakides, *Optimal stopping times for detecting changes in
    distributions*, Ann. Stat. 14 (1986).

    >>> noise = np.random.default_rng(0).standard_normal(600)
    >>> fitted = cusum(watch="level").fit(noise[:500])
    >>> fitted.filter_path(noise[500:] + np.repeat([0.0, 2.0], 50)).probs[:, 1].argmax()
    np.int64(52)
    """
    check_choice(NAME, "watch", watch, tuple(WATCHED))
    check_positive(NAME, shift=shift, threshold=threshold)
    check_counts(NAME, recent=recent)
    if not 1.0 < ratio < math.inf:
        raise ConfigError(f"{NAME}: ratio = {ratio!r}, a number above 1 is wanted")
    settings = (watch, shift, ratio, threshold, recent)
    return Model(partial(_fit, settings), len(LABELS), NAME, labels=LABELS, settings=settings, hindsight=False)


def _evidence(watch: str, shift: float, ratio: float) -> tuple[Floats, Floats, Floats]:
    """Return `linear`, `square` and `drift` of the four sums; one that is not watched only falls."""
    level, noise = WATCHED[watch]
    inverse, square = 1.0 / (ratio * ratio), ratio * ratio
    linear = np.array([shift, -shift, 0.0, 0.0]) * level
    quadratic = 0.5 * np.array([0.0, 0.0, 1.0 - inverse, 1.0 - square]) * noise
    drift = np.array([0.5 * shift * shift, 0.5 * shift * shift, log(ratio), -log(ratio)])
    return linear, quadratic, np.where(np.array([level, level, noise, noise]) > 0.0, drift, 1.0)


def _fit(settings: tuple[Any, ...], window: Window) -> Fitted:
    watch, shift, ratio, threshold, recent = settings
    rows = emitted(window, NAME)
    data = sample(rows, len(LABELS), NAME)
    evidence = _evidence(watch, shift, ratio)
    limits = (np.array([threshold]), np.array([float(recent)]))
    params = CusumParams(data.centre, 1.0 / data.scale, *evidence, *limits)
    names = tuple(f"x{j}" for j in range(rows.shape[1]))
    return Fitted(CUSUM, params, None, data.rows, None, None, True, 0, names, labels=LABELS)
