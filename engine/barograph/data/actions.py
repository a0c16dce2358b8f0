"""Splits, dividends and delistings, declared beside raw prices: what is wrong with them, and how prices compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.data.calendars import Times
from barograph.data.table import Reading
from barograph.errors import DataError
from barograph.types import Floats

__all__ = ["ACTIONS", "Action", "ActionColumns", "actions_of", "counted_once", "declared", "effective", "filled",
           "joined", "telling", "validate_actions"]  # fmt: skip


class Action(NamedTuple):
    """One kind of action: its column in a table, the value that says "none", what is allowed, and that in words."""

    column: str
    neutral: float
    allowed: Callable[[Floats], Any]
    wanted: str

    def tells(self, values: Floats) -> NDArray[np.bool_]:
        """Return where the values say something."""
        return ~np.isnan(values) if np.isnan(self.neutral) else np.asarray(values != self.neutral)


ACTIONS: Final[dict[str, Action]] = {
    "dividends": Action("dividend", 0.0, lambda x: np.isfinite(x) & (x >= 0.0), "cash per share, 0 for none"),
    "splits": Action("split", 1.0, lambda x: np.isfinite(x) & (x > 0.0), "new shares per old, 1 for none"),
    "final": Action("final", np.nan, lambda x: np.isnan(x) | (np.isfinite(x) & (x >= 0.0)), "cash, or NaN for none"),
}
"""The three arrays of a history, in the order in which they stand in `History.actions` below the factor."""


def declared(columns: Mapping[str, Floats], how: Reading) -> dict[str, Floats]:
    """Return the actions among a table's columns (T,); an empty cell is none, and so is a split of 0.

    Raises `DataError` naming the row of a value that cannot be.
    """
    found: dict[str, Floats] = {}
    for name, action in ACTIONS.items():
        if action.column not in columns:
            continue
        values = columns[action.column]
        empty = np.isnan(values) | ((values == 0.0) & (name == "splits"))
        found[name] = np.where(empty, action.neutral, values)
        wrong = ~action.allowed(found[name])
        if wrong.any():
            row = int(np.argmax(wrong))
            where = f"{how.source}: {how.at(row)}"
            raise DataError(f"{where}: {action.column} is {values[row]:.10g}; wanted {action.wanted}")
    return found


def counted_once(actions: Mapping[str, Floats], names: Mapping[str, str], how: Reading) -> None:
    """Refuse actions beside adjusted prices, naming the first one and its column."""
    for name, values in actions.items():
        action = ACTIONS[name]
        told = action.tells(values)
        if told.any():
            row = int(np.argmax(told))
            why = "is in money of its own day" if name == "final" else "is in adj_close already and would count twice"
            raise DataError(
                f"{how.source}: {how.at(row)}: with adjusted = true the {action.column} "
                f"{values[row]:.10g} of column {names[action.column]!r} {why}; use adjusted = false, or leave the "
                f'column out with columns = {{{action.column} = ""}}'
            )


class ActionColumns(NamedTuple):
    """The three arrays of a history as they were declared, each (T, N), or None where there is none."""

    dividends: Floats | None
    splits: Floats | None
    final: Floats | None


def telling(columns: ActionColumns, name: str) -> Floats | None:
    """Return the array of one action, or None when it is absent or says nothing."""
    values: Floats | None = getattr(columns, name)
    return values if values is not None and bool(ACTIONS[name].tells(values).any()) else None


def filled(columns: ActionColumns, name: str, shape: tuple[int, ...]) -> Floats:
    """Return the array of one action (T, N), neutral when it is absent."""
    values: Floats | None = getattr(columns, name)
    return np.full(shape, ACTIONS[name].neutral) if values is None else values


def validate_actions(close: Floats, columns: ActionColumns, source: str, place: Callable[[int, int], str]) -> None:
    """Refuse, in one line, a shape or a value that cannot be, and anything that follows a final price.

    `place` says for people where a row and a column are.
    """
    for name, action in ACTIONS.items():
        values = getattr(columns, name)
        if values is None:
            continue
        if values.shape != close.shape:
            raise DataError(f"{source}: {name} has the shape {values.shape}; wanted {close.shape} (moments, assets)")
        wrong = ~action.allowed(values)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            where = f"{source}: {place(row, column)}"
            raise DataError(f"{where}: {action.column} is {values[row, column]:.10g}; wanted {action.wanted}")
    if telling(columns, "final") is not None:
        _nothing_after_the_end(close, columns, source, place)


def _nothing_after_the_end(
    close: Floats, columns: ActionColumns, source: str, place: Callable[[int, int], str]
) -> None:
    final = filled(columns, "final", close.shape)
    ends = ~np.isnan(final)
    over = np.zeros_like(ends)
    over[1:] = np.logical_or.accumulate(ends, axis=0)[:-1]
    kinds = {"a bar": ~np.isnan(close)}
    kinds |= {f"a {a.column}": a.tells(filled(columns, name, close.shape)) for name, a in ACTIONS.items()}
    for what, where in kinds.items():
        if (where & over).any():
            row, column = np.argwhere(where & over)[0]
            last = int(np.argmax(ends[:, column]))
            when = place(last, column).partition(" on ")[2]
            raise DataError(
                f"{source}: {place(row, column)}: {what} after the final price {final[last, column]:.10g} of {when}; "
                "wanted nothing after it"
            )


def actions_of(close: Floats, columns: ActionColumns) -> Floats:
    """Return what a bar does before its open, (T, 4, N): factor, dividend, split, final; (1, 4, N) when nothing ever.

    Dividends and splits stand where they take effect: on the asset's first bar (or final price) from then on. The
    factor F makes prices comparable by what is known, each time: ``F_t = F_{t-1} split_t (1 + dividend_t / close_t)``,
    so that ``close_t F_t / (close_{t-1} F_{t-1})`` is the growth of a holding whose dividend buys more at the close.
    """
    if all(telling(columns, name) is None for name in ACTIONS):
        neutral = np.array([1.0, *(action.neutral for action in ACTIONS.values())])
        return _closed(np.repeat(neutral[None, :, None], close.shape[1], axis=2))
    dividends, splits, final = (filled(columns, name, close.shape) for name in ACTIONS)
    dividends, splits = effective(close, dividends, splits, final)
    price = np.where(np.isnan(close), final, close)
    paid = np.divide(dividends, price, out=np.zeros_like(price), where=(dividends > 0.0) & (price > 0.0))
    # cumprod goes from row to row: a history cut short has the same factors to the bit.
    return _closed(np.stack([np.cumprod(splits * (1.0 + paid), axis=0), dividends, splits, final], axis=1))


def effective(close: Floats, dividends: Floats, splits: Floats, final: Floats) -> tuple[Floats, Floats]:
    """Return dividends and splits (T, N) moved to the rows where they take effect.

    What falls on a bar that the asset does not have waits for its next one, or for its final price: splits multiply,
    dividends add up, each turned into cash per share of that later day. What finds no such row is left out.

    >>> close, final = np.array([[9.0], [np.nan], [np.nan], [5.0]]), np.full((4, 1), np.nan)
    >>> paid, split = np.array([[0.0], [2.0], [0.0], [0.0]]), np.array([[1.0], [1.0], [2.0], [1.0]])
    >>> dividends, splits = effective(close, paid, split, final)
    >>> dividends[:, 0], splits[:, 0]
    (array([0., 0., 0., 1.]), array([1., 1., 1., 2.]))
    """
    here = ~(np.isnan(close) & np.isnan(final))
    if not ((dividends != 0.0) | (splits != 1.0))[~here].any():
        return dividends, splits
    rows = len(close)
    own = np.where(here, np.arange(rows)[:, None], rows)
    return _folded(dividends, splits, np.minimum.accumulate(own[::-1], axis=0)[::-1], rows)


def _folded(dividends: Floats, splits: Floats, row: NDArray[np.int64], rows: int) -> tuple[Floats, Floats]:
    """Move what stands at (t, a) to row[t, a], later ones no earlier, of `rows`; a row of `rows` is nowhere."""
    paid, multiplied = np.zeros((rows, row.shape[1])), np.ones((rows, row.shape[1]))
    last = np.ones(row.shape, dtype=bool)
    last[:-1] = row[1:] != row[:-1]
    moving = (row < rows) & ((dividends != 0.0) | (splits != 1.0))
    own, column = np.nonzero(last & moving)
    paid[row[own, column], column] = dividends[own, column]
    multiplied[row[own, column], column] = splits[own, column]
    # From the latest to the earliest: a share of the dividend's day has become what the splits after it make of it.
    for t, a in np.argwhere(~last & moving)[::-1]:
        at = row[t, a], a
        paid[at] += dividends[t, a] / multiplied[at]
        multiplied[at] *= splits[t, a]
    return paid, multiplied


def _closed(array: Floats) -> Floats:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def joined(parts: Sequence[tuple[Times, Floats, ActionColumns]], ts: Times) -> dict[str, Floats | None]:
    """Return the actions of histories put side by side on the rows `ts`; one between two rows is seen at the later.

    Each part is its moments (T,), its closes (T, N) and its actions.
    """
    moved = [_moved(*part, ts) for part in parts]
    absent = {name: all(getattr(columns, name) is None for _, _, columns in parts) for name in ACTIONS}
    return {name: None if absent[name] else np.hstack([part[name] for part in moved]) for name in ACTIONS}


def _moved(own: Times, close: Floats, columns: ActionColumns, ts: Times) -> dict[str, Floats]:
    row = np.searchsorted(ts, own)
    row[own < ts[0]] = len(ts)
    rows = np.repeat(row[:, None], close.shape[1], axis=1)
    given = {name: filled(columns, name, close.shape) for name in ACTIONS}
    dividends, splits = _folded(given["dividends"], given["splits"], rows, len(ts))
    final = np.full(dividends.shape, np.nan)
    for t, a in np.argwhere(~np.isnan(given["final"])):
        if row[t] < len(ts):
            final[row[t], a] = given["final"][t, a]
    return {"dividends": dividends, "splits": splits, "final": final}
