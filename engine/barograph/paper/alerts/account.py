"""What a bar did to the account that is worth telling: fills, rejections, guards, drawdowns, unusual losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from barograph.execution.book import DUST
from barograph.execution.events import (
    BORN,
    CALLED_IN,
    EVENTS,
    FILLED,
    GUARD,
    LOG_COLUMNS,
    MARGIN_CALL,
    MARGIN_WARNING,
    PARTIAL,
    REASONS,
    REJECTED,
    RELEASED,
    SPELLED,
)
from barograph.execution.guards import MODES
from barograph.orders import KINDS
from barograph.paper.alerts.view import Found, Look, State, alert, plain

__all__ = ["born", "drawdown", "filled", "guards", "orders", "rejected", "risk", "value_at_risk"]


def _rows(look: Look, *events: int) -> Any:
    return look.step.events[np.isin(look.step.events[:, 0], events)].tolist()


def _symbol(look: Look, row: list[float]) -> str:
    return look.about.symbols[int(row[3])]


def born(look: Look) -> list[State]:
    """Return the orders that were born at this bar: a wanted weight, or a quantity, and the prices they wait for."""
    return [_born(look, row) for row in _rows(look, BORN)]


def _born(look: Look, row: list[float]) -> State:
    order: State = {"symbol": _symbol(look, row), "kind": "target", "weight": row[4]}
    order |= {"quantity": None, "limit": None, "stop": None}
    if row[9] == CALLED_IN:
        order |= {"kind": "liquidation", "weight": None}
    if len(row) > LOG_COLUMNS and row[9] >= SPELLED:
        kind = KINDS[(int(row[9]) - int(SPELLED)) % 8]
        order |= {"kind": kind, "weight": None, "quantity": plain(row[5])}
        order |= {"limit": plain(row[6]), "stop": plain(row[7])}
    return order


def filled(look: Look) -> list[State]:
    """Return the fills of this bar."""
    return [
        {"symbol": _symbol(look, row), "quantity": row[5], "price": row[6], "fee": row[7], "order": int(row[1])}
        | {"whole": row[0] == FILLED, "reason": REASONS[int(row[9])]}
        for row in _rows(look, FILLED, PARTIAL)
    ]


def rejected(look: Look) -> list[State]:
    """Return the orders of this bar that were rejected, and why."""
    return [
        {"symbol": _symbol(look, row), "order": int(row[1]), "weight": plain(row[4]), "reason": REASONS[int(row[9])]}
        for row in _rows(look, REJECTED)
    ]


def orders(look: Look, state: State) -> Found:
    """List what was filled and what was rejected in this bar, one alert each."""
    alerts = []
    if fills := filled(look):
        facts = {"fills": fills, "fees": sum(fill["fee"] for fill in fills), "equity": look.equity}
        alerts.append(alert("order_filled", look, facts | {"holdings": look.holdings}))
    if refused := rejected(look):
        alerts.append(alert("order_rejected", look, {"orders": refused, "equity": look.equity}))
    return {}, alerts


def guards(look: Look, state: State) -> Found:
    """Tell what the guards and the margin did in this bar; a margin call is critical, a release is good news."""
    rows = [_guard(row) for row in _rows(look, GUARD, RELEASED, MARGIN_WARNING, MARGIN_CALL)]
    if not rows:
        return {}, []
    events = {row["event"] for row in rows}
    severity = "critical" if "margin_call" in events else "info" if events == {"released"} else None
    return {}, [alert("guard", look, {"events": rows, "equity": look.equity, "holdings": look.holdings}, severity)]


def _guard(row: list[float]) -> State:
    """Read a guard's row (weight, quantity and price are mode, measure and limit), or the margin's (gross exposure)."""
    event = int(row[0])
    if event in (MARGIN_WARNING, MARGIN_CALL):
        return {"event": EVENTS[event], "reason": "margin", "mode": None, "measured": plain(row[5]), "limit": None}
    facts: State = {"event": EVENTS[event], "reason": REASONS[int(row[9])], "mode": MODES[int(row[4])]}
    return facts | {"measured": plain(row[5]), "limit": plain(row[6])}


def drawdown(look: Look, state: State) -> Found:
    """Tell each level once until there is a new high."""
    equity = look.equity
    if equity is None:
        return {}, []
    if state["high"] is None or equity >= state["high"]:
        return {"high": equity, "high_at": look.ts, "told": 0}, []
    loss, levels = 1.0 - equity / state["high"], sorted(look.plan.drawdown)
    # 100 to 90 is a tenth, whatever the last bit says.
    reached = sum(loss >= level * (1.0 - DUST) for level in levels)
    if reached <= state["told"]:
        return {}, []
    facts = {"drawdown": loss, "level": levels[reached - 1], "high": state["high"], "high_at": state["high_at"]}
    facts |= {"equity": equity, "holdings": look.holdings}
    return {"told": reached}, [alert("drawdown", look, facts)]


def risk(look: Look) -> list[float] | None:
    """Return the log returns that the next bar falls below, and exceeds, with probability `var`; None if unknown."""
    level, seen = look.plan.var, look.seen
    if level is None or seen is None or look.belief is None or not seen.returns:
        return None
    return [seen.quantile(look.belief, level), seen.quantile(look.belief, 1.0 - level)]


def value_at_risk(look: Look, state: State) -> Found:
    """Compare this bar's return with the loss that the previous close expected to be exceeded once in 1 / `var` bars.

    The exposure is the worse of those at both closes: what was decided in between was held for part of the bar.
    """
    if look.plan.var is None or state["risk"] is None or not state["equity"] or look.equity is None:
        return {}, []
    result = look.equity / state["equity"] - 1.0
    exposures = [state["net"], look.net]
    loss = max(_loss(exposure, state["risk"]) for exposure in exposures)
    if not loss > 0.0:
        return {}, []
    counts = {"tested": state["tested"] + 1, "breaches": state["breaches"] + int(result < -loss)}
    if not result < -loss:
        return counts, []
    facts = {"result": result, "value_at_risk": loss, "level": look.plan.var, "net": exposures, "equity": look.equity}
    facts |= counts | {"usual": look.plan.var * counts["tested"], "holdings": look.holdings}
    return counts, [alert("var_breach", look, facts)]


def _loss(exposure: float, quantiles: list[float]) -> float:
    """Return the loss of an exposure at the quantile that hurts it: the low one if long, the high one if short."""
    return -exposure * math.expm1(quantiles[0] if exposure > 0.0 else quantiles[1])
