"""One bar: match, settle, decide. The execution contract, clause by clause (docs/execution.md numbers them).

Pure functions of numbers: no clock, no files, no chance. `replay`, `scan` and a live loop call exactly these. A light
book serves answers that are target weights on plain terms; a full book serves everything, and the same to the bit.
"""

from __future__ import annotations

from typing import Any

from barograph.execution import book as col
from barograph.execution import options
from barograph.execution.answers import each, spread
from barograph.execution.auction import fill_at_close, fill_bar, set_fees_and_volume
from barograph.execution.book import Account, Book, Rules
from barograph.execution.guards import drop_targets, mode_in_force, restrain, switch_guards
from barograph.execution.money import apply_actions, finance, open_account, settle
from barograph.execution.options import FLATTEN, REDUCE_ONLY
from barograph.execution.placing import place_orders, place_protection, withdraw
from barograph.execution.resting import adjust
from barograph.execution.targets.light import fill_targets, place_targets, write_equity_row
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.views import by_address
from barograph.types import Bars, Orders, Protected

__all__ = ["DECIDES", "LATE", "MARKED", "make_close", "make_open"]

# What a row is for: all clauses; those before the decision; of a late bar that other rows were shown since, no fills.
DECIDES, LATE, MARKED = range(3)


def make_open(full: bool) -> Kernel[..., Any]:
    """Return the kernel of clauses 0 to 5 and the equity point: all that happens before anybody thinks."""
    return _open_full if full else _open_light


def make_close(answer: type, full: bool) -> Kernel[..., Any]:
    """Return the kernel of clause 6 for this kind of answer."""
    if answer is Orders:
        return _take_orders
    if answer is Protected:
        return _take_protected
    return _take_targets if full else _take_weights


@kernel
def _open_light(account: Account, book: Book, rules: Rules, log: Any, bars: Bars, t: int, late: int, actions: Any,
                acting: bool, rates: Any, equity: Any, weights: Any) -> None:  # fmt: skip
    if acting:
        apply_actions(account, actions, t)
    finance(book, bars, rates, rules)
    if late != MARKED:
        open_account(account, book, rules, bars, t)
    if late != MARKED and book.counters[col.FAULT] == col.FINE and rules.fill != options.SAME_CLOSE:
        fill_targets(book, bars, rules, log, t, rules.fill == options.NEXT_CLOSE)
    _close_books(account, book, rules, bars, t, late == DECIDES, equity, weights)


@kernel
def _open_full(account: Account, book: Book, rules: Rules, log: Any, bars: Bars, t: int, late: int, actions: Any,
               acting: bool, rates: Any, equity: Any, weights: Any) -> None:  # fmt: skip
    if acting:
        apply_actions(account, actions, t)
        adjust(account, actions, t)
    finance(book, bars, rates, rules)
    set_fees_and_volume(book, bars, rules)
    # The prices of a bar that is marked alone lie before what was decided since.
    if late != MARKED:
        open_account(account, book, rules, bars, t)
    if late != MARKED and book.counters[col.FAULT] == col.FINE:
        fill_bar(account, by_address(bars), t)
    _close_books(account, book, rules, bars, t, late == DECIDES, equity, weights)


@kernel
def _close_books(account: Account, book: Book, rules: Rules, bars: Bars, t: int, decides: bool, equity: Any,
                 weights: Any) -> None:  # fmt: skip
    if book.counters[col.FAULT] == col.FINE:
        settle(account, book, rules, bars, t, decides)
    if book.counters[col.FAULT] == col.FINE and rules.guards.shape[0] > 0:
        switch_guards(account, t)
    write_equity_row(book, equity, weights)


@kernel
def _guarded(account: Account, book: Book, rules: Rules, weights: Any, t: int) -> tuple[int, bool]:
    """Let the guards in force cut what the targets ask for; return the strictest's reason, or 0, and if it flattens."""
    if rules.guards.shape[0] == 0:
        return 0, False
    mode, reason = mode_in_force(book, rules)
    if mode >= REDUCE_ONLY:
        drop_targets(account, t, mode, reason)
    restrain(account, weights, mode, t)
    return reason, mode == FLATTEN


@kernel
def _take_weights(account: Account, book: Book, rules: Rules, log: Any, bars: Bars, t: int, answer: Any,
                  scratch: Any) -> None:  # fmt: skip
    """Targets in the light book; under `same_close` they fill at the close they were decided at."""
    spread(answer.weights, scratch.weights, rules.traded)
    curbed, flattens = _guarded(account, book, rules, scratch.weights, t)
    place_targets(book, scratch.weights, rules, log, t, curbed, flattens)
    if rules.fill == options.SAME_CLOSE:
        fill_targets(book, bars, rules, log, t, True)


@kernel
def _take_targets(account: Account, book: Book, rules: Rules, log: Any, bars: Bars, t: int, answer: Any,
                  scratch: Any) -> None:  # fmt: skip
    """Targets in the full book; where nobody asks for protection, none is looked for."""
    spread(answer.weights, scratch.weights, rules.traded)
    curbed, flattens = _guarded(account, book, rules, scratch.weights, t)
    place_targets(book, scratch.weights, rules, log, t, curbed, flattens)
    if rules.fill == options.SAME_CLOSE:
        fill_at_close(account, by_address(bars), t, options.SAME_CLOSE)


@kernel
def _take_protected(account: Account, book: Book, rules: Rules, log: Any, bars: Bars, t: int, answer: Any,
                    scratch: Any) -> None:  # fmt: skip
    spread(answer.weights, scratch.weights, rules.traded)
    each(answer.stop, scratch.levels[0])
    each(answer.take, scratch.levels[1])
    each(answer.trail, scratch.levels[2])
    curbed, flattens = _guarded(account, book, rules, scratch.weights, t)
    place_targets(book, scratch.weights, rules, log, t, curbed, flattens)
    place_protection(account, scratch.levels, t)
    if rules.fill == options.SAME_CLOSE:
        fill_at_close(account, by_address(bars), t, options.SAME_CLOSE)


@kernel
def _take_orders(account: Account, book: Book, rules: Rules, log: Any, bars: Bars, t: int, answer: Any,
                 scratch: Any) -> None:  # fmt: skip
    """Explicit orders; under a guard that flattens, all is cancelled and every position gets a target of nothing."""
    mode, reason = mode_in_force(book, rules)
    if mode >= REDUCE_ONLY:
        withdraw(account, t, reason, mode < FLATTEN)
    if mode < FLATTEN:
        place_orders(account, answer.rows, t, reason)
    if mode == FLATTEN:
        for a in range(scratch.weights.size):
            scratch.weights[a] = 0.0
        place_targets(book, scratch.weights, rules, log, t, reason, True)
    if rules.fill == options.SAME_CLOSE and book.counters[col.FAULT] == col.FINE:
        fill_at_close(account, by_address(bars), t, options.SAME_CLOSE)
