"""What a part remembers, laid out flat: two buffers (floats, ints) and a table of where each leaf begins.

A state is any nesting of tuples and NamedTuples whose leaves are int, float, bool or float64/int64 arrays. Flat, it
passes the border between Python and compiled code as a bare pointer (a nested tuple costs 17-25 microseconds a
crossing), saves as bytes and compares as bytes. `load` and `store` are written once per *structure*: a longer window
or another number of assets changes the table, not the code, so nothing is compiled again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numba.core import types
from numba.extending import overload
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.reach import (
    floats1,
    floats2,
    floats3,
    ints1,
    ints2,
    ints3,
    move,
    put_real,
    put_word,
    real,
    spot,
    word,
)
from barograph.jit.views import frozen

__all__ = ["Memory", "joined", "lay_out", "make_load", "make_store", "slots", "structure", "whole"]

_SCALARS = {"f": "f", "i": "i"}
_KINDS = (np.float64, np.int64)
_WHICH: Final = {float: 0, int: 1}


def structure(tree: Any, where: str) -> Any:
    """Describe a state: its tuples, field names and the kinds of its leaves, but no sizes.

    Raises `PartError` naming the leaf that cannot be remembered.

    >>> structure((1, (2.0, np.zeros(3))), "demo")
    ('tuple', ('i', ('tuple', ('f', 'F1'))))
    """
    if isinstance(tree, tuple):
        names = getattr(tree, "_fields", range(len(tree)))
        inner = tuple(structure(leaf, f"{where}.{name}") for name, leaf in zip(names, tree, strict=True))
        return (type(tree) if hasattr(tree, "_fields") else "tuple", inner)
    if isinstance(tree, bool | int | np.integer | np.bool_):
        return "i"
    if isinstance(tree, float | np.floating):
        return "f"
    if isinstance(tree, np.ndarray) and tree.dtype in (np.float64, np.int64):
        return f"{'F' if tree.dtype == np.float64 else 'I'}{tree.ndim}"
    found = f"an array of {tree.dtype}" if isinstance(tree, np.ndarray) else type(tree).__name__
    raise PartError(f"{where} is {found}; a part remembers int, float and float64 or int64 arrays, in tuples")


@cache
def make_load(shape: Any, readonly: bool) -> Kernel[..., Any]:
    """Write the kernel ``load(f, i, at) -> tree`` for one structure, of three addresses; arrays are views.

    Parameters are read-only.
    """
    names: dict[str, Any] = {"frozen": frozen, "word": word, "real": real, **_VIEWS}
    body = _load_text(shape, names, [2], readonly)
    return _function("load", "f, i, at", [f"return {body}"], names)


@cache
def make_store(shape: Any) -> Kernel[..., Any]:
    """Write the kernel ``store(f, i, at, tree)`` for one structure; an array that is in its place costs nothing."""
    lines: list[str] = []
    _store_text(shape, "tree", lines, [2])
    names = {"whole": whole, "put_real": put_real, "put_word": put_word, "move": move, "word": word}
    return _function("store", "f, i, at, tree", lines or ["pass"], names)


_VIEWS: Final = {view.__name__: view for view in (floats1, floats2, floats3, ints1, ints2, ints3)}


def _function(name: str, arguments: str, lines: list[str], names: dict[str, Any]) -> Kernel[..., Any]:
    text = f"def {name}({arguments}):\n" + "".join(f"    {line}\n" for line in lines)
    exec(compile(text, "<memory>", "exec"), names)
    return kernel(names[name])


def _load_text(shape: Any, names: dict[str, Any], slot: list[int], readonly: bool) -> str:
    if isinstance(shape, tuple):
        kind, inner = shape
        parts = ", ".join(_load_text(leaf, names, slot, readonly) for leaf in inner)
        if kind == "tuple":
            return f"({parts},)" if inner else "()"
        alias = f"T{len(names)}"
        names[alias] = kind
        return f"{alias}({parts})"
    s = slot[0]
    if shape in _SCALARS:
        slot[0] += 1
        return f"{'real' if shape == 'f' else 'word'}({shape}, word(at, {s}))"
    buffer, dimensions = shape[0].lower(), int(shape[1])
    slot[0] += 2 + dimensions
    sizes = ", ".join(f"word(at, {s + 2 + j})" for j in range(dimensions))
    view = f"{'floats' if buffer == 'f' else 'ints'}{dimensions}({buffer}, word(at, {s}), {sizes})"
    return f"frozen({view})" if readonly else view


def _store_text(shape: Any, path: str, lines: list[str], slot: list[int]) -> None:
    if isinstance(shape, tuple):
        for j, leaf in enumerate(shape[1]):
            _store_text(leaf, f"{path}[{j}]", lines, slot)
        return
    s = slot[0]
    if shape in _SCALARS:
        slot[0] += 1
        put, value = ("put_word", f"whole({path})") if shape == "i" else ("put_real", path)
        lines.append(f"{put}({shape}, word(at, {s}), {value})")
        return
    buffer, dimensions = shape[0].lower(), int(shape[1])
    slot[0] += 2 + dimensions
    lines.append(f"move({buffer}, word(at, {s}), word(at, {s + 1}) - word(at, {s}), {path})")


def slots(shape: Any) -> int:
    """Return how many entries of the table a structure has, without the two that begin it."""
    if isinstance(shape, tuple):
        return sum(slots(leaf) for leaf in shape[1])
    return 1 if shape in _SCALARS else 2 + int(shape[1])


class Memory(NamedTuple):
    """Several trees in one pair of buffers; `at` begins with where each tree's own table begins and ends."""

    f: NDArray[np.float64]
    i: NDArray[np.int64]
    at: NDArray[np.int64]
    shapes: tuple[Any, ...]

    @classmethod
    def of(cls, trees: tuple[Any, ...], names: tuple[str, ...]) -> Memory:
        """Lay the trees out and write them in."""
        shapes = tuple(structure(tree, name) for tree, name in zip(trees, names, strict=True))
        tables, sizes = [], [0, 0]
        leaves: tuple[list[Any], list[Any]] = ([], [])
        for tree in trees:
            table = [0, 0]
            lay_out(tree, table, sizes, leaves)
            tables.append(table)
        starts = np.cumsum([len(trees) + 1, *(len(table) for table in tables)])
        at = np.array([*starts, *(x for table in tables for x in table)], dtype=np.int64)
        return cls(*joined(leaves), at, shapes)

    def read(self, k: int) -> Any:
        """Return tree `k`, its arrays as views into the buffers."""
        return self.reader(k)()

    def write(self, k: int, tree: Any) -> None:
        """Write tree `k` back."""
        self.writer(k)(tree)

    def reader(self, k: int) -> Callable[[], Any]:
        """Return what reads tree `k` again and again."""
        shape, table = self.shapes[k], self.at[self.at[k] + 2 : self.at[k + 1]].tolist()
        return lambda: _read(shape, self.f, self.i, table.copy())

    def writer(self, k: int) -> Callable[[Any], None]:
        """Return what writes tree `k` back again and again."""
        store = make_store(self.shapes[k]).py_func
        f, i, at = spot(self.f), spot(self.i), spot(self.at) + 8 * int(self.at[k])
        return lambda tree: store(f, i, at, tree)

    def place(self, k: int, leaf: int) -> int:
        """Return the address of a leaf of tree `k`: the leaves are arrays, counted from 0."""
        at = int(self.at[k]) + 2
        for shape in self.shapes[k][1][:leaf]:
            at += slots(shape)
        buffer = self.f if self.shapes[k][1][leaf][0] in "Ff" else self.i
        return spot(buffer) + 8 * int(self.at[at])

    def copy(self) -> Memory:
        """Return a copy that shares nothing that changes."""
        return Memory(self.f.copy(), self.i.copy(), self.at, self.shapes)


def lay_out(tree: Any, table: list[int], sizes: list[int], leaves: tuple[list[Any], list[Any]]) -> None:
    """Say where a tree's leaves lie, and gather them: floats, and whole numbers."""
    if isinstance(tree, tuple):
        for leaf in tree:
            # Most leaves are plain numbers.
            which = _WHICH.get(type(leaf))
            if which is None:
                lay_out(leaf, table, sizes, leaves)
            else:
                table.append(sizes[which])
                sizes[which] += 1
                leaves[which].append((leaf,))
    elif isinstance(tree, np.ndarray):
        which = 0 if tree.dtype == np.float64 else 1
        table += [sizes[which], sizes[which] + tree.size, *tree.shape]
        sizes[which] += tree.size
        leaves[which].append(tree.reshape(-1))
    else:
        which = 0 if isinstance(tree, float | np.floating) else 1
        table.append(sizes[which])
        sizes[which] += 1
        leaves[which].append((float(tree),) if which == 0 else (int(tree),))


def joined(leaves: tuple[list[Any], list[Any]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the buffers of gathered leaves; numbers that follow each other become an array together."""
    f, i = (np.concatenate([np.empty(0, kind), *_pieces(of, kind)]) for of, kind in zip(leaves, _KINDS, strict=True))
    return f, i


def _pieces(leaves: list[Any], kind: Any) -> Iterator[Any]:
    for alone, of in groupby(leaves, lambda leaf: isinstance(leaf, tuple)):
        if alone:
            yield np.array([number for (number,) in of], dtype=kind)
        else:
            yield from of


def _read(shape: Any, f: Any, i: Any, table: list[int]) -> Any:
    """Read a tree, its arrays as views that keep the buffers alive; `table` is used up from its front."""
    if isinstance(shape, tuple):
        inner = [_read(leaf, f, i, table) for leaf in shape[1]]
        return tuple(inner) if shape[0] == "tuple" else shape[0](*inner)
    buffer = f if shape[0] in "fF" else i
    if shape in _SCALARS:
        return buffer[table.pop(0)].item()
    first, last = table.pop(0), table.pop(0)
    return buffer[first:last].reshape([table.pop(0) for _ in range(int(shape[1]))])


def whole(value: Any) -> Any:
    """Refuse a float where the state began as an int: it would be cut short in silence."""
    if not isinstance(value, bool | int | np.integer):
        raise TypeError("a state that starts as int became float; start it as float")
    return value


# Annotations would be compared with the implementation's, so the overloads below carry none.
@overload(whole)
def _overload_whole(value):  # type: ignore[no-untyped-def]
    if not isinstance(value, types.Integer | types.Boolean):
        raise numba.TypingError("a state that starts as int became float; start it as float")
    return lambda value: value
