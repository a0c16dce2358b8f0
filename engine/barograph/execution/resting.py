"""The life of a resting order: born, triggered, filled in part or whole, cancelled, expired; its legs and its pair.

| state   | event                          | next    | why                                                  |
|---------|--------------------------------|---------|------------------------------------------------------|
| -       | born                           | resting | a request, or the fill that a bracket belongs to      |
| -       | rejected                       | ended   | no lot, too small, untraded, a guard                  |
| resting | triggered                      | resting | a stop-limit's stop is touched: now it is a limit     |
|         |                                |         | a stop finds too little volume: the rest is at market |
| resting | partial                        | resting | the bar's volume was not enough                       |
| resting | filled                         | ended   | as wanted, or shrunk to the room there was            |
| resting | rejected                       | ended   | touched, and there was no room at all                 |
| resting | cancelled                      | ended   | withdrawn, replaced, its pair filled, nothing to do   |
| resting | expired                        | ended   | its day is over, its date has passed                  |
"""

from __future__ import annotations

import math
from typing import Any

from barograph.epoch import DAY, NEVER
from barograph.execution.book import (
    ASK,
    ASKED,
    CULPRIT,
    DATED,
    DUST,
    ENDED,
    FAULT,
    FIRST_DAY,
    GROUP,
    HELD,
    ID,
    KIND,
    LEFT,
    LIFE,
    LIMIT_AT,
    LIVE,
    LOG_FULL,
    LOGGED,
    LOSS_AT,
    LOSS_TRAIL,
    MAKER,
    NEXT_ID,
    NO_SLOT,
    PARENT,
    PERCENT,
    PROFIT_AT,
    QUANTITY,
    REDUCE,
    ROLE,
    ROOM,
    ROOMS,
    STOP_AT,
    STOP_LEVEL,
    STOPS,
    TAG,
    TAKE_LEVEL,
    TAKER,
    TRAIL_BY,
    UNTIL,
    Account,
    Book,
    tell,
)
from barograph.execution.events import (
    AS_WANTED,
    BORN,
    CANCELLED,
    DATE_PASSED,
    DAY_OVER,
    DELISTING,
    ENTRY,
    EXPIRED,
    FILLED,
    LOG_COLUMNS,
    NEWER,
    NO_REDUCTION,
    NO_ROOM,
    NO_SHORTS,
    NO_VOLUME,
    OTHER_FILLED,
    PARTIAL,
    REJECTED,
    SHRUNK,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAIL_LOSS,
    TRIGGERED,
    UNPROTECTED,
    spell,
)
from barograph.execution.money import LAST, RATIO, pay
from barograph.execution.prices import ROUNDING, to_tick
from barograph.execution.sizes import base_of, lots, shrunk
from barograph.jit.kernel import kernel, shared
from barograph.jit.views import frozen
from barograph.orders import FOR_DAY, GTC, GTD, LIMIT, MARKET, STOP, TRAILING
from barograph.types import Bars

__all__ = ["adjust", "alike", "append", "end", "expire", "fill", "guarded", "protect", "tidy"]

# The group of the legs that a `Protected` answer gives a position: one pair an asset.
PROTECTION = -1


@kernel
def alike(x: float, y: float) -> bool:
    """Tell whether two terms are one: a split leaves rounding in prices, and rounding makes no new order."""
    return bool(x == y or abs(x - y) <= ROUNDING * abs(y) or (x != x and y != y))


@kernel
def append(book: Book, a: int, kind: int, role: int, parent: int, group: int, q: float, limit: float, stop: float,
           trail: float, percent: int, t: int, tick: float) -> int:  # fmt: skip
    """Take the next slot of the asset for an order; return it, or -1 and a fault when there is none."""
    s, slots = book.marks[LIVE, a], book.facts.shape[1]
    if s >= slots or ROOMS * (s - book.marks[ENDED, a]) >= slots:
        book.desk[FAULT], book.desk[CULPRIT] = NO_SLOT, a
        return -1
    book.marks[LIVE, a] = s + 1
    _fill_in(book, a, s, kind, role, parent, group, q, limit, stop, trail, percent, t, tick)
    return int(s)


@kernel
def _fill_in(book: Book, a: int, s: int, kind: int, role: int, parent: int, group: int, q: float, limit: float,
             stop: float, trail: float, percent: int, t: int, tick: float) -> None:  # fmt: skip
    """Write a new order, under the next number, into a slot."""
    facts, terms = book.facts[a, s], book.terms[a, s]
    facts[ID], facts[KIND], facts[LIFE], facts[ROLE] = book.desk[NEXT_ID], kind, GTC, role
    facts[PARENT], facts[GROUP], facts[TAG], facts[REDUCE] = parent, group, 0, 1
    facts[PERCENT], facts[FIRST_DAY], facts[HELD] = percent, NEVER, t
    terms[LEFT], terms[ASKED], terms[TRAIL_BY], terms[UNTIL] = q, q, trail, math.inf
    terms[LIMIT_AT], terms[STOP_AT] = to_tick(limit, q < 0.0, tick), to_tick(stop, q > 0.0, tick)
    terms[LOSS_AT], terms[PROFIT_AT], terms[LOSS_TRAIL], terms[ASK] = math.nan, math.nan, math.nan, 0.0
    book.desk[NEXT_ID] += 1


@kernel
def announce(book: Book, log: Any, a: int, s: int, t: int) -> None:
    """Write an order's birth, with all its terms, into the log."""
    facts, terms, row = book.facts[a, s], book.terms[a, s], book.desk[LOGGED]
    spelled = spell(facts[KIND], facts[LIFE], facts[ROLE])
    tell(book, log, BORN, facts[ID], t, a, math.nan, terms[ASKED], terms[LIMIT_AT], terms[STOP_AT], terms[TRAIL_BY],
         spelled)  # fmt: skip
    if book.desk[FAULT] == LOG_FULL:
        return
    j = LOG_COLUMNS
    log[row, j], log[row, j + 1], log[row, j + 2] = terms[UNTIL], facts[PARENT], facts[GROUP]
    log[row, j + 3] = facts[TAG]


@kernel
def end(book: Book, log: Any, a: int, s: int, t: int, event: int, reason: int) -> None:
    """End an order that fills no more; its slot is free once the table is tidied."""
    tell(book, log, event, book.facts[a, s, ID], t, a, math.nan, 0.0, 0.0, 0.0, 0.0, reason)
    book.facts[a, s, ID] = 0
    book.marks[ENDED, a] += 1


@kernel
def tidy(book: Book, a: int) -> None:
    """Close the gaps that ended orders left; the order of birth, which breaks ties, stays."""
    if book.marks[ENDED, a] > 0:
        _close_gaps(book.facts, book.terms, book.marks, a)


@shared
def _close_gaps(facts: Any, terms: Any, marks: Any, a: int) -> None:
    kept, live = 0, marks[LIVE, a]
    for s in range(live):
        if facts[a, s, ID] == 0:
            continue
        if kept < s:
            for j in range(facts.shape[2]):
                facts[a, kept, j] = facts[a, s, j]
                terms[a, kept, j] = terms[a, s, j]
        kept += 1
    # A free slot says nothing: the same book is the same bytes, whatever was there before.
    for s in range(kept, live):
        for j in range(facts.shape[2]):
            facts[a, s, j] = 0
            terms[a, s, j] = 0.0
    marks[LIVE, a], marks[ENDED, a] = kept, 0


@kernel
def expire(book: Book, bars: Bars, log: Any, t: int) -> None:
    """End what is over before this bar opens: the day of the first bar an order could trade in, or its last moment."""
    rows, today = book.rows, (bars.ts - 1) // DAY
    if book.desk[DATED] == 0:
        return
    for a in range(rows.shape[1]):
        for s in range(book.marks[LIVE, a]):
            facts = book.facts[a, s]
            trades = (bars.open[a] > 0.0 or bars.close[a] > 0.0) and bars.volume[a] != 0.0
            if facts[LIFE] == FOR_DAY and facts[FIRST_DAY] == NEVER and trades:
                facts[FIRST_DAY] = today
            day_over = facts[LIFE] == FOR_DAY and NEVER < facts[FIRST_DAY] < today
            if day_over or (facts[LIFE] == GTD and bars.ts > book.terms[a, s, UNTIL]):
                end(book, log, a, s, t - 1, EXPIRED, DAY_OVER if day_over else DATE_PASSED)
        tidy(book, a)


@shared
def adjust(account: Account, actions: Any, t: int) -> None:
    """Clause 0 for resting orders: a split changes their quantities and prices, a delisting ends them."""
    book, log, actions = account.book, account.log, frozen(actions)
    rows = book.rows
    for a in range(rows.shape[1]):
        ratio, last = actions[RATIO, a], actions[LAST, a]
        if ratio != 1.0:
            rows[STOP_LEVEL, a] /= ratio
            rows[TAKE_LEVEL, a] /= ratio
        for s in range(book.marks[LIVE, a]):
            if last == last:
                end(book, log, a, s, t, CANCELLED, DELISTING)
            elif ratio != 1.0:
                terms = book.terms[a, s]
                for j in (LEFT, ASKED):
                    terms[j] *= ratio
                for j in (LIMIT_AT, STOP_AT, LOSS_AT, PROFIT_AT):
                    terms[j] /= ratio
                if book.facts[a, s, PERCENT] == 0:
                    terms[TRAIL_BY] /= ratio
        if last == last:
            tidy(book, a)


@kernel
def allowed(held: float, q: float, reduce: int, shorts: int) -> float:
    """Return how much of q may trade: reduce-only never passes zero, a cash account sells only what it holds."""
    if reduce > 0:
        return math.copysign(min(abs(q), abs(held)), q) if held * q < 0.0 else 0.0
    if shorts == 0 and q < 0.0:
        return -min(-q, max(held, 0.0))
    return q


@shared
def fill(account: Account, a: int, s: int, p: float, deal: float, share: float, maker: bool, t: int) -> None:
    """Fill a touched order as far as position, room and volume allow, and see to what hangs on it."""
    book, rules, log = account.book, account.rules, account.log
    rows = book.rows
    facts, terms = book.facts[a, s], book.terms[a, s]
    held = rows[QUANTITY, a]
    q = allowed(held, terms[LEFT], facts[REDUCE], rules.shorts)
    if abs(q) <= DUST * abs(terms[LEFT]):
        end(book, log, a, s, t, CANCELLED, NO_REDUCTION if facts[REDUCE] > 0 else NO_SHORTS)
        return
    reason = AS_WANTED
    if q != terms[LEFT]:
        reason = NO_REDUCTION if facts[REDUCE] > 0 else NO_SHORTS
    if share < 1.0 and abs(held + q) > abs(held):
        base = base_of(held, held + q)
        q, reason = shrunk(held, base, held + q, share, rules.lot) - held, SHRUNK
        if q == 0.0:
            full = terms[LEFT] == terms[ASKED]
            end(book, log, a, s, t, REJECTED if full else CANCELLED, NO_ROOM)
            return
    capped = abs(q) > rows[ROOM, a]
    if capped:
        q, reason = _cap(book, log, a, s, p, q, rules.lot, t), NO_VOLUME
        if abs(q) <= DUST * abs(terms[LEFT]):
            return
    fee = pay(book, a, q, deal, book.money[MAKER] if maker else book.money[TAKER], rules)
    rows[ROOM, a] = max(0.0, rows[ROOM, a] - abs(q))
    slip = abs(q) * abs(deal - p)
    tell(book, log, PARTIAL if capped else FILLED, facts[ID], t, a, math.nan, q, deal, fee, slip, reason)
    terms[LEFT] -= q
    order, group = facts[ID], facts[GROUP]
    if facts[ROLE] == STOP_LOSS or facts[ROLE] == TRAIL_LOSS:
        book.desk[STOPS] += 1
    if not capped:
        facts[ID] = 0
        book.marks[ENDED, a] += 1
    _bracket(account, book, a, s, order, q, deal, t)
    if group != 0:
        _pair(book, log, a, s, group, abs(q), capped, t)
    guarded(account, a, deal, t)


@kernel
def _cap(book: Book, log: Any, a: int, s: int, p: float, q: float, lot: float, t: int) -> float:
    """Return what the volume leaves of q; the rest of a stop is at the market, as its price has traded."""
    facts = book.facts[a, s]
    facts[HELD] = t
    if facts[KIND] in (STOP, TRAILING):
        facts[KIND] = MARKET
        tell(book, log, TRIGGERED, facts[ID], t, a, math.nan, 0.0, p, 0.0, 0.0, NO_VOLUME)
    return math.copysign(lots(book.rows[ROOM, a], lot), q)


@kernel
def _bracket(account: Account, book: Book, a: int, s: int, order: int, q: float, deal: float, t: int) -> None:
    """Let the legs of a bracket follow the part of their entry that has filled."""
    loss, profit, by = book.terms[a, s, LOSS_AT], book.terms[a, s, PROFIT_AT], book.terms[a, s, LOSS_TRAIL]
    if loss != loss and profit != profit and by != by:
        return
    found = False
    for other in range(book.marks[LIVE, a]):
        if book.facts[a, other, PARENT] == order and book.facts[a, other, ID] > 0:
            book.terms[a, other, LEFT] -= q
            found = True
    if found:
        return
    if loss == loss:
        _leg(account, a, -1, STOP_LOSS, order, order, -q, loss, deal, t)
    if profit == profit:
        _leg(account, a, -1, TAKE_PROFIT, order, order, -q, profit, deal, t)
    if by == by:
        _leg(account, a, -1, TRAIL_LOSS, order, order, -q, by, deal, t)


@shared
def _leg(account: Account, a: int, slot: int, role: int, parent: int, group: int, q: float, level: float,
         anchor: float, t: int) -> None:  # fmt: skip
    """Give birth to a protective leg, in this slot or (-1) the next; it may act in the bar it is born in."""
    book, tick = account.book, account.rules.tick
    kind, limit, stop, by = STOP, math.nan, level, math.nan
    if role == TAKE_PROFIT:
        kind, limit, stop = LIMIT, level, math.nan
    if role == TRAIL_LOSS:
        kind, by, stop = TRAILING, level, anchor * (1.0 - level) if q < 0.0 else anchor * (1.0 + level)
    if slot < 0:
        slot = append(book, a, kind, role, parent, group, q, limit, stop, by, 1, -1, tick)
    else:
        _fill_in(book, a, slot, kind, role, parent, group, q, limit, stop, by, 1, -1, tick)
    if slot >= 0:
        announce(book, account.log, a, slot, t)


@kernel
def _pair(book: Book, log: Any, a: int, s: int, group: int, q: float, partly: bool, t: int) -> None:
    """One cancels the other: what one of the group filled, the others fill no more."""
    for other in range(book.marks[LIVE, a]):
        facts = book.facts[a, other]
        if other == s or facts[ID] == 0 or facts[GROUP] != group:
            continue
        left = book.terms[a, other, LEFT]
        if partly and abs(left) > q:
            book.terms[a, other, LEFT] = left - math.copysign(q, left)
        else:
            end(book, log, a, other, t, CANCELLED, OTHER_FILLED)


@shared
def guarded(account: Account, a: int, anchor: float, t: int) -> None:
    """After a position has moved: its protection carries minus the position, and no leg is left of what is gone."""
    book, log = account.book, account.log
    held = book.rows[QUANTITY, a]
    if held == 0.0:
        for s in range(book.marks[LIVE, a]):
            if book.facts[a, s, ID] > 0 and book.facts[a, s, ROLE] != ENTRY:
                end(book, log, a, s, t, CANCELLED, UNPROTECTED)
        return
    for s in range(book.marks[LIVE, a]):
        facts = book.facts[a, s]
        leg = facts[ID] > 0 and facts[ROLE] != ENTRY and facts[GROUP] != PROTECTION
        # On the other side there is nothing that legs of this side could protect.
        if leg and book.terms[a, s, LEFT] * held > 0.0:
            end(book, log, a, s, t, CANCELLED, UNPROTECTED)
    protect(account, book, a, anchor, t)


@kernel
def protect(account: Account, book: Book, a: int, anchor: float, t: int) -> None:
    """Make the legs of a position's protection what is wanted: kept, resized, ended, or made anew at another level.

    One that is made anew takes the place of the one before, and with it its turn among orders at one price.
    """
    rows, log = book.rows, account.log
    held, there = rows[QUANTITY, a], 0
    for s in range(book.marks[LIVE, a]):
        facts, terms = book.facts[a, s], book.terms[a, s]
        if facts[ID] == 0 or facts[GROUP] != PROTECTION:
            continue
        role = facts[ROLE]
        level = rows[STOP_LEVEL + role - STOP_LOSS, a]
        if level != level:
            end(book, log, a, s, t, CANCELLED, UNPROTECTED)
            continue
        there |= 1 << role
        if terms[LEFT] * held < 0.0 and _stands(terms, role, level, held, account.rules.tick):
            terms[LEFT] = -held
        else:
            tell(book, log, CANCELLED, facts[ID], t, a, math.nan, 0.0, 0.0, 0.0, 0.0, NEWER)
            _leg(account, a, s, role, 0, PROTECTION, -held, level, anchor, t)
    for role in range(STOP_LOSS, TRAIL_LOSS + 1):
        level = rows[STOP_LEVEL + role - STOP_LOSS, a]
        if level == level and there & (1 << role) == 0:
            _leg(account, a, -1, role, 0, PROTECTION, -held, level, anchor, t)


@kernel
def _stands(terms: Any, role: int, level: float, held: float, tick: float) -> bool:
    """Tell whether a leg already is at the wanted level."""
    if role == TRAIL_LOSS:
        return bool(terms[TRAIL_BY] == level)
    if role == STOP_LOSS:
        return alike(terms[STOP_AT], to_tick(level, held < 0.0, tick))
    return alike(terms[LIMIT_AT], to_tick(level, held > 0.0, tick))
