"""What is worth an alert at a close: a function of the bars so far, without a clock and without chance.

The memory is a plain dict that JSON can hold. It is stored with the bar it belongs to; whoever resumes from it gets
the same alerts, with the same keys, as whoever never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from barograph.config.paper import WatchPlan
from barograph.jit.ordered import total
from barograph.paper.alerts.account import born, drawdown, filled, guards, orders, risk, value_at_risk
from barograph.paper.alerts.assets import kept_of_each, of_each
from barograph.paper.alerts.health import assess, healthy, unassessed
from barograph.paper.alerts.periods import counted, summaries
from barograph.paper.alerts.view import Found, Look, State, alert, look_at, named, number_or_none
from barograph.paper.ports import About, Alert
from barograph.regimes.dwelling import UNDECIDED, Waiting, seen_again
from barograph.types import Floats, Step

__all__ = ["Watched", "begin", "watch"]

# Closes whose probabilities are kept for the small picture, and their digits.
_PATH: Final = 60
_DIGITS: Final = 4
# What a change of regime says of a fill, and of how many.
_DEAL: Final = ("symbol", "quantity", "price", "reason")
_DEALS: Final = 20


class Watched(NamedTuple):
    """What one close gave: the memory to go on from, the alerts, and whether the model is healthy."""

    state: State
    alerts: tuple[Alert, ...]
    healthy: bool


def begin(plan: WatchPlan) -> State:
    """Return the memory before the first close."""
    nothing = (
        "regime",
        "since",
        "warned",
        "candidate",
        "believed",
        "belief",
        "names",
        "equity",
        "risk",
        "high",
        "high_at",
    )
    counts = ("bars", "stay", "count", "tested", "breaches", "told")
    state: State = dict.fromkeys((*nothing, "daily_summary", "weekly_summary")) | dict.fromkeys(counts, 0)
    return state | {
        "refused": "",
        "expected": None,
        "path": [],
        "closes": [],
        "prices": [],
        "armed": False,
        "net": 0.0,
        "holdings": {},
        "health": unassessed(),
    }


def watch(plan: WatchPlan, state: State, step: Step, about: About) -> Watched:
    """Look at one close and return the memory after it, the alerts it is worth, and whether the model is healthy.

    The state that is handed in is not changed. Keys are unique: a kind and the bar's close, or the period that ended.

    >>> def close(bar, calm):
    ...     return Step(bar, bar * 86_400_000_000_000, np.full(6, 1e5), np.zeros(1), np.array([calm, 1 - calm, 0.0]),
    ...                 np.empty((0, 10)), np.zeros((2, 1)))
    >>> plan, about = WatchPlan(probability=0.8, dwell=2), About("demo", ("SPY",), None, 252.0, "XNYS")
    >>> state, keys = begin(plan), []
    >>> for bar, calm in enumerate([0.9, 0.9, 0.1, 0.9, 0.1, 0.1], start=1):
    ...     state, alerts, _ = watch(plan, state, close(bar, calm), about)
    ...     keys += [alert.key for alert in alerts]
    >>> keys
    ['weekly_summary:1969-12-29', 'regime_change:1970-01-07T00:00:00Z']
    """
    look = look_at(plan, step, about)
    # What an earlier release did not remember yet begins now.
    state = begin(plan) | state | {"bars": state["bars"] + 1}
    alerts: list[Alert] = []
    for rule in _RULES:
        changes, found = rule(look, state)
        state = state | changes
        alerts += found
    state = state | counted(look, state, alerts) | _remembered(look)
    if look.each:
        state = state | {"assets": kept_of_each(look, state, _believed)}
    return Watched(state, tuple(alerts), healthy(state["health"]))


def _remembered(look: Look) -> State:
    """Return what the next close needs of this one; a belief that is not known is not made up."""
    facts = _believed(look) | {"risk": risk(look), "net": look.net, "holdings": look.holdings}
    return facts | ({} if look.equity is None else {"equity": look.equity})


def _believed(look: Look) -> State:
    belief = None if look.belief is None else look.belief.tolist()
    ahead = None if look.belief is None or look.seen is None else look.seen.next(look.belief, look.about.state)
    names = None if look.seen is None else list(look.seen.names)
    return {"belief": belief, "expected": None if ahead is None else ahead.tolist(), "names": names}


def _regime(look: Look, state: State) -> Found:
    """Tell a regime once its filtered probability was high for enough closes in a row; the first one silently."""
    plan, belief, known = look.plan, look.belief, state["regime"]
    changes: State = {"stay": state["stay"] + 1}
    if belief is None or len(belief) < 2:
        return changes | _doing(look, state, None), []
    top = int(np.argmax(belief))
    changes |= _shown(look, state, belief) | _doing(look, state, top)
    wanted = top if belief[top] >= plan.probability and top != known else UNDECIDED
    before = UNDECIDED if state["candidate"] is None else state["candidate"]
    waiting = seen_again(Waiting(before, state["count"]), wanted)
    changes |= {"candidate": None if wanted == UNDECIDED else wanted, "count": waiting.closes}
    if wanted == UNDECIDED or waiting.closes < plan.dwell:
        return changes, []
    # Its end is no news before it has been seen to last.
    told = {"regime": top, "since": look.ts, "stay": 0, "candidate": None, "count": 0, "armed": False}
    if known is None:
        return changes | told, []
    told["health"] = state["health"] | {"changes": [*state["health"]["changes"], state["bars"]]}
    facts = _change(look, state, top) | _drawn(look, changes, top) | _done(changes)
    return changes | told, [alert("regime_change", look, facts)]


def _shown(look: Look, state: State, belief: Floats) -> State:
    """Return the last closes with a belief: their probabilities, moments and prices."""
    row, price = [round(p, _DIGITS) for p in belief.tolist()], number_or_none(look.step.positions[1][look.asset])
    of = {"path": row, "closes": look.ts, "prices": price}
    # What one of them does not reach back to, none does.
    begun = len(state["path"]) - len(state["closes"])
    return {key: [*state[key][begun if key == "path" else 0 :], value][-_PATH:] for key, value in of.items()}


def _drawn(look: Look, shown: State, new: int) -> State:
    """Return what a message draws of it."""
    path, regimes = shown["path"], range(len(shown["path"][-1]))
    facts: State = {"path": [row[new] for row in path], "regimes": [max(regimes, key=row.__getitem__) for row in path]}
    facts |= {"names": [named(look, k) for k in regimes], "symbol": look.about.symbols[look.asset]}
    return facts | {key: shown[key] for key in ("closes", "prices")}


def _doing(look: Look, state: State, top: int | None) -> State:
    """Return since when a regime is the likeliest, without a break, and what was filled since: not yet at its first."""
    known = state["believed"]
    if known is not None and top in (None, known["regime"]):
        mine = [fill for fill in filled(look) if look.symbol in ("", fill["symbol"])]
        fills = [{key: fill[key] for key in _DEAL} | {"ts": look.ts} for fill in mine]
        listed = [*known["fills"], *fills]
        return {"believed": known | {"fills": listed[:_DEALS], "fill_count": known["fill_count"] + len(fills)}}
    return {} if top is None else {"believed": {"regime": top, "since": look.ts, "fills": [], "fill_count": 0}}


def _done(changes: State) -> State:
    believed = changes["believed"]
    return {"believed_since": believed["since"], "done": believed["fills"], "done_count": believed["fill_count"]}


def _change(look: Look, state: State, new: int) -> State:
    assert look.belief is not None
    old, seen = state["regime"], look.seen
    facts: State = {"from": old, "to": new, "from_name": named(look, old), "to_name": named(look, new)}
    facts |= {"probability": float(look.belief[new]), "threshold": look.plan.probability, "dwell": look.plan.dwell}
    facts |= {"stayed": state["stay"] + 1, "since": state["since"], "equity": look.equity}
    facts["expected_stay"] = None if seen is None or seen.stays is None else seen.stays[new]
    facts["volatility"] = _volatility(look, new)
    return facts | {"holdings": look.holdings, "orders": born(look)}


def _volatility(look: Look, regime: int) -> float | None:
    """Return a regime's volatility a year, if feature 0 is a return."""
    if look.seen is None or look.seen.variance is None or not look.seen.returns:
        return None
    return math.sqrt(float(look.seen.variance[regime]) * look.about.periods)


def _early_warning(look: Look, state: State) -> Found:
    """Warn once when the regime will probably be left; again in the same stay only after it was half as likely.

    Where regimes are a `danger`, of their entering, and not while in one of them. Where another regime is the
    likeliest already, it has been left: that is for the message of the change to say.
    """
    limit, regime = look.plan.early_warning, state["regime"]
    if limit is None or look.seen is None or look.belief is None or regime is None or len(look.belief) < 2:
        return {}, []
    feared = _feared(look, look.belief, regime)
    if feared is None:
        return {}, []
    leaving, ahead = feared
    if not state["armed"]:
        return {"armed": leaving < (limit / 2.0 if state["warned"] == state["since"] else limit)}, []
    if not leaving > limit or int(np.argmax(look.belief)) != regime:
        return {}, []
    following = max((k for k in range(len(ahead)) if k != regime), key=lambda k: ahead[k])
    facts: State = {"regime": regime, "name": named(look, regime), "leaving": leaving, "limit": limit}
    facts |= {"horizon": look.plan.horizon, "probability": float(look.belief[regime]), "stayed": state["stay"]}
    facts |= {"next": following, "next_name": named(look, following), "next_probability": ahead[following]}
    facts |= {"danger": look.plan.danger} if look.plan.danger else {}
    changes = {"armed": False, "warned": state["since"]}
    return changes, [alert("early_warning", look, facts | {"equity": look.equity, "holdings": look.holdings})]


def _feared(look: Look, belief: Floats, regime: int) -> tuple[float, list[float]] | None:
    """Return how likely what is warned of is, and for each regime that it is this one; None where nothing is."""
    assert look.seen is not None
    state, danger = look.about.state, tuple(sorted({k for k in look.plan.danger if k < len(belief)}))
    if not look.plan.danger:
        ahead = look.seen.ahead(belief, state)
        return None if ahead is None else (1.0 - float(ahead[regime]), ahead.tolist())
    there = not danger or regime in danger or len(danger) == len(belief)
    entered = None if there else look.seen.entering(belief, danger, state)
    return None if entered is None else (float(total(entered)), entered.tolist())


def _model_health(look: Look, state: State) -> Found:
    """Tell when the model falls ill, of every further cause, and when it has recovered."""
    if look.belief is None:
        return {}, []
    before = state["health"]
    health = assess(look.plan, state, look.belief, float(look.step.belief[-1]), look.seen)
    changes = {"health": health.memory}
    recovered = bool(before["causes"]) and healthy(health.memory)
    if not recovered and set(health.causes) <= set(before["causes"]):
        return changes, []
    facts = {"healthy": recovered, "causes": list(health.causes.values()), "before": before["causes"]}
    facts |= {"shortfall": health.memory["shortfall"], "refitted": before["fit"] != health.memory["fit"]}
    return changes, [alert("model_health", look, facts, "info" if recovered else None)]


# In this order: a summary and the value at risk (which one belief for all tells) speak of the close before, health asks
# for the regime as it is now.
_RULES: Final[tuple[Callable[[Look, State], Found], ...]] = (
    summaries,
    value_at_risk,
    of_each(_regime),
    of_each(_model_health),
    of_each(_early_warning),
    orders,
    guards,
    drawdown,
)
