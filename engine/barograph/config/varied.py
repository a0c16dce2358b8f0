"""A config with [sweep] becomes points: each is the config with other values at its keys.

What decides, what it costs and what is seen are made once for each of their own values: of 1,000 thresholds and three
fees there are 1,000 strategies, three sets of terms, and one model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from barograph.config.build import build, load_history, strategy_of, terms_of
from barograph.config.load import checked, tree_of, with_value
from barograph.config.mistakes import told
from barograph.config.parts import Part, attribute
from barograph.config.provenance import code_hash, hashed, versions
from barograph.config.schema import Config, Span, SweepPlan
from barograph.config.values import all_of, check_key, check_values, short
from barograph.errors import BarographError, ConfigError
from barograph.sweeps.stages import Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barograph.data.history import History
    from barograph.execution.terms import Terms
    from barograph.loop.machine import Machine
    from barograph.types import Strategy

__all__ = ["Varied", "values_of"]

_NO_PARTS = ("name", "paper", "sweep")
_TRADES = ("execution", "guards")
_DOES = {"random": "draw", "optuna": "search for"}


class _Sight(NamedTuple):
    """What sees: the machine, its history, and the config they are of."""

    machine: Machine
    history: History
    config: Config


class Varied:
    """The points of a config's [sweep]. Raises `ConfigError` naming file and key."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self._begin(path, tree_of(path, overrides))

    def _begin(self, path: Path, tree: dict[str, Any]) -> None:
        self.path, self.folder, self.tree = path, path.parent, tree
        self.config = checked(self.tree, path)
        if self.config.sweep is None:
            raise ConfigError(f"{path}: has no [sweep]; wanted one with keys, as in docs/sweeps.md")
        self.plan: SweepPlan = self.config.sweep
        self.keys = tuple(self.plan.keys)
        for key in self.keys:
            check_key(key, [name for name in Config.model_fields if name not in _NO_PARTS], f"{path}: sweep.keys")
        self.values = values_of(self.plan, f"{path}: sweep")
        self._made: dict[Hashable, Any] = {}
        # What a machine that chooses sees hangs on all there is: on strategy and terms as much as on its features.
        of = ["sees" if self.config.choose is not None else self._kind(key) for key in self.keys]
        self._of = {kind: [n for n, k in enumerate(of) if k == kind] for kind in ("sees", "decides", "trades")}
        self._histories: dict[Hashable, History] = {}
        self._factories: dict[str, Any] = {}

    def __getstate__(self) -> tuple[Path, dict[str, Any], dict[Hashable, History]]:
        """Give what another process makes it of: the text of the config, and the data."""
        return self.path.resolve(), self.tree, self._histories

    def __setstate__(self, state: tuple[Path, dict[str, Any], dict[Hashable, History]]) -> None:
        self._begin(*state[:2])
        self._histories = state[2]

    def __len__(self) -> int:
        return self.plan.points or len(self.values)

    def points(self) -> Iterator[Point]:
        """Yield all points, in the order of `values`."""
        return map(self.point, range(len(self.values)))

    def point(self, number: int) -> Point:
        """Return one point, made of what others have made."""
        keys = self._key(number, "sees"), self._key(number, "decides"), self._key(number, "trades")
        sight: _Sight = self._once(number, keys[0], self._sight)
        if sight.machine.choose is not None:
            return Point(sight.machine, sight.machine.strategy, sight.machine.terms, sight.history, keys)
        strategy: Strategy = self._once(number, keys[1], self._strategy)
        terms: Terms = self._once(number, keys[2], self._terms)
        return Point(sight.machine, strategy, terms, sight.history, keys)

    def told(self, number: int) -> str:
        """Spell a point as ``--set`` would: key=value, ..."""
        return ", ".join(f"{key}={value}" for key, value in zip(self.keys, self.values[number], strict=True))

    def config_at(self, number: int) -> Config:
        """Return the config of one point."""
        tree = self.tree
        for key, value in zip(self.keys, self.values[number], strict=True):
            tree = with_value(tree, key, value, f"{self.path}: sweep.keys")
        return checked(tree, self.path)

    def mark(self) -> str:
        """Return what stands for this sweep, once its points were made: its config, its points, its data, its code."""
        data = sorted(history.digest() for history in self._histories.values())
        code = sorted({code_hash(self.config_at(n), self.folder.resolve()) for n in self._firsts()})
        told = (self.config.model_dump_json(exclude={"paper"}), repr(self.values), *data, *code)
        return hashed([*told, *map(str, versions().items())])[:16]

    def _firsts(self) -> list[int]:
        """Return a point for each way to name code and files: they may be what is varied."""
        names = [n for n, key in enumerate(self.keys) if self._names_code(n, key)]
        found: dict[str, int] = {}
        for number, values in enumerate(self.values):
            found.setdefault(repr([values[n] for n in names]), number)
        return list(found.values())

    def _names_code(self, n: int, key: str) -> bool:
        texts = isinstance(self.values[0][n], str | dict) or any(isinstance(of[n], str | dict) for of in self.values)
        return texts or key.endswith((".use", ".file", ".path"))

    @staticmethod
    def _kind(key: str) -> str:
        table = key.partition(".")[0]
        return "decides" if table == "strategy" else "trades" if table in _TRADES else "sees"

    def _key(self, number: int, kind: str) -> Hashable:
        # 1 and 1.0 are one key of a dictionary, and may be two values of a parameter; lists are none.
        point = self.values[number]
        return kind, *[(n, type(point[n]), _hashable(point[n])) for n in self._of[kind]]

    def _once(self, number: int, key: Any, make: Any) -> Any:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._make(number, [n for n, _, _ in key[1:]], make)
        return found

    def _make(self, number: int, varied: list[int], make: Any) -> Any:
        tree, point = self.tree, self.values[number]
        for n in varied:
            tree = with_value(tree, self.keys[n], point[n], f"{self.path}: sweep.keys")
        try:
            return make(tree)
        except BarographError as error:
            if not varied:
                raise
            spelled = ", ".join(f"{self.keys[n]} = {point[n]!r}" for n in varied)
            raise type(error)(f"{error} (at {spelled} of the sweep)") from error

    def _sight(self, tree: dict[str, Any]) -> _Sight:
        config = checked(tree, self.path)
        # What is not of the data changes no history.
        key = repr([tree.get(name) for name in ("data", "observed")]) + repr(config.run.end)
        if key not in self._histories:
            self._histories[key] = load_history(config, self.folder)
        return _Sight(build(config, self.folder), self._histories[key], config)

    def _strategy(self, tree: dict[str, Any]) -> Strategy:
        try:
            part = Part.model_validate(tree["strategy"])
        except ValidationError as error:
            raise ConfigError(f"{self.path}: strategy: {told(error, Part)}") from error
        if part.use not in self._factories:
            self._factories[part.use] = attribute(part.use, "strategy", self.folder)
        return strategy_of(part, self.folder, self._factories[part.use])

    def _terms(self, tree: dict[str, Any]) -> Terms:
        return terms_of(checked(tree, self.path), self.folder)


def _hashable(value: Any) -> Hashable:
    return repr(value) if isinstance(value, list | dict) else value


def values_of(plan: SweepPlan, where: str = "sweep") -> list[tuple[Any, ...]]:
    """Return the values of every point, a tuple in the order of the plan's keys; a grid's last key changes fastest.

    A search has none yet: it asks for them as it goes.

    >>> values_of(SweepPlan(keys={"strategy.threshold": Span(first=0.3, last=0.4, points=3)}))
    [(0.3,), (0.35,), (0.4,)]

    Raises `ConfigError` where the plan says too little, or too much.
    """
    check_values(plan.keys, plan.how == "grid", f"{where}.keys")
    if plan.how == "grid":
        if plan.points is not None:
            told = "but a grid runs all; set how = 'random' to draw, or 'optuna' to search"
            raise ConfigError(f"{where}.points is {plan.points}, {told}")
        return list(itertools.product(*map(all_of, plan.keys.values())))
    if plan.points is None:
        raise ConfigError(f"{where}.points is missing; wanted how many points to {_DOES[plan.how]}")
    if plan.how == "optuna":
        return []
    rng = np.random.default_rng(plan.seed)
    return [tuple(_drawn(values, rng) for values in plan.keys.values()) for _ in range(plan.points)]


def _drawn(values: list[Any] | Span, rng: np.random.Generator) -> Any:
    if not isinstance(values, Span):
        return values[int(rng.integers(len(values)))]
    low, high = sorted((values.first, values.last))
    whole = isinstance(low, int) and isinstance(high, int)
    if whole and values.scale == "linear":
        return int(rng.integers(int(low), int(high) + 1))
    if values.scale == "log":
        drawn = short(math.exp(rng.uniform(math.log(low), math.log(high))))
        return round(drawn) if whole else drawn
    return short(float(rng.uniform(low, high)))
