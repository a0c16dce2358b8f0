"""How an entry is written at the end of the chain, and what was kept of it is read back."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from barograph.trials.chain import chained, hash_of_streams
from barograph.trials.file import row_of, values_of
from barograph.trials.nouns import Row, Streams, Study
from barograph.types import Floats

__all__ = ["best_of", "draft", "enter", "every_row", "streams_of", "worded"]


def draft(study: Study, names: Sequence[str], values: Floats, sums: Floats, tried: int) -> Streams:
    """Return an entry as it will be, but for its place in the chain and its moment."""
    best = best_of(values)
    row = Row(
        sequence=0,
        moment="",
        kind=study.kind,
        name=study.name,
        config_hash=study.config_hash,
        symbols=tuple(sorted(study.symbols)),
        first=int(study.first),
        last=int(study.last),
        digest=study.digest,
        figure=study.figure,
        tried=int(tried),
        best=None if best is None else float(values[best]) + 0.0,
        members=len(names),
        blocks=sums.shape[1],
        streams="",
        text="",
        about=0,
        work=study.work,
        previous="",
        hash="",
    )
    return Streams(row, tuple(names), values, sums)


def worded(kind: str, text: str, about: int) -> Streams:
    """Return an entry of words about a row, without trials."""
    study = Study(kind, "", "", (), 0, 0, "", "")
    entry = draft(study, (), np.empty(0), np.empty((0, 0, 3)), tried=0)
    return entry._replace(row=entry.row._replace(text=text, about=about))


def best_of(values: Floats) -> int | None:
    """Return which of the figures is highest, or None where none can be told."""
    there = np.isfinite(values)
    return int(np.argmax(np.where(there, values, -math.inf))) if there.any() else None


def enter(connection: sqlite3.Connection, entry: Streams) -> int:
    """Write an entry at the end of the chain; return its sequence, or that of the entry that its work has already."""
    if entry.row.work:
        there = connection.execute("select sequence from trials where work = ?", (entry.row.work,)).fetchone()
        if there is not None:
            return int(there[0])
    sequence, previous = connection.execute("select sequence, hash from head").fetchone()
    content = _content(entry)
    moment = datetime.now(UTC).isoformat(timespec="microseconds")
    row = entry.row._replace(moment=moment, streams=hash_of_streams(*content) if entry.names else "")
    row = chained(row, sequence + 1, previous)
    marks = ", ".join("?" * len(row))
    connection.execute(f"insert into trials values ({marks})", values_of(row))
    if entry.names:
        connection.execute("insert into streams values (?, ?, ?, ?)", (row.sequence, *content))
    connection.execute("update head set sequence = ?, hash = ?", (row.sequence, row.hash))
    return row.sequence


def _content(entry: Streams) -> tuple[str, Any, Any]:
    names = json.dumps(entry.names, ensure_ascii=False, separators=(",", ":"))
    numbers = (np.ascontiguousarray(part, dtype="<f8") for part in (entry.values, entry.sums))
    values, sums = (part.data.cast("B") if part.size else b"" for part in numbers)
    return names, values, sums


def every_row(connection: sqlite3.Connection) -> Iterator[Row]:
    """Give all rows in their order."""
    for values in connection.execute("select * from trials order by sequence"):
        yield row_of(values)


def streams_of(connection: sqlite3.Connection, row: Row) -> Streams | None:
    """Return what is kept of a row, or None where there is nothing or it was pruned."""
    found = connection.execute("select names, figures, sums from streams where sequence = ?", (row.sequence,)).fetchone()
    if found is None:
        return None
    values, sums = (np.frombuffer(part, dtype="<f8") for part in found[1:])
    return Streams(row, tuple(json.loads(found[0])), values, sums.reshape(row.members, row.blocks, 3))
