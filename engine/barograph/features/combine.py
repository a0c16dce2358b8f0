"""Build features from features: `chain` and `beside` one after another, `stack` side by side, `coarse`, `adjusted`.

A combinator closes over its parts' kernels and nothing else; numbers travel in params. The closures are cached by
the kernels they close over, so that the same parts give the same kernel and nothing compiles twice.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from barograph.errors import PartError, nearest
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.periods import EVERY, NO_PERIOD, period_of
from barograph.jit.views import frozen
from barograph.types import Asset, Bars, Feature

__all__ = ["Stack", "Transform", "adjusted", "beside", "chain", "coarse", "name_columns", "named_of", "stack"]


class Transform(NamedTuple):
    """One number in, one number out: ``init(params) -> state``, ``step(state, value, params) -> (state, float)``."""

    init: Callable[..., Any]
    step: Callable[..., Any]
    params: Any
    name: str


class Stack(NamedTuple):
    """Several features as one: ``step`` returns ``(state, tuple of floats)``; states and params are pairs of halves."""

    init: Callable[..., Any]
    step: Callable[..., Any]
    params: Any
    names: tuple[str, ...]


class Chained(NamedTuple):
    """What a chain's two links hold: their states, or their params."""

    source: Any
    transform: Any


class Joined(NamedTuple):
    """What a transform of two features holds: the states of all three, or their params."""

    source: Any
    other: Any
    transform: Any


class CoarseParams(NamedTuple):
    """The inner feature's params with columns 0, 1, ..; where those columns are among the bars; the period's code."""

    inner: Any
    columns: tuple[Any, ...]
    every: int


class CoarseState(NamedTuple):
    """The inner feature's state and last value, and the coarse bar under construction; `factor` stays 1."""

    inner: Any
    value: float
    period: int
    ts: int
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    factor: Any


class AdjustedParams(NamedTuple):
    """The inner feature's params with columns 0, 1, .., and where those columns are among the bars."""

    inner: Any
    columns: tuple[Any, ...]


class AdjustedState(NamedTuple):
    """The inner feature's state, and room for the bar it is lent; `factor` stays 1."""

    inner: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    factor: Any


def _mark(function: Callable[..., Any], *parts: Callable[..., Any]) -> Callable[..., Any]:
    """Compile what is made of kernels only; what holds a Python part stays Python, and the machine can see it."""
    return kernel(function) if all(isinstance(part, Kernel) for part in parts) else function


def chain(source: Feature, transform: Transform) -> Feature:
    """Feed a feature's numbers to a transform.

    The rule for a missing number is written here, once for all transforms: a NaN leaves the transform's state
    untouched and yields NaN. So a bar that is missing is as if it had never been, and a transform of a feature that
    is not warm yet waits for it.

    >>> from barograph.features import log_return, sma
    >>> sma(20, of=log_return()).name
    'sma(20) of log_return'
    """
    init, step = _chain(source.init, source.step, transform.init, transform.step)
    return Feature(init, step, Chained(source.params, transform.params), named_of(transform.name, source))


def named_of(name: str, source: Feature) -> str:
    """Name what is made of a source; the first asset's close goes without saying."""
    return name if source.name == "close" else f"{name} of {source.name}"


@functools.cache
def _chain(
    source_init: Callable[..., Any],
    source_step: Callable[..., Any],
    transform_init: Callable[..., Any],
    transform_step: Callable[..., Any],
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        return Chained(source_init(params.source), transform_init(params.transform))

    def step(state: Any, bars: Any, params: Any) -> Any:
        source, value = source_step(state.source, bars, params.source)
        if math.isnan(value):
            return Chained(source, state.transform), math.nan
        transform, result = transform_step(state.transform, value, params.transform)
        return Chained(source, transform), result

    return _mark(init, source_init, transform_init), _mark(step, source_step, transform_step)


def beside(source: Feature, other: Feature, transform: Transform) -> Feature:
    """Feed two features' numbers to a transform of both: its step is ``step(state, value, other, params)``.

    A bar on which either is NaN yields NaN and leaves the transform's state untouched.

    >>> from barograph.features import close
    >>> transform = Transform(lambda _: (), lambda state, a, b, params: (state, a / b), (), "ratio")
    >>> beside(close("A"), close("B"), transform).name
    'ratio of close(A) and close(B)'
    """
    init, step = _joined(source.init, source.step, other.init, other.step, transform.init, transform.step)
    params = Joined(source.params, other.params, transform.params)
    return Feature(init, step, params, f"{transform.name} of {source.name} and {other.name}")


@functools.cache
def _joined(
    source_init: Callable[..., Any],
    source_step: Callable[..., Any],
    other_init: Callable[..., Any],
    other_step: Callable[..., Any],
    transform_init: Callable[..., Any],
    transform_step: Callable[..., Any],
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        return Joined(source_init(params.source), other_init(params.other), transform_init(params.transform))

    def step(state: Any, bars: Any, params: Any) -> Any:
        source, value = source_step(state.source, bars, params.source)
        other, beside = other_step(state.other, bars, params.other)
        if math.isnan(value) or math.isnan(beside):
            return Joined(source, other, state.transform), math.nan
        transform, result = transform_step(state.transform, value, beside, params.transform)
        return Joined(source, other, transform), result

    return _mark(init, source_init, other_init, transform_init), _mark(step, source_step, other_step, transform_step)


def stack(features: Sequence[Feature]) -> Stack:
    """Put features side by side: one bar in, a tuple of floats out, in the order given.

    Raises `PartError` when there is none.

    >>> from barograph.features import log_return, rolling_volatility
    >>> stack([log_return(), rolling_volatility(20)]).names
    ('log_return', 'rolling_volatility(20)')
    """
    if not features:
        raise PartError("features: the list is empty; a model needs at least one feature, such as log_return()")
    names = tuple(feature.name for feature in features)
    return Stack(*_halved(features), names)


def _halved(features: Sequence[Feature]) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
    # Halves, not a chain of pairs: every level is compiled whole, so a chain of 18 takes 45 s where halves take 19.
    if len(features) == 1:
        only = features[0]
        return *_alone(only.init, only.step), only.params
    middle = len(features) // 2
    left_init, left_step, left = _halved(features[:middle])
    right_init, right_step, right = _halved(features[middle:])
    return *_beside(left_init, left_step, right_init, right_step), (left, right)


@functools.cache
def _alone(init: Callable[..., Any], only: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def step(state: Any, bars: Any, params: Any) -> Any:
        state, value = only(state, bars, params)
        return state, (value,)

    return init, _mark(step, only)


@functools.cache
def _beside(
    left_init: Callable[..., Any],
    left_step: Callable[..., Any],
    right_init: Callable[..., Any],
    right_step: Callable[..., Any],
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        return left_init(params[0]), right_init(params[1])

    def step(states: Any, bars: Any, params: Any) -> Any:
        left, first = left_step(states[0], bars, params[0])
        right, second = right_step(states[1], bars, params[1])
        return (left, right), first + second

    return _mark(init, left_init, right_init), _mark(step, left_step, right_step)


def name_columns(params: Any, column: Callable[[Asset], Any]) -> Any:
    """Replace every `Asset` in params, however deep, by what `column` answers for it.

    >>> name_columns((Asset("VIX"), (3, Asset("SPY"))), lambda asset: ["SPY", "VIX"].index(asset.symbol))
    (1, (3, 0))
    """
    if isinstance(params, Asset):
        return column(params)
    if not isinstance(params, tuple):
        return params
    items = [name_columns(item, column) for item in params]
    return type(params)(*items) if hasattr(params, "_fields") else tuple(items)


def coarse(feature: Feature, every: Literal["day", "week", "month"] = "week") -> Feature:
    """Let a feature see bars of a whole day, ISO week or calendar month (UTC), and only *completed* ones.

    A period is complete when the first bar of a later period arrives: there is no calendar here that could know
    earlier, so on a Friday's close the week is still open and Friday's value is last week's. The value stands until
    the next completion; before the first one it is NaN. A coarse bar is the first open, the highest high, the lowest
    low, the last close, the summed volume and the last bar's ts; an asset that had no bar in the period is missing.

    Only the assets named in the feature's params are carried along. Raises `PartError` for an unknown period or a
    feature that names no asset.

    >>> from barograph.features import total_return
    >>> coarse(total_return(4), "week").name
    'weekly total_return(4)'
    """
    if every not in EVERY:
        raise PartError(
            f"coarse: every={every!r} is no period; wanted one of {', '.join(EVERY)}{nearest(every, EVERY)}"
        )
    inner, assets = _gathered("coarse", feature.name, feature.params)
    init, step = _coarse(feature.init, feature.step)
    label = {"day": "daily", "week": "weekly", "month": "monthly"}[every]
    return Feature(init, step, CoarseParams(inner, assets, EVERY.index(every)), f"{label} {feature.name}")


def _gathered(combinator: str, name: str, params: Any) -> tuple[Any, tuple[Asset, ...]]:
    """Return params with the named assets numbered 0, 1, .., and those assets in that order."""
    assets: list[Asset] = []

    def place(asset: Asset) -> int:
        if asset not in assets:
            assets.append(asset)
        return assets.index(asset)

    inner = name_columns(params, place)
    if not assets:
        raise PartError(
            f"{combinator}: feature {name!r} names no asset; put types.Asset('') in its params and read that column"
        )
    return inner, tuple(assets)


@functools.cache
def _coarse(
    inner_init: Callable[..., Any], inner_step: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        n = len(params.columns)
        return CoarseState(
            inner_init(params.inner),
            math.nan,
            NO_PERIOD,
            0,
            np.full(n, math.nan),
            np.full(n, math.nan),
            np.full(n, math.nan),
            np.full(n, math.nan),
            np.full(n, math.nan),
            np.ones(n),
        )

    def step(state: Any, bars: Any, params: Any) -> Any:
        period = period_of(bars.ts, params.every)
        inner, value = state.inner, state.value
        if period != state.period:
            if state.period != NO_PERIOD:
                inner, value = inner_step(inner, _lent(state.ts, state), params.inner)
            _begin(state)
        _include(state, bars, params.columns)
        done = CoarseState(
            inner, value, period, bars.ts, state.open, state.high, state.low, state.close, state.volume, state.factor
        )
        return done, value

    return _mark(init, inner_init), _mark(step, inner_step)


@kernel
def _lent(ts: int, state: Any) -> Bars:
    return Bars(
        ts,
        frozen(state.open),
        frozen(state.high),
        frozen(state.low),
        frozen(state.close),
        frozen(state.volume),
        frozen(state.factor),
    )


@kernel
def _begin(state: Any) -> None:
    for a in range(state.close.size):
        state.open[a] = math.nan
        state.high[a] = math.nan
        state.low[a] = math.nan
        state.close[a] = math.nan
        state.volume[a] = math.nan


@kernel
def _include(state: Any, bars: Any, columns: Any) -> None:
    for a in range(state.close.size):
        column = columns[a]
        if math.isnan(bars.close[column]):
            continue
        if math.isnan(state.close[a]):
            state.open[a] = bars.open[column]
            state.high[a] = bars.high[column]
            state.low[a] = bars.low[column]
            state.volume[a] = bars.volume[column]
        else:
            # Not max and min: with a NaN the compiler's answer is not Python's.
            state.high[a] = bars.high[column] if bars.high[column] > state.high[a] else state.high[a]
            state.low[a] = bars.low[column] if bars.low[column] < state.low[a] else state.low[a]
            state.volume[a] += bars.volume[column]
        state.close[a] = bars.close[column]


Part = TypeVar("Part", Feature, Stack)


def adjusted(feature: Part) -> Part:
    """Let a feature (or a stack) see prices that compare across splits and dividends: each times its bar's factor.

    A model's features are given such bars by the machine; this is for a strategy, which is given the raw ones, and
    remembers prices from one bar to the next. Volume stays as it is. Only the assets named in the feature's params are
    carried along. Raises `PartError` for a feature that names no asset.

    >>> from barograph.features import sma
    >>> adjusted(sma(20)).name
    'sma(20)'
    """
    name = feature.name if isinstance(feature, Feature) else ", ".join(feature.names)
    init, step = _adjusted(feature.init, feature.step)
    return feature._replace(init=init, step=step, params=AdjustedParams(*_gathered("adjusted", name, feature.params)))


@functools.cache
def _adjusted(
    inner_init: Callable[..., Any], inner_step: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        n = len(params.columns)
        inner = inner_init(params.inner)
        return AdjustedState(inner, np.ones(n), np.ones(n), np.ones(n), np.ones(n), np.ones(n), np.ones(n))

    def step(state: Any, bars: Any, params: Any) -> Any:
        _scale(state, bars, params.columns)
        inner, value = inner_step(state.inner, _lent(bars.ts, state), params.inner)
        done = AdjustedState(inner, state.open, state.high, state.low, state.close, state.volume, state.factor)
        return done, value

    return _mark(init, inner_init), _mark(step, inner_step)


@kernel
def _scale(state: Any, bars: Any, columns: Any) -> None:
    for a in range(state.close.size):
        column = columns[a]
        state.open[a] = bars.open[column] * bars.factor[column]
        state.high[a] = bars.high[column] * bars.factor[column]
        state.low[a] = bars.low[column] * bars.factor[column]
        state.close[a] = bars.close[column] * bars.factor[column]
        state.volume[a] = bars.volume[column]
