"""Whether the model still describes the market: likelihood, doubt and stays, against what the fit led to expect.

Likelihood: one-sided CUSUM of the standardised log-density (E. Page, *Continuous inspection schemes*, Biometrika 41,
1954). A bar's log-density is compared with what the belief of the bar before expected of it: unlike its plain mean
this does not take a turbulent regime, whose densities are low, for a broken model.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.config.paper import WatchPlan
from barograph.jit.arithmetic import log
from barograph.regimes.outlook import Outlook
from barograph.types import Floats

__all__ = ["Health", "assess", "healthy", "unassessed"]

# What may be wrong, as summaries say it.
LIKELIHOOD, DOUBT, STAY, CHANGES = "likelihood too low", "doubt too large", "stay too long", "too many changes"
REFIT, DEGENERATE = "no new fit", "degenerate fit"
# No single bar, however absurd, may count for more: a CUSUM looks for what lasts.
_MOST: Final = 6.0
# A cause that holds is given up only when it is clearly gone, so that no message follows every bar at the limit.
_EASED: Final = 0.95
_FEWEST: Final = 3


class Health(NamedTuple):
    """What one close says of the model's health: the memory to keep, and the causes of ill health in words."""

    memory: dict[str, Any]
    causes: dict[str, str]


def unassessed() -> dict[str, Any]:
    """Return the memory of a model nobody has looked at."""
    return {"fit": None, "shortfall": 0.0, "entropy": [], "changes": [], "causes": []}


def healthy(memory: dict[str, Any]) -> bool:
    """Tell whether nothing is wrong."""
    return not memory["causes"]


def assess(plan: WatchPlan, state: dict[str, Any], belief: Floats, logpdf: float, seen: Outlook | None) -> Health:
    """Judge the model at a close: `belief` (R,) is this bar's; what the one before expected is in the state.

    >>> state = {"health": unassessed(), "expected": None, "bars": 1, "regime": None, "stay": 0, "refused": ""}
    >>> assess(WatchPlan(window=2), state, np.array([0.5, 0.5]), 0.0, None).memory["entropy"]
    [1.0]
    """
    memory: dict[str, Any] = dict(state["health"])
    if seen is not None and seen.mark != memory["fit"]:
        # A new fit is owed a fresh judgement, and its first bar has no belief of its own before it.
        memory |= {"fit": seen.mark, "shortfall": 0.0}
    elif seen is not None and state["expected"] is not None:
        memory["shortfall"] = _shortfall(plan, memory["shortfall"], np.array(state["expected"]), logpdf, seen)
    memory["entropy"] = [*memory["entropy"], _entropy(belief)][-plan.window :]
    memory["changes"] = [bar for bar in memory["changes"] if bar > state["bars"] - plan.window]
    causes = dict(_causes(plan, state, memory, seen))
    return Health(memory | {"causes": sorted(causes)}, causes)


def _shortfall(plan: WatchPlan, before: float, expected: Floats, logpdf: float, seen: Outlook) -> float:
    # A log-density of exactly 0 is that of a bar without features; a model that has none answers NaN.
    if logpdf == 0.0 or not math.isfinite(logpdf):
        return before if logpdf != -math.inf else min(before + _MOST - plan.slack, 2.0 * plan.cusum)
    surprise = seen.surprise(expected, logpdf)
    if surprise is None:
        return before
    surprise = min(max(surprise, -_MOST), _MOST)
    return min(max(before + surprise - plan.slack, 0.0), 2.0 * plan.cusum)


def _entropy(belief: Floats) -> float:
    """Return the entropy of a belief as a share of the largest there is, log K."""
    if len(belief) < 2:
        return 0.0
    doubt: float = -sum(p * log(p) for p in belief.tolist() if p > 0.0)
    return doubt / log(len(belief))


def _causes(plan: WatchPlan, state: dict[str, Any], memory: dict[str, Any], seen: Outlook | None) -> Any:
    """Yield what is wrong, by name, in words."""
    if state["refused"]:
        yield REFIT, f"the model before stays in force: {state['refused']}"
    if seen is not None and seen.fitted.degeneracies:
        yield DEGENERATE, f"the fit is degenerate: {'; '.join(seen.fitted.degeneracies)}"
    ill: list[str] = memory["causes"]
    limit = plan.cusum / 2.0 if LIKELIHOOD in ill else plan.cusum
    if memory["shortfall"] > limit:
        told = f"{memory['shortfall']:.0f} standard deviations of log-likelihood short (limit {plan.cusum:g})"
        yield LIKELIHOOD, f"the model does not expect what it sees: {told}"
    mean = sum(memory["entropy"]) / len(memory["entropy"])
    if len(memory["entropy"]) == plan.window and mean > plan.entropy * (_EASED if DOUBT in ill else 1.0):
        told = f"the doubt of the last {plan.window} bars is {mean:.0%} of the largest (limit {plan.entropy:.0%})"
        yield DOUBT, f"the model cannot tell the regimes apart: {told}"
    if seen is not None and state["regime"] is not None:
        yield from _stays(plan, state, memory, seen)


def _stays(plan: WatchPlan, state: dict[str, Any], memory: dict[str, Any], seen: Outlook) -> Any:
    stay = None if seen.stays is None else seen.stays[state["regime"]]
    if stay is not None and state["stay"] > max(plan.stay * stay, plan.window):
        told = f"{state['stay']} bars, {stay:.0f} are usual (limit {plan.stay:g} times that)"
        yield STAY, f"the {seen.names[state['regime']]} regime does not end: {told}"
    if seen.changes is None:
        return
    changes, usual = len(memory["changes"]), seen.changes * plan.window
    if changes >= _FEWEST and changes > plan.stay * usual:
        told = f"{changes} changes in {plan.window} bars, {usual:.1f} are usual (limit {plan.stay:g} times that)"
        yield CHANGES, f"the regime changes too often: {told}"
