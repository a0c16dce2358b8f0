"""Rules of a regime where every asset has a belief of its own: each is watched alone, and all are told together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from barograph.paper.alerts.health import unassessed
from barograph.paper.alerts.view import Found, Look, State
from barograph.paper.ports import Alert

__all__ = ["kept_of_each", "of_each", "regimes_of"]

Rule = Callable[[Look, State], Found]
# What is remembered of a regime, and how it begins.
_BEGUN: Final[State] = {
    **dict.fromkeys(("regime", "since", "warned", "candidate", "believed", "belief", "names", "expected")),
    **dict.fromkeys(("stay", "count"), 0),
    "path": [],
    "closes": [],
    "prices": [],
    "armed": False,
}


def of_each(rule: Rule) -> Rule:
    """Return a rule of a regime that is asked for every asset where each has a belief; what is found is one alert."""

    def asked(look: Look, state: State) -> Found:
        if not look.each:
            return rule(look, state)
        kept, found = dict(state.get("assets", {})), []
        for symbol, one in look.each.items():
            own = _BEGUN | kept.get(symbol, {"health": unassessed()})
            changes, alerts = rule(one, state | own)
            kept[symbol] = own | changes
            found += [(symbol, alert) for alert in alerts]
        return {"assets": kept, "health": _ills(state["health"], kept)}, list(_together(found))

    return asked


def kept_of_each(look: Look, state: State, remembered: Callable[[Look], State]) -> State:
    """Return what the next close needs to know of each asset's belief."""
    kept = state.get("assets", {})
    return {symbol: kept[symbol] | remembered(one) for symbol, one in look.each.items()}


def _ills(health: State, kept: State) -> State:
    """Return the whole model's health: what is wrong with any asset's, by its name; the model is fit or not as one."""
    causes = [f"{symbol}: {cause}" for symbol, own in kept.items() for cause in own["health"]["causes"]]
    return health | {"causes": causes}


def _together(found: list[tuple[str, Alert]]) -> Iterator[Alert]:
    """Make one alert of those of several assets, of each kind and severity: the first one's facts, and all of them."""
    told: set[str] = set()
    for kind, severity in dict.fromkeys((alert.kind, alert.severity) for _, alert in found):
        mine = [(symbol, alert) for symbol, alert in found if (alert.kind, alert.severity) == (kind, severity)]
        of = [_own(symbol, alert.facts) for symbol, alert in mine]
        first = mine[0][1]
        # Good news and bad of the same close are two messages.
        key = f"{first.key}:{severity}" if first.key in told else first.key
        told.add(first.key)
        yield first._replace(key=key, facts=first.facts | {"assets": of} | _causes(mine) | _deeds(of))


def _own(symbol: str, facts: State) -> State:
    """Return the facts that are the asset's own."""
    own = {key: value for key, value in facts.items() if key not in ("holdings", "orders", "equity")}
    return {**own, "symbol": symbol}


def _deeds(of: list[State]) -> State:
    """Return what was done about any of the assets, since the first of them was believed in otherwise."""
    if "done" not in of[0]:
        return {}
    done = sorted((fill for one in of for fill in one["done"]), key=lambda fill: fill["ts"])
    since, count = min(one["believed_since"] for one in of), sum(one["done_count"] for one in of)
    return {"believed_since": since, "done": done, "done_count": count}


def _causes(found: list[tuple[str, Alert]]) -> State:
    """Return what is wrong, or was, with the asset that it is wrong with."""
    told: State = {}
    for key in ("causes", "before"):
        if key in found[0][1].facts:
            told[key] = [f"{symbol}: {cause}" for symbol, alert in found for cause in alert.facts[key]]
    return told


def regimes_of(look: Look, state: State, name: Callable[[Look, int], str]) -> dict[str, Any]:
    """Return by symbol what each asset's regime is called, for a summary."""
    kept = state.get("assets", {})
    known = {symbol: own["regime"] for symbol, own in kept.items() if own["regime"] is not None}
    return {symbol: name(look.each[symbol], regime) for symbol, regime in known.items() if symbol in look.each}
