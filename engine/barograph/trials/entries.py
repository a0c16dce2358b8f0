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
from barograph.trials.nouns import KINDS, WORDS, Row, Streams, Study
from barograph.types import Floats

__all__ = ["best_of", "content_of", "draft", "enter", "every_row", "streams_of", "worded"]


def draft(study: Study, names: Sequence[str], values: Floats, sums: Floats, tried: int) -> Streams:
    """Return an entry as it will be, but for its place in the chain and its moment."""
    if study.kind not in (*KINDS, *WORDS) or tried < (study.kind in KINDS):
        raise ValueError(f"a {study.kind} of {tried} trials; wanted one of {', '.join(KINDS)}, and 1 trial at least")
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
    content = _content(entry) if entry.names else ()
    moment = datetime.now(UTC).isoformat(timespec="microseconds")
    row = entry.row._replace(moment=moment, streams=hash_of_streams(*content) if content else "")
    row = chained(row, sequence + 1, previous)
    marks = ", ".join("?" * len(row))
    connection.execute(f"insert into trials values ({marks})", values_of(row))
    if content:
        connection.execute("insert into streams values (?, ?, ?, ?, ?)", (row.sequence, *content))
    connection.execute("update head set sequence = ?, hash = ?", (row.sequence, row.hash))
    return row.sequence


def _content(entry: Streams) -> tuple[Any, ...]:
    """Return names, figures, counts and sums as the table holds them."""
    names = json.dumps(entry.names, ensure_ascii=False, separators=(",", ":"))
    counts = entry.sums[:, :, 0]
    # Trials of one sweep run over the same bars: a third of their sums would be the same numbers.
    alike = bool((counts == counts[0]).all())
    return names, *map(_bytes, (entry.values, counts[0] if alike else counts, entry.sums[:, :, 1:]))


def _bytes(numbers: Floats) -> Any:
    return np.ascontiguousarray(numbers, dtype="<f8").data.cast("B")


def every_row(connection: sqlite3.Connection) -> Iterator[Row]:
    """Give all rows in their order."""
    for values in connection.execute("select * from trials order by sequence"):
        yield row_of(values)


def streams_of(connection: sqlite3.Connection, row: Row) -> Streams | None:
    """Return what is kept of a row, or None where there is nothing or it was pruned."""
    found = content_of(connection, row)
    if found is None:
        return None
    values, counts, others = (np.frombuffer(part, dtype="<f8") for part in found[1:])
    sums = np.empty((row.members, row.blocks, 3))
    sums[:, :, 0] = counts.reshape(-1, row.blocks)
    sums[:, :, 1:] = others.reshape(row.members, row.blocks, 2)
    return Streams(row, tuple(json.loads(found[0])), values, sums)


def content_of(connection: sqlite3.Connection, row: Row) -> tuple[Any, ...] | None:
    """Return names, figures, counts and sums of a row as the table holds them, or None where there are none."""
    ask = "select names, figures, counts, sums from streams where sequence = ?"
    found: tuple[Any, ...] | None = connection.execute(ask, (row.sequence,)).fetchone()
    return found
