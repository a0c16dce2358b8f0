"""Everything a run remembers, as one thing that can be saved and gone on from."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barograph.errors import DataError
from barograph.jit.memory import Memory
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.regimes.fitted import Fitted, Modules

__all__ = ["InUse", "World"]

# A world that has chosen says more, and must not be read by a program that would not choose again; all others are
# written as they always were.
_VERSION = 2
_CHOOSING = 3


class InUse(NamedTuple):
    """Which candidate of a choice is in use, the first bar that its shadow decided, and the close of the last choice.

    Its fits fall due as its shadow's do, whose first decision is the `origin`.
    """

    candidate: int
    origin: int
    bar: int


@dataclass(frozen=True)
class World:
    """Feature, filter and strategy states, the book with its orders, the fitted model, and the bars that were seen.

    `seen` is the history it has seen the first `bar` bars of, or their digest once it was saved. The last fit was asked
    for at the close of bar `learned`; `last` (R + 1,) is the last belief. `in_use` is what a machine that chooses has
    chosen.
    """

    memory: Memory
    bar: int
    start: int
    fitted: Fitted | None
    seen: History | str
    learned: int = -1
    last: Floats | None = None
    in_use: InUse | None = None

    @property
    def features(self) -> Any:
        """The features' states."""
        return self.memory.copy().read(0)

    @property
    def filter(self) -> Any:
        """The filter's state; with a belief an asset a tuple, one of each."""
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
            raise DataError(
                "the saved world belongs to another machine: its memory is laid out differently; begin anew, or go on "
                "with the config and the version of Barograph that saved it"
            )
        return Memory(self.memory.f.copy(), self.memory.i.copy(), blank.at, blank.shapes)

    def save(self, path: Path | str) -> None:
        """Write the world to one file, whole or not at all; no pickle inside."""
        target = Path(path)
        fresh = target.with_name(target.name + ".new")
        fresh.write_bytes(self.to_bytes())
        fresh.replace(target)

    @classmethod
    def load(cls, path: Path | str, modules: Modules | None = None) -> World:
        """Read a world; raises `DataError` naming the file when it is not one, or of another version.

        `modules` finds the model's own module, as in `Fitted.load`.
        """
        try:
            return cls.from_bytes(Path(path).read_bytes(), str(path), modules)
        except OSError as error:
            raise DataError(f"{path} is not a saved world: {error}") from error

    def to_bytes(self) -> bytes:
        """Return what `save` writes: the same world gives the same bytes."""
        last = None if self.last is None else self.last.tolist()
        header = {"version": _VERSION, "bar": self.bar, "start": self.start, "seen": self.digest}
        header |= {"learned": self.learned, "last": last}
        if self.in_use is not None:
            header |= {"version": _CHOOSING, "in_use": list(self.in_use)}
        parts = {"f": self.memory.f, "i": self.memory.i, "at": self.memory.at}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            _put(file, "header.json", json.dumps(header).encode())
            for name, array in parts.items():
                _put(file, f"{name}.{array.dtype.str}", array.tobytes())
            _put(file, "fitted", b"" if self.fitted is None else self.fitted.to_bytes())
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, source: str, modules: Modules | None = None) -> World:
        """Read what `to_bytes` gave; `source` is named in errors."""
        from barograph.regimes.fitted import Fitted

        try:
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                header = json.loads(file.read("header.json"))
                if (found := header.get("version")) not in (_VERSION, _CHOOSING):
                    wanted = f"this program reads {_VERSION} and {_CHOOSING}"
                    raise DataError(f"{source} is a world of version {found}; {wanted}")
                parts = dict(name.split(".", 1) for name in file.namelist() if name[0] in "fia" and "." in name)
                f, i, at = (np.frombuffer(file.read(f"{n}.{parts[n]}"), parts[n]).copy() for n in ("f", "i", "at"))
                fitted = file.read("fitted")
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{source} is not a saved world: {error}") from error
        model = Fitted.from_bytes(fitted, source, modules, kept=True) if fitted else None
        told = (header.get("learned", -1), header.get("last"))
        last = None if told[1] is None else np.array(told[1], dtype=np.float64)
        in_use = InUse(*header["in_use"]) if "in_use" in header else None
        return cls(Memory(f, i, at, ()), header["bar"], header["start"], model, header["seen"], told[0], last, in_use)


def _put(file: zipfile.ZipFile, name: str, body: bytes) -> None:
    # A fixed date: otherwise the same world saved twice would differ.
    file.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), body)
