"""Which factors a rewritten past shows: any staircase to the row, noise never, however the vendor rounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph.data.history import History
from barograph.loop.late import Late
from barograph.paper.past.comparing import rewritten
from barograph.paper.past.factors import simplest, staircase

EXACT = 99
DAY = 86_400_000_000_000


def prices(rows: int, level: float, seed: int) -> Any:
    """Return open, high, low and close (T, 4) of a random walk."""
    rng = np.random.default_rng(seed)
    close = level * np.exp(np.cumsum(0.01 * rng.standard_normal(rows)))
    start = close * np.exp(0.004 * rng.standard_normal(rows))
    high, low = np.maximum(start, close) * 1.003, np.minimum(start, close) * 0.997
    return np.column_stack([start, high, low, close])


def rounded(values: Any, digits: int) -> Any:
    return values if digits == EXACT else np.round(values, digits)


def resolved(factors: Any, low: float, digits: int) -> bool:
    """Tell whether every step moves every price by more than four units of the last digit: the stated bound."""
    steps = factors[1:][np.diff(factors) != 0] / factors[:-1][np.diff(factors) != 0]
    small = np.append(np.abs(1.0 - steps), np.abs(1.0 - factors[-1]) or 1.0)
    return digits == EXACT or bool((small * low * min(1.0, factors.min()) > 4.0 * 10.0**-digits).all())


@given(
    rows=st.integers(6, 60),
    level=st.sampled_from([8.0, 60.0, 400.0]),
    digits=st.sampled_from([2, 3, 4, EXACT]),
    steps=st.lists(
        st.tuples(
            st.integers(2, 60), st.one_of(st.sampled_from([0.25, 0.5, 1 / 3, 2 / 3, 10.0]), st.floats(0.9, 0.995))
        ),
        max_size=4,
    ),
    seed=st.integers(0, 10**6),
)
def test_any_staircase_is_found_to_the_row(rows: int, level: float, digits: int, steps: Any, seed: int) -> None:
    truth, was = np.ones(rows), prices(rows, level, seed)
    for row, factor in steps:
        truth[: min(row, rows)] *= factor
    if truth[0] == 1.0 or truth[0] != truth[1] or not resolved(truth, was.min(), digits):
        return
    found = staircase(rounded(was, digits), rounded(was * truth[:, None], digits), np.ones(rows), 1e-6)
    assert not np.isnan(found).any()
    assert ((np.diff(found) != 0) == (np.diff(truth) != 0)).all()
    bound = 1e-14 if digits == EXACT else 10.0**-digits / (was.min() * min(1.0, truth.min()))
    assert np.abs(found / truth - 1.0).max() <= bound


@given(
    rows=st.integers(3, 40),
    digits=st.sampled_from([2, 4, EXACT]),
    size=st.sampled_from([1e-3, 1e-2, 0.3]),
    share=st.floats(0.05, 1.0),
    seed=st.integers(0, 10**6),
)
def test_noise_is_never_a_factor(rows: int, digits: int, size: float, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    was = rounded(prices(rows, 300.0, seed), digits)
    noise = np.exp(size * rng.standard_normal((rows, 4))) * (rng.random((rows, 1)) < share)
    now = rounded(np.where(noise > 0.0, was * noise, was), digits)
    found = staircase(was, now, np.ones(rows), 1e-6)
    same = (np.abs(now - was) <= 1e-6 * was).all(axis=1)
    assert (found[same] == 1.0).all()
    assert np.isnan(found[~same]).all()


def test_a_cent_is_a_revision_and_not_a_factor() -> None:
    was = np.round(prices(20, 100.0, 1), 2)
    now = was.copy()
    now[7, 3] += 0.01
    found = staircase(was, now, np.ones(20), 1e-6)
    assert np.flatnonzero(np.isnan(found)).tolist() == [7]
    assert (np.delete(found, 7) == 1.0).all()


@pytest.mark.parametrize("row", [0, 9, 19])
def test_one_bar_that_was_mended_is_no_action(row: int) -> None:
    """A day in pounds instead of pence, mended later: at the end of what is seen, inside, at its beginning."""
    truth = np.round(prices(20, 3000.0, 2), 2)
    was = truth.copy()
    was[row] = np.round(was[row] / 100.0, 4)
    found = staircase(was, truth, np.ones(20), 1e-6)
    assert np.flatnonzero(np.isnan(found)).tolist() == [row]


def test_a_bar_that_was_mended_within_a_past_that_was_scaled_is_left_out_alone() -> None:
    was = np.round(prices(20, 400.0, 3), 2)
    now = np.round(was * 0.25, 2)
    now[11, 3] += 0.4
    found = staircase(was, now, np.ones(20), 1e-6)
    assert np.flatnonzero(np.isnan(found)).tolist() == [11]
    assert (np.delete(found, 11) == 0.25).all()


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (2, EXACT), (EXACT, 3)])
def test_a_vendor_that_rounds_otherwise_changes_nothing(before: int, after: int) -> None:
    truth = prices(30, 75.0, 4)
    found = staircase(rounded(truth, before), rounded(truth, after), np.ones(30), 1e-6)
    assert (found == 1.0).all()


def test_prices_of_no_cents_and_of_32_bits() -> None:
    yen = np.round(prices(30, 2500.0, 5))
    assert staircase(yen, np.round(yen * 0.98), np.ones(30), 1e-6) == pytest.approx(np.full(30, 0.98), rel=2e-4)
    single = prices(30, 50.0, 6).astype(np.float32).astype(np.float64)
    scaled = (single * 0.9371).astype(np.float32).astype(np.float64)
    assert staircase(single, scaled, np.ones(30), 1e-6) == pytest.approx(np.full(30, 0.9371), rel=1e-7)


def test_negative_prices_have_no_factor() -> None:
    oil = prices(10, 20.0, 7)
    oil[4] = -37.63
    assert (staircase(oil, oil, np.ones(10), 1e-6) == 1.0).all()
    found = staircase(oil, oil * 0.5, np.ones(10), 1e-6)
    assert np.flatnonzero(np.isnan(found)).tolist() == [4]


def test_no_fraction_is_made_up() -> None:
    assert simplest(0.97, 0.98) == pytest.approx(0.975)
    assert simplest(3.9999, 4.0001) == 4.0


def told(symbols: str = "A", **columns: Any) -> History:
    close = columns.pop("close")
    names = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    return History.from_arrays(np.arange(len(close)) * DAY, close, symbols=list(symbols), source="vendor", **names)


WALK = prices(12, 400.0, 8)[:, 3]
NONE, ONE = np.zeros(12), np.ones(12)


def at(row: int, value: float, otherwise: Any) -> Any:
    return np.where(np.arange(12) == row, value, otherwise)


def test_a_split_may_be_scaled_or_declared_and_both_say_the_same() -> None:
    scaled = told(close=WALK * np.where(np.arange(12) < 7, 0.25, 1.0))
    declared = told(close=WALK, splits=at(7, 4.0, ONE))
    for now in (scaled, declared):
        found = rewritten(told(close=WALK), now, 1e-6)
        assert found == ((Late("A", 7 * DAY, 4.0, 0.0),), {}, ())
    # What is in force as a split is no news when the source turns to the other way of saying it.
    assert not rewritten(declared, scaled, 1e-6)
    assert not rewritten(declared, told(close=WALK, splits=at(7, 4.0, ONE)), 1e-6)


@pytest.mark.parametrize(
    ("ratio", "shares"), [(0.25, 4.0), (10.0, 0.1), (0.01, 100.0), (0.871, 1 / 0.871), (1 / 190, 190.0)],
    ids=["split", "reverse split", "pence become pounds", "spin-off", "large split"],
)  # fmt: skip
def test_a_past_that_is_scaled_as_a_whole_is_carried_by_the_next_bar(ratio: float, shares: float) -> None:
    found = rewritten(told(close=WALK), told(close=WALK * ratio), 1e-6)
    assert (found.late, found.revised) == ((), ())
    assert found.carry == {"A": pytest.approx(shares, rel=1e-14)}


def test_a_source_that_knows_no_actions_withdraws_none() -> None:
    mine = told(close=WALK * np.where(np.arange(12) < 7, 4.0, 1.0), splits=at(7, 4.0, ONE), dividends=at(3, 2.0, NONE))
    found = rewritten(mine, told(close=mine.close), 1e-6)
    assert (found.late, found.carry) == ((), {})
    assert [(one.column, one.before, one.now) for one in found.revised] == [("dividends", 2.0, 0.0)]


def test_a_dividend_that_comes_late_or_is_mended_and_one_that_is_only_scaled() -> None:
    plain = told(close=WALK)
    assert rewritten(plain, told(close=WALK, dividends=at(5, 3.0, NONE)), 1e-6).late == (Late("A", 5 * DAY, 1.0, 3.0),)
    pounds, pence = (told(close=WALK, dividends=at(5, paid, NONE)) for paid in (0.62, 62.0))
    (late,) = rewritten(pounds, pence, 1e-6).late
    assert late == Late("A", 5 * DAY, 1.0, pytest.approx(61.38))
    for paid, now in ((3.0, 0.75), (0.23, 0.06)):
        scaled = told(close=np.round(WALK / 4.0, 2), dividends=at(5, now, NONE))
        found = rewritten(told(close=np.round(WALK, 2), dividends=at(5, paid, NONE)), scaled, 1e-6)
        assert found == ((), {"A": 4.0}, ())


def test_a_dividend_of_a_bar_that_one_side_lacks_is_told_in_the_shares_of_the_next_one() -> None:
    close = WALK * np.where(np.arange(12) < 6, 1.0, 0.5)
    mine = told(close=close, dividends=at(5, 3.0, NONE), splits=at(6, 2.0, ONE))
    theirs = told(close=at(5, np.nan, close), dividends=mine.dividends[:, 0], splits=mine.splits[:, 0])
    assert rewritten(mine, theirs, 1e-6).late == rewritten(theirs, mine, 1e-6).late == ()
    more = replace(theirs, dividends=mine.dividends * 2.0)
    assert rewritten(mine, more, 1e-6).late == (Late("A", 6 * DAY, 1.0, 1.5),)


def test_volumes_and_stamps_are_no_factor() -> None:
    before, after = told(close=WALK, volume=ONE * 100.0), told(close=WALK, volume=ONE * 400.0)
    assert not rewritten(before, after, 1e-6)
    shifted = History.from_arrays(before.ts + 3_600_000_000_000, WALK, symbols=["A"], source="vendor")
    found = rewritten(before, shifted, 1e-6)
    assert (found.late, found.carry) == ((), {})
    assert {one.column for one in found.revised} == {"bar"}


def test_assets_are_told_apart() -> None:
    two = np.column_stack([WALK, WALK[::-1]])
    found = rewritten(told("AB", close=two), told("AB", close=two * [1.0, 0.5]), 1e-6)
    assert found == ((), {"B": 2.0}, ())
    assert not found.without(["B"])


def test_days_without_a_bar_are_passed_over() -> None:
    close = WALK.copy()
    close[[4, 11]] = np.nan
    found = rewritten(told(close=close), told(close=close * np.where(np.arange(12) < 6, 0.25, 1.0)), 1e-6)
    assert found.late == (Late("A", 6 * DAY, 4.0, 0.0),)
    assert rewritten(told(close=close), told(close=close * 0.5), 1e-6).carry == {"A": 2.0}
