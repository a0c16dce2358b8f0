"""Guards: limits on the account that the step itself keeps, so that history, live and sweeps obey them alike.

They look at equity, not at closed trades. A guard that is hit holds by its mode: no new risk (a decision may not
increase a position), reduce only (what rests and may increase one is cancelled too), flatten (all is closed at the next
fill). Exposure limits also cut what a decision asks for.
"""

from __future__ import annotations

import math
from typing import Any, Final

from barograph.epoch import DAY
from barograph.execution import book as col
from barograph.execution import events
from barograph.execution.book import Account, Book, Rules, log_event
from barograph.execution.options import FLATTEN, FREE
from barograph.jit.kernel import kernel, shared
from barograph.jit.views import unowned
from barograph.types import Floats

__all__ = ["GUARDS", "drop_targets", "mode_in_force", "restrain", "switch_guards"]

GUARDS: Final = {
    "drawdown": events.DRAWDOWN,
    "daily_loss": events.DAILY_LOSS,
    "gross": events.OVER_GROSS,
    "net": events.OVER_NET,
    "position": events.OVER_POSITION,
    "turnover": events.TURNOVER,
    "stop_out": events.STOP_OUT,
    "kill": events.KILL,
}
EXPOSURES: Final = (events.OVER_GROSS, events.OVER_NET, events.OVER_POSITION)


@shared
def switch_guards(account: Account, t: int) -> None:
    """Measure the account at this close, and switch guards on and off; each change is an event with its reason."""
    book, rules, log = account.book, account.rules, account.log
    money, counters, equity = book.money, book.counters, book.money[col.EQUITY]
    day = (counters[col.TS] - 1) // DAY
    if day != counters[col.TODAY]:
        money[col.OPENING], counters[col.TODAY] = money[col.PREVIOUS], day
    for g in range(rules.guards.shape[0]):
        what, limit, mode = int(rules.guards[g, 0]), rules.guards[g, 1], rules.guards[g, 2]
        book.guard_state[col.HIGHEST, g] = max(book.guard_state[col.HIGHEST, g], equity)
        x = _measure(book, what, book.guard_state[col.HIGHEST, g])
        before = book.guard_state[col.ACTIVE, g]
        # An exposure that stands at its limit, where decisions are cut to it, is within it; a loss is not. A moment is
        # a number so large that a tolerance would be seconds.
        hit = x >= limit if what == events.KILL else x >= limit * (1.0 - col.DUST)
        if what in EXPOSURES:
            hit = x > limit * (1.0 + col.DUST)
        _switch(book, g, hit, what, rules.guards[g, 3])
        if book.guard_state[col.ACTIVE, g] == before:
            continue
        log_event(
            book, log, events.RELEASED if before == 1.0 else events.GUARD, 0, t, -1, mode, x, limit, 0.0, 0.0, what
        )
        if before == 1.0 and what == events.DRAWDOWN:
            book.guard_state[col.HIGHEST, g] = equity
    money[col.PREVIOUS], counters[col.STOPS] = equity, 0


@kernel
def _measure(book: Book, what: int, highest: float) -> float:
    """Return what a guard compares with its limit."""
    money, x = book.money, 0.0
    if what == events.DRAWDOWN:
        x = 1.0 - money[col.EQUITY] / highest
    elif what == events.DAILY_LOSS:
        x = 1.0 - money[col.EQUITY] / money[col.OPENING]
    elif what == events.OVER_GROSS:
        x = money[col.GROSS]
    elif what == events.OVER_NET:
        x = abs(money[col.NET])
    elif what == events.TURNOVER:
        x = money[col.TRADED] / money[col.EQUITY]
    elif what == events.STOP_OUT:
        x = float(book.counters[col.STOPS])
    elif what == events.KILL:
        x = float(book.counters[col.TS])
    else:
        x = _largest(book)
    return x


@kernel
def _largest(book: Book) -> float:
    """Return the largest position as a fraction of equity."""
    rows, largest = book.rows, 0.0
    for a in range(rows.shape[1]):
        if rows[col.QUANTITY, a] != 0.0:
            largest = max(largest, abs(rows[col.QUANTITY, a] * rows[col.PRICE, a]) / book.money[col.EQUITY])
    return largest


@kernel
def _switch(book: Book, g: int, hit: bool, what: int, cool: float) -> None:
    """Switch one guard: on when hit; off when its bars are over, counted from the hit or, if not latched, its end."""
    guard_state, latched = book.guard_state, what in (events.DRAWDOWN, events.KILL)
    if guard_state[col.ACTIVE, g] == 1.0 and latched:
        # Without a time to cool down they hold for good; a date that has passed is hit once.
        guard_state[col.UNTIL_BAR, g] -= 1.0
        if cool > 0.0 and guard_state[col.UNTIL_BAR, g] <= 0.0:
            guard_state[col.ACTIVE, g], guard_state[col.UNTIL_BAR, g] = 0.0, -1.0 if what == events.KILL else 0.0
    elif guard_state[col.ACTIVE, g] == 1.0 and not hit:
        guard_state[col.UNTIL_BAR, g] -= 1.0
        if guard_state[col.UNTIL_BAR, g] < 0.0:
            guard_state[col.ACTIVE, g], guard_state[col.UNTIL_BAR, g] = 0.0, 0.0
    elif hit and guard_state[col.UNTIL_BAR, g] > -1.0:
        guard_state[col.ACTIVE, g], guard_state[col.UNTIL_BAR, g] = 1.0, cool


@kernel
def mode_in_force(book: Book, rules: Rules) -> tuple[int, int]:
    """Return the strictest mode in force, and the reason."""
    mode, reason = FREE, 0
    for g in range(rules.guards.shape[0]):
        if book.guard_state[col.ACTIVE, g] == 1.0 and rules.guards[g, 2] > mode:
            mode, reason = int(rules.guards[g, 2]), int(rules.guards[g, 0])
    return mode, reason


@kernel
def _curb(w: float, held: float) -> float:
    """Return what no new risk leaves of a wanted weight: a smaller one, none on the other side, no larger one."""
    if not -math.inf < w < math.inf:
        return w
    if w * held < 0.0:
        return 0.0
    return math.inf if abs(w) > abs(held) + col.DUST else w


@shared
def restrain(account: Account, weights: Floats, mode: int, t: int) -> None:
    """Cut target weights to what the guards in force let through, and to the exposure limits."""
    book, rules, weights = account.book, account.rules, unowned(weights)
    rows, flags, equity = book.rows, book.flags, book.money[col.EQUITY]
    for a in range(weights.size):
        if flags[col.GONE, a] == 1:
            weights[a] = math.inf
    for g in range(rules.guards.shape[0]):
        what, limit = int(rules.guards[g, 0]), rules.guards[g, 1]
        if what == events.OVER_POSITION:
            for a in range(weights.size):
                if limit < abs(weights[a]) < math.inf:
                    weights[a] = math.copysign(limit, weights[a])
        elif what == events.OVER_GROSS:
            _scale(account, weights, limit, False)
        elif what == events.OVER_NET:
            _scale(account, weights, limit, True)
    for a in range(weights.size):
        held = rows[col.QUANTITY, a] * rows[col.PRICE, a] / equity if rows[col.QUANTITY, a] != 0.0 else 0.0
        # The same target again was decided before: what waits stays, or was dropped.
        same = flags[col.PENDING, a] > 0 and abs(weights[a] - rows[col.WANTED, a]) <= col.DUST
        if FREE < mode < FLATTEN and same:
            weights[a] = math.inf
        elif mode > FREE and flags[col.GONE, a] == 0:
            asked, weights[a] = weights[a], 0.0 if mode == FLATTEN else _curb(weights[a], held)
            # What may not be carried out still ends a waiting target that is wanted no more.
            if asked != weights[a] == math.inf and flags[col.PENDING, a] > 0:
                _withdraw(book, account.log, a, t, events.REPLACED)


@shared
def _scale(account: Account, weights: Floats, limit: float, signed: bool) -> None:
    """Shrink all that is asked by one factor, so that with what is held the exposure is within its limit."""
    book, weights = account.book, unowned(weights)
    rows, flags, equity = book.rows, book.flags, book.money[col.EQUITY]
    asked, kept = 0.0, 0.0
    for a in range(weights.size):
        if weights[a] != math.inf:
            asked += weights[a] if signed else abs(weights[a])
        else:
            v = rows[col.QUANTITY, a] * rows[col.PRICE, a] / equity if rows[col.QUANTITY, a] != 0.0 else 0.0
            # What waits is left alone too, and will be held.
            if flags[col.PENDING, a] > 0 and abs(rows[col.WANTED, a]) > abs(v):
                v = rows[col.WANTED, a]
            kept += v if signed else abs(v)
    total = asked + kept
    if not abs(total) > limit or asked == 0.0:
        return
    factor = min(1.0, (math.copysign(limit, total) - kept) / asked)
    factor = factor if factor > col.DUST else 0.0
    for a in range(weights.size):
        if weights[a] != math.inf:
            weights[a] *= factor


@kernel
def _withdraw(book: Book, log: Any, a: int, t: int, reason: int) -> None:
    """Cancel a waiting target."""
    order, w = book.flags[col.PENDING, a], book.rows[col.WANTED, a]
    log_event(book, log, events.CANCELLED, order, t, a, w, 0.0, 0.0, 0.0, 0.0, reason)
    book.flags[col.PENDING, a] = 0
    book.counters[col.WAITING] -= 1


@shared
def drop_targets(account: Account, t: int, mode: int, reason: int) -> None:
    """Cancel waiting targets that would increase a position, or all but of nothing; the others may only reduce one."""
    book, log = account.book, account.log
    rows, flags = book.rows, book.flags
    for a in range(rows.shape[1]):
        held = (
            rows[col.QUANTITY, a] * rows[col.PRICE, a] / book.money[col.EQUITY] if rows[col.QUANTITY, a] != 0.0 else 0.0
        )
        w = rows[col.WANTED, a]
        increases = flags[col.CURBED, a] == 0 and (abs(w) > abs(held) + col.DUST or w * held < 0.0)
        # A target's guard is the one it was decided under, or the first that came while it waited.
        flags[col.CURBED, a] = reason if flags[col.CURBED, a] == 0 else flags[col.CURBED, a]
        if flags[col.PENDING, a] > 0 and (increases or (mode == FLATTEN and w != 0.0)):
            _withdraw(book, log, a, t, reason)
