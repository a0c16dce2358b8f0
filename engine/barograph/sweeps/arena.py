"""Parameters and first memories of many runs, laid out once: a run is told where its own lie.

Every tree of numbers gets a table, as `barograph.jit.memory` writes them, whose places count from the beginning of the
one pair of buffers; so another parameter is another address, and nothing is copied or compiled for it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.memory import joined, lay_out
from barograph.jit.reach import spot

__all__ = ["Arena", "Image", "Images", "Plain"]


class Plain(NamedTuple):
    """Where trees lie: their buffers, and all tables after another."""

    f: NDArray[np.float64]
    i: NDArray[np.int64]
    tables: NDArray[np.int64]

    def table(self, at: int) -> int:
        """Return the address of the table that begins there."""
        return spot(self.tables) + 8 * at


class Arena:
    """Trees that are read and never written: parameters."""

    def __init__(self) -> None:
        self._tables: list[int] = []
        self._sizes = [0, 0]
        self._leaves: tuple[list[Any], list[Any]] = ([], [])

    def add(self, tree: Any) -> int:
        """Take a tree in; return where its table begins."""
        at = len(self._tables)
        self._tables += (0, 0)
        lay_out(tree, self._tables, self._sizes, self._leaves)
        return at

    def closed(self) -> Plain:
        """Return the buffers, once all trees are in."""
        f, i = joined(self._leaves)
        # An address is wanted even where nothing lies.
        return Plain(np.append(f, 0.0), np.append(i, 0), np.array([*self._tables, 0], dtype=np.int64))


class Image(NamedTuple):
    """A tree as a run begins with it: where in its buffers, the numbers, and where its table begins among all."""

    at: tuple[int, int]
    f: NDArray[np.float64]
    i: NDArray[np.int64]
    table: int


class Images:
    """Trees that every run writes anew, all at the same place of its own buffers."""

    def __init__(self, place: tuple[int, int]) -> None:
        self.place = place
        self._tables: list[int] = []
        self.largest = [0, 0]

    def add(self, tree: Any) -> Image:
        """Take a tree in; return how a run begins with it."""
        at, sizes = len(self._tables), list(self.place)
        leaves: tuple[list[Any], list[Any]] = ([], [])
        self._tables += (0, 0)
        lay_out(tree, self._tables, sizes, leaves)
        for k in range(2):
            self.largest[k] = max(self.largest[k], sizes[k] - self.place[k])
        return Image(self.place, *joined(leaves), at)

    def tables(self) -> NDArray[np.int64]:
        """Return all tables, once all trees are in."""
        return np.array([*self._tables, 0], dtype=np.int64)
