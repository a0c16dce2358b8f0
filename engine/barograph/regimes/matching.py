"""Keep regime 0 today regime 0 tomorrow: order the first fit by volatility, match every later one to the fit before.

A mixture's likelihood does not care how its regimes are numbered, so an unmatched refit may swap calm and wild
overnight. A match can also be wrong; how clear it was is part of the answer.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.arithmetic import log
from barograph.jit.ordered import exponentials, total
from barograph.regimes.assignment import assign
from barograph.regimes.family import Signature
from barograph.regimes.fitted import Fitted
from barograph.types import Floats

__all__ = ["Match", "match", "order_by_volatility"]

FAR: Final = log(2.0)
"""A regime whose volatility doubled, and nothing else, is this far from its old self: farther is another regime."""

CLEAR: Final = 0.1
"""The next best numbering must cost at least this much more, however cheap the best one is."""


class Match(NamedTuple):
    """How the regimes of a refit were recognised.

    New regime i is what the refit called ``permutation[i]``. `cost` is the sum of the K distances; `margin` is how
    much dearer the next best numbering is (infinite for one regime). `message` is one line for the report.
    """

    permutation: tuple[int, ...]
    cost: float
    margin: float
    convincing: bool
    message: str


def order_by_volatility(fitted: Fitted) -> Fitted:
    """Return the fit with its regimes numbered from the calmest to the wildest, by the volatility of feature 0.

    Of equal volatilities, as with one covariance for all, the lower mean comes first. Regimes that have names,
    or nothing to be recognised by, keep their numbers.
    """
    seen = None if fitted.labels else fitted.signature()
    return fitted if seen is None else fitted.reordered(np.lexsort((seen.mean, seen.log_volatility)))


def match(previous: Fitted, fitted: Fitted) -> tuple[Fitted, Match]:
    """Renumber the regimes of `fitted` to those of `previous` that they are nearest to, and say how clear that was.

    The distance of two regimes is the length of (difference of means / geometric mean of the two volatilities,
    difference of log volatilities, difference of persistences), all of feature 0; persistence is P(stay). The
    numbering with the least sum is found exactly (Hungarian algorithm, Kuhn 1955). It is convincing when the mean
    distance is below log 2, a doubled volatility, and the next best numbering costs at least twice as much. Where it
    is not, the regimes are numbered afresh by volatility: a doubtful guess would be carried on by every later fit.

    Regimes that have names are never renumbered; nor are those of a model that says nothing they could be recognised
    by, which is no convincing match.

    Raises `PartError` when the two have different numbers of regimes, or other names.
    """
    if previous.regimes != fitted.regimes:
        raise PartError(f"match: {fitted.regimes} regimes cannot be matched to the previous fit's {previous.regimes}")
    if previous.labels != fitted.labels:
        raise PartError(f"match: regimes named {fitted.labels} after a fit that named them {previous.labels}")
    old, new = previous.signature(), fitted.signature()
    if fitted.labels or old is None or new is None:
        return fitted, _unmatched(fitted)
    distance = _distance(old, new)
    order = _assign(distance)
    cost = _cost(distance, order)
    margin = _next_best(distance, order) - cost
    convincing = cost / len(order) < FAR and margin >= max(cost, CLEAR)
    if not convincing:
        order = np.argsort(new.log_volatility, kind="stable")
    renumbered = fitted.reordered(order)
    message = _message(cost, margin, convincing) + _out_of_order(renumbered)
    return renumbered, Match(tuple(int(k) for k in order), cost, margin, convincing, message)


def _unmatched(fitted: Fitted) -> Match:
    """Return the match of regimes that keep the model's own numbers."""
    kept, named = tuple(range(fitted.regimes)), bool(fitted.labels)
    why = "regimes have names" if named else "the model says nothing that regimes could be recognised by"
    return Match(kept, 0.0 if named else math.nan, math.inf if named else math.nan, named, f"{why}: numbers are kept")


def _out_of_order(fitted: Fitted) -> str:
    """Say so when recognised regimes have overtaken each other: the last is then no longer the wildest."""
    seen = fitted.signature()
    ordered = seen is None or bool(np.all(np.diff(seen.log_volatility) >= 0.0))
    return "" if ordered else "; no longer in the order of volatility"


def _distance(old: Signature, new: Signature) -> Floats:
    """Distances (R, R): rows are the previous fit's regimes, columns the new one's."""
    mean, log_volatility, persistence = (was[:, None] - now[None, :] for was, now in zip(old, new, strict=True))
    scale = exponentials(0.5 * (old.log_volatility[:, None] + new.log_volatility[None, :]))
    away = mean / scale
    return np.asarray(np.sqrt(away * away + log_volatility * log_volatility + persistence * persistence))


def _assign(distance: Floats) -> NDArray[np.int64]:
    return np.asarray(assign(distance), dtype=np.int64)


def _cost(distance: Floats, order: NDArray[np.int64]) -> float:
    return float(total(distance[np.arange(len(order)), order]))


def _next_best(distance: Floats, order: NDArray[np.int64]) -> float:
    """Forbid each pair of the best numbering in turn: the second best lacks at least one of them."""
    if len(order) == 1:
        return math.inf
    forbidden = float(total(distance.ravel())) + 1.0
    costs = []
    for i, k in enumerate(order):
        without = distance.copy()
        without[i, k] = forbidden
        costs.append(_cost(distance, _assign(without)))
    return min(costs)


def _message(cost: float, margin: float, convincing: bool) -> str:
    found = f"total distance {cost:.3g}, next best numbering {margin:.3g} more"
    if convincing:
        return f"regimes recognised: {found}"
    return f"regimes not recognised with confidence: {found}; numbered afresh by volatility"
