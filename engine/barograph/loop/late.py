"""What became known of bars gone by: a split or a dividend that was declared late enters a run that has seen them.

The market is seen again as it was: features and filter go over the bars with the action in its place. The account is
not: what was decided stands, and at the next bar it gets the shares and the cash that its holdings of that day are
owed. Live and `parity` do both through the same calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barograph.data.actions import filled
from barograph.execution import book as col
from barograph.execution import events
from barograph.execution.book import log_event
from barograph.execution.resting import follow_late

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.execution.book import Account

__all__ = ["Correction", "Credit", "Late", "credit", "restated"]


class Late(NamedTuple):
    """What an asset's bar of `ts` declares from now on beside what it did: new shares for an old one, cash a new share.

    `first_order` is the first order that was decided knowing the price of that bar.
    """

    symbol: str
    ts: int
    split: float
    dividend: float
    first_order: int = 0


class Credit(NamedTuple):
    """What an account is owed of one asset: its position times `ratio`, and `cash`."""

    symbol: str
    ratio: float
    cash: float


class Correction(NamedTuple):
    """What enters a run before a bar; a fitted filter is brought to the present from bar `filter_from` on."""

    late: tuple[Late, ...]
    credits: tuple[Credit, ...]
    filter_from: int = 0


def restated(history: History, late: Sequence[Late]) -> History:
    """Return a history in which late actions are declared where they belong; no price changes.

    >>> from barograph.data.history import History
    >>> told = History.from_arrays([1, 2, 3], [400.0, 100.0, 101.0], symbols=["A"])
    >>> restated(told, [Late("A", 2, 4.0, 0.0)]).actions[:, 0, 0].tolist()
    [1.0, 4.0, 4.0]
    """
    shape, actions = history.close.shape, history.action_columns
    columns: dict[str, Any] = {name: filled(actions, name, shape).copy() for name in ("splits", "dividends")}
    for one in late:
        at = int(np.searchsorted(history.ts, one.ts)), history.column(one.symbol)
        columns["splits"][at] *= one.split
        columns["dividends"][at] += one.dividend
    return replace(history, **columns) if late else history


def credit(account: Account, symbols: Sequence[str], correction: Correction, t: int) -> None:
    """Give an account what it is owed before bar `t`; resting orders of before a split follow it."""
    for one in correction.late:
        if one.split != 1.0:
            follow_late(account, symbols.index(one.symbol), one.split, one.first_order, t)
    for owed in correction.credits:
        _credit(account, symbols.index(owed.symbol), owed, t)


def _credit(account: Account, a: int, owed: Credit, t: int) -> None:
    book, log, wanted = account.book, account.log, events.AS_WANTED
    rows = book.rows
    if owed.ratio != 1.0:
        rows[col.QUANTITY, a] *= owed.ratio
        rows[col.BASIS, a] /= owed.ratio
        log_event(book, log, events.SPLIT, 0, t, a, 0.0, rows[col.QUANTITY, a], owed.ratio, 0.0, 0.0, wanted)
    if owed.cash != 0.0:
        # Of a position that is gone one payment is told, of any other what a share of it brings.
        shares = rows[col.QUANTITY, a] or 1.0
        book.money[col.CASH] += owed.cash
        log_event(book, log, events.DIVIDEND, 0, t, a, 0.0, shares, owed.cash / shares, 0.0, 0.0, wanted)
