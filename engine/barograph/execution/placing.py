"""Answers become orders in the full book: requests are checked, kept, replaced, and born (clause 6)."""

from __future__ import annotations

import math
from typing import Any, Final

from barograph.execution.book import (
    ASKED,
    BAD_ORDER,
    BAD_PAIR,
    CULPRIT,
    DATED,
    DUST,
    EQUITY,
    FAULT,
    FINE,
    GONE,
    ID,
    KIND,
    LEFT,
    LIFE,
    LIMIT_AT,
    LIVE,
    LOSS_AT,
    LOSS_TRAIL,
    NEXT_ID,
    NO_SLIP,
    PERCENT,
    PLACES,
    PRICE,
    PROFIT_AT,
    QUANTITY,
    REDUCE,
    STOP_AT,
    STOP_LEVEL,
    TAG,
    TOO_MANY,
    TRAIL_BY,
    UNTIL,
    Account,
    Book,
    Rules,
    requests_a_bar,
)
from barograph.execution.events import (
    AS_WANTED,
    CANCELLED,
    DELISTING,
    ENTRY,
    NEWER,
    NO_LOT,
    OVER_GROSS,
    OVER_NET,
    OVER_POSITION,
    REJECTED,
    TOO_SMALL,
    UNTRADED,
    WITHDRAWN,
)
from barograph.execution.prices import to_tick
from barograph.execution.resting import alike, announce, append, end, protect, tidy
from barograph.execution.sizes import lots
from barograph.execution.touch import ANY_PRICE, EVER, dominated, level_of
from barograph.jit.kernel import kernel, shared
from barograph.jit.views import unowned
from barograph.orders import (
    ACTION,
    AMOUNT,
    ASSET,
    CANCEL,
    DISTANCE,
    GTC,
    KIND_OF,
    LIFETIME,
    LIMIT,
    LIMIT_PRICE,
    LOSS_DISTANCE,
    LOSS_PRICE,
    MARKET,
    MOMENT,
    NEW,
    PAIR,
    PERCENTAGE,
    PROFIT_PRICE,
    REDUCES,
    STOP,
    STOP_LIMIT,
    STOP_PRICE,
    TAGGED,
    TRAILING,
)

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
            if levels[j, a] <= 0.0 or levels[j, a] == math.inf or (j == 2 and levels[j, a] >= 1.0):
                book.counters[FAULT], book.counters[CULPRIT] = BAD_ORDER, a
                return
            rows[STOP_LEVEL + j, a] = levels[j, a]
        if rows[QUANTITY, a] != 0.0:
            protect(account, book, a, rows[PRICE, a], t)
            tidy(book, a)


@shared
def withdraw(account: Account, t: int, reason: int, entries: bool) -> None:
    """Cancel resting orders: all, or those that may increase a position; what then stays may only reduce one."""
    book, log = account.book, account.log
    rows = book.rows
    for a in range(rows.shape[1]):
        held = rows[QUANTITY, a]
        for s in range(book.flags[LIVE, a]):
            left = book.order_values[a, s, LEFT]
            reduces = book.order_codes[a, s, REDUCE] > 0 or (held * left < 0.0 and abs(left) <= abs(held))
            if entries and reduces:
                book.order_codes[a, s, REDUCE] = _curbed(book.order_codes[a, s, REDUCE])
            else:
                end(book, log, a, s, t, CANCELLED, reason)
        tidy(book, a)


@shared
def place_orders(account: Account, slip: Any, t: int, refused: int) -> None:
    """Work through a slip row by row; `refused` is the reason of the guard that lets no new risk in, or 0."""
    book, rules, log, slip = account.book, account.rules, account.log, unowned(slip)
    assets = book.rows.shape[1]
    if slip[0, 1] != 0.0 or slip[0, 0] > requests_a_bar(assets, book.order_codes.shape[1] // PLACES):
        book.counters[FAULT] = BAD_PAIR if slip[0, 1] == 2.0 else NO_SLIP if slip[0, 1] != 0.0 else TOO_MANY
        return
    first = book.counters[NEXT_ID]
    for r in range(1, int(slip[0, 0]) + 1):
        row = slip[r]
        a = int(row[ASSET])
        if not 0 <= a < assets or a != row[ASSET]:
            book.counters[FAULT], book.counters[CULPRIT] = BAD_ORDER, -1
            return
        if row[ACTION] == NEW:
            if not _sound(row):
                book.counters[FAULT], book.counters[CULPRIT] = BAD_ORDER, a
                return
            _place(account, book, rules, a, row, first, t, refused)
        else:
            _cancel(book, log, a, int(row[TAGGED]), bool(row[ACTION] == CANCEL), t)
        if book.counters[FAULT] != FINE:
            return


@kernel
def _sound(row: Any) -> bool:
    """Tell whether a request can be meant: a quantity, and the prices its kind needs."""
    kind, q = row[KIND_OF], row[AMOUNT]
    sound = -math.inf < q < math.inf and q != 0.0 and row[TAGGED] >= 0.0
    if kind in (LIMIT, STOP_LIMIT):
        sound = sound and 0.0 < row[LIMIT_PRICE] < math.inf
    if kind in (STOP, STOP_LIMIT):
        sound = sound and 0.0 < row[STOP_PRICE] < math.inf
    if kind == TRAILING:
        sound = sound and 0.0 < row[DISTANCE] < (1.0 if row[PERCENTAGE] == 1.0 else math.inf)
    for j in (LOSS_PRICE, PROFIT_PRICE):
        sound = sound and not row[j] <= 0.0 and row[j] != math.inf
    return bool(sound and not row[LOSS_DISTANCE] <= 0.0 and not row[LOSS_DISTANCE] >= 1.0)


@kernel
def _cancel(book: Book, log: Any, a: int, tag: int, tagged: bool, t: int) -> None:
    for s in range(book.flags[LIVE, a]):
        if not tagged or (book.order_codes[a, s, TAG] == tag and tag > 0):
            end(book, log, a, s, t, CANCELLED, WITHDRAWN)
    tidy(book, a)


@kernel
def _place(account: Account, book: Book, rules: Rules, a: int, row: Any, first: int, t: int, refused: int) -> None:
    """Keep, replace, refuse, or give birth to one order."""
    rows, log = book.rows, account.log
    q = lots(row[AMOUNT], rules.lot)
    if row[TAGGED] > 0.0 and _kept(book, log, a, row, q, t, rules.tick, refused):
        return
    anchor = rows[PRICE, a]
    by = row[DISTANCE] * (anchor if row[PERCENTAGE] == 1.0 else 1.0)
    stop = (anchor - by if q < 0.0 else anchor + by) if row[KIND_OF] == TRAILING else row[STOP_PRICE]
    # A pair's number is made of the first id of this slip: no other slip has it, and legs have their parents' ids.
    group = -(first * 65_536 + int(row[PAIR])) - 1 if row[PAIR] > 0.0 else 0
    s = append(book, a, int(row[KIND_OF]), ENTRY, 0, group, q, row[LIMIT_PRICE], stop, row[DISTANCE],
               int(row[PERCENTAGE]), t, rules.tick)  # fmt: skip
    if s < 0:
        return
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    codes[LIFE], codes[TAG], codes[REDUCE] = int(row[LIFETIME]), int(row[TAGGED]), int(row[REDUCES])
    values[UNTIL] = row[MOMENT]
    if codes[LIFE] != GTC:
        book.counters[DATED] = 1
    values[LOSS_AT], values[PROFIT_AT], values[LOSS_TRAIL] = row[LOSS_PRICE], row[PROFIT_PRICE], row[LOSS_DISTANCE]
    announce(book, log, a, s, t)
    # What is decided under a guard only reduces, whatever has happened to the position when it fills.
    if refused != AS_WANTED:
        codes[REDUCE] = _curbed(codes[REDUCE])
    reason = _refusal(account, book, rules, a, q, row, refused)
    if reason != AS_WANTED:
        end(book, log, a, s, t, REJECTED, reason)
        tidy(book, a)


@kernel
def _curbed(reduces: int) -> int:
    """Return that an order may only reduce: by its own terms, or by a guard's."""
    return ITSELF if reduces == ITSELF else GUARDED


@kernel
def _kept(book: Book, log: Any, a: int, row: Any, q: float, t: int, tick: float, refused: int) -> bool:
    """Tell whether the order with this tag rests with the same terms; one with other terms makes way."""
    for s in range(book.flags[LIVE, a]):
        codes, values = book.order_codes[a, s], book.order_values[a, s]
        if codes[TAG] != row[TAGGED] or codes[ID] == 0:
            continue
        # A stop-limit that has been triggered rests as a limit, a stop as a market order; both keep their stop.
        same = codes[KIND] == row[KIND_OF] or (codes[KIND] == LIMIT and row[KIND_OF] == STOP_LIMIT)
        same = same or (codes[KIND] == MARKET and row[KIND_OF] in (STOP, TRAILING))
        same = same and codes[LIFE] == row[LIFETIME] and (codes[REDUCE] == ITSELF) == (row[REDUCES] == 1.0)
        same = same and alike(values[ASKED], q) and alike(values[UNTIL], row[MOMENT])
        same = same and alike(values[LIMIT_AT], to_tick(row[LIMIT_PRICE], q < 0.0, tick))
        same = same and (row[KIND_OF] == TRAILING or alike(values[STOP_AT], to_tick(row[STOP_PRICE], q > 0.0, tick)))
        same = same and alike(values[TRAIL_BY], row[DISTANCE]) and codes[PERCENT] == row[PERCENTAGE]
        same = same and alike(values[LOSS_AT], row[LOSS_PRICE]) and alike(values[PROFIT_AT], row[PROFIT_PRICE])
        if same and alike(values[LOSS_TRAIL], row[LOSS_DISTANCE]):
            # Asked for again while no guard holds, it is free again.
            if refused == AS_WANTED and codes[REDUCE] == GUARDED:
                codes[REDUCE] = 0
            return True
        end(book, log, a, s, t, CANCELLED, NEWER)
    tidy(book, a)
    return False


@kernel
def _refusal(account: Account, book: Book, rules: Rules, a: int, q: float, row: Any, refused: int) -> int:
    """Return why a request is not taken, or that it is."""
    held, reason = book.rows[QUANTITY, a], AS_WANTED
    p = row[LIMIT_PRICE] if row[LIMIT_PRICE] == row[LIMIT_PRICE] else book.rows[PRICE, a]
    if book.flags[GONE, a] == 1:
        reason = DELISTING
    elif rules.traded[a] == 0:
        reason = UNTRADED
    elif q == 0.0:
        reason = NO_LOT
    elif abs(q) * p < rules.min_notional and held + q != 0.0:
        reason = TOO_SMALL
    elif refused != AS_WANTED and row[REDUCES] != 1.0 and held * q >= 0.0:
        reason = refused
    elif row[REDUCES] != 1.0 and abs(held + q) > abs(held):
        reason = _over(account, book, rules, a) if refused == AS_WANTED else AS_WANTED
    return reason


@kernel
def _over(account: Account, book: Book, rules: Rules, a: int) -> int:
    """Return the limit that this asset's newest order would break, were all that rests to fill."""
    equity = book.money[EQUITY]
    for g in range(rules.guards.shape[0]):
        what, most = int(rules.guards[g, 0]), rules.guards[g, 1] * equity * (1.0 + DUST)
        if what == OVER_POSITION and max(_reach(book, a, True, rules.tick), -_reach(book, a, False, rules.tick)) > most:
            return OVER_POSITION
        if what in (OVER_GROSS, OVER_NET) and _exposure(account, what == OVER_NET) > most:
            return what
    return AS_WANTED


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
def _reach(book: Book, a: int, up: bool, tick: float) -> float:
    """Return the value of the position once all that may buy, or all that may sell, has filled."""
    p = book.rows[PRICE, a]
    value = book.rows[QUANTITY, a] * p if book.rows[QUANTITY, a] != 0.0 else 0.0
    for s in range(book.flags[LIVE, a]):
        codes, values = book.order_codes[a, s], book.order_values[a, s]
        counts = codes[ID] > 0 and codes[REDUCE] == 0 and (values[LEFT] > 0.0) == up
        if counts and not dominated(book, a, s, 0.0, ANY_PRICE, p, tick, EVER, 0):
            value += values[LEFT] * level_of(codes, values, p)
    return value
