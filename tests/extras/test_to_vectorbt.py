"""A run handed to vectorbt: the same fills, and the same equity to 1e-9 at every bar, or one line that says why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph import orders
from barograph.errors import ConfigError, DataError
from barograph.execution import events
from barograph.testing import some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.buy_and_hold import buy_and_hold
from barograph_strategies.fixed_positions import fixed_positions
from barograph_strategies.fixed_weights import fixed_weights
from barograph_strategies.protected import protected
from barograph_strategies.regime_filter import regime_filter
from barograph_strategies.regime_leverage import regime_leverage
from barograph_strategies.sma_filter import sma_filter
from barograph_strategies.var_target import var_target
from barograph_strategies.volatility_target import volatility_target
from tests.extras import wants
from tests.kit.scripted import FREE, candles, script

wants("vectorbt", "vectorbt")

from barograph_adapters.sweeps import to_vectorbt  # noqa: E402

BARS = some_bars(260, seed=3)
THREE = some_bars(260, assets=3, seed=9)
FITTED = gaussian_hmm(states=2, starts=1).fit(np.diff(np.log(BARS.close[:, 0])))


def held_to(result: bg.Result, fills: int = 1) -> Any:
    """The law: as many fills, of the same units at the same prices, and the same value."""
    made, own = result.to_vectorbt(), events.fills(result.arrays.events)
    records = made.orders.values
    records = records[np.lexsort((records["id"], records["idx"], records["col"]))]
    signed = np.where(records["side"] == 0, records["size"], -records["size"])
    ours = own.quantity
    assert len(signed) == len(ours) >= fills
    by_asset = np.argsort(own.asset, kind="stable")
    assert np.allclose(signed, ours[by_asset], rtol=1e-9, atol=0.0)
    assert np.allclose(records["price"], own.price[by_asset], rtol=1e-12, atol=0.0)
    assert np.allclose(records["fees"], own.fee[by_asset], rtol=1e-9, atol=1e-12)
    value = np.asarray(made.value()).ravel()
    assert np.max(np.abs(value - result.arrays.equity) / result.arrays.equity) <= 1e-9
    return made


def positions(tmp_path: Path) -> bg.Strategy:
    days = pd.DatetimeIndex(BARS.ts).tz_localize(None)[[20, 60, 90, 130]].date
    table = pd.DataFrame({"date": map(str, days), "weight": [0.5, 1.0, 0.25, 0.0]})
    table.to_csv(tmp_path / "weights.csv", index=False)
    return fixed_positions(tmp_path / "weights.csv")


SHIPPED: dict[str, Callable[[Path], bg.Strategy]] = {
    "buy_and_hold": lambda _: buy_and_hold(),
    "fixed_positions": positions,
    "fixed_weights": lambda _: fixed_weights([0.6], "month"),
    "protected": lambda _: protected(of=regime_filter(), stop=0.02, take=0.05, trail=0.03, pause=3),
    "regime_filter": lambda _: regime_filter(),
    "regime_leverage": lambda _: regime_leverage([0.9, 0.2]),
    "sma_filter": lambda _: sma_filter(20),
    "var_target": lambda _: var_target(budget=0.02, cap=1.0),
    "volatility_target": lambda _: volatility_target(target=0.15, cap=1.0),
}


def test_all_that_ship_are_here() -> None:
    import barograph_strategies

    shipped = {path.stem for path in Path(barograph_strategies.__path__[0]).glob("[!_]*.py")}
    assert shipped == SHIPPED.keys()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_strategies(name: str, tmp_path: Path) -> None:
    machine = bg.Machine(strategy=SHIPPED[name](tmp_path), model=FITTED, terms=bg.Terms(fee=0.001, slippage=0.0005))
    held_to(bg.scan(machine, BARS))


def test_a_short_and_a_turn_around() -> None:
    terms = bg.Terms(fee=0.001, short_rate=0.0)
    result = bg.scan(bg.Machine(strategy=sma_filter(20, 1.0, -1.0), terms=terms), BARS)
    assert (result.arrays.table[:, 3] < -0.5).any()
    held_to(result, 5)


def test_a_bracket_with_two_fills_in_one_bar() -> None:
    def enter(slip: bg.Orders) -> None:
        orders.bracket(slip, orders.limit(slip, 0, 10.0, 99.0), 95.0, 130.0)

    bars = candles((100.0, 101.0, 99.5, 100.0), (100.0, 101.0, 90.0, 92.0), (92.0, 93.0, 91.0, 92.0))
    result = script(enter, history=bars)
    fills = events.fills(result.arrays.events)
    assert fills.bar.tolist() == [1, 1]
    held_to(result, 2)


@pytest.mark.parametrize("terms", [{"lot": 1.0}, {"fixed_fee": 7.0}, {"minimum_fee": 30.0}, {"unit_fee": 0.01},
                                   {"fill": "next_close"}, {"impact": 0.1}, {"participation": 0.05}])  # fmt: skip
def test_terms_that_its_own_orders_do_not_know(terms: dict[str, Any]) -> None:
    machine = bg.Machine(strategy=sma_filter(20, 0.9), terms=bg.Terms(**terms))
    held_to(bg.scan(machine, BARS), 3)


def test_three_assets_each_month() -> None:
    held_to(bg.scan(bg.Machine(strategy=fixed_weights([0.3, 0.3, 0.3], "month")), THREE), 9)


def test_bars_without_a_price() -> None:
    gap = np.array(BARS.close)
    gap[[0, 1, 50, 51]] = np.nan
    holes = {name: np.where(np.isnan(gap), np.nan, getattr(BARS, name)) for name in ("open", "high", "low")}
    bars = bg.History.from_arrays(BARS.ts, gap, *holes.values(), calendar="24/7")
    held_to(bg.scan(bg.Machine(strategy=fixed_weights([0.5], "month")), bars), 3)


def test_its_own_figures_have_our_year() -> None:
    result = bg.scan(bg.Machine(strategy=sma_filter(20)), BARS)
    made = held_to(result)
    # vectorbt counts a first return of nothing; so there is one more of them.
    n = len(result.arrays.returns)
    ours = result.metrics["sharpe"]
    assert ours is not None
    longer = np.append(0.0, result.arrays.returns)
    expected = np.mean(longer) / np.std(longer, ddof=1) * np.sqrt(result.history.periods)
    assert made.sharpe_ratio() == pytest.approx(expected, rel=1e-9)
    assert made.sharpe_ratio() == pytest.approx(ours, rel=2.0 / n)


def acting(name: str, value: float, otherwise: float) -> bg.History:
    column = np.full(len(BARS), otherwise)
    column[100] = value
    prices = (BARS.close, BARS.open, BARS.high, BARS.low)
    return bg.History.from_arrays(BARS.ts, *prices, calendar="24/7", **{name: column})


def run(strategy: bg.Strategy, history: bg.History = BARS, **terms: Any) -> bg.Result:
    return bg.scan(bg.Machine(strategy=strategy, terms=bg.Terms(**terms)), history)


BELOW = candles(*[(-5.0, -4.0, -6.0, -5.0)] * 3)
BEYOND: dict[str, tuple[Callable[[], bg.Result], str]] = {
    "loan": (lambda: run(sma_filter(20, 1.5), leverage=2.0), "borrowed money"),
    "interest": (lambda: run(sma_filter(20), cash_rate=0.03), "interest"),
    "short rate": (lambda: run(sma_filter(20, 0.5, -0.5), short_rate=0.05), "interest"),
    "dividend": (lambda: run(buy_and_hold(), acting("dividends", 0.5, 0.0)), "a dividend"),
    "split": (lambda: run(buy_and_hold(), acting("splits", 2.0, 1.0)), "a split"),
    "same close": (lambda: script(bg.Target(0.5), fill="same_close"), "fills at the close they were decided at"),
    "below zero": (lambda: script(bg.Target(0.5), history=BELOW, **FREE), "prices of zero and"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_it_cannot_hold_is_refused_in_one_line(name: str) -> None:
    result, told = BEYOND[name]
    with pytest.raises(ConfigError) as error:
        result().to_vectorbt()
    assert str(error.value).startswith(f"to_vectorbt: vectorbt cannot hold {told}")
    assert "\n" not in str(error.value)


def test_a_run_that_goes_on_is_refused() -> None:
    machine = bg.Machine(strategy=sma_filter(20))
    first = bg.scan(machine, BARS.between(None, BARS.when(130)))
    with pytest.raises(ConfigError, match="goes on from a world"):
        bg.scan(machine, BARS, first.world).to_vectorbt()


def test_an_account_that_is_not_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted: a price off by a millionth."""
    fills = to_vectorbt._fills

    def off(result: bg.Result) -> tuple[Any, ...]:
        bar, asset, quantity, price, fee = fills(result)
        return bar, asset, quantity, price * (1.0 + 1e-6), fee

    monkeypatch.setattr(to_vectorbt, "_fills", off)
    with pytest.raises(DataError, match=r"vectorbt is worth .*, the run .*; please report this"):
        bg.scan(bg.Machine(strategy=sma_filter(20)), BARS).to_vectorbt()
