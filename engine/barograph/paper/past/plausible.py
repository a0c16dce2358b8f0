"""A dividend in another unit than the price: pounds where the share is quoted in pence, or the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from barograph.config.paper import KINDS
from barograph.data.actions import filled
from barograph.paper.ports import Alert
from barograph.paper.schedule import said

if TYPE_CHECKING:
    from barograph.data.history import History

__all__ = ["odd_dividends"]

_PARTS: Final = {"GBp": "GBP", "GBX": "GBP", "GBx": "GBP", "ZAc": "ZAR", "ZAC": "ZAR", "ILA": "ILS"}
"""Hundredths that shares are quoted in, and what they are hundredths of: companies declare dividends in the latter."""

# Nobody pays a dividend of less than this share of a price in hundredths, and more than half is a liquidation.
_LEAST, _MOST = 5e-4, 0.5


def odd_dividends(row: History, seen: History) -> list[Alert]:
    """Return an alert for each dividend of a new bar that is odd beside the last price before it.

    >>> from barograph.data.history import History
    >>> seen = History.from_arrays([1], [3000.0], symbols=["BATS.L"], currency="GBp")
    >>> row = History.from_arrays([2], [2950.0], symbols=["BATS.L"], currency="GBp", dividends=[0.62])
    >>> odd_dividends(row, seen)[0].facts["text"][:88]
    'BATS.L of 1970-01-01 00:00:00Z at arrays: a dividend of 0.62 GBp on a price of 3000 is 0'
    """
    found = []
    paid = filled(row.action_columns, "dividends", row.close.shape)[-1]
    splits = filled(row.action_columns, "splits", row.close.shape)[-1]
    for a in np.flatnonzero(paid > 0.0).tolist():
        known = seen.close[~np.isnan(seen.close[:, a]), a][-1:] / splits[a]
        if not (known > 0.0).all() or len(known) == 0:
            continue
        share = float(paid[a] / known[-1])
        whole = _PARTS.get(row.currency, "")
        doubt = f"in {whole}? then a hundredth of it is credited" if whole and share < _LEAST else ""
        doubt = "in hundredths of the price's unit? then a hundred times it is credited" if share > _MOST else doubt
        if doubt:
            what = f"a dividend of {paid[a]:.10g} {row.currency}".rstrip()
            text = f"{what} on a price of {known[-1]:.10g} is {share:.2g} of it: {doubt}"
            mend = "when the source mends it, the account is made good"
            found.append(_alert(row, row.symbols[a], f"{text}; {mend}"))
    return found


def _alert(row: History, symbol: str, text: str) -> Alert:
    ts = int(row.ts[-1])
    facts = {"symbol": symbol, "source": row.source, "text": f"{symbol} of {said(ts)} at {row.source}: {text}"}
    return Alert(f"bad_data:dividend:{ts}:{symbol}", "bad_data", KINDS["bad_data"], ts, facts)
