"""A setting of another kind than the factory's signature says is one line, in Python as in a config."""

from __future__ import annotations

import functools
import inspect
import reprlib
import types
import typing
from collections.abc import Callable
from typing import Any, Final, Literal, ParamSpec, TypeVar

import numpy as np

from barograph.errors import ConfigError

__all__ = ["checked"]

P = ParamSpec("P")
R = TypeVar("R")

SEEDS: Final = 2**64
_NUMBERS: dict[Any, tuple[type, ...]] = {int: (int, np.integer), float: (int, float, np.integer, np.floating)}
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text",
    types.NoneType: "None",
}


def checked(factory: Callable[P, R]) -> Callable[P, R]:
    """Return a factory that raises `ConfigError` for a setting of another kind than its signature says, or no seed.

    What the factory itself refuses comes first: it knows the limits too.

    >>> @checked
    ... def model(states: int = 2, penalty: float | None = None) -> str:
    ...     return f"{states} {penalty}"
    >>> model(penalty=3)
    '2 3'
    >>> model(penalty="a")
    Traceback (most recent call last):
    barograph.errors.ConfigError: model: penalty = 'a', a number or None is wanted
    """

    @functools.wraps(factory)
    def made(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            model = factory(*args, **kwargs)
        except (TypeError, ValueError, AttributeError, ConfigError) as error:
            if isinstance(error, ConfigError) and str(error).startswith(f"{factory.__name__}:"):
                raise
            # Python's own words, or those of a factory that this one asks in turn.
            _refuse_other_kinds(factory, args, kwargs)
            raise
        _refuse_other_kinds(factory, args, kwargs)
        return model

    return made


def _refuse_other_kinds(factory: Callable[..., Any], args: Any, kwargs: Any) -> None:
    hints = _hints(factory)
    for name, value in inspect.signature(factory).bind(*args, **kwargs).arguments.items():
        if name in hints and not _is(value, hints[name]):
            told = f"{name} = {reprlib.repr(value)}, {_wanted(hints[name])} is wanted"
            raise ConfigError(f"{factory.__name__}: {told}")
        # What draws takes no other, and would say so at the first fit.
        if name == "seed" and not 0 <= value < SEEDS:
            told = f"seed = {value!r}, a whole number from 0 and below 2**64 is wanted"
            raise ConfigError(f"{factory.__name__}: {told}")


@functools.cache
def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(factory)


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return what a hint is one of."""
    of_several = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if of_several else (hint,)


def _is(value: Any, hint: Any) -> bool:
    """Tell whether a value is what a hint says; hints that are not looked into are taken at their word."""
    return any(_is_one(value, part) for part in _parts(hint))


def _is_one(value: Any, hint: Any) -> bool:
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in of)
    if origin is list:
        return isinstance(value, list | tuple | np.ndarray) and all(_is(one, of[0]) for one in value)
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _wanted(hint: Any) -> str:
    return " or ".join(_word(part) for part in _parts(hint))


def _word(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, typing.get_args(hint)))}"
    if typing.get_origin(hint) is list:
        return f"a list ({_wanted(typing.get_args(hint)[0])} each)"
    return _WORDS.get(hint, f"a {getattr(hint, '__name__', hint)}")
