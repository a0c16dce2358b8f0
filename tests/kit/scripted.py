"""Runs of a strategy that reads its answers from a list, one a bar: for tests that want to know what was decided."""

from __future__ import annotations

from typing import Any

import numpy as np

import barograph as bg
from barograph import orders

DAY = 86_400_000_000_000
FREE: dict[str, Any] = {"borrow_rate": 0.0, "short_rate": 0.0, "cash_rate": 0.0}
OPEN = (100.0, 101.0, 102.0, 104.0, 98.0, 97.0, 96.0)
FLAT = (100.0, 101.0, 99.0, 100.0)
HALF = bg.Target(0.5)


def script(*answers: Any, assets: int = 1, history: bg.History | None = None, **terms: Any) -> bg.Result:
    """Run a strategy that gives one answer a bar, then holds; a callable answer is given the slip."""

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        answer = answers[state] if state < len(answers) else None
        if any(callable(one) for one in answers):
            slip = orders.slip(4)
            if callable(answer):
                answer(slip)
            return state + 1, slip
        hold = answers[0]._replace(weights=bg.HOLD) if answers else bg.Target(bg.HOLD)
        return state + 1, hold if answer is None else answer

    if history is None:
        opened = np.array(OPEN)
        columns = (opened + 0.5, opened, opened + 2.0, opened - 3.0)
        stack = [np.column_stack([c * (1.0 + a) for a in range(assets)]) for c in columns]
        history = bg.History.from_arrays(np.arange(1, 8) * DAY, *stack, calendar="24/7")
    plan = bg.strategy(step, init=lambda _: 0)
    return bg.replay(
        bg.Machine(strategy=plan, terms=bg.Terms(**{"fee": 0.001, "slippage": 0.0, **FREE, **terms})), history
    )


def candles(*rows: tuple[float, float, float, float]) -> bg.History:
    opened, high, low, close = np.array(rows).T
    return bg.History.from_arrays(np.arange(1, len(rows) + 1) * DAY, close, opened, high, low, calendar="24/7")
