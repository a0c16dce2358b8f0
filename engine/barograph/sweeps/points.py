"""The points of a sweep in Python: of a function of all keys, or of parts that are functions of some of them each."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.errors import ConfigError
from barograph.loop.machine import Machine
from barograph.sweeps.stages import Point, point_of

if TYPE_CHECKING:
    from barograph.data.history import History

__all__ = ["Made", "Parted", "grid"]


def grid(keys: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Return every combination of the values, the last key changing fastest.

    >>> grid({"threshold": [0.5, 0.6], "fee": [0.0, 0.001]})
    [(0.5, 0.0), (0.5, 0.001), (0.6, 0.0), (0.6, 0.001)]
    """
    return list(itertools.product(*keys.values()))


class Made:
    """Points that a function makes one by one: what they share is found by looking at each."""

    def __init__(self, make: Callable[..., Machine], keys: Mapping[str, Sequence[Any]], history: History) -> None:
        self.make, self.keys, self.values, self.history = make, tuple(keys), grid(keys), history

    def point(self, number: int) -> Point:
        """Return one point."""
        return point_of(self.make(**dict(zip(self.keys, self.values[number], strict=True))), self.history)


class Parted:
    """Points of one machine whose strategy, terms, or both are made from keys: once for each of their own values.

    A part takes the keys that its parameters name, and no others: so points that agree in those share it, and nothing
    has to be compared. Raises `ConfigError` for a key that no part takes, and a parameter that is no key.
    """

    def __init__(self, machine: Machine, keys: Mapping[str, Sequence[Any]], history: History,
                 strategy: Callable[..., Any] | None, terms: Callable[..., Any] | None) -> None:  # fmt: skip
        self.machine, self.keys, self.values, self.history = machine, tuple(keys), grid(keys), history
        taken = [_taken(name, of, keys) for name, of in (("strategy", strategy), ("terms", terms))]
        left = [key for key in keys if not any(key in of for of in taken)]
        if left:
            told = "give strategy= or terms= a parameter of that name, or a function of all keys instead of a machine"
            raise ConfigError(f"sweep: nothing is made of key {left[0]!r}; {told}")
        self._parts = [_Part(of, names, keys) for of, names in zip((strategy, terms), taken, strict=True)]

    def point(self, number: int) -> Point:
        """Return one point, of parts that others have made."""
        (decides, strategy), (trades, terms) = self._parts[0].at(number), self._parts[1].at(number)
        machine = self.machine
        return Point(machine, machine.strategy if strategy is None else strategy,
                     machine.terms if terms is None else terms, self.history, (0, decides, trades))  # fmt: skip


class _Part:
    """What one function makes of its own keys, each combination once."""

    def __init__(self, make: Callable[..., Any] | None, names: list[str], keys: Mapping[str, Sequence[Any]]) -> None:
        self._make, self._names, self._made = make, names, dict[int, Any]()
        sizes = [len(of) for of in keys.values()]
        places = np.unravel_index(np.arange(int(np.prod(sizes))), sizes) if sizes else ()
        own = {key: place for key, place in zip(keys, places, strict=True) if key in names}
        self._own, shape = list(own), [len(keys[key]) for key in own]
        self._values = grid({key: keys[key] for key in own})
        of_points = np.ravel_multi_index(list(own.values()), shape) if own else np.zeros(1, int)
        self._number: list[int] = np.broadcast_to(of_points, int(np.prod(sizes))).tolist()

    def at(self, number: int) -> tuple[int, Any]:
        """Return the number of a point's own values, and what is made of them; None where nothing is."""
        if self._make is None:
            return 0, None
        own = self._number[number]
        made = self._made.get(own)
        if made is None:
            made = self._made[own] = self._make(**dict(zip(self._own, self._values[own], strict=True)))
        return own, made


def _taken(name: str, make: Callable[..., Any] | None, keys: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the keys that a function takes."""
    if make is None:
        return []
    given = inspect.signature(make).parameters.values()
    strange = [of.name for of in given if of.name not in keys and of.default is of.empty]
    if strange:
        raise ConfigError(f"sweep: {name}= wants {strange[0]!r}, which is no key; they are {', '.join(keys)}")
    return [of.name for of in given if of.name in keys]
