"""Which exchange was open on these days, and on no other? A hint for who looks at a file; no loader asks."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from barograph.data.calendars import CURRENCIES, Days, sessions

__all__ = ["MARKETS", "Home", "homes_of"]

MARKETS: Final = (
    *(
        CURRENCIES,
        "BVMF",
        "XLON",
        "XETR",
        "XPAR",
        "XTKS",
        "XHKG",
        "XTSE",
        "XASX",
        "XSWX",
        "XMIL",
        "XMAD",
        "XSTO",
        "XOSL",
        "XCSE",
    ),
    *("XHEL", "XWBO", "XWAR", "XSHG", "XTAI", "XBOM", "XSES", "XJSE", "XMEX", "XBUE", "XIST", "XNZE", "XIDX", "XBKK"),
)
"""Calendars that are asked, in the order in which files of them are met: currencies have a bar every weekday."""

_LEAST: Final = 3
_SHARE: Final = 0.005
# Two markets whose days are the same for so long have the same holidays.
_ENOUGH: Final = 500


class Home(NamedTuple):
    """An exchange, on how many of the days it was closed, and how many of its own sessions are not among them."""

    calendar: str
    closed: int
    missing: int

    @property
    def off(self) -> int:
        """Return how many days do not fit."""
        return self.closed + self.missing


def homes_of(days: Days) -> tuple[Home, list[Home]]:
    """Return how New York fits days, and those exchanges that fit better: one, several that fit alike, or none.

    New York is left alone where it fits all but two days, or all but one in two hundred. Another exchange has to fit so
    well, and three times better than New York.

    >>> days = sessions("BVMF", np.datetime64("2022-01-03"), np.datetime64("2023-12-28")).days
    >>> there, found = homes_of(days[~np.isin(days, days[[100, 200]])])
    >>> there.off, [(one.calendar, one.missing) for one in found]
    (34, [('BVMF', 2)])
    """
    days = np.unique(days.astype("M8[D]"))
    there, most = _fits("XNYS", days), _SHARE * len(days)
    if there.off < _LEAST or there.off <= most:
        return there, []
    found: list[Home] = []
    for code in MARKETS:
        one = _fits(code, days)
        if one.off == 0 and len(days) >= _ENOUGH:
            return there, [one]
        if one.off <= most and 3 * one.off <= there.off:
            found.append(one)
    best = min((one.off for one in found), default=0)
    return there, [one for one in found if one.off == best]


def _fits(code: str, days: Days) -> Home:
    known = sessions(code, days[0], days[-1]).days
    return Home(code, len(np.setdiff1d(days, known)), len(np.setdiff1d(known, days)))
