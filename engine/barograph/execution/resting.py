"""The life of a resting order: born, triggered, filled in part or whole, cancelled, expired; its legs and its pair.

| state   | event                          | next    | why                                                  |
|---------|--------------------------------|---------|------------------------------------------------------|
| -       | born                           | resting | a request, or the fill that a bracket belongs to      |
| -       | rejected                       | ended   | no lot, too small, untraded, a guard                  |
| resting | triggered                      | resting | a stop-limit's stop is touched: now it is a limit     |
|         |                                |         | a stop finds too little volume: the rest is at market |
| resting | partial                        | resting | the bar's volume was not enough                       |
| resting | filled                         | ended   | as wanted, or shrunk to the room there was            |
| resting | rejected                       | ended   | touched while all was left, and there was no room     |
| resting | cancelled                      | ended   | withdrawn, replaced, its pair filled, nothing to do   |
|         |                                |         | no room once it or its pair has filled in part        |
| resting | expired                        | ended   | its day is over, its date has passed                  |
"""

from __future__ import annotations

import math
from typing import Any

from barograph import orders
from barograph.epoch import DAY, NEVER
from barograph.execution import book as col
from barograph.execution import events
from barograph.execution.book import Account, Book, log_birth, log_event
from barograph.execution.events import pack_terms
from barograph.execution.grid import Grid, settled, toward_zero
from barograph.execution.money import LAST, PAID, RATIO, charge, pay
from barograph.execution.prices import to_tick
from barograph.execution.sizes import ROUNDING, allowed, base_of, ends, grows, shrunk, units_of, volume_after
from barograph.execution.targets.light import outcome
from barograph.jit.kernel import kernel, shared
from barograph.jit.views import frozen
from barograph.types import Bars

__all__ = ["adjust", "alike", "append", "end", "expire", "fill", "follow_late", "guarded", "protect", "tidy"]

# The group of the legs that a `Protected` answer gives a position: one pair an asset.
PROTECTION = -1


@kernel
def alike(x: float, y: float) -> bool:
    """Tell whether two terms are one: a split leaves rounding in prices, and rounding makes no new order."""
    return bool(x == y or abs(x - y) <= ROUNDING * abs(y) or (x != x and y != y))


@kernel
def append(book: Book, a: int, kind: int, role: int, parent: int, group: int, q: float, limit: float, stop: float,
           trail: float, percent: int, t: int, tick: Grid) -> int:  # fmt: skip
    """Take the next slot of the asset for an order; return it, or -1 and a fault when there is none."""
    s, slots = book.flags[col.LIVE, a], book.order_codes.shape[1]
    if s >= slots or col.PLACES * (s - book.flags[col.ENDED, a]) >= slots:
        book.counters[col.FAULT], book.counters[col.CULPRIT] = col.NO_SLOT, a
        return -1
    book.flags[col.LIVE, a] = s + 1
    _fill_in(book, a, s, kind, role, parent, group, q, limit, stop, trail, percent, t, tick)
    return int(s)


@kernel
def _fill_in(book: Book, a: int, s: int, kind: int, role: int, parent: int, group: int, q: float, limit: float,
             stop: float, trail: float, percent: int, t: int, tick: Grid) -> None:  # fmt: skip
    """Write a new order, under the next number, into a slot."""
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    codes[col.ID], codes[col.KIND], codes[col.LIFE], codes[col.ROLE] = (
        book.counters[col.NEXT_ID],
        kind,
        orders.GTC,
        role,
    )
    codes[col.PARENT], codes[col.GROUP], codes[col.TAG], codes[col.REDUCE] = parent, group, 0, 1
    codes[col.PERCENT], codes[col.FIRST_DAY], codes[col.HELD] = percent, NEVER, t
    codes[col.KEEPS], codes[col.WAITS] = 0, NEVER
    values[col.FEES_DUE], values[col.FEES_CHARGED] = 0.0, 0.0
    values[col.LEFT], values[col.ASKED], values[col.TRAIL_BY], values[col.UNTIL] = q, q, trail, math.inf
    values[col.LIMIT_AT], values[col.STOP_AT] = to_tick(limit, q < 0.0, tick), to_tick(stop, q >= 0.0, tick)
    values[col.LOSS_AT], values[col.PROFIT_AT], values[col.LOSS_TRAIL], values[col.ASK] = (
        math.nan,
        math.nan,
        math.nan,
        0.0,
    )
    book.counters[col.NEXT_ID] += 1


@kernel
def announce(book: Book, log: Any, a: int, s: int, t: int) -> None:
    """Write an order's birth, with all its terms, into the log."""
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    packed = pack_terms(codes[col.KIND], codes[col.LIFE], codes[col.ROLE])
    log_birth(book, log, codes[col.ID], t, a, values[col.ASKED], values[col.LIMIT_AT], values[col.STOP_AT],
              values[col.TRAIL_BY], packed, values[col.UNTIL], float(codes[col.PARENT]), float(codes[col.GROUP]),
              float(codes[col.TAG]))  # fmt: skip


@kernel
def end(book: Book, log: Any, a: int, s: int, t: int, event: int, reason: int) -> None:
    """End an order that fills no more; its slot is free once the table is tidied."""
    log_event(book, log, event, book.order_codes[a, s, col.ID], t, a, math.nan, 0.0, 0.0, 0.0, 0.0, reason)
    book.order_codes[a, s, col.ID] = 0
    book.flags[col.ENDED, a] += 1


@kernel
def tidy(book: Book, a: int) -> None:
    """Close the gaps that ended orders left; the order of birth, which breaks ties, stays."""
    if book.flags[col.ENDED, a] > 0:
        _close_gaps(book.order_codes, book.order_values, book.flags, a)


@shared
def _close_gaps(codes: Any, values: Any, flags: Any, a: int) -> None:
    kept, live = 0, flags[col.LIVE, a]
    for s in range(live):
        if codes[a, s, col.ID] == 0:
            continue
        if kept < s:
            for j in range(codes.shape[2]):
                codes[a, kept, j] = codes[a, s, j]
                values[a, kept, j] = values[a, s, j]
        kept += 1
    # A free slot says nothing: the same book is the same bytes, whatever was there before.
    for s in range(kept, live):
        for j in range(codes.shape[2]):
            codes[a, s, j] = 0
            values[a, s, j] = 0.0
    flags[col.LIVE, a], flags[col.ENDED, a] = kept, 0


@kernel
def expire(book: Book, bars: Bars, log: Any, t: int) -> None:
    """End what is over before this bar opens: the day of the first bar an order could trade in, or its last moment."""
    rows, today = book.rows, (bars.ts - 1) // DAY
    if book.counters[col.DATED] == 0:
        return
    for a in range(rows.shape[1]):
        for s in range(book.flags[col.LIVE, a]):
            codes = book.order_codes[a, s]
            priced = bars.open[a] == bars.open[a] or bars.close[a] == bars.close[a]
            trades = priced and bars.volume[a] != 0.0
            if codes[col.LIFE] == orders.FOR_DAY and codes[col.FIRST_DAY] == NEVER and trades:
                codes[col.FIRST_DAY] = today
            day_over = codes[col.LIFE] == orders.FOR_DAY and NEVER < codes[col.FIRST_DAY] < today
            if day_over or (codes[col.LIFE] == orders.GTD and bars.ts > book.order_values[a, s, col.UNTIL]):
                end(book, log, a, s, t - 1, events.EXPIRED, events.DAY_OVER if day_over else events.DATE_PASSED)
        tidy(book, a)


@shared
def adjust(account: Account, actions: Any, t: int) -> None:
    """Clause 0 for resting orders: splits move quantities and prices, dividends lower prices, a delisting ends all."""
    book, log, rules, actions = account.book, account.log, account.rules, frozen(actions)
    for a in range(book.rows.shape[1]):
        paid, ratio, last = actions[PAID, a], actions[RATIO, a], actions[LAST, a]
        if ratio != 1.0 or paid != 0.0:
            _adjust_levels(book, a, ratio, paid)
        for s in range(book.flags[col.LIVE, a]):
            if ratio != 1.0:
                _split(book, log, a, s, ratio, rules.lot, rules.tick, t)
                _end_at_zero(book, log, a, s, t)
            if paid != 0.0 and book.order_codes[a, s, col.KEEPS] == 0:
                _lower(book.order_codes[a, s], book.order_values[a, s], paid, rules.tick)
                _end_at_zero(book, log, a, s, t)
            if last == last and book.order_codes[a, s, col.ID] > 0:
                end(book, log, a, s, t, events.CANCELLED, events.DELISTING)
        tidy(book, a)


@kernel
def follow_late(account: Account, a: int, ratio: float, first: int, t: int) -> None:
    """Let the orders born before order `first` follow a split that became known late; later ones knew its prices."""
    book, log, rules = account.book, account.log, account.rules
    for s in range(book.flags[col.LIVE, a]):
        if 0 < book.order_codes[a, s, col.ID] < first:
            _split(book, log, a, s, ratio, rules.lot, rules.tick, t)
            _end_at_zero(book, log, a, s, t)
    tidy(book, a)


@kernel
def _adjust_levels(book: Book, a: int, ratio: float, paid: float) -> None:
    """Let the levels that a `Protected` answer wants follow a split and a dividend, as its legs do."""
    rows = book.rows
    rows[col.STOP_LEVEL, a] /= ratio
    rows[col.TAKE_LEVEL, a] /= ratio
    side = rows[col.QUANTITY, a]
    if side == 0.0 and book.flags[col.PENDING, a] > 0:
        side = rows[col.WANTED, a]
    if side > 0.0:
        rows[col.STOP_LEVEL, a] -= paid
    elif side < 0.0:
        rows[col.TAKE_LEVEL, a] -= paid


@kernel
def _split(book: Book, log: Any, a: int, s: int, ratio: float, lot: Grid, tick: Grid, t: int) -> None:
    """Let an order follow a split: whole lots at prices on the tick, or nothing."""
    codes, values, held = book.order_codes[a, s], book.order_values[a, s], book.rows[col.QUANTITY, a]
    for j in (col.LEFT, col.ASKED):
        # A leg stays what it protects, an odd lot too.
        q = values[j] * ratio
        values[j] = q if codes[col.ROLE] != events.ENTRY else units_of(q, held, lot)
    if values[col.LEFT] == 0.0:
        end(book, log, a, s, t, events.CANCELLED, events.NO_LOT)
        return
    values[col.LIMIT_AT] = to_tick(values[col.LIMIT_AT] / ratio, values[col.LEFT] < 0.0, tick)
    values[col.STOP_AT] = to_tick(values[col.STOP_AT] / ratio, values[col.LEFT] > 0.0, tick)
    for j in (col.LOSS_AT, col.PROFIT_AT):
        values[j] /= ratio
    if codes[col.PERCENT] == 0:
        values[col.TRAIL_BY] /= ratio


@kernel
def _end_at_zero(book: Book, log: Any, a: int, s: int, t: int) -> None:
    """End an order whose price has become zero on the tick; a trailing stop's moves on."""
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    stops = codes[col.KIND] in (orders.STOP, orders.STOP_LIMIT)
    if codes[col.ID] > 0 and (values[col.LIMIT_AT] == 0.0 or (stops and values[col.STOP_AT] == 0.0)):
        end(book, log, a, s, t, events.CANCELLED, events.NO_TICK)


@kernel
def _lower(codes: Any, values: Any, paid: float, tick: Grid) -> None:
    """Lower what a dividend lowers: buy limits, sell stops and what trails below (FINRA rule 5330), and legs to be."""
    buys, kind = values[col.LEFT] > 0.0, codes[col.KIND]
    if buys and kind == orders.LIMIT:
        values[col.LIMIT_AT] = to_tick(values[col.LIMIT_AT] - paid, False, tick)
    if not buys and kind in (orders.STOP, orders.STOP_LIMIT, orders.TRAILING):
        values[col.STOP_AT] = to_tick(values[col.STOP_AT] - paid, False, tick)
    if not buys and kind == orders.STOP_LIMIT:
        values[col.LIMIT_AT] = to_tick(values[col.LIMIT_AT] - paid, True, tick)
    # The legs that an entry will have: a buyer's stop-loss sells, a seller's take-profit buys.
    if buys:
        values[col.LOSS_AT] -= paid
    else:
        values[col.PROFIT_AT] -= paid


@shared
def fill(account: Account, a: int, s: int, p: float, deal: float, share: float, waits: int, maker: bool,
         t: int) -> None:  # fmt: skip
    """Fill a touched order as far as position, room and volume allow, and see to what hangs on it."""
    book, rules, log = account.book, account.rules, account.log
    rows = book.rows
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    held, left = rows[col.QUANTITY, a], values[col.LEFT]
    q = allowed(held, left, codes[col.REDUCE], rules.shorts)
    if q == 0.0 or (abs(q) <= col.DUST * abs(left) and not ends(held, q)):
        end(book, log, a, s, t, events.CANCELLED, events.NO_REDUCTION if codes[col.REDUCE] > 0 else events.NO_SHORTS)
        return
    reason = outcome(share, codes[col.WAITS], waits) if grows(held, held + q) else events.AS_WANTED
    if abs(q - left) > ROUNDING * abs(left):
        reason = events.ALL_REDUCED if codes[col.REDUCE] > 0 else events.ALL_SOLD
    # What rounding leaves of an order once the volume has had its share is no order.
    capped = abs(q) > rows[col.VOLUME_LEFT, a] + ROUNDING * abs(values[col.ASKED])
    if capped:
        q, reason = _cap(book, log, a, s, p, q, rules.lot, t), events.NO_VOLUME
        if abs(q) <= col.DUST * abs(left):
            return
    rests = share < 1.0 and grows(held, held + q) and outcome(share, codes[col.WAITS], waits) == events.PAID_LATER
    if share < 1.0 and grows(held, held + q):
        why = outcome(share, codes[col.WAITS], waits)
        size = held + q
        q = shrunk(held, base_of(held, size), size, share, rules.lot) - held
        # Whole lots stay as they are written, or the volume that they leave is a lot less.
        q = settled(q, max(abs(held), abs(size)), rules.lot)
        q = 0.0 if abs(q) <= col.DUST * abs(left) and not ends(held, q) else q
        reason = reason if capped else why
        if q == 0.0 and (rests or capped):
            return
        if q == 0.0:
            event = events.REJECTED if left == values[col.ASKED] else events.CANCELLED
            end(book, log, a, s, t, event, why if why == events.NOT_IN_TIME else events.NO_HEADROOM)
            return
    rate, due, charged = book.money[col.MAKER if maker else col.TAKER], values[col.FEES_DUE], values[col.FEES_CHARGED]
    fee, values[col.FEES_DUE], values[col.FEES_CHARGED] = charge(q, deal, rate, rules, due, charged)
    pay(book, a, q, p, deal, fee, rules)
    rows[col.VOLUME_LEFT, a] = volume_after(rows[col.VOLUME_LEFT, a], q, rules.lot)
    event = events.PARTIAL if capped or rests else events.FILLED
    log_event(book, log, event, codes[col.ID], t, a, math.nan, q, deal, fee, abs(q) * abs(deal - p), reason)
    values[col.LEFT] = settled(left - q, abs(left), rules.lot)
    _follow_up(account, book, a, s, q, deal, capped or rests, t)


@kernel
def _follow_up(account: Account, book: Book, a: int, s: int, q: float, deal: float, partly: bool, t: int) -> None:
    """See to what hangs on a fill: the order's end, its legs, its pair, the position's protection."""
    codes = book.order_codes[a, s]
    order, group = codes[col.ID], codes[col.GROUP]
    if codes[col.ROLE] == events.STOP_LOSS or codes[col.ROLE] == events.TRAIL_LOSS:
        book.counters[col.STOPS] += 1
    if not partly:
        codes[col.ID] = 0
        book.flags[col.ENDED, a] += 1
    _bracket(account, book, a, s, order, q, deal, t)
    if group != 0:
        _pair(book, account.log, a, s, group, abs(q), partly, t)
    guarded(account, a, deal, t)


@kernel
def _cap(book: Book, log: Any, a: int, s: int, p: float, q: float, lot: Grid, t: int) -> float:
    """Return what the volume leaves of q; the rest of a stop is at the market, as its price has traded."""
    codes = book.order_codes[a, s]
    codes[col.HELD] = t
    if codes[col.KIND] in (orders.STOP, orders.TRAILING):
        codes[col.KIND] = orders.MARKET
        log_event(book, log, events.TRIGGERED, codes[col.ID], t, a, math.nan, 0.0, p, 0.0, 0.0, events.NO_VOLUME)
    return math.copysign(toward_zero(book.rows[col.VOLUME_LEFT, a], lot), q)


@kernel
def _bracket(account: Account, book: Book, a: int, s: int, order: int, q: float, deal: float, t: int) -> None:
    """Let the legs of a bracket follow the part of their entry that has filled."""
    loss, profit, by = (
        book.order_values[a, s, col.LOSS_AT],
        book.order_values[a, s, col.PROFIT_AT],
        book.order_values[a, s, col.LOSS_TRAIL],
    )
    if loss != loss and profit != profit and by != by:
        return
    found, keeps, lot = False, book.order_codes[a, s, col.KEEPS], account.rules.lot
    for other in range(book.flags[col.LIVE, a]):
        if book.order_codes[a, other, col.PARENT] == order and book.order_codes[a, other, col.ID] > 0:
            left = book.order_values[a, other, col.LEFT] - q
            book.order_values[a, other, col.LEFT] = settled(left, abs(left), lot)
            found = True
    if found:
        return
    if loss == loss:
        _leg(account, a, -1, events.STOP_LOSS, order, order, -q, loss, deal, keeps, t)
    if profit == profit:
        _leg(account, a, -1, events.TAKE_PROFIT, order, order, -q, profit, deal, keeps, t)
    if by == by:
        _leg(account, a, -1, events.TRAIL_LOSS, order, order, -q, by, deal, keeps, t)


@shared
def _leg(account: Account, a: int, slot: int, role: int, parent: int, group: int, q: float, level: float,
         anchor: float, keeps: int, t: int) -> None:  # fmt: skip
    """Give birth to a protective leg, in this slot or (-1) the next; it may act in the bar it is born in."""
    book, tick = account.book, account.rules.tick
    kind, limit, stop, by = orders.STOP, math.nan, level, math.nan
    if role == events.TAKE_PROFIT:
        kind, limit, stop = orders.LIMIT, level, math.nan
    if role == events.TRAIL_LOSS:
        kind, by, stop = orders.TRAILING, level, anchor + math.copysign(abs(anchor) * level, q)
    if slot < 0:
        slot = append(book, a, kind, role, parent, group, q, limit, stop, by, 1, -1, tick)
    else:
        _fill_in(book, a, slot, kind, role, parent, group, q, limit, stop, by, 1, -1, tick)
    if slot >= 0:
        book.order_codes[a, slot, col.KEEPS] = keeps
        announce(book, account.log, a, slot, t)


@kernel
def _pair(book: Book, log: Any, a: int, s: int, group: int, q: float, partly: bool, t: int) -> None:
    """One cancels the other: what one of the group filled, the others fill no more."""
    for other in range(book.flags[col.LIVE, a]):
        codes = book.order_codes[a, other]
        if other == s or codes[col.ID] == 0 or codes[col.GROUP] != group:
            continue
        left = book.order_values[a, other, col.LEFT]
        if partly and abs(left) > q:
            book.order_values[a, other, col.LEFT] = left - math.copysign(q, left)
        else:
            end(book, log, a, other, t, events.CANCELLED, events.OTHER_FILLED)


@shared
def guarded(account: Account, a: int, anchor: float, t: int) -> None:
    """After a position has moved: its protection carries minus the position, and no leg is left of what is gone."""
    book, log = account.book, account.log
    held = book.rows[col.QUANTITY, a]
    if held == 0.0:
        for s in range(book.flags[col.LIVE, a]):
            if book.order_codes[a, s, col.ID] > 0 and book.order_codes[a, s, col.ROLE] != events.ENTRY:
                end(book, log, a, s, t, events.CANCELLED, events.UNPROTECTED)
        return
    for s in range(book.flags[col.LIVE, a]):
        codes = book.order_codes[a, s]
        leg = codes[col.ID] > 0 and codes[col.ROLE] != events.ENTRY and codes[col.GROUP] != PROTECTION
        # On the other side there is nothing that legs of this side could protect.
        if leg and book.order_values[a, s, col.LEFT] * held > 0.0:
            end(book, log, a, s, t, events.CANCELLED, events.UNPROTECTED)
    protect(account, book, a, anchor, t)


@kernel
def protect(account: Account, book: Book, a: int, anchor: float, t: int) -> None:
    """Make the legs of a position's protection what is wanted: kept, resized, ended, or made anew at another level.

    One that is made anew takes the place of the one before, and with it its turn among orders at one price.
    """
    rows, log = book.rows, account.log
    held, there = rows[col.QUANTITY, a], 0
    for s in range(book.flags[col.LIVE, a]):
        codes, values = book.order_codes[a, s], book.order_values[a, s]
        if codes[col.ID] == 0 or codes[col.GROUP] != PROTECTION:
            continue
        role = codes[col.ROLE]
        level = rows[col.STOP_LEVEL + role - events.STOP_LOSS, a]
        if level != level:
            end(book, log, a, s, t, events.CANCELLED, events.UNPROTECTED)
            continue
        there |= 1 << role
        if values[col.LEFT] * held < 0.0 and _stands(values, role, level, held, account.rules.tick):
            values[col.LEFT] = -held
        else:
            log_event(book, log, events.CANCELLED, codes[col.ID], t, a, math.nan, 0.0, 0.0, 0.0, 0.0, events.NEWER)
            _leg(account, a, s, role, 0, PROTECTION, -held, level, anchor, 0, t)
    for role in range(events.STOP_LOSS, events.TRAIL_LOSS + 1):
        level = rows[col.STOP_LEVEL + role - events.STOP_LOSS, a]
        if level == level and there & (1 << role) == 0:
            _leg(account, a, -1, role, 0, PROTECTION, -held, level, anchor, 0, t)


@kernel
def _stands(values: Any, role: int, level: float, held: float, tick: Grid) -> bool:
    """Tell whether a leg already is at the wanted level."""
    if role == events.TRAIL_LOSS:
        return bool(values[col.TRAIL_BY] == level)
    if role == events.STOP_LOSS:
        return alike(values[col.STOP_AT], to_tick(level, held < 0.0, tick))
    return alike(values[col.LIMIT_AT], to_tick(level, held > 0.0, tick))
