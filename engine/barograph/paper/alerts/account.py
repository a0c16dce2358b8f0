"""What a bar did to the account that is worth telling: fills, rejections, guards, drawdowns, unusual losses."""

from __future__ import annotations

from typing import Any, Final

from barograph.execution import events
from barograph.execution.book import DUST
from barograph.execution.options import MODES
from barograph.jit.arithmetic import expm1
from barograph.paper.alerts.view import Found, Look, State, alert, number_or_none

__all__ = ["born", "drawdown", "filled", "guards", "orders", "rejected", "risk", "value_at_risk"]


def _each(columns: Any) -> Any:
    return zip(*(column.tolist() for column in columns), strict=True)


def born(look: Look) -> list[State]:
    """Return the orders that were born at this bar: a wanted weight, or a quantity, and the prices they wait for."""
    return [_born(look, events.Born(*row)) for row in _each(events.born(look.step.events))]


def _born(look: Look, order: events.Born) -> State:
    symbol = look.about.symbols[order.asset]
    if order.termed:
        prices = {
            "quantity": number_or_none(order.asked),
            "limit": number_or_none(order.limit),
            "stop": number_or_none(order.stop),
        }
        return {"symbol": symbol, "kind": order.kind, "weight": None, **prices}
    called = order.role == events.ROLES[events.LIQUIDATION]
    told = {"kind": "liquidation", "weight": None} if called else {"kind": "target", "weight": order.weight}
    return {"symbol": symbol, **told, "quantity": None, "limit": None, "stop": None}


def filled(look: Look) -> list[State]:
    """Return the fills of this bar."""
    return [
        {"symbol": look.about.symbols[asset], "quantity": quantity, "price": price, "fee": fee, "order": order}
        | {"whole": whole, "reason": reason}
        for order, _, asset, quantity, price, fee, _, reason, whole in _each(events.fills(look.step.events))
    ]


def rejected(look: Look) -> list[State]:
    """Return the orders of this bar that were rejected, and why."""
    return [
        {"symbol": look.about.symbols[asset], "order": order, "weight": number_or_none(weight), "reason": reason}
        for order, _, asset, weight, _, status, reason in _each(events.changes(look.step.events))
        if status == events.STATUS[events.REJECTED]
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


_MARGIN: Final = (events.EVENTS[events.MARGIN_WARNING], events.EVENTS[events.MARGIN_CALL])
_GUARDS: Final = (events.EVENTS[events.GUARD], events.EVENTS[events.RELEASED])


def guards(look: Look, state: State) -> Found:
    """Tell what the guards and the margin did in this bar; a margin call is critical, a release is good news."""
    told = (events.AccountEvents(*row) for row in _each(events.account_events(look.step.events)))
    rows = [_guard(event) for event in told if event.event in (*_MARGIN, *_GUARDS)]
    if not rows:
        return {}, []
    happened = {row["event"] for row in rows}
    severity = "critical" if "margin_call" in happened else "info" if happened == {"released"} else None
    return {}, [alert("guard", look, {"events": rows, "equity": look.equity, "holdings": look.holdings}, severity)]


def _guard(told: events.AccountEvents) -> State:
    """Read a guard's event (mode, measure, limit), or the margin's (gross exposure)."""
    if told.event in _MARGIN:
        return {
            "event": told.event,
            "reason": "margin",
            "mode": None,
            "measured": number_or_none(told.measured),
            "limit": None,
        }
    facts: State = {"event": told.event, "reason": told.reason, "mode": MODES[int(told.mode)]}
    return facts | {"measured": number_or_none(told.measured), "limit": number_or_none(told.limit)}


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
    low, high = (seen.quantile(look.belief, p, look.about.state) for p in (level, 1.0 - level))
    return None if low is None or high is None else [low, high]


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
    return -exposure * expm1(quantiles[0] if exposure > 0.0 else quantiles[1])
