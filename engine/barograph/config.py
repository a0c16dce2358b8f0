"""Configs: TOML in, a `Machine` and a `History` out, every mistake named with its file, key and remedy.

A part is a table with ``use = "module:factory"``; its other keys are the factory's own arguments, so the factory's
signature is the schema and there is no registry. A value may be a part itself (``of = { use = ... }``).
"""

from __future__ import annotations

import datetime
import importlib
import inspect
import sys
import tomllib
import typing
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from barograph.errors import BarographError, ConfigError, PartError, nearest

if TYPE_CHECKING:
    from barograph.history import History
    from barograph.machine import Machine

__all__ = ["Config", "Execution", "FitPlan", "Part", "Period", "build", "load", "load_history", "schema"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Part(BaseModel):
    """A part: where its factory is, and the factory's arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = Field(
        description='"module:factory"; the other keys are the factory\'s arguments', pattern=r"^[\w.]+:\w+$"
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """The factory's arguments as they stand in the file."""
        return dict(self.model_extra or {})


class FitPlan(_Strict):
    """When the model learns: see `barograph.Fit`."""

    window: int = Field(ge=2, description="training window, in bars")
    every: int | Literal["week", "month", "quarter", "year", "never"] = "year"
    expanding: bool = False
    embargo: int = Field(default=0, ge=0, description="bars left out between training window and decision bar")


class Period(_Strict):
    """What part of the data is decided on; earlier bars warm up features and train the model."""

    start: str | int | None = Field(default=None, description="first decided bar: a date or an index")
    end: str | None = Field(default=None, description="last date used")


class Execution(_Strict):
    """The terms of trade; the defaults are honest: costs on, financing on when borrowed."""

    cash: float = Field(default=1_000_000.0, gt=0, description="starting cash")
    fill: Literal["next_open", "next_close", "same_close"] = "next_open"
    fee: float = Field(default=0.0005, ge=0, lt=0.5, description="fraction of the traded value")
    fixed_fee: float = Field(default=0.0, ge=0, description="money an order")
    slippage: float = Field(default=0.0002, ge=0, lt=0.5, description="fraction of the price, never beyond the bar")
    lot: float = Field(default=0.0, ge=0, description="smallest unit traded; 0 is any quantity")
    leverage: float = Field(default=1.0, gt=0, description="highest gross exposure, as a multiple of equity")
    borrow_rate: float = Field(default=0.05, ge=0, description="yearly rate on negative cash, actual/365")
    cash_rate: float = Field(default=0.0, description="yearly rate on positive cash, actual/365")
    band: float = Field(default=0.0, ge=0, description="no trade while the weight is nearer to its target than this")


class Config(_Strict):
    """One run: data, features, model, fit schedule, strategy, terms of trade."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="names the run folder")
    data: Part
    observed: list[Part] = Field(default=[], description="histories joined to the data, seen but not traded (VIX)")
    run: Period = Period()
    features: list[Part] = Field(default=[], description="what the model sees; default: the log return")
    model: Part | None = None
    fit: FitPlan | None = None
    strategy: Part
    execution: Execution = Execution()

    def resolved(self) -> dict[str, Any]:
        """Return every value, defaults included, ready to be written as TOML."""
        return self.model_dump(exclude_none=True)


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
    tree = _dates_as_text(tree)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_told(error, Config)}") from error


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
    errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    first = errors[0]
    where = ".".join(str(p) for p in first["loc"])
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
    told = " or ".join(e["msg"][0].lower() + e["msg"][1:] for e in same)
    return f"{where} is {_short(first['input'])}; {told}"


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for step in path:
        kind = model.model_fields[str(step)].annotation if str(step) in model.model_fields else None
        options = [kind, *typing.get_args(kind)]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), model)
    return list(model.model_fields)


def _about(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    name = str(path[-1])
    if name == "use":
        return 'use = "module:factory"'
    return f"a [{name}] table" if len(path) == 1 and name in ("data", "strategy") else f"a value for {name}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def load_history(config: Config, folder: Path) -> History:
    """Load the data of a config, joined with what is only observed; paths are relative to the config's folder."""
    history = _history(config.data, "data", folder)
    for n, part in enumerate(config.observed):
        seen = _history(part, f"observed.{n}", folder)
        history = history.join(seen.observe(*seen.symbols), rows="mine")
    return history if config.run.end is None else history.between(None, config.run.end)


def _history(part: Part, where: str, folder: Path) -> History:
    from barograph.history import History

    found = make(part, where, folder)
    if not isinstance(found, History):
        raise PartError(f"{where}: {part.use} returned {type(found).__name__}; wanted a History")
    return found


def build(config: Config, folder: Path) -> Machine:
    """Make the machine of a config. Raises `PartError` or `ConfigError` naming the key."""
    from barograph.machine import Fit, Machine

    fit = None if config.fit is None else Fit(**config.fit.model_dump())
    terms = config.execution.model_dump()
    unknown = set(terms) - {f.name for f in fields(Machine)}
    assert not unknown, unknown
    return Machine(
        name=config.name,
        strategy=_strategy(config.strategy, folder),
        features=[_feature(part, f"features.{n}", folder) for n, part in enumerate(config.features)],
        model=None if config.model is None else _model(config.model, folder),
        fit=fit,
        start=config.run.start,
        **terms,
    )


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
        problem = error.errors()[0]["msg"]
        raise ConfigError(f"{where} is {_short(value)}; {problem[0].lower()}{problem[1:]}") from error


def _mentions(hint: Any, kind: type) -> bool:
    return hint is kind or any(_mentions(inner, kind) for inner in typing.get_args(hint))


def _paths(value: Any, where: str, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _paths(inner, f"{where}.{key}", folder) for key, inner in value.items()}
    if not isinstance(value, str):
        raise ConfigError(f"{where} is {_short(value)}; wanted the path of a file, as text")
    return folder / value
