"""Orders to a target weight, in the light book: one waiting order an asset, proportional and fixed fees (clauses 2, 6).

`auction` fills the same orders under every other rule, to the same bits where both apply; both size them by `costs`.
"""

from __future__ import annotations

import math
from typing import Any

from barograph.epoch import DAY, NEVER
from barograph.execution import book as col
from barograph.execution import events, options
from barograph.execution.book import Book, Rules
from barograph.execution.events import write
from barograph.execution.grid import Grid
from barograph.execution.money import rebase
from barograph.execution.sizes import gone, grows, moved, ruin, value_of, why_none
from barograph.execution.targets.costs import size_together
from barograph.execution.targets.room import increases, share_of, share_room
from barograph.jit.kernel import kernel
from barograph.types import Bars, Floats

__all__ = ["deserves", "fill_targets", "granted_of", "outcome", "place_targets", "reductions_wait", "tradable",
           "unfilled", "wait_for_reductions", "write_equity_row"]  # fmt: skip


@kernel
def fill_targets(book: Book, bars: Bars, rules: Rules, log: Any, t: int, closing: bool) -> None:
    """Clause 2: waiting orders fill at the open (or at the close), reductions before increases.

    The book is valued at these very prices, once, before the first fill: weights become units off one equity.
    Increases that together ask for more than the leverage limit allows wait for reductions that have no bar yet, or
    shrink by one common factor, so that the order of the columns decides nothing.
    """
    if book.counters[col.WAITING] == 0:
        return
    prices = bars.close if closing else bars.open
    equity = value_of(book.money[col.CASH], book.rows, prices)
    if gone(equity, book.money[col.EQUITY]):
        ruin(book, equity)
        return
    sized, roomy = _size(book, bars, prices, rules, equity)
    everybody = sized == book.counters[col.WAITING]
    book.money[col.WORTH] = equity
    _fill_all(book, prices, rules, log, t, False, 1.0, NEVER)
    # Where all is sized to weights within the limit there is room, and nobody has to add it up.
    share = 1.0 if roomy else share_of(book, prices, rules, rules.fee)
    later = not everybody and reductions_wait(book, book.money[col.WORTH])
    waits = (bars.ts - 1) // DAY if later else NEVER
    if waits != NEVER:
        wait_for_reductions(book, share, waits)
    if share < 1.0:
        share_room(book, prices, rules, share, rules.fee)
    _fill_all(book, prices, rules, log, t, True, share, waits)


@kernel
def write_equity_row(book: Book, equity: Any, weights: Any) -> None:
    """Write the equity point (6, 1), before the decision (clause 6), and begin the next row's charges at nothing."""
    money, rows = book.money, book.rows
    equity[0, 0], equity[1, 0], equity[2, 0] = money[col.EQUITY], money[col.CASH], money[col.GROSS]
    equity[3, 0], equity[4, 0], equity[5, 0] = money[col.NET], money[col.FEES], money[col.FINANCING]
    worth = money[col.EQUITY]
    for a in range(weights.size):
        held = rows[col.QUANTITY, a]
        weights[a] = held * rows[col.PRICE, a] / worth if held != 0.0 and worth > 0.0 else 0.0
    money[col.FEES], money[col.FINANCING] = 0.0, 0.0


@kernel
def place_targets(book: Book, weights: Floats, rules: Rules, log: Any, t: int, curbed: int, flattens: bool) -> None:
    """Clause 6: turn weights into waiting orders; the same target twice is one order, HOLD touches nothing.

    `curbed` is the reason of a guard in force, or 0: what is decided under it may only reduce a position. One that
    flattens asks nobody whether it is worth it.
    """
    counters, rows, flags = book.counters, book.rows, book.flags
    n, waiting, logged, equity = (
        counters[col.NEXT_ID],
        counters[col.WAITING],
        counters[col.LOGGED],
        book.money[col.EQUITY],
    )
    for a in range(rows.shape[1]):
        w = weights[a]
        if rules.traded[a] == 0 or w == math.inf or flags[col.GONE, a] == 1:
            continue
        if not w > -math.inf:
            counters[col.FAULT], counters[col.CULPRIT] = col.NOT_A_NUMBER, a
            break
        if flags[col.PENDING, a] > 0:
            if abs(rows[col.WANTED, a] - w) <= col.DUST:
                flags[col.CURBED, a] = curbed
                continue
            logged = write(log, logged, events.CANCELLED, flags[col.PENDING, a], t, a, rows[col.WANTED, a], 0.0, 0.0,
                           0.0, 0.0, events.REPLACED)  # fmt: skip
            flags[col.PENDING, a] = 0
            waiting -= 1
        if deserves(rows[col.QUANTITY, a], rows[col.PRICE, a], w, equity, rules, rules.lot, flattens):
            logged = write(log, logged, events.BORN, n, t, a, w, 0.0, 0.0, 0.0, 0.0, events.AS_WANTED)
            rows[col.WANTED, a] = w
            flags[col.PENDING, a], flags[col.PARTLY, a], flags[col.CURBED, a] = n, 0, curbed
            flags[col.SINCE, a] = NEVER
            if rules.minimum_fee > 0.0:
                rows[col.DUE, a], rows[col.CHARGED, a] = 0.0, 0.0
            n += 1
            waiting += 1
    counters[col.NEXT_ID], counters[col.WAITING], counters[col.LOGGED] = n, waiting, logged


@kernel
def deserves(held: float, p: float, w: float, equity: float, rules: Rules, lot: Grid, flattens: bool) -> bool:
    """Tell whether target w deserves an order beside what is held at p: outside the drift band, something to move.

    Without a band, a weight that is met at this close may be off at the next open: only 0 and 1 stay what they are
    while prices move.
    """
    gap = abs(w - (held * p / equity if held != 0.0 else 0.0))
    # A gap of exactly the band is one, whatever its last bit.
    if gap < rules.band - col.DUST and not flattens:
        return False
    if w == 0.0:
        return bool(held != 0.0)
    if lot.numerator > 0.0 and p > 0.0:
        return bool(gap > col.DUST and moved(held, w * equity / p, lot) != held)
    return bool(gap > col.DUST or (rules.fill != options.SAME_CLOSE and abs(w - 1.0) > col.DUST))


@kernel
def _size(book: Book, bars: Bars, prices: Floats, rules: Rules, equity: float) -> tuple[int, bool]:
    """Write the position that every order wants which can fill, and its price, NaN = no fill.

    Return how many can, and whether there is room for all of them.
    """
    rows, flags, sized, asked = book.rows, book.flags, 0, 0.0
    for a in range(prices.size):
        if flags[col.PENDING, a] == 0:
            continue
        p, flags[col.BARRED, a] = prices[a], 0
        # Clause 4: zero volume or no price fills nothing and loses nothing; unknown (NaN) volume is unlimited.
        if not tradable(p, bars.volume[a], rows[col.WANTED, a]):
            rows[col.SIZE, a] = math.nan
            continue
        s = rules.slippage if p > 0.0 else -rules.slippage
        rows[col.DEAR, a] = max(p, min(p * (1.0 + s), bars.high[a]))
        rows[col.CHEAP, a] = min(p, max(p * (1.0 - s), bars.low[a]))
        rows[col.SIZE, a] = 0.0
        sized += 1
        asked += abs(rows[col.WANTED, a])
    even = size_together(book, prices, rules, equity, rules.fee)
    return sized, even and sized == prices.size and asked <= rules.leverage


@kernel
def tradable(p: float, volume: float, w: float) -> bool:
    """Tell whether a target can trade at p: only one of nothing needs no price above zero to say how many units."""
    return bool((p > 0.0 or (p == p and w == 0.0)) and volume != 0.0)


@kernel
def reductions_wait(book: Book, equity: float) -> bool:
    """Tell whether a target that cannot trade now would free money at the last prices, by the equity there is now."""
    rows, flags = book.rows, book.flags
    for a in range(rows.shape[1]):
        if flags[col.PENDING, a] > 0 and rows[col.SIZE, a] != rows[col.SIZE, a] and rows[col.QUANTITY, a] != 0.0:
            held = abs(rows[col.QUANTITY, a] * rows[col.PRICE, a])
            if abs(rows[col.WANTED, a]) * equity < held - col.DUST * equity:
                return True
    return False


@kernel
def wait_for_reductions(book: Book, share: float, today: int) -> None:
    """Let the rest of increases wait for reductions that have no bar yet: until a bar of a later day (UTC)."""
    flags = book.flags
    for a in range(book.rows.shape[1]):
        shrinks = (share < 1.0 and increases(book, a)) or (flags[col.PENDING, a] > 0 and flags[col.BARRED, a] == 1)
        if shrinks and flags[col.SINCE, a] == NEVER:
            flags[col.SINCE, a] = today


@kernel
def outcome(share: float, since: int, waits: int) -> int:
    """Return the reason of an order that fills: whole or in part, at once, after what it waited for, or in spite of it.

    `since` is the day since which it waits, `waits` today where any reduction still waits; NEVER stands for none.
    """
    if share < 1.0:
        if NEVER in (waits, since):
            return events.SHRUNK
        return events.PAID_LATER if since == waits else events.NOT_IN_TIME
    return events.AS_WANTED if waits != NEVER or since == NEVER else events.AFTER_REDUCTIONS


@kernel
def granted_of(book: Book, a: int, share: float) -> float:
    """Return how much of its room a target was given: only one that shared it and got less was shrunk."""
    goal = book.rows[col.GOAL, a]
    less = goal == goal and book.rows[col.SIZE, a] != goal
    return 0.0 if book.flags[col.BARRED, a] == 1 else share if less else 1.0


@kernel
def unfilled(book: Book, a: int, granted: float, reason: int, rules: Rules) -> tuple[int, int]:
    """Return how a target ends that moves nothing, and why."""
    flags = book.flags
    if granted < 1.0:
        event = events.CANCELLED if flags[col.PARTLY, a] > 0 else events.REJECTED
        return event, events.NOT_IN_TIME if reason == events.NOT_IN_TIME else events.NO_HEADROOM
    if flags[col.CAPPED, a] == 3:
        return events.CANCELLED, events.NO_SHORTS
    if flags[col.CAPPED, a] == 2:
        return events.CANCELLED, events.TOO_SMALL
    # A guard keeps a target of nothing from nothing.
    return events.CANCELLED, why_none(flags[col.CURBED, a] if book.rows[col.WANTED, a] != 0.0 else 0, rules.lot)


@kernel
def _grows(rows: Any, a: int) -> bool:
    return grows(rows[col.QUANTITY, a], rows[col.SIZE, a])


@kernel
def _fill_all(book: Book, prices: Floats, rules: Rules, log: Any, t: int, growing: bool, share: float,
              waits: int) -> None:  # fmt: skip
    """Fill the orders that grow their position, or those that do not; each ends here, with a reason."""
    money, counters, rows, flags = book.money, book.counters, book.rows, book.flags
    cash, fees, traded, worth = money[col.CASH], money[col.FEES], money[col.TRADED], money[col.WORTH]
    waiting, logged = counters[col.WAITING], counters[col.LOGGED]
    for a in range(prices.size):
        # What does not grow has ended in the first pass.
        later = _grows(rows, a) or flags[col.BARRED, a] == 1
        if flags[col.PENDING, a] == 0 or rows[col.SIZE, a] != rows[col.SIZE, a] or (later and not growing):
            continue
        size, deal = rows[col.SIZE, a], rows[col.DEAL, a]
        q = size - rows[col.QUANTITY, a]
        granted = granted_of(book, a, share)
        fee, slippage, reason = 0.0, 0.0, outcome(granted, flags[col.SINCE, a], waits)
        rests = reason == events.PAID_LATER
        if rests and q == 0.0:
            continue
        event = events.PARTIAL if rests else events.FILLED
        if q == 0.0:
            deal, (event, reason) = 0.0, unfilled(book, a, granted, reason, rules)
        else:
            fee, slippage = abs(q * deal) * rules.fee + rules.fixed_fee, abs(q) * abs(deal - prices[a])
            cash -= q * deal + fee
            fees += fee
            traded += abs(q * deal)
            worth -= fee + slippage
            rebase(rows, a, q, deal)
            rows[col.QUANTITY, a] = size
            # A bar may have an open and no close: the position is then worth what was paid.
            rows[col.PRICE, a] = rows[col.PRICE, a] if rows[col.PRICE, a] == rows[col.PRICE, a] else deal
        logged = write(log, logged, event, flags[col.PENDING, a], t, a, rows[col.WANTED, a], q, deal, fee, slippage,
                       reason)  # fmt: skip
        flags[col.PENDING, a], flags[col.PARTLY, a] = flags[col.PENDING, a] if rests else 0, 1 if rests else 0
        waiting -= 0 if rests else 1
        if gone(worth, money[col.EQUITY]):
            ruin(book, worth)
            break
    money[col.CASH], money[col.FEES], money[col.TRADED], money[col.WORTH] = cash, fees, traded, worth
    counters[col.WAITING], counters[col.LOGGED] = waiting, logged
