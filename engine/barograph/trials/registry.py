"""The registry of trials: what a project has tried, entered by itself, and asked for by a verdict."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np

from barograph.errors import ConfigError, StoreError
from barograph.trials.block_sums import sharpe_of
from barograph.trials.chain import hash_of_streams, walked
from barograph.trials.entries import content_of, draft, enter, every_row, streams_of, worded
from barograph.trials.file import PATIENCE, kept_open, reading, row_of, shrunk, writing
from barograph.trials.nouns import KINDS, Counted, Pruned, Row, Streams, Study, Trial, Verified
from barograph.trials.pruning import pruned
from barograph.types import Floats

__all__ = ["NAME", "Registry", "in_a_test", "open_registry", "project_of", "registry_of", "say_once"]

NAME: Final = "trials.db"
"""What the file is called, in the folder of a project."""

_TOGETHER: Final = 1000
"""Trials of a sweep that make one row."""

_MARKS: Final = ("barograph.toml", ".git")
"""What the folder of a project has in it."""


class Registry:
    """The trials of a project, in one file.

    >>> import tempfile
    >>> registry = Registry(Path(tempfile.mkdtemp()) / "trials.db")
    >>> study = Study("run", "calm", "1a2b", ("SPY",), first=0, last=100, digest="3c4d")
    >>> registry.append(Trial(study, 0.7, np.ones((128, 3))))
    1
    >>> registry.append_many(study._replace(kind="sweep"), ["a", "b"], np.ones((2, 128, 3)), [0.1, 0.9])
    [2]
    >>> registry.counted(["SPY"], first=50, last=150).tried
    3
    >>> registry.verify().problem
    ''

    Everything raises `StoreError` where the file cannot be read or written.
    """

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self.path, self.patience = path, patience

    def begin(self) -> None:
        """Make the file where there is none, and know that it can be written."""
        with writing(self.path, self.patience):
            pass

    def stay(self) -> None:
        """Keep the file open until the process ends: entries of whoever makes many then do not wait for the disk."""
        kept_open(self.path)

    def append(self, trial: Trial) -> int:
        """Enter one trial; return its sequence, or that of the entry that its work has already.

        Raises `ValueError` for a kind that would not count, and for a row that would stand for no trial.
        """
        study, value, sums, tried = trial
        return self._entered([draft(study, (study.name,), np.array([value]), sums[None], tried)])[0]

    def append_many(
        self,
        study: Study,
        names: Sequence[str],
        sums: Floats,
        values: Sequence[float] | Floats | None = None,
        tried: Sequence[int] | None = None,
    ) -> list[int]:
        """Enter the trials of a sweep, all or none, a thousand a row; return the sequences of the rows.

        `sums` (M, B, 3) are the block sums of their returns and `values` (M,) their figures; without them the figure is
        the Sharpe ratio a bar that the sums give. Each stands for so many `tried` trials, or for one. Raises
        `ValueError` as `append` does, and when the shapes do not fit.
        """
        given = () if values is None else np.shape(values)
        if sums.ndim != 3 or sums.shape[::2] != (len(names), 3) or given not in ((), (len(names),)):
            raise ValueError(f"{len(names)} names, sums {sums.shape}, values {given}; wanted (M, B, 3) and (M,)")
        figures = sharpe_of(sums) if values is None else np.asarray(values, dtype=np.float64)
        entries, counts = [], [1] * len(names) if tried is None else tried
        for k, at in enumerate(range(0, len(names), _TOGETHER)):
            piece = slice(at, at + _TOGETHER)
            own = study._replace(work=study.work and f"{study.work}/{k}")
            entries.append(draft(own, names[piece], figures[piece], sums[piece], sum(counts[piece])))
        return self._entered(entries)

    def _entered(self, entries: Iterable[Streams]) -> list[int]:
        with writing(self.path, self.patience) as connection:
            return [enter(connection, entry) for entry in entries]

    def note(self, sequence: int, text: str) -> int:
        """Say something about a row, in a row of its own; raises `ConfigError` when there is no such row."""
        with self._changing() as connection:
            if connection.execute("select 1 from trials where sequence = ?", (sequence,)).fetchone() is None:
                raise ConfigError(f"{self.path}: there is no row {sequence}; `barograph trials --list` shows all")
            return enter(connection, worded("note", text, sequence))

    def prune(self, before: str) -> Pruned:
        """Forget the streams that were entered before a date, but for the best of each symbols and figure.

        Rows stay, so N and the chain do; a row of kind "prune" tells what is gone, and keeps the best.
        """
        size = self.path.stat().st_size if self.path.is_file() else 0
        with self._changing() as connection:
            gone, kept = pruned(connection, _moment(before))
        if gone:
            shrunk(self.path, self.patience)
        return Pruned(gone, kept, size, self.path.stat().st_size)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Hold a file alone that is there; none is made."""
        with reading(self.path, self.patience):
            pass
        with writing(self.path, self.patience) as connection:
            yield connection

    def counted(self, symbols: Iterable[str], first: int, last: int, since: str | None = None) -> Counted:
        """Return every trial on the same traded symbols whose window overlaps the one from `first` to `last`, ns UTC.

        Returns lie after the first close up to the last one, so windows that share no more than a close do not overlap.
        `since` is the date from which trials are counted, by when they were entered: a verdict has to tell it.
        """
        wanted = ("\n".join(sorted(symbols)), last, first, "" if since is None else _moment(since))
        ask = "select * from trials where symbols = ? and first < ? and last > ? and moment >= ? order by sequence"
        with reading(self.path, self.patience) as connection:
            found = [row_of(values) for values in connection.execute(ask, wanted)]
            there = {one for (one,) in connection.execute("select sequence from streams")}
        rows = tuple(row for row in found if row.kind in KINDS)
        own = {row.sequence for row in rows}
        kept = tuple(r for r in found if r.sequence in there and (r.kind in KINDS or r.about in own))
        return Counted(sum(row.tried for row in rows), sum(row.members for row in kept), rows, kept)

    def streams(self, rows: Iterable[Row]) -> Iterator[Streams]:
        """Give what was kept of these rows, a row at a time; those of which nothing is there are left out."""
        for row in rows:
            # One look a row: whoever takes long over a stream keeps nobody from writing.
            with reading(self.path, self.patience) as connection:
                found = streams_of(connection, row)
            if found is not None:
                yield found

    def rows(self) -> list[Row]:
        """Return all rows, notes among them, in their order."""
        with reading(self.path, self.patience) as connection:
            return list(every_row(connection))

    def verify(self) -> Verified:
        """Compute every hash again, and name the first row that is not as it was entered.

        A file whose end was cut off and whose mark of the end was moved too, or that was made anew from the beginning,
        looks whole: hold the `head` against one that was written down elsewhere.
        """
        with reading(self.path, self.patience) as connection:
            count, head = connection.execute("select sequence, hash from head").fetchone()
            looks = ((row, content_of(connection, row)) for row in every_row(connection))
            return walked(((row, hash_of_streams(*one) if one else "") for row, one in looks), count, head)


def _moment(text: str) -> str:
    """Return a date or a moment as rows write it; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no date; wanted one like 2026-01-31") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def registry_of(folder: Path, store: str | Literal[False] | None = None) -> Registry | None:
    """Return the registry of the project that a folder belongs to, or the file that `store` names from that folder.

    None where there shall be none: `store` is False, or a test runs. Nothing is opened yet.
    """
    if store is False or in_a_test():
        return None
    return Registry(project_of(folder) / NAME if store is None else folder / store)


def open_registry(folder: Path, store: str | Literal[False] | None = None) -> Registry | None:
    """Return what `registry_of` does, once it is there and can be written; where it cannot, say so once: None."""
    registry = registry_of(folder, store)
    if registry is None:
        return None
    try:
        registry.begin()
    except StoreError as error:
        say_once(error)
        return None
    return registry


def project_of(folder: Path) -> Path:
    """Return the nearest folder upwards that has a `barograph.toml` or a `.git` in it, or else the folder itself.

    >>> import tempfile
    >>> top = Path(tempfile.mkdtemp())
    >>> (top / "configs").mkdir(), (top / "barograph.toml").touch()
    (None, None)
    >>> project_of(top / "configs") == top.resolve()
    True
    """
    folder = folder.resolve()
    return next((p for p in (folder, *folder.parents) if any((p / mark).exists() for mark in _MARKS)), folder)


def in_a_test() -> bool:
    """Whether pytest runs, here or in the process that began this one: tests of a project are no trials of it."""
    return "PYTEST_CURRENT_TEST" in os.environ


_said: set[str] = set()


def say_once(error: Exception) -> None:
    """Tell on the error stream that trials are not counted: a run is no worse for it."""
    text = " ".join(str(error).split())
    if text not in _said:
        print(f"barograph: {text}; trials are not counted ([registry] store names another file)", file=sys.stderr)
        _said.add(text)
