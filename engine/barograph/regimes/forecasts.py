"""Beliefs and forecasts in the bar loop: how they lie in rows of numbers, who writes them, and who is lent them.

A strategy declares the horizons that it looks at. For each, the filter's part writes a `Forecast` after every bar, from
the filter's state; a strategy that declares none pays nothing. With a belief an asset a row holds the probabilities of
all assets, then their log-densities; and of each horizon the weights of all, then their means, and so on: what belongs
together is a table (N, ...), and what belongs to one asset is a row of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.reach import floats1, floats2, word
from barograph.jit.views import frozen
from barograph.regimes.family import chain_forecast
from barograph.types import Belief, Entering, Filter, Floats, Forecast

__all__ = ["Layout", "belief_in", "forecasts_in", "layout_of", "make_lent", "make_look", "no_forecast", "of_asset"]

# Words of the table, for each horizon: bars ahead, parts of the mixture, where its numbers begin in a row.
_WORDS: Final = 3


class Layout(NamedTuple):
    """Where forecasts lie in a row of numbers: words (horizons, 3), and how many numbers a row has.

    With a belief an asset `assets` is how many rows one has, N, and `columns` are those that are believed about: the
    traded assets. With one belief for all `assets` is 0. `names` are what tables call the horizons.
    """

    table: NDArray[np.int64]
    width: int
    regimes: int
    assets: int = 0
    columns: tuple[int, ...] = (0,)
    names: tuple[str, ...] = ()

    @property
    def horizons(self) -> int:
        """How many horizons there are."""
        return len(self.table)

    @property
    def beliefs(self) -> int:
        """How many beliefs a row holds: N, or one for all."""
        return max(1, self.assets)

    @property
    def belief_width(self) -> int:
        """How many numbers a row of beliefs has."""
        return self.beliefs * (self.regimes + 1)


def layout_of(
    chosen: Filter, horizons: Sequence[int | Entering], reader: str, assets: int = 0, columns: Sequence[int] = (0,)
) -> tuple[Layout, tuple[Any, ...]]:
    """Return where a filter's forecasts lie in a row, and its plan for each horizon.

    With a belief an asset there are `assets` rows of them, and the assets in `columns` have one.

    Raises `PartError`, naming the strategy that reads them, where the filter has no forecast or a horizon is no
    positive whole number.
    """
    for horizon in horizons:
        _check_horizon(horizon, chosen.regimes, reader)
    if horizons and chosen.forecast is None:
        told = "a model with a transition and moments has one, or a family with a `forecast`"
        raise PartError(f"{reader} reads forecasts, and filter {chosen.name} has none: {told}")
    table, plans, width = [], [], 0
    for wanted in horizons:
        horizon, params = _bars(wanted), _planned_from(chosen, wanted, reader)
        parts = 1 if chosen.components is None else chosen.components(params, horizon)
        plans.append(params if chosen.plan is None else chosen.plan(params, horizon))
        table.append((horizon, parts, width))
        width += (4 * parts + chosen.regimes) * max(1, assets)
    words = np.array(table, dtype=np.int64).reshape(-1, _WORDS)
    return Layout(words, width, chosen.regimes, assets, tuple(columns), tuple(map(_name, horizons))), tuple(plans)


def _bars(wanted: Any) -> int:
    return int(wanted.horizon if isinstance(wanted, Entering) else wanted)


def _name(wanted: Any) -> str:
    """Name a horizon, as the columns of a table begin: "h5", or "h5_into_1" of entering regime 1 within five bars."""
    into = "_into_" + "_".join(map(str, wanted.regimes)) if isinstance(wanted, Entering) else ""
    return f"h{_bars(wanted)}{into}"


def _check_horizon(wanted: Any, regimes: int, reader: str) -> None:
    horizon = wanted.horizon if isinstance(wanted, Entering) else wanted
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise PartError(f"{reader}: horizon {horizon!r}; wanted whole numbers of bars, at least 1")
    if not isinstance(wanted, Entering):
        return
    told = wanted.regimes if isinstance(wanted.regimes, tuple | list) else ()
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) and 0 <= k < regimes for k in told)
    if not whole or not 0 < len(set(told)) == len(told) < regimes:
        asked = f"entering regimes {wanted.regimes!r}; wanted some, not all, of 0..{regimes - 1}, each once"
        raise PartError(f"{reader}: {asked}, in a tuple")


def _planned_from(chosen: Filter, wanted: Any, reader: str) -> Any:
    """Return the params that a forecast is planned from: those of a market that stays in what it has entered."""
    if not isinstance(wanted, Entering) or chosen.forecast is no_forecast:
        return chosen.params
    if chosen.never_left is None:
        raise PartError(f"{reader} asks what is entered, and filter {chosen.name} cannot tell; wanted a fitted model's")
    return chosen.never_left(chosen.params, wanted.regimes)


def belief_in(row: Floats, layout: Layout, forecasts: Any = ()) -> Belief:
    """Return the belief that lies in a row, as views for reading only.

    >>> belief_in(np.array([0.9, 0.1, -1.5]), Layout(np.empty((0, 3)), 0, 2)).logpdf
    -1.5
    >>> belief_in(np.array([0.9, 0.1, 0.2, 0.8, -1.5, -2.0]), Layout(np.empty((0, 3)), 0, 2, 2, (0, 1))).probs
    array([[0.9, 0.1],
           [0.2, 0.8]])
    """
    count = layout.beliefs * layout.regimes
    if not layout.assets:
        return Belief(frozen(row[:count]), float(row[count]), forecasts)
    return Belief(frozen(row[:count].reshape(layout.assets, -1)), frozen(row[count:]), forecasts)


def of_asset(belief: Belief, asset: int) -> Belief:
    """Return one asset's belief of a belief an asset."""
    ahead = tuple(Forecast(of.horizon, *(part[asset] for part in of[1:])) for of in belief.forecasts)
    return Belief(belief.probs[asset], belief.logpdf[asset], ahead)


def forecasts_in(row: Floats, layout: Layout) -> tuple[Forecast, ...]:
    """Return the forecasts that lie in a row, as views.

    >>> layout = Layout(np.array([[5, 1, 0]]), 6, 2)
    >>> forecasts_in(np.array([1.0, 0.0, 0.04, np.inf, 0.75, 0.25]), layout)[0].probs
    array([0.75, 0.25])
    """
    found, n = [], layout.beliefs
    for horizon, parts, first in layout.table.tolist():
        cuts = [first + k * parts * n for k in range(5)]
        pieces = [row[a:b] for a, b in zip(cuts, [*cuts[1:], cuts[4] + layout.regimes * n], strict=True)]
        found.append(Forecast(horizon, *(piece.reshape(n, -1) if layout.assets else piece for piece in pieces)))
    return tuple(found)


@kernel
def _room(place: int, table: int, regimes: int, j: int, n: int, a: int) -> Forecast:
    """Return the views of one forecast of row `a` of n, to be written."""
    parts, first = word(table, _WORDS * j + 1), place + 8 * word(table, _WORDS * j + 2)
    return Forecast(
        word(table, _WORDS * j),
        floats1(first, a * parts, parts),
        floats1(first, (n + a) * parts, parts),
        floats1(first, (2 * n + a) * parts, parts),
        floats1(first, (3 * n + a) * parts, parts),
        floats1(first, 4 * n * parts + a * regimes, regimes),
    )


@kernel
def _tables(place: int, table: int, regimes: int, j: int, n: int, a: int) -> Forecast:
    """Return the views of one forecast of all n rows."""
    parts, first = word(table, _WORDS * j + 1), place + 8 * word(table, _WORDS * j + 2)
    return Forecast(
        word(table, _WORDS * j),
        floats2(first, 0, n, parts),
        floats2(first, n * parts, n, parts),
        floats2(first, 2 * n * parts, n, parts),
        floats2(first, 3 * n * parts, n, parts),
        floats2(first, 4 * n * parts, n, regimes),
    )


@kernel
def _locked(of: Forecast) -> Forecast:
    """Lend the views of one forecast for reading only."""
    return Forecast(
        of.horizon,
        frozen(of.weights),
        frozen(of.mean),
        frozen(of.variance),
        frozen(of.degrees_of_freedom),
        frozen(of.probs),
    )


@kernel
def _none_lent(place: int, table: int, regimes: int, j: int, n: int, a: int) -> tuple[()]:
    return ()


@cache
def make_lent(count: int, every: bool = False) -> Kernel[..., Any]:
    """Return the kernel ``lent(place, table, regimes, j, n, a)`` of `count` forecasts, from number j on.

    They are those of row `a` of n, or, where `every` row is wanted, tables.
    """
    if count == 0:
        return _none_lent
    rest, views = make_lent(count - 1, every), _tables if every else _room

    @kernel
    def lent(place, table, regimes, j, n, a):  # type: ignore[no-untyped-def]
        first = (_locked(views(place, table, regimes, j, n, a)),)
        return first + rest(place, table, regimes, j + 1, n, a)

    return lent


@kernel
def _the_belief(state: Any, belief: Any) -> Any:
    return belief


@kernel
def _the_state(state: Any, belief: Any) -> Any:
    return state


@kernel
def _look_nowhere(
    state: Any, belief: Any, plans: Any, place: int, table: int, regimes: int, j: int, n: int, a: int
) -> None:
    return


@cache
def make_look(forecast: Callable[..., Any] | None, count: int) -> Kernel[..., Any]:
    """Return the kernel ``look(state, belief, plans, place, table, regimes, j, n, a)``, which writes `count` forecasts.

    It writes them into row `a` of n.
    """
    if count == 0 or forecast is None:
        return _look_nowhere
    rest, now = make_look(forecast, count - 1), _the_belief if forecast is chain_forecast else _the_state

    @kernel
    def look(state, belief, plans, place, table, regimes, j, n, a):  # type: ignore[no-untyped-def]
        forecast(now(state, belief), plans[0], word(table, _WORDS * j), _room(place, table, regimes, j, n, a))
        rest(state, belief, plans[1:], place, table, regimes, j + 1, n, a)

    return look


@kernel
def no_forecast(state: Any, plan: Any, horizon: int, out: Forecast) -> None:
    """Expect nothing: what stands in for a model that has not learned yet."""
    out.weights[0] = out.mean[0] = out.variance[0] = out.degrees_of_freedom[0] = np.nan
    for k in range(out.probs.size):
        out.probs[k] = np.nan
