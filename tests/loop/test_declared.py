"""Features that a strategy declares: seen in order, at every bar, by every loop, and by no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.audit.holdings import held
from barograph.features import close, log_return, sma, total_return, zscore
from barograph.features.combine import coarse
from barograph.loop.live import Live
from barograph.loop.run import replay, scan
from barograph.testing import check_machine, check_strategy, coin, same, some_bars
from barograph_models.gaussian_hmm import gaussian_hmm


@bg.kernel
def _cross(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    fast, slow = belief.features[0], belief.features[1]
    return state, bg.Target(0.0 if np.isnan(slow) else 1.0 if fast > slow else 0.3 * belief.probs[0])


def _cross_in_python(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return _cross(state, bars, belief, portfolio, params)


def cross(fast: int = 3, slow: int = 8, step: Any = _cross, **how: Any) -> bg.Strategy:
    return bg.strategy(step, features=(sma(fast), sma(slow)), name="cross", **how)


@pytest.mark.parametrize("step", [_cross, _cross_in_python])
def test_the_laws_hold_for_what_it_declares(step: Any) -> None:
    check_strategy(cross(step=step))


def test_two_assets_with_actions() -> None:
    of = bg.strategy(_cross, features=(sma(3, close(asset="A1")), coarse(sma(2), "week")))
    check_strategy(of, some_bars(90, assets=2, actions=True))


def test_they_are_the_machines_own_numbers() -> None:
    """A cross of the model's features is the same rule: declared ones are those, to the bit, bar by bar."""

    @bg.kernel
    def told(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        state[params[0], :] = belief.features
        return state, bg.Target(0.0)

    bars, declared = some_bars(40), (log_return(), zscore(5), sma(4), total_return(3))
    # One bar is remembered by each run: the last it has seen.
    seen = scan(bg.Machine(strategy=cross(), features=declared, filter=coin()), bars).arrays.features
    for last in (1, 17, 40):
        own = bg.strategy(told, (0,), lambda _: np.zeros((1, 4)), features=declared)
        state = scan(bg.Machine(strategy=own), bars.head(last)).world.strategy
        assert np.array_equal(state[0], seen[last - 1], equal_nan=True)


def test_no_model_learns_from_them() -> None:
    model = gaussian_hmm(states=2, starts=1)
    how: dict[str, Any] = {"model": model, "fit": bg.Fit(window=60, every=20)}
    bars = some_bars(160)
    check_machine(bg.Machine(strategy=cross(), **how), bars, cuts=(90,))
    with_them, without = (scan(bg.Machine(strategy=of, **how), bars) for of in (cross(), bg.strategy(_half)))
    assert np.array_equal(with_them.arrays.beliefs, without.arrays.beliefs)
    assert with_them.arrays.features.shape == without.arrays.features.shape == (160, 1)
    assert with_them.fits[-1].fitted.features == ("log_return",)


@bg.kernel
def _half(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(0.5)


@pytest.mark.parametrize("step", [_cross, _cross_in_python])
def test_a_rule_for_one_asset_sees_its_own_assets(step: Any) -> None:
    three, rule = some_bars(100, assets=3), cross(step=step, reads="own")
    machine = bg.Machine(strategy=rule, filter=coin(), each=True)
    check_machine(machine, three, cuts=(50,))
    whole = scan(machine, three).arrays.weights
    one = scan(bg.Machine(strategy=rule, filter=coin(), each=True), three.only("A1")).arrays.weights
    # The others' shares move this one's by what is in cash; where it is out it is out.
    assert np.array_equal(whole[:, 1] == 0.0, one[:, 0] == 0.0)


def test_live_goes_on_with_them() -> None:
    bars = some_bars(50)
    machine = bg.Machine(strategy=cross(), filter=coin())
    live = Live(machine, bars.head(1), start=0)
    equity = [float(live.step().equity[0])]
    for t in range(1, 50):
        live.append(bars.slice(t, t + 1))
        equity.append(float(live.step().equity[0]))
    assert equity == replay(machine, bars).arrays.equity.tolist()
    assert same(scan(machine, bars), replay(machine, bars))


def test_the_audit_looks_into_them() -> None:
    found = held(bg.Machine(strategy=cross()), assets=1)
    assert "feature sma(3)" in found.codes


def test_one_that_fails_is_named() -> None:
    def broken(state: Any, bars: Any, params: Any) -> Any:
        if bars.ts > 20 * 86_400_000_000_000:
            raise ValueError("no")
        return state, 0.0

    feature = bg.Feature(lambda _: (), broken, (), "broken")
    with pytest.raises(bg.PartError, match="feature broken raised ValueError at the close of"):
        scan(bg.Machine(strategy=bg.strategy(_half, features=(feature,))), some_bars(60))
