"""The source cut: the files that were read, each ended at a moment, and how a fresh process is given them instead.

What is worked out while modules are imported (a mean of all rows, a count of bars) is there before the first bar, so
no rerun on other bars moves it. A process that begins anew and finds shorter files works it out from what was known.
"""

from __future__ import annotations

import csv
import gzip
import json
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.audit.opened import Opened
from barograph.data.times import from_texts
from barograph.epoch import NEVER
from barograph.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from barograph.audit.holdings import Held
    from barograph.data.history import History

__all__ = ["Again", "again", "cut_copy"]

_TEXT: Final = (".csv", ".tsv", ".txt")
_SHARE: Final = 0.95
_DIGITS: Final = re.compile(r"\d.*[-/.:].*\d|^\s*-?\d[\d.]*\s*$")
_NUMBER: Final = re.compile(r"-?\d+(\.\d*)?")


class Again(NamedTuple):
    """What the fresh process answered: bars, answers and what its parts hold; or why it could not.

    `cut` are the files it was given shorter, `whole` those of people's own that could not be cut.
    """

    cut: tuple[str, ...] = ()
    whole: tuple[Opened, ...] = ()
    problem: str = ""
    bars: tuple[Any, ...] = ()
    answers: Any = None
    objects: tuple[Held, ...] = ()


def again(config: Path, overrides: Sequence[str], opened: Sequence[Opened], history: History, bar: int) -> Again:
    """Run a config in a fresh process whose files end at the close of `bar`."""
    moment = int(history.ts[bar])
    with tempfile.TemporaryDirectory() as folder:
        copies: dict[str, str] = {}
        whole: dict[str, Opened] = {}
        for one in opened:
            copy = Path(folder, f"{len(copies)}-{Path(one.path).name}")
            if one.path in copies or one.path in whole:
                continue
            if cut_copy(Path(one.path), copy, moment, bar + 1, len(history)):
                copies[one.path] = str(copy)
            elif one.where:
                whole[one.path] = one
        names = tuple(sorted(Path(path).name for path in copies))
        told = Again(names, tuple(whole.values()))
        if not copies:
            why = "none of the files that it read can be cut" if whole else "it read no file that could be cut"
            return told._replace(problem=why)
        task = {"config": str(config), "overrides": list(overrides), "moment": moment, "copies": copies}
        return _asked(task, Path(folder), told)


def _asked(task: dict[str, Any], folder: Path, told: Again) -> Again:
    question, answer = folder / "question.json", folder / "answer.pickle"
    question.write_text(json.dumps(task), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "barograph.cli.again", str(question), str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if not answer.is_file():
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return told._replace(problem=f"the fresh process ended with {done.returncode}: {last}")
    found: Again = pickle.loads(answer.read_bytes())
    return found._replace(cut=told.cut, whole=told.whole)


def cut_copy(path: Path, copy: Path, moment: int, rows: int, total: int) -> bool:
    """Write a file's rows up to a moment; of one that has no times, but a row for every bar, the first `rows`.

    Text (also gzipped), Parquet and .npy; any other, and one in which neither is found, is not cut: False.
    """
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            return _cut_parquet(path, copy, moment, rows, total)
        if name.endswith(".npy"):
            return _cut_array(path, copy, rows, total)
        if name.removesuffix(".gz").endswith(_TEXT):
            return _cut_text(path, copy, moment, rows, total)
    except (OSError, ValueError, csv.Error):
        return False
    return False


def _cut_array(path: Path, copy: Path, rows: int, total: int) -> bool:
    array = np.load(path, allow_pickle=False)
    if array.ndim == 0 or len(array) != total:
        return False
    with copy.open("wb") as file:
        np.save(file, array[:rows])
    return True


def _cut_parquet(path: Path, copy: Path, moment: int, rows: int, total: int) -> bool:
    import pandas as pd

    frame = pd.read_parquet(path)
    columns = [frame.index.to_series(), *(frame.iloc[:, k] for k in range(frame.shape[1]))]
    times = next((t for t in map(_moments, columns) if t is not None), None)
    if times is not None:
        frame = frame[_early(times, moment).to_numpy()]
    elif len(frame) == total:
        frame = frame.iloc[:rows]
    else:
        return False
    frame.to_parquet(copy)
    return True


def _moments(column: pd.Series) -> pd.Series | None:
    """Read a table's column as moments, if it holds any; numbers are none."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        index = pd.DatetimeIndex(column)
        return pd.Series(index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC"))
    return _times(column.tolist(), "") if pd.api.types.is_string_dtype(column.dtype) else None


def _cut_text(path: Path, copy: Path, moment: int, rows: int, total: int) -> bool:
    raw = path.read_bytes()
    packed = raw[:2] == b"\x1f\x8b"
    plain = gzip.decompress(raw) if packed else raw
    if b"\0" in plain:  # UTF-16, of which no line can be cut off alone
        return False
    # Latin-1 gives every byte back.
    lines = plain.decode("latin-1").splitlines(keepends=True)
    kept = _kept(lines, moment, rows, total)
    if kept is None:
        return False
    text = "".join(kept).encode("latin-1")
    copy.write_bytes(gzip.compress(text) if packed else text)
    return True


def _kept(lines: list[str], moment: int, rows: int, total: int) -> list[str] | None:
    mark = max(",;\t|", key=lines[0].count) if lines else ","
    cells = list(csv.reader((line.strip("\r\n") for line in lines), delimiter=mark))
    for j, head in enumerate(cells[0] if len(lines) > 1 else ()):
        times = _times([row[j] if len(row) == len(cells[0]) else "" for row in cells[1:]], head)
        if times is not None:
            early = _early(times, moment).to_numpy() | times.isna().to_numpy()
            # The first line is the header, or the earliest row of a file that has none.
            return [lines[0], *(line for line, keep in zip(lines[1:], early, strict=True) if keep)]
    header = len(lines) - total
    return lines[: rows + header] if header in (0, 1) else None


def _times(cells: list[str], head: str) -> pd.Series | None:
    """Read a column as moments, NaT where a cell is none; None where it holds others, or what two readings fit.

    Plain numbers are moments as dates in digits, or by their column's name.
    """
    import pandas as pd

    from barograph.data.reading import COLUMNS

    shown = [row for row, cell in enumerate(cells) if _DIGITS.search(cell)]
    plain = sum(_NUMBER.fullmatch(cells[row].strip()) is not None for row in shown)
    if not cells or len(shown) < _SHARE * len(cells):
        return None
    if plain == len(shown) and not (head.lower() in COLUMNS["time"] or _dates_in_digits(cells, shown)):
        return None
    try:
        found = from_texts([cells[row] for row in shown], "row {}".format)
    except DataError:
        return None
    moments = np.full(len(cells), NEVER)
    moments[shown] = found.wall - found.offset
    return pd.Series(pd.DatetimeIndex(moments.astype("M8[ns]"), tz="UTC"))


def _dates_in_digits(cells: list[str], rows: list[int]) -> bool:
    return all(len(text) == 8 and "1900" < text < "2101" for text in (cells[row].strip() for row in rows))


def _early(times: pd.Series, moment: int) -> pd.Series:
    """Tell which moments are not after this one; a date is its day, which a close at midnight still belongs to."""
    import pandas as pd

    last = pd.Timestamp(moment, tz="UTC")
    if bool((times.dropna() == times.dropna().dt.normalize()).all()):
        last = pd.Timestamp(moment - 1, tz="UTC").normalize()
    return pd.Series(times <= last)
