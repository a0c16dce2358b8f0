"""The Gaussian hidden Markov model that never stops learning: its parameters move with every bar, in the filter."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.kernel import kernel
from barograph.jit.ordered import mean
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.family import Moments, stationary_of
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.window import Window
from barograph.types import Belief, Floats, Forecast
from barograph_models._chain.ahead import one_a_regime, summed
from barograph_models._chain.filter import observed, predict, stand, weigh
from barograph_models._chain.gaussian import DIAGONAL, GaussianParams, invert_diagonal
from barograph_models.gaussian_hmm import DIAGONAL as GAUSSIAN
from barograph_models.gaussian_hmm import gaussian_hmm

__all__ = ["ONLINE", "OnlineParams", "OnlineState", "online_hmm"]

_log_density = DIAGONAL.log_density
_REACH: Final = 200.0
"""Half the square of twenty deviations: a bar beyond them in every regime is taken for a wrong print."""
_RAREST: Final = 0.1
"""Moves in all the bars remembered: a chance to leave is never less, or one long calm would be for good."""
_FEWEST: Final = 2.0
"""Bars, of those remembered, below which a regime keeps its mean and its variance: they have none."""


class OnlineParams(NamedTuple):
    """What a filter begins with: K regimes of d independent Gaussian features, and how it learns.

    `start`, `transition`, `means`, `covariances` (variances), `whitening` and `peak` as in `gaussian_hmm`; `share` (K,)
    is of the bars remembered. Shared: `gain` (1,), the weight of a new bar; `floor` and `centre` (d,), the least
    variances and what deviations are measured from.
    """

    start: Floats
    transition: Floats
    means: Floats
    covariances: Floats
    whitening: Floats
    peak: Floats
    share: Floats
    gain: Floats
    floor: Floats
    centre: Floats


class OnlineState(NamedTuple):
    """P(regime | bars so far) (K,), the parameters as they are now, and what has been learned given each regime.

    `moves` (K, K, K) and `sums` (K, K, 1 + 2d) are expected statistics given the regime of the last bar, their first
    axis: of moves from and to, and of each regime's bars, their deviations and squares. `back` (K, K) and copies: room.
    """

    probs: Floats
    ahead: Floats
    logs: Floats
    start: Floats
    transition: Floats
    means: Floats
    covariances: Floats
    whitening: Floats
    peak: Floats
    moves: Floats
    sums: Floats
    back: Floats
    old_moves: Floats
    old_sums: Floats
    seen: int


@kernel
def _init(params: Any) -> OnlineState:
    """Begin with the fit's parameters, and with the statistics that they expect of a bar."""
    K, d = params.means.shape
    moves, sums = np.zeros((K, K, K)), np.zeros((K, K, 1 + 2 * d))
    for k in range(K):
        for i in range(K):
            for j in range(K):
                moves[k, i, j] = params.share[i] * params.transition[i, j]
            sums[k, i, 0] = params.share[i]
            for f in range(d):
                away = params.means[i, f] - params.centre[f]
                sums[k, i, 1 + f] = params.share[i] * away
                sums[k, i, 1 + d + f] = params.share[i] * (params.covariances[i, f] + away * away)
    learned = (params.transition.copy(), params.means.copy(), params.covariances.copy())
    derived = (params.whitening.copy(), params.peak.copy())
    room = (np.zeros((K, K)), np.zeros((K, K, K)), np.zeros((K, K, 1 + 2 * d)))
    probs, start = params.start.copy(), params.start.copy()
    return OnlineState(
        probs, np.zeros(K), np.zeros(K), start, learned[0], learned[1], learned[2], derived[0], derived[1], moves, sums,
        room[0], room[1], room[2], 0,
    )  # fmt: skip


@kernel
def _step(state: Any, x: Any, params: Any) -> tuple[OnlineState, Belief]:
    """Filter the bar by the parameters as they are, then learn from it; a row with any NaN moves the chain alone."""
    probs, ahead, logs = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
    now = by_address(state)
    predict(state.seen, probs, ahead, state)
    _look_back(state.seen, probs, ahead, now)
    told = observed(x)
    logpdf = 0.0
    if told:
        near = False
        for k in range(logs.size):
            logs[k] = _log_density(x, k, now)
            near = near or logs[k] - now.peak[k] > -_REACH
        logpdf = weigh(ahead, logs, probs)
        told = near  # a bar that no regime can have drawn teaches nothing
    else:
        stand(ahead, probs)
    _carry(state.seen, x, told, now, by_address(params))
    if told:
        _learn(probs, now, by_address(params))
    after = (state.start, state.transition, state.means, state.covariances, state.whitening, state.peak)
    room = (state.moves, state.sums, state.back, state.old_moves, state.old_sums)
    kept = (state.probs, state.ahead, state.logs)
    return OnlineState(*kept, *after, *room, state.seen + 1), Belief(frozen(state.probs), logpdf)


@kernel
def _look_back(seen: Any, probs: Any, ahead: Any, now: Any) -> None:
    """Fill ``back[i, k]`` with P(regime i at the bar before | regime k at this one, bars before)."""
    back, transition = now.back, now.transition
    for i in range(probs.size):
        for k in range(probs.size):
            back[i, k] = 1.0 if i == k else 0.0
            if seen > 0:
                back[i, k] = probs[i] * transition[i, k] / ahead[k] if ahead[k] > 0.0 else 1.0 / probs.size


@kernel
def _carry(seen: Any, x: Any, told: Any, now: Any, params: Any) -> None:
    """Carry the statistics over to the regimes of this bar, and add what it says (Cappé 2011, equation 12)."""
    moves, sums, old_moves, old_sums, back = now.moves, now.sums, now.old_moves, now.old_sums, now.back
    K, width = sums.shape[1], sums.shape[2]
    d = (width - 1) // 2
    gain = params.gain[0] if told else 0.0
    old_moves[:] = moves
    old_sums[:] = sums
    for k in range(K):
        for i in range(K):
            for q in range(K):
                carried = 0.0
                for before in range(K):
                    carried += old_moves[before, i, q] * back[before, k]
                # The first bar is not preceded by a move.
                fresh = back[i, k] if q == k and seen > 0 else 0.0
                moves[k, i, q] = carried if seen == 0 else (1.0 - gain) * carried + gain * fresh
            for q in range(width):
                carried = 0.0
                for before in range(K):
                    carried += old_sums[before, i, q] * back[before, k]
                sums[k, i, q] = (1.0 - gain) * carried
        if told:
            sums[k, k, 0] += gain
            for f in range(d):
                away = x[f] - params.centre[f]
                sums[k, k, 1 + f] += gain * away
                sums[k, k, 1 + d + f] += gain * away * away


@kernel
def _learn(probs: Any, now: Any, params: Any) -> None:
    """Set the parameters to the likeliest given the expected statistics."""
    moves, sums = now.moves, now.sums
    transition, means, covariances = now.transition, now.means, now.covariances
    K, d = means.shape
    for i in range(K):
        whole = 0.0
        for j in range(K):
            whole += _expected(probs, moves, i, j)
        if whole > 0.0:
            for j in range(K):
                transition[i, j] = _expected(probs, moves, i, j) / whole
            _keep_open(transition, i, _RAREST * params.gain[0])
        weight = _expected(probs, sums, i, 0)
        if weight >= _FEWEST * params.gain[0]:
            for f in range(d):
                away = _expected(probs, sums, i, 1 + f) / weight
                square = _expected(probs, sums, i, 1 + d + f) / weight
                means[i, f] = params.centre[f] + away
                covariances[i, f] = max(square - away * away, params.floor[f])
            invert_diagonal(i, covariances, now.whitening, now.peak)


@kernel
def _keep_open(transition: Any, i: Any, least: Any) -> None:
    """Raise the chances below the least to it, at the cost of the largest: that of staying, as a rule."""
    largest, short = 0, 0.0
    for j in range(transition.shape[1]):
        if transition[i, j] > transition[i, largest]:
            largest = j
    for j in range(transition.shape[1]):
        if transition[i, j] < least:
            short += least - transition[i, j]
            transition[i, j] = least
    transition[i, largest] -= short


@kernel
def _expected(probs: Any, of: Any, i: Any, q: Any) -> Any:
    found = 0.0
    for k in range(probs.size):
        found += probs[k] * of[k, i, q]
    return found


@kernel
def _ahead(state: Any, params: Any, horizon: int, out: Forecast) -> None:
    """Write what is expected by the parameters as they are now, were they to move no further (`summed`)."""
    now = by_address(state)
    summed(unowned(state.probs), now.transition, now.means, now.covariances, horizon, out)


def _snapshot(params: OnlineParams, state: OnlineState) -> OnlineParams:
    """Return the parameters with what has moved in the filter's state; a chain begins where this one stands."""
    moved = {name: getattr(state, name).copy() for name in ("transition", "means", "covariances", "whitening", "peak")}
    share = np.array([_expected(state.probs, state.sums, i, 0) for i in range(len(params.share))])
    return params._replace(start=state.probs.copy(), share=share, **moved)


def _moments(params: OnlineParams) -> Moments:
    return Moments(params.means, params.covariances)


ONLINE = Family(
    f"{__name__}:ONLINE",
    OnlineParams,
    _init,
    _step,
    _moments,
    shared=("gain", "floor", "centre"),
    snapshot=_snapshot,
    forecast=_ahead,
    components=one_a_regime,
)


def online_hmm(
    states: int = 2,
    memory: float = 1000.0,
    starts: int = 8,
    iterations: int = 1000,
    tolerance: float = 1e-8,
    seed: int = 0,
    variance_floor: float = 1e-4,
    jobs: int | None = None,
) -> Model:
    """Gaussian HMM fitted by EM as `gaussian_hmm` is, and then again by every bar: online EM with forgetting.

    After each bar the parameters are the likeliest given the expected statistics of the bars so far, in which a bar
    weighs ``1 / memory`` when it comes and by so much less with each that follows; a bar is never looked at again. The
    parameters stand in the filter's state: forecasts read them there, and `Fitted.snapshot` gives them as a fit. So one
    fit, and no schedule of refits, follows a market that drifts, at the cost of a step.

    A regime that holds fewer than two of the bars remembered keeps its mean and variance, a chance to move never falls
    below a tenth of a move in the bars remembered, and a bar beyond twenty deviations in every regime teaches nothing.
    No variance falls below `variance_floor` times the feature's own in the window. A row with any NaN moves the
    chain and teaches nothing.
    Regimes keep their numbers, and may trade places in all but number. Smoothed paths there are none.

    ``fit(window)`` takes rows (T, d), and raises what `gaussian_hmm` raises.

    O. Cappé, *Online EM algorithm for hidden Markov models*, J. Comput. Graph. Stat. 20 (2011), section 3, with a
    constant step size, which forgets.

    >>> random = np.random.default_rng(0)
    >>> x = random.standard_normal(6000) * np.tile(np.repeat([1.0, 4.0], 100), 30)
    >>> x[3000:] *= 2.0  # the market doubles its volatility
    >>> fitted = online_hmm(states=2, memory=500, starts=2).fit(x[:2000])
    >>> later = fitted.snapshot(fitted.state_after(x))
    >>> bool(np.allclose(np.sqrt(later.moments().variance[:, 0]), [2.0, 8.0], rtol=0.15))
    True
    """
    if isinstance(memory, bool) or not 2.0 <= memory < math.inf:
        raise ConfigError(f"online_hmm: memory = {memory!r}, a number of at least 2 bars is wanted")
    usual = gaussian_hmm(states, "diagonal", starts, iterations, tolerance, seed, variance_floor, jobs=jobs)

    def fit(window: Window) -> Fitted:
        holes = np.asarray(np.isnan(window.rows).any(axis=1))[:, None]
        previous = _as_gaussian(window.previous)
        found = usual.learn(window._replace(rows=np.where(holes, np.nan, window.rows), previous=previous))
        return replace(found, family=ONLINE, params=_begun(found, window.rows, memory, variance_floor))

    return Model(fit, states, "online_hmm", settings=(usual.settings, memory))


def _as_gaussian(previous: Any) -> Any:
    """Return a previous fit, with what has moved since, as one that the EM can go on from."""
    if previous is None or previous.family is not ONLINE:
        return None
    return replace(previous, family=GAUSSIAN, params=GaussianParams(*previous.params[:6]))


def _begun(found: Fitted, rows: Floats, memory: float, variance_floor: float) -> OnlineParams:
    complete = rows[np.isfinite(rows).all(axis=1)]
    centre = np.asarray(mean(complete))
    floor = variance_floor * np.asarray(mean((complete - centre) * (complete - centre)))
    gauss: GaussianParams = found.params
    share = np.asarray(stationary_of(found.family, gauss))
    learned = (gauss.start, gauss.transition, gauss.means, gauss.covariances, gauss.whitening, gauss.peak)
    return OnlineParams(*learned, share, np.array([1.0 / memory]), floor, centre)
