"""Online EM of a Gaussian chain: its parameters, and the level of all volatilities, move in the filter's own state.

Two speeds. How volatile the market is, whatever its regime, is one number, the level of feature 0, followed within some
hundred bars; how regimes differ and how long they last is learned over many more, from feature 0 in units of the level.
With one speed for both a volatility that drifts is taken for another regime, in which the market then stays.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import kernel, shared
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.family import lasting
from barograph.regimes.transitions import expected, passages
from barograph.types import Belief, Floats, Forecast
from barograph_models._chain.ahead import summed
from barograph_models._chain.filter import observed, predict, stand, weigh
from barograph_models._chain.gaussian import DIAGONAL, invert_diagonal

__all__ = ["OnlineParams", "OnlineState", "ahead", "init", "never_left", "remaining", "snapshot", "step", "until"]

_log_density = DIAGONAL.log_density
_REACH: Final = 200.0
"""Half the square of twenty deviations: a bar beyond them in every regime is taken for a wrong print."""
_RAREST: Final = 0.1
"""Moves in all the bars remembered: a chance to leave is never less, or one long calm would be for good."""
_FAR: Final = 2.0**40
"""How far the level may be from its unit before another is taken."""
_FEWEST: Final = 2.0
"""Bars, of those remembered and believed beforehand, below which a regime keeps its mean and variance: it has none."""


class OnlineParams(NamedTuple):
    """What a filter begins with: K regimes of d independent Gaussian features, what is usual, and how it learns.

    `start`, `transition`, `means`, `covariances` (variances), `whitening` and `peak` as in `gaussian_hmm`; `share` (K,)
    is of the bars remembered. Usual, as if seen before: `usual_moves` (K, K), and `usual` (K, d) variances on `trust`
    (K, d) bars, means of `centre` on `drawn` (K, d). `held` (K,) is 1 for regimes that a forecast never leaves.
    Shared: `gain`, `level_gain`, the least weights of a new bar; `bars` that are remembered; `level`, the first bar's
    over that of the variances, all (1,); `floor` and `centre` (d,), least variances, and what deviations are from.
    """

    start: Floats
    transition: Floats
    means: Floats
    covariances: Floats
    whitening: Floats
    peak: Floats
    share: Floats
    usual_moves: Floats
    usual: Floats
    trust: Floats
    drawn: Floats
    held: Floats
    gain: Floats
    level_gain: Floats
    bars: Floats
    level: Floats
    floor: Floats
    centre: Floats


class OnlineState(NamedTuple):
    """P(regime | bars so far) (K,), the parameters as they are now, and what has been learned given each regime.

    `level` (1,) is in units of the params' own. `moves` (K, K, K) and `sums` (K, K, 1 + 2d) are expected statistics
    given the regime of the last bar, their first axis: of moves from and to, and of each regime's bars, their
    deviations and squares, of feature 0 in units of the level. `back` (K, K) and copies: room. `seen` and `taught`
    count bars, and those that were learned from.
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
    level: Floats
    moves: Floats
    sums: Floats
    back: Floats
    old_moves: Floats
    old_sums: Floats
    seen: int
    taught: int


@kernel
def init(params: Any) -> OnlineState:
    """Begin with the fit's parameters at the first bar's level, and with the statistics that they expect of a bar."""
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
    means, covariances, level = params.means.copy(), params.covariances.copy(), params.level.copy()
    whitening, peak = params.whitening.copy(), params.peak.copy()
    for k in range(K):
        means[k, 0] += (level[0] - 1.0) * (means[k, 0] - params.centre[0])
        covariances[k, 0] = max(covariances[k, 0] * level[0] * level[0], params.floor[0])
        invert_diagonal(k, covariances, whitening, peak)
    learned = (params.transition.copy(), means, covariances, whitening, peak, level)
    room = (np.zeros((K, K)), np.zeros((K, K, K)), np.zeros((K, K, 1 + 2 * d)))
    probs, start = params.start.copy(), params.start.copy()
    return OnlineState(probs, np.zeros(K), np.zeros(K), start, *learned, moves, sums, *room, 0, 0)


@kernel
def step(state: Any, x: Any, params: Any) -> tuple[OnlineState, Belief]:
    """Filter the bar by the parameters as they are, then learn from it; a row with any NaN moves the chain alone."""
    probs, ahead, logs = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
    now, own = by_address(state), by_address(params)
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
    taught = state.taught + 1 if told else state.taught
    # All bars count alike until there are as many as are remembered.
    rate = max(params.gain[0], 1.0 / (params.bars[0] + taught)) if told else 0.0
    _learn_from(state.seen, x, rate, probs, now, own)
    return _after(state, taught), Belief(frozen(state.probs), logpdf)


@shared
def _learn_from(seen: Any, x: Any, rate: Any, probs: Any, now: Any, params: Any) -> None:
    """Carry what was learned over to this bar, and learn from it at this rate: 0 for a bar that says nothing."""
    _carry(seen, x, rate, now, params)
    if rate > 0.0:
        _follow(x, probs, now, params)
        _learn(probs, rate, now, params)


@kernel
def _after(state: Any, taught: Any) -> OnlineState:
    kept = (state.probs, state.ahead, state.logs, state.start)
    moved = (state.transition, state.means, state.covariances, state.whitening, state.peak, state.level)
    room = (state.moves, state.sums, state.back, state.old_moves, state.old_sums)
    return OnlineState(*kept, *moved, *room, state.seen + 1, taught)


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
def _carry(seen: Any, x: Any, rate: Any, now: Any, params: Any) -> None:
    """Carry the statistics over to the regimes of this bar, and add what it says (Cappé 2011, equation 12)."""
    moves, sums, old_moves, old_sums, back = now.moves, now.sums, now.old_moves, now.old_sums, now.back
    K, width = sums.shape[1], sums.shape[2]
    d = (width - 1) // 2
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
                moves[k, i, q] = carried if seen == 0 else (1.0 - rate) * carried + rate * fresh
            for q in range(width):
                carried = 0.0
                for before in range(K):
                    carried += old_sums[before, i, q] * back[before, k]
                sums[k, i, q] = (1.0 - rate) * carried
        if rate > 0.0:
            sums[k, k, 0] += rate
            for f in range(d):
                away = (x[f] - params.centre[f]) / (now.level[0] if f == 0 else 1.0)
                sums[k, k, 1 + f] += rate * away
                sums[k, k, 1 + d + f] += rate * away * away


@kernel
def _follow(x: Any, probs: Any, now: Any, params: Any) -> None:
    """Move the level by how much larger than its regime's variance the square of this bar's deviation was."""
    excess = -1.0
    for k in range(probs.size):
        z = (x[0] - now.means[k, 0]) * now.whitening[k, 0]
        excess += probs[k] * z * z
    now.level[0] *= math.sqrt(1.0 + params.level_gain[0] * excess)
    if params.trust[0, 0] == 0.0:
        _rebase(now)


@kernel
def _rebase(now: Any) -> None:
    """Write the same in another unit where the level has wandered far: nothing is believed that would hold it.

    The unit is a power of two, and no parameter moves by a bit.
    """
    sums, d = now.sums, now.means.shape[1]
    unit = 1.0
    if now.level[0] < 1.0 / _FAR:
        unit = _FAR
    elif now.level[0] > _FAR:
        unit = 1.0 / _FAR
    if unit != 1.0:
        now.level[0] *= unit
        for k in range(sums.shape[0]):
            for i in range(sums.shape[1]):
                sums[k, i, 1] /= unit
                sums[k, i, 1 + d] /= unit * unit


@kernel
def _learn(probs: Any, rate: Any, now: Any, params: Any) -> None:
    """Set the parameters to those expected of the statistics, and of what is usual."""
    moves, transition = now.moves, now.transition
    K, remembered = probs.size, 1.0 / rate
    for i in range(K):
        whole = 0.0
        for j in range(K):
            whole += _expected(probs, moves, i, j) * remembered + params.usual_moves[i, j]
        if whole > 0.0:
            for j in range(K):
                found = _expected(probs, moves, i, j) * remembered + params.usual_moves[i, j]
                transition[i, j] = found / whole
            _keep_open(transition, i, _RAREST * params.gain[0])
        _look_like(probs, i, remembered, now, params)
        invert_diagonal(i, now.covariances, now.whitening, now.peak)


@kernel
def _look_like(probs: Any, i: Any, remembered: Any, now: Any, params: Any) -> None:
    """Set a regime's means and variances: a normal-gamma's, of its bars and of those that were believed beforehand."""
    sums, means, covariances = now.sums, now.means, now.covariances
    d = means.shape[1]
    bars = _expected(probs, sums, i, 0) * remembered
    for f in range(d):
        trust, drawn = params.trust[i, f], params.drawn[i, f]
        if bars + trust < _FEWEST:
            continue
        unit = now.level[0] if f == 0 else 1.0
        whole = _expected(probs, sums, i, 1 + f) * remembered
        away = whole / (bars + drawn)
        square = _expected(probs, sums, i, 1 + d + f) * remembered - away * whole
        means[i, f] = params.centre[f] + unit * away
        found = (square + trust * params.usual[i, f]) / (bars + trust)
        covariances[i, f] = max(unit * unit * found, params.floor[f])


@kernel
def _keep_open(transition: Any, i: Any, least: Any) -> None:
    """Raise the chances below the least to it, at the cost of the largest: that of staying, as a rule.

    Where that is too small to bear it, as of many regimes and few bars remembered, all above the least bear it.
    """
    K, largest, short, above = transition.shape[1], 0, 0.0, 0.0
    least = min(least, 0.5 / K)
    for j in range(K):
        if transition[i, j] > transition[i, largest]:
            largest = j
        short += max(least - transition[i, j], 0.0)
        above += max(transition[i, j] - least, 0.0)
    shared_out = transition[i, largest] - short < least
    for j in range(K):
        over = max(transition[i, j] - least, 0.0)
        if shared_out:
            transition[i, j] = least + (1.0 - K * least) * over / above
        elif transition[i, j] < least:
            transition[i, j] = least
    if not shared_out:
        transition[i, largest] -= short


@kernel
def _expected(probs: Any, of: Any, i: Any, q: Any) -> Any:
    found = 0.0
    for k in range(probs.size):
        found += probs[k] * of[k, i, q]
    return found


@kernel
def ahead(state: Any, params: Any, horizon: int, out: Forecast) -> None:
    """Write what is expected by the parameters as they are now, were they to move no further (`summed`)."""
    now, held = by_address(state), unowned(params.held)
    K = held.size
    moves = np.zeros((K, K))
    for i in range(K):
        for j in range(K):
            stays = 1.0 if i == j else 0.0
            moves[i, j] = stays if held[i] > 0.0 else now.transition[i, j]
    summed(unowned(state.probs), moves, now.means, now.covariances, horizon, out)


def snapshot(params: OnlineParams, state: OnlineState) -> OnlineParams:
    """Return the parameters with what has moved in the filter's state; a chain begins where this one stands."""
    moved = {name: getattr(state, name).copy() for name in ("transition", "means", "covariances", "whitening", "peak")}
    share = np.array([_expected(state.probs, state.sums, i, 0) for i in range(len(params.share))])
    usual, level = params.usual.copy(), float(state.level[0])
    usual[:, 0] *= level * level
    bars = np.minimum(params.bars + float(state.taught), 1.0 / params.gain)
    ones = np.ones_like(params.level)
    return params._replace(start=state.probs.copy(), share=share, usual=usual, bars=bars, level=ones, **moved)


def never_left(params: OnlineParams, states: NDArray[np.int64]) -> OnlineParams:
    """Return the params whose forecasts never leave these regimes."""
    held = np.zeros_like(params.held)
    held[states] = 1.0
    return params._replace(held=held)


def until(_params: OnlineParams, now: OnlineState, states: NDArray[np.int64]) -> float:
    """Return the expected bars until one of these regimes is entered, were the parameters to move no further."""
    return expected(now.probs, passages(now.transition, states))


def remaining(_params: OnlineParams, now: OnlineState) -> Floats:
    """Return the bars that each regime is expected to last yet, were the parameters to move no further."""
    return lasting(1.0 - np.diag(now.transition)) - 1.0
