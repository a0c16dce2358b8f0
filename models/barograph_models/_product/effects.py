"""Gaussian emissions to which every chain adds a shift of the mean and a factor of the variance, feature by feature.

The likeliest shifts and factors have no joint closed form; each one alone has, given the others. So an iteration of EM
improves them in turn and stays an ascent: X.-L. Meng & D. Rubin, *Maximum likelihood estimation via the ECM algorithm*,
Biometrika 80 (1993).
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.jit.arithmetic import log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.ordered import total
from barograph.jit.views import by_address
from barograph.types import Floats
from barograph_models._chain.chance import generator
from barograph_models._chain.drawing import noise, path
from barograph_models._chain.emission import no_penalty
from barograph_models._chain.gaussian import CELLS, FEWEST_CELLS, LOG_TWO_PI
from barograph_models._fit.data import Sample
from barograph_models._product.chains import size

__all__ = ["EFFECTS", "Asked", "FactorialParams", "draw", "factorial_params", "in_units", "ordered", "standardised"]

TURNS: Final = 3


class FactorialParams(NamedTuple):
    """C chains of K states, S = K^C product states, d features; a product state is a number in base K, chain 0 first.

    `start` (C, K), `moves` (C, K, K); `centre`, `spread` (d,): mean and variance where every chain is in state 0;
    `shifts`, `factors` (C, K, d): what a chain's state adds to the mean and multiplies the variance by, 0 and 1 in
    state 0. Of the product states, and made from those: `means`, `covariances` (variances), `whitening` (S, d), `peak`
    (S,). `shown` (S,) is the regime that each shows.
    """

    start: Floats
    moves: Floats
    centre: Floats
    spread: Floats
    shifts: Floats
    factors: Floats
    means: Floats
    covariances: Floats
    whitening: Floats
    peak: Floats
    shown: Floats


class Asked(NamedTuple):
    """What a fit is told: the least variance, standardised, and whether chains shift means and scale variances."""

    floor: float
    shift: bool
    scale: bool


@kernel
def _state(s: Any, c: Any, shifts: Any) -> Any:
    """Return chain c's state in product state s."""
    for _ in range(c + 1, shifts.shape[0]):
        s //= shifts.shape[1]
    return s % shifts.shape[1]


@kernel
def _derive(own: Any) -> None:
    """Fill what stands of every product state from what stands of the chains."""
    means, covariances, whitening, peak = own.means, own.covariances, own.whitening, own.peak
    shifts, factors, centre, spread = own.shifts, own.factors, own.centre, own.spread
    for s in range(peak.size):
        peak[s] = -0.5 * LOG_TWO_PI * centre.size
        for j in range(centre.size):
            means[s, j], covariances[s, j] = centre[j], spread[j]
            for c in range(shifts.shape[0]):
                k = _state(s, c, shifts)
                means[s, j] += shifts[c, k, j]
                covariances[s, j] *= factors[c, k, j]
            deviation = math.sqrt(covariances[s, j])
            whitening[s, j] = 1.0 / deviation
            peak[s] -= log(deviation)


@kernel
def _is_of(s: Any, c: Any, k: Any, shifts: Any) -> Any:
    """Tell whether product state s has chain c in state k; chain -1 is that of all."""
    return c < 0 or _state(s, c, shifts) == k


@kernel
def _shift(c: Any, k: Any, j: Any, own: Any, sums: Any) -> Any:
    """Return the likeliest change of all means with chain c in state k, and bring the sums to the means so changed."""
    means, covariances, shifts = own.means, own.covariances, own.shifts
    first, second, weight = sums.first, sums.second, sums.weight
    pull, held, bars = 0.0, 0.0, 0.0
    for s in range(means.shape[0]):
        if _is_of(s, c, k, shifts):
            pull += first[s, j] / covariances[s, j]
            held += weight[s, j] / covariances[s, j]
            bars += weight[s, j]
    if bars < FEWEST_CELLS:
        return 0.0
    by = pull / held
    for s in range(means.shape[0]):
        if _is_of(s, c, k, shifts):
            second[s, j] += by * (by * weight[s, j] - 2.0 * first[s, j])
            first[s, j] -= by * weight[s, j]
            means[s, j] += by
    return by


@kernel
def _scale(c: Any, k: Any, j: Any, own: Any, sums: Any, floor: Any) -> Any:
    """Return the likeliest factor of all variances with chain c in state k that brings none below the floor."""
    covariances, shifts, second, weight = own.covariances, own.shifts, sums.second, sums.weight
    excess, bars, least = 0.0, 0.0, math.inf
    for s in range(covariances.shape[0]):
        if _is_of(s, c, k, shifts):
            excess += second[s, j] / covariances[s, j]
            bars += weight[s, j]
            least = min(least, covariances[s, j])
    if bars < FEWEST_CELLS:
        return 1.0
    by = max(excess / bars, floor / least)
    for s in range(covariances.shape[0]):
        if _is_of(s, c, k, shifts):
            covariances[s, j] *= by
    return by


@kernel
def _improve(j: Any, own: Any, sums: Any, given: Any) -> None:
    """Improve centre and spread, then every shift and factor in turn; an effect that is not asked for stays none."""
    centre, spread, shifts, factors = own.centre, own.spread, own.shifts, own.factors
    centre[j] += _shift(-1, 0, j, own, sums)
    spread[j] *= _scale(-1, 0, j, own, sums, given.floor)
    for c in range(shifts.shape[0]):
        for k in range(shifts.shape[1]):
            if given.shift:
                shifts[c, k, j] += _shift(c, k, j, own, sums)
            if given.scale:
                factors[c, k, j] *= _scale(c, k, j, own, sums, given.floor)


@kernel
def _update(total: Any, sums: Any, own: Any, given: Any) -> None:
    for j in range(own.centre.size):
        for _ in range(TURNS):
            _improve(j, own, sums, given)
    _derive(own)


EFFECTS = CELLS._replace(update=_update, penalty=no_penalty)


@compiled
def _derived(params: Any) -> None:
    _derive(by_address(params))


def factorial_params(
    start: Any, moves: Any, centre: Any, spread: Any, shifts: Any, factors: Any, shown: Any = None
) -> FactorialParams:
    """Make params from what a person would write; the arrays are those of `FactorialParams`, state 0 made the measure.

    Raises `FitError` for a variance that is not above zero.

    >>> calm_or_wild, stay = [[[1.0], [4.0]]] * 2, [[[0.9, 0.1], [0.1, 0.9]]] * 2
    >>> two = factorial_params([[0.5, 0.5]] * 2, stay, [0.0], [1.0], np.zeros((2, 2, 1)), calm_or_wild)
    >>> two.covariances.ravel()
    array([ 1.,  4.,  4., 16.])
    """
    arrays = [np.array(a, dtype=np.float64, order="C") for a in (start, moves, centre, spread, shifts, factors)]
    if not (arrays[3].min() > 0.0 and arrays[5].min() > 0.0):
        raise FitError(f"a variance of {min(arrays[3].min(), arrays[5].min()):.3g}; one above zero is wanted")
    (C, K), d = arrays[0].shape, len(arrays[2])
    S = size(C, K)
    label = np.arange(S, dtype=np.float64) if shown is None else np.array(shown, dtype=np.float64)
    room = (np.empty((S, d)), np.empty((S, d)), np.empty((S, d)), np.empty(S))
    params = FactorialParams(*(*_measured(*arrays), *room, label))
    _derived(params)
    return params


def _measured(start: Floats, moves: Floats, centre: Floats, spread: Floats, shifts: Floats, factors: Floats) -> Any:
    """Let state 0 of every chain have neither shift nor factor: centre and spread take them over."""
    for c in range(len(start)):
        centre, spread = centre + shifts[c, 0], spread * factors[c, 0]
        shifts[c], factors[c] = shifts[c] - shifts[c, 0], factors[c] / factors[c, 0]
    return start, moves, centre, spread, shifts, factors


def in_units(data: Sample, params: FactorialParams) -> FactorialParams:
    """Bring params of standardised data to the data's own units."""
    return _rescaled(params, data.scale, params.centre * data.scale + data.centre)


def standardised(data: Sample, params: FactorialParams) -> FactorialParams:
    """Bring params in the data's own units to standardised data."""
    return _rescaled(params, 1.0 / data.scale, (params.centre - data.centre) / data.scale)


def _rescaled(params: FactorialParams, scale: Floats, centre: Floats) -> FactorialParams:
    effects = (params.spread * (scale * scale), params.shifts * scale, params.factors, params.shown)
    return factorial_params(params.start, params.moves, centre, *effects)


def draw(params: FactorialParams, bars: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return rows (bars, d) and the product states (bars,) that they were drawn in."""
    chance, (C, K) = generator(seed), params.start.shape
    states = np.zeros(bars, dtype=np.int64)
    for c in range(C):
        states = states * K + path(params.start[c], params.moves[c], bars, chance)
    away = noise(bars, len(params.centre), chance)
    return params.means[states] + away * np.sqrt(params.covariances[states]), states


def ordered(params: FactorialParams, leading: Floats) -> FactorialParams:
    """Return the same law with the states of each chain in the order of `leading` (C, K), the slowest chain first.

    The slowest is the one whose moves have the largest trace. `shown` is made anew: each product state shows itself.
    """
    within = np.argsort(leading, axis=1, kind="stable")
    moves = np.stack([m[order][:, order] for m, order in zip(params.moves, within, strict=True)])
    trace = total(np.diagonal(moves, axis1=1, axis2=2), axis=1)
    slow = np.argsort(-trace, kind="stable")
    start, shifts, factors = (
        np.stack([a[order] for a, order in zip(of, within, strict=True)])[slow]
        for of in (params.start, params.shifts, params.factors)
    )
    return factorial_params(start, moves[slow], params.centre, params.spread, shifts, factors)
