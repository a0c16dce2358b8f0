"""The full book's fills: at the open and at the close (clauses 2 and 4), around the way through the bar (clause 3)."""

from __future__ import annotations

import math
from typing import Any

from barograph import orders
from barograph.execution import book as col
from barograph.execution import events, options
from barograph.execution.book import Account, Book, Rules, log_event, taken
from barograph.execution.intrabar import fill_inside_bars
from barograph.execution.money import CALLED, pay, rates_of
from barograph.execution.prices import cheaper, dearer, slippage_of
from barograph.execution.resting import allowed, expire, fill, guarded, tidy
from barograph.execution.sizes import base_of, lots, moved, reduced, ruin, shrunk, value_of, why_none
from barograph.execution.touch import ASKING, after_slippage, dominated, touch, trigger
from barograph.jit.kernel import kernel, shared
from barograph.types import Bars, Floats

__all__ = ["fill_at_close", "fill_bar", "set_fees_and_volume"]


@kernel
def set_fees_and_volume(book: Book, bars: Bars, rules: Rules) -> None:
    """Say what fees are in force, and how much volume each asset may take from this bar (clause 4)."""
    money, rows = book.money, book.rows
    money[col.TAKER], money[col.MAKER] = rates_of(money[col.TRADED], rules)
    for a in range(rows.shape[1]):
        v = bars.volume[a]
        rows[col.VOLUME_LEFT, a] = math.inf
        if v > 0.0 and rules.participation > 0.0:
            rows[col.VOLUME_LEFT, a] = rules.participation * v


@shared
def fill_bar(account: Account, bars: Bars, t: int) -> None:
    """Clauses 2 to 4: everything that fills between this bar's open and its close."""
    book, rules, bars = account.book, account.rules, taken(bars)
    rows = book.rows
    expire(book, bars, account.log, t)
    # A liquidation may have moved positions under their protection.
    if book.counters[col.MARGIN] == CALLED:
        for a in range(rows.shape[1]):
            guarded(account, a, rows[col.PRICE, a], t)
            tidy(book, a)
    _cross(account, book, rules, bars, bars.open, t, options.NEXT_OPEN)
    if book.counters[col.FAULT] != col.FINE:
        return
    fill_inside_bars(account, book, rules, bars, t)
    if rules.fill == options.NEXT_CLOSE or book.counters[col.CLOSERS] > 0:
        fill_at_close(account, bars, t, options.NEXT_CLOSE)


@shared
def fill_at_close(account: Account, bars: Bars, t: int, moment: int) -> None:
    """Fill at the close what was decided before, or at this very close."""
    bars = taken(bars)
    _cross(account, account.book, account.rules, bars, bars.close, t, moment)


@kernel
def _cross(account: Account, book: Book, rules: Rules, bars: Bars, prices: Floats, t: int,
           moment: int) -> None:  # fmt: skip
    """Fill what this one moment fills: reductions first, then increases, which share what room there is.

    The moment is the one that a `fill` is named after: the open, the close, the close after the decision.
    """
    rows, flags = book.rows, book.flags
    targets = book.counters[col.WAITING] > 0 and moment == rules.fill
    asked = _ask_all(book, rules, account.log, bars, prices, t, moment)
    if not targets and not asked:
        return
    equity = value_of(book.money[col.CASH], rows, prices) if targets else 0.0
    if targets and equity <= 0.0:
        ruin(book, equity)
        return
    for growing in (False, True):
        for a in range(prices.size):
            # Resting orders that reduced a position before its target's turn leave another gap to it, and so does the
            # part of it that has filled.
            moved_on = flags[col.LIVE, a] > 0 and (asked or flags[col.CAPPED, a] == 1)
            if targets and flags[col.PENDING, a] > 0 and (not growing or moved_on):
                _size(book, a, bars, prices[a], rules, equity)
        share = _share(book, prices, rules, targets, asked, t) if growing else 1.0
        _fill_all(account, book, rules, prices, t, targets, asked, growing, share)
    for a in range(prices.size):
        tidy(book, a)


@kernel
def _size(book: Book, a: int, bars: Bars, p: float, rules: Rules, equity: float) -> None:
    """Write the position a target wants and its price; NaN = no fill. `targets` has the closed form.

    Where the minimum fee is what is charged, it stands beside the fixed fee and the rate is nothing.
    """
    rows, flags = book.rows, book.flags
    rows[col.SIZE, a] = math.nan
    flags[col.CAPPED, a] = 0
    if not p > 0.0 or bars.volume[a] == 0.0:
        return
    w, n, f, u = rows[col.WANTED, a], rows[col.QUANTITY, a], book.money[col.TAKER], rules.unit_fee
    gap = w * (equity - rules.fixed_fee) - n * p
    s = slippage_of(rows, a, gap / p, bars.volume[a], rules)
    dear, cheap = dearer(p, s, bars.high[a], rules.tick), cheaper(p, s, bars.low[a], rules.tick)
    deal = dear if gap > 0.0 else cheap
    q = _units(gap, p, w, dear, cheap, f, u)
    if abs(q) * deal * f + abs(q) * u < rules.minimum_fee:
        least = w * (equity - rules.fixed_fee - rules.minimum_fee) - n * p
        q = _units(least, p, w, dear, cheap, 0.0, 0.0) if least * gap > 0.0 else 0.0
    if abs(gap) <= col.DUST * equity:
        q = 0.0
    size = 0.0 if w == 0.0 else moved(n, q, rules.lot)
    if rules.shorts == 0 and size < 0.0:
        size, flags[col.CAPPED, a] = 0.0, 3
    if flags[col.CURBED, a] > 0:
        size = reduced(n, size)
    if size not in (0.0, n) and abs(size - n) * p < rules.min_notional:
        size, flags[col.CAPPED, a] = n, 2
    elif abs(size - n) > rows[col.VOLUME_LEFT, a]:
        size, flags[col.CAPPED, a] = n + math.copysign(lots(rows[col.VOLUME_LEFT, a], rules.lot), size - n), 1
    rows[col.SIZE, a], rows[col.DEAL, a] = size, deal


@kernel
def _units(gap: float, p: float, w: float, dear: float, cheap: float, f: float, u: float) -> float:
    if gap > 0.0:
        return gap / (p + w * (dear * (1.0 + f) + u - p))
    return gap / (p - w * (p - (cheap * (1.0 - f) - u)))


@kernel
def _ask_all(book: Book, rules: Rules, log: Any, bars: Bars, prices: Floats, t: int,
             moment: int) -> bool:  # fmt: skip
    """Write into ASK and OFFER what every resting order would trade at this moment, and tell whether any would."""
    rows, flags, any_asked, closers = book.rows, book.flags, False, 0
    for a in range(prices.size):
        p = prices[a]
        for s in range(flags[col.LIVE, a]):
            codes, values = book.order_codes[a, s], book.order_values[a, s]
            values[col.ASK] = 0.0
            closers += 1 if codes[col.KIND] == orders.ON_CLOSE else 0
            if codes[col.ID] == 0 or not p > 0.0 or bars.volume[a] == 0.0 or not _timely(codes, values, rules, moment):
                continue
            kind, q = codes[col.KIND], values[col.LEFT]
            if kind not in (orders.MARKET, orders.ON_CLOSE):
                if touch(kind, q, values[col.LIMIT_AT], values[col.STOP_AT], p, p) != p:
                    continue
                if kind == orders.STOP_LIMIT:
                    trigger(book, log, a, s, p, t)
                    if touch(orders.LIMIT, q, values[col.LIMIT_AT], values[col.STOP_AT], p, p) != p:
                        continue
            values[col.ASK] = q
            values[col.OFFER] = p if codes[col.KIND] == orders.LIMIT else after_slippage(rows, a, q, p, bars, rules)
            any_asked = True
    book.counters[col.CLOSERS] = closers
    return any_asked


@kernel
def _timely(codes: Any, values: Any, rules: Rules, moment: int) -> bool:
    """Tell whether this moment is one at which the order can fill."""
    # What volume has left of a stop does not wait for the moment at which decisions fill.
    if codes[col.KIND] == orders.MARKET and values[col.STOP_AT] != values[col.STOP_AT]:
        return bool(moment == rules.fill)
    return bool(moment == (options.NEXT_CLOSE if codes[col.KIND] == orders.ON_CLOSE else options.NEXT_OPEN))


@kernel
def _grows(held: float, size: float) -> bool:
    return bool(abs(size) > abs(held))


@kernel
def _share(book: Book, prices: Floats, rules: Rules, targets: bool, asked: bool, t: int) -> float:
    """Return the factor by which increases shrink so that gross stays within leverage times equity.

    The sums, and their order, are those of `targets.share_of`; resting orders are counted from where the asset's target
    leads.
    """
    rows, flags = book.rows, book.flags
    equity, gross, wanted, costs, fixed = book.money[col.CASH], 0.0, 0.0, 0.0, 0.0
    per_fill = rules.fixed_fee + rules.minimum_fee
    for a in range(prices.size):
        p = prices[a] if prices[a] == prices[a] else rows[col.PRICE, a]
        held = rows[col.QUANTITY, a]
        if held != 0.0:
            equity += held * p
            gross += abs(held * p)
        if (
            targets
            and flags[col.PENDING, a] > 0
            and rows[col.SIZE, a] == rows[col.SIZE, a]
            and _grows(held, rows[col.SIZE, a])
        ):
            cost = abs(rows[col.DEAL, a] - p) + (book.money[col.TAKER] * rows[col.DEAL, a] + rules.unit_fee)
            base = base_of(held, rows[col.SIZE, a])
            wanted += abs(rows[col.SIZE, a] - base) * p
            costs += abs(rows[col.SIZE, a] - base) * cost
            fixed += per_fill + abs(held - base) * cost
            gross -= abs(held - base) * p
        # What waits for its asset's first price asks for nothing; no price times nothing is no number.
        if asked and flags[col.LIVE, a] > 0 and prices[a] == prices[a]:
            sized = targets and flags[col.PENDING, a] > 0 and rows[col.SIZE, a] == rows[col.SIZE, a]
            grown, freed, cost, count = _asked_for(book, a, p, rows[col.SIZE, a] if sized else held, rules, t)
            wanted += grown * p
            costs += grown * cost
            fixed += per_fill * count + freed * cost
            gross -= freed * p
    headroom = rules.leverage * (equity - fixed) - gross
    need = wanted + rules.leverage * costs
    if need <= 0.0 or headroom >= need * (1.0 - col.DUST):
        return 1.0
    return float(max(0.0, headroom / need))


@kernel
def _asked_for(book: Book, a: int, p: float, start: float, rules: Rules, t: int) -> tuple[float, float, float, float]:
    """Return what the orders of an asset could add: units, units closed before them, cost a unit, fills.

    All the purchases, or all the sales: whichever asks for more room. The others may or may not fill before them.
    """
    bought, sold, paid, charged, count = 0.0, 0.0, 0.0, 0.0, 0.0
    for s in range(book.flags[col.LIVE, a]):
        values = book.order_values[a, s]
        if values[col.ASK] == 0.0 or dominated(book, a, s, p, p, p, rules.tick, ASKING, t):
            continue
        q = allowed(start, values[col.ASK], book.order_codes[a, s, col.REDUCE], rules.shorts)
        cost = abs(values[col.OFFER] - p) + (book.money[col.TAKER] * values[col.OFFER] + rules.unit_fee)
        bought, paid = bought + max(q, 0.0), paid + max(q, 0.0) * cost
        sold, charged = sold + max(-q, 0.0), charged + max(-q, 0.0) * cost
        count += 1.0
    longer, closed = _adds(start, bought, book.rows[col.QUANTITY, a])
    shorter, covered = _adds(start, -sold, book.rows[col.QUANTITY, a])
    if longer == 0.0 and shorter == 0.0:
        return 0.0, 0.0, 0.0, 0.0
    if longer - closed >= shorter - covered:
        return longer, closed, paid / bought if bought > 0.0 else 0.0, count
    return shorter, covered, charged / sold, count


@kernel
def _adds(start: float, q: float, held: float) -> tuple[float, float]:
    """Return by how much q grows a position, and how much of what is held it closes on the way."""
    size = start + q
    if not _grows(start, size):
        return 0.0, 0.0
    base = base_of(start, size)
    return abs(size - base), min(abs(start), abs(held)) if start != base and start * held > 0.0 else 0.0


@kernel
def _fill_all(account: Account, book: Book, rules: Rules, prices: Floats, t: int, targets: bool, asked: bool,
              growing: bool, share: float) -> None:  # fmt: skip
    """Fill what grows a position, or what does not; the oldest first."""
    rows, flags = book.rows, book.flags
    for a in range(prices.size):
        sized = targets and flags[col.PENDING, a] > 0 and rows[col.SIZE, a] == rows[col.SIZE, a]
        if sized and _grows(rows[col.QUANTITY, a], rows[col.SIZE, a]) == growing:
            _fill_target(account, book, rules, a, prices[a], share, t)
        for s in range(flags[col.LIVE, a] if asked else 0):
            codes, values = book.order_codes[a, s], book.order_values[a, s]
            if values[col.ASK] == 0.0 or codes[col.ID] == 0:
                continue
            held = rows[col.QUANTITY, a]
            q = allowed(held, values[col.ASK], codes[col.REDUCE], rules.shorts)
            # What has nothing to reduce yet may have, once the increases are in.
            if growing or (q != 0.0 and not _grows(held, held + q)):
                values[col.ASK] = 0.0
                fill(account, a, s, prices[a], values[col.OFFER], share, False, t)


@kernel
def _why(capped: int, curbed: int, lot: float) -> int:
    """Return why a target moves nothing."""
    if capped == 3:
        return events.NO_SHORTS
    if capped == 2:
        return events.TOO_SMALL
    return why_none(curbed, lot)


@kernel
def _fill_target(account: Account, book: Book, rules: Rules, a: int, p: float, share: float,
                 t: int) -> None:  # fmt: skip
    """Fill an order to a target weight; one that wants more than the bar's volume waits with the rest."""
    rows, flags = book.rows, book.flags
    held, size, deal = rows[col.QUANTITY, a], rows[col.SIZE, a], rows[col.DEAL, a]
    if share < 1.0:
        size = shrunk(held, base_of(held, size), size, share, rules.lot)
    q, capped = size - held, flags[col.CAPPED, a] == 1
    event, fee, reason = events.FILLED, 0.0, (events.SHRUNK if share < 1.0 else events.AS_WANTED)
    if flags[col.CAPPED, a] == 3:
        reason = events.NO_SHORTS
    if capped:
        event, reason = events.PARTIAL, events.NO_VOLUME
        if abs(q) <= col.DUST * rows[col.VOLUME_LEFT, a]:
            return
    if q == 0.0:
        event, reason = events.CANCELLED, _why(int(flags[col.CAPPED, a]), int(flags[col.CURBED, a]), rules.lot)
        if share < 1.0:
            event, reason = (events.CANCELLED if flags[col.PARTLY, a] == 1 else events.REJECTED), events.NO_HEADROOM
    else:
        fee = pay(book, a, q, deal, book.money[col.TAKER], rules)
        rows[col.VOLUME_LEFT, a] = max(0.0, rows[col.VOLUME_LEFT, a] - abs(q))
        rows[col.QUANTITY, a] = size
    slippage = abs(q) * abs(deal - p)
    log_event(
        book, account.log, event, flags[col.PENDING, a], t, a, rows[col.WANTED, a], q, deal, fee, slippage, reason
    )
    flags[col.PARTLY, a] = 1
    if event != events.PARTIAL:
        flags[col.PENDING, a] = 0
        book.counters[col.WAITING] -= 1
    if q != 0.0:
        guarded(account, a, deal, t)
