"""Keys of a config that take several values, in a sweep or in a choice: which keys, and which values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from barograph.config.schema import Span
from barograph.errors import ConfigError, nearest

if TYPE_CHECKING:
    from barograph.config.schema import Config

__all__ = ["CHOSEN", "all_of", "check_choice", "check_key", "check_values", "choices_of", "short"]

CHOSEN: Final = ("features", "model", "fit", "strategy")
"""The tables whose keys [choose] may vary: all others are of the account, or of the data."""


def check_key(key: str, known: Sequence[str], where: str) -> None:
    """Raise `ConfigError` unless a key is one of these tables'."""
    table, dot, _ = key.partition(".")
    if table not in known or not dot:
        hint = nearest(table, known) or f"; its tables: {', '.join(known)}"
        raise ConfigError(f"{where}: {key!r} is no key of a part of this config{hint}")


def check_values(keys: Mapping[str, list[Any] | Span], counted: bool, where: str) -> None:
    """Raise `ConfigError` where a key takes no value, or, when they are to be `counted`, does not say how many."""
    for key, values in keys.items():
        if not isinstance(values, Span) and not values:
            raise ConfigError(f"{where}.{key} is []; wanted at least one value")
        if isinstance(values, Span) and values.scale == "log" and min(values.first, values.last) <= 0:
            raise ConfigError(f"{where}.{key} goes from {values.first} to {values.last}; a log scale wants > 0")
        if isinstance(values, Span) and counted and values.points is None:
            raise ConfigError(f"{where}.{key} has no points; wanted how many values a grid takes of it")


def all_of(values: list[Any] | Span) -> list[Any]:
    """Return the values of a key, at even distances where it says from and to."""
    if not isinstance(values, Span):
        return values
    first, last, count = float(values.first), float(values.last), values.points or 1
    share = [k / (count - 1) if count > 1 else 0.0 for k in range(count)]
    if values.scale == "log":
        found = [short(math.exp(math.log(first) + s * (math.log(last) - math.log(first)))) for s in share]
    else:
        found = [short(first + s * (last - first)) for s in share]
    whole = isinstance(values.first, int) and isinstance(values.last, int) and all(v == round(v) for v in found)
    return [round(v) for v in found] if whole else found


def short(value: float) -> float:
    """Return the number as a person would write it: 0.31, not 0.31000000000000005."""
    return float(f"{value:.12g}")


def choices_of(config: Config) -> list[tuple[Any, ...]]:
    """Return the values of every candidate of [choose], in the order of its keys; the last changes fastest."""
    return [] if config.choose is None else list(itertools.product(*map(all_of, config.choose.keys.values())))


def check_choice(config: Config, varied: Iterable[str] = ()) -> None:
    """Raise `ConfigError` where [choose] says what it cannot mean, or a key that is `varied` by [sweep] as well."""
    if config.choose is None:
        return
    where, keys = "choose.keys", config.choose.keys
    for key in keys:
        table = key.partition(".")[0]
        if table in type(config).model_fields and table not in CHOSEN:
            told = f"wanted keys of {', '.join(CHOSEN)}"
            raise ConfigError(f"{where}: {key!r} is not a candidate's own, and there is one account for all; {told}")
        check_key(key, CHOSEN, where)
    check_values(keys, True, where)
    clash = [own for key in varied for own in keys if _inside(own, key) or _inside(key, own)]
    if clash:
        raise ConfigError(f"{clash[0]} is chosen in [choose] and varied in [sweep]; wanted it in one of them")


def _inside(key: str, other: str) -> bool:
    return f"{key}.".startswith(f"{other}.")
