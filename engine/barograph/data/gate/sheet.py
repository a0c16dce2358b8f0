"""Rows of all assets while the gate looks at them: what was seen, what a feed has found since, and which bars wait."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from barograph.data.actions import ACTIONS, effective, filled
from barograph.data.gate.moves import Own
from barograph.data.history import FIELDS, History

__all__ = ["NEUTRAL", "Sheet", "own_bars", "sheet_of", "together"]

NEUTRAL: Final = dict.fromkeys(FIELDS, np.nan) | {name: action.neutral for name, action in ACTIONS.items()}
"""What a row says of an asset that has no bar in it, and of which nothing is declared."""


class Sheet(NamedTuple):
    """Moments (T,), fields and actions by name (T, N), what a row is for, and whether it is `shown` already.

    `known` (T, N) says which bars are true.
    """

    ts: Any
    values: dict[str, Any]
    decides: Any
    shown: Any
    known: Any


def sheet_of(history: History) -> Sheet:
    """Return the rows of a history of which nothing is shown yet."""
    no = np.zeros(history.close.shape, dtype=bool)
    return Sheet(history.ts, _columns(history), history.purpose, no[:, 0], no)


def together(seen: History, found: History, fresh: Any, waiting: Any) -> Sheet:
    """Put the `fresh` rows (T,) of what was found below what was seen, and bars that wait (T, N) into their rows."""
    ts = np.unique(np.concatenate([seen.ts, found.ts[fresh | waiting.any(axis=1)]]))
    old = np.searchsorted(ts, seen.ts)
    shown, decides = np.zeros(len(ts), dtype=bool), np.ones(len(ts), dtype=np.int8)
    shown[old], decides[old] = True, seen.purpose
    known = np.zeros((len(ts), len(seen.symbols)), dtype=bool)
    known[old] = ~np.isnan(seen.close)
    t, a = np.nonzero(fresh[:, None] | waiting)
    row = np.searchsorted(ts, found.ts[t])
    values, before, since = {}, _columns(seen), _columns(found)
    for name, neutral in NEUTRAL.items():
        values[name] = column = np.full(known.shape, neutral)
        column[old] = before[name]
        # What a row declares that was shown stands there already.
        new = np.ones(len(row), dtype=bool) if name in FIELDS else ~shown[row]
        column[row[new], a[new]] = since[name][t[new], a[new]]
    return Sheet(ts, values, decides, shown, known)


def own_bars(values: dict[str, Any], a: int) -> tuple[Any, Own]:
    """Return the rows in which an asset has a bar, and its bars with what takes effect before each."""
    dividends, splits = effective(*(values[name][:, a : a + 1] for name in ("close", *ACTIONS)))
    rows = np.flatnonzero(~np.isnan(values["close"][:, a]))
    fields = {name: values[name][rows, a] for name in FIELDS}
    return rows, Own(**fields, dividends=dividends[rows, 0], splits=splits[rows, 0])


def _columns(history: History) -> dict[str, Any]:
    columns: dict[str, Any] = {name: getattr(history, name) for name in FIELDS}
    return columns | {name: filled(history.action_columns, name, history.close.shape) for name in ACTIONS}
