"""Mixtures of diagonal Gaussians as emissions: one regime may be skewed, heavy-tailed, or of several kinds of bars.

Nothing carries over from bar to bar but the regime: which of its M components a bar is of is drawn afresh.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.ordered import product, total
from barograph.jit.views import unowned
from barograph.regimes.family import ChainPlan, Moments
from barograph.regimes.mixture import horizon_mixture
from barograph.types import Floats
from barograph_models._chain.chance import generator
from barograph_models._chain.drawing import noise, path
from barograph_models._chain.emission import Emission
from barograph_models._chain.gaussian import LOG_TWO_PI
from barograph_models._fit.data import Sample

__all__ = ["MIXED", "MixedParams", "components_ahead", "draw", "in_units", "mixed_params", "moments", "plan",
           "standardised"]  # fmt: skip

RAREST: Final = 1e-9
"""A component's share of its regime never falls below it: its logarithm stays a number."""
FEWEST_BARS: Final = 2.0
MOST_PARTS: Final = 5_000
"""Mixtures of more parts would cost a bar's quantile a millisecond: a regime's own normal stands in for its parts."""


class MixedParams(NamedTuple):
    """K regimes, each a mixture of M Gaussians of d independent features.

    `start` (K,), `transition` (K, K); `weights` (K, M) sum to one in each regime; `means` and `variances` (K, M, d);
    derived: `whitening` (K, M, d), inverse deviations, and `peak` (K, M), the log of weight times density at the mean.
    """

    start: Floats
    transition: Floats
    weights: Floats
    means: Floats
    variances: Floats
    whitening: Floats
    peak: Floats


class MixedSums(NamedTuple):
    """Expected bars of each component (K, M), and weighted sums of deviations and their squares (K, M, d)."""

    bars: Floats
    first: Floats
    second: Floats


@kernel
def _log_part(x: Any, k: Any, m: Any, own: Any) -> Any:
    """Return the log of a component's weight times its density."""
    means, whitening = own.means, own.whitening
    away = 0.0
    for j in range(means.shape[2]):
        z = (x[j] - means[k, m, j]) * whitening[k, m, j]
        away += z * z
    return own.peak[k, m] - 0.5 * away


@kernel
def _log_density(x: Any, k: Any, own: Any) -> Any:
    """Return the log of the sum of a regime's parts, each divided by the largest so far."""
    largest = _log_part(x, k, 0, own)
    whole = 1.0
    for m in range(1, own.means.shape[1]):
        part = _log_part(x, k, m, own)
        if part > largest:
            whole = whole * exp(largest - part) + 1.0
            largest = part
        else:
            whole += exp(part - largest)
    return largest + log(whole)


@kernel
def _clear(sums: Any) -> None:
    bars, first, second = sums.bars, sums.first, sums.second
    bars[:] = 0.0
    first[:] = 0.0
    second[:] = 0.0


@kernel
def _gather(x: Any, weight: Any, k: Any, own: Any, sums: Any) -> None:
    means, bars, first, second = own.means, sums.bars, sums.first, sums.second
    whole = _log_density(x, k, own)
    for m in range(means.shape[1]):
        of_part = weight * exp(_log_part(x, k, m, own) - whole)
        bars[k, m] += of_part
        for j in range(means.shape[2]):
            away = x[j] - means[k, m, j]
            first[k, m, j] += of_part * away
            second[k, m, j] += of_part * away * away


@kernel
def _update(total: Any, sums: Any, own: Any, floor: Any) -> None:
    bars, first, second = sums.bars, sums.first, sums.second
    weights, means, variances = own.weights, own.means, own.variances
    for k in range(total.size):
        for m in range(means.shape[1]):
            weights[k, m] = max(bars[k, m] / total[k], RAREST)
            # A component that explains less than two bars keeps its place: they have no variance.
            if bars[k, m] >= FEWEST_BARS:
                for j in range(means.shape[2]):
                    shift = first[k, m, j] / bars[k, m]
                    means[k, m, j] += shift
                    variances[k, m, j] = max(second[k, m, j] / bars[k, m] - shift * shift, floor)
        _derive(k, weights, variances, own.whitening, own.peak)


@kernel
def _derive(k: Any, weights: Any, variances: Any, whitening: Any, peak: Any) -> None:
    whole = 0.0
    for m in range(weights.shape[1]):
        whole += weights[k, m]
    for m in range(weights.shape[1]):
        weights[k, m] /= whole
        peak[k, m] = log(weights[k, m]) - 0.5 * LOG_TWO_PI * variances.shape[2]
        for j in range(variances.shape[2]):
            deviation = math.sqrt(variances[k, m, j])
            whitening[k, m, j] = 1.0 / deviation
            peak[k, m] -= log(deviation)


def _new_sums(params: Any) -> MixedSums:
    of_cells = np.empty_like(params.means)
    return MixedSums(np.empty_like(params.weights), of_cells, of_cells.copy())


def _least(params: Any) -> float:
    """d+1 observations a component: what a regime of so many needs to tell them apart."""
    return float(params.means.shape[1] * (params.means.shape[2] + 1))


MIXED = Emission(_log_density, _clear, _gather, _update, _new_sums, _least)


@compiled
def _derived(weights: Any, variances: Any, whitening: Any, peak: Any) -> None:
    weights, variances = unowned(weights), unowned(variances)
    whitening, peak = unowned(whitening), unowned(peak)
    for k in range(weights.shape[0]):
        _derive(k, weights, variances, whitening, peak)


def mixed_params(start: Any, transition: Any, weights: Any, means: Any, variances: Any) -> MixedParams:
    """Make params from what a person would write; a regime's components are put in the order of their variances.

    >>> two = mixed_params([0.5, 0.5], np.eye(2), [[0.9, 0.1], [0.5, 0.5]], np.zeros((2, 2, 1)), [[[4.0], [1.0]]] * 2)
    >>> two.weights
    array([[0.1, 0.9],
           [0.5, 0.5]])
    """
    arrays = [np.array(a, dtype=np.float64, order="C") for a in (start, transition, weights, means, variances)]
    order = np.argsort(arrays[4][:, :, 0], axis=1, kind="stable")
    of_parts = [np.ascontiguousarray(_taken(a, order)) for a in arrays[2:]]
    derived = (np.empty_like(of_parts[2]), np.empty_like(of_parts[0]))
    params = MixedParams(arrays[0], arrays[1], of_parts[0], of_parts[1], of_parts[2], *derived)
    _derived(params.weights, params.variances, params.whitening, params.peak)
    return params


def _taken(of_parts: Floats, order: NDArray[np.int64]) -> Floats:
    return of_parts[np.arange(len(order))[:, None], order]


def in_units(data: Sample, params: MixedParams) -> MixedParams:
    """Bring params of standardised data to the data's own units."""
    means, variances = params.means * data.scale + data.centre, params.variances * (data.scale * data.scale)
    return mixed_params(params.start, params.transition, params.weights, means, variances)


def standardised(data: Sample, params: MixedParams) -> MixedParams:
    """Bring params in the data's own units to standardised data."""
    means, variances = (params.means - data.centre) / data.scale, params.variances / (data.scale * data.scale)
    return mixed_params(params.start, params.transition, params.weights, means, variances)


def moments(params: MixedParams) -> Moments:
    """Return means and variances of every feature in every regime, over its components, (K, d)."""
    weights = params.weights[:, :, None]
    mean = total(weights * params.means, axis=1)
    away = params.means - mean[:, None, :]
    return Moments(mean, total(weights * (params.variances + away * away), axis=1))


def plan(params: MixedParams, horizon: int) -> ChainPlan:
    """Lay out the forecasts: exact where the parts of the sum are no more than `MOST_PARTS` (`components_ahead`).

    A bar's component is drawn whatever the bar before was, so regimes times components are a chain too.
    """
    K, M = params.weights.shape
    ahead = params.transition
    for _ in range(horizon - 1):
        ahead = product(ahead, params.transition)
    moves, mean, variance = params.transition, *(of[:, 0] for of in moments(params))
    if _exact(params, horizon):
        moves = np.repeat((params.transition[:, :, None] * params.weights).reshape(K, K * M), M, axis=0)
        mean, variance = params.means[:, :, 0].ravel(), params.variances[:, :, 0].ravel()
    weights, centre, spread = horizon_mixture(moves, mean, variance, horizon)
    arrays = (ahead, weights[:: len(mean) // K], centre, spread, np.full(centre.size, np.inf))
    return ChainPlan(*map(np.ascontiguousarray, arrays))


def components_ahead(params: MixedParams, horizon: int) -> int:
    """Return how many parts the forecast has."""
    K, M = params.weights.shape
    return _ways(K * M if _exact(params, horizon) else K, horizon)


def _exact(params: MixedParams, horizon: int) -> bool:
    return _ways(params.weights.size, horizon) <= MOST_PARTS


def _ways(states: int, horizon: int) -> int:
    return math.comb(horizon + states - 1, states - 1)


def draw(params: MixedParams, bars: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return rows (bars, d) and the states (bars,) that they were drawn in."""
    chance = generator(seed)
    states = path(params.start, params.transition, bars, chance)
    # One component a bar: each row of the "transition" is the regime's own weights, whatever the last one was.
    parts = np.zeros(bars, dtype=np.int64)
    for k in range(len(params.start)):
        members = states == k
        same = np.repeat(params.weights[k][None, :], params.weights.shape[1], axis=0)
        parts[members] = path(params.weights[k], same, int(np.count_nonzero(members)), chance)
    away = noise(bars, params.means.shape[2], chance)
    return params.means[states, parts] + away * np.sqrt(params.variances[states, parts]), states
