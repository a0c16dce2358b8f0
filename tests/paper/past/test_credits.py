"""What late actions owe: the difference between two accounts that trade the same shares, one of which had known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph.data.history import History
from barograph.loop.late import Correction, Credit, Late
from barograph.paper.past.corrections import Correcting, credits_of, told
from barograph.paper.past.plausible import odd_dividends

ROWS = 8
ACTION = st.tuples(st.integers(1, ROWS - 1), st.sampled_from([1.0, 4.0, 0.1, 1.5]), st.sampled_from([0.0, 0.5, 3.0]))


def gone_through(trades: Any, splits: Any, dividends: Any) -> tuple[Any, float]:
    """Return the shares held at each close and the cash received: a split, a dividend, a trade, in this order."""
    held, shares, cash = [], 0.0, 0.0
    for t in range(ROWS):
        shares *= splits[t]
        cash += shares * dividends[t]
        shares += trades[t]
        held.append(shares)
    return np.array(held), cash


@given(
    trades=st.lists(st.sampled_from([-8.0, -1.0, 0.0, 0.0, 5.0, 10.0]), min_size=ROWS, max_size=ROWS),
    known=st.lists(ACTION, max_size=2),
    late=st.lists(ACTION, min_size=1, max_size=3, unique_by=lambda action: action[0]),
)
def test_the_account_has_what_it_would_have_had(trades: Any, known: Any, late: Any) -> None:
    splits, dividends = np.ones(ROWS), np.zeros(ROWS)
    for t, split, dividend in known:
        splits[t], dividends[t] = split, dividend
    close = np.linspace(40.0, 47.0, ROWS)
    seen = History.from_arrays(np.arange(ROWS), close, symbols=["A"], splits=splits, dividends=dividends)
    held, cash = gone_through(trades, splits, dividends)
    for t, split, dividend in late:
        splits[t] *= split
        dividends[t] += dividend
    right, paid = gone_through(trades, splits, dividends)
    rows = [{"ts": t, "symbol": "A", "quantity": float(held[t])} for t in range(ROWS)]
    owed = credits_of(seen, [Late("A", t, split, dividend) for t, split, dividend in sorted(late)], rows)
    one = owed[0] if owed else Credit("A", 1.0, 0.0)
    if held[-1] * right[-1] > 0.0:
        assert held[-1] * one.ratio == pytest.approx(right[-1], rel=1e-12)
        assert one.cash == pytest.approx(paid - cash, rel=1e-12, abs=1e-9)
    else:
        assert one.ratio == 1.0
        assert one.cash == pytest.approx(paid - cash + (right[-1] - held[-1]) * close[-1], rel=1e-12, abs=1e-9)


@given(
    trades=st.lists(st.sampled_from([0.0, 0.0, 5.0, 10.0]), min_size=ROWS, max_size=ROWS),
    first=st.tuples(st.integers(1, 4), st.sampled_from([4.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5])),
    second=st.tuples(st.integers(1, 6), st.sampled_from([2.0, 1.0]), st.sampled_from([0.0, 3.0])),
    known=st.integers(5, 6),
)
def test_a_correction_counts_what_an_earlier_one_gave(trades: Any, first: Any, second: Any, known: int) -> None:
    """Two things become known, one after the other, of times that overlap: together they give what both do."""
    trades[0] = 10.0
    splits, dividends = np.ones((3, ROWS)), np.zeros((3, ROWS))
    late = [Late("A", *one) for one in (first, second)]
    for n, one in enumerate(late):
        splits[n + 1 :, one.ts] *= one.split
        dividends[n + 1 :, one.ts] += one.dividend

    def seen(n: int, rows: int) -> History:
        told = {"splits": splits[n], "dividends": dividends[n]}
        return History.from_arrays(np.arange(ROWS), np.full(ROWS, 40.0), symbols=["A"], **told).head(rows)

    held, cash = gone_through(trades, splits[0], dividends[0])
    rows = [{"ts": t, "symbol": "A", "quantity": float(held[t])} for t in range(ROWS)]
    made = Correction((late[0],), credits_of(seen(0, known), [late[0]], rows))
    ratio = made.credits[0].ratio if made.credits else 1.0
    shares = float(held[known - 1]) * ratio
    for t in range(known, ROWS):
        shares = shares + trades[t]
        rows[t]["quantity"] = shares
    # The second one falls into bars that were stepped over: what comes after is known when it happens.
    if second[0] >= known + 1:
        return
    right, paid = gone_through(trades, splits[2], dividends[2])
    (one,) = credits_of(seen(1, ROWS), [late[1]], rows, {known: made}) or (Credit("A", 1.0, 0.0),)
    before = made.credits[0].cash if made.credits else 0.0
    assert shares * one.ratio == pytest.approx(right[-1], rel=1e-12)
    assert cash + before + one.cash == pytest.approx(paid, rel=1e-12, abs=1e-9)


def test_a_dividend_after_a_split_that_came_late_is_paid_on_all_shares() -> None:
    close, rows = np.full(9, 25.0), [{"ts": t, "symbol": "A", "quantity": 10.0 if t < 7 else 40.0} for t in range(9)]
    splits = np.where(np.arange(9) == 5, 4.0, 1.0)
    seen = History.from_arrays(np.arange(9), close, symbols=["A"], splits=splits)
    earlier = {7: Correction((Late("A", 5, 4.0, 0.0),), (Credit("A", 4.0, 0.0),))}
    assert credits_of(seen.head(8), [Late("A", 6, 1.0, 1.0)], rows, earlier) == (Credit("A", 1.0, 40.0),)
    gone = [row | {"quantity": 10.0 if row["ts"] < 6 else 0.0} for row in rows]
    earlier = {7: Correction((Late("A", 5, 4.0, 0.0),), (Credit("A", 1.0, 750.0),))}
    assert credits_of(seen.head(8), [Late("A", 6, 1.0, 1.0)], gone, earlier) == (Credit("A", 1.0, 40.0),)


def test_what_is_sold_on_the_day_itself_was_held_before() -> None:
    seen = History.from_arrays([1, 2, 3], [400.0, 100.0, 101.0], symbols=["A"])
    rows = [{"ts": ts, "symbol": "A", "quantity": units} for ts, units in ((1, 10.0), (2, 4.0), (3, 4.0))]
    assert credits_of(seen, [Late("A", 2, 4.0, 0.0)], rows) == (Credit("A", 8.5, 0.0),)


def test_an_alert_says_what_was_late_and_what_came_of_it() -> None:
    late = (Late("A", 86_400_000_000_000, 4.0, 0.25),)
    (alert,) = told(Correcting({"A": 2.0}, Correction(late, (Credit("A", 4.0, 12.5),))), 7, "vendor")
    assert alert.facts["text"] == (
        "A at vendor: a split of 4 for 1 and a dividend of 0.25 a share on 1970-01-02 00:00:00Z became known late; "
        "made good with units times 4 and 12.5 in cash; all its past is in another scale: 2 new shares for an old one"
    )


@pytest.mark.parametrize(
    ("currency", "price", "paid", "split", "doubted"),
    [
        ("GBp", 3000.0, 0.62, 1.0, "in GBP?"),
        ("GBp", 3000.0, 62.0, 1.0, ""),
        ("ZAc", 9000.0, 1.2, 1.0, "in ZAR?"),
        ("USD", 130.0, 0.01, 1.0, ""),
        ("GBP", 30.0, 62.0, 1.0, "in hundredths"),
        ("GBp", 3000.0, 0.62, 10.0, ""),
    ],
    ids=["pounds for pence", "pence", "rand for cents", "a small dividend", "pence for pounds", "after a split"],
)
def test_dividends_in_another_unit_than_the_price(
    currency: str, price: float, paid: float, split: float, doubted: str
) -> None:
    seen = History.from_arrays([1], [price], symbols=["A"], currency=currency)
    row = History.from_arrays([2], [price / split], symbols=["A"], currency=currency, dividends=[paid], splits=[split])
    found = odd_dividends(row, seen)
    assert [doubted in alert.facts["text"] for alert in found] == ([True] if doubted else [])
