"""A machine bound to a history: every part is tried on one made-up bar, with what it will see."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import barograph as bg
from barograph.errors import PartError
from barograph.testing import coin, some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from tests.kit.machines import learnable

LEARNS: dict[str, Any] = {"model": gaussian_hmm(states=2, starts=2), "fit": bg.Fit(window=100)}


def by_the_last_regime(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(belief.probs[1])


def certain_of_the_first(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    belief.probs[0] = 1.0
    return state, bg.Target(belief.probs[0])


@pytest.mark.parametrize("mark", [bg.kernel, lambda step: step], ids=["kernel", "python"])
def test_a_strategy_may_look_at_any_regime_before_the_first_fit(mark: Any) -> None:
    run = bg.scan(bg.Machine(strategy=bg.strategy(mark(by_the_last_regime)), **LEARNS), learnable(bars=160))
    assert run.arrays.beliefs.shape[1] == 3
    assert np.isfinite(run.arrays.equity).all()


@pytest.mark.parametrize("regimes", [2, 3, 5])
def test_the_trial_bar_has_as_many_regimes_as_the_model(regimes: int) -> None:
    seen = []

    def looks(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        seen.append(np.array(belief.probs))
        return state, bg.Target(0.5)

    machine = bg.Machine(
        strategy=bg.strategy(looks), model=gaussian_hmm(states=regimes, starts=2), fit=bg.Fit(window=150)
    )
    bg.scan(machine, learnable(bars=170))
    assert seen[0].tolist() == [1.0 / regimes] * regimes
    assert {probs.shape for probs in seen} == {(regimes,)}


@pytest.mark.parametrize("more", [LEARNS, {"filter": coin()}], ids=["learns", "filter"])
@pytest.mark.parametrize("mark", [bg.kernel, lambda step: step], ids=["kernel", "python"])
def test_a_belief_is_for_reading_only(mark: Any, more: dict[str, Any]) -> None:
    plan = bg.strategy(mark(certain_of_the_first))
    with pytest.raises(PartError, match=r"strategy certain_of_the_first: step failed with ValueError: .* read-only"):
        bg.scan(bg.Machine(strategy=plan, **more), learnable(bars=160))


class Held(NamedTuple):
    probs: Any


def begin(params: Any) -> Held:
    return Held(np.full(2, 0.5))


@bg.kernel
def forgets(state: Any, x: Any, params: Any) -> Any:
    state.probs[0] = 0.5
    return Held(state.probs), bg.Belief(state.probs, 0.0)


def test_a_filter_that_forgets_frozen_is_told_so_in_one_line() -> None:
    machine = bg.Machine(filter=bg.Filter(begin, forgets, (), 2, "mine"), strategy=bg.strategy(by_the_last_regime))
    with pytest.raises(PartError) as told:
        bg.scan(machine, some_bars(30, assets=1))
    assert str(told.value) == (
        "filter mine: the probabilities of its Belief can be written to; lend them for reading only, as in "
        "bg.Belief(bg.frozen(probs), logpdf)"
    )


def test_a_filter_in_python_may_hand_out_an_array_of_its_own() -> None:
    def step(state: Any, x: Any, params: Any) -> Any:
        return state + 1, bg.Belief(np.array([0.25, 0.75]), 0.0)

    machine = bg.Machine(filter=bg.Filter(lambda _: 0, step, (), 2, "mine"), strategy=bg.strategy(by_the_last_regime))
    assert (bg.scan(machine, some_bars(30, assets=1)).arrays.beliefs[:, 1] == 0.75).all()
