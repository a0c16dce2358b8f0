"""Where a classifier's labels are from: a file, or another model fitted on the same past.

A label says which regime a bar was of, and is known some bars later: a classifier never learns one that was not known
at its decision. They are an argument of every classifier, `labels`.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from barograph.data.times import from_numbers, from_texts
from barograph.epoch import DAY
from barograph.errors import ConfigError, DataError, nearest
from barograph.regimes.fitted import Model
from barograph_models._classify.labels import UNKNOWN, Labels, of_days, of_model

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Labels", "label_file", "labels_of"]

_NONE: Final = ("na", "n/a", "#n/a", "nan", "null", "none", "<na>")
"""What stands for an empty cell in files, and would else be a class."""


def labels_of(
    model: Model, when: Literal["now", "ahead", "smooth"] = "now", horizon: int = 0, columns: tuple[str, ...] = ()
) -> Labels:
    """Learn what another model says of the same rows: it is fitted to them, at every fit anew, and to nothing later.

    ``when="now"`` is its filtered regime of the bar; ``"ahead"`` that of `horizon` bars later; ``"smooth"`` its most
    likely path in hindsight, without the last `horizon` bars, of which hindsight knows least. `columns` are the names
    of what it sees, the first its return; all, where none is named. Classes are ordered as it orders its regimes, and
    have its names.

    Labels of a model that looks at the classifier's own features are no truth: that they are told again says little.

    Raises `ConfigError` for a horizon that cannot be meant, or a model for several assets or, with "smooth", one that
    tells no path in hindsight.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> labels_of(gaussian_hmm(states=2), when="ahead", horizon=5).purge
    5
    """
    if not isinstance(model, Model):
        raise ConfigError(f"labels_of: model = {model!r}; wanted a model, such as gaussian_hmm(states=2)")
    if isinstance(columns, str):
        raise ConfigError(f"labels_of: columns = {columns!r}; wanted several names")
    if model.panel:
        raise ConfigError(f"labels_of: {model.name} is a model for several assets; wanted one of a single asset")
    if when not in ("now", "ahead", "smooth"):
        hint = nearest(str(when), ["now", "ahead", "smooth"])
        raise ConfigError(f"labels_of: when = {when!r}; wanted now, ahead or smooth{hint}")
    whole = isinstance(horizon, int) and not isinstance(horizon, bool)
    if not whole or horizon < 0 or (horizon == 0) != (when == "now"):
        wanted = "0, for what is told of the bar itself" if when == "now" else "a whole number of bars, at least 1"
        raise ConfigError(f"labels_of: horizon = {horizon!r} with when = {when!r}; wanted {wanted}")
    if when == "smooth" and not model.hindsight:
        wanted = "now, ahead, or a model that does, such as gaussian_hmm"
        raise ConfigError(f"labels_of: when = {when!r}: {model.name} tells no path in hindsight; wanted {wanted}")
    names = model.labels or tuple(f"regime {k}" for k in range(model.regimes))
    spoken = {"now": "", "ahead": f" {horizon} bars later", "smooth": " in hindsight"}[when]
    made = f"labels are what {model.name} says of the same rows{spoken}: no truth"
    told = (when, horizon, tuple(columns))
    settings = None if model.settings is None else ("labels_of", model.settings, *told)
    return Labels(partial(of_model, model, *told), names, horizon, made, settings)


def label_file(
    path: Path | str,
    known_after: int,
    column: str = "regime",
    time: str = "Date",
    classes: tuple[str, ...] = (),
    time_zone: str = "UTC",
) -> Labels:
    """Learn the labels of a CSV or Parquet file: a date or a time, and a class, a row.

    A date is that of the day a bar closes on in `time_zone` (a close at midnight ends the day before), a time is a
    close. `known_after` is how many bars later a label was known; 0 is for labels that were known at their own close,
    and has to be said. What is said of a day is not known before its last bar. `classes` are the names in the order
    wanted, by default all of the file, sorted. An empty cell is no label, nor is NA, N/A,
    NaN, null or none, however spelt, unless `classes` name it; a note of the fit says how many there are. Whoever made
    the file may have seen the future: that cannot be audited, and is told.

    Raises `ConfigError` for a file, a column or a setting that cannot be used, `DataError` naming a row.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "labels.csv"
    >>> _ = file.write_text("Date,regime\\n2024-01-02,calm\\n2024-01-03,wild\\n")
    >>> label_file(file, known_after=5).classes
    ('calm', 'wild')
    """
    if isinstance(classes, str):
        raise ConfigError(f"label_file: classes = {classes!r}; wanted several names")
    path = Path(path)
    _check_zone(time_zone)
    if isinstance(known_after, bool) or not isinstance(known_after, int) or known_after < 0:
        raise ConfigError(f"label_file: known_after = {known_after!r}; wanted a whole number of bars, 0 if at once")
    frame = _read(path)
    when, cells = _pick(path, frame, time), _pick(path, frame, column)
    names, which = _classes(path, cells, classes)
    keys, unit = _times(path, when, time_zone)
    order = np.argsort(keys, kind="stable")
    keys, which = keys[order], which[order]
    if (twice := np.flatnonzero(np.diff(keys) == 0)).size:
        first, second = sorted(int(order[twice[0] + j]) + 1 for j in (0, 1))
        raise DataError(f"{path} row {second}: the same time as row {first}; wanted one label a time")
    late = "at their own close, as was said" if known_after == 0 else f"{known_after} bars later"
    empty = int(np.count_nonzero(which == UNKNOWN))
    without = f"; {empty} of its {len(which)} rows say none" if empty else ""
    made = f"labels are of {path.name}, known {late}: made elsewhere, not audited{without}"
    settings = ("label_file", keys.tobytes(), which.tobytes(), names, unit, time_zone, known_after)
    tell = partial(of_days, keys, which, unit, partial(_wall, time_zone if unit > 1 else "UTC"), path.name, known_after)
    return Labels(tell, names, known_after, made, settings)


def _check_zone(time_zone: str) -> None:
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise ConfigError(f"label_file: time_zone = {time_zone!r} is none; wanted one such as Europe/London") from error


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise ConfigError(f"label_file: no file {path}")
    if path.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"label_file: {path} is neither .csv nor .parquet")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).reset_index()
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: cannot be read ({reason}); wanted a header, and a date and a class a row") from error


def _pick(path: Path, frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame:
        known = [str(c) for c in frame.columns]
        raise ConfigError(f"{path}: no column {name!r}; found {', '.join(known)}{nearest(name, known)}")
    return frame[name]


def _classes(path: Path, cells: pd.Series[Any], classes: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    import pandas as pd

    wanted = tuple(map(_name, classes))
    told = ["" if pd.isna(cell) or _is_none(_name(cell), wanted) else _name(cell) for cell in cells]
    names = wanted or tuple(sorted({name for name in told if name}, key=_order))
    if len(set(names)) < len(names):
        raise ConfigError(f"label_file: classes = {list(names)} has one twice")
    if len(names) < 2:
        raise DataError(f"{path}: column {cells.name!r} has {len(names)} classes; wanted two at least")
    for row, name in enumerate(told):
        if name and name not in names:
            known = ", ".join(names)
            raise DataError(f"{path} row {row + 1}: the class {name!r}; wanted one of {known}{nearest(name, names)}")
    return names, np.array([names.index(name) if name else UNKNOWN for name in told], dtype=np.int64)


def _is_none(name: str, wanted: tuple[str, ...]) -> bool:
    return name.lower() in _NONE and name not in wanted


def _name(cell: Any) -> str:
    """Write a class as it stands in a config: 1.0 is "1", in a CSV as in Parquet."""
    told = str(cell).strip()
    number = _number(told)
    return told if number is None or number != round(number) else str(round(number))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _order(name: str) -> tuple[float, str]:
    """Order numbers as numbers, and before words."""
    number = _number(name)
    return math.inf if number is None else number, name


def _times(path: Path, cells: pd.Series[Any], time_zone: str) -> tuple[NDArray[np.int64], int]:
    """Return what the rows count, and in units of how many ns: days on the wall, or closes in ns UTC."""
    if not len(cells):
        raise DataError(f"{path}: has no rows; wanted a date and a class in each")

    def place(row: int) -> str:
        return f"{path} row {row + 1}"

    if cells.dtype.kind == "M":
        if (missing := np.flatnonzero(cells.isna())).size:
            raise DataError(f"{place(int(missing[0]))}: no time; wanted one in each row")
        values = cells.dt.tz_convert("UTC").dt.tz_localize(None) if cells.dt.tz is not None else cells
        wall, aware = np.asarray(values.astype("datetime64[ns]").astype(np.int64)), cells.dt.tz is not None
        whole = bool((wall % DAY == 0).all()) and not aware
        return (wall // DAY, DAY) if whole else (wall if aware else _moment(wall, time_zone), 1)
    stamps = (
        from_numbers(cells.to_numpy(), place)
        if cells.dtype.kind in "if"
        else from_texts(list(cells.astype(str)), place)
    )
    if stamps.whole.all():
        return stamps.wall // DAY, DAY
    if stamps.whole.any():
        row = int(np.argmax(stamps.whole))
        raise DataError(f"{place(row)}: {cells.iloc[row]!r} is a date, and other rows are times; wanted one of them")
    return np.where(stamps.aware, stamps.wall - stamps.offset, _moment(stamps.wall, time_zone)), 1


def _moment(wall: NDArray[np.int64], time_zone: str) -> NDArray[np.int64]:
    """Return the ns UTC of times on the wall; an hour that a clock shows twice is its first."""
    import pandas as pd

    there = pd.DatetimeIndex(wall.astype("datetime64[ns]")).tz_localize(
        time_zone, ambiguous=True, nonexistent="shift_forward"
    )
    return np.asarray(there.as_unit("ns").asi8, dtype=np.int64)


def _wall(time_zone: str, ts: NDArray[np.int64]) -> NDArray[np.int64]:
    if time_zone == "UTC":
        return ts
    import pandas as pd

    there = pd.DatetimeIndex(ts.astype("datetime64[ns]"), tz="UTC").tz_convert(time_zone).tz_localize(None)
    return np.asarray(there.as_unit("ns").asi8, dtype=np.int64)
