"""A config becomes a `History` and a `Machine`; whatever cannot be made is named with its key."""

from __future__ import annotations

import inspect
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from barograph.config.load import guards_of, with_value
from barograph.config.mistakes import told
from barograph.config.modules import beside
from barograph.config.parts import Part, attribute, make
from barograph.config.schema import ChoosePlan, Config, Data, FitPlan
from barograph.config.values import all_of, check_choice
from barograph.errors import BarographError, ConfigError, DataError, PartError

if TYPE_CHECKING:
    from barograph.data.conversion import Conversion
    from barograph.data.history import History
    from barograph.execution.terms import Terms
    from barograph.loop.machine import Machine
    from barograph.types import Feed, Strategy

__all__ = ["build", "feed_or_history", "load_history", "load_part", "strategy_of", "terms_of"]

# Errors of a file at rest that the gate judges bar by bar in one that grows.
_LEFT: Final = ("scale_jump",)


def load_history(config: Config, folder: Path, growing: bool = False, raw: bool = False) -> History:
    """Load the data of a config, joined with what is only observed, as the gate shows them, or `raw`.

    Paths are relative to the config's folder. With `growing` somebody may be writing its files: loaders that can tell
    leave out a line that has no end yet.
    """
    from barograph.data.gate import gated

    history = load_part(config.data, "data", folder, growing, config.data.gate)
    for n, part in enumerate(config.observed):
        seen = load_part(part, f"observed.{n}", folder, growing, config.data.gate)
        history = history.join(seen.observe(*seen.symbols), rows="mine")
    # What comes after the end speaks of nothing before it.
    history = history if config.run.end is None else history.between(None, config.run.end)
    return history if raw or config.data.gate == "off" else gated(history)


def load_part(part: Part, where: str, folder: Path, growing: bool = False, gate: str = "on") -> History:
    """Load the bars of one part: a loader's, or all that a feed has now."""
    from barograph.types import Feed

    found = feed_or_history(part, where, folder, growing, gate)
    if not isinstance(found, Feed):
        return found
    from barograph.epoch import FIRST

    history = found.fetch(FIRST, time.time_ns())
    if history is None:
        raise DataError(f"{where}: {found.name} has no bars")
    return cast("History", history)


def feed_or_history(part: Part, where: str, folder: Path, growing: bool = False, gate: str = "on") -> History | Feed:
    """Make a part that brings bars: all there are (a `History`), or those of a span when asked (a `Feed`).

    Without a `gate` a growing file is checked as one at rest.
    """
    from barograph.data.history import History
    from barograph.types import Feed

    if growing:
        left = () if gate == "off" else _LEFT
        part = part.model_copy(update=_growing(part.use, part.arguments, where, folder, left))
    conversion = _conversion(part, where, folder)
    found = make(_told(part, conversion, where, folder), where, folder)
    if not isinstance(found, History | Feed):
        raise PartError(f"{where}: {part.use} returned {type(found).__name__}; wanted a History or a Feed")
    return found if conversion is None else _converted(found, conversion, where)


def _growing(use: str, arguments: dict[str, Any], where: str, folder: Path, left: tuple[str, ...]) -> dict[str, Any]:
    """Tell a loader that takes the word, and the loaders among its arguments, that files are being written.

    What is `left` to the gate stops no load: the newest bar may be wrong today and mended tomorrow.
    """
    factory = attribute(use, where, folder)
    told = {name: _told_growing(value, where, folder, left) for name, value in arguments.items()}
    takes = inspect.signature(factory).parameters if callable(factory) else {}
    if "accept" in takes and isinstance(told.get("accept", []), list):
        told["accept"] = [*told.get("accept", []), *left]
    return {"growing": True, **told} if "growing" in takes else told


def _told_growing(value: Any, where: str, folder: Path, left: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_told_growing(one, where, folder, left) for one in value]
    if isinstance(value, dict) and "use" in value:
        rest = {name: one for name, one in value.items() if name != "use"}
        return {"use": value["use"], **_growing(value["use"], rest, where, folder, left)}
    return value


def _conversion(part: Part, where: str, folder: Path) -> Conversion | None:
    """Make the rates that [data] convert names; a name alone is an asset of the data."""
    from barograph.data.conversion import Conversion
    from barograph.data.history import History

    plan = part.convert if isinstance(part, Data) else None
    if plan is None:
        return None
    rates: dict[str, History | str] = {}
    for name, rate in plan.rates.items():
        place = f"{where}.convert.rates.{name}"
        rates[name] = rate if isinstance(rate, str) else make(rate, place, folder)
        if not isinstance(rates[name], History | str):
            found = type(rates[name]).__name__
            raise PartError(f"{place} is {found}; wanted a loader of a History with one asset, the rate")
    try:
        return Conversion(plan.to, rates, tuple(plan.inverse))
    except DataError as error:
        raise DataError(f"{where}.{error}") from error


def _told(part: Part, conversion: Conversion | None, where: str, folder: Path) -> Part:
    """Hand the rates on to a loader that asks for them: what it joins has to be converted before."""
    factory = attribute(part.use, where, folder)
    if conversion is None or not callable(factory) or "convert" not in inspect.signature(factory).parameters:
        return part
    return Part.model_validate({"use": part.use, **part.arguments, "convert": conversion})


def _converted(found: History | Feed, conversion: Conversion, where: str) -> History:
    from barograph.data.conversion import converted
    from barograph.types import Feed

    if isinstance(found, Feed):
        raise DataError(f"{where}.convert: {found.name} is a feed; wanted a loader of whole histories")
    try:
        return converted(found, conversion)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def build(config: Config, folder: Path) -> Machine:
    """Make the machine of a config, of modules as they are now. Raises `PartError` or `ConfigError` naming the key."""

    beside(folder).refresh()
    if config.choose is not None:
        return _choosing(config, config.choose, folder)
    return _machine(config, folder, terms_of(config, folder))


def _machine(config: Config, folder: Path, terms: Terms) -> Machine:
    from barograph.loop.fit import Fit
    from barograph.loop.machine import Machine

    fit = None if config.fit is None else Fit(**_schedule(config.fit, folder))
    return Machine(
        name=config.name,
        strategy=strategy_of(config.strategy, folder),
        features=[_feature(part, f"features.{n}", folder) for n, part in enumerate(config.features)],
        model=None if config.model is None else _model(config.model, folder),
        fit=fit,
        start=config.run.start,
        terms=terms,
        each=config.model is not None and config.model.each,
    )


def _choosing(config: Config, plan: ChoosePlan, folder: Path) -> Machine:
    """Make the machine that [choose] asks for: each candidate is the config with other values at its keys."""
    from barograph.loop.choosing.choice import choose

    check_choice(config)
    keys, terms, tree = tuple(plan.keys), terms_of(config, folder), config.resolved()

    def candidate(**values: Any) -> Machine:
        changed = tree
        for key, value in values.items():
            changed = with_value(changed, key, value, "choose.keys")
        try:
            return _machine(_checked(changed), folder, terms)
        except BarographError as error:
            spelled = ", ".join(f"{key} = {value!r}" for key, value in values.items())
            raise type(error)(f"{error} (at {spelled} of the choice)") from error

    settings = plan.model_dump(exclude={"keys"})
    return choose(candidate, {key: all_of(plan.keys[key]) for key in keys}, **settings)


def _checked(tree: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(told(error, Config)) from error


def terms_of(config: Config, folder: Path) -> Terms:
    """Make the terms of trade of a config."""
    from barograph.execution.terms import Terms

    terms = {key: _term(value, f"execution.{key}", folder) for key, value in dict(config.execution).items()}
    return Terms(guards=guards_of(config), **terms)


def _schedule(plan: FitPlan, folder: Path) -> dict[str, Any]:
    """Return a schedule's settings, with the functions that its parts name."""
    made = {key: make(part, f"fit.{key}", folder) for key in ("trigger", "check") if (part := getattr(plan, key))}
    for key, found in made.items():
        if not callable(found):
            raise PartError(f"fit.{key}: {getattr(plan, key).use} returned {type(found).__name__}; wanted a function")
    return plan.model_dump(exclude={"trigger", "check"}) | made


def _term(value: Any, where: str, folder: Path) -> Any:
    """Return a term of trade as the machine wants it; a part becomes the rate it stands for."""
    from barograph.data.rates import Rate

    if not isinstance(value, Part):
        return value
    made = make(value, where, folder)
    if not isinstance(made, Rate):
        raise PartError(f"{where}: {value.use} returned {type(made).__name__}; wanted a Rate")
    return made


def strategy_of(part: Part, folder: Path, known: Any = None) -> Strategy:
    """Make the strategy of a config; `known` is what its `use` names, where that is known."""
    from barograph.loop.machine import strategy
    from barograph.types import Strategy

    found = attribute(part.use, "strategy", folder) if known is None else known
    ready = isinstance(found, Strategy) or _is_step(found)
    if ready and part.arguments:
        raise ConfigError(
            f"unknown key 'strategy.{next(iter(part.arguments))}': {part.use} is no factory, it takes none"
        )
    if _is_step(found):
        return strategy(found)
    made = found if ready else make(part, "strategy", folder, found)
    if not isinstance(made, Strategy):
        raise PartError(f"strategy: {part.use} returned {type(made).__name__}; wanted a Strategy")
    return made


def _model(part: Part, folder: Path) -> Any:
    from barograph.regimes.fitted import Fitted, Model

    made = make(part, "model", folder)
    if not isinstance(made, Model | Fitted):
        raise PartError(f"model: {part.use} returned {type(made).__name__}; wanted a Model, or one already fitted")
    return made


@lru_cache(maxsize=256)
def _is_step(found: Any) -> bool:
    if not callable(found):
        return False
    try:
        names = list(inspect.signature(getattr(found, "py_func", found)).parameters)
    except ValueError:
        # A built-in type has no signature; it is no step either, and `make` says so.
        return False
    return names[:1] == ["state"] and len(names) == 5


def _feature(part: Part, where: str, folder: Path) -> Any:
    from barograph.types import Feature

    made = make(part, where, folder)
    if not isinstance(made, Feature):
        raise PartError(f"{where}: {part.use} returned {type(made).__name__}; wanted a Feature")
    return made
