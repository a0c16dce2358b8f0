"""A strategy reads forecasts at the bar: the same in every loop, the model's own, and nothing for whoever asks none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import PartError
from barograph.loop.fit import Fit
from barograph.loop.live import Live
from barograph.loop.machine import Machine, strategy
from barograph.loop.run import replay, scan
from barograph.regimes.filtering import filter_rows
from barograph.regimes.mixture import mixture_value_at_risk
from barograph.testing import check_machine, coin, interpreted, same, some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.kmeans import kmeans
from barograph_strategies.protected import protected
from barograph_strategies.var_target import var_target
from tests.plugins.semi_markov import semi_markov
from tests.plugins.student_draws import student_draws

BARS = some_bars(200, missing=0.03, seed=4)
HAZARD = np.array([np.linspace(0.01, 0.05, 6), np.linspace(0.3, 0.05, 6)])


@bg.kernel
def _by_forecast(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    near, far = belief.forecasts[0], belief.forecasts[1]
    weight = 0.0
    if near.probs[0] == near.probs[0]:
        weight = near.probs[0] - 0.5 * far.probs[1] + (1.0 if near.horizon == 1 and far.horizon == 3 else 100.0)
        for m in range(far.weights.size):
            weight += far.weights[m] * far.mean[m]
    return state, bg.Target(min(max(weight, 0.0), 2.0))


def by_forecast(plain: bool = False) -> Any:
    step = _by_forecast.py_func if plain else _by_forecast
    return strategy(step, name="by_forecast", horizons=(1, 3))


def machine(model: Any = None, rule: Any = None, **settings: Any) -> Machine:
    made = gaussian_hmm(states=2, starts=2) if model is None else model
    return Machine(
        strategy=rule or by_forecast(),
        model=made,
        fit=Fit(window=60, every=30),
        terms=bg.Terms(leverage=10.0, maintenance=0.0),
        **settings,
    )


MODELS = {
    "a chain": lambda: gaussian_hmm(states=2, starts=2),
    "three regimes": lambda: gaussian_hmm(states=3, starts=2),
    "counted moves": lambda: kmeans(states=2, starts=2),
    "its own forecast": lambda: semi_markov(HAZARD),
}


@pytest.mark.parametrize("name", MODELS)
def test_forecasts_are_the_same_in_every_loop(name: str) -> None:
    of = machine(MODELS[name]())
    whole = scan(of, BARS)
    for other in (
        replay(of, BARS),
        interpreted(of, BARS),
        scan(machine(MODELS[name](), by_forecast(plain=True)), BARS),
    ):
        assert same(whole, other)
        assert whole.arrays.ahead.tobytes() == other.arrays.ahead.tobytes()
    begun = scan(of, BARS.head(120))
    rest = scan(of, BARS, world=begun.world)
    assert same(whole, [begun, rest])
    assert np.vstack([begun.arrays.ahead, rest.arrays.ahead]).tobytes() == whole.arrays.ahead.tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_recorded_is_what_the_fit_in_force_predicts(name: str) -> None:
    run = scan(machine(MODELS[name]()), BARS)
    fit = run.fits[1]
    for bar in (fit.bar + 1, fit.bar + 9):
        state = filter_rows(fit.fitted.filter(), run.arrays.features[fit.first : bar + 1])[0]
        for found in run.forecasts(bar):
            wanted = fit.fitted.predict(state, found.horizon)
            assert found.horizon == wanted.horizon
            for a, b in zip(found[1:], wanted[1:], strict=True):
                np.testing.assert_array_equal(a, b)


def test_the_live_loop_reads_and_tells_them_too() -> None:
    of = machine()
    whole = scan(of, BARS)
    live = Live(of, BARS.head(whole.first + 1), whole.first)
    told = [live.step().forecasts]
    for t in range(whole.first + 1, len(BARS)):
        live.append(BARS.slice(t, t + 1))
        told.append(live.step().forecasts)
    assert np.array(told).tobytes() == whole.arrays.ahead.tobytes()


def test_a_strategy_that_declares_no_horizon_pays_nothing() -> None:
    @bg.kernel
    def half(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        return state, bg.Target(0.5)

    run = scan(machine(rule=strategy(half)), BARS)
    assert run.arrays.ahead.shape == (len(run.arrays.equity), 0)
    assert run.forecasts(run.first) == ()


def test_forecasts_obey_the_laws_of_machines() -> None:
    check_machine(machine(), BARS)
    check_machine(machine(rule=protected(var_target(horizon=3), stop=0.05)), BARS)
    check_machine(Machine(filter=coin(), strategy=by_forecast(), terms=bg.Terms(leverage=10.0, maintenance=0.0)), BARS)


def test_what_is_lent_cannot_be_written() -> None:
    def greedy(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        belief.forecasts[0].weights[0] = 1.0
        return state, bg.Target(0.5)

    with pytest.raises(PartError, match="read-only"):
        scan(machine(rule=strategy(greedy, horizons=(1,))), BARS)


@pytest.mark.parametrize("horizon", [0, -1, 2.5, True])
def test_a_horizon_is_a_number_of_bars(horizon: Any) -> None:
    with pytest.raises(PartError, match="whole numbers of bars, at least 1"):
        scan(machine(rule=strategy(_by_forecast, horizons=(1, horizon))), BARS)


def test_a_filter_without_forecasts_is_refused_by_name() -> None:
    blind = coin()._replace(forecast=None)
    with pytest.raises(PartError, match="strategy by_forecast reads forecasts, and filter coin has none"):
        scan(Machine(filter=blind, strategy=by_forecast()), BARS)


def test_a_student_regime_gets_its_own_value_at_risk() -> None:
    """A t model must not get a normal's value at risk: fat tails at one in a thousand cost weight."""
    run = scan(machine(student_draws(), var_target(level=0.001, budget=0.05, cap=9.0)), BARS)
    found = run.forecasts(len(BARS) - 1)[0]
    assert np.isfinite(found.degrees_of_freedom).all()
    own = mixture_value_at_risk(0.001, *found[1:5])
    normal = mixture_value_at_risk(0.001, *found[1:4], np.full_like(found.mean, np.inf))
    assert own > 1.1 * normal
