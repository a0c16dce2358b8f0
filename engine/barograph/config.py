"""Configs: TOML in, a `Machine` and a `History` out, every mistake named with its file, key and remedy.

A part is a table with ``use = "module:factory"``; its other keys are the factory's own arguments, so the factory's
signature is the schema and there is no registry. A value may be a part itself (``of = { use = ... }``).
"""

from __future__ import annotations

import datetime
import importlib
import inspect
import sys
import time
import tomllib
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from barograph.errors import BarographError, ConfigError, DataError, PartError, nearest
from barograph.settings import Config, Execution, FitPlan, GuardPlan, Part, Period, redacted

if TYPE_CHECKING:
    from barograph.history import History
    from barograph.machine import Machine
    from barograph.types import Feed

__all__ = [
    "Config", "Execution", "FitPlan", "GuardPlan", "Part", "Period", "build", "feed_or_history", "load",
    "load_history", "make", "schema",
]  # fmt: skip


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a config, for editors."""
    return Config.model_json_schema()


def load(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read and check a config; `overrides` are ``key.path=value``, the value as TOML or plain text.

    Raises `ConfigError` naming file, key, what was found and what was wanted.
    """
    path = Path(path)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    for text in overrides:
        _override(tree, text)
    try:
        config = Config.model_validate(_dates_as_text(tree))
        _check_terms(config)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_told(error, Config)}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def _check_terms(config: Config) -> None:
    """Let the machine judge the terms together, before any data are loaded; rates that are parts come later."""
    from barograph.machine import Machine
    from barograph.types import Strategy

    terms = {key: value for key, value in dict(config.execution).items() if not isinstance(value, Part)}
    guards = _guards(config)
    try:
        Machine(strategy=Strategy(_nothing, _nothing, (), "none"), guards=guards, **terms)
    except ConfigError as error:
        named = str(error).partition(" ")[0] in Execution.model_fields
        raise ConfigError(f"execution{'.' if named else ': '}{error}") from error


def _nothing(*_: Any) -> None:
    """Stand in for a strategy where only the terms are looked at."""


def _guards(config: Config) -> list[Any]:
    from barograph.terms import Guard

    made = []
    for n, plan in enumerate(config.guards):
        try:
            made.append(Guard(**plan.model_dump()))
        except BarographError as error:
            raise ConfigError(f"guards.{n}: {error}") from error
    return made


def _override(tree: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text}: wanted key=value, as in --set strategy.calm=1.5")
    *path, last = key.strip().split(".")
    node: Any = tree
    for step in path:
        node = _inside(node, step, text)
    if isinstance(node, list):
        _inside(node, last, text)
        node[int(last)] = _value(value)
    else:
        node[last] = _value(value)


def _dates_as_text(value: Any) -> Any:
    """TOML knows dates without quotes; here a date is text, so that one spelling goes into hashes and folders."""
    if isinstance(value, dict):
        return {key: _dates_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _inside(node: Any, step: str, text: str) -> Any:
    if isinstance(node, list):
        if not step.isdigit() or int(step) >= len(node):
            raise ConfigError(f"--set {text}: {step!r} is no item of a list of {len(node)} (the first is 0)")
        return node[int(step)]
    if not isinstance(node, dict):
        raise ConfigError(f"--set {text}: {step!r} is inside a value, not a table")
    return node.setdefault(step, {})


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _told(error: ValidationError, model: type[BaseModel]) -> str:
    # An unknown key is the likelier mistake than the missing one it was meant to be.
    # A table is meant as a part, and a number is not what is missing there.
    found = [e for e in error.errors() if not (e["type"] == "float_type" and isinstance(e["input"], dict))]
    errors = sorted(found or error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    first = errors[0]
    where = ".".join(str(p) for p in first["loc"] if p != "Part")
    if first["type"] == "extra_forbidden":
        known = _keys(model, first["loc"][:-1])
        wanted = nearest(str(first["loc"][-1]), known) or f"; known keys: {', '.join(sorted(known))}"
        return f"unknown key {where!r}{wanted}"
    if first["type"] == "missing":
        return f"key {where!r} is missing; wanted {_about(model, first['loc'])}"
    # Where several types would do, each has its own complaint, and its name stands last in the place.
    several = first["loc"][-1] not in _keys(model, first["loc"][:-1]) and not isinstance(first["loc"][-1], int)
    same = [e for e in errors if e["loc"][:-1] == first["loc"][:-1]] if several else [first]
    where = ".".join(str(p) for p in first["loc"][:-1]) if several else where
    told = " or ".join(_wish(e) for e in same)
    return f"{where} is {_short(first['input'], where)}; {told}"


def _wish(error: Any) -> str:
    if error["type"] == "model_type":
        return 'input should be a table with use = "module:factory"'
    if error["type"] == "list_type" and isinstance(error["input"], dict):
        return f"input should be a list of tables, each headed [[{error['loc'][-1]}]]"
    if error["type"] == "is_instance_of":
        return f"input should be a {'list' if error['ctx']['class'] == 'Sequence' else 'table'}"
    # What has a small upper bound is a fraction, and what breaks it is usually a percentage.
    percent = error["type"] in ("less_than", "less_than_equal") and next(iter(error["ctx"].values())) <= 5
    return str(error["msg"][0].lower() + error["msg"][1:]) + (" (a fraction: 5 % is 0.05)" if percent else "")


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    return list(_table(model, path).model_fields)


def _table(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    for step in path:
        kind = model.model_fields[str(step)].annotation if str(step) in model.model_fields else None
        options = [kind, *typing.get_args(kind)]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), model)
    return model


def _about(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    name = str(path[-1])
    if name == "use":
        return 'use = "module:factory"'
    if len(path) == 1 and name in ("data", "strategy"):
        return f"a [{name}] table"
    return _table(model, path[:-1]).model_fields[name].description or f"a value for {name}"


def _short(value: Any, where: str) -> str:
    unreadable_url = f"a {type(value).__name__} (not shown)" if where.endswith((".url", ".store")) else ""
    text = unreadable_url or repr(redacted(value, where.rpartition(".")[2]))
    return text if len(text) < 60 else f"{text[:57]}..."


def load_history(config: Config, folder: Path) -> History:
    """Load the data of a config, joined with what is only observed; paths are relative to the config's folder."""
    history = _history(config.data, "data", folder)
    for n, part in enumerate(config.observed):
        seen = _history(part, f"observed.{n}", folder)
        history = history.join(seen.observe(*seen.symbols), rows="mine")
    return history if config.run.end is None else history.between(None, config.run.end)


def _history(part: Part, where: str, folder: Path) -> History:
    from barograph.types import Feed

    found = feed_or_history(part, where, folder)
    if not isinstance(found, Feed):
        return found
    from barograph.calendars import FIRST

    history = found.fetch(FIRST, time.time_ns())
    if history is None:
        raise DataError(f"{where}: {found.name} has no bars")
    return cast("History", history)


def feed_or_history(part: Part, where: str, folder: Path) -> History | Feed:
    """Make a part that brings bars: all there are (a `History`), or those of a span when asked (a `Feed`)."""
    from barograph.history import History
    from barograph.types import Feed

    found = make(part, where, folder)
    if not isinstance(found, History | Feed):
        raise PartError(f"{where}: {part.use} returned {type(found).__name__}; wanted a History or a Feed")
    return found


def build(config: Config, folder: Path) -> Machine:
    """Make the machine of a config. Raises `PartError` or `ConfigError` naming the key."""
    from barograph.machine import Fit, Machine

    fit = None if config.fit is None else Fit(**config.fit.model_dump())
    terms = {key: _term(value, f"execution.{key}", folder) for key, value in dict(config.execution).items()}
    return Machine(
        name=config.name,
        strategy=_strategy(config.strategy, folder),
        features=[_feature(part, f"features.{n}", folder) for n, part in enumerate(config.features)],
        model=None if config.model is None else _model(config.model, folder),
        fit=fit,
        start=config.run.start,
        guards=_guards(config),
        **terms,
    )


def _term(value: Any, where: str, folder: Path) -> Any:
    """Return a term of trade as the machine wants it; a part becomes the rate it stands for."""
    from barograph.terms import Rate

    if not isinstance(value, Part):
        return value
    made = make(value, where, folder)
    if not isinstance(made, Rate):
        raise PartError(f"{where}: {value.use} returned {type(made).__name__}; wanted a Rate")
    return made


def _strategy(part: Part, folder: Path) -> Any:
    from barograph.machine import strategy
    from barograph.types import Strategy

    found = _attribute(part.use, "strategy", folder)
    ready = isinstance(found, Strategy) or _is_step(found)
    if ready and part.arguments:
        raise ConfigError(
            f"unknown key 'strategy.{next(iter(part.arguments))}': {part.use} is no factory, it takes none"
        )
    if _is_step(found):
        return strategy(found)
    made = found if ready else make(part, "strategy", folder)
    if not isinstance(made, Strategy):
        raise PartError(f"strategy: {part.use} returned {type(made).__name__}; wanted a Strategy")
    return made


def _model(part: Part, folder: Path) -> Any:
    from barograph.fitted import Fitted, Model

    made = make(part, "model", folder)
    if not isinstance(made, Model | Fitted):
        raise PartError(f"model: {part.use} returned {type(made).__name__}; wanted a Model, or one already fitted")
    return made


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


def make(part: Part, where: str, folder: Path) -> Any:
    """Call a part's factory with its arguments, checked against its signature."""
    factory = _attribute(part.use, where, folder)
    if not callable(factory):
        raise PartError(f"{where}: {part.use} is {type(factory).__name__}; wanted a factory function")
    arguments = _arguments(factory, part, where, folder)
    try:
        return factory(**arguments)
    except BarographError as error:
        raise type(error)(f"{where}: {error}") from error
    except Exception as error:
        raise PartError(f"{where}: {part.use} failed with {type(error).__name__}: {error}") from error


def _attribute(use: str, where: str, folder: Path) -> Any:
    module, _, name = use.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise PartError(f"{where}: no module {error.name!r} for use = {use!r}{_near_module(module)}") from error
        raise PartError(f"{where}: {use} needs the module {error.name!r}, which is not installed") from error
    except Exception as error:
        raise PartError(f"{where}: {module} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(found, name):
        known = [n for n in dir(found) if not n.startswith("_")]
        raise PartError(f"{where}: {module} has no {name!r}{nearest(name, known)}")
    return getattr(found, name)


def _near_module(module: str) -> str:
    import pkgutil

    package, _, last = module.rpartition(".")
    try:
        names = [m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__)] if package else []
    except (ImportError, AttributeError):
        return ""
    return nearest(last, names)


def _arguments(factory: Callable[..., Any], part: Part, where: str, folder: Path) -> dict[str, Any]:
    try:
        signature, hints = inspect.signature(factory), typing.get_type_hints(factory)
    except (ValueError, TypeError, NameError) as error:
        raise PartError(f"{where}: the signature of {part.use} cannot be read: {error}") from error
    given = part.arguments
    for name in given:
        if name not in signature.parameters:
            known = ", ".join(signature.parameters) or "none"
            hint = nearest(name, signature.parameters) or f"; its arguments: {known}"
            raise ConfigError(f"unknown key '{where}.{name}': {part.use} takes no such argument{hint}")
    for name, parameter in signature.parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise ConfigError(f"key '{where}.{name}' is missing: {part.use} needs it")
    return {name: _argument(value, hints.get(name, Any), f"{where}.{name}", folder) for name, value in given.items()}


def _argument(value: Any, hint: Any, where: str, folder: Path) -> Any:
    from barograph.types import Feature, Filter, Strategy

    if isinstance(value, dict) and "use" in value:
        try:
            return make(Part.model_validate(value), where, folder)
        except ValidationError as error:
            raise ConfigError(f"{where}: {_told(error, Part)}") from error
    if isinstance(value, list) and any(isinstance(v, dict) and "use" in v for v in value):
        return [_argument(v, Any, f"{where}.{n}", folder) for n, v in enumerate(value)]
    if _mentions(hint, Path):
        return _paths(value, where, folder)
    try:
        return TypeAdapter(hint).validate_python(value, strict=True)
    except PydanticSchemaGenerationError:
        return value
    except ValidationError as error:
        part = any(_mentions(hint, noun) for noun in (Feature, Filter, Strategy))
        wish = 'wanted a part: a table with use = "module:factory"' if part else _wish(error.errors()[0])
        raise ConfigError(f"{where} is {_short(value, where)}; {wish}") from error


def _mentions(hint: Any, kind: type) -> bool:
    return hint is kind or any(_mentions(inner, kind) for inner in typing.get_args(hint))


def _paths(value: Any, where: str, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _paths(inner, f"{where}.{key}", folder) for key, inner in value.items()}
    if not isinstance(value, str):
        raise ConfigError(f"{where} is {_short(value, where)}; wanted the path of a file, as text")
    return folder / value
