"""Replay a file of targets: how a published result is reproduced, and how another program's decisions are priced."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from barograph.errors import ConfigError, DataError, nearest
from barograph.jit.kernel import kernel
from barograph.types import HOLD, Asset, Floats, Strategy, Target

__all__ = ["fixed_positions"]

DAY = 86_400_000_000_000
UNITS = {"date": DAY, "time": 1}


class Params(NamedTuple):
    """Sorted keys (T,) int64, the day or the ns of each row; weights (T, M); the M assets; the ns in a key."""

    keys: Any
    weights: Any
    assets: tuple[Any, ...]
    unit: int


@kernel
def _begin(_params: Any) -> tuple[()]:
    return ()


@kernel
def _row(keys: Any, key: int) -> int:
    """Find the row stamped `key`, or -1, by halving."""
    low, high = 0, keys.size
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < keys.size and keys[low] == key else -1


@kernel
def _key(ts: int, unit: int) -> int:
    # A close at midnight is that of the day that ends there.
    return ts if unit == 1 else (ts - 1) // unit


@kernel
def _shared(state: Any, bars: Any, _belief: Any, _portfolio: Any, params: Any) -> Any:
    row = _row(params.keys, _key(bars.ts, params.unit))
    return state, Target(params.weights[row, 0] if row >= 0 else HOLD)


@kernel
def _each(state: Any, bars: Any, _belief: Any, _portfolio: Any, params: Any) -> Any:
    weights = np.full(bars.close.size, HOLD)
    row = _row(params.keys, _key(bars.ts, params.unit))
    if row >= 0:
        for j in range(len(params.assets)):
            weights[params.assets[j]] = params.weights[row, j]
    return state, Target(weights)


def fixed_positions(
    path: str | Path,
    column: str | dict[str, str] = "weight",
    time: str = "date",
    match: Literal["date", "time"] = "date",
    map: dict[str, float] | None = None,
) -> Strategy:
    """Hold what a CSV or Parquet file says for each bar.

    `column` is one column of weights, shared equally by the traded assets, or ``{symbol: column}`` with one column an
    asset; assets not named are left alone. `map` turns classes into weights: ``{"0": 1.5, "1": 0.3}``. `time` is the
    column (or Parquet index) that stamps a row: with ``match="date"`` its date is the UTC day the bar closes on (the
    day that ends, for a close at midnight), with ``match="time"`` it is the close itself, to the nanosecond; a stamp
    without a zone is UTC. Rows may come in any order. A bar for which the file has no row leaves every position alone.

    Raises `ConfigError` for a file, column or class that is not there and `DataError` for a row that cannot be used.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "targets.csv"
    >>> _ = file.write_text("date,weight\\n2020-01-02,1.0\\n2020-01-03,0.5\\n")
    >>> fixed_positions(str(file)).params.weights
    array([[1. ],
           [0.5]])
    """
    if match not in UNITS:
        raise ConfigError(f"fixed_positions: match={match!r}; wanted {' or '.join(UNITS)}{nearest(match, UNITS)}")
    frame = _read(Path(path))
    keys = _stamps(path, _pick(path, frame, time)) // UNITS[match]
    columns = {"": column} if isinstance(column, str) else column
    if not columns:
        raise ConfigError("fixed_positions: column={} names no asset; wanted a column, or symbol = column")
    weights = np.column_stack([_weights(path, _pick(path, frame, name), map) for name in columns.values()])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    if (repeated := np.flatnonzero(np.diff(keys) == 0)).size:
        first, second = sorted(int(order[repeated[0] + j]) + 1 for j in (0, 1))
        raise DataError(f"{path} row {second}: the same {match} as row {first}; wanted one row a {match}")
    params = Params(keys, np.ascontiguousarray(weights[order]), tuple(Asset(s) for s in columns), UNITS[match])
    return Strategy(_begin, _shared if isinstance(column, str) else _each, params, "fixed_positions", reads="none")


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ConfigError(f"fixed_positions: no file {path}")
    if path.suffix == ".parquet":
        return pd.read_parquet(path).reset_index()
    if path.suffix == ".csv":
        return pd.read_csv(path)
    raise ConfigError(f"fixed_positions: {path} is neither .csv nor .parquet")


def _pick(path: str | Path, frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame:
        known = [str(c) for c in frame.columns]
        raise ConfigError(f"{path}: no column {name!r}; found {', '.join(known)}{nearest(name, known)}")
    return frame[name]


def _stamps(path: str | Path, cells: pd.Series[Any]) -> NDArray[np.int64]:
    stamps = pd.to_datetime(cells.astype(str), utc=True, errors="coerce", format="ISO8601")
    if (bad := np.flatnonzero(stamps.isna())).size:
        row = int(bad[0])
        raise DataError(f"{path} row {row + 1}: {cells.iloc[row]!r} in column {cells.name!r} is no ISO 8601 time")
    return np.asarray(stamps.astype("datetime64[ns, UTC]").astype(np.int64), dtype=np.int64)


def _weights(path: str | Path, cells: pd.Series[Any], classes: Mapping[str, float] | None) -> Floats:
    """Return a column as weights, through the classes when there are any; rows are counted from 1 below the header."""
    weights = np.empty(len(cells))
    for row, cell in enumerate(cells):
        weight = _number(cell) if classes is None else classes.get(_label(cell), math.nan)
        if not math.isfinite(weight):
            wanted = "a number" if classes is None else f"one of the classes of map: {', '.join(classes)}"
            raise DataError(f"{path} row {row + 1}: {cell!r} in column {cells.name!r}; wanted {wanted}")
        weights[row] = weight
    return weights


def _label(cell: Any) -> str:
    """Write a class as it stands in a config: 1.0 is "1"."""
    number = _number(cell)
    return str(int(number)) if math.isfinite(number) and number == int(number) else str(cell)


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan
