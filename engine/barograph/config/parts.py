"""A part of a config: where its factory is, its arguments, and how it is made."""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from barograph.config.mistakes import shown, told, wish
from barograph.errors import BarographError, ConfigError, PartError, nearest

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


def make(part: Part, where: str, folder: Path) -> Any:
    """Call a part's factory with its arguments, checked against its signature."""
    factory = attribute(part.use, where, folder)
    if not callable(factory):
        raise PartError(f"{where}: {part.use} is {type(factory).__name__}; wanted a factory function")
    arguments = _arguments(factory, part, where, folder)
    try:
        return factory(**arguments)
    except BarographError as error:
        raise type(error)(f"{where}: {error}") from error
    except Exception as error:
        raise PartError(f"{where}: {part.use} failed with {type(error).__name__}: {error}") from error


def attribute(use: str, where: str, folder: Path) -> Any:
    """Import what ``module:name`` says; modules beside the config are found too."""
    module, _, name = use.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    # A module written a moment ago may not be in what Python remembers of the folder.
    importlib.invalidate_caches()
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
            raise ConfigError(f"{where}: {told(error, Part)}") from error
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
