"""The execution contract, clause by clause, on bars small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import barograph as bg
from barograph.data.history import History
from barograph.jit.kernel import kernel
from barograph.loop.run import scan

DAY = 86_400_000_000_000


def bars(rows: list[tuple[float, float, float, float]], volume: float = 1e6, days: list[int] | None = None) -> History:
    """Bars of one asset from (open, high, low, close)."""
    table = np.array(rows, dtype=float)
    ts = (np.array(days) if days else np.arange(len(rows))) * DAY + DAY
    return History.from_arrays(
        ts=ts, open=table[:, 0], high=table[:, 1], low=table[:, 2], close=table[:, 3],
        volume=np.full(len(rows), volume), symbols=["ABC"], calendar="24/7",
    )  # fmt: skip


@kernel
def _scripted(state, seen, belief, portfolio, params):
    return state + 1, bg.Target(params[state])


def scripted(*weights: float) -> bg.Strategy:
    """A strategy that asks for these weights, bar after bar."""
    return bg.strategy(_scripted, params=np.array(weights, dtype=float), init=lambda _: 0, name="scripted")


FREE = {"fee": 0.0, "slippage": 0.0, "cash": 10_000.0, "borrow_rate": 0.0}
FLAT = [(100.0, 101.0, 99.0, 100.0)] * 3
SIX = [*FLAT, (104.0, 106.0, 103.0, 105.0), (105.0, 107.0, 104.0, 106.0)]


def test_an_order_decided_at_a_close_fills_at_the_next_open() -> None:
    run = scan(bg.Machine(strategy=scripted(0, 0, 1, 1, 1), terms=bg.Terms(**FREE)), bars(SIX))
    fill = run.tables["fills"].iloc[0]
    assert (fill.price, fill.quantity) == (104.0, 10_000.0 / 104.0)
    assert run.arrays.equity.tolist() == [10_000.0] * 3 + [10_000.0 / 104.0 * 105.0, 10_000.0 / 104.0 * 106.0]


@pytest.mark.parametrize(("fill", "price"), [("same_close", 100.0), ("next_open", 104.0), ("next_close", 105.0)])
def test_the_three_fills(fill: str, price: float) -> None:
    run = scan(bg.Machine(strategy=scripted(0, 0, 1, 1, 1), terms=bg.Terms(fill=fill, **FREE)), bars(SIX))
    assert run.tables["fills"].iloc[0].price == price


def test_weight_one_with_one_percent_fee_buys_what_cash_allows() -> None:
    """Anchors, probe "weight 1.0, 1 % fee, 10,000 cash, open 104": 95.2018 units; whole lots: 95."""
    terms = {**FREE, "fee": 0.01}
    run = scan(bg.Machine(strategy=scripted(0, 0, 1, 1, 1), terms=bg.Terms(**terms)), bars(SIX))
    fill = run.tables["fills"].iloc[0]
    assert fill.quantity == pytest.approx(95.2018, abs=5e-5)
    assert fill.quantity == pytest.approx(10_000.0 / (104.0 * 1.01), rel=1e-15)
    assert abs(run.arrays.table[3, 1]) < 1e-9
    assert fill.fee == pytest.approx(fill.quantity * 104.0 * 0.01)
    whole = scan(bg.Machine(strategy=scripted(0, 0, 1, 1, 1), terms=bg.Terms(lot=1.0, **terms)), bars(SIX)).tables[
        "fills"
    ]
    assert whole.quantity.tolist() == [95.0]


def test_weight_two_is_financed_or_shrunk_with_a_reason() -> None:
    twice = scan(bg.Machine(strategy=scripted(0, 0, 2, 2, 2), terms=bg.Terms(leverage=2.0, **FREE)), bars(SIX))
    assert twice.tables["fills"].iloc[0].quantity == 2 * 10_000.0 / 104.0
    once = scan(bg.Machine(strategy=scripted(0, 0, 2, 2, 2), terms=bg.Terms(**FREE)), bars(SIX)).tables["fills"].iloc[0]
    assert once.quantity == pytest.approx(10_000.0 / 104.0, rel=1e-15)
    assert once.reason == "shrunk: no room under the leverage limit"


def test_closed_form_leaves_exactly_the_wanted_weight_after_costs() -> None:
    terms = {**FREE, "fee": 0.003, "slippage": 0.002, "fixed_fee": 7.0, "leverage": 3.0}
    for before, after in [(0.0, 0.7), (0.0, -0.8), (0.9, 0.2), (-0.5, 0.6), (0.4, -0.4), (-0.9, -0.3), (0.3, 1.8)]:
        history = bars([FLAT[0], (100.0, 102.0, 98.0, 100.0), (100.0, 102.0, 98.0, 100.0)])
        run = scan(bg.Machine(strategy=scripted(before, after, math.inf), terms=bg.Terms(**terms)), history)
        assert run.arrays.weights[2, 0] == pytest.approx(after, abs=1e-12), (before, after)


def test_slippage_never_leaves_the_bar() -> None:
    run = scan(bg.Machine(strategy=scripted(0, 0, 1, 1, 1), terms=bg.Terms(**{**FREE, "slippage": 0.4})), bars(SIX))
    fill = run.tables["fills"].iloc[0]
    assert fill.price == 106.0
    assert fill.slippage == pytest.approx(2.0 * fill.quantity)


def test_financing_is_charged_by_calendar_days_on_negative_cash_only() -> None:
    history = bars([(100.0, 100.0, 100.0, 100.0)] * 4, days=[0, 1, 4, 5])
    terms = {**FREE, "borrow_rate": 0.0365, "leverage": 2.0}
    run = scan(bg.Machine(strategy=scripted(2, math.inf, math.inf, math.inf), terms=bg.Terms(**terms)), history)
    assert run.arrays.table[:, 5].tolist() == pytest.approx(
        [0.0, 0.0, 10_000.0 * 0.0365 * 3 / 365, 10_003.0 * 0.0365 / 365]
    )
    assert (
        scan(bg.Machine(strategy=scripted(1, 1, 1, 1), terms=bg.Terms(**terms)), history).arrays.table[:, 5].tolist()
        == [0.0] * 4
    )


def test_interest_on_positive_cash_is_optional() -> None:
    history = bars([(100.0, 100.0, 100.0, 100.0)] * 2)
    run = scan(bg.Machine(strategy=scripted(0, 0), terms=bg.Terms(cash_rate=0.0365, **FREE)), history)
    assert run.arrays.equity[1] == pytest.approx(10_001.0)


def test_a_missing_bar_or_no_volume_fills_nothing_and_loses_nothing() -> None:
    gone = [*FLAT, (math.nan,) * 4, (105.0, 107.0, 104.0, 106.0)]
    run = scan(bg.Machine(strategy=scripted(0, 0, 1, 1, 1), terms=bg.Terms(**FREE)), bars(gone))
    fills = run.tables["fills"]
    assert (len(fills), fills.iloc[0].price) == (1, 105.0)
    assert len(run.tables["orders"]) == 1
    assert (
        len(
            scan(bg.Machine(strategy=scripted(0, 0, 1, 1, 1), terms=bg.Terms(**FREE)), bars(SIX, volume=0.0)).tables[
                "fills"
            ]
        )
        == 0
    )
    unknown = scan(bg.Machine(strategy=scripted(0, 0, 1, 1, 1), terms=bg.Terms(**FREE)), bars(SIX, volume=math.nan))
    assert len(unknown.tables["fills"]) == 1


def test_a_newer_target_replaces_a_waiting_order_with_a_reason() -> None:
    gone = [*FLAT, (math.nan,) * 4, (105.0, 107.0, 104.0, 106.0)]
    orders = scan(bg.Machine(strategy=scripted(0, 0, 1, 0.5, 0.5), terms=bg.Terms(**FREE)), bars(gone)).tables["orders"]
    assert orders.status.tolist()[:2] == ["cancelled", "filled"]
    assert orders.reason.tolist()[:2] == ["replaced by a newer target", "as wanted"]


def test_an_order_at_the_end_of_the_data_stays_open() -> None:
    orders = scan(bg.Machine(strategy=scripted(0, 0, 0, 0, 1), terms=bg.Terms(**FREE)), bars(SIX)).tables["orders"]
    assert orders.status.tolist() == ["open"]
    assert orders.end_ts.isna().all()


def test_drift_inside_the_band_is_not_traded() -> None:
    history = bars([(100.0, 100.0, 100.0, 100.0), (100.0, 110.0, 100.0, 110.0), (110.0, 140.0, 110.0, 140.0)] * 2)
    kept = scan(bg.Machine(strategy=scripted(*[0.5] * 6), terms=bg.Terms(band=0.2, **FREE)), history)
    traded = scan(bg.Machine(strategy=scripted(*[0.5] * 6), terms=bg.Terms(**FREE)), history)
    assert len(kept.tables["fills"]) == 1
    assert len(traded.tables["fills"]) > 1


def two(closes: list[tuple[float, float]]) -> History:
    """Flat bars of two assets."""
    c = np.array(closes)
    return History.from_arrays(ts=np.arange(1, len(c) + 1) * DAY, close=c, symbols=["A", "B"], calendar="24/7")


@kernel
def _pair(state, seen, belief, portfolio, params):
    return state + 1, bg.Target(params[state])


def pair(*weights: tuple[float, float]) -> bg.Strategy:
    return bg.strategy(_pair, params=np.array(weights, dtype=float), init=lambda _: 0, name="pair")


def test_reductions_come_before_increases_whatever_the_columns() -> None:
    history = two([(10.0, 20.0)] * 4)
    for before, after in [((1.0, 0.0), (0.0, 1.0)), ((0.0, 1.0), (1.0, 0.0))]:
        run = scan(bg.Machine(strategy=pair(before, after, after, after), terms=bg.Terms(**FREE)), history)
        assert run.arrays.weights[2].tolist() == pytest.approx(list(after))
        assert set(run.tables["fills"].reason) == {"as wanted"}


def test_increases_share_a_shortfall() -> None:
    run = scan(bg.Machine(strategy=pair((1.0, 1.0), (1.0, 1.0)), terms=bg.Terms(**FREE)), two([(10.0, 20.0)] * 2))
    assert run.arrays.weights[1].tolist() == pytest.approx([0.5, 0.5])
    assert set(run.tables["fills"].reason) == {"shrunk: no room under the leverage limit"}


def test_a_number_is_shared_by_the_traded_assets() -> None:
    history = two([(10.0, 20.0)] * 3).observe("B")
    run = scan(bg.Machine(strategy=scripted(0.8, 0.8, 0.8), terms=bg.Terms(**FREE)), history)
    assert run.arrays.weights[1].tolist() == pytest.approx([0.8, 0.0])
    assert list(run.tables["equity"].columns[-1:]) == ["weight_A"]


def test_nan_from_a_strategy_is_an_error_that_names_it() -> None:
    with pytest.raises(bg.StrategyError, match=r"strategy scripted returned NaN .* for ABC at the close of 1970-01-03"):
        scan(bg.Machine(strategy=scripted(0, 0, math.nan, 0, 0), terms=bg.Terms(**FREE)), bars(SIX))


def test_a_ruined_account_stops_the_run() -> None:
    history = bars([*FLAT, (100.0, 100.0, 40.0, 40.0), (40.0, 41.0, 39.0, 40.0)])
    with pytest.raises(bg.StrategyError, match="ruined the account"):
        scan(bg.Machine(strategy=scripted(0, 0, 2, 2, 2), terms=bg.Terms(leverage=2.0, **FREE)), history)


def test_a_lot_that_nothing_fits_in_is_no_order() -> None:
    run = scan(bg.Machine(strategy=scripted(0, 0.5, 0.5, 0.5, 0.5), terms=bg.Terms(lot=1000.0, **FREE)), bars(SIX))
    assert len(run.tables["orders"]) == 0


def test_fees_decided_at_the_last_close_belong_to_the_next_row() -> None:
    run = scan(
        bg.Machine(strategy=scripted(1, 0, 0, 0, 0), terms=bg.Terms(fill="same_close", **{**FREE, "fee": 0.01})),
        bars(SIX),
    )
    assert run.arrays.table[0, 4] == 0.0
    assert run.arrays.table[1, 4] > 0.0
    assert run.arrays.table[:, 4].sum() == pytest.approx(run.tables["fills"].fee.sum())


def test_a_flip_without_room_still_closes_the_old_side() -> None:
    """Closing needs no room; what opens on the other side shrinks to the leverage limit, costs of both included."""
    terms = {**FREE, "fee": 0.02, "leverage": 1.5}
    history = bars([(100.0, 100.0, 100.0, 100.0)] * 4)
    run = scan(bg.Machine(strategy=scripted(1.5, -3.0, math.inf, math.inf), terms=bg.Terms(**terms)), history)
    assert run.arrays.weights[2, 0] == pytest.approx(-1.5, abs=1e-12)
    assert run.tables["fills"].reason.iloc[1] == "shrunk: no room under the leverage limit"


def test_financing_is_charged_before_1970_too() -> None:
    terms = {**FREE, "borrow_rate": 0.0365, "leverage": 2.0}
    history = bars([(100.0, 100.0, 100.0, 100.0)] * 3, days=[-4000, -3999, -3998])
    run = scan(bg.Machine(strategy=scripted(2, math.inf, math.inf), terms=bg.Terms(**terms)), history)
    assert run.arrays.table[2, 5] == pytest.approx(1.0)


def test_an_open_without_a_close_is_worth_what_was_paid() -> None:
    gone = [(math.nan,) * 4, (100.0, 101.0, 99.0, math.nan), (100.0, 101.0, 99.0, 100.0)]
    history = History.from_arrays(
        ts=np.arange(1, 4) * DAY, open=[r[0] for r in gone], high=[r[1] for r in gone], low=[r[2] for r in gone],
        close=[r[3] for r in gone], symbols=["ABC"], calendar="24/7",
    )  # fmt: skip
    run = scan(bg.Machine(strategy=scripted(1, 1, 1), terms=bg.Terms(**FREE)), history)
    assert run.arrays.equity.tolist() == [10_000.0] * 3


def test_a_wrong_number_of_weights_is_an_error_not_a_read_beyond_the_end() -> None:
    @kernel
    def shrinks(state, seen, belief, portfolio, params):
        return state + 1, bg.Target(np.zeros(2 if state < 2 else 1))

    with pytest.raises(bg.StrategyError, match="wrong number of weights"):
        scan(
            bg.Machine(strategy=bg.strategy(shrinks, init=lambda _: 0), terms=bg.Terms(**FREE)), two([(10.0, 20.0)] * 4)
        )
