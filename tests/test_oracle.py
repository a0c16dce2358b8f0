"""The account of random runs, rebuilt by an accountant who imports nothing of the engine: equal to 1e-9."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import barograph as bg
from barograph.data.history import History
from barograph.errors import StrategyError
from barograph.loop.result import Result
from barograph.testing import interpreted
from tests.kit import oracle
from tests.kit.random_runs import REDUCING, Knobs, knobs, market_of, strategy_of, terms_of

ANSWERS = ("targets", "protected", "orders")
FILLS = ("next_open", "next_close", "same_close")
COLUMNS = "equity, cash, gross, net, fees, financing at bar"


def ns(stamps: Any) -> list[int | None]:
    """Return moments as int64 nanoseconds, None for none."""
    return [None if x is None or x != x else int(x.value) for x in stamps.astype(object)]


def records(table: Any, history: History) -> list[dict[str, Any]]:
    """Return a run's table as plain dicts, its assets as columns and its moments in nanoseconds."""
    plain = {name: table[name].tolist() for name in table.columns}
    for name in ("ts", "end_ts", "until"):
        if name in plain:
            plain[name] = ns(table[name])
    plain["asset"] = [history.column(symbol) for symbol in plain["asset"]]
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def known(machine: bg.Machine) -> dict[str, Any]:
    """Return the terms as the oracle wants them."""
    found = {name: getattr(machine.terms, name) for name in oracle.TERMS}
    found["slippage"] = machine.terms.slippage + 0.5 * machine.terms.spread
    found["maker_fee"] = machine.terms.fee if machine.terms.maker_fee is None else machine.terms.maker_fee
    return found


def series(rate: float | bg.Rate) -> Any:
    return list(zip(rate.ts.tolist(), rate.values.tolist(), strict=True)) if isinstance(rate, bg.Rate) else rate


def bars_of(history: History) -> list[dict[str, Any]]:
    names = ("open", "high", "low", "close", "volume")
    return [{"ts": int(ts)} | {n: getattr(history, n)[t].tolist() for n in names} for t, ts in enumerate(history.ts)]


def actions_of(history: History) -> list[dict[str, Any]]:
    T = len(history)
    names = {"dividend": (history.dividends, 0.0), "split": (history.splits, 1.0), "final": (history.final, np.nan)}
    full = {name: np.full(history.close.shape, x) if v is None else v for name, (v, x) in names.items()}
    return [{name: values[t].tolist() for name, values in full.items()} for t in range(T)]


def account(result: Result) -> list[oracle.Row]:
    """Let the oracle rebuild a run."""
    machine, history = result.machine, result.history
    orders = records(result.tables["orders"], history)
    for order in orders:
        order["reduces"] = order["tag"] >= REDUCING
    return oracle.rebuild(
        bars_of(history),
        actions_of(history),
        {"borrow": series(machine.terms.borrow_rate), "cash": series(machine.terms.cash_rate)},
        known(machine),
        orders,
        records(result.tables["fills"], history),
        result.first,
    )


def check(result: Result) -> None:
    """Compare a run with its account to 1e-9 of the money at stake."""
    rows = account(result)
    cash = result.machine.terms.cash
    scale = np.array([cash, cash, 1.0, 1.0, cash, cash])
    for t, row in enumerate(rows):
        wanted = [float(getattr(row, n)) for n in ("equity", "cash", "gross", "net", "fees", "financing")]
        np.testing.assert_allclose(
            result.arrays.table[t] / scale, wanted / scale, rtol=1e-9, atol=1e-9, err_msg=f"{COLUMNS} {t}"
        )
        np.testing.assert_allclose(result.arrays.weights[t], [float(w) for w in row.weights], rtol=1e-9, atol=1e-9)


def attempt(machine: bg.Machine, history: History) -> Result | None:
    """Run a machine; a ruined account is a legitimate end, and the only one."""
    try:
        return interpreted(machine, history)
    except StrategyError as error:
        if "ruined the account" not in str(error):
            raise
        return None


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("answer", ANSWERS)
@given(k=knobs())
def test_the_account_can_be_rebuilt(answer: str, fill: str, k: Knobs) -> None:
    k = k._replace(fill=fill)
    market = market_of(k)
    result = attempt(
        bg.Machine(strategy=strategy_of(answer, k), terms=bg.Terms(**terms_of(k, market))), market.history()
    )
    if result is not None:
        check(result)


DAY = oracle.DAY
BARS = [{"ts": t * DAY, "open": [100.0], "high": [110.0], "low": [95.0], "close": [105.0], "volume": [1000.0]}
        for t in range(1, 5)]  # fmt: skip
NOTHING = [{"dividend": [0.0], "split": [1.0], "final": [np.nan]} for _ in BARS]
TERMS = dict.fromkeys(oracle.TERMS, 0.0) | {
    "cash": 1000.0, "tiers": (), "minimum_fee_of": "order", "fill": "next_open", "account": "cash", "fee": 0.01,
    "participation": 0.01, "maker_fee": 0.0,
}  # fmt: skip
LIMIT = {"id": 1, "ts": DAY, "asset": 0, "kind": "limit", "weight": np.nan, "status": "filled", "quantity": 5.0,
         "end_ts": 2 * DAY, "asked": 5.0, "limit": 98.0, "stop": np.nan, "life": "GTC", "until": None, "role": "entry",
         "parent": 0, "group": 0, "reduces": False}  # fmt: skip
BOUGHT = {"order_id": 1, "ts": 2 * DAY, "asset": 0, "quantity": 5.0, "price": 98.0, "fee": 0.0, "slippage": 0.0}


def rebuilt(order: dict[str, Any], fill: dict[str, Any], **terms: Any) -> list[oracle.Row]:
    return oracle.rebuild(BARS, NOTHING, {"borrow": 0.0, "cash": 0.0}, TERMS | terms, [order], [fill])


def test_the_oracle_counts_as_one_does_by_hand() -> None:
    rows = rebuilt(LIMIT, BOUGHT)
    assert [float(row.cash) for row in rows] == [1000.0, 510.0, 510.0, 510.0]
    assert [float(row.equity) for row in rows] == [1000.0, 1035.0, 1035.0, 1035.0]


LIES = {
    "the fee should be": ({}, {"fee": 0.5}),
    "outside the bar": ({}, {"price": 94.0}),
    "worse than its limit": ({}, {"price": 99.0, "fee": 4.95}),
    "of the volume": ({"quantity": 11.0, "asked": 11.0}, {"quantity": 11.0}),
    "more than was asked": ({"quantity": 5.5}, {"quantity": 5.5}),
    "on the other side": ({"asked": -5.0}, {}),
    "went short": ({"quantity": -5.0, "asked": -5.0}, {"quantity": -5.0}),
    "before it could": ({"ts": 2 * DAY}, {}),
    "after its end": ({"end_ts": DAY}, {}),
    "after its day": ({"life": "DAY", "end_ts": 3 * DAY}, {"ts": 3 * DAY}),
    "after its date": ({"life": "GTD", "until": DAY}, {}),
    "did not reduce": ({"reduces": True}, {}),
    "fills of": ({"quantity": 4.0}, {}),
    "rejected with fills": ({"status": "rejected"}, {}),
    "a fill of nothing": ({"quantity": 1e-14}, {"quantity": 1e-14}),
    "not the end": ({"end_ts": 3 * DAY}, {}),
    "an end without its moment": ({"status": "open"}, {}),
    "to its advantage": ({"kind": "market", "limit": np.nan}, {"fee": 4.9}),
    "a stop filled before its price": ({"kind": "stop", "limit": np.nan, "stop": 101.0}, {"fee": 4.9}),
    "no bar's close": ({}, {"ts": 9 * DAY}),
}


@pytest.mark.parametrize("complaint", LIES)
def test_the_oracle_sees_a_lie(complaint: str) -> None:
    order, fill = LIES[complaint]
    with pytest.raises(AssertionError, match=complaint):
        rebuilt(LIMIT | order, BOUGHT | fill)
