"""Candles of an exchange over REST: ccxt's own client against an exchange on loopback, with every fault there is."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from barograph.data.history import History
from barograph.errors import ConfigError, DataError, FeedError
from barograph.types import Feed
from barograph_adapters import _ccxt
from barograph_adapters.feeds import exchange as module
from barograph_adapters.feeds._candles import MS, bars, checked
from barograph_adapters.feeds.exchange import Exchange, exchange
from tests.fakes.exchange import AFTER, BEFORE, HOUR, MINUTE, STEPS, FakeExchange, candle

NOON = 1_700_000_000_000 // HOUR * HOUR
NS = HOUR * MS


@pytest.fixture
def fake() -> Iterator[FakeExchange]:
    with FakeExchange(moment=NOON + 5 * MINUTE) as server:
        yield server


def feed_of(fake: FakeExchange, *symbols: str, **more: Any) -> Exchange:
    given = {"interval": "1h", "options": fake.options(), "sleep": lambda _: None, **more}
    return Exchange("binance", symbols or ("BTC/USDT",), **given)


def truth(symbol: str, opens: list[int], step: int = HOUR) -> np.ndarray:
    return np.array([candle(symbol, opened, step)[1:] for opened in opens])


def agree(history: History, column: int, symbol: str, opens: list[int], step: int = HOUR) -> None:
    fields = np.column_stack([getattr(history, name)[:, column] for name in ("open", "high", "low", "close", "volume")])
    assert history.ts.tolist() == [(opened + step) * MS for opened in opens]
    np.testing.assert_array_equal(fields, truth(symbol, opens, step))


def test_bars_are_stamped_with_their_close_and_the_running_candle_is_left_out(fake: FakeExchange) -> None:
    feed = exchange("binance", ["BTC/USDT", "ETH/USDT"], "1h", options=fake.options())
    history = feed.fetch(NOON * MS - 10 * NS, NOON * MS + 10 * NS)
    assert isinstance(feed, Feed)
    assert history is not None
    assert (history.symbols, history.calendar, history.source) == (("BTC/USDT", "ETH/USDT"), "24/7", "binance")
    opens = [NOON - (10 - k) * HOUR for k in range(10)]
    agree(history, 0, "BTCUSDT", opens)
    agree(history, 1, "ETHUSDT", opens)


def test_the_span_is_open_at_its_start_and_closed_at_its_end(fake: FakeExchange) -> None:
    fetch = feed_of(fake)
    close = NOON * MS - 3 * NS
    assert fetch(close, close + NS - 1) is None
    first, second = fetch(close - 1, close), fetch(close, close + NS)
    assert first is not None
    assert second is not None
    assert first.ts.tolist() == [close]
    assert second.ts.tolist() == [close + NS]


@pytest.mark.parametrize("interval", sorted(STEPS))
@pytest.mark.parametrize("page", [1, 3, 4, 1000])
def test_pages_join_to_the_same_bars(fake: FakeExchange, interval: str, page: int) -> None:
    step = STEPS[interval]
    shift = 4 * 24 * HOUR if interval == "1w" else 0
    last = (fake.moment or 0) - 2000 - step
    opens = [(last - shift) // step * step + shift - (11 - k) * step for k in range(12)]
    history = feed_of(fake, interval=interval, page=page)((opens[0] + step) * MS - 1, fake.clock() * MS)
    assert history is not None
    agree(history, 0, "BTCUSDT", opens, step)
    assert len(fake.asked("GET klines")) <= 12 // page + 2


@pytest.mark.parametrize("late", [0, 1999, 2000, 2001])
def test_a_candle_counts_when_it_closed_two_seconds_ago_by_the_clock_of_the_exchange(
    fake: FakeExchange, late: int
) -> None:
    fake.moment = NOON + late
    found = feed_of(fake)(NOON * MS - NS, NOON * MS + 9 * NS)
    assert (found is not None) == (late >= 2000)


def test_a_clock_of_ours_that_is_ahead_gets_no_unfinished_candle(fake: FakeExchange) -> None:
    fake.skew = -7 * MINUTE  # at the exchange it is two minutes to noon; here it is long past
    history = feed_of(fake)(NOON * MS - 3 * NS, NOON * MS + 10 * NS)
    assert history is not None
    agree(history, 0, "BTCUSDT", [NOON - 3 * HOUR, NOON - 2 * HOUR])


def test_an_exchange_without_a_clock_proves_a_candle_by_the_next_one(fake: FakeExchange) -> None:
    fetch = feed_of(fake, page=3)
    fetch.client.has["fetchTime"] = False
    fetch.client.milliseconds = lambda: NOON + 90 * MINUTE  # ours is ahead, and must not count
    for _ in range(2):
        history = fetch(NOON * MS - 3 * NS, NOON * MS)
        assert history is not None
        agree(history, 0, "BTCUSDT", [NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR])
    found = fetch(NOON * MS - NS, NOON * MS + 10 * NS)
    assert found is not None
    assert found.ts.tolist() == [NOON * MS]


def test_an_exchange_that_answers_with_more_than_was_asked_is_cut(fake: FakeExchange) -> None:
    fetch = feed_of(fake)
    plain = fetch.client.fetch_ohlcv
    fetch.client.fetch_ohlcv = lambda symbol, interval, *_: plain(symbol, interval, NOON - 20 * HOUR, 1000)
    history = fetch(NOON * MS - 3 * NS, NOON * MS - NS)
    assert history is not None
    agree(history, 0, "BTCUSDT", [NOON - 3 * HOUR, NOON - 2 * HOUR])


def test_a_gap_stays_a_gap_and_a_missing_asset_is_nan(fake: FakeExchange) -> None:
    opens = [NOON - (6 - k) * HOUR for k in range(6)]
    fake.missing = {("BTCUSDT", opens[1]), ("ETHUSDT", opens[1]), ("ETHUSDT", opens[4]), ("ETHUSDT", opens[5])}
    history = feed_of(fake, "BTC/USDT", "ETH/USDT", page=2)(NOON * MS - 6 * NS, NOON * MS)
    assert history is not None
    agree(history, 0, "BTCUSDT", [opens[k] for k in (0, 2, 3, 4, 5)])
    assert np.isnan(history.close[:, 1]).tolist() == [False, False, False, True, True]
    np.testing.assert_array_equal(history.close[:3, 1], truth("ETHUSDT", [opens[k] for k in (0, 2, 3)])[:, 3])


def test_an_exchange_that_answers_a_long_gap_with_nothing_is_asked_on(fake: FakeExchange) -> None:
    def window(symbol: str, rows: list[list[Any]]) -> list[list[Any]]:
        since = int(fake.asked("GET klines")[-1]["startTime"])
        return [row for row in rows if row[0] < since + 3 * HOUR]

    fake.mangle = window
    opens = [NOON - (20 - k) * HOUR for k in range(20)]
    fake.missing = {("BTCUSDT", opened) for opened in opens[2:15]}
    history = feed_of(fake, page=3)(NOON * MS - 20 * NS, NOON * MS)
    assert history is not None
    agree(history, 0, "BTCUSDT", [*opens[:2], *opens[15:]])


def test_an_asset_that_was_listed_later_begins_later(fake: FakeExchange) -> None:
    fake.first = NOON - 3 * HOUR
    history = feed_of(fake, page=2)(0, NOON * MS)
    assert history is not None
    agree(history, 0, "BTCUSDT", [NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR])


def test_symbols_may_have_names_of_ours_be_observed_and_begin_later(fake: FakeExchange) -> None:
    names = {"BTC": "BTC/USDT", "RATIO": "ETH/BTC"}
    start = np.datetime64(NOON - 2 * HOUR, "ms").astype("M8[ns]")
    history = exchange("binance", names, "1h", start=str(start), observed=["RATIO"], options=fake.options()).fetch(
        0, NOON * MS
    )
    assert history is not None
    assert (history.symbols, history.traded) == (("BTC", "RATIO"), (True, False))
    agree(history, 0, "BTCUSDT", [NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR])
    agree(history, 1, "ETHBTC", [NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR])


def test_nothing_new_is_none(fake: FakeExchange) -> None:
    assert feed_of(fake)(NOON * MS, NOON * MS + NS - 1) is None


@pytest.mark.parametrize("fault", [*BEFORE, *AFTER])
@pytest.mark.parametrize("at", range(4))
def test_every_fault_is_tried_again_at_every_request(fake: FakeExchange, fault: str, at: int) -> None:
    fake.faults.extend([""] * at + [fault])
    history = feed_of(fake, "BTC/USDT", "ETH/USDT")(NOON * MS - 3 * NS, NOON * MS)
    assert history is not None
    agree(history, 0, "BTCUSDT", [NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR])
    assert fake.met[fault] == 1


@pytest.mark.parametrize("fault", [*BEFORE, *AFTER])
def test_a_fault_that_stays_is_one_line_and_no_bars(fake: FakeExchange, fault: str) -> None:
    fetch = feed_of(fake, tries=2)
    assert fetch(NOON * MS - NS, NOON * MS) is not None
    fake.faults.extend(["", fault, fault])  # the clock answers, the candles do not
    with pytest.raises(FeedError, match=r"^binance: \w+: .*\(tried 2 times\)$") as told:
        fetch(NOON * MS - NS, NOON * MS)
    assert "\n" not in str(told.value)
    assert "startTime" not in str(told.value)
    assert told.value.__cause__ is None or isinstance(told.value.__cause__, FeedError)
    assert len(fake.asked("GET klines")) == 3


def test_back_off_grows_and_obeys_retry_after(fake: FakeExchange) -> None:
    waits: list[float] = []
    fetch = feed_of(fake, sleep=waits.append, tries=5)
    fake.faults.extend(["500", "500", "500", "500"])
    fetch(NOON * MS - NS, NOON * MS)
    bounds = [(0.25, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 4.0)]
    assert all(low <= wait <= high for wait, (low, high) in zip(waits, bounds, strict=True))
    waits.clear()
    fake.retry_after = "17"
    fake.faults.extend(["429"])
    fetch(NOON * MS - NS, NOON * MS)
    assert waits == [17.0]


def test_a_ban_for_hours_is_told_at_once(fake: FakeExchange) -> None:
    waits: list[float] = []
    fake.retry_after = "7200"
    fake.faults.extend(["418"])
    with pytest.raises(FeedError, match="DDoSProtection"):
        feed_of(fake, sleep=waits.append)(NOON * MS - NS, NOON * MS)
    assert waits == []


def spoil(row: list[Any], **change: Any) -> list[Any]:
    places = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}
    return [change.get(name, row[places[name]]) for name in places] + row[6:]


WRONG = {
    "off the grid": (lambda rows: [spoil(rows[0], time=rows[0][0] + 60_000), *rows[1:]], "wanted whole intervals"),
    "the future": (lambda rows: [*rows, spoil(rows[-1], time=rows[-1][0] + 50 * HOUR)], "of the future"),
    "differing twice": (lambda rows: [*rows[:2], spoil(rows[1], close=rows[1][3]), *rows[2:]], "two candles open at"),
    "high below low": (lambda rows: [spoil(rows[0], high="1"), *rows[1:]], "cannot be true"),
    "negative volume": (lambda rows: [spoil(rows[0], volume="-1"), *rows[1:]], "cannot be true"),
    "price of zero": (lambda rows: [spoil(rows[0], low="0"), *rows[1:]], "cannot be true"),
    "no numbers": (lambda rows: [spoil(rows[0], open=[1], volume="inf"), *rows[1:]], "is no candle"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_true_is_refused(fake: FakeExchange, kind: str) -> None:
    change, said = WRONG[kind]
    fake.mangle = lambda _, rows: change(rows)
    fetch = feed_of(fake, tries=2)
    with pytest.raises(FeedError, match=said) as told:
        fetch.candles(NOON * MS - 4 * NS, NOON * MS)
    assert "BTC/USDT" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("answer", [[{"symbol": "x"}], [[1_700_000_000, "1", "1", "1", "1", "1"]], {"candles": []}])
def test_an_answer_of_another_shape_gives_no_bars(fake: FakeExchange, answer: Any) -> None:
    fake.mangle = lambda *_: answer
    assert feed_of(fake)(NOON * MS - 4 * NS, NOON * MS) is None


def test_equal_duplicates_and_disorder_are_no_matter(fake: FakeExchange) -> None:
    def shuffled(symbol: str, rows: list[list[Any]]) -> list[list[Any]]:
        twice = [*rows, *rows]
        random.Random(3).shuffle(twice)
        return twice

    fake.mangle = shuffled
    history = feed_of(fake)(NOON * MS - 5 * NS, NOON * MS)
    assert history is not None
    agree(history, 0, "BTCUSDT", [NOON - (5 - k) * HOUR for k in range(5)])


def test_a_candle_without_a_price_is_no_bar_and_one_without_a_volume_has_none(fake: FakeExchange) -> None:
    def holed(symbol: str, rows: list[list[Any]]) -> list[list[Any]]:
        return [spoil(rows[0], high=None), spoil(rows[1], volume=None), *rows[2:]]

    fake.mangle = holed
    history = feed_of(fake)(NOON * MS - 3 * NS, NOON * MS)
    assert history is not None
    assert history.ts.tolist() == [(NOON - HOUR) * MS, NOON * MS]
    assert np.isnan(history.volume[:, 0]).tolist() == [True, False]


def test_an_unfinished_candle_that_moves_between_pages_is_no_contradiction(fake: FakeExchange) -> None:
    moves = iter(range(100))

    def newest_too(symbol: str, rows: list[list[Any]]) -> list[list[Any]]:
        running = [NOON, "100", "101", "99", str(100 + next(moves) / 1000), "5", NOON + HOUR - 1, "0", 1, "0", "0", "0"]
        return [*rows, running]

    fake.mangle = newest_too
    history = feed_of(fake, page=2)(NOON * MS - 6 * NS, NOON * MS)
    assert history is not None
    assert history.ts[-1] == NOON * MS


def test_too_much_at_once_is_refused(fake: FakeExchange) -> None:
    with pytest.raises(DataError, match="more than 3 pages of 2 candles"):
        feed_of(fake, page=2, most=3)(NOON * MS - 30 * NS, NOON * MS)


@pytest.mark.parametrize(
    ("name", "symbols", "interval", "said"),
    [
        ("binanse", ["BTC/USDT"], "1h", "name = 'binanse': ccxt knows no such exchange; did you mean 'binance'"),
        ("binance", ["BTC/USD"], "1h", "no market 'BTC/USD'; did you mean 'BTC/USDT'"),
        ("binance", ["SPX500"], "1h", "no market 'SPX500'; it has BTC/USDT, ETH/USDT, ETH/BTC and others"),
        ("binance", ["BTC/USDT"], "1 h", "interval = '1 h'; did you mean '1h'"),
        ("binance", ["BTC/USDT"], "1M", "interval = '1M'.*; the exchange has .*1w$"),
        ("binance", [], "1h", r"symbols = \[\]; wanted different names"),
        ("binance", "BTC/USDT", "1h", "symbols = 'BTC/USDT'; wanted a list"),
        ("binance", ["BTC/USDT", "BTC/USDT"], "1h", "wanted different names"),
        ("binance", ["BTC/USDT", "ETH/BTC"], "1h", "quoted in BTC, USDT; wanted one currency"),
        ("paymium", ["BTC/EUR"], "1h", "gives no candles"),
    ],
)
def test_mistakes_name_what_was_found_and_wanted(
    fake: FakeExchange, name: str, symbols: Any, interval: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        exchange(name, symbols, interval, options=fake.options()).fetch(NOON * MS - NS, NOON * MS)
    assert "\n" not in str(told.value)


def test_a_key_among_the_options_is_refused_and_not_repeated(fake: FakeExchange) -> None:
    with pytest.raises(ConfigError, match=r"options\.secret") as told:
        exchange("binance", ["BTC/USDT"], options={"secret": "hunter2"})
    assert "hunter2" not in str(told.value)


def test_a_proxy_with_a_password_is_never_told(fake: FakeExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_PASSWORD", "hunter2")
    options = fake.options(httpProxy="http://me:${PROXY_PASSWORD}@127.0.0.1:9")
    with pytest.raises(FeedError) as told:
        feed_of(fake, options=options, tries=1)(NOON * MS - NS, NOON * MS)
    assert "hunter2" not in str(told.value) + repr(told.value.__cause__)
    monkeypatch.delenv("PROXY_PASSWORD")
    with pytest.raises(ConfigError, match="PROXY_PASSWORD is not set"):
        feed_of(fake, options=options)


def test_ccxt_is_needed_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(DataError, match=r"pip install '\.\[live\]'"):
        _ccxt.library()


def test_importing_the_feed_does_not_import_ccxt() -> None:
    modules = "barograph_adapters.feeds.exchange, barograph_adapters.feeds.stream, barograph_adapters.brokers.testnet"
    code = f"import sys, {modules}; assert 'ccxt' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_campaign_loses_doubles_and_bends_nothing(fake: FakeExchange) -> None:
    """Four hundred looks, one in twenty requests spoilt: what is put together is the truth."""
    fake.rate, fake.patience = 0.05, 0.3
    fetch = feed_of(fake, "BTC/USDT", "ETH/USDT", interval="1m", tries=3, options=fake.options())
    rng = random.Random(1)
    start = NOON - 30 * MINUTE
    fake.moment, seen, last, failed = start + 2500, [], start * MS, 0
    for _ in range(400):
        fake.moment += rng.randrange(3 * MINUTE)
        try:
            found = fetch(last, fake.moment * MS)
        except FeedError:
            failed += 1
            continue
        if found is not None:
            seen.append(found)
            last = int(found.ts[-1])
    ts = np.concatenate([part.ts for part in seen])
    opens = list(range(start, int(ts[-1]) // MS, MINUTE))
    assert ts.tolist() == [(opened + MINUTE) * MS for opened in opens]
    for column, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        closes = np.concatenate([part.close[:, column] for part in seen])
        np.testing.assert_array_equal(closes, truth(symbol, opens, MINUTE)[:, 3])
    assert sum(fake.met.values()) > 30
    assert failed < 100


def test_the_rules_of_candles_stand_alone() -> None:
    rows = [[0, 1, 1, 1, 1, 1], [60_000, 1, 2, 1, 2, None]]
    with pytest.raises(FeedError, match="is no candle"):
        checked("s", "A", rows, 60_000, 60_000, 60_000)
    assert checked("s", "A", rows[1:], 60_000, 60_000, 0) == {}
    assert bars("s", {"A": {}}, 60_000, [True]) is None
    assert module.__all__ == ["Exchange", "exchange"]
