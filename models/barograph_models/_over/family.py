"""The family of a model over another: it learns, is recognised and forecasts as the other; what it believes is its own.

Its params are the other's, and an array or two more; so the other's kernels find in them what they look for. Its
family is found by the name of the other's, ``"package.over:package.model:FAMILY"``: a saved fit needs no registry.
"""

from __future__ import annotations

import importlib
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from barograph.jit.kernel import Kernel, kernel
from barograph.regimes import family as asked
from barograph.regimes.family import Family
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.transitions import states_never_left
from barograph.regimes.window import Window
from barograph.regimes.window import window as window_of
from barograph.types import Floats

__all__ = ["Changed", "family_named", "family_over", "forecast_over", "model_over"]

_TUPLE: Any = namedtuple  # its fields are known when the other family is


class Changed(NamedTuple):
    """How a belief is changed: in which module, what its arrays more are called, and what makes its filter.

    ``make(init, step)`` gives kernels over the other's, whose state is a NamedTuple with the other's state as `inner`
    and what that believes, (R,), as `believed`. ``answers(inner)`` are fields of the family that it answers by itself.
    """

    module: str
    arrays: tuple[str, ...]
    make: Callable[[Any, Any], tuple[Any, Any]]
    answers: Callable[[Family], dict[str, Any]] | None = None


@cache
def family_over(changed: Changed, inner: Family) -> Family:
    """Return the family over another's."""
    like = tuple(inner.params._fields)  # type: ignore[attr-defined]
    params = _TUPLE("OverParams", (*like, *changed.arrays))
    init, step = changed.make(inner.init, inner.step)

    def own(p: Any) -> Any:
        return inner.params(*p[: len(like)])

    def with_mine(moved: Any, p: Any) -> Any:
        return params(*moved, *p[len(like) :])

    def of(answer: Any) -> Any:
        return None if answer is None else lambda p, *rest: answer(own(p), *rest)

    def state_of(answer: Any) -> Any:
        return None if answer is None else lambda p, state, *rest: answer(own(p), state.inner, *rest)

    forecast, plan, components = forecast_over(inner, like)
    # Kernels find the other's params by name; any other function is handed its own, for it may count on their order.
    family = inner._replace(
        name=f"{changed.module}:{inner.name}",
        params=params,
        init=init,
        step=step,
        moments=of(inner.moments),
        smooth=None,
        decode=None,
        shared=(*inner.shared, *changed.arrays),
        renumber=lambda p, order: with_mine(asked.renumbered(inner, own(p), order), p),
        signature=of(inner.signature),
        stays=of(inner.stays),
        stationary=of(inner.stationary),
        snapshot=_snapshot(inner, own, with_mine),
        forecast=forecast,
        plan=of(plan),
        components=of(components),
        draw=None,
        never_left=lambda p, states: with_mine(states_never_left(inner, own(p), states), p),
        until=state_of(inner.until),
        remaining=state_of(inner.remaining),
        draws_ahead=state_of(inner.draws_ahead),
        used=of(inner.used),
    )
    return family if changed.answers is None else family._replace(**changed.answers(inner))


def _snapshot(inner: Family, own: Any, with_mine: Any) -> Any:
    """Return what keeps what the other has learned since its fit, or none where it learns nothing."""
    moved = inner.snapshot
    return None if moved is None else lambda p, state: with_mine(moved(own(p), state.inner), p)


def forecast_over(inner: Family, like: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """Return the other's forecast, from its own state or belief, with its plan and components."""
    if inner.forecast is not None and inner.forecast is not asked.chain_forecast:
        return _from_state(inner.forecast), inner.plan, inner.components
    if inner.forecast is None and (inner.moments is None or "transition" not in like):
        return None, None, None
    if inner.shown:
        return _from_state(asked.states_forecast), partial(asked.chain_plan, inner), asked.chain_components
    plan = inner.plan or partial(asked.chain_plan, inner)
    return _from_belief(asked.chain_forecast), plan, inner.components or asked.chain_components


@cache
def _from_state(forecast: Any) -> Any:
    def ahead(state: Any, plan: Any, horizon: int, out: Any) -> None:
        forecast(state.inner, plan, horizon, out)

    return kernel(ahead) if isinstance(forecast, Kernel) else ahead


@cache
def _from_belief(forecast: Any) -> Any:
    def ahead(state: Any, plan: Any, horizon: int, out: Any) -> None:
        forecast(asked.ChainNow(state.believed), plan, horizon, out)

    return kernel(ahead)


def family_named(changed: Changed, name: str) -> Family:
    """Return the family over the one of that name, for a saved fit; raises `AttributeError` where there is none."""
    module, _, constant = name.partition(":")
    if not constant:
        raise AttributeError(name)
    return family_over(changed, getattr(importlib.import_module(module), constant))


Learned = Callable[[Fitted, Window, Floats], tuple[tuple[Floats, ...], tuple[str, ...]]]


def _as_set(fitted: Fitted, window: Window, setting: Floats) -> tuple[tuple[Floats, ...], tuple[str, ...]]:
    return (setting.copy(),), ()


def model_over(changed: Changed, model: Model, name: str, setting: Floats, learned: Learned = _as_set) -> Model:
    """Return the model that learns as the other does, and believes what is made of it.

    ``learned(fitted, window, setting)`` gives the arrays more, of the other's fit, and what is to be told.
    """

    def over(fitted: Fitted, window: Window) -> Fitted:
        family = family_over(changed, fitted.family)
        # What the other answered to held-out rows is not what is believed here.
        own = fitted.notes if fitted.judged is None else (*fitted.notes, f"held-out rows judged {fitted.name}, within")
        arrays, told = learned(fitted, window, setting)
        params = family.params(*fitted.params, *arrays)
        return replace(fitted, family=family, params=params, judged=None, notes=(*own, *told))

    def fit(window: Window) -> Fitted:
        previous, state = window.previous, window.state
        if previous is not None:
            inner = _inner(changed, previous)
            window = window._replace(previous=inner, state=getattr(state, "inner", None) if inner is not None else None)
        return over(model.learn(window), window)

    blank = model.untrained
    untrained = None if blank is None else (lambda features: over(blank(features), window_of(np.empty((0, features)))))
    settings = None if model.settings is None else (changed, model.settings, tuple(setting.tolist()))
    return Model(fit, model.regimes, name, model.labels, settings, model.partial_rows, untrained=untrained,
                 takes=model.takes, hindsight=False, labelled=model.labelled)  # fmt: skip


def _inner(changed: Changed, previous: Fitted) -> Fitted | None:
    """Return the other's own part of a fit in force, or nothing where that is of another kind."""
    over, _, name = previous.family.name.partition(":")
    module, _, constant = name.partition(":")
    if over != changed.module or not constant:
        return None
    family = getattr(importlib.import_module(module), constant)
    return replace(previous, family=family, params=family.params(*previous.params[: -len(changed.arrays)]))
