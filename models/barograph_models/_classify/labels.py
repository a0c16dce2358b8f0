"""Labels: which class each row of a window is of, as far as it is known at the decision."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import Window

__all__ = ["UNKNOWN", "Labels", "known", "of_days", "of_model"]

UNKNOWN = -1
"""The class of a row that has no label, or none that is known yet."""


class Labels(NamedTuple):
    """What a classifier learns to tell.

    ``tell(window)`` gives a class of each row, (T,) int64, `UNKNOWN` where there is none. The label of a bar is known
    `purge` bars later, and not before. `classes` are the names; `made` says in words where they are from. `settings`,
    hashable, is all that the answer hangs on beside the window, or None.
    """

    tell: Callable[[Window], NDArray[np.int64]]
    classes: tuple[str, ...]
    purge: int
    made: str
    settings: Hashable


def known(labels: Labels, window: Window) -> NDArray[np.int64]:
    """Return the class of each row, (T,), as it is known at the last row: the last `purge` rows have none."""
    told = labels.tell(window).copy()
    told[max(0, len(told) - labels.purge) :] = UNKNOWN
    return told


def of_days(
    days: NDArray[np.int64],
    classes: NDArray[np.int64],
    unit: int,
    shift: Callable[[Any], Any],
    path: str,
    known_after: int,
    window: Window,
) -> NDArray[np.int64]:
    """Return the class of each row by its close: `days` (n,), rising, counts units of `unit` ns from 1970.

    ``shift(ts)`` gives the wall clock of closes. What is said of a day is known when the day is over: of bars that are
    shorter it is no sooner than the first bar of the next, and `known_after` bars are counted from there. Raises
    `FitError` where no row of the window has a label.
    """
    if len(window.ts) and int(window.ts[-1]) == len(window.ts) - 1:
        raise FitError(f"labels of {path}: the rows have no dates; give a frame with a time index, or `ts`")
    # A close at midnight ends the day before.
    keys = (shift(window.ts) - (unit > 1)) // unit
    if unit > 1:
        _refuse_dates(days, unit, shift(window.ts), path)
    at = np.minimum(np.searchsorted(days, keys), len(days) - 1)
    found = np.where(days[at] == keys, classes[at], UNKNOWN)
    if not (found != UNKNOWN).any():
        first, last = (str(np.datetime64(int(key * unit), "ns"))[:10] for key in (keys[0], keys[-1]))
        held = " to ".join(str(np.datetime64(int(key * unit), "ns"))[:10] for key in (days[0], days[-1]))
        raise FitError(f"labels of {path}: none is of the rows from {first} to {last}; the file has {held}")
    ends = np.searchsorted(keys, keys, side="right") - 1
    if (ends > np.arange(len(keys))).any():
        newest = len(keys) - 1
        found = np.where(ends + max(1, known_after) > newest, UNKNOWN, found)
    return found


def _refuse_dates(days: NDArray[np.int64], unit: int, wall: NDArray[np.int64], path: str) -> None:
    """Refuse closes that are dates and no closes: a bar that closes at midnight is of the day before."""
    if (wall % unit != 0).any():
        return
    same, before = (int(np.count_nonzero(np.isin(wall // unit - back, days))) for back in (0, 1))
    if same > before + 1 and same > 1.05 * before:
        told = f"{same} rows stamped at midnight are days of the file, and {before} end such a day"
        raise FitError(f"labels of {path}: {told}: dates are no closes; add the hour at which the bars close")


def of_model(model: Model, when: str, horizon: int, columns: tuple[str, ...], window: Window) -> NDArray[np.int64]:
    """Return the class of each row as `model` tells it, fitted to these rows alone."""
    seen = _columns(window._replace(previous=None, state=None), columns)
    fitted = model.fit(seen)
    if when == "smooth":
        return _hindsight(fitted, seen)
    told = np.asarray(fitted.filter_path(seen.rows).probs.argmax(axis=1), dtype=np.int64)
    told[~np.isfinite(seen.rows).all(axis=1)] = UNKNOWN
    if when == "ahead":
        told = np.concatenate([told[horizon:], np.full(min(horizon, len(told)), UNKNOWN)])
    return told


def _hindsight(fitted: Fitted, seen: Window) -> NDArray[np.int64]:
    return np.where(np.isfinite(seen.rows).all(axis=1), fitted.viterbi(seen.rows), UNKNOWN)


def _columns(window: Window, columns: tuple[str, ...]) -> Window:
    """Return the window of some of its columns, the first of them the return."""
    if not columns:
        return window
    missing = [name for name in columns if name not in window.names]
    if missing:
        told = f"no column {missing[0]!r}; the rows have {', '.join(window.names)}"
        raise FitError(f"labels: {told}; name some of them in columns")
    at = [window.names.index(name) for name in columns]
    roles = ("return", *(window.roles[j] for j in at[1:]))
    return window._replace(rows=np.ascontiguousarray(window.rows[:, at]), names=columns, roles=roles)
