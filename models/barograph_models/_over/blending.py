"""The family of two models that are believed together: each filters alone, and their beliefs are weighed.

The params of both stand in one flat tuple, those of the first before those of the second; each filter is handed its
own. Everything that is asked of the blend is the mean of what both answer, by their weights.
"""

from __future__ import annotations

import importlib
import math
from collections import namedtuple
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.views import frozen, unowned
from barograph.regimes import family as asked
from barograph.regimes.family import Family, Moments
from barograph.regimes.transitions import states_never_left
from barograph.types import Belief, Floats, Forecast
from barograph_models._over.family import forecast_over

__all__ = ["BlendState", "family_of", "named_family", "split"]

OPENS, BETWEEN, CLOSES = "[|]"
_TUPLE: Any = namedtuple  # its fields are known when both families are


class Side(NamedTuple):
    """One model's state, and what it believes, (R,)."""

    inner: Any
    believed: Floats


class BlendState(NamedTuple):
    """Both sides, the belief that is shown (R,), and the weights of the two, (2,)."""

    one: Side
    other: Side
    probs: Floats
    weights: Floats


class BlendPlan(NamedTuple):
    """Both plans, and how many parts the first one's mixture has."""

    one: Any
    other: Any
    parts: int


@cache
def family_of(module: str, one: Family, other: Family) -> Family:
    """Return the family of a blend; its last array is `blending`: both weights, the forgetting, regimes."""
    size, fields = _size(one), [f"one_{n}" for n in _fields(one)] + [f"other_{n}" for n in _fields(other)]
    params = _TUPLE("BlendParams", (*fields, "blending"))
    views = (_view(one.params, "one_"), _view(other.params, "other_"))

    def sides(p: Any) -> tuple[tuple[Family, Any], tuple[Family, Any]]:
        return (one, one.params(*p[:size])), (other, other.params(*p[size:-1]))

    def both(change: Any) -> Any:
        return lambda p, *rest: params(*(a for f, own in sides(p) for a in change(f, own, *rest)), p[-1])

    init, step = _filter(one.init, one.step, other.init, other.step, *views)
    forecast, plan, components = _forecasts(one, other, sides)
    return Family(
        f"{module}:{OPENS}{one.name}{BETWEEN}{other.name}{CLOSES}",
        params,
        init,
        step,
        moments=lambda p: _mixed(p, [asked.moments_of(f, own) for f, own in sides(p)]),
        stays=lambda p: _mean(p, [asked.stays_of(f, own) for f, own in sides(p)]),
        stationary=lambda p: _mean(p, [asked.stationary_of(f, own) for f, own in sides(p)]),
        renumber=both(asked.renumbered),
        snapshot=_snapshot(params, sides) if one.snapshot or other.snapshot else None,
        forecast=forecast,
        plan=plan,
        components=components,
        blanks=(*(f"one_{n}" for n in one.blanks), *(f"other_{n}" for n in other.blanks)),
        never_left=both(states_never_left),
    )


def _snapshot(params: Any, sides: Any) -> Any:
    """Return what keeps what both have learned since their fits."""

    def moved(family: Family, own: Any, state: Any) -> Any:
        return own if family.snapshot is None else family.snapshot(own, state)

    def snapshot(p: Any, state: Any) -> Any:
        (one, left), (other, right) = sides(p)
        return params(*moved(one, left, state.one.inner), *moved(other, right, state.other.inner), p[-1])

    return snapshot


def _fields(family: Family) -> tuple[str, ...]:
    return tuple(family.params._fields)  # type: ignore[attr-defined]


def _size(family: Family) -> int:
    return len(_fields(family))


def split(family: Family, params: Any) -> tuple[Any, Any]:
    """Return both models' params of a blend of these families."""
    one, other = named_pair(family.name.partition(":")[2])
    size = _size(one)
    return one.params(*params[:size]), other.params(*params[size:-1])


def named_pair(name: str) -> tuple[Family, Family]:
    """Return both families of a blend's constant; raises `AttributeError` where it is none."""
    found = [part.partition(":") for part in _parts(name)]
    if len(found) != 2 or not all(module and constant for module, _, constant in found):
        raise AttributeError(name)
    one, other = (getattr(importlib.import_module(module), constant) for module, _, constant in found)
    return one, other


def _parts(name: str) -> list[str]:
    """Split what stands between the brackets, and not what stands between brackets within."""
    if not (name.startswith(OPENS) and name.endswith(CLOSES)):
        return []
    parts, deep = [""], 0
    for letter in name[1:-1]:
        deep += (letter == OPENS) - (letter == CLOSES)
        if letter == BETWEEN and deep == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def named_family(module: str, name: str) -> Family:
    """Return the family of that constant, for a saved fit."""
    return family_of(module, *named_pair(name))


def _mean(p: Any, found: list[Any]) -> Floats:
    return np.asarray(p.blending[0] * found[0] + p.blending[1] * found[1])


def _mixed(p: Any, found: list[Any]) -> Moments:
    centre = _mean(p, [of.mean for of in found])
    return Moments(centre, _mean(p, [of.variance + of.mean * of.mean for of in found]) - centre * centre)


def _view(params: Any, prefix: str) -> Any:
    """Return the kernel that hands one model its own params: written out, as a field's name is no value there."""
    handed = ", ".join(f"p.{prefix}{name}" for name in params._fields)
    space: dict[str, Any] = {"own": params}
    exec(f"def view(p):\n    return own({handed})\n", space)
    return kernel(space["view"])


@kernel
def _joint(weights: Any, first: Any, second: Any) -> Any:
    """Return the weights after a bar by Bayes' rule, and the log density of the bar before it was seen."""
    # A model that tells no density is neither right nor wrong; one that the bar tells nothing tells 0. What the other
    # says of its cells is then in their units: compared with 0 it would weigh by whether a return is 0.01 or 1 %.
    if first != first or second != second:
        return weights[0], weights[1], math.nan
    if first == 0.0 or second == 0.0:
        return weights[0], weights[1], 0.0
    most = max(first, second)
    if not most > -math.inf:
        return weights[0], weights[1], most
    a, b = weights[0] * exp(first - most), weights[1] * exp(second - most)
    return a / (a + b), b / (a + b), most + log(a + b)


@cache
def _filter(one_init: Any, one_step: Any, other_init: Any, other_step: Any, one_of: Any, other_of: Any) -> Any:
    def init(params: Any) -> Any:
        R, weights = int(params.blending[3]), np.empty(2)
        weights[0], weights[1] = params.blending[0], params.blending[1]
        one, other = Side(one_init(one_of(params)), np.zeros(R)), Side(other_init(other_of(params)), np.zeros(R))
        return BlendState(one, other, np.zeros(R), weights)

    def step(state: Any, x: Any, params: Any) -> Any:
        one, first = one_step(state.one.inner, x, one_of(params))
        other, second = other_step(state.other.inner, x, other_of(params))
        probs, weights = unowned(state.probs), unowned(state.weights)
        left, right = unowned(state.one.believed), unowned(state.other.believed)
        a, _, logpdf = _joint(weights, first.logpdf, second.logpdf)
        keep = params.blending[2]
        for k in range(probs.size):
            left[k], right[k] = first.probs[k], second.probs[k]
            share = a if keep > 0.0 else weights[0]
            probs[k] = share * left[k] + (1.0 - share) * right[k]
        # A bar that says nothing to one of them tells nothing of who foresees better.
        if keep > 0.0 and first.logpdf != 0.0 and second.logpdf != 0.0 and logpdf == logpdf:
            weights[0] = (1.0 - keep) * params.blending[0] + keep * a
            weights[1] = 1.0 - weights[0]
        sides = (Side(one, state.one.believed), Side(other, state.other.believed))
        return BlendState(sides[0], sides[1], state.probs, state.weights), Belief(frozen(state.probs), logpdf)

    if all(isinstance(part, Kernel) for part in (one_init, one_step, other_init, other_step)):
        return kernel(init), kernel(step)
    return init, step


def _forecasts(one: Family, other: Family, sides: Any) -> tuple[Any, Any, Any]:
    """Return the forecast of the blend: both mixtures, by the weights; or none where one model has none."""
    (look, lay, count), (look_too, lay_too, count_too) = (forecast_over(f, _fields(f)) for f in (one, other))
    if look is None or look_too is None:
        return None, None, None

    def components(p: Any, horizon: int) -> int:
        (_, a), (_, b) = sides(p)
        return (count(a, horizon) if count else 1) + (count_too(b, horizon) if count_too else 1)

    def plan(p: Any, horizon: int) -> BlendPlan:
        (_, a), (_, b) = sides(p)
        parts = count(a, horizon) if count else 1
        return BlendPlan(lay(a, horizon) if lay else a, lay_too(b, horizon) if lay_too else b, parts)

    return _ahead(look, look_too), plan, components


@cache
def _ahead(look: Any, look_too: Any) -> Any:
    def ahead(state: Any, plan: Any, horizon: int, out: Forecast) -> None:
        m, share, room = plan.parts, state.weights, np.empty(out.probs.size)
        w, mean, variance, nu = out.weights, out.mean, out.variance, out.degrees_of_freedom
        look(state.one, plan.one, horizon, Forecast(horizon, w[:m], mean[:m], variance[:m], nu[:m], room))
        look_too(state.other, plan.other, horizon, Forecast(horizon, w[m:], mean[m:], variance[m:], nu[m:], out.probs))
        for k in range(out.probs.size):
            out.probs[k] = share[0] * room[k] + share[1] * out.probs[k]
        for n in range(w.size):
            w[n] *= share[0] if n < m else share[1]

    return kernel(ahead) if isinstance(look, Kernel) and isinstance(look_too, Kernel) else ahead
