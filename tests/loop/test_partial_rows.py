"""Rows that lack a cell: training rows to models that learn from them, and no rows to any other, in every loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.audit.lags import run_late
from barograph.data.history import History
from barograph.errors import ConfigError
from barograph.features import level, log_return, sma
from barograph.loop.fit import Fit
from barograph.loop.machine import Machine
from barograph.loop.run import learn, replay, scan
from barograph.regimes.fitted import Model
from barograph.regimes.window import training_rows
from barograph.testing import interpreted, same, some_bars
from barograph_adapters.sample import sp500
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_models.kmeans import kmeans
from barograph_models.student_hmm import student_hmm
from barograph_strategies.regime_filter import regime_filter

PARTIAL = {"gaussian_hmm": gaussian_hmm(states=2, starts=2), "student_hmm": student_hmm()}
WHOLE = {"kmeans": kmeans(states=2, starts=2), "mixture": gaussian_mixture(states=2, starts=2),
         "full": gaussian_hmm(states=2, covariance="full", starts=2)}  # fmt: skip


def slow_bars(every: int = 15) -> History:
    """A daily asset and a slow one that is only looked at; its first figure comes late."""
    bars = some_bars(300, assets=2, missing=0.02, seed=3)
    gone = (np.arange(300) % every != every - 1)[:, None] & [False, True]
    columns = {name: np.where(gone, np.nan, getattr(bars, name)) for name in ("open", "high", "low", "close", "volume")}
    return History.from_arrays(bars.ts, symbols=["A", "SLOW"], calendar="24/7", **columns).observe("SLOW")


BARS = slow_bars()


def machine(model: Model, **schedule: Any) -> Machine:
    features = [log_return(), level("SLOW")]
    plan = Fit(**({"window": 60, "every": 30} | schedule))
    return Machine(strategy=regime_filter(), features=features, model=model, fit=plan)


def features_of_run() -> Any:
    return scan(machine(PARTIAL["gaussian_hmm"]), BARS).arrays.features


@pytest.mark.parametrize("name", PARTIAL)
def test_rows_between_the_figures_of_a_slow_series_count(name: str) -> None:
    run = scan(machine(PARTIAL[name]), BARS)
    X = features_of_run()
    usable = training_rows(X, partial_rows=True)
    # From the first figure on every day that has a return: whole rows would be one in fifteen.
    assert usable[0] == 14
    assert run.first == usable[59] + 1 < 80
    assert len(training_rows(X, partial_rows=False)) < 21
    first = run.fits[0]
    there = np.isfinite(X[first.first : first.last]).any(axis=1)
    assert first.fitted.observations == there.sum() > 55


@pytest.mark.parametrize("name", PARTIAL)
def test_every_loop_and_every_cut_agrees_on_them(name: str) -> None:
    of = machine(PARTIAL[name])
    whole = scan(of, BARS)
    assert len(whole.fits) > 6
    assert not any(fit.refused for fit in whole.fits)
    assert same(whole, replay(of, BARS))
    assert same(whole, interpreted(of, BARS))
    begun = scan(of, BARS.head(200))
    assert begun.arrays.beliefs.tobytes() == whole.arrays.beliefs[: len(begun.arrays.beliefs)].tobytes()
    assert same(whole, [begun, scan(of, BARS, world=begun.world)])
    # The audit's late decisions are those of the same first bar.
    assert run_late(whole, 1).first == whole.first


@pytest.mark.parametrize("name", WHOLE)
def test_other_models_are_counted_whole_rows_alone(name: str) -> None:
    assert not WHOLE[name].partial_rows
    with pytest.raises(ConfigError, match="the history has 20 in 300 bars"):
        scan(machine(WHOLE[name]), BARS)
    run = scan(machine(WHOLE[name], window=10, expanding=True), BARS)
    X = features_of_run()
    assert run.first == training_rows(X, partial_rows=False)[9] + 1
    assert run.fits[0].fitted.observations == 10


def test_a_feature_that_warms_up_is_waited_for_by_all() -> None:
    features, bars = [log_return(), sma(25)], some_bars(200, seed=5, missing=0.0)
    starts = {
        name: scan(Machine(strategy=regime_filter(), features=features, model=m, fit=Fit(window=50)), bars).first
        for name, m in (PARTIAL | WHOLE).items()
    }
    assert set(starts.values()) == {24 + 50}


def test_a_figure_a_month_leaves_nearly_every_row_usable_as_it_is() -> None:
    daily = sp500()
    ends = pd.date_range("1999-01-31 21:00", "2018-12-31 21:00", freq="ME", tz="UTC").as_unit("ns").asi8
    monthly = History.from_arrays(ends, 5.0 + np.arange(len(ends)) % 9, symbols=["UNRATE"]).observe("UNRATE")
    bars, features = daily.join(monthly, rows="mine"), [log_return(), level("UNRATE")]
    for model, wanted in ((gaussian_hmm(states=2, starts=1), 5012), (student_hmm(), 5012), (kmeans(states=2), 240)):
        plan = Fit(window=len(bars), every="never")
        fitted = learn(Machine(strategy=regime_filter(), features=features, model=model, fit=plan), bars)
        # The window begins with the history: days before the first figure have a return, and are learned from too.
        assert fitted.observations == wanted + 18 * model.partial_rows
        assert fitted.converged


def test_learn_counts_as_the_loop_does() -> None:
    for model, wanted in ((kmeans(states=2), 2), (PARTIAL["gaussian_hmm"], 16)):
        with pytest.raises(ConfigError, match=f"fit.window wants 60 bars, the history has {wanted} with features"):
            learn(machine(model), BARS.head(30))
