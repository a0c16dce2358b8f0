"""A refit that fails stops nothing; one that is asked for, or turned down, is an event; and all loops agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import FitError, PartError
from barograph.loop.fit import Close, Fit
from barograph.loop.live import Live
from barograph.loop.machine import Machine
from barograph.loop.run import learn, replay, scan
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import COVARIATE, Window
from barograph.testing import interpreted, same, some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.regime_filter import regime_filter

BARS = some_bars(240, missing=0.02, seed=3)
HMM = gaussian_hmm(states=2, starts=2)


def machine(model: Model = HMM, **schedule: Any) -> Machine:
    return Machine(strategy=regime_filter(), model=model, fit=Fit(**({"window": 60, "every": 20} | schedule)))


def failing(times: set[int], error: Exception | None = None) -> Model:
    """A model that cannot be fitted the second, third ... time that it is asked."""
    asked: list[int] = []

    def fit(window: Window) -> Fitted:
        # The same question has the same answer: what a run asks is counted by its rows.
        n = int((window.ts[-1] - BARS.ts[0]) // (20 * 86_400_000_000_000))
        asked.append(n)
        if window.previous is not None and n in times:
            raise error or FitError("a regime died")
        return HMM.learn(window)

    return Model(fit, 2, "failing")


def refused(run: Any) -> list[str]:
    return [fit.refused for fit in run.fits]


ALL = set(range(100))


@pytest.mark.parametrize("error", [None, ValueError("no such thing"), ZeroDivisionError("of nothing")])
def test_a_refit_that_fails_leaves_the_model_in_force(error: Exception | None) -> None:
    run = scan(machine(failing(ALL, error)), BARS)
    assert len(run.fits) == 9
    assert run.fits[0].refused == ""
    told = "a regime died" if error is None else f"failing raised {type(error).__name__}"
    assert all(told in why for why in refused(run)[1:])
    assert {fit.fitted.digest for fit in run.fits} == {run.fits[0].fitted.digest}
    # What is in force is the first fit, filtered on: the very run of a model that is fitted once.
    once = scan(machine(every="never"), BARS)
    assert np.array_equal(run.arrays.beliefs, once.arrays.beliefs, equal_nan=True)
    assert run.arrays.table.tobytes() == once.arrays.table.tobytes()


def test_every_loop_keeps_the_same_models() -> None:
    of = machine(failing({5, 7, 8}))
    whole = scan(of, BARS)
    assert 0 < sum(why != "" for why in refused(whole)) < len(whole.fits)
    for other in (replay(of, BARS), interpreted(of, BARS)):
        assert same(whole, other)
        assert refused(other) == refused(whole)
    begun = scan(of, BARS.head(150))
    rest = scan(of, BARS, world=begun.world)
    assert same(whole, [begun, rest])
    assert refused(begun) + refused(rest) == refused(whole)


def test_a_first_fit_that_fails_and_one_that_must_not_stop_the_run() -> None:
    def never(window: Window) -> Fitted:
        raise FitError("nothing to learn")

    with pytest.raises(FitError, match=r"fit at the close of .*: nothing to learn"):
        scan(machine(Model(never, 2, "never")), BARS)
    with pytest.raises(FitError, match="a regime died"):
        scan(machine(failing(ALL), failed="stop"), BARS)


def test_a_refit_of_another_shape_is_one_that_fails() -> None:
    def fit(window: Window) -> Fitted:
        return (HMM if window.previous is None else gaussian_hmm(states=3, starts=2)).learn(window)

    run = scan(machine(Model(fit, 2, "grows")), BARS)
    assert all("changed the shape" in why or "3 regimes cannot be matched" in why for why in refused(run)[1:])


def test_a_refit_that_cannot_be_filtered_with_is_one_that_fails() -> None:
    def broken(state: object, x: object, params: object) -> object:
        raise ValueError("no such regime")

    def fit(window: Window) -> Fitted:
        fitted = HMM.learn(window)
        return fitted if window.previous is None else replace(fitted, family=fitted.family._replace(step=broken))

    run = scan(machine(Model(fit, 2, "broken")), BARS)
    assert all("step failed with ValueError: no such regime" in why for why in refused(run)[1:])
    assert len(run.fits) == 9


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_no_numbers_are_a_refit_that_fails(number: float) -> None:
    def fit(window: Window) -> Fitted:
        fitted = HMM.learn(window)
        means = fitted.params.means.copy()
        means[1, 0] = number
        spoilt = replace(fitted, params=fitted.params._replace(means=means))
        return fitted if window.previous is None else spoilt

    run, once = scan(machine(Model(fit, 2, "spoilt")), BARS), scan(machine(every="never"), BARS)
    told = rf"spoilt: the fit's means is {number} at [1, 0] (1 of 2); mend the model, or name means in its family's"
    assert len(run.fits) == 9
    assert all(told in why and "\n" not in why for why in refused(run)[1:])
    assert run.arrays.table.tobytes() == once.arrays.table.tobytes()
    with pytest.raises(FitError, match="the fit's means is"):
        scan(machine(Model(fit, 2, "spoilt"), failed="stop"), BARS)


def test_an_array_may_hold_blanks_where_its_family_says_so() -> None:
    def fit(window: Window) -> Fitted:
        fitted = HMM.learn(window)
        family = fitted.family._replace(blanks=("covariances",))
        return replace(fitted, family=family, params=fitted.params._replace(covariances=np.full((2, 1), np.nan)))

    assert Model(fit, 2, "blank").fit(BARS.close[:, :1] % 1.0).family.blanks == ("covariances",)


def test_a_check_turns_a_refit_down() -> None:
    seen: list[Window] = []

    def steady(fitted: Fitted, window: Window) -> str:
        seen.append(window)
        return "" if len(seen) % 2 else "not steady enough"

    run = scan(machine(check=steady), BARS)
    assert refused(run)[:3] == ["", "", "turned down: not steady enough"]
    assert all(window.previous is not None and window.state is not None for window in seen)


def surprised(close: Close) -> bool:
    """Ask for a fit ten bars after the last one at the earliest, when a bar was unlikely."""
    return close.since_fit >= 10 and close.logpdf < 1.5


def test_a_trigger_asks_for_fits_beside_the_schedule() -> None:
    of = machine(every=50, trigger=surprised)
    whole = scan(of, BARS)
    asked = [fit.asked for fit in whole.fits]
    assert {"schedule", "trigger"} == set(asked)
    assert same(whole, replay(of, BARS))
    assert same(whole, interpreted(of, BARS))
    for cut in (100, 137, 201):
        begun = scan(of, BARS.head(cut))
        rest = scan(of, BARS, world=begun.world)
        assert same(whole, [begun, rest])
        assert [fit.asked for fit in (*begun.fits, *rest.fits)] == asked
    live, first = Live(of, BARS.head(whole.first + 1), whole.first), whole.first
    steps = [live.step()]
    for t in range(first + 1, len(BARS)):
        live.append(BARS.slice(t, t + 1))
        steps.append(live.step())
    assert np.array_equal(np.array([step.belief for step in steps]), whole.arrays.beliefs, equal_nan=True)


def test_what_a_model_is_given_at_a_decision() -> None:
    seen: list[Window] = []

    def fit(window: Window) -> Fitted:
        seen.append(window)
        return HMM.learn(window)

    run = scan(machine(Model(fit, 2, "watched")), BARS)
    first, second = seen[:2]
    assert (first.previous, first.state) == (None, None)
    assert second.previous is not None
    assert second.previous.digest == run.fits[0].fitted.digest
    assert second.names == ("log_return",)
    assert second.roles == ("return",)
    assert second.symbols == ("A0",)
    assert second.ts.tolist() == BARS.ts[run.fits[1].first : run.fits[1].last].tolist()
    # The state is the filter's at the decision.
    assert second.state.probs.tolist() == run.arrays.beliefs[run.fits[1].bar - run.first, :-1].tolist()
    with pytest.raises(ValueError, match="read-only"):
        second.previous.params.transition[:] = 0.0


def test_a_model_refuses_a_covariate_by_name() -> None:
    vix = bg.Feature(*_level(), "vix", COVARIATE)
    of = replace(machine(), features=(_level_feature(), vix))
    with pytest.raises(FitError, match="vix is told to be a covariate or a target, and this model has neither"):
        scan(of, BARS)


def _level_feature() -> bg.Feature:
    from barograph.features import log_return

    return log_return()


def _level() -> tuple[Any, Any, Any]:
    from barograph.features import close

    of = close()
    return of.init, of.step, of.params


def test_learn_fits_at_the_last_close() -> None:
    of = machine(every="never")
    cut = scan(of, BARS).first
    assert learn(of, BARS.head(cut)).digest == scan(of, BARS).fits[0].fitted.digest
    with pytest.raises(bg.ConfigError, match="no model that learns"):
        learn(Machine(strategy=regime_filter()), BARS)
    with pytest.raises(bg.ConfigError, match="wants 60 bars"):
        learn(of, BARS.head(30))


def test_a_fit_that_is_saved_runs_on_without_learning(tmp_path: Any) -> None:
    from barograph.regimes import saved

    fitted = learn(machine(), BARS.head(100))
    fitted.save(tmp_path / "model.npz")
    run = scan(Machine(strategy=regime_filter(), model=saved(tmp_path / "model.npz"), start=100), BARS)
    state = fitted.state_after(run.arrays.features[:100])
    assert run.fits == ()
    assert run.arrays.beliefs[:, :-1].tobytes() == fitted.filter_path(run.arrays.features).probs[100:].tobytes()
    assert state is not None


def test_names_are_never_renumbered() -> None:
    def fit(window: Window) -> Fitted:
        fitted = HMM.learn(window)
        order = [1, 0] if len(window.rows) % 2 else [0, 1]
        return replace(fitted.reordered(order), labels=("first", "second"))

    run = scan(machine(Model(fit, 2, "named", ("first", "second"))), BARS)
    assert all(fit.match.permutation == (0, 1) and fit.match.convincing for fit in run.fits[1:] if fit.match)
    with pytest.raises(PartError, match="the regimes of gaussian_hmm have names: first, second"):
        run.fits[0].fitted.reordered([1, 0])
