"""Everything a run remembers, as one thing that can be saved and gone on from."""

from __future__ import annotations

import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.errors import DataError
from barograph.memory import Memory

if TYPE_CHECKING:
    from barograph.fitted import Fitted
    from barograph.history import History

__all__ = ["World"]

_VERSION = 1


@dataclass(frozen=True)
class World:
    """Feature, filter and strategy states, the book with its orders, the fitted model, and the bars that were seen.

    `seen` is the history it has seen the first `bar` bars of, or their digest once it was saved.
    """

    memory: Memory
    bar: int
    start: int
    fitted: Fitted | None
    seen: History | str

    @property
    def features(self) -> Any:
        """The features' states."""
        return self.memory.copy().read(0)

    @property
    def filter(self) -> Any:
        """The filter's state."""
        return self.memory.copy().read(1)

    @property
    def strategy(self) -> Any:
        """The strategy's state."""
        return self.memory.copy().read(2)

    @property
    def book(self) -> Any:
        """The account, the counters and one row an asset."""
        return self.memory.copy().read(3)

    @property
    def digest(self) -> str:
        """What tells the bars that were seen from any others."""
        return self.seen if isinstance(self.seen, str) else self.seen.head(self.bar).digest()

    def check(self, history: History) -> None:
        """Raise `DataError` unless the history begins with the very bars that this world has seen."""
        if len(history) < self.bar:
            raise DataError(f"the world has seen {self.bar} bars, {history.source} has {len(history)}; load them all")
        if history.head(self.bar).digest() != self.digest:
            raise DataError(
                f"the first {self.bar} bars of {history.source} are not those this world has seen; "
                "resume on the same data, or start afresh"
            )

    def into(self, blank: Memory) -> Memory:
        """Return this world's memory in the layout of a machine just wired; raises `DataError` if it cannot fit."""
        if not np.array_equal(blank.at, self.memory.at):
            raise DataError("the saved world belongs to another machine: its memory is laid out differently")
        return Memory(self.memory.f.copy(), self.memory.i.copy(), blank.at, blank.shapes)

    def save(self, path: Path | str) -> None:
        """Write the world to one file, whole or not at all; no pickle inside."""
        header = json.dumps({"version": _VERSION, "bar": self.bar, "start": self.start, "seen": self.digest})
        fitted = b"" if self.fitted is None else _to_bytes(self.fitted)
        target = Path(path)
        fresh = target.with_name(target.name + ".new")
        with fresh.open("wb") as file:
            np.savez(
                file,
                header=np.array(header),
                f=self.memory.f,
                i=self.memory.i,
                at=self.memory.at,
                fitted=np.frombuffer(fitted, dtype=np.uint8),
            )
        fresh.replace(target)

    @classmethod
    def load(cls, path: Path | str) -> World:
        """Read a world; raises `DataError` naming the file when it is not one, or of another version."""
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                memory = Memory(file["f"], file["i"], file["at"], ())
                fitted = file["fitted"].tobytes()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is not a saved world: {error}") from error
        if header.get("version") != _VERSION:
            raise DataError(f"{path} is a world of version {header.get('version')}; this program reads {_VERSION}")
        return cls(memory, header["bar"], header["start"], _from_bytes(fitted) if fitted else None, header["seen"])


def _to_bytes(fitted: Fitted) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fitted"
        fitted.save(path)
        return path.read_bytes()


def _from_bytes(data: bytes) -> Fitted:
    from barograph.fitted import Fitted

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fitted"
        path.write_bytes(data)
        return Fitted.load(path)
