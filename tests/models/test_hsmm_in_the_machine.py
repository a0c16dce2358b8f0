"""The semi-Markov model where it is used: audited, believed about each asset, and watched on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.audit.lookahead import audit
from barograph.config.paper import WatchPlan
from barograph.loop.fit import Fit
from barograph.loop.machine import Machine, strategy
from barograph.loop.run import replay, scan
from barograph.paper.alerts.watch import begin, watch
from barograph.paper.ports import About
from barograph.testing import same, some_bars
from barograph.types import Entering, Step
from barograph_models.gaussian_hsmm import gaussian_hsmm
from barograph_strategies.var_target import var_target

BARS = some_bars(200, missing=0.03, seed=4)
DAY = 86_400_000_000_000


def machine(rule: Any = None) -> Machine:
    made = gaussian_hsmm(starts=2, longest=20, jobs=1)
    return Machine(strategy=rule or var_target(), model=made, fit=Fit(window=60, every=30))


def test_the_audit_finds_no_future_in_it_whatever_the_rule_reads() -> None:
    found = audit(machine(), BARS, cuts=2)
    assert found.clean
    # Forecasts come from ages, and hindsight has none.
    assert set(found.sharpe) == {"filtered"}


def test_an_alert_of_a_danger_tells_what_the_fit_tells_from_the_ages() -> None:
    random = np.random.default_rng(0)
    X = random.standard_normal((600, 1)) * np.tile(np.repeat([[0.005], [0.02]], 50, axis=0), (6, 1))
    fitted = gaussian_hsmm(starts=2, longest=100).fit(X).named(("log_return",))
    plan = WatchPlan(danger=[1], early_warning=0.2, horizon=5, dwell=1, drawdown=[], var=None, weekly_summary=False)
    state, found = begin(plan), []
    said = fitted.forecast_path(X, Entering(5, (1,)))[:, 1]
    path = fitted.filter_path(X).probs
    for t in range(505, 550):
        table, row = np.array([1e6, 1e6, 0.0, 0.0, 0.0, 0.0]), np.array([*path[t], 0.0])
        close = Step(t, t * DAY, table, np.zeros(1), row, np.empty((0, 10)), np.zeros((2, 1)))
        about = About("demo", ("SPY",), fitted, 252.0, "XNYS", state=fitted.state_after(X[: t + 1]))
        state, alerts, _ = watch(plan, state, close, about)
        found += [(t, one) for one in alerts if one.kind == "early_warning"]
    ((bar, told),) = found
    # The first close, of a calm that is nearly as old as all calms were, at which it was so likely.
    assert bar == 505 + int(np.argmax(said[505:] > 0.2)) > 530
    assert told.facts["leaving"] == said[bar]
    assert path[bar, 0] > 0.9


@pytest.mark.long
def test_every_asset_has_ages_of_its_own() -> None:
    history = some_bars(200, assets=3, seed=2)
    fitted = gaussian_hsmm(starts=2, longest=20).fit(np.diff(np.log(history.close[:, 0]))[:, None])
    of = Machine(strategy=var_target(), filter=fitted.filter(), each=True, features=[bg.features.log_return()])
    assert same(scan(of, history), replay(of, history))


def test_a_rule_of_its_own_reads_ages_in_every_loop() -> None:
    @bg.kernel
    def careful(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        p = belief.forecasts[0].probs[1]
        return state, bg.Target(1.0 - p if p == p else 0.0)

    of = machine(strategy(careful, horizons=(Entering(3, (1,)),)))
    whole = scan(of, BARS)
    begun = scan(of, BARS.head(150))
    assert same(whole, [begun, scan(of, BARS, world=begun.world)])
