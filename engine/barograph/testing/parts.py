"""Checks of features, filters, strategies and whole machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from barograph.audit.lookahead import largest_changes, perturbed
from barograph.data.history import History
from barograph.execution.terms import Terms
from barograph.jit.kernel import kernel
from barograph.jit.views import frozen
from barograph.loop.machine import Machine, strategy
from barograph.loop.result import Result
from barograph.loop.run import replay, scan
from barograph.loop.session import Session
from barograph.types import Belief, Feature, Filter, Strategy, Target

__all__ = ["check_feature", "check_filter", "check_machine", "check_strategy", "coin", "interpreted", "same",
           "some_bars"]  # fmt: skip

_DAY = 86_400_000_000_000


def some_bars(bars: int = 120, assets: int = 1, seed: int = 0, missing: float = 0.1, actions: bool = False) -> History:
    """Return made-up bars with gaps in time, missing bars, zero volumes and a jump or two.

    With `actions` there are splits and dividends among them, and the last asset is delisted two thirds of the way.

    >>> history = some_bars(50, assets=3)
    >>> len(history), len(history.symbols)
    (50, 3)
    """
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.choice([1, 1, 1, 3], size=bars)) * _DAY
    moves = rng.standard_t(4, size=(bars, assets)) * 0.01
    close = 100.0 * np.exp(np.cumsum(moves, axis=0))
    opened = close * np.exp(rng.normal(0.0, 0.004, size=close.shape))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0.0, 0.003, size=close.shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0.0, 0.003, size=close.shape)))
    volume = np.where(rng.random(close.shape) < missing / 2, 0.0, rng.integers(1, 10**6, size=close.shape) * 1.0)
    gone = rng.random(close.shape) < missing
    columns = [np.where(gone, np.nan, column) for column in (opened, high, low, close, volume)]
    dividends, splits, final = _some_actions(rng, columns, actions)
    return History(
        symbols=tuple(f"A{a}" for a in range(assets)),
        ts=ts,
        open=columns[0],
        high=columns[1],
        low=columns[2],
        close=columns[3],
        volume=columns[4],
        traded=(True,) * assets,
        calendar="24/7",
        source="some_bars",
        dividends=dividends,
        splits=splits,
        final=final,
    )


def _some_actions(rng: Any, columns: list[Any], actions: bool) -> tuple[Any, Any, Any]:
    """Make actions on bars that are there, and move the prices with them."""
    if not actions:
        return None, None, None
    close = columns[3]
    there = np.isfinite(close)
    splits = np.where(there & (rng.random(close.shape) < 0.02), rng.choice([0.5, 2.0, 3.0], size=close.shape), 1.0)
    columns[:4] = [column / np.cumprod(splits, axis=0) for column in columns[:4]]
    close = columns[3]
    dividends = np.where(there & (rng.random(close.shape) < 0.03), 0.01 * close, 0.0)
    final, last = np.full(close.shape, np.nan), 2 * len(close) // 3
    final[last, -1] = 0.9 * close[: last + 1, -1][there[: last + 1, -1]][-1]
    for column in columns:
        column[last + 1 :, -1] = np.nan
    splits[last + 1 :, -1], dividends[last + 1 :, -1] = 1.0, 0.0
    return dividends, splits, final


class _Coin(NamedTuple):
    probs: Any
    age: int


def _coin_init(_: Any) -> _Coin:
    return _Coin(np.full(2, 0.5), 0)


@kernel
def _coin_step(state: _Coin, x: Any, params: Any) -> Any:
    up = x[0] > 0.0
    p = 0.9 if up else 0.2
    if x[0] == x[0]:
        state.probs[0] = 0.5 * state.probs[0] + 0.5 * p
        state.probs[1] = 1.0 - state.probs[0]
    return _Coin(state.probs, state.age + 1), Belief(frozen(state.probs), 0.0)


@kernel
def _coin_forecast(state: _Coin, plan: Any, horizon: int, out: Any) -> None:
    for k in range(2):
        out.weights[k] = out.probs[k] = state.probs[k]
        out.mean[k], out.variance[k], out.degrees_of_freedom[k] = 0.0, 1e-4 * (1 + k) * horizon, np.inf


def coin() -> Filter:
    """Return a filter of two regimes that follows the sign of the first feature: something for strategies to see.

    Its forecasts are two normal parts, whatever the horizon.
    """
    return Filter(_coin_init, _coin_step, (), 2, "coin", _coin_forecast, components=lambda _params, _horizon: 2)


def interpreted(machine: Machine, history: History) -> Result:
    """Run a machine in plain Python: slow, and the same to the bit."""
    return Session(machine, history, None, None, interpret=True).run(stride=len(history))


def same(one: Sequence[Result] | Result, other: Sequence[Result] | Result) -> bool:
    """Tell whether runs wrote the same bits; a run in several pieces is put together first."""
    return _bytes(one) == _bytes(other)


def _bytes(runs: Sequence[Result] | Result) -> list[bytes]:
    pieces = [runs] if isinstance(runs, Result) else list(runs)
    names = ("table", "weights", "beliefs", "events")
    return [np.concatenate([getattr(run.arrays, name) for run in pieces]).tobytes() for name in names]


def check_machine(machine: Machine, history: History, cuts: Sequence[int] = ()) -> None:
    """Check the laws on one history: scan = replay = resumed = plain Python, and the future changes nothing past.

    Raises `AssertionError` naming the law that is broken.
    """
    whole = scan(machine, history)
    assert same(whole, replay(machine, history)), "scan and replay differ"
    assert same(whole, interpreted(machine, history)), "compiled and plain Python differ"
    first = whole.first
    for cut in cuts or (first + 1, (first + len(history)) // 2, len(history) - 2):
        begun = scan(machine, history.head(cut))
        resumed = scan(machine, history, world=begun.world)
        assert same(whole, [begun, resumed]), f"resuming at bar {cut} changed the run"
        for other in (scan(machine, history.head(cut + 1)), scan(machine, perturbed(history, cut, seed=cut))):
            moved = {k: v for k, v in largest_changes(whole, other, cut).items() if v > 0.0}
            assert not moved, f"the future after bar {cut} changed {moved}"


@kernel
def _idle(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, Target(0.0)


def check_feature(feature: Feature, history: History | None = None) -> None:
    """Check a feature: causal, resumable, the same compiled and plain. Raises `AssertionError`."""
    machine = Machine(features=[feature], filter=coin(), strategy=strategy(_idle))
    check_machine(machine, history if history is not None else some_bars())


def check_filter(filter: Filter, features: Sequence[Feature] = (), history: History | None = None) -> None:
    """Check a filter: the laws, probabilities that are at least 0 and sum to one, also when bars are missing."""
    machine = Machine(features=list(features), filter=filter, strategy=strategy(_idle))
    history = history if history is not None else some_bars()
    check_machine(machine, history)
    probs = scan(machine, history).filtered.probs
    assert np.all(probs >= 0.0), "a probability is negative or not a number"
    assert np.allclose(probs.sum(axis=1), 1.0, rtol=0.0, atol=1e-12), "probabilities do not sum to one"


def check_strategy(tested: Strategy, history: History | None = None, leverage: float = 10.0) -> None:
    """Check a strategy against a filter of two regimes: the laws, and that it always answers with a weight."""
    machine = Machine(filter=coin(), strategy=tested, terms=Terms(leverage=leverage, maintenance=0.0))
    check_machine(machine, history if history is not None else some_bars())
