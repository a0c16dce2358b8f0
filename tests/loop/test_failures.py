"""A part that fails is named, with the bar; what failed first is told first, though parts see blocks of bars."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import BarographError, PartError, RuinError, StrategyError
from barograph.testing import interpreted

DAY = 86_400_000_000_000
BARS = 1100
# The first bars of blocks of 512 and the last ones, and some within.
PLACES = (0, 1, 511, 512, 513, 1024, 1099)
NEVER = -1


def market(crash: int = NEVER) -> bg.History:
    """Return quiet bars of one asset; from `crash` on it is worth a third."""
    close = 100.0 + np.arange(BARS) % 7
    if crash != NEVER:
        close[crash:] /= 3.0
    opened = np.concatenate([close[:1], close[:-1]])
    bars = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    return bg.History.from_arrays(ts=np.arange(1, BARS + 1) * DAY, symbols=["ABC"], calendar="24/7", **bars)


def at(bar: int) -> int:
    """Return the moment of a bar, or one that never comes."""
    return (bar + 1) * DAY if bar != NEVER else NEVER


@bg.kernel
def first_step(state: Any, bars: Any, params: Any) -> Any:
    if bars.ts == params:
        raise ValueError("the first feature broke")
    return state, bars.close[0]


@bg.kernel
def second_step(state: Any, bars: Any, params: Any) -> Any:
    if bars.ts == params:
        raise IndexError("the second feature broke")
    return state + 1, float(bars.ts)


@bg.kernel
def filter_step(state: Any, x: Any, params: Any) -> Any:
    if x[1] == params:
        raise RuntimeError("the filter broke")
    return state, bg.Belief(bg.frozen(state), 0.0)


@bg.kernel
def strategy_step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    if bars.ts == params:
        raise KeyError("the strategy broke")
    return state, bg.Target(2.0)


def plain(step: Any, python: bool) -> Any:
    return step.py_func if python else step


def machine(first: int = NEVER, second: int = NEVER, filtering: int = NEVER, strategy: int = NEVER,
            python: frozenset[str] = frozenset()) -> bg.Machine:  # fmt: skip
    """Return a machine whose parts fail at these bars; those named in `python` are plain Python."""
    features = [
        bg.Feature(lambda _: 0, plain(first_step, "first" in python), at(first), "first"),
        bg.Feature(lambda _: 0, plain(second_step, "second" in python), at(second), "second"),
    ]
    believing = bg.Filter(lambda _: np.ones(1), plain(filter_step, "filter" in python), float(at(filtering)), 1, "sure")
    deciding = bg.strategy(plain(strategy_step, "strategy" in python), params=at(strategy), name="bold")
    terms = bg.Terms(leverage=2.0, maintenance=0.0, warning=0.0, fee=0.0, slippage=0.0)
    return bg.Machine(strategy=deciding, features=features, filter=believing, terms=terms)


def told(run: Any, history: bg.History) -> tuple[type, str]:
    """Return what a run that fails tells; the line of a Python part's source is left out."""
    with pytest.raises(BarographError) as failed:
        run(history)
    return type(failed.value), str(failed.value).partition(" (test_failures")[0]


PARTS: dict[str, tuple[type, str]] = {
    "first": (PartError, "feature first raised ValueError at the close of {}: the first feature broke"),
    "second": (PartError, "feature second raised IndexError at the close of {}: the second feature broke"),
    "filtering": (PartError, "filter sure raised RuntimeError at the close of {}: the filter broke"),
    "strategy": (StrategyError, "strategy bold raised KeyError at the close of {}: 'the strategy broke'"),
}
WAYS = {
    "compiled": lambda m: lambda h: bg.scan(m, h),
    "bar by bar": lambda m: lambda h: bg.replay(m, h),
    "interpreted": lambda m: lambda h: interpreted(m, h),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bar", PLACES)
@pytest.mark.parametrize("part", PARTS)
def test_the_part_and_the_bar_are_named(part: str, bar: int, way: str) -> None:
    history, (kind, words) = market(), PARTS[part]
    assert told(WAYS[way](machine(**{part: bar})), history) == (kind, words.format(history.when(bar)))


@pytest.mark.parametrize("python", ["first", "second", "filter", "strategy"])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_in_python_beside_compiled_ones_changes_nothing_of_that(part: str, python: str) -> None:
    history, (kind, words) = market(), PARTS[part]
    failing = machine(**{part: 700}, python=frozenset({python}))
    assert told(WAYS["compiled"](failing), history) == (kind, words.format(history.when(700)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("crash", [100, *(pytest.param(n, marks=pytest.mark.long) for n in (511, 600)), 512])
def test_an_account_that_was_ruined_earlier_is_told_first(crash: int, part: str, way: str) -> None:
    """The part fails later in the same block of bars, or in a later one."""
    history = market(crash)
    for later in (crash + 2, crash + 200, 1099):
        kind, words = told(WAYS[way](machine(**{part: later})), history)
        assert kind is RuinError
        assert words.startswith("strategy bold ruined the account")
        assert words.endswith(history.when(crash + 1)) or words.endswith(history.when(crash))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", PARTS)
def test_an_account_that_would_be_ruined_later_is_not(part: str, way: str) -> None:
    history, (kind, words) = market(crash=600), PARTS[part]
    for earlier in (520, 590):
        assert told(WAYS[way](machine(**{part: earlier})), history) == (kind, words.format(history.when(earlier)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("one", PARTS)
@pytest.mark.parametrize("other", PARTS)
def test_of_two_that_fail_the_earlier_one_is_told(one: str, other: str, way: str) -> None:
    if one != other:
        history, (kind, words) = market(), PARTS[one]
        failing = machine(**{one: 550, other: 800})
        assert told(WAYS[way](failing), history) == (kind, words.format(history.when(550)))


@pytest.mark.parametrize("loop", [bg.scan, bg.replay])
@pytest.mark.parametrize("bar", PLACES)
def test_a_strategy_that_fails_was_asked_once_a_bar(bar: int, loop: Any) -> None:
    asked, history = [], market()

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        asked.append(int(bars.ts))
        return strategy_step.py_func(state, bars, belief, portfolio, params)

    failing = replace(machine(), strategy=bg.strategy(step, params=at(bar), name="bold"))
    told(lambda history: loop(failing, history), history)
    # The first call of all is on a made-up bar, before the run.
    assert [ts for ts in asked if ts in set(history.ts.tolist())][-bar - 1 :] == history.ts[: bar + 1].tolist()
    assert len(asked) <= bar + 3
