"""What a part remembers, laid out flat: two buffers (floats, ints) and a table of where each leaf begins.

A state is any nesting of tuples and NamedTuples whose leaves are int, float, bool or float64/int64 arrays. Flat, it
passes the border between Python and compiled code as a bare pointer (a nested tuple costs 17-25 microseconds a
crossing), saves as bytes and compares as bytes. `load` and `store` are written once per *structure*: a longer window
or another number of assets changes the table, not the code, so nothing is compiled again.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import types
from numba.extending import overload
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.views import frozen, unowned

__all__ = ["Memory", "make_load", "make_store", "section", "structure", "whole"]

_SCALARS = {"f": "f", "i": "i"}


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
    """Write the kernel ``load(f, i, at) -> tree`` for one structure; arrays are views, read-only for parameters."""
    names: dict[str, Any] = {"frozen": frozen, "unowned": unowned}
    slot = [2]
    # Reshaping gives an array an owner again; borrowed, it is not counted (72 counts a bar took 130 ns).
    body = _load_text(shape, names, slot, "frozen" if readonly else "unowned")
    return _function("load", "f, i, at", [f"return {body}"], names)


@cache
def make_store(shape: Any) -> Kernel[..., Any]:
    """Write the kernel ``store(f, i, at, tree)`` for one structure; arrays already in place cost a copy onto itself."""
    lines: list[str] = []
    _store_text(shape, "tree", lines, [2])
    return _function("store", "f, i, at, tree", lines or ["pass"], {"whole": whole, "copy_into": copy_into})


@kernel
def copy_into(target: Any, source: Any) -> None:
    """Copy element by element: a slice assignment costs numba most of a second to compile, each."""
    if target.size != source.size:
        raise ValueError("a part's state changed the size of an array")
    for j in range(target.size):
        target[j] = source[j]


def _function(name: str, arguments: str, lines: list[str], names: dict[str, Any]) -> Kernel[..., Any]:
    text = f"def {name}({arguments}):\n" + "".join(f"    {line}\n" for line in lines)
    exec(compile(text, "<memory>", "exec"), names)
    return kernel(names[name])


def _load_text(shape: Any, names: dict[str, Any], slot: list[int], wrap: str) -> str:
    if isinstance(shape, tuple):
        kind, inner = shape
        parts = ", ".join(_load_text(leaf, names, slot, wrap) for leaf in inner)
        if kind == "tuple":
            return f"({parts},)" if inner else "()"
        alias = f"T{len(names)}"
        names[alias] = kind
        return f"{alias}({parts})"
    s = slot[0]
    if shape in _SCALARS:
        slot[0] += 1
        return f"{shape}[at[{s}]]"
    buffer, dimensions = shape[0].lower(), int(shape[1])
    slot[0] += 2 + dimensions
    view = f"{buffer}[at[{s}]:at[{s + 1}]]"
    if dimensions > 1:
        view = f"{view}.reshape({', '.join(f'at[{s + 2 + j}]' for j in range(dimensions))})"
    return f"{wrap}({view})"


def _store_text(shape: Any, path: str, lines: list[str], slot: list[int]) -> None:
    if isinstance(shape, tuple):
        for j, leaf in enumerate(shape[1]):
            _store_text(leaf, f"{path}[{j}]", lines, slot)
        return
    s = slot[0]
    if shape in _SCALARS:
        slot[0] += 1
        lines.append(f"{shape}[at[{s}]] = {f'whole({path})' if shape == 'i' else path}")
        return
    buffer, dimensions = shape[0].lower(), int(shape[1])
    slot[0] += 2 + dimensions
    flat = path if dimensions == 1 else f"{path}.reshape({path}.size)"
    lines.append(f"copy_into({buffer}[at[{s}]:at[{s + 1}]], {flat})")


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
        for tree in trees:
            table = [0, 0]
            _table(tree, table, sizes)
            tables.append(table)
        starts = np.cumsum([len(trees) + 1, *(len(table) for table in tables)])
        at = np.array([*starts, *(x for table in tables for x in table)], dtype=np.int64)
        memory = cls(np.zeros(sizes[0]), np.zeros(sizes[1], dtype=np.int64), at, shapes)
        for k, tree in enumerate(trees):
            memory.write(k, tree)
        return memory

    def read(self, k: int) -> Any:
        """Return tree `k`, its arrays as views into the buffers."""
        return make_load(self.shapes[k], readonly=False)(self.f, self.i, section(self.at, k))

    def write(self, k: int, tree: Any) -> None:
        """Write tree `k` back."""
        make_store(self.shapes[k])(self.f, self.i, section(self.at, k), tree)

    def copy(self) -> Memory:
        """Return a copy that shares nothing that changes."""
        return Memory(self.f.copy(), self.i.copy(), self.at, self.shapes)


def _table(tree: Any, table: list[int], sizes: list[int]) -> None:
    if isinstance(tree, tuple):
        for leaf in tree:
            _table(leaf, table, sizes)
    elif isinstance(tree, np.ndarray):
        which = 0 if tree.dtype == np.float64 else 1
        table += [sizes[which], sizes[which] + tree.size, *tree.shape]
        sizes[which] += tree.size
    else:
        which = 0 if isinstance(tree, float | np.floating) else 1
        table.append(sizes[which])
        sizes[which] += 1


@kernel
def section(at: Any, k: int) -> Any:
    """Return the part of the table that belongs to tree `k`."""
    return unowned(at)[at[k] : at[k + 1]]


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
