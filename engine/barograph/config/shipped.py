"""The parts that ship, found by where they stand, and a small machine around each: enough to compile it."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from barograph import features
from barograph.config.parts import Part, attribute, make
from barograph.data.history import History
from barograph.errors import ConfigError
from barograph.loop.fit import Fit
from barograph.loop.machine import Machine
from barograph.regimes.fitted import Model

__all__ = ["Shipped", "bars", "engine", "machine", "shipped"]

_FEATURES: Final = "barograph.features"
_PACKAGES: Final = {"strategy": "barograph_strategies", "model": "barograph_models"}
_HELD: Final = {"use": "barograph_strategies.buy_and_hold:buy_and_hold"}
_RETURN: Final = {"use": f"{_FEATURES}:log_return"}
_HMM: Final = {"use": "barograph_models.gaussian_hmm:gaussian_hmm"}
# A number that is another step: posterior draws are filtered side by side.
_DRAWS: Final = {"use": "barograph_models.student_hmm:student_hmm", "uncertainty": 2, "sweeps": 5}
_LABELS: Final = {"use": "barograph_models.labels:labels_of", "model": _HMM}
_CLASSIFIER: Final = {"use": "barograph_models.logistic:logistic", "labels": _LABELS}
# What some factories cannot be called without. How long, how many and which number compiles nothing new.
_GIVEN: Final[dict[str, Any]] = {
    "window": 20, "weights": [1.0], "asset": "DAILY2", "stale_after": 45, "feature": _RETURN, "of": _HELD,
    "labels": _LABELS,
}  # fmt: skip
# Words of how a classifier learns: what it learned is data, and scored by the same code.
_LEARNS: Final = ("calibrate", "weights", "oversample", "keep")
# `protected` has no defaults that protect.
_STOPS: Final = {"use": "barograph_strategies.protected:protected", "of": _HELD, "stop": 0.05}


class Shipped(NamedTuple):
    """A part that ships: what it is (`feature`, `model`, `strategy`), and the table that a config would hold."""

    kind: str
    table: dict[str, Any]


def shipped() -> list[Shipped]:
    """Return the parts that ship, one for each choice of words that a factory offers, all numbers at their defaults.

    A part around another is a part of its own: `protected` comes around each rule for one asset, and what can look at a
    feature looks at closes and at returns. A factory that needs a file of yours (`fixed_positions`) is left out.

    >>> [part.table["use"] for part in shipped() if part.kind == "model"][0]
    'barograph_models.amortised:amortised'
    """
    found = [("feature", f"{_FEATURES}:{name}") for name in features.__all__ if name.islower()]
    for kind, package in _PACKAGES.items():
        modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
        named = [(f"{package}.{m.name}", m.name) for m in modules if not m.name.startswith("_")]
        # A module that is used from Python alone has no factory of its own name.
        found += [(kind, f"{path}:{name}") for path, name in named if hasattr(importlib.import_module(path), name)]
    chosen = [Shipped(kind, {"use": use, **words}) for kind, use in found for words in _choices(use)]
    chosen = [part for part in (*chosen, Shipped("model", _DRAWS)) if _meant(part)]
    alone = [part for part in chosen if part.table["use"] != _STOPS["use"]]
    return [*alone, *(Shipped(part.kind, around) for part in alone for around in _around(part))]


def _meant(part: Shipped) -> bool:
    """Tell whether a factory takes these choices together."""
    try:
        _made(part.table)
    except ConfigError:
        return False
    return True


def _around(part: Shipped) -> Iterator[dict[str, Any]]:
    """Return the parts that have this one inside, or look at returns where this one looks at closes."""
    use = part.table["use"]
    if part.kind == "strategy" and "weights" not in part.table:
        yield {**_STOPS, "of": part.table}
    if part.kind == "feature" and "of" in inspect.signature(attribute(use, use, Path())).parameters:
        yield {**part.table, "of": _RETURN}


def _choices(use: str) -> Iterator[dict[str, Any]]:
    factory = attribute(use, use, Path())
    hints, needed, offered = typing.get_type_hints(factory), {}, {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.default is parameter.empty:
            needed[name] = _model(name) if hints[name] is Model else _GIVEN.get(name)
        elif typing.get_origin(hints[name]) is Literal and name not in _LEARNS:
            offered[name] = typing.get_args(hints[name])
    if None not in needed.values():
        for words in itertools.product(*offered.values()):
            yield {**needed, **dict(zip(offered, words, strict=True))}


def _model(name: str) -> dict[str, Any]:
    """Return what a factory that needs a model is given: a classifier, where it asks for one by name."""
    return _CLASSIFIER if name == "classifier" else _HMM


def engine() -> list[Shipped]:
    """Return two parts that need the light and the full book, and so the doors that all others call."""
    return [Shipped("strategy", _HELD), Shipped("strategy", _STOPS)]


def machine(part: Shipped) -> Machine:
    """Return a machine that calls a part: a strategy is given a model, because it may ask for one."""
    made = {kind: _made(table) for kind, table in {"strategy": _HELD, "model": _HMM, part.kind: part.table}.items()}
    watched = [made["feature"]] if part.kind == "feature" else [_made(_RETURN)]
    if part.kind == "feature" or part in engine():
        return Machine(strategy=made["strategy"], features=watched)
    model = made["model"]
    if model.untrained is not None:
        # To learn takes long, or what is not installed.
        return Machine(made["strategy"], watched, model.untrained(len(watched)))
    return Machine(made["strategy"], watched, model, fit=Fit(window=250, every=100), each=model.panel)


def _made(table: dict[str, Any]) -> Any:
    return make(Part.model_validate(table), table["use"], Path())


def bars() -> History:
    """Return bars that a model of two regimes can be fitted to."""
    from barograph.data.synthetic import SCENARIOS, simulate

    return simulate(SCENARIOS["daily2"], bars=400, seed=7).history
