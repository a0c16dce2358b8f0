"""Where a bar's prices touch an order, and at what price it then trades.

One rule matches every kind: `touch` on a leg from one price to the next; the open is a leg of no length.
"""

from __future__ import annotations

import math
from typing import Any, Final

from barograph.execution.book import (
    ASK,
    GROUP,
    HELD,
    ID,
    KIND,
    LEFT,
    LIMIT_AT,
    LIVE,
    PERCENT,
    REDUCE,
    STOP_AT,
    TRAIL_BY,
    Book,
    Rules,
    tell,
)
from barograph.execution.events import AS_WANTED, TRIGGERED
from barograph.execution.prices import cheaper, dearer, slip_of, to_tick
from barograph.jit.kernel import kernel
from barograph.orders import LIMIT, MARKET, ON_CLOSE, STOP, TRAILING
from barograph.types import Bars

__all__ = [
    "ANY_PRICE",
    "ASKING",
    "EVER",
    "REACHING",
    "after_slip",
    "follow",
    "level_of",
    "outdone",
    "reached",
    "touch",
    "trigger",
]

# Above every price, and yet a number one can subtract from.
ANY_PRICE: Final = 1e100
ASKING, REACHING, EVER = range(3)


@kernel
def touch(kind: int, q: float, limit: float, stop: float, at: float, to: float) -> float:
    """Return the price at which a leg from `at` to `to` touches an order to trade q, or NaN.

    >>> touch(1, 10.0, 95.0, math.nan, 100.0, 90.0)     # a buy limit, on the way down
    95.0
    >>> touch(2, -10.0, math.nan, 97.0, 94.0, 94.0)     # a sell stop that the open has passed
    94.0
    """
    if kind in (MARKET, ON_CLOSE):
        return math.nan
    level = limit if kind == LIMIT else stop
    # What is bought at a limit and what is sold at a stop is touched from above.
    falling = (q > 0.0) == (kind == LIMIT)
    if falling:
        return at if at <= level else level if to <= level else math.nan
    return at if at >= level else level if to >= level else math.nan


@kernel
def trigger(book: Book, log: Any, a: int, s: int, at: float, t: int) -> None:
    """Turn a touched stop-limit into a limit."""
    book.facts[a, s, KIND] = LIMIT
    tell(book, log, TRIGGERED, book.facts[a, s, ID], t, a, math.nan, 0.0, at, 0.0, 0.0, AS_WANTED)


@kernel
def after_slip(rows: Any, a: int, q: float, p: float, bars: Bars, rules: Rules) -> float:
    """Return the price of trading q at p, after slippage, inside the bar."""
    s = slip_of(rows, a, q, bars.volume[a], rules)
    return dearer(p, s, bars.high[a], rules.tick) if q > 0.0 else cheaper(p, s, bars.low[a], rules.tick)


@kernel
def level_of(facts: Any, terms: Any, otherwise: float) -> float:
    """Return the price that an order is worth in the limits: its own, or another where only the market will tell.

    A trailing stop's own price only falls for a buyer and only rises for a seller: the higher of the two counts.
    """
    if facts[KIND] == TRAILING:
        return float(terms[STOP_AT] if terms[STOP_AT] > otherwise else otherwise)
    level = terms[STOP_AT] if facts[KIND] == STOP else terms[LIMIT_AT]
    return float(level if level == level else otherwise)


@kernel
def follow(facts: Any, terms: Any, to: float, tick: float) -> float:
    """Return a trailing stop's level once the price has been at `to`: up for a seller, down for a buyer, never back."""
    by, stop = to * terms[TRAIL_BY] if facts[PERCENT] == 1 else terms[TRAIL_BY], terms[STOP_AT]
    level = to_tick(to - by, False, tick) if terms[LEFT] < 0.0 else to_tick(to + by, True, tick)
    # One that was asked for before its asset had a price begins here.
    return float(level if stop != stop or (level - stop) * terms[LEFT] < 0.0 else stop)


@kernel
def reached(facts: Any, terms: Any, low: float, high: float, tick: float) -> bool:
    """Tell whether a bar's range can touch an order; a trailing stop at its furthest."""
    if facts[KIND] == TRAILING:
        if terms[LEFT] < 0.0:
            return bool(low <= follow(facts, terms, high, tick))
        return bool(high >= follow(facts, terms, low, tick))
    x = touch(facts[KIND], terms[LEFT], terms[LIMIT_AT], terms[STOP_AT], low, high)
    return bool(x == x)


@kernel
def outdone(book: Book, a: int, s: int, low: float, high: float, p: float, tick: float, when: int,
            t: int) -> bool:  # fmt: skip
    """Tell whether another of the same pair and side stands for this order: a dearer one, or an older one as dear.

    It must be one that can fill: of those that ask at this moment, that the bar's range reaches, or that rest at all.
    """
    facts, terms = book.facts[a, s], book.terms[a, s]
    if facts[GROUP] == 0:
        return False
    mine = terms[LEFT] * min(max(level_of(facts, terms, p), low), high)
    for other in range(book.marks[LIVE, a]):
        mate, they = book.facts[a, other], book.terms[a, other]
        theirs = they[LEFT] * min(max(level_of(mate, they, p), low), high)
        if mate[GROUP] != facts[GROUP] or theirs * mine < 0.0 or mate[ID] == 0 or mate[REDUCE] > 0:
            continue
        can = when == EVER
        if when == ASKING:
            can = they[ASK] != 0.0
        elif when == REACHING:
            can = mate[HELD] != t and reached(mate, they, low, high, tick)
        if can and (abs(theirs) > abs(mine) or (abs(theirs) == abs(mine) and other < s)):
            return True
    return False
