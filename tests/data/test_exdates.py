"""The nights at ex-dates tell whether prices are adjusted for the dividends beside them; no single one does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from barograph.data.calendars import sessions
from barograph.data.checks import check
from barograph.data.exdates import slope, verdict
from barograph.data.findings import Finding
from barograph.data.history import History
from barograph.data.reading import read
from barograph.data.table import Reading
from barograph.epoch import HOUR
from barograph.errors import DataError
from tests.campaigns.exdates import Share, counted, nights

TEN_YEARS = Share(10, 4, 0.02, 0.006)


def found(frame: pd.DataFrame) -> dict[str, Finding]:
    return {one.code: one for one in check(read(frame, Reading(source="abc.csv")))}


def share(adjusted: bool, paid: float = 0.006, years: int = 12, seed: int = 0) -> pd.DataFrame:
    """Daily bars of a share that pays every 63 days, raw or adjusted, its dividends beside it."""
    days = sessions("XNYS", np.datetime64("2010-01-01"), np.datetime64("2023-12-29")).days[: 252 * years]
    rng = np.random.default_rng(seed)
    night, day = 0.004 * rng.standard_normal(len(days)), 0.008 * rng.standard_normal(len(days))
    due = np.where(np.arange(len(days)) % 63 == 40, paid, 0.0)
    total = 100.0 * np.exp(np.cumsum(night + day))
    factor = np.ones(len(days)) if adjusted else np.cumprod(1.0 - due)
    close = total * factor
    opened = close / np.exp(day)
    last = np.concatenate([[100.0], close[:-1]])
    columns = {"open": opened, "high": np.maximum(opened, close) * 1.002, "low": np.minimum(opened, close) * 0.998}
    others = {"close": close, "volume": 1000.0 + np.arange(len(days)), "dividend": due * last}
    return pd.DataFrame(columns | others, index=pd.DatetimeIndex(days))


@pytest.mark.parametrize("seed", range(3))
def test_adjusted_prices_with_dividends_beside_them_are_refused_and_raw_ones_are_not(seed: int) -> None:
    adjusted = found(share(adjusted=True, seed=seed))["dividend_without_drop"]
    assert adjusted.severity == "error"
    assert "adjusted already, and dividends would count twice" in adjusted.message
    assert found(share(adjusted=False, seed=seed)) == {}
    with pytest.raises(DataError, match=r'dividend_without_drop.*columns = \{dividend = ""\}'):
        History.from_pandas(share(adjusted=True, seed=seed))
    left_out = History.from_pandas(share(adjusted=True, seed=seed), columns={"dividend": ""})
    assert left_out.dividends is None


def test_few_dividends_are_noted_and_refuse_nothing() -> None:
    for adjusted in (True, False):
        noted = found(share(adjusted, paid=0.003, years=1))["undecided_dividends"]
        assert (noted.severity, noted.count) == ("warning", 4)


def test_closes_alone_and_bars_within_a_day_are_asked_at_their_nights() -> None:
    for adjusted in (True, False):
        closes = share(adjusted, paid=0.02)[["close", "volume", "dividend"]]
        assert ("dividend_without_drop" in found(closes)) == adjusted
        known = sessions("XNYS", np.datetime64("2010-01-01"), np.datetime64("2023-12-29"))
        whole = share(adjusted)
        ends = np.stack([known.closes[: len(whole)] - 3 * HOUR, known.closes[: len(whole)]], axis=1).ravel()
        halves = whole.loc[whole.index.repeat(2)].set_axis(pd.DatetimeIndex(ends, tz="UTC"), axis=0)
        halves.iloc[1::2, halves.columns.get_loc("dividend")] = 0.0
        halves.iloc[1::2, halves.columns.get_loc("open")] = halves["close"].iloc[1::2]
        halves["volume"] = 1000.0 + np.arange(len(halves))
        assert ("dividend_without_drop" in found(halves)) == adjusted


def test_no_single_night_decides() -> None:
    rng = np.random.default_rng(3)
    night, paid = 0.004 * rng.standard_normal(2520), np.zeros(2520)
    paid[1000] = 0.05
    night[1000] += 0.03
    assert verdict(slope(night, paid)) == "undecided"
    raw, paid = nights(TEN_YEARS, True, 0, rng)
    worst = np.flatnonzero(paid)[5]
    raw[worst] = 0.4
    assert verdict(slope(raw, paid)) == "raw"


def test_the_errors_are_as_rare_as_the_guide_says() -> None:
    for tail in (0, 3):
        assert counted(TEN_YEARS, True, tail, 40, 1)["adjusted"] == 0
        assert counted(TEN_YEARS, False, tail, 40, 1)["raw"] == 0
        assert counted(TEN_YEARS, False, tail, 40, 1)["adjusted"] >= 36
