"""An asset that is gone: the operator gives its final price, which enters the bars and so the record.

`barograph end NAME SYMBOL PRICE` is a command like `halt`, obeyed at the next cycle: at that close the asset has no bar
but a final price, from which the books, the recovery and parity go on as from any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.data.actions import ACTIONS, filled
from barograph.data.history import FIELDS
from barograph.errors import ConfigError, nearest

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.paper.store import Command, Deployed

__all__ = ["End", "asked_end", "emptied", "end_of", "with_ends"]

_WORD: Final = "end"


class End(NamedTuple):
    """What an operator says of an asset that is gone: what a share of it pays."""

    symbol: str
    price: float


def asked_end(deployed: Deployed, symbol: str, price: float) -> str:
    """Return the command that ends an asset, as it is asked for and recorded.

    Raises `ConfigError` for an asset that is not there, and for a price that is none.
    """
    if symbol not in deployed.symbols:
        has = ", ".join(deployed.symbols)
        raise ConfigError(f"{deployed.name} has no asset {symbol!r}{nearest(symbol, deployed.symbols)}; it has {has}")
    if not 0.0 <= price < np.inf:
        raise ConfigError(f"a final price of {price!r}; wanted what a share pays, 0 or more")
    return f"{_WORD} {price!r} {symbol}"


def end_of(command: str) -> End | None:
    """Return what a command says of an asset's end, or None when it is another one.

    >>> end_of("end 12.5 FB"), end_of("halt")
    (End(symbol='FB', price=12.5), None)
    """
    word, _, rest = command.partition(" ")
    price, _, symbol = rest.partition(" ")
    return End(symbol, float(price)) if word == _WORD else None


def with_ends(row: History, commands: Iterable[Command], ended: Mapping[str, int]) -> History:
    """Return a row in which the assets that the operator ended have a final price and no bar; none ends twice."""
    for end in (end_of(command.command) for command in commands):
        if end is not None and end.symbol not in ended:
            row = emptied(row, end.symbol, np.ones(len(row), dtype=bool))
            final = filled(row.action_columns, "final", row.close.shape).copy()
            final[:, row.column(end.symbol)] = end.price
            row = replace(row, final=final)
    return row


def emptied(history: History, symbol: str, rows: Any) -> History:
    """Return a history in which an asset has no bar and no action in these rows (T,)."""
    a = history.column(symbol)
    columns: dict[str, Any] = {}
    for name in (*FIELDS, *ACTIONS):
        if (values := getattr(history, name)) is not None:
            columns[name] = values.copy()
            columns[name][rows, a] = ACTIONS[name].neutral if name in ACTIONS else np.nan
    return replace(history, **columns)
