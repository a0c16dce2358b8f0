"""The two online rules of a jump model: by the value of every path so far, or greedily from the last state alone."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel
from barograph.jit.views import frozen, unowned
from barograph.types import Belief, Floats
from barograph_models._chain.filter import observed, predict, stand
from barograph_models._jump.path import blended, distances, reach

__all__ = ["SHARED", "JumpParams", "JumpState", "greedy_step", "init", "value_step"]

SHARED = ("centre", "shrink", "low", "high", "weights", "shares", "penalties", "objective")
"""What counts no regimes."""
FAR: Final = 1e100  # deviations; the square of more could be no number


class JumpParams(NamedTuple):
    """`centres` (K, d) in scaled units, ``scaled = (x - centre) * shrink`` (d,) of x kept within `low` and `high` (d,).

    `weights` (d,) are those of the features (ones, but for sparse models), and their roots are in `shrink` already.
    `shares` (N, K) are the states, `penalties` (N, N) what a move costs. Of the training rows by the cheapest path:
    `start` (K,) the regimes' shares, `transition` (K, K) their counted moves, `means` and `variances` (K, d) in the
    data's units, and the path's price, `objective` (1,).
    """

    start: Floats
    transition: Floats
    centres: Floats
    means: Floats
    variances: Floats
    centre: Floats
    shrink: Floats
    low: Floats
    high: Floats
    weights: Floats
    shares: Floats
    penalties: Floats
    objective: Floats


class JumpState(NamedTuple):
    """The belief (K,), the price of the cheapest path that ends `at` each state (N,), the least being 0, and room.

    `at` is the state that is believed in, -1 before the first row; `seen` counts bars.
    """

    probs: Floats
    values: Floats
    ahead: Floats
    scaled: Floats
    losses: Floats
    reached: Floats
    at: int
    seen: int


@kernel
def init(params: Any) -> JumpState:
    """Begin at the regimes' shares: the first row is not preceded by a move."""
    K, N, d = params.start.size, params.shares.shape[0], params.centre.size
    room = (np.zeros(K), np.zeros(d), np.zeros(K), np.zeros(N))
    return JumpState(params.start.copy(), np.zeros(N), room[0], room[1], room[2], room[3], -1, 0)


@kernel
def _compare(x: Any, params: Any, scaled: Any, losses: Any) -> None:
    """Fill `losses` (K,) with how far the row is from each centre."""
    centre, shrink, low, high = (
        unowned(params.centre),
        unowned(params.shrink),
        unowned(params.low),
        unowned(params.high),
    )
    for j in range(scaled.size):
        scaled[j] = min(max((min(max(x[j], low[j]), high[j]) - centre[j]) * shrink[j], -FAR), FAR)
    distances(scaled, unowned(params.centres), losses)


@kernel
def _settle(state: Any, at: Any, logpdf: Any) -> tuple[JumpState, Belief]:
    told = JumpState(
        state.probs, state.values, state.ahead, state.scaled, state.losses, state.reached, at, state.seen + 1
    )
    return told, Belief(frozen(state.probs), logpdf)


@kernel
def _unseen(state: Any, params: Any) -> tuple[JumpState, Belief]:
    """Pass a missing row: the belief moves by the counted moves, the prices of paths stay."""
    probs, ahead = unowned(state.probs), unowned(state.ahead)
    predict(state.seen, probs, ahead, params)
    stand(ahead, probs)
    return _settle(state, state.at, 0.0)


@kernel
def _choose(values: Any, shares: Any, probs: Any) -> Any:
    """Believe in the cheapest state, the first of equals, and take its price from all; return it."""
    at = 0
    for q in range(values.size):
        if values[q] < values[at]:
            at = q
    least = values[at]
    for q in range(values.size):
        values[q] -= least
    for k in range(probs.size):
        probs[k] = shares[at, k]
    return at


@kernel
def value_step(state: Any, x: Any, params: Any) -> tuple[JumpState, Belief]:
    """Believe in the end of the cheapest path over all rows so far; none of them is judged anew.

    V_t(q) = loss_t(q) + min_p V_{t-1}(p) + penalty(p, q). A row with any NaN only predicts, by the counted moves. The
    log density is NaN, as a distance is none, and zero for a row that was not observed.
    """
    if not observed(x):
        return _unseen(state, params)
    values, reached, losses, shares = (
        unowned(state.values),
        unowned(state.reached),
        unowned(state.losses),
        unowned(params.shares),
    )
    _compare(x, params, unowned(state.scaled), losses)
    if state.at >= 0:
        reach(values, unowned(params.penalties), reached)
    for q in range(values.size):
        values[q] = blended(losses, shares, q) + (reached[q] if state.at >= 0 else 0.0)
    return _settle(state, _choose(values, shares, unowned(state.probs)), math.nan)


@kernel
def greedy_step(state: Any, x: Any, params: Any) -> tuple[JumpState, Belief]:
    """Believe in the state that is cheapest from the last one: argmin_q loss_t(q) + penalty(s_{t-1}, q).

    It remembers that state alone. Missing rows and the log density as in `value_step`.
    """
    if not observed(x):
        return _unseen(state, params)
    values, losses, shares, penalties = (
        unowned(state.values),
        unowned(state.losses),
        unowned(params.shares),
        unowned(params.penalties),
    )
    _compare(x, params, unowned(state.scaled), losses)
    for q in range(values.size):
        values[q] = blended(losses, shares, q) + (penalties[state.at, q] if state.at >= 0 else 0.0)
    return _settle(state, _choose(values, shares, unowned(state.probs)), math.nan)
