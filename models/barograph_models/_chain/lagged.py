"""First-order autoregressions as emissions: what a bar says is measured from what its regime expected after the last.

The rows that EM, smoothing and the filter see are pairs: a bar's features, and those of the bar before. A bar without
one before it, the first and the one after a gap, is no observation: the likelihood is that of all others given it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.family import Moments
from barograph.types import Belief, Floats, Forecast
from barograph_models._chain.chance import generator
from barograph_models._chain.drawing import noise, path
from barograph_models._chain.emission import Emission
from barograph_models._chain.filter import observed, predict, stand, weigh
from barograph_models._chain.gaussian import WHITEN, invert_diagonal
from barograph_models._fit.data import Sample

__all__ = ["LAGGED", "LaggedParams", "LaggedState", "ahead", "draw", "in_units", "init", "lagged_params", "lagged_step",
           "moments", "paired", "pairs", "standardised"]  # fmt: skip

STEEPEST: Final = 0.99
"""A slope's largest size: beyond it a regime has no long run, and so no mean."""


class LaggedParams(NamedTuple):
    """K regimes of d features: x_t is Normal(intercepts + slopes * x_{t-1}, variances), feature by feature.

    `start` (K,), `transition` (K, K), the others (K, d); derived: `whitening` (K, d), inverse deviations, `peak` (K,).
    """

    start: Floats
    transition: Floats
    intercepts: Floats
    slopes: Floats
    variances: Floats
    whitening: Floats
    peak: Floats


class LaggedState(NamedTuple):
    """P(regime | bars so far) (K,), room for work (K,) twice, the last bar (d,), room for two, and a count."""

    probs: Floats
    ahead: Floats
    logs: Floats
    last: Floats
    pair: Floats
    seen: int


class LaggedSums(NamedTuple):
    """Weighted sums (K, d): of the bar before, its square, the bar, their product, and the bar's square."""

    before: Floats
    before_square: Floats
    now: Floats
    product: Floats
    now_square: Floats


@kernel
def _log_density(pair: Any, k: Any, own: Any) -> Any:
    intercepts, slopes, whitening = own.intercepts, own.slopes, own.whitening
    d = intercepts.shape[1]
    away = 0.0
    for j in range(d):
        z = (pair[j] - intercepts[k, j] - slopes[k, j] * pair[d + j]) * whitening[k, j]
        away += z * z
    return own.peak[k] - 0.5 * away


@kernel
def _clear(sums: Any) -> None:
    before, before_square, now = sums.before, sums.before_square, sums.now
    product, now_square = sums.product, sums.now_square
    before[:] = 0.0
    before_square[:] = 0.0
    now[:] = 0.0
    product[:] = 0.0
    now_square[:] = 0.0


@kernel
def _gather(pair: Any, weight: Any, k: Any, own: Any, sums: Any) -> None:
    before, before_square, now = sums.before, sums.before_square, sums.now
    product, now_square = sums.product, sums.now_square
    d = own.intercepts.shape[1]
    for j in range(d):
        x, lag = pair[j], pair[d + j]
        before[k, j] += weight * lag
        before_square[k, j] += weight * lag * lag
        now[k, j] += weight * x
        product[k, j] += weight * x * lag
        now_square[k, j] += weight * x * x


@kernel
def _update(total: Any, sums: Any, own: Any, floor: Any) -> None:
    """Regress each feature on its bar before; a slope beyond the steepest is the steepest, the likeliest of those."""
    before, before_square, now = sums.before, sums.before_square, sums.now
    product, now_square = sums.product, sums.now_square
    intercepts, slopes, variances = own.intercepts, own.slopes, own.variances
    for k in range(total.size):
        for j in range(intercepts.shape[1]):
            lag, x = before[k, j] / total[k], now[k, j] / total[k]
            spread = before_square[k, j] / total[k] - lag * lag
            together = product[k, j] / total[k] - lag * x
            slope = together / spread if spread > 0.0 else 0.0
            slopes[k, j] = max(-STEEPEST, min(STEEPEST, slope))
            intercepts[k, j] = x - slopes[k, j] * lag
            rest = now_square[k, j] / total[k] - x * x - slopes[k, j] * (2.0 * together - slopes[k, j] * spread)
            variances[k, j] = max(rest, floor)
        invert_diagonal(k, variances, own.whitening, own.peak)


def _new_sums(params: Any) -> LaggedSums:
    return LaggedSums(*(np.empty_like(params.intercepts) for _ in LaggedSums._fields))


def _least(params: Any) -> float:
    """d+2 observations: each feature has a line through two points, and one to be off it."""
    return float(params.intercepts.shape[1] + 2)


LAGGED = Emission(_log_density, _clear, _gather, _update, _new_sums, _least)


@kernel
def init(params: Any) -> LaggedState:
    """Begin at the start probabilities, with no bar before the first."""
    K, d = params.intercepts.shape
    return LaggedState(params.start.copy(), np.zeros(K), np.zeros(K), np.full(d, np.nan), np.zeros(2 * d), 0)


@functools.cache
def lagged_step(emission: Emission) -> Callable[..., tuple[LaggedState, Belief]]:
    """Return the filter's step where an emission reads pairs of bars."""
    log_density = emission.log_density

    @kernel
    def step(state: Any, x: Any, params: Any) -> tuple[LaggedState, Belief]:
        """Predict by the transition matrix, weigh by the densities given the bar before, and keep this one."""
        probs, ahead, logs = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
        last, pair = unowned(state.last), unowned(state.pair)
        predict(state.seen, probs, ahead, params)
        logpdf = 0.0
        if observed(x) and observed(last):
            for j in range(last.size):
                pair[j], pair[last.size + j] = x[j], last[j]
            own = by_address(params)
            for k in range(logs.size):
                logs[k] = log_density(pair, k, own)
            logpdf = weigh(ahead, logs, probs)
        else:
            stand(ahead, probs)
        for j in range(last.size):
            last[j] = x[j]
        after = LaggedState(state.probs, state.ahead, state.logs, state.last, state.pair, state.seen + 1)
        return after, Belief(frozen(state.probs), logpdf)

    return step


def pairs(X: Floats) -> Floats:
    """Return each row beside the row before it, (T, 2d): NaN before the first."""
    return (
        np.hstack([X, np.vstack([np.full((1, X.shape[1]), np.nan), X[:-1]])])
        if len(X)
        else np.empty((0, 2 * X.shape[1]))
    )


def paired(data: Sample) -> Sample:
    """Return the sample of pairs; the second half of a pair is given, and adds nothing to the data's volume."""
    two = pairs(data.with_nan())
    whole = np.asarray(np.isfinite(two).all(axis=1))
    given = (np.zeros_like(data.centre), np.ones_like(data.scale))
    Z = np.ascontiguousarray(np.where(whole[:, None], two, 0.0))
    return Sample(Z, whole, np.concatenate([data.centre, given[0]]), np.concatenate([data.scale, given[1]]))


def lagged_params(start: Any, transition: Any, intercepts: Any, slopes: Any, variances: Any) -> LaggedParams:
    """Make params from what a person would write.

    >>> lagged_params([1.0], [[1.0]], [[0.0]], [[0.5]], [[4.0]]).whitening
    array([[0.5]])
    """
    arrays = [np.array(a, dtype=np.float64, order="C") for a in (start, transition, intercepts, slopes, variances)]
    derived = (np.empty_like(arrays[4]), np.empty(len(arrays[0])))
    params = LaggedParams(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], *derived)
    WHITEN["diagonal"](params.variances, params.whitening, params.peak)
    return params


def in_units(data: Sample, params: LaggedParams) -> LaggedParams:
    """Bring params of standardised data to the data's own units; slopes have none."""
    centre, scale = data.centre, data.scale
    intercepts = params.intercepts * scale + centre * (1.0 - params.slopes)
    return lagged_params(params.start, params.transition, intercepts, params.slopes, params.variances * (scale * scale))


def standardised(data: Sample, params: LaggedParams) -> LaggedParams:
    """Bring params in the data's own units to standardised data."""
    centre, scale = data.centre, data.scale
    intercepts = (params.intercepts - centre * (1.0 - params.slopes)) / scale
    return lagged_params(params.start, params.transition, intercepts, params.slopes, params.variances / (scale * scale))


def moments(params: LaggedParams) -> Moments:
    """Return the long-run mean and variance of every feature, had it always been in the one regime, (K, d)."""
    rest = 1.0 - params.slopes
    return Moments(params.intercepts / rest, params.variances / (rest * (1.0 + params.slopes)))


@kernel
def ahead(state: Any, params: Any, horizon: int, out: Forecast) -> None:
    """Write the mixture of the summed return by its last bar's regime; exact one bar ahead.

    Beyond it each part has the exact mean and variance of the sum and of the way to that regime, as a normal: the
    moments of (sum, bar) within each regime follow from those a bar before (Costa, Fragoso & Marques, *Discrete-Time
    Markov Jump Linear Systems*, 2005, section 3.4).
    """
    K = params.start.size
    # A row a regime: its probability P, then P-weighted bar x, x^2, sum S, S^2 and S x.
    now, then = np.zeros((K, 6)), np.zeros((K, 6))
    _stand(unowned(state.probs), unowned(state.last), by_address(params), now)
    for _ in range(horizon):
        _move(unowned(params.transition), now, then)
        _add(by_address(params), then, now)
    for k in range(K):
        _part(k, now, unowned(params.variances), out)


@kernel
def _stand(probs: Any, last: Any, own: Any, now: Any) -> None:
    """Begin at the last bar, or, where it is missing, at each regime's long run."""
    intercepts, slopes, variances = own.intercepts, own.slopes, own.variances
    for k in range(probs.size):
        mean = intercepts[k, 0] / (1.0 - slopes[k, 0])
        square = variances[k, 0] / (1.0 - slopes[k, 0] * slopes[k, 0]) + mean * mean
        if math.isfinite(last[0]):
            mean, square = last[0], last[0] * last[0]
        now[k, 0], now[k, 1], now[k, 2] = probs[k], probs[k] * mean, probs[k] * square


@kernel
def _move(transition: Any, now: Any, then: Any) -> None:
    for j in range(now.shape[0]):
        for q in range(now.shape[1]):
            then[j, q] = 0.0
            for k in range(now.shape[0]):
                then[j, q] += now[k, q] * transition[k, j]


@kernel
def _add(own: Any, then: Any, now: Any) -> None:
    """Draw the next bar in each regime, and add it to the sum."""
    intercepts, slopes, variances = own.intercepts, own.slopes, own.variances
    for j in range(now.shape[0]):
        c, slope, chance, x = intercepts[j, 0], slopes[j, 0], then[j, 0], then[j, 1]
        bar = c * chance + slope * x
        square = c * (c * chance + 2.0 * slope * x) + slope * slope * then[j, 2] + variances[j, 0] * chance
        cross = c * then[j, 3] + slope * then[j, 5]
        now[j, 0], now[j, 1], now[j, 2], now[j, 3] = chance, bar, square, then[j, 3] + bar
        now[j, 4], now[j, 5] = then[j, 4] + 2.0 * cross + square, cross + square


@kernel
def _part(k: Any, now: Any, variances: Any, out: Any) -> None:
    """Write one part of the mixture; the sum varies at least as much as its last bar."""
    chance, least = now[k, 0], variances[k, 0]
    out.probs[k], out.weights[k] = chance, chance
    mean = now[k, 3] / chance if chance > 0.0 else 0.0
    out.mean[k] = mean
    out.variance[k] = max(now[k, 4] / chance - mean * mean, least) if chance > 0.0 else least
    out.degrees_of_freedom[k] = math.inf


def draw(params: LaggedParams, bars: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return rows (bars, d) and the states (bars,) that they were drawn in, from the first regime's long run on."""
    chance = generator(seed)
    states = path(params.start, params.transition, bars, chance)
    away = noise(bars, params.intercepts.shape[1], chance)
    return _followed(params.intercepts, params.slopes, np.sqrt(params.variances), states, away), states


@compiled
def _followed(intercepts: Any, slopes: Any, deviations: Any, states: Any, away: Any) -> Floats:
    X: Floats = np.empty_like(away)
    for t in range(X.shape[0]):
        k = states[t]
        for j in range(X.shape[1]):
            if t == 0:
                rest = 1.0 - slopes[k, j]
                spread = deviations[k, j] / math.sqrt(rest * (1.0 + slopes[k, j]))
                X[t, j] = intercepts[k, j] / rest + spread * away[t, j]
            else:
                X[t, j] = intercepts[k, j] + slopes[k, j] * X[t - 1, j] + deviations[k, j] * away[t, j]
    return X
