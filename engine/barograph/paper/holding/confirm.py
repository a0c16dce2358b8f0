"""`barograph confirm NAME SYMBOL TIME`: the operator stands for a bar that is held, before its next one speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.paper.holding.kept import held_of
from barograph.paper.schedule import said

if TYPE_CHECKING:
    from barograph.paper.store import Deployed, Store

__all__ = ["Confirmed", "asked_confirm", "confirmed_of"]

_WORD: Final = "confirm"


class Confirmed(NamedTuple):
    """A bar that somebody stands for: its asset, and its close, ns UTC."""

    symbol: str
    ts: int


def asked_confirm(store: Store, deployed: Deployed, symbol: str, time: str) -> str:
    """Return the command that confirms a bar, as it is asked for and recorded; `time` is its close, or the day of it.

    Raises `ConfigError` when no such bar is held, naming those that are.
    """
    held = held_of(store.snapshot(deployed.name)[1].watch)
    found = [one for one in held if one.symbol == symbol and said(one.ts).startswith(_spelled(time))]
    if len(found) != 1:
        are = ", ".join(f"{one.symbol} of {said(one.ts)}" for one in held) or "none"
        raise ConfigError(f"{deployed.name}: no bar of {symbol} is held that closed {time}; held: {are}")
    return f"{_WORD} {found[0].ts} {symbol}"


def confirmed_of(command: str) -> Confirmed | None:
    """Return which bar a command confirms, or None when it is another one.

    >>> confirmed_of("confirm 1719864000000000000 FB"), confirmed_of("halt")
    (Confirmed(symbol='FB', ts=1719864000000000000), None)
    """
    word, _, rest = command.partition(" ")
    ts, _, symbol = rest.partition(" ")
    return Confirmed(symbol, int(ts)) if word == _WORD else None


def _spelled(time: str) -> str:
    """Return a moment as `said` spells it, as far as it was told: a day, or a day and a time in UTC."""
    text = time.strip().replace("T", " ").removesuffix("Z").removesuffix("+00:00")
    try:
        np.datetime64(text.replace(" ", "T"), "s")
    except ValueError:
        raise ConfigError(f"{time!r} is no time; wanted the bar's close in UTC, as 2024-07-03T20:00:00Z") from None
    return text
