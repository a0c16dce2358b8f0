"""What a model learns from: rows, when they were, what their columns are, and what was known at the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError, nearest
from barograph.types import Floats

__all__ = ["COVARIATE", "FEATURE", "RETURN", "ROLES", "TARGET", "Window", "roles_of", "table", "training_rows",
           "window"]  # fmt: skip

RETURN: Final = "return"
"""The column that forecasts, volatility and the order of the regimes speak of."""
FEATURE: Final = "feature"
"""A column that a regime emits beside the return."""
COVARIATE: Final = "covariate"
"""A column that drives the regimes and is not emitted."""
TARGET: Final = "target"
"""A column that is learned from and is not known at the bar it stands at."""
ROLES: Final = (RETURN, FEATURE, COVARIATE, TARGET)


class Window(NamedTuple):
    """The rows of a fit, oldest first, and all that a model may know at its decision.

    `rows` (T, d), NaN where missing; `ts` (T,) are their closes in ns UTC, or row numbers where there are none; `names`
    and `roles` (d,) are of the columns. `previous` is the fit in force, with the parameters that moved since
    (`Family.snapshot`), and `state` its filter's state at the decision, with a belief an asset a tuple of them; both
    None at a first fit. `symbols` are the assets that the rows speak of; a panel has one table an asset, of the same
    columns, in `tables`, and `rows` is the first.
    """

    rows: Floats
    ts: NDArray[np.int64]
    names: tuple[str, ...]
    roles: tuple[str, ...]
    previous: Any = None
    state: Any = None
    symbols: tuple[str, ...] = ()
    tables: tuple[Floats, ...] = ()


def window(
    data: Any,
    *,
    names: Sequence[str] = (),
    ts: Any = None,
    roles: Sequence[str] = (),
    previous: Any = None,
    state: Any = None,
) -> Window:
    """Make a window from an array, a Series or a frame, or a panel from a mapping of symbols to them.

    A frame's columns are the names, its time index the closes; what is given beside them goes first. A window is
    returned as it is, with what is given beside it. The first column is the return, the others are features, unless
    `roles` says otherwise.

    Raises `PartError` for what is no table, names or roles of another number, and an unknown role.

    >>> window([[0.01, 20.0], [-0.02, 25.0]], names=["return", "vix"]).roles
    ('return', 'feature')
    """
    if isinstance(data, Window):
        given = {"names": tuple(names), "roles": tuple(roles), "previous": previous, "state": state}
        return _checked(data._replace(**{key: value for key, value in given.items() if value}))
    if isinstance(data, Mapping) and not hasattr(data, "columns"):
        return _panel(data, names=names, ts=ts, roles=roles, previous=previous, state=state)
    rows = table(data)
    names = tuple(names) or _columns(data) or tuple(f"x{j}" for j in range(rows.shape[1]))
    closes = _closes(data, len(rows)) if ts is None else np.asarray(ts, dtype=np.int64)
    return _checked(Window(rows, closes, names, tuple(roles) or roles_of([""] * rows.shape[1]), previous, state))


def _panel(data: Mapping[str, Any], **given: Any) -> Window:
    if not data:
        raise PartError("window: a panel of no assets")
    each = {symbol: window(of, **given) for symbol, of in data.items()}
    first = next(iter(each.values()))
    for symbol, of in each.items():
        if of.names != first.names:
            told = f"{', '.join(of.names)}; wanted {', '.join(first.names)}, as of the first"
            raise PartError(f"window: the columns of {symbol} are {told}")
    return first._replace(symbols=tuple(map(str, each)), tables=tuple(of.rows for of in each.values()))


def training_rows(X: Floats, partial_rows: bool) -> NDArray[np.int64]:
    """Return the numbers of the rows of `X` (T, d) that a model can learn from.

    They are those without a missing cell; with `partial_rows` those with any cell, from the bar on by which every
    column has had a number: before it a feature is warming up, and a window of such rows would teach nothing of it.

    >>> training_rows(np.array([[1.0, np.nan], [2.0, 3.0], [4.0, np.nan]]), partial_rows=True)
    array([1, 2])
    """
    there = np.isfinite(X)
    if not partial_rows:
        return np.flatnonzero(there.all(axis=1))
    warm = np.logical_or.accumulate(there, axis=0).all(axis=1)
    return np.flatnonzero(warm & there.any(axis=1))


def roles_of(told: Sequence[str]) -> tuple[str, ...]:
    """Return the roles of columns; where nothing is told the first is the return and the others are features."""
    return tuple(role or (RETURN if j == 0 else FEATURE) for j, role in enumerate(told))


def _columns(data: Any) -> tuple[str, ...]:
    if hasattr(data, "columns"):
        return tuple(map(str, data.columns))
    name = getattr(data, "name", None)
    return () if name is None else (str(name),)


def _closes(data: Any, rows: int) -> NDArray[np.int64]:
    index: Any = getattr(data, "index", None)
    # A list has an `index` too: a method.
    if not str(getattr(index, "dtype", "")).startswith("datetime64"):
        return np.arange(rows, dtype=np.int64)
    return np.asarray(index.as_unit("ns").asi8, dtype=np.int64)


def _checked(made: Window) -> Window:
    T, d = made.rows.shape
    for what, found, wanted in (("names", made.names, d), ("roles", made.roles, d), ("time stamps", made.ts, T)):
        if len(found) != wanted:
            raise PartError(f"window: {len(found)} {what} for a table of {T} rows and {d} columns")
    for name, role in zip(made.names, made.roles, strict=True):
        if role not in ROLES:
            raise PartError(f"window: {name} has the role {role!r}; wanted one of {', '.join(ROLES)}{_hint(role)}")
    return made


def _hint(role: Any) -> str:
    return nearest(role, ROLES) if isinstance(role, str) else ""


def table(X: Any) -> Floats:
    """Return features as a C-contiguous float64 table (T, d); a vector is one feature.

    Raises `PartError` for anything else.

    >>> table([0.01, -0.02]).shape
    (2, 1)
    """
    try:
        array = np.ascontiguousarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PartError(f"features must be a table (T, d) of numbers, found {type(X).__name__}: {error}") from error
    if not array.flags.writeable:
        # To the compiler a read-only array is another type: every entry would be compiled a second time.
        array = array.copy()
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise PartError(f"features must be a table (T, d), found an array of shape {array.shape}")
    return array
