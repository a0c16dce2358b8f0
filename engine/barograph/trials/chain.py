"""The chain: every row's hash covers its content and the hash before it, so that what is changed later shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from barograph.trials.nouns import KINDS, Row, Verified

__all__ = ["GENESIS", "chained", "hash_of_streams", "linked", "walked"]

GENESIS: Final = "0" * 64
"""What the first row is chained to."""

_CONTENT: Final = Row._fields.index("previous")


def linked(row: Row) -> str:
    """Return the hash of a row: SHA-256 of the hash before it, a line feed, and its content as a JSON list."""
    text = json.dumps(row[:_CONTENT], ensure_ascii=False, separators=(",", ":"), default=repr)
    return hashlib.sha256(f"{row.previous}\n{text}".encode()).hexdigest()


def chained(row: Row, sequence: int, previous: str) -> Row:
    """Return the row at its place in the chain."""
    placed = row._replace(sequence=sequence, previous=previous)
    return placed._replace(hash=linked(placed))


def hash_of_streams(names: str, *numbers: Any) -> str:
    """Return the hash of what is kept of trials: names as JSON; figures, counts, sums as little-endian float64."""
    digest = hashlib.sha256(names.encode())
    for content in numbers:
        digest.update(b"\0")
        digest.update(content)
    return digest.hexdigest()


def walked(rows: Iterable[tuple[Row, str]], count: int, head: str) -> Verified:
    """Walk along the chain, each row with the hash of what is kept of its streams ("" for nothing) as it is now.

    `count` and `head` are what the file says of its end. The walk ends at the first row that is wrong.
    """
    before, done, tried = GENESIS, 0, 0
    waiting: set[int] = set()
    pruned: set[int] = set()
    for row, streams in rows:
        problem = _wrong(row, done + 1, before, streams)
        if problem:
            return Verified(done, tried, before, f"row {done + 1}: {problem}")
        if row.streams and not streams:
            waiting.add(row.sequence)
        if row.kind == "prune":
            pruned |= set(json.loads(row.text))
        before, done, tried = row.hash, done + 1, tried + row.counts
    lost = sorted(waiting - pruned)
    if lost:
        return Verified(done, tried, before, f"row {lost[0]}: its streams are gone, and no pruning took them")
    end = f"row {done + 1}: there is none; the file was left with {count} rows" if done < count else ""
    other = "" if before == head else f"row {done}: it was not the last one when the file was left"
    return Verified(done, tried, before, end or other)


def _wrong(row: Row, sequence: int, before: str, streams: str) -> str:
    """Say what is wrong with a row at its place, or nothing."""
    if row.sequence != sequence:
        return f"there is none; row {row.sequence} follows row {sequence - 1}"
    if row.previous != before:
        return f"it is not chained to row {sequence - 1}"
    if row.hash != linked(row):
        return "it was changed after it was entered"
    if row.kind in KINDS and row.tried < 1:
        return f"it stands for {row.tried} trials, wanted 1 at least"
    return "its streams were changed after they were entered" if streams not in ("", row.streams) else ""
