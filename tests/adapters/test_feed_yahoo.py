"""The feed of Yahoo's bars, with the real yfinance, against a Yahoo that runs here: right bars, or one useful line."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.config.parts import Part, make
from barograph.data.history import FIELDS, History
from barograph.epoch import FIRST
from barograph.errors import ConfigError, DataError, FeedError, IncompleteError
from barograph_adapters._retry import BusyError, retried
from barograph_adapters.feeds import yahoo as module
from barograph_adapters.feeds.yahoo import INTERVALS, yahoo
from tests.fakes.yahoo import BROKEN, SPOILT, Clock, FakeYahoo, Share, at, rerouted, walk

HARMLESS = {"duplicated", "reordered", "other time zone", "null row", "null close", "null last"}
MONDAY, FRIDAY = at("2024-07-01T20:00"), at("2024-07-05T20:00")
EVENING = at("2024-07-05T20:05")


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    import yfinance

    yfinance.cache.set_cache_location(str(tmp_path_factory.mktemp("yfinance")))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeYahoo]:
    shares = {"SPY": Share(walk("2024-01-02", "2024-07-12", 1)), "TLT": Share(walk("2024-01-02", "2024-07-12", 2))}
    server = FakeYahoo(shares, EVENING)
    with server.running():
        rerouted(monkeypatch, server)
        yield server


def feed(fake: FakeYahoo, *symbols: str, **words: Any) -> Any:
    words = {"tries": 1, "timeout": 5.0, **words}
    return yahoo(list(symbols) or ["SPY"], clock=words.pop("clock", Clock(fake.now)), **words)


def truth(share: Share, first: str, last: str) -> pd.DataFrame:
    return share.bars.loc[pd.Timestamp(first) : pd.Timestamp(last)]


def equal(history: History, column: int, bars: pd.DataFrame) -> None:
    assert len(history) == len(bars)
    for name in FIELDS:
        assert np.array_equal(getattr(history, name)[:, column], bars[name].to_numpy(dtype=float)), name


def same(one: History, other: History) -> bool:
    return one.digest() == other.digest()


def error_of(call: Callable[[], Any]) -> DataError:
    with pytest.raises(DataError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("yahoo: ")
    assert len(line) < 300
    assert "Secr3t" not in line
    return caught.value


# ---- right bars


def test_the_bars_of_the_span_and_no_others(fake: FakeYahoo) -> None:
    history = feed(fake, "SPY", "TLT").fetch(MONDAY, FRIDAY)
    assert history.symbols == ("SPY", "TLT")
    assert [pd.Timestamp(t).isoformat() for t in history.ts] == [
        "2024-07-02T20:00:00",
        "2024-07-03T17:00:00",
        "2024-07-05T20:00:00",
    ]
    equal(history, 0, truth(fake.shares["SPY"], "2024-07-02", "2024-07-05"))
    equal(history, 1, truth(fake.shares["TLT"], "2024-07-02", "2024-07-05"))
    assert (history.source, history.currency, history.calendar) == ("yahoo", "USD", "XNYS")


def test_what_is_asked_for_is_never_adjusted(fake: FakeYahoo) -> None:
    """The fake's adjusted close is nine tenths of the close; a feed that took it would be seen."""
    fake.shares["SPY"].dividends["2024-07-03"] = 0.5
    history = feed(fake).fetch(MONDAY, FRIDAY)
    equal(history, 0, truth(fake.shares["SPY"], "2024-07-02", "2024-07-05"))
    assert history.dividends[:, 0].tolist() == [0.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("now", "last_trade", "final"),
    [
        ("2024-07-05T18:00", None, False),
        ("2024-07-05T20:00", None, False),
        ("2024-07-05T20:00:29", None, False),
        ("2024-07-05T20:00:31", None, True),
        ("2024-07-05T20:05", "2024-07-05T19:45", False),
        ("2024-07-05T20:19:59", "2024-07-05T19:59:59", False),
        ("2024-07-05T20:21", "2024-07-05T19:45", True),
    ],
)
def test_a_bar_is_final_after_its_close_once_its_end_was_seen(
    fake: FakeYahoo, now: str, last_trade: str | None, final: bool
) -> None:
    fake.now = at(now)
    fake.shares["SPY"].last_trade = None if last_trade is None else at(last_trade)
    history = feed(fake).fetch(MONDAY, fake.now)
    assert bool(history.ts[-1] == FRIDAY) is final
    equal(history, 0, truth(fake.shares["SPY"], "2024-07-02", "2024-07-05" if final else "2024-07-03"))


def test_a_half_day_is_final_at_noon(fake: FakeYahoo) -> None:
    fake.now = at("2024-07-03T17:01")
    assert feed(fake).fetch(MONDAY, fake.now).ts[-1] == at("2024-07-03T17:00")


def test_nothing_is_shown_before_until(fake: FakeYahoo) -> None:
    assert feed(fake).fetch(MONDAY, FRIDAY - 1).ts[-1] == at("2024-07-03T17:00")


def test_without_a_session_nothing_is_asked(fake: FakeYahoo) -> None:
    assert feed(fake).fetch(FRIDAY, at("2024-07-07T20:00")) is None
    assert feed(fake, start="2024-07-06").fetch(MONDAY, EVENING) is None
    assert fake.asked == []


def test_start_bounds_what_is_asked(fake: FakeYahoo) -> None:
    assert feed(fake, start="2024-07-03").fetch(0, EVENING).ts[0] == at("2024-07-03T17:00")


def test_a_bar_that_is_not_there_yet_is_none(fake: FakeYahoo) -> None:
    fake.shares["SPY"].bars = walk("2024-01-02", "2024-07-03", 1)
    assert feed(fake).fetch(at("2024-07-03T17:00"), EVENING) is None


def test_one_asset_without_a_bar_is_nan(fake: FakeYahoo) -> None:
    fake.shares["SPY"].bars = walk("2024-01-02", "2024-07-03", 1)
    history = feed(fake, "SPY", "TLT").fetch(at("2024-07-03T17:00"), EVENING)
    assert history.symbols == ("SPY", "TLT")
    assert np.isnan(history.close[0, 0])
    assert history.close[0, 1] == fake.shares["TLT"].bars["close"].loc["2024-07-05"]


def test_names_of_our_own_and_observed_assets(fake: FakeYahoo) -> None:
    fake.shares["^GSPC"] = Share(walk("2024-01-02", "2024-07-12", 3), kind="INDEX")
    found = yahoo({"SP500": "^GSPC", "SPY": "SPY"}, observed=["SP500"], clock=Clock(fake.now), tries=1)
    history = found.fetch(MONDAY, FRIDAY)
    assert history.symbols == ("SP500", "SPY")
    assert history.traded == (False, True)
    equal(history, 0, truth(fake.shares["^GSPC"], "2024-07-02", "2024-07-05"))


def test_an_index_of_another_exchange_is_waited_for(fake: FakeYahoo) -> None:
    """Chicago goes on after New York's close: at 20:05 its day may still change."""
    share = Share(walk("2024-01-02", "2024-07-12", 4), calendar="XCBF", zone="America/Chicago", kind="INDEX")
    fake.shares["^VIX"] = share
    assert feed(fake, "^VIX").fetch(MONDAY, EVENING).ts[-1] == at("2024-07-03T17:00")
    fake.now = at("2024-07-05T20:17")
    assert feed(fake, "^VIX").fetch(MONDAY, fake.now).ts[-1] == FRIDAY


def test_round_the_clock(fake: FakeYahoo) -> None:
    fake.shares["BTC-USD"] = Share(walk("2024-06-01", "2024-07-12", 5, "24/7"), "24/7", "UTC", kind="CRYPTOCURRENCY")
    history = feed(fake, "BTC-USD", calendar="24/7").fetch(at("2024-07-04"), EVENING)
    assert [str(pd.Timestamp(t)) for t in history.ts] == ["2024-07-05 00:00:00"]
    equal(history, 0, truth(fake.shares["BTC-USD"], "2024-07-04", "2024-07-04"))


def test_a_volume_of_nothing_is_unknown(fake: FakeYahoo) -> None:
    fake.shares["SPY"].bars = fake.shares["SPY"].bars.assign(volume=0)
    assert np.isnan(feed(fake).fetch(MONDAY, FRIDAY).volume).all()


def test_both_changes_of_the_clock(fake: FakeYahoo) -> None:
    fake.shares["DST"] = Share(walk("2023-10-02", "2024-04-30", 6))
    fake.now = at("2024-04-01T20:05")
    history = feed(fake, "DST").fetch(at("2023-10-27T20:00"), fake.now)
    hours = {str(pd.Timestamp(t).date()): pd.Timestamp(t).hour for t in history.ts}
    assert (hours["2023-11-03"], hours["2023-11-06"]) == (20, 21)
    assert (hours["2024-03-08"], hours["2024-03-11"]) == (21, 20)
    equal(history, 0, truth(fake.shares["DST"], "2023-10-30", "2024-04-01"))


# ---- splits and dividends


def split_share(ratio: float, day: str = "2024-06-26") -> Share:
    bars = walk("2024-01-02", "2024-07-12", 7)
    bars.loc[pd.Timestamp(day) :, ["open", "high", "low", "close"]] /= ratio
    return Share(bars, splits={day: ratio}, dividends={"2024-06-24": 1.5, "2024-07-02": 0.25})


@pytest.mark.parametrize("ratio", [4.0, 2.0, 3.0, 0.1, 1.05])
def test_a_split_changes_no_bar_that_was_seen(fake: FakeYahoo, ratio: float) -> None:
    fake.shares["SPL"] = split_share(ratio)
    fake.now = at("2024-06-25T20:05")
    before = feed(fake, "SPL").fetch(at("2024-06-14T20:00"), fake.now)
    fake.now = EVENING
    later = feed(fake, "SPL").fetch(at("2024-06-14T20:00"), fake.now)
    for name in (*FIELDS, "dividends", "splits"):
        np.testing.assert_allclose(getattr(later, name)[: len(before)], getattr(before, name), rtol=1e-12)
    rows = {str(pd.Timestamp(t).date()): row for row, t in enumerate(later.ts)}
    assert later.splits[rows["2024-06-26"], 0] == ratio
    assert (later.splits != 1.0).sum() == 1
    assert later.dividends[rows["2024-06-24"], 0] == pytest.approx(1.5, rel=1e-12)
    assert later.dividends[rows["2024-07-02"], 0] == 0.25
    bars = truth(fake.shares["SPL"], "2024-06-17", "2024-07-05")
    np.testing.assert_allclose(later.close[:, 0], bars["close"], rtol=1e-12)
    np.testing.assert_allclose(later.volume[:, 0], bars["volume"], rtol=1e-4)


def test_two_splits_multiply(fake: FakeYahoo) -> None:
    share = split_share(4.0)
    share.bars.loc[pd.Timestamp("2024-07-02") :, ["open", "high", "low", "close"]] /= 2.0
    share.splits["2024-07-02"] = 2.0
    fake.shares["TWO"] = share
    history = feed(fake, "TWO").fetch(at("2024-06-20T20:00"), EVENING)
    np.testing.assert_allclose(history.close[:, 0], truth(share, "2024-06-21", "2024-07-05")["close"], rtol=1e-12)


def test_a_split_that_yahoo_has_not_applied_yet(fake: FakeYahoo) -> None:
    fake.shares["LATE"] = split_share(4.0)
    fake.shares["LATE"].scaled = False
    history = feed(fake, "LATE").fetch(at("2024-06-14T20:00"), EVENING)
    equal(history, 0, truth(fake.shares["LATE"], "2024-06-17", "2024-07-05"))
    assert history.splits.max() == 4.0


def test_a_split_without_a_price_since_is_waited_for(fake: FakeYahoo) -> None:
    share = split_share(4.0, "2024-07-05")
    share.bars.loc[pd.Timestamp("2024-07-05") :] = np.nan
    share.bars["volume"] = share.bars["volume"].fillna(0.0)
    fake.shares["NOW"] = share
    fake.now = at("2024-07-05T13:31")
    assert "split" in str(error_of(lambda: feed(fake, "NOW").fetch(MONDAY, fake.now)))


def test_a_dividend_on_a_day_without_a_bar_waits_for_the_next_one(fake: FakeYahoo) -> None:
    share = fake.shares["SPY"]
    share.bars.loc[pd.Timestamp("2024-07-02"), ["open", "high", "low", "close"]] = np.nan
    share.dividends["2024-07-02"] = 0.75
    history = feed(fake).fetch(at("2024-07-02T20:00"), EVENING)
    assert history.dividends[:, 0].tolist() == [0.75, 0.0]


@pytest.mark.parametrize(("paid", "gains", "credited"), [(2.0, 1.5, 2.0), (0.5, 1.5, 2.0)])
def test_capital_gains_of_a_fund_are_paid_once(fake: FakeYahoo, paid: float, gains: float, credited: float) -> None:
    share = Share(walk("2024-01-02", "2024-07-12", 8), kind="ETF")
    share.dividends["2024-07-02"], share.gains["2024-07-02"] = paid, gains
    fake.shares["FUND"] = share
    assert feed(fake, "FUND").fetch(MONDAY, EVENING).dividends[0, 0] == credited


# ---- within a day


@pytest.mark.parametrize("interval", [name for name in INTERVALS if name != "1d"])
def test_bars_within_a_day(fake: FakeYahoo, interval: str) -> None:
    """A bar closes one spacing after its open, the last with its session; on 2024-07-03 that is 17:00."""
    fake.now = at("2024-07-03T16:47")
    length = INTERVALS[interval][0]
    history = feed(fake, interval=interval).fetch(at("2024-07-02T20:00"), fake.now)
    opened = at("2024-07-03T13:30")
    wanted = [t for t in range(opened + length, at("2024-07-03T17:00"), length) if t + 30_000_000_000 <= fake.now]
    assert history.ts.tolist() == wanted
    fake.now = at("2024-07-03T17:05")
    assert feed(fake, interval=interval).fetch(wanted[-1], fake.now).ts[-1] == at("2024-07-03T17:00")


def test_prices_within_a_day(fake: FakeYahoo) -> None:
    fake.now = at("2024-07-03T17:05")
    history = feed(fake, interval="1h").fetch(at("2024-07-02T20:00"), fake.now)
    bar = fake.shares["SPY"].bars.loc["2024-07-03"]
    assert history.open[0, 0] == bar["open"]
    assert history.close[-1, 0] == bar["close"]
    assert np.array_equal(history.open[1:, 0], history.close[:-1, 0])


def test_a_split_within_a_day(fake: FakeYahoo) -> None:
    share = split_share(4.0, "2024-07-03")
    fake.shares["INT"], fake.now = share, at("2024-07-05T20:05")
    history = feed(fake, "INT", interval="1h").fetch(at("2024-07-01T20:00"), fake.now)
    assert history.splits[:, 0].tolist().count(4.0) == 1
    assert history.splits[int(np.searchsorted(history.ts, at("2024-07-03T14:30"))), 0] == 4.0
    assert history.open[0, 0] == share.bars["open"].loc["2024-07-02"]
    assert history.close[-1, 0] == share.bars["close"].loc["2024-07-05"]


def test_bars_outside_the_session_are_none(fake: FakeYahoo) -> None:
    """A share that trades all night, on the calendar of New York."""
    fake.shares["NIGHT"] = Share(walk("2024-06-24", "2024-07-05", 10, "24/7"), "24/7", "UTC")
    history = feed(fake, "NIGHT", interval="1h").fetch(at("2024-07-02T20:00"), EVENING)
    assert {pd.Timestamp(t).hour for t in history.ts} == set(range(15, 21)) | {17}
    assert {str(pd.Timestamp(t).date()) for t in history.ts} == {"2024-07-03", "2024-07-05"}


def test_no_more_is_asked_than_yahoo_keeps(fake: FakeYahoo) -> None:
    assert feed(fake, interval="1m").fetch(0, EVENING).ts[0] > at("2024-06-27")


# ---- faults


@pytest.mark.parametrize("fault", [*BROKEN, *(name for name in SPOILT if name not in HARMLESS)])
def test_a_fault_is_one_useful_line_and_is_forgotten(fake: FakeYahoo, fault: str, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    wanted = feed(fake).fetch(MONDAY, FRIDAY)
    fake.fault = lambda: fault
    asked = feed(fake, timeout=0.3)
    error = error_of(lambda: asked.fetch(MONDAY, FRIDAY))
    assert isinstance(error, FeedError)
    assert "SPY" in str(error)
    assert "Secr3t" not in caplog.text
    fake.fault = lambda: None
    assert same(asked.fetch(MONDAY, FRIDAY), wanted)


@pytest.mark.parametrize("interval", ["1d", "1h"])
def test_what_does_no_harm(fake: FakeYahoo, interval: str) -> None:
    wanted = feed(fake, interval=interval).fetch(MONDAY, FRIDAY)
    for fault in ("duplicated", "reordered", *(["other time zone"] if interval == "1d" else [])):
        fake.fault = lambda fault=fault: fault  # type: ignore[misc]
        assert same(feed(fake, interval=interval).fetch(MONDAY, FRIDAY), wanted), fault


@pytest.mark.parametrize(("fault", "code"), [("impossible", "impossible_ohlc"), ("free", "non_positive_price")])
def test_what_is_accepted_comes_as_it_is(fake: FakeYahoo, fault: str, code: str) -> None:
    wanted = feed(fake).fetch(MONDAY, FRIDAY)
    fake.fault = lambda: fault
    assert code in str(error_of(lambda: feed(fake).fetch(MONDAY, FRIDAY)))
    history = feed(fake, accept=[code]).fetch(MONDAY, FRIDAY)
    assert np.array_equal(history.low, wanted.low * (3.0 if fault == "impossible" else 0.0))


def test_all_there_is_as_data(fake: FakeYahoo) -> None:
    fake.shares["SPY"].dividends["2024-02-15"] = 1.0
    history = feed(fake).fetch(FIRST, EVENING)
    equal(history, 0, truth(fake.shares["SPY"], "2024-01-02", "2024-07-05"))
    assert history.dividends.sum() == 1.0


@pytest.mark.parametrize(("fault", "rows"), [("null row", [0, 2]), ("null close", [0, 1]), ("null last", [0, 1])])
def test_a_row_that_is_not_whole_is_no_bar(fake: FakeYahoo, fault: str, rows: list[int]) -> None:
    wanted = feed(fake).fetch(MONDAY, FRIDAY)
    fake.fault = lambda: fault
    assert feed(fake).fetch(MONDAY, FRIDAY).ts.tolist() == wanted.ts[rows].tolist()


@pytest.mark.parametrize(
    ("fault", "words"),
    [("web page", "no JSON"), ("no rows", "empty table"), ("wrong symbol", "'OTHER'"), ("503", "HTTP 503"),
     ("timed out", "within 0.3 s"), ("future", "clock"), ("wrong interval", "1mo"), ("429", "too many requests")],
)  # fmt: skip
def test_the_line_says_what_it_was(fake: FakeYahoo, fault: str, words: str) -> None:
    fake.fault = lambda: fault
    assert words in str(error_of(lambda: feed(fake, timeout=0.3).fetch(MONDAY, FRIDAY)))


def test_a_bar_that_was_revised_is_read_again(fake: FakeYahoo) -> None:
    """yfinance keeps the answers of past spans for as long as the process runs."""
    asked = feed(fake)
    asked.fetch(MONDAY, FRIDAY)
    fake.shares["SPY"].bars.loc[pd.Timestamp("2024-07-02"), "close"] += 0.01
    equal(asked.fetch(MONDAY, FRIDAY), 0, truth(fake.shares["SPY"], "2024-07-02", "2024-07-05"))


def test_an_unknown_symbol_is_the_users(fake: FakeYahoo) -> None:
    together = error_of(lambda: feed(fake, "SPY", "NOPE", tries=3).fetch(MONDAY, FRIDAY))
    assert isinstance(together, IncompleteError)
    assert list(together.missing) == ["NOPE"]
    assert np.isfinite(together.history.close[:, 0]).all()
    assert np.isnan(together.history.close[:, 1]).all()
    error = error_of(lambda: feed(fake, "NOPE", tries=3).fetch(MONDAY, FRIDAY))
    assert not isinstance(error, FeedError)
    assert "NOPE" in str(error)


def test_it_waits_as_long_as_it_is_told_but_not_for_hours(fake: FakeYahoo) -> None:
    clock = Clock(fake.now)
    faults = iter(["429", "500", None])
    fake.fault = lambda: next(faults)
    monkeyed = feed(fake, tries=3, clock=clock)
    # yfinance itself asks a second time after a status above 400.
    faults = iter(["429", "429", "500", "500", None])
    assert len(monkeyed.fetch(MONDAY, FRIDAY)) == 3
    assert len(clock.slept) == 2
    fake.fault = lambda: "429 for long"
    with pytest.raises(BusyError):
        monkeyed.fetch(MONDAY, FRIDAY)
    assert len(clock.slept) == 2


def test_all_waiting_ends(fake: FakeYahoo) -> None:
    fake.fault, fake.slow = (lambda: "dripping"), 0.5
    clock = Clock(fake.now)
    assert "tried 2 times" in str(error_of(lambda: feed(fake, tries=2, timeout=0.1, clock=clock).fetch(MONDAY, FRIDAY)))


def test_a_server_that_is_gone(fake: FakeYahoo, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.url = "http://127.0.0.1:9"
    assert "cannot be reached" in str(error_of(lambda: feed(fake, timeout=0.5).fetch(MONDAY, FRIDAY)))


# ---- clocks


def test_our_clock_is_ahead(fake: FakeYahoo) -> None:
    """The server says 18:00: today's bar is partial, whatever our clock says."""
    fake.now = at("2024-07-05T18:00")
    history = feed(fake, clock=Clock(at("2024-07-05T22:00"))).fetch(MONDAY, at("2024-07-05T22:00"))
    assert history.ts[-1] == at("2024-07-03T17:00")


def test_our_clock_is_behind(fake: FakeYahoo) -> None:
    fake.now, clock = at("2024-07-05T18:00"), Clock(at("2024-07-05T12:00"))
    assert "clock" in str(error_of(lambda: feed(fake, clock=clock).fetch(MONDAY, clock.moment)))


# ---- a long run


def test_three_hundred_looks_with_faults_are_those_without(fake: FakeYahoo) -> None:
    """One in twenty answers is broken or spoilt; behind `retried` every look ends as if none had been."""
    fake.shares["LONG"] = share = Share(walk("2023-01-03", "2024-07-12", 9))
    share.splits["2023-06-05"], share.dividends["2023-03-15"] = 2.0, 0.4
    share.bars.loc[: pd.Timestamp("2023-06-02"), ["open", "high", "low", "close"]] *= 2.0
    days = share.bars.index[20:320]
    rng = random.Random(3)
    quick = [name for name in (*BROKEN, *SPOILT) if name not in {"timed out", "dripping", "429 for long"} | HARMLESS]
    faults: list[str] = []

    def sometimes() -> str | None:
        if rng.random() >= 0.05:
            return None
        faults.append(rng.choice(quick))
        return faults[-1]

    clock, last = Clock(0), at(f"{days[0].date()}T12:00")
    asked = yahoo(["LONG"], clock=clock, tries=1)
    fake.now = clock.moment = at(f"{days[-1].date()}T21:05")
    without = asked.fetch(last, clock.moment)
    assert without is not None
    assert len(without) == 300
    fake.fault = sometimes
    for row, day in enumerate(days):
        fake.now = clock.moment = at(f"{day.date()}T21:05")
        found = retried(partial(asked.fetch, last, clock.moment), "yahoo", 8, sleep=clock.sleep)
        assert same(found, without.slice(row, row + 1))
        last = int(found.ts[-1])
    assert len(faults) > 8
    equal(without, 0, share.bars.loc[days])


# ---- words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"symbols": []}, "symbols"),
        ({"symbols": ["SPY", "SPY"]}, "symbols"),
        ({"symbols": ["SPY"], "observed": ["SPX"]}, "did you mean 'SPY'"),
        ({"symbols": ["SPY"], "interval": "4h"}, "interval"),
        ({"symbols": ["SPY"], "timeout": 0.0}, "timeout"),
        ({"symbols": ["SPY"], "tries": 0}, "tries"),
    ],
)
def test_what_cannot_be_asked(words: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        yahoo(**words)


def test_an_unknown_calendar_is_told_at_once() -> None:
    with pytest.raises(DataError, match="XNYX"):
        yahoo(["SPY"], calendar="XNYX")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[live\]'"):
        yahoo(["SPY"])


def test_from_a_config(fake: FakeYahoo, tmp_path: Path) -> None:
    plain = {"use": "barograph_adapters.feeds.yahoo:yahoo", "symbols": ["SPY"], "interval": "1h", "observed": ["SPY"]}
    assert make(Part.model_validate(plain), "paper.feeds.0", tmp_path).name == "yahoo"
    table = {"use": "barograph_adapters.feeds.yahoo:yahoo", "symbols": {"SP500": "^GSPC"}, "name": "index"}
    assert make(Part.model_validate(table), "paper.feeds.0", tmp_path).name == "index"


def test_nothing_heavy_is_imported_before_it_is_asked() -> None:
    code = (
        "import sys; from barograph_adapters.feeds import yahoo, stooq, database, loaded; yahoo.yahoo(['SPY']); "
        "sys.exit(' '.join({'yfinance', 'curl_cffi', 'sqlalchemy', 'requests'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
