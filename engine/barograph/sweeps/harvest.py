"""What a sweep brings home, point by point: in memory, or in files from which a sweep that was killed goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from barograph.errors import DataError
from barograph.execution.book import FAULTS
from barograph.sweeps.figures import FIGURES
from barograph.validation.block_sums import BLOCKS

__all__ = ["NOT_YET", "Harvest"]

# How a point ended, beside the faults of a book: not at all yet; a part raised.
NOT_YET: Final = -1
RAISED: Final = -2
_LINES: Final = "raised.jsonl"


class Harvest:
    """Figures (M, figures), block sums of returns (M, B, 3), and how each of M points ended (M, 2): fault, bar.

    `beyond` are the block sums of the returns less those of buying and holding.

    With a `folder` they lie in files there: what a killed sweep had finished is found again, and not run again.
    Raises `DataError` where the files are of another sweep.
    """

    def __init__(self, points: int, folder: Path | None = None) -> None:
        self.folder = folder
        shapes = {"figures": (points, len(FIGURES)), "sums": (points, BLOCKS, 3), "beyond": (points, BLOCKS, 3)}
        made = [_array(folder, name, np.float64, shape, np.nan) for name, shape in shapes.items()]
        self.rows, self.sums, self.beyond = made
        self.ended: NDArray[np.int64] = _array(folder, "ended", np.int64, (points, 2), NOT_YET)
        self._said: dict[int, str] = _lines(folder)
        self.found = int(np.count_nonzero(self.ended[:, 0] != NOT_YET))

    @property
    def missing(self) -> NDArray[np.intp]:
        """The points that have not been run yet."""
        return np.flatnonzero(self.ended[:, 0] == NOT_YET)

    def finish(self, number: int, bar: int, fault: int) -> None:
        """Note how a point ended: its figures stand before that, so that a kill between the two only runs it again."""
        self.ended[number, 1] = bar
        self.ended[number, 0] = fault

    def raised(self, number: int, error: Exception) -> None:
        """Note what a part of a point raised."""
        self._say(number, f"{type(error).__name__}: {error}")
        self.finish(number, -1, RAISED)

    def take(self, numbers: NDArray[np.intp], part: Harvest) -> None:
        """Take in what another brought home of these points, in this order; figures stand first here too."""
        self.rows[numbers], self.sums[numbers], self.beyond[numbers] = part.rows, part.sums, part.beyond
        for n, text in part._said.items():
            self._say(int(numbers[n]), text)
        self.ended[numbers, 1] = part.ended[:, 1]
        self.ended[numbers, 0] = part.ended[:, 0]

    def _say(self, number: int, text: str) -> None:
        self._said[number] = text
        if self.folder is not None:
            with (self.folder / _LINES).open("a", encoding="utf-8") as lines:
                # A line of its own, whatever a kill has left of the one before.
                lines.write("\n" + json.dumps([number, text]) + "\n")

    def failed(self, number: int, when: Any) -> str:
        """Say why a point has no figures, "" where it has; ``when(bar)`` spells a bar's moment."""
        fault, bar = self.ended[number].tolist()
        if fault == RAISED:
            return self._said.get(number, "a part raised an error")
        return "not run" if fault == NOT_YET else "" if fault == 0 else f"{FAULTS[fault]} at {when(bar)}"


def _array(folder: Path | None, name: str, kind: Any, shape: tuple[int, ...], empty: float) -> Any:
    """Return an array of nothing yet, or the one that lies in the folder."""
    if folder is None:
        return np.full(shape, empty, dtype=kind)
    path = folder / f"{name}.npy"
    if not path.exists():
        fresh = path.with_suffix(".new")
        made = open_memmap(fresh, "w+", kind, shape)
        made[:] = empty
        made.flush()
        fresh.rename(path)
    found = open_memmap(path, "r+")
    if found.shape != shape:
        raise DataError(f"{path}: holds {found.shape}, wanted {shape}; delete the folder to begin the sweep anew")
    return found


def _lines(folder: Path | None) -> dict[int, str]:
    path = None if folder is None else folder / _LINES
    if path is None or not path.exists():
        return {}
    said = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        # The last line may have been cut short by a kill: its point was not finished.
        try:
            number, text = json.loads(line)
        except ValueError:
            continue
        said[int(number)] = str(text)
    return said
