"""Summaries of days and weeks, UTC: a close at midnight belongs to the day that ends there, weeks begin on Mondays."""

from __future__ import annotations

from typing import Final

import numpy as np

from barograph.data.calendars import DAY
from barograph.paper.alerts.assets import regimes_of
from barograph.paper.alerts.view import Found, Look, State, alert, named
from barograph.paper.ports import Alert

__all__ = ["counted", "summaries"]

_KINDS: Final = ("daily_summary", "weekly_summary")


def summaries(look: Look, state: State) -> Found:
    """At the first close of a new day or week, sum up the one that ended: the state is still that of its last close."""
    changes: State = {}
    alerts: list[Alert] = []
    for kind in _KINDS:
        number, period = _number(kind, look.ts), state[kind]
        if period is not None and period["number"] == number:
            continue
        if period is not None and getattr(look.plan, kind):
            alerts.append(alert(kind, look, _facts(look, state, period), key=period["name"]))
        changes[kind] = _begun(look, state, kind, number)
    return changes, alerts


def counted(look: Look, state: State, alerts: list[Alert]) -> State:
    """Return the running day and week with this bar in them."""
    changes: State = {}
    for kind in _KINDS:
        period = dict(state[kind])
        period["bars"] += 1
        period["alerts"] = dict(period["alerts"])
        for told in alerts:
            if told.kind not in _KINDS:
                period["alerts"][told.kind] = period["alerts"].get(told.kind, 0) + 1
            if told.kind == "order_filled":
                period["fills"] += len(told.facts["fills"])
                period["fees"] += told.facts["fees"]
        changes[kind] = period
    return changes


def _number(kind: str, ts: int) -> int:
    day = (ts - 1) // DAY
    return day if kind == "daily_summary" else (day + 3) // 7


def _period_name(kind: str, number: int) -> str:
    """Return a day as a date, and a week as the date of its Monday."""
    return str(np.datetime64(number if kind == "daily_summary" else 7 * number - 3, "D"))


def _begun(look: Look, state: State, kind: str, number: int) -> State:
    start = state["equity"] if state["equity"] is not None else look.equity
    period: State = {"number": number, "name": _period_name(kind, number), "start": start, "regime": state["regime"]}
    return period | {"bars": 0, "fills": 0, "fees": 0.0, "alerts": {}}


def _facts(look: Look, state: State, period: State) -> State:
    equity, regime, before = state["equity"], state["regime"], period["regime"]
    known = equity is not None and bool(period["start"])
    facts: State = {"period": period["name"], "equity": equity, "bars": period["bars"], "fills": period["fills"]}
    facts |= {"fees": period["fees"], "alerts": period["alerts"], "holdings": state["holdings"]}
    facts["result"] = equity / period["start"] - 1.0 if known else None
    facts["drawdown"] = 1.0 - equity / state["high"] if known and state["high"] else None
    facts |= {"regime": regime, "name": None if regime is None else named(look, regime), "stayed": state["stay"]}
    facts["probability"] = state["belief"][regime] if regime is not None and state["belief"] else None
    facts["before"] = None if before is None else named(look, before)
    facts |= {"regimes": regimes_of(look, state, named)} if look.each else {}
    return facts | {"breaches": state["breaches"], "tested": state["tested"], "causes": state["health"]["causes"]}
