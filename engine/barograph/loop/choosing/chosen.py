"""What became of the choices of a run: what each was chosen for, what it earned then, and what changing cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barograph.execution.events import Fills, born, fills
from barograph.loop.choosing.choice import Choice, Dealt, dealt_of, span_of
from barograph.metrics.span import FIGURES
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.machine import Choose

__all__ = ["Account", "became"]


class Account(NamedTuple):
    """What a run's account did from bar `first` on: its `table` (n, 6) and its order log."""

    history: History
    first: int
    table: Floats
    events: Floats


def became(plan: Choose, choices: Sequence[Choice], account: Account) -> dict[str, Any]:
    """Return a choice a row, by columns.

    `in_sample` is the figure that the chosen candidate's shadow had, `out_of_sample` the same figure of the account
    from there to the next choice. `fills`, `traded` (Σ |quantity · price|) and `costs` (fees, slippage) are of the
    orders of the first decision after another candidate took over, 0 where none did.
    """
    dealt = dealt_of(account.events)
    ends = [*(one.bar for one in choices[1:]), len(account.history) - 1]
    scores = np.array([one.scores for one in choices]).reshape(-1, len(plan.candidates))
    orders, made = born(account.events), fills(account.events)
    asked = dict(zip(orders.order.tolist(), orders.bar.tolist(), strict=True))
    at = np.array([asked.get(order, -1) for order in made.order.tolist()], dtype=np.int64)
    switched = np.array([_switched(one, account.first, made, at) for one in choices]).reshape(-1, 3)
    later = [_figure(plan, account, dealt, one, end) for one, end in zip(choices, ends, strict=True)]
    return {
        "candidate": np.array([one.candidate for one in choices], dtype=np.int64),
        "chosen": np.array([plan.told(one.candidate) for one in choices], dtype=object),
        "changed": np.array([one.changed for one in choices], dtype=bool),
        "in_sample": np.array([one.figures[one.candidate] for one in choices], dtype=np.float64),
        "out_of_sample": np.array(later, dtype=np.float64),
        "fills": switched[:, 0].astype(np.int64),
        "traded": switched[:, 1],
        "costs": switched[:, 2],
        **{f"score_{n}": scores[:, n] for n in range(len(plan.candidates))},
    }


def _figure(plan: Choose, of: Account, dealt: Dealt, choice: Choice, end: int) -> float:
    since = max(choice.bar, of.first)
    span = span_of(of.history, of.table[since - of.first : end + 1 - of.first], dealt, since, of.first)
    return float(FIGURES[plan.figure](span))


def _switched(choice: Choice, first: int, made: Fills, at: Any) -> tuple[float, float, float]:
    """Return fills, value and costs of the first decision after a change; the first choice of all changes nothing.

    `at` are the bars that the orders of the fills were made at.
    """
    if not choice.changed or choice.bar < first:
        return 0.0, 0.0, 0.0
    own = at == choice.bar + 1
    value = np.abs(made.quantity * made.price)[own]
    return float(own.sum()), float(value.sum()), float((made.fee + made.slippage)[own].sum())
