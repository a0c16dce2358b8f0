"""Splits, dividends and final prices beside raw prices: comparable, causal, kept by every door, refused when wrong."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barograph.audit.lookahead import perturbed
from barograph.data.actions import ACTIONS
from barograph.data.calendars import DAY
from barograph.data.history import FIELDS, History
from barograph.errors import DataError
from barograph_adapters.files import csv, files, parquet

NAN = np.nan
FACTOR, DIVIDEND, SPLIT, FINAL = range(4)


def some(seed: int, bars: int = 40, assets: int = 2, missing: float = 0.2, first: int = 0) -> History:
    """Raw bars with gaps, and actions on bars and between them; the first asset may end."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.02 * rng.standard_normal((bars, assets)), axis=0))
    close[rng.random(close.shape) < missing] = NAN
    splits = np.where(rng.random(close.shape) < 0.1, rng.choice([0.1, 1.5, 2.0, 20.0], size=close.shape), 1.0)
    dividends = np.where(rng.random(close.shape) < 0.1, rng.random(close.shape), 0.0)
    final = np.full(close.shape, NAN)
    if seed % 2:
        end = bars - 1 - seed % 5
        close[end + 1 :, 0], splits[end + 1 :, 0], dividends[end + 1 :, 0] = NAN, 1.0, 0.0
        final[end, 0] = 7.0
    return History.from_arrays(
        ts=first + DAY * np.arange(bars, dtype=np.int64), close=close, dividends=dividends, splits=splits, final=final
    )


def one(close: list[float], **actions: Any) -> History:
    return History.from_arrays(ts=DAY * np.arange(1, len(close) + 1), close=close, symbols=["ABC"], **actions)


def rows(history: History) -> Any:
    """Return the actions as (T, 4, N), also when there are none."""
    return np.broadcast_to(history.actions, (len(history), 4, len(history.symbols)))


# --- the factor -----------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 500))
def test_raw_prices_times_the_factor_are_the_adjusted_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    adjusted = 100.0 * np.exp(np.cumsum(0.02 * rng.standard_normal((60, 3)), axis=0))
    splits = np.where(rng.random((60, 3)) < 0.1, rng.choice([0.1, 1.5, 2.0, 20.0], size=(60, 3)), 1.0)
    raw = History.from_arrays(np.arange(60), adjusted / np.cumprod(splits, axis=0), splits=splits)
    np.testing.assert_allclose(raw.close * raw.actions[:, FACTOR], adjusted, rtol=1e-12)


@given(seed=st.integers(0, 500))
def test_a_price_times_the_factor_is_what_a_holding_is_worth_that_buys_more_of_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.02 * rng.standard_normal(60)))
    splits = np.where(rng.random(60) < 0.1, rng.choice([0.1, 1.5, 2.0]), 1.0)
    dividends = np.where(rng.random(60) < 0.2, 3.0 * rng.random(60), 0.0)
    units, worth = 1.0, []
    for price, dividend, split in zip(close, dividends, splits, strict=True):
        units *= split
        units += units * dividend / price
        worth.append(units * price)
    history = one(list(close), dividends=list(dividends), splits=list(splits))
    np.testing.assert_allclose(history.close * history.actions[:, FACTOR], np.array(worth)[:, None], rtol=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 500), cut=st.integers(1, 40))
def test_a_cut_history_has_the_same_actions_to_the_bit(seed: int, cut: int) -> None:
    history = some(seed)
    assert np.array_equal(rows(history.head(cut)), rows(history)[:cut], equal_nan=True)
    assert np.array_equal(rows(perturbed(history, cut - 1, seed))[:cut], rows(history)[:cut], equal_nan=True)


def test_by_hand() -> None:
    history = one([100.0, 49.0, 50.0, 25.0], dividends=[0.0, 1.0, 0.0, 0.0], splits=[1.0, 2.0, 1.0, 2.0])
    assert history.actions[:, :, 0].tolist() == pytest.approx(
        np.array([[1, 0, 1, NAN], [2 * 50 / 49, 1, 2, NAN], [100 / 49, 0, 1, NAN], [200 / 49, 0, 2, NAN]]), nan_ok=True
    )
    assert history.bars(1).factor.tolist() == history.actions[1, FACTOR].tolist()
    assert history.bars(-1).factor.tolist() == history.actions[3, FACTOR].tolist()


def test_without_actions_there_is_one_neutral_row() -> None:
    neutral = [[[1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [NAN, NAN]]]
    plain = History.from_arrays(np.arange(5), np.ones((5, 2)))
    silent = History.from_arrays(np.arange(5), np.ones((5, 2)), dividends=np.zeros((5, 2)), splits=np.ones((5, 2)))
    for history in (plain, silent):
        assert np.array_equal(history.actions, neutral, equal_nan=True)
        assert history.bars(3).factor.tolist() == [1.0, 1.0]


def test_actions_are_closed_and_in_c_order() -> None:
    for history in (some(1), one([1.0, 2.0])):
        assert history.actions is history.actions
        assert history.actions.flags.c_contiguous
        assert not history.actions.flags.writeable
        assert not history.bars(0).factor.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        some(1).dividends[0] = 1.0  # type: ignore[index]


# --- waiting --------------------------------------------------------------------------------------------------------


def test_actions_wait_for_the_next_bar() -> None:
    close = [10.0, NAN, NAN, NAN, 2.0, 2.0]
    history = one(close, dividends=[0.0, 1.0, 0.5, 0.0, 0.25, 0.0], splits=[1.0, 1.0, 2.0, 2.0, 1.25, 1.0])
    # 1 a share before 2 x 2 x 1.25 is 0.2 after them; 0.5 is after the first split already.
    assert history.actions[:, DIVIDEND, 0].tolist() == pytest.approx([0, 0, 0, 0, 0.2 + 0.2 + 0.25, 0])
    assert history.actions[:, SPLIT, 0].tolist() == [1, 1, 1, 1, 5, 1]
    assert history.actions[:, FACTOR, 0].tolist() == pytest.approx([1, 1, 1, 1, 5 * (1 + 0.65 / 2), 5 * (1 + 0.65 / 2)])


def test_a_final_price_takes_the_actions_that_waited() -> None:
    history = one(
        [10.0, NAN, NAN, NAN], dividends=[0.0, 1.0, 0.0, 0.0], splits=[1.0, 1.0, 2.0, 1.0], final=[NAN, NAN, 4.0, NAN]
    )
    assert history.actions[:, DIVIDEND, 0].tolist() == [0, 0, 0.5, 0]
    assert history.actions[:, FACTOR, 0].tolist() == [1, 1, 2.25, 2.25]
    worthless = one([10.0, NAN], dividends=[0.0, 1.0], final=[NAN, 0.0])
    assert worthless.actions[:, FACTOR, 0].tolist() == [1.0, 1.0]


def test_what_finds_no_bar_never_happens() -> None:
    history = one([10.0, NAN, NAN], dividends=[0.5, 1.0, 0.0], splits=[1.0, 1.0, 2.0])
    assert history.actions[:, DIVIDEND, 0].tolist() == [0.5, 0, 0]
    assert history.actions[:, SPLIT, 0].tolist() == [1, 1, 1]


# --- kept by every door ---------------------------------------------------------------------------------------------


def same(one: History, other: History) -> bool:
    return one.digest() == other.digest() and np.array_equal(rows(one), rows(other), equal_nan=True)


def test_kept_by_slices_observation_pickles_and_noise() -> None:
    history = some(3)
    part = history.slice(5, 20)
    for name in ACTIONS:
        assert np.array_equal(getattr(part, name), getattr(history, name)[5:20], equal_nan=True)
        assert np.shares_memory(getattr(part, name), getattr(history, name))
    assert same(history.between(int(history.ts[5]), int(history.ts[19])), part)
    assert same(pickle.loads(pickle.dumps(history)), history)
    for other in (history.observe("ASSET1"), perturbed(history, 10, 1)):
        for name in ACTIONS:
            assert np.array_equal(getattr(other, name), getattr(history, name), equal_nan=True)


@pytest.mark.parametrize("name", list(ACTIONS))
def test_the_digest_sees_each_action(name: str) -> None:
    plain, changed = one([1.0, 2.0]), one([1.0, 2.0], **{name: [ACTIONS[name].neutral, 0.5]})
    neutral = one([1.0, 2.0], **{name: [ACTIONS[name].neutral] * 2})
    assert plain.digest() == neutral.digest() != changed.digest()
    assert changed.head(1).digest() == plain.head(1).digest()
    other = one([1.0, 2.0], **{name: [ACTIONS[name].neutral, np.nextafter(0.5, 1.0)]})
    assert other.digest() != changed.digest()


def test_one_action_is_not_another() -> None:
    assert len({one([1.0, 2.0], **{name: [0.5, 0.5]}).digest() for name in ("dividends", "splits")}) == 2


def test_join_keeps_each_assets_own() -> None:
    history = some(3)
    other = some(4, bars=30, first=5 * DAY + DAY // 2)
    other = History.from_arrays(other.ts, other.close, symbols=["X", "Y"], dividends=other.dividends)
    both = history.join(other)
    mine, theirs = np.searchsorted(both.ts, history.ts), np.searchsorted(both.ts, other.ts)
    assert np.array_equal(rows(both)[mine][:, 1:, :2], rows(history)[:, 1:], equal_nan=True)
    assert np.array_equal(rows(both)[theirs][:, :, 2:], rows(other), equal_nan=True)
    assert len(both) == len(history) + len(other)
    plain = one([1.0, 2.0])
    assert plain.join(History.from_arrays(plain.ts, plain.close, symbols=["B"])).dividends is None


def test_joined_on_my_rows_an_action_is_seen_at_the_row_that_follows_it() -> None:
    mine = History.from_arrays(DAY * np.array([2, 5, 8]), [1.0, 1.0, 1.0], symbols=["A"])
    other = one(
        [10.0, 10.0, 5.0, 4.0, NAN, 1.0, 1.0, NAN, 3.0],
        dividends=[9.0, 0.25, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0],
        splits=[7.0, 1.0, 2.0, 1.0, 2.0, 2.0, 1.0, 1.0, 3.0],
    )
    seen = mine.join(other.observe("ABC"), rows="mine")
    # What came before my first row, and after my last one, is not seen.
    assert seen.dividends is not None
    assert seen.splits is not None
    assert seen.dividends[:, 1].tolist() == [0.25, 1.0, 0.0]
    assert seen.splits[:, 1].tolist() == [1.0, 4.0, 2.0]
    ends = one([10.0, 10.0, NAN, NAN], final=[NAN, NAN, 3.0, NAN])
    joined = mine.join(ends, rows="mine")
    assert joined.final is not None
    assert np.array_equal(joined.final[:, 1], [NAN, 3.0, NAN], equal_nan=True)


# --- tables ---------------------------------------------------------------------------------------------------------


def quoted() -> History:
    days = pd.DatetimeIndex(["2024-06-07", "2024-06-10", "2024-06-11", "2024-06-12", "2024-06-13"])
    close = np.array([1208.88, 121.79, 120.91, 125.2, NAN])
    table = {"open": close, "high": 1.01 * close, "low": 0.99 * close, "close": close, "volume": [5, 50, 51, 52, NAN]}
    actions = {
        "dividend": [0.0, 0.0, 0.01, 0.0, 0.0],
        "split": [1.0, 10.0, 1.0, 1.0, 1.0],
        "final": [NAN] * 4 + [130.1],
    }
    return History.from_pandas(pd.DataFrame({**table, **actions}, index=days), symbol="NV")


def test_round_trip_through_csv_and_parquet(tmp_path: Path) -> None:
    history = quoted()
    assert [f.code for f in history.findings] == ["undecided_dividends"]
    frame = history.frame()["NV"]
    assert list(frame.columns) == [*FIELDS, "dividend", "split", "final"]
    frame.to_csv(tmp_path / "NV.csv")
    frame.to_parquet(tmp_path / "NV.parquet")
    for again in (csv(tmp_path / "NV.csv", columns={"time": "ts"}), parquet(tmp_path / "NV.parquet")):
        assert again.digest() == history.digest()
        assert np.array_equal(again.actions, history.actions, equal_nan=True)
    assert list(one([1.0, 2.0]).frame()["ABC"].columns) == list(FIELDS)


def test_columns_are_found_by_name_or_mapping_and_left_out_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "abc.csv"
    path.write_text("Date,Close,Dividends,Stock Splits\n2024-07-01,8,0.0,0.0\n2024-07-02,4,,2.0\n2024-07-03,4,0.5,\n")
    history = csv(path)
    assert history.dividends is not None
    assert history.splits is not None
    assert history.final is None
    assert history.dividends[:, 0].tolist() == [0.0, 0.0, 0.5]
    assert history.splits[:, 0].tolist() == [1.0, 2.0, 1.0]
    bare = csv(path, columns={"dividend": "", "split": ""}, accept=["unadjusted_split"])
    assert (bare.dividends, bare.splits) == (None, None)
    path.write_text("Date,Close,Cash,Ratio,Paid,Final price\n2024-07-01,8,1,1,,5\n2024-07-02,8,0,1,9,\n")
    mapped = csv(path, columns={"dividend": "Cash", "split": "Ratio", "final": "Paid"})
    assert mapped.actions[:, [DIVIDEND, FINAL], 0].tolist() == pytest.approx(np.array([[1, NAN], [0, 9]]), nan_ok=True)
    assert csv(path).final is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2024-07-02,8,-0.5,1,", r"abc\.csv: line 3: dividend is -0\.5; wanted cash per share, 0 for none"),
        ("2024-07-02,8,inf,1,", r"line 3: dividend is inf; wanted"),
        ("2024-07-02,8,0,-2,", r"line 3: split is -2; wanted new shares per old, 1 for none"),
        ("2024-07-02,8,0,inf,", r"line 3: split is inf"),
        ("2024-07-02,8,0,1,-1", r"line 3: final is -1; wanted cash, or NaN for none"),
        ("2024-07-02,8,x,1,", r"line 3, column 'Dividend': 'x' is no number"),
        ("2024-07-02,8,0,2:1,", r"line 3, column 'Split': '2:1' is no number"),
        ("2024-07-02,,0.5,1,", r"lost_action: line 3 \(2024-07-02\): a dividend of 0\.5 where there is no bar"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "abc.csv"
    path.write_text(f"Date,Close,Dividend,Split,Final\n2024-07-01,8,0,1,\n{line}\n")
    with pytest.raises(DataError, match=words) as caught:
        csv(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (
            "Dividends",
            "0.5",
            r"abc\.csv: line 3: with adjusted = true the dividend 0\.5 of column 'Dividends' is in adj_",
        ),
        ("Stock Splits", "2", r"line 3: with adjusted = true the split 2 .*columns = \{split = \"\"\}"),
        ("Final", "9", r"line 3: with adjusted = true the final 9 of column 'Final' is in money of its own day"),
    ],
)
def test_adjusted_prices_and_actions_are_refused_together(tmp_path: Path, column: str, value: str, words: str) -> None:
    path = tmp_path / "abc.csv"
    path.write_text(f"Date,Close,Adj Close,{column}\n2024-07-01,8,4,\n2024-07-02,8,8,{value}\n")
    with pytest.raises(DataError, match=words) as caught:
        csv(path, adjusted=True)
    assert "\n" not in str(caught.value)
    part = {"Dividends": "dividend", "Stock Splits": "split", "Final": "final"}[column]
    assert csv(path, adjusted=True, columns={part: ""}).close[:, 0].tolist() == [4.0, 8.0]
    path.write_text(path.read_text().replace(f",{value}\n", ",\n"))
    assert csv(path, adjusted=True).close[:, 0].tolist() == [4.0, 8.0]


# --- what cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ({"dividends": [0.0, 0.0]}, r"dividends has the shape \(2, 1\); wanted \(3, 1\)"),
        ({"splits": [[1.0, 1.0]] * 3}, r"splits has the shape \(3, 2\); wanted \(3, 1\)"),
        ({"dividends": [0.0, -0.25, 0.0]}, "arrays: ABC on 1970-01-02: dividend is -0.25; wanted cash per share"),
        ({"dividends": [0.0, 0.0, np.inf]}, "ABC on 1970-01-03: dividend is inf"),
        ({"dividends": [NAN, 0.0, 0.0]}, "ABC on 1970-01-01: dividend is nan"),
        ({"splits": [1.0, 0.0, 1.0]}, "ABC on 1970-01-02: split is 0; wanted new shares per old"),
        ({"splits": [1.0, NAN, 1.0]}, "split is nan"),
        ({"splits": [1.0, np.inf, 1.0]}, "split is inf"),
        ({"final": [NAN, NAN, -1.0]}, "ABC on 1970-01-03: final is -1; wanted cash, or NaN"),
        ({"final": [NAN, NAN, np.inf]}, "final is inf"),
        ({"final": [NAN, 5.0, NAN]}, "ABC on 1970-01-03: a bar after the final price 5 of 1970-01-02"),
        ({"close": [1.0, NAN, NAN], "final": [NAN, 5.0, 5.0]}, "on 1970-01-03: a final after the final price"),
        (
            {"close": [1.0, NAN, NAN], "final": [NAN, 5.0, NAN], "dividends": [0.0, 0.0, 1.0]},
            "on 1970-01-03: a dividend after the final price 5 of 1970-01-02; wanted nothing after it",
        ),
        (
            {"close": [1.0, NAN, NAN], "final": [NAN, 5.0, NAN], "splits": [1.0, 1.0, 2.0]},
            "on 1970-01-03: a split after the final price",
        ),
    ],
)
def test_what_cannot_be_is_refused(actions: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        one(**{"close": [1.0, 1.0, 1.0], **actions})
    assert "\n" not in str(caught.value)


def test_a_final_price_on_the_last_bar_or_after_it_is_fine() -> None:
    assert one([1.0, 1.0, NAN], final=[NAN, 5.0, NAN]).actions[1, FINAL, 0] == 5.0
    assert one([1.0, NAN, NAN], final=[NAN, NAN, 0.0]).actions[2, FINAL, 0] == 0.0


# --- currency -------------------------------------------------------------------------------------------------------


def priced(symbol: str, currency: str = "") -> History:
    return History.from_arrays([DAY, 2 * DAY], [1.0, 1.0], symbols=[symbol], currency=currency)


def test_several_currencies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"several currencies \(USD, EUR\).*out of scope") as caught:
        priced("A", "USD").join(priced("B", "EUR"))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"arrays: several currencies \(USD, EUR\)"):
        History.from_arrays([0], [[1.0, 1.0]], currency=["USD", "EUR"])  # type: ignore[arg-type]
    path = tmp_path / "abc.csv"
    path.write_text("Date,Close,Currency\n2024-07-01,8,USD\n2024-07-02,8,EUR\n")
    with pytest.raises(DataError, match=r"abc\.csv: several currencies \(USD, EUR\)"):
        csv(path)
    path.write_text(path.read_text().replace("EUR", "USD "))
    with pytest.raises(DataError, match=r"abc\.csv: several currencies \(EUR, USD\)"):
        csv(path, currency="EUR")
    assert csv(path).currency == csv(path, columns={"currency": ""}, currency="USD").currency == "USD"
    pd.read_csv(path).assign(Currency="EUR").to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="several currencies"):
        files({"A": path, "B": tmp_path / "b.parquet"})
    assert files({"A": path, "B": tmp_path / "b.parquet"}, observed=["B"]).currency == "USD"
    assert files({"A": path}, currency="USD").currency == "USD"


def test_currencies_that_agree_are_kept() -> None:
    usd, eur, unsaid = priced("A", "USD"), priced("B", "EUR"), priced("C")
    assert (usd.join(unsaid).currency, unsaid.join(usd).currency, unsaid.currency) == ("USD", "USD", "")
    assert (usd.join(eur.observe("B")).currency, usd.observe("A").join(eur).currency) == ("USD", "EUR")
    for history in (usd.head(1), usd.observe("A"), perturbed(usd, 0, 1), pickle.loads(pickle.dumps(usd))):
        assert history.currency == "USD"
    with pytest.raises(DataError, match="several currencies"):
        unsaid.join(usd, eur)
    assert usd.digest() == priced("A").digest()
