"""What pruning takes and what it keeps: the streams go, all rows stay, and the best streams are entered anew."""

from __future__ import annotations

import json
import sqlite3

import numpy as np

from barograph.trials.entries import best_of, draft, enter, streams_of
from barograph.trials.file import row_of
from barograph.trials.nouns import Row, Streams, Study

__all__ = ["pruned"]


def pruned(connection: sqlite3.Connection, before: str) -> tuple[int, int]:
    """Prune what was entered before a moment; return how many streams went, and how many were kept."""
    ask = "select trials.* from trials join streams using (sequence) where moment < ? order by sequence"
    groups: dict[tuple[tuple[str, ...], str], list[Row]] = {}
    for row in map(row_of, connection.execute(ask, (before,)).fetchall()):
        groups.setdefault((row.symbols, row.figure), []).append(row)
    # A best stream alone would only be replaced by itself.
    worth = [rows for rows in groups.values() if sum(row.members for row in rows) > 1]
    for rows in worth:
        enter(connection, _summary(connection, rows))
        connection.executemany("delete from streams where sequence = ?", [(row.sequence,) for row in rows])
    return sum(row.members for rows in worth for row in rows), len(worth)


def _summary(connection: sqlite3.Connection, rows: list[Row]) -> Streams:
    """Return the row that keeps N and the best of these."""
    best = rows[best_of(np.array([np.nan if row.best is None else row.best for row in rows])) or 0]
    found = streams_of(connection, best)
    assert found is not None
    k = best_of(found.values) or 0
    study = Study(
        "prune", found.names[k], best.config_hash, best.symbols, best.first, best.last, best.digest, best.figure
    )
    piece = slice(k, k + 1)
    entry = draft(study, found.names[piece], found.values[piece], found.sums[piece], sum(row.tried for row in rows))
    text = json.dumps([row.sequence for row in rows])
    about = best.about if best.kind == "prune" else best.sequence
    return entry._replace(row=entry.row._replace(text=text, about=about))
