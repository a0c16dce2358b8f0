"""Files as grids of cells: what is written, how, and the bars that it truly holds."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume")


class Bars(NamedTuple):
    """The truth: closes in ns UTC and numbers, in the order of time; a volume of NaN is unknown."""

    ts: np.ndarray[Any, Any]
    open: np.ndarray[Any, Any]
    high: np.ndarray[Any, Any]
    low: np.ndarray[Any, Any]
    close: np.ndarray[Any, Any]
    volume: np.ndarray[Any, Any]

    def at(self, rows: Any) -> Bars:
        return Bars(*(column[rows] for column in self))


class Grid(NamedTuple):
    """A file: header lines, rows in their order, and how they are written; `truth` are its bars.

    `words` are what has to be said of it beside what it shows, `refused` what is said of it when nobody can read it;
    `times` are the columns of times, and `back` says that rows stand newest first.
    """

    name: str
    header: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[str, ...], ...]
    truth: Bars
    words: Mapping[str, Any] = {}
    file: str = "abc.csv"
    separator: str = ","
    quoted: bool = False
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    encoding: str = "utf-8"
    ends: str = "\n"
    packed: str = ""
    refused: str = ""
    times: tuple[int, ...] = (0,)
    back: bool = False

    @property
    def content(self) -> bytes:
        text = self.ends.join([*self.before, *map(self._line, [*self.header, *self.rows]), *self.after, ""])
        return pack(text.encode(self.encoding), self.packed, self.file)

    def _line(self, cells: Sequence[str]) -> str:
        out = io.StringIO()
        quoting = csv.QUOTE_ALL if self.quoted else csv.QUOTE_MINIMAL
        csv.writer(out, delimiter=self.separator, quoting=quoting, lineterminator="").writerow(cells)
        return out.getvalue()


def pack(raw: bytes, how: str, name: str) -> bytes:
    if how == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(name, raw)
        return out.getvalue()
    packers = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    return packers[how](raw)


def walk(closes: Sequence[int], seed: int, digits: int = 2, price: float = 100.0, volume: bool = True) -> Bars:
    """Return bars that wander, rounded to so many digits; no two bars are alike."""
    rng = np.random.default_rng(seed)
    count = len(closes)
    close = price * np.exp(np.cumsum(rng.normal(0.0, 0.01, count)))
    opened = close * np.exp(rng.normal(0.0, 0.003, count))
    top, bottom = np.maximum(opened, close) * 1.004, np.minimum(opened, close) * 0.996
    shown = [np.array([float(f"{value:.{digits}f}") for value in column]) for column in (opened, top, bottom, close)]
    traded = rng.integers(1_000, 99_000, count).astype(float) if volume else np.full(count, np.nan)
    return Bars(np.array(closes, dtype=np.int64), *shown, traded)


def sessions(first: str = "2024-06-17", count: int = 20) -> tuple[list[pd.Timestamp], list[int]]:
    """Return days of New York in June and July 2024 and their closes: 20:00 UTC, on the third of July 17:00."""
    days = [
        day for day in pd.bdate_range(first, periods=count + 3) if str(day.date()) not in ("2024-06-19", "2024-07-04")
    ]
    closes = [day + pd.Timedelta(hours=17 if str(day.date()) == "2024-07-03" else 20) for day in days[:count]]
    return days[:count], [moment.value for moment in (one.as_unit("ns") for one in closes)]


def hours(first: str, count: int, step: str = "h") -> list[pd.Timestamp]:
    """Return the beginnings of bars that follow each other."""
    return list(pd.date_range(first, periods=count, freq=step))


def ns(moments: Sequence[pd.Timestamp]) -> list[int]:
    return [one.as_unit("ns").value for one in moments]
