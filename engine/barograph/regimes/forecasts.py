"""Forecasts in the bar loop: how they lie in a row of numbers, who writes them, and who is lent them.

A strategy declares the horizons that it looks at. For each, the filter's part writes a `Forecast` after every bar, from
the filter's state; a strategy that declares none pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.reach import floats1, word
from barograph.jit.views import frozen
from barograph.regimes.family import chain_forecast
from barograph.types import Filter, Floats, Forecast

__all__ = ["Layout", "forecasts_in", "layout_of", "make_lent", "make_look", "no_forecast"]

# Words of the table, for each horizon: bars ahead, parts of the mixture, where its numbers begin in a row.
_WORDS: Final = 3


class Layout(NamedTuple):
    """Where forecasts lie in a row of numbers: words (horizons, 3), and how many numbers a row has."""

    table: NDArray[np.int64]
    width: int
    regimes: int

    @property
    def horizons(self) -> int:
        """How many horizons there are."""
        return len(self.table)


def layout_of(chosen: Filter, horizons: Sequence[int], reader: str) -> tuple[Layout, tuple[Any, ...]]:
    """Return where a filter's forecasts lie in a row, and its plan for each horizon.

    Raises `PartError`, naming the strategy that reads them, where the filter has no forecast or a horizon is no
    positive whole number.
    """
    for horizon in horizons:
        if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
            raise PartError(f"{reader}: horizon {horizon!r}; wanted whole numbers of bars, at least 1")
    if horizons and chosen.forecast is None:
        told = "a model with a transition and moments has one, or a family with a `forecast`"
        raise PartError(f"{reader} reads forecasts, and filter {chosen.name} has none: {told}")
    table, plans, width = [], [], 0
    for horizon in map(int, horizons):
        parts = 1 if chosen.components is None else chosen.components(chosen.params, horizon)
        plans.append(chosen.params if chosen.plan is None else chosen.plan(chosen.params, horizon))
        table.append((horizon, parts, width))
        width += 4 * parts + chosen.regimes
    return Layout(np.array(table, dtype=np.int64).reshape(-1, _WORDS), width, chosen.regimes), tuple(plans)


def forecasts_in(row: Floats, layout: Layout) -> tuple[Forecast, ...]:
    """Return the forecasts that lie in a row, as views.

    >>> layout = Layout(np.array([[5, 1, 0]]), 6, 2)
    >>> forecasts_in(np.array([1.0, 0.0, 0.04, np.inf, 0.75, 0.25]), layout)[0].probs
    array([0.75, 0.25])
    """
    found = []
    for horizon, parts, first in layout.table.tolist():
        cuts = [first + n * parts for n in range(5)]
        pieces = [row[a:b] for a, b in zip(cuts, [*cuts[1:], cuts[4] + layout.regimes], strict=True)]
        found.append(Forecast(horizon, *pieces))
    return tuple(found)


@kernel
def _room(place: int, table: int, regimes: int, j: int) -> Forecast:
    """Return the views of one forecast, to be written."""
    parts, first = word(table, _WORDS * j + 1), place + 8 * word(table, _WORDS * j + 2)
    return Forecast(
        word(table, _WORDS * j),
        floats1(first, 0, parts),
        floats1(first, parts, parts),
        floats1(first, 2 * parts, parts),
        floats1(first, 3 * parts, parts),
        floats1(first, 4 * parts, regimes),
    )


@kernel
def _lent(place: int, table: int, regimes: int, j: int) -> Forecast:
    """Return the views of one forecast, for reading only."""
    of = _room(place, table, regimes, j)
    return Forecast(
        of.horizon,
        frozen(of.weights),
        frozen(of.mean),
        frozen(of.variance),
        frozen(of.degrees_of_freedom),
        frozen(of.probs),
    )


@kernel
def _none_lent(place: int, table: int, regimes: int, j: int) -> tuple[()]:
    return ()


@cache
def make_lent(count: int) -> Kernel[..., Any]:
    """Return the kernel ``lent(place, table, regimes, j)`` of `count` forecasts, from number j on."""
    if count == 0:
        return _none_lent
    rest = make_lent(count - 1)

    @kernel
    def lent(place, table, regimes, j):  # type: ignore[no-untyped-def]
        return (_lent(place, table, regimes, j),) + rest(place, table, regimes, j + 1)  # noqa: RUF005  it must compile

    return lent


@kernel
def _the_belief(state: Any, belief: Any) -> Any:
    return belief


@kernel
def _the_state(state: Any, belief: Any) -> Any:
    return state


@kernel
def _look_nowhere(state: Any, belief: Any, plans: Any, place: int, table: int, regimes: int, j: int) -> None:
    return


@cache
def make_look(forecast: Callable[..., Any] | None, count: int) -> Kernel[..., Any]:
    """Return the kernel ``look(state, belief, plans, place, table, regimes, j)``, which writes `count` forecasts."""
    if count == 0 or forecast is None:
        return _look_nowhere
    rest, now = make_look(forecast, count - 1), _the_belief if forecast is chain_forecast else _the_state

    @kernel
    def look(state, belief, plans, place, table, regimes, j):  # type: ignore[no-untyped-def]
        forecast(now(state, belief), plans[0], word(table, _WORDS * j), _room(place, table, regimes, j))
        rest(state, belief, plans[1:], place, table, regimes, j + 1)

    return look


@kernel
def no_forecast(state: Any, plan: Any, horizon: int, out: Forecast) -> None:
    """Expect nothing: what stands in for a model that has not learned yet."""
    out.weights[0] = out.mean[0] = out.variance[0] = out.degrees_of_freedom[0] = np.nan
    for k in range(out.probs.size):
        out.probs[k] = np.nan
