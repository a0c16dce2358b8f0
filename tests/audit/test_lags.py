"""Decisions that come late: what is late is the decision, and nothing else; and what stands out."""

from __future__ import annotations

import math

import numpy as np
import pytest

import barograph as bg
from barograph import orders
from barograph.audit.lags import LAGS, fresh_assets, lag_curve, run_late, stands_out
from barograph.loop.run import scan
from barograph.testing import same, some_bars
from tests.kit.machines import learnable, machines

DAY = 86_400_000_000_000


@pytest.fixture(autouse=True)
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Python has the same bits, and starts at once."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)


def decided(run: bg.Result) -> list[tuple[int, float]]:
    """Return the bars of the fills and their quantities."""
    fills = run.tables["fills"]
    bars = np.searchsorted(run.history.ts, fills.ts.astype(np.int64) * 1000)
    return list(zip(bars.tolist(), fills.quantity, strict=True))


@bg.kernel
def _count(params):
    return 0


@bg.kernel
def _flip(state, bars, belief, portfolio, params):
    """In for seven bars, out for seven."""
    return state + 1, bg.Target(0.5 if state // 7 % 2 == 0 else 0.0)


@bg.kernel
def _stopped(state, bars, belief, portfolio, params):
    p = bars.close[0]
    return state + 1, bg.Protected(0.5 if state // 7 % 2 == 0 else 0.0, 0.5 * p, 2.0 * p, math.nan)


@bg.kernel
def _asked(state, bars, belief, portfolio, params):
    slip = orders.slip(2)
    if state % 7 == 0:
        orders.market(slip, 0, 3.0 if state // 7 % 2 == 0 else -3.0)
    return state + 1, slip


@pytest.mark.parametrize("rule", [_flip, _stopped, _asked], ids=["targets", "protected", "orders"])
@pytest.mark.parametrize("lag", [1, 2, 5])
def test_every_fill_comes_so_many_bars_later(rule: object, lag: int) -> None:
    close = np.full(60, 100.0)
    history = bg.History.from_arrays(np.arange(1, 61) * DAY, close, close, close, close)
    whole = scan(bg.Machine(strategy=bg.strategy(rule, init=_count)), history)
    late = run_late(whole, lag)
    assert len(decided(whole)) > 5
    wanted = [bar + lag for bar, _ in decided(whole)]
    assert [bar for bar, _ in decided(late)] == [bar for bar in wanted if bar < 60]


def test_late_decisions_are_the_same_compiled_and_in_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    history = some_bars(assets=2)
    plain = run_late(scan(bg.Machine(strategy=bg.strategy(_flip, init=_count)), history), 2)
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 0)
    compiled = run_late(scan(bg.Machine(strategy=bg.strategy(_flip, init=_count)), history), 2)
    assert len(decided(plain)) > 5
    assert same(plain, compiled)


def test_the_curve_begins_with_the_run_itself_and_fits_are_not_made_again() -> None:
    whole = scan(machines()["learns"], learnable())
    curve = lag_curve(whole)
    assert tuple(curve) == LAGS
    assert curve[0] == pytest.approx(whole.metrics["sharpe"])
    late = run_late(whole, 2)
    assert [fit.bar for fit in late.fits] == [fit.bar for fit in whole.fits]
    assert late.arrays.beliefs.tobytes() == whole.arrays.beliefs.tobytes()


def test_a_ruin_that_only_comes_late_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scan(bg.Machine(strategy=bg.strategy(_flip, init=_count)), some_bars(missing=0.0))
    monkeypatch.setattr("barograph.audit.lags.scan", lambda *_: (_ for _ in ()).throw(bg.StrategyError("ruined")))
    curve = lag_curve(whole)
    assert math.isfinite(curve[0])
    assert all(math.isnan(curve[lag]) for lag in LAGS[1:])


CASES = [
    ({0: 2.0, 1: 1.0, 2: 1.5, 5: 1.9}, 4.0, True),
    ({0: 1.9, 1: 0.1, 2: 0.1, 5: 0.1}, 20.0, False),
    ({0: 3.0, 1: 0.1, 2: 0.1, 5: 0.1}, 1.0, False),
    ({0: 5.0, 1: 4.0, 2: 3.0, 5: 2.6}, 9.0, False),
    ({0: 5.0, 1: math.nan, 2: math.nan, 5: math.nan}, 9.0, False),
    ({0: math.nan, 1: 1.0, 2: 1.0, 5: 1.0}, 9.0, False),
]


@pytest.mark.parametrize(("curve", "years", "told"), CASES)
def test_what_is_high_sure_and_soon_gone_stands_out(curve: dict[int, float], years: float, told: bool) -> None:
    assert stands_out(curve, years) is told


@bg.kernel
def _believe(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0 if bars.close[1] > 1.5 else 0.0)


def test_the_observed_asset_that_knows_is_named_and_the_other_is_not() -> None:
    rng = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(500)))
    bars = bg.History.from_arrays(np.arange(1, 501) * DAY, close, np.append(100.0, close[:-1]))
    label = np.where(np.append(close[1:], 0.0) > close, 2.0, 1.0)
    parts = [
        bg.History.from_arrays(bars.ts, level, level, symbols=[name]).observe(name)
        for name, level in (("LABEL", label), ("NOISE", 1.0 + rng.random(500)))
    ]
    whole = scan(bg.Machine(strategy=bg.strategy(_believe)), bars.join(*parts))
    assert stands_out(lag_curve(whole), 500 / 365)
    assert fresh_assets(whole) == ("observed asset LABEL",)
