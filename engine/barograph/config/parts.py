"""A part of a config: where its factory is, its arguments, and how it is made."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from barograph.config.mistakes import shown, told, wish
from barograph.config.modules import PACKAGES, load
from barograph.errors import BarographError, ConfigError, PartError, as_written, nearest

__all__ = ["Part", "Strict", "attribute", "make"]


class Strict(BaseModel):
    """A table in which an unknown key is an error."""

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


def make(part: Part, where: str, folder: Path, found: Any = None) -> Any:
    """Call a part's factory with its arguments, checked against its signature; `found` is the factory, where known."""
    factory = attribute(part.use, where, folder) if found is None else found
    if not callable(factory):
        raise PartError(f"{where}: {part.use} is {type(factory).__name__}; wanted a factory function")
    arguments = _arguments(factory, part, where, folder)
    try:
        return factory(**arguments)
    except BarographError as error:
        raise type(error)(f"{where}: {error}") from error
    except Exception as error:
        told = as_written(f"{type(error).__name__}: {error}")
        raise PartError(f"{where}: {part.use} failed with {told}") from error


def attribute(use: str, where: str, folder: Path) -> Any:
    """Import what ``module:name`` says; modules beside the config come first."""
    module, _, name = use.partition(":")
    try:
        found = load(module, folder)
    except ModuleNotFoundError as error:
        missing = as_written(str(error.name))
        if module == missing or module.startswith(f"{missing}."):
            near = _near_module(missing, folder)
            raise PartError(f"{where}: no module {missing!r} for use = {use!r}{near}") from error
        spot = _spot(error, folder)
        raise PartError(f"{where}: {use} needs the module {missing!r}, which is not installed{spot}") from error
    except Exception as error:
        told = as_written(f"{type(error).__name__}: {error}")
        raise PartError(f"{where}: {module} cannot be imported: {told}{_spot(error, folder)}") from error
    if not hasattr(found, name):
        known = [n for n in dir(found) if not n.startswith("_")]
        raise PartError(f"{where}: {module} has no {name!r}{nearest(name, known)}")
    return getattr(found, name)


def _near_module(name: str, folder: Path) -> str:
    import pkgutil

    package, _, last = name.rpartition(".")
    if not package:
        return nearest(last, [*(m.name for m in pkgutil.iter_modules([str(folder)])), *PACKAGES])
    try:
        return nearest(last, [m.name for m in pkgutil.iter_modules(load(package, folder).__path__)])
    except (ImportError, AttributeError):
        return ""


def _spot(error: Exception, folder: Path) -> str:
    """Say which line of the user's files an import ended at; a syntax error says so itself."""
    import traceback

    own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(folder.resolve())]
    if not own or isinstance(error, SyntaxError):
        return ""
    return f" ({Path(own[-1].filename).relative_to(folder.resolve())}, line {own[-1].lineno})"


def _arguments(factory: Callable[..., Any], part: Part, where: str, folder: Path) -> dict[str, Any]:
    try:
        signature, hints = _signature(factory)
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


@lru_cache(maxsize=256)
def _signature(factory: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    """Read a factory's signature, once: a sweep asks it of every point."""
    return inspect.signature(factory), typing.get_type_hints(factory)


@lru_cache(maxsize=256)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def _argument(value: Any, hint: Any, where: str, folder: Path) -> Any:
    from barograph.types import Feature, Filter, Strategy

    if isinstance(value, dict) and "use" in value:
        try:
            return make(Part.model_validate(value), where, folder)
        except ValidationError as error:
            raise ConfigError(f"{where}: {told(error, Part)}") from error
    if isinstance(value, list) and any(isinstance(v, dict) and "use" in v for v in value):
        return [_argument(v, Any, f"{where}.{n}", folder) for n, v in enumerate(value)]
    if _mentions(hint, Path):
        return _paths(value, where, folder)
    try:
        return _adapter(hint).validate_python(value, strict=True)
    except PydanticSchemaGenerationError:
        return value
    except ValidationError as error:
        part = any(_mentions(hint, noun) for noun in (Feature, Filter, Strategy))
        wanted = 'wanted a part: a table with use = "module:factory"' if part else wish(error.errors()[0])
        raise ConfigError(f"{where} is {shown(value, where)}; {wanted}") from error


def _mentions(hint: Any, kind: type) -> bool:
    return hint is kind or any(_mentions(inner, kind) for inner in typing.get_args(hint))


def _paths(value: Any, where: str, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _paths(inner, f"{where}.{key}", folder) for key, inner in value.items()}
    if not isinstance(value, str):
        raise ConfigError(f"{where} is {shown(value, where)}; wanted the path of a file, as text")
    return folder / value
