"""What comes next: will a regime be left, a worse one entered, within so many bars; and how long until then.

P(enter within h) = 1 - p' (A restricted to the rest)^h 1: the first passage of a chain (Kemeny & Snell, *Finite Markov
chains*, 1960, chapter 3). It is computed as P(regime h bars ahead) of a model in which the regimes in question are
never left; so whatever a model forecasts from, a belief, the ages of stays or draws of its parameters, is in it, and
the kernel that a strategy reads at the bar is the very one that is called here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.ordered import product, total
from barograph.regimes.family import Family, chain_forecast, label_map, stays_of
from barograph.types import Floats

__all__ = ["DOUBLINGS", "Transition", "entering", "expected", "first_passage", "leaving", "never_left",
           "passages", "remaining", "states_never_left"]  # fmt: skip

LEAST: Final = 1e-12
"""A regime less likely than this is not the one now: what is told of it would be rounding."""

DOUBLINGS: Final = 50
ENDLESS: Final = 1e9
"""What is expected to take more bars than this is told to be endless."""


class Transition(NamedTuple):
    """P(entered, or left, within `horizon` bars), and the expected `bars` until then, infinite where never.

    `low` and `high` hold 90 % of what a model with draws of its parameters makes of it, each draw by its weight; None
    where a model has one set of parameters.
    """

    horizon: int
    probability: float
    low: float | None
    high: float | None
    bars: float | None


def entering(fitted: Any, now: Any, regimes: int | Sequence[int], horizon: int, level: float = 0.9) -> Transition:
    """Tell how likely any of these regimes is entered within a horizon; what is there already has entered."""
    wanted = _regimes(fitted, regimes)
    other = replace(fitted, params=never_left(fitted.family, fitted.params, wanted))
    found = _in(other.predict(now, horizon).probs, wanted)
    low, high = _interval(other, now, wanted, horizon, level)
    return Transition(horizon, found, low, high, first_passage(fitted, now, wanted))


def leaving(fitted: Any, now: Any, horizon: int, regime: int | None = None, level: float = 0.9) -> Transition:
    """Tell how likely a regime, by default the likeliest now, is left within a horizon, if it is the one now."""
    every = np.arange(fitted.regimes)
    # Where nothing is ever left, the next bar's regimes are this one's.
    still = replace(fitted, params=never_left(fitted.family, fitted.params, every))
    share = still.predict(now, 1).probs
    k = int(np.argmax(share)) if regime is None else int(_regimes(fitted, regime)[0])
    others = np.delete(every, k)
    other = replace(fitted, params=never_left(fitted.family, fitted.params, others))
    if share[k] < LEAST:
        told = f"regime {k} has a probability of {share[k]:.1g} now: what is not there is not left"
        raise PartError(f"leaving: {told}; wanted one of the others, or the likeliest")
    gone = _given(other.predict(now, horizon).probs[k], share[k])
    low, high = _interval(other, now, others, horizon, level, still)
    left = remaining(fitted, now)
    return Transition(horizon, float(gone), low, high, None if left is None else float(left[k]) + 1.0)


def _given(there: Any, share: Any) -> Any:
    """Return P(left) of a regime that is the one now, from P(still there, never left) and P(it is the one now)."""
    return 1.0 - np.minimum(there / np.maximum(share, LEAST), 1.0)


def _regimes(fitted: Any, regimes: int | Sequence[int]) -> NDArray[np.int64]:
    R = fitted.regimes
    told = [regimes] if isinstance(regimes, int | np.integer) else list(regimes)
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) and 0 <= k < R for k in told)
    if not whole or not 0 < len(set(told)) == len(told) < R:
        raise PartError(f"entering: regimes = {regimes!r}; wanted some, not all, of 0..{R - 1}, each once")
    return np.array(told, dtype=np.int64)


def _in(probs: Floats, regimes: NDArray[np.int64]) -> float:
    return float(total(probs[regimes]))


def _interval(
    other: Any, now: Any, regimes: NDArray[np.int64], horizon: int, level: float, still: Any = None
) -> tuple[float | None, float | None]:
    """Return the quantiles of what the draws of the parameters tell, or nothing where there are none."""
    ahead = other.family.draws_ahead
    if ahead is None:
        return None, None
    probs, weights = ahead(other.params, now, horizon)
    told = total(probs[:, regimes], axis=1)
    if still is not None:
        (k,) = np.delete(np.arange(probs.shape[1]), regimes)
        told = _given(probs[:, k], ahead(still.params, now, 1)[0][:, k])
    order = np.argsort(told, kind="stable")
    below = np.cumsum(weights[order])
    ends = np.searchsorted(below, np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level]) * below[-1])
    low, high = told[order][np.minimum(ends, len(told) - 1)].tolist()
    return low, high


def never_left(family: Family, params: Any, regimes: Any) -> Any:
    """Return the params in which these regimes are never left. Raises `PartError` where a family cannot tell them.

    Of a chain its rows are replaced; a family that forecasts by itself has to answer.
    """
    told = np.asarray(regimes, dtype=np.int64)
    states = np.flatnonzero(np.isin(label_map(family, params), told)) if hasattr(params, "transition") else told
    return states_never_left(family, params, states)


def states_never_left(family: Family, params: Any, states: NDArray[np.int64]) -> Any:
    """Return the params in which these hidden states are never left."""
    if family.never_left is not None:
        return family.never_left(params, states)
    if not hasattr(params, "transition"):
        raise PartError(f"{family.name}: nothing tells how its regimes are entered; give the family a `never_left`")
    if not by_chain(family):
        raise PartError(f"{family.name} forecasts by itself: give the family a `never_left` too")
    moves = np.array(params.transition)
    moves[states] = np.eye(len(moves))[states]
    return params._replace(transition=moves)


def passages(transition: Floats, states: NDArray[np.int64]) -> Floats:
    """Return the expected steps of a chain until it is in one of these states, (K,), from each; infinite where never.

    The sum over n of P(not there after n steps), doubled until nothing is left.

    >>> passages(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([1]))
    array([10.,  0.])
    """
    rest = np.ones(len(transition))
    rest[states] = 0.0
    found, ahead = rest.copy(), transition * rest * rest[:, None]
    for _ in range(DOUBLINGS):
        found = found + product(ahead, found)
        ahead = product(ahead, ahead)
    return np.where(found > ENDLESS, np.inf, found)


def first_passage(fitted: Any, now: Any, regimes: NDArray[np.int64]) -> float | None:
    """Return the expected bars until one of these regimes is entered, 0 for what is there; None of no known chain."""
    family, params = fitted.family, fitted.params
    if family.until is not None:
        return float(family.until(params, now, regimes))
    if not hasattr(params, "transition") or not by_chain(family):
        return None
    probs = np.asarray(now.probs if hasattr(now, "probs") else now, dtype=np.float64)
    states = np.flatnonzero(np.isin(label_map(family, params), regimes))
    return expected(probs, passages(params.transition, states))


def expected(share: Floats, bars: Floats) -> float:
    """Return the mean of what may be infinite, by shares of which some are 0."""
    return float(total(np.where(share > 0.0, share * np.where(share > 0.0, bars, 0.0), 0.0)))


def remaining(fitted: Any, now: Any) -> Floats | None:
    """Return the expected bars that each regime still lasts after this one, if it is the one now, (R,), or None."""
    family = fitted.family
    if family.remaining is not None:
        return np.asarray(family.remaining(fitted.params, now), dtype=np.float64)
    # A chain has no memory: what is left is what a stay has beyond its first bar.
    found = stays_of(family, fitted.params)
    return None if found is None else found - 1.0


def by_chain(family: Family) -> bool:
    """Tell whether a family's forecasts are those of a chain's `transition`."""
    return family.forecast is None or family.forecast is chain_forecast
