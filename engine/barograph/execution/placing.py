"""Answers become orders in the full book: requests are checked, kept, replaced, and born (clause 6)."""

from __future__ import annotations

import math
from typing import Any, Final

from barograph import orders
from barograph.execution import book as col
from barograph.execution import events
from barograph.execution.book import Account, Book, Rules, requests_a_bar
from barograph.execution.grid import Grid
from barograph.execution.prices import to_tick
from barograph.execution.resting import alike, announce, append, end, protect, tidy
from barograph.execution.sizes import ends, grows, units_of
from barograph.execution.touch import ANY_PRICE, EVER, dominated, level_of
from barograph.jit.kernel import kernel, shared
from barograph.jit.views import unowned

__all__ = ["place_orders", "place_protection", "withdraw"]

# Why an order only reduces (`REDUCE`): by its own terms, or because a guard holds.
ITSELF: Final = 1
GUARDED: Final = 2


@shared
def place_protection(account: Account, levels: Any, t: int) -> None:
    """Take the levels (3, N) a `Protected` answer wants, and move the legs of the positions there are."""
    book, levels = account.book, unowned(levels)
    rows = book.rows
    for a in range(rows.shape[1]):
        for j in range(3):
            fraction = j == 2 and levels[j, a] == levels[j, a] and not 0.0 < levels[j, a] < 1.0
            if levels[j, a] == 0.0 or abs(levels[j, a]) == math.inf or fraction:
                book.counters[col.FAULT], book.counters[col.CULPRIT] = col.BAD_ORDER, a
                return
            rows[col.STOP_LEVEL + j, a] = levels[j, a]
        if rows[col.QUANTITY, a] != 0.0:
            protect(account, book, a, rows[col.PRICE, a], t)
            tidy(book, a)


@shared
def withdraw(account: Account, t: int, reason: int, entries: bool) -> None:
    """Cancel resting orders: all, or those that may increase a position; what then stays may only reduce one."""
    book, log = account.book, account.log
    rows = book.rows
    for a in range(rows.shape[1]):
        held = rows[col.QUANTITY, a]
        for s in range(book.flags[col.LIVE, a]):
            left = book.order_values[a, s, col.LEFT]
            reduces = book.order_codes[a, s, col.REDUCE] > 0 or (held * left < 0.0 and abs(left) <= abs(held))
            if entries and reduces:
                book.order_codes[a, s, col.REDUCE] = _curbed(book.order_codes[a, s, col.REDUCE])
            else:
                end(book, log, a, s, t, events.CANCELLED, reason)
        tidy(book, a)


@shared
def place_orders(account: Account, slip: Any, t: int, refused: int) -> None:
    """Work through a slip row by row; `refused` is the reason of the guard that lets no new risk in, or 0."""
    book, rules, log, slip = account.book, account.rules, account.log, unowned(slip)
    assets = book.rows.shape[1]
    if slip[0, 1] != 0.0 or slip[0, 0] > requests_a_bar(assets, book.order_codes.shape[1] // col.PLACES):
        book.counters[col.FAULT] = (
            col.BAD_PAIR if slip[0, 1] == 2.0 else col.NO_SLIP if slip[0, 1] != 0.0 else col.TOO_MANY
        )
        return
    first = book.counters[col.NEXT_ID]
    for r in range(1, int(slip[0, 0]) + 1):
        row = slip[r]
        a = int(row[orders.ASSET])
        if not 0 <= a < assets or a != row[orders.ASSET]:
            book.counters[col.FAULT], book.counters[col.CULPRIT] = col.BAD_ORDER, -1
            return
        if row[orders.ACTION] == orders.NEW:
            if not _sound(row):
                book.counters[col.FAULT], book.counters[col.CULPRIT] = col.BAD_ORDER, a
                return
            _place(account, book, rules, a, row, first, t, refused)
        else:
            _cancel(book, log, a, int(row[orders.TAGGED]), bool(row[orders.ACTION] == orders.CANCEL), t)
        if book.counters[col.FAULT] != col.FINE:
            return


@kernel
def _sound(row: Any) -> bool:
    """Tell whether a request can be meant: a quantity, and the prices its kind needs."""
    kind, q = row[orders.KIND_OF], row[orders.AMOUNT]
    sound = -math.inf < q < math.inf and q != 0.0 and row[orders.TAGGED] >= 0.0
    # A level may be any number but 0, which is what a forgotten one looks like: there are prices below zero.
    if kind in (orders.LIMIT, orders.STOP_LIMIT):
        sound = sound and 0.0 < abs(row[orders.LIMIT_PRICE]) < math.inf
    if kind in (orders.STOP, orders.STOP_LIMIT):
        sound = sound and 0.0 < abs(row[orders.STOP_PRICE]) < math.inf
    if kind == orders.TRAILING:
        sound = sound and 0.0 < row[orders.DISTANCE] < (1.0 if row[orders.PERCENTAGE] == 1.0 else math.inf)
    for j in (orders.LOSS_PRICE, orders.PROFIT_PRICE):
        sound = sound and row[j] != 0.0 and abs(row[j]) != math.inf
    return bool(sound and not row[orders.LOSS_DISTANCE] <= 0.0 and not row[orders.LOSS_DISTANCE] >= 1.0)


@kernel
def _cancel(book: Book, log: Any, a: int, tag: int, tagged: bool, t: int) -> None:
    for s in range(book.flags[col.LIVE, a]):
        if not tagged or (book.order_codes[a, s, col.TAG] == tag and tag > 0):
            end(book, log, a, s, t, events.CANCELLED, events.WITHDRAWN)
    tidy(book, a)


@kernel
def _place(account: Account, book: Book, rules: Rules, a: int, row: Any, first: int, t: int, refused: int) -> None:
    """Keep, replace, refuse, or give birth to one order."""
    rows, log = book.rows, account.log
    q = units_of(row[orders.AMOUNT], rows[col.QUANTITY, a], rules.lot)
    if row[orders.TAGGED] > 0.0 and _kept(book, log, a, row, q, t, rules.tick, refused):
        return
    anchor = rows[col.PRICE, a]
    by = row[orders.DISTANCE] * (abs(anchor) if row[orders.PERCENTAGE] == 1.0 else 1.0)
    stop = (
        (anchor - by if q < 0.0 else anchor + by) if row[orders.KIND_OF] == orders.TRAILING else row[orders.STOP_PRICE]
    )
    # A pair's number is made of the first id of this slip: no other slip has it, and legs have their parents' ids.
    group = -(first * 65_536 + int(row[orders.PAIR])) - 1 if row[orders.PAIR] > 0.0 else 0
    s = append(book, a, int(row[orders.KIND_OF]), events.ENTRY, 0, group, q, row[orders.LIMIT_PRICE], stop,
               row[orders.DISTANCE], int(row[orders.PERCENTAGE]), t, rules.tick)  # fmt: skip
    if s < 0:
        return
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    codes[col.LIFE], codes[col.TAG], codes[col.REDUCE] = (
        int(row[orders.LIFETIME]),
        int(row[orders.TAGGED]),
        int(row[orders.REDUCES]),
    )
    codes[col.KEEPS] = int(row[orders.KEEPS])
    values[col.UNTIL] = row[orders.MOMENT]
    if codes[col.LIFE] != orders.GTC:
        book.counters[col.DATED] = 1
    values[col.LOSS_AT], values[col.PROFIT_AT], values[col.LOSS_TRAIL] = (
        row[orders.LOSS_PRICE],
        row[orders.PROFIT_PRICE],
        row[orders.LOSS_DISTANCE],
    )
    announce(book, log, a, s, t)
    # What is decided under a guard only reduces, whatever has happened to the position when it fills.
    if refused != events.AS_WANTED:
        codes[col.REDUCE] = _curbed(codes[col.REDUCE])
    reason = _refusal(account, book, rules, a, s, q, row, refused)
    if reason != events.AS_WANTED:
        end(book, log, a, s, t, events.REJECTED, reason)
        tidy(book, a)


@kernel
def _curbed(reduces: int) -> int:
    """Return that an order may only reduce: by its own terms, or by a guard's."""
    return ITSELF if reduces == ITSELF else GUARDED


@kernel
def _kept(book: Book, log: Any, a: int, row: Any, q: float, t: int, tick: Grid, refused: int) -> bool:
    """Tell whether the order with this tag rests with the same terms; one with other terms makes way."""
    for s in range(book.flags[col.LIVE, a]):
        codes, values = book.order_codes[a, s], book.order_values[a, s]
        if codes[col.TAG] != row[orders.TAGGED] or codes[col.ID] == 0:
            continue
        # A stop-limit that has been triggered rests as a limit, a stop as a market order; both keep their stop.
        same = codes[col.KIND] == row[orders.KIND_OF] or (
            codes[col.KIND] == orders.LIMIT and row[orders.KIND_OF] == orders.STOP_LIMIT
        )
        same = same or (codes[col.KIND] == orders.MARKET and row[orders.KIND_OF] in (orders.STOP, orders.TRAILING))
        same = (
            same
            and codes[col.LIFE] == row[orders.LIFETIME]
            and codes[col.KEEPS] == row[orders.KEEPS]
            and (codes[col.REDUCE] == ITSELF) == (row[orders.REDUCES] == 1.0)
        )
        same = same and alike(values[col.ASKED], q) and alike(values[col.UNTIL], row[orders.MOMENT])
        same = same and alike(values[col.LIMIT_AT], to_tick(row[orders.LIMIT_PRICE], q < 0.0, tick))
        same = same and (
            row[orders.KIND_OF] == orders.TRAILING
            or alike(values[col.STOP_AT], to_tick(row[orders.STOP_PRICE], q > 0.0, tick))
        )
        same = (
            same and alike(values[col.TRAIL_BY], row[orders.DISTANCE]) and codes[col.PERCENT] == row[orders.PERCENTAGE]
        )
        same = (
            same
            and alike(values[col.LOSS_AT], row[orders.LOSS_PRICE])
            and alike(values[col.PROFIT_AT], row[orders.PROFIT_PRICE])
        )
        if same and alike(values[col.LOSS_TRAIL], row[orders.LOSS_DISTANCE]):
            # Asked for again while no guard holds, it is free again.
            if refused == events.AS_WANTED and codes[col.REDUCE] == GUARDED:
                codes[col.REDUCE] = 0
            return True
        end(book, log, a, s, t, events.CANCELLED, events.NEWER)
    tidy(book, a)
    return False


@kernel
def _refusal(account: Account, book: Book, rules: Rules, a: int, s: int, q: float, row: Any,
             refused: int) -> int:  # fmt: skip
    """Return why a request is not taken, or that it is."""
    held, reason, values = book.rows[col.QUANTITY, a], events.AS_WANTED, book.order_values[a, s]
    p = values[col.LIMIT_AT] if values[col.LIMIT_AT] == values[col.LIMIT_AT] else book.rows[col.PRICE, a]
    if book.flags[col.GONE, a] == 1:
        reason = events.DELISTING
    elif rules.traded[a] == 0:
        reason = events.UNTRADED
    elif q == 0.0:
        reason = events.NO_LOT
    elif values[col.LIMIT_AT] == 0.0 or (values[col.STOP_AT] == 0.0 and row[orders.KIND_OF] != orders.TRAILING):
        reason = events.NO_TICK
    elif abs(q * p) < rules.min_notional and not ends(held, q):
        reason = events.TOO_SMALL
    elif refused != events.AS_WANTED and row[orders.REDUCES] != 1.0 and held * q >= 0.0:
        reason = refused
    elif row[orders.REDUCES] != 1.0 and grows(held, held + q):
        reason = _over(account, book, rules, a) if refused == events.AS_WANTED else events.AS_WANTED
    return reason


@kernel
def _over(account: Account, book: Book, rules: Rules, a: int) -> int:
    """Return the limit that this asset's newest order would break, were all that rests to fill."""
    equity = book.money[col.EQUITY]
    for g in range(rules.guards.shape[0]):
        what, most = int(rules.guards[g, 0]), rules.guards[g, 1] * equity * (1.0 + col.DUST)
        if (
            what == events.OVER_POSITION
            and max(abs(_reach(book, a, True, rules.tick)), abs(_reach(book, a, False, rules.tick))) > most
        ):
            return events.OVER_POSITION
        if what in (events.OVER_GROSS, events.OVER_NET) and _exposure(account, what == events.OVER_NET) > most:
            return what
    return events.AS_WANTED


@shared
def _exposure(account: Account, net: bool) -> float:
    """Return the largest gross, or net, exposure that could come of all that is held and rests."""
    book, tick = account.book, account.rules.tick
    gross, longest, shortest = 0.0, 0.0, 0.0
    for a in range(book.rows.shape[1]):
        up, down = _reach(book, a, True, tick), _reach(book, a, False, tick)
        gross += max(abs(up), abs(down))
        longest, shortest = longest + up, shortest + down
    return max(abs(longest), abs(shortest)) if net else gross


@kernel
def _reach(book: Book, a: int, up: bool, tick: Grid) -> float:
    """Return the value of the position once all that may buy, or all that may sell, has filled."""
    p = book.rows[col.PRICE, a]
    value = book.rows[col.QUANTITY, a] * p if book.rows[col.QUANTITY, a] != 0.0 else 0.0
    for s in range(book.flags[col.LIVE, a]):
        codes, values = book.order_codes[a, s], book.order_values[a, s]
        counts = codes[col.ID] > 0 and codes[col.REDUCE] == 0 and (values[col.LEFT] > 0.0) == up
        # What waits for its asset's first price is worth no number yet, and must not make none of all the others.
        counts = counts and level_of(codes, values, p) == level_of(codes, values, p)
        if counts and not dominated(book, a, s, -ANY_PRICE, ANY_PRICE, p, tick, EVER, 0):
            value += values[col.LEFT] * level_of(codes, values, p)
    return value
