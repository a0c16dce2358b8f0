"""Candles over a websocket: ccxt.pro's own client against an exchange on loopback that drops, repeats and lies."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from barograph.data.history import History
from barograph.errors import ConfigError, FeedError
from barograph_adapters.feeds import stream as module
from barograph_adapters.feeds._candles import MS
from barograph_adapters.feeds.stream import Buffer, Stream, stream
from tests.fakes.exchange import HOUR, MINUTE, FakeExchange, candle

NOON = 1_700_000_000_000 // HOUR * HOUR
SYMBOLS = {"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeExchange]:
    monkeypatch.setattr(module, "FIRST", 0.02)
    with FakeExchange(moment=NOON + MINUTE // 2) as server:
        yield server


@pytest.fixture
def streams(fake: FakeExchange) -> Iterator[Callable[..., Stream]]:
    made: list[Stream] = []

    def make(*symbols: str, **more: Any) -> Stream:
        given = {"silence": 5.0, "bound": 5.0, "margin": 0.02, "options": fake.options(), **more}
        made.append(Stream("binance", symbols or ("BTC/USDT",), **given))
        return made[-1]

    yield make
    for each in made:
        each.close()


def nth(k: int) -> int:
    """Return when the candle opens that begins k minutes after noon."""
    return NOON + k * MINUTE


def span(first: int, last: int) -> tuple[int, int]:
    """Return what to fetch for the candles that open from the first to the last minute, both included."""
    return nth(first + 1) * MS - 1, nth(last + 1) * MS


def connect(fake: FakeExchange, fetch: Stream, k: int = 0) -> None:
    """Fetch for the first time, and let the socket bring the candle that is running, which it cannot know whole."""
    fetch(*span(k - 2, k - 1))
    assert fake.listened(len([asset.symbol for asset in fetch.rest.assets]))
    for symbol in [asset.symbol for asset in fetch.rest.assets]:
        fake.push(SYMBOLS[symbol], "1m", nth(k), nth(k) + MINUTE // 2)


def whole(fake: FakeExchange, k: int, symbol: str = "BTCUSDT") -> None:
    """Send a candle as it grows until it is over."""
    for part in (1, 20, 40, 60):
        fake.push(symbol, "1m", nth(k), nth(k) + part * 1000)


def eventually(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < end:
        time.sleep(0.01)
    assert found
    return found


def fetched(fetch: Stream, first: int, last: int) -> History:
    """Fetch until all of it is there."""

    def look() -> History | None:
        history = fetch(*span(first, last))
        return history if history is not None and len(history) == last - first + 1 else None

    history = eventually(look)
    assert isinstance(history, History)
    return history


def agree(history: History, first: int, last: int) -> None:
    opens = [nth(k) for k in range(first, last + 1)]
    assert history.ts.tolist() == [(opened + MINUTE) * MS for opened in opens]
    for column, symbol in enumerate(history.symbols):
        truth = [candle(SYMBOLS[symbol], opened, MINUTE)[1:] for opened in opens]
        names = ("open", "high", "low", "close", "volume")
        found = np.column_stack([getattr(history, name)[:, column] for name in names])
        np.testing.assert_array_equal(found, truth)


def test_bars_come_over_the_socket_alone(fake: FakeExchange, streams: Callable[..., Stream]) -> None:
    fetch = streams("BTC/USDT", "ETH/USDT")
    connect(fake, fetch)
    for k in range(1, 6):
        for symbol in SYMBOLS.values():
            whole(fake, k, symbol)
    fake.faults.extend(["500"] * 100)  # REST is of no help
    history = fetched(fetch, 1, 4)
    agree(history, 1, 4)
    assert (history.symbols, history.calendar, history.source) == (tuple(SYMBOLS), "24/7", "binance stream")


def test_the_running_candle_is_never_served(fake: FakeExchange, streams: Callable[..., Stream]) -> None:
    fetch = streams()
    connect(fake, fetch)
    whole(fake, 1)
    fake.push("BTCUSDT", "1m", nth(2), nth(2) + 30_000)
    history = fetched(fetch, 1, 1)
    agree(history, 1, 1)
    again = fetch(*span(1, 2))
    assert again is not None
    agree(again, 1, 1)


def test_a_candle_waits_for_stragglers(fake: FakeExchange, streams: Callable[..., Stream]) -> None:
    fetch = streams(margin=0.7)
    connect(fake, fetch)
    for part in (1, 20, 40):
        fake.push("BTCUSDT", "1m", nth(1), nth(1) + part * 1000)
    fake.push("BTCUSDT", "1m", nth(2), nth(2) + 1000)
    assert fetch(*span(1, 1)) is None
    fake.push("BTCUSDT", "1m", nth(1))  # its last message, after the next one's first
    agree(fetched(fetch, 1, 1), 1, 1)


def test_a_candle_that_was_running_when_the_socket_opened_comes_from_rest(
    fake: FakeExchange, streams: Callable[..., Stream]
) -> None:
    fetch = streams()
    connect(fake, fetch)
    fake.send("BTCUSDT", "1m", nth(0), [100.0, 100.5, 99.5, 100.2], 0.5)  # only what it saw itself
    whole(fake, 1)
    fake.push("BTCUSDT", "1m", nth(2), nth(2) + 1000)
    fake.moment = nth(2) + 1000
    agree(fetched(fetch, 0, 1), 0, 1)


def test_what_happened_while_the_socket_was_down_comes_from_rest(
    fake: FakeExchange, streams: Callable[..., Stream]
) -> None:
    fetch = streams()
    connect(fake, fetch)
    whole(fake, 1)
    fake.push("BTCUSDT", "1m", nth(2), nth(2) + 30_000)
    agree(fetched(fetch, 1, 1), 1, 1)
    fake.drop()
    assert fake.listened()
    fake.push("BTCUSDT", "1m", nth(5), nth(5) + 1000)
    whole(fake, 6)
    fake.push("BTCUSDT", "1m", nth(7), nth(7) + 1000)
    eventually(lambda: nth(7) in fetch._buffers["BTC/USDT"].rows)
    time.sleep(0.05)
    fake.moment = nth(7) + 1000
    agree(fetched(fetch, 1, 6), 1, 6)


@pytest.mark.parametrize("seed", range(4))
def test_repeated_and_reordered_messages_change_nothing(
    fake: FakeExchange, streams: Callable[..., Stream], seed: int
) -> None:
    rng = random.Random(seed)
    fetch = streams(margin=0.2)
    connect(fake, fetch)
    messages = [(k, part) for k in range(1, 9) for part in (1, 15, 30, 45, 60)]
    sent: list[tuple[int, int]] = []
    for message in messages:
        sent.insert(len(sent) - min(len(sent), rng.randrange(4)), message)
        if rng.random() < 0.3:
            sent.insert(len(sent) - min(len(sent), rng.randrange(4)), rng.choice(messages[: len(sent) + 1][-8:]))
    for k, part in sent:
        fake.push("BTCUSDT", "1m", nth(k), nth(k) + part * 1000)
    fake.push("BTCUSDT", "1m", nth(9), nth(9) + 1000)
    fake.faults.extend(["500"] * 1000)
    # The first candle that arrived is not trusted; the rest stand as they were at their end.
    agree(fetched(fetch, 2, 8), 2, 8)


@pytest.mark.parametrize(
    "say",
    [
        lambda fake: fake.push("BTCUSDT", "1m", nth(2), named="XRPUSDT"),
        lambda fake: fake.push("BTCUSDT", "1h", NOON, NOON + 10),
        lambda fake: fake.say("<html>"),
        lambda fake: fake.say('{"e": "kline", "k": {"t": 17'),
        lambda fake: fake.say(json.dumps({"e": "kline", "s": "BTCUSDT", "k": {}})),
        lambda fake: fake.say(json.dumps({"error": {"code": 5, "msg": "no"}})),
        lambda fake: fake.send("BTCUSDT", "1m", nth(2), [100.0, 90.0, 99.0, 100.0], 1e6),
        lambda fake: fake.send("BTCUSDT", "1m", nth(2) + 1, [100.0, 100.0, 100.0, 100.0], 1e6),
        lambda fake: fake.send("BTCUSDT", "1m", nth(10**8), [100.0, 100.0, 100.0, 100.0], 1e6),
    ],
)
def test_nonsense_on_the_socket_does_no_harm(
    fake: FakeExchange, streams: Callable[..., Stream], say: Callable[[FakeExchange], None]
) -> None:
    fetch = streams()
    connect(fake, fetch)
    whole(fake, 1)
    fake.push("BTCUSDT", "1m", nth(2), nth(2) + 1)
    agree(fetched(fetch, 1, 1), 1, 1)
    say(fake)
    time.sleep(0.1)
    assert fake.listened()
    fake.push("BTCUSDT", "1m", nth(2), nth(2) + 2000)
    for k in (3, 4):
        whole(fake, k)
    fake.push("BTCUSDT", "1m", nth(5), nth(5) + 1000)
    fake.moment = nth(5) + 1000
    agree(fetched(fetch, 1, 4), 1, 4)


def test_a_gap_is_a_gap(fake: FakeExchange, streams: Callable[..., Stream]) -> None:
    fetch = streams()
    connect(fake, fetch)
    fake.missing = {("BTCUSDT", nth(2))}
    for k in (1, 3, 4):
        whole(fake, k)
    fake.moment = nth(4) + 1000
    history = eventually(lambda: (h := fetch(*span(1, 3))) is not None and len(h) == 2 and h)
    assert history.ts.tolist() == [nth(2) * MS, nth(4) * MS]
    asked = len(fake.requests)
    fetch(*span(1, 3))
    assert len(fake.requests) == asked  # it is known that there is none


def test_a_bar_that_rest_has_otherwise_is_seen_when_it_is_fetched_again(
    fake: FakeExchange, streams: Callable[..., Stream]
) -> None:
    fetch = streams()
    connect(fake, fetch)
    fake.send("BTCUSDT", "1m", nth(1), [100.0, 102.0, 98.0, 101.0], 1e6)
    fake.push("BTCUSDT", "1m", nth(2), nth(2) + 1000)
    fake.moment = nth(2)  # not for REST yet
    first = fetched(fetch, 1, 1)
    assert first.close[0, 0] == 101.0
    fake.moment = nth(2) + 1000
    eventually(lambda: fetch(*span(1, 1)).close[0, 0] != 101.0)  # type: ignore[union-attr]
    agree(fetched(fetch, 1, 1), 1, 1)


def test_a_dead_socket_is_an_error_after_a_while_and_over_when_it_lives(
    fake: FakeExchange, streams: Callable[..., Stream]
) -> None:
    fetch = streams(silence=0.4)
    connect(fake, fetch)
    assert fetch(*span(-2, -1)) is not None
    time.sleep(0.5)
    with pytest.raises(FeedError, match="binance stream: nothing heard for"):
        fetch(*span(-2, -1))
    eventually(lambda: len(fake.subscribed) >= 1)

    def heard() -> bool:
        fake.push("BTCUSDT", "1m", nth(3), nth(3) + 1000)
        try:
            return fetch(*span(-2, -1)) is not None
        except FeedError:
            return False

    eventually(heard)


def test_a_refused_socket_is_an_error_that_says_why(fake: FakeExchange, streams: Callable[..., Stream]) -> None:
    fake.refusing_sockets = True
    fetch = streams(silence=0.3)
    assert fetch(*span(-2, -1)) is not None  # REST brings what is asked for at the start
    time.sleep(0.4)
    with pytest.raises(FeedError, match=r"nothing heard for .* s \(.*503.*\); it is tried again in the background"):
        fetch(*span(-2, -1))


def test_rest_that_is_down_matters_only_where_the_socket_left_a_hole(
    fake: FakeExchange, streams: Callable[..., Stream]
) -> None:
    fetch = streams(tries=1)
    connect(fake, fetch)
    for k in (1, 2, 3):
        whole(fake, k)
    agree(fetched(fetch, 1, 2), 1, 2)
    fake.faults.extend(["503"] * 1000)
    history = fetch(*span(1, 9))  # the newest are not there yet
    assert history is not None
    agree(history, 1, 2)
    with pytest.raises(FeedError, match="503"):
        fetch(*span(0, 2))


def test_a_fetch_never_takes_longer_than_its_bound(fake: FakeExchange, streams: Callable[..., Stream]) -> None:
    fetch = streams(bound=0.5, options=fake.options(timeout=2000))
    connect(fake, fetch)
    fake.patience = 1.5
    for size in (3, module.KEPT):  # a hole, and more than is remembered
        fake.faults.append("slow")
        began = time.monotonic()
        with pytest.raises(FeedError, match=r"REST gave no answer within 0\.5 s"):
            fetch(*span(-size, -3))
        assert time.monotonic() - began < 1.0
        eventually(lambda: fetch._asking is None or fetch._asking.done())


def test_more_than_is_remembered_comes_from_rest(fake: FakeExchange, streams: Callable[..., Stream]) -> None:
    history = streams()(*span(-module.KEPT, -1))
    assert history is not None
    agree(history, -module.KEPT, -1)


def test_close_ends_the_thread_and_the_feed(fake: FakeExchange) -> None:
    before = threading.active_count()
    feed = stream("binance", ["BTC/USDT"], "1m", options=fake.options())
    assert feed.name == "binance stream"
    assert isinstance(feed.fetch, Stream)
    feed.fetch(*span(-2, -1))
    assert fake.listened()
    feed.fetch.close()
    eventually(lambda: threading.active_count() <= before)
    with pytest.raises(FeedError, match="binance stream: is closed"):
        feed.fetch(*span(-2, -1))
    Stream("binance", ["BTC/USDT"], options=fake.options()).close()  # one that never listened


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="a day at most"):
        stream("binance", ["BTC/USDT"], "1w")
    with pytest.raises(ConfigError, match=r"no candles over its websocket|no websockets of this exchange"):
        stream("bitstamp", ["BTC/USD"], "1m")
    with pytest.raises(ConfigError, match="did you mean 'binance'"):
        stream("binanse", ["BTC/USDT"], "1m")


def test_a_campaign_loses_doubles_and_bends_nothing(fake: FakeExchange, streams: Callable[..., Stream]) -> None:
    """Eighty candles; sockets are cut, messages come twice, one in twenty answers of REST is spoilt."""
    rng = random.Random(5)
    fake.patience = 0.2
    fetch = streams("BTC/USDT", "ETH/USDT", tries=4, options=fake.options())
    connect(fake, fetch)
    fake.rate = 0.05
    seen: list[History] = []
    last, drops = nth(0) * MS, 0
    for k in range(1, 81):
        for symbol in SYMBOLS.values():
            for part in (5, 30, 60):
                for _ in range(1 + (rng.random() < 0.2)):
                    fake.push(symbol, "1m", nth(k), nth(k) + part * 1000)
        if rng.random() < 0.08:
            fake.drop()
            drops += 1
        fake.moment = nth(k + 1) + 500
        try:
            found = fetch(last, nth(k + 1) * MS)
        except FeedError:
            continue
        # As the service does: a row that lacks an asset waits for it.
        rows = 0 if found is None else int((~np.isnan(found.close).any(axis=1)).cumprod().sum())
        if found is not None and rows:
            seen.append(found.slice(0, rows))
            last = int(seen[-1].ts[-1])
    assert sum(map(len, seen)) >= 75
    for part in seen:
        agree(part, (int(part.ts[0]) // MS - NOON) // MINUTE - 1, (int(part.ts[-1]) // MS - NOON) // MINUTE - 1)
    closes = np.concatenate([part.ts for part in seen])
    assert np.diff(closes).tolist() == [MINUTE * MS] * (len(closes) - 1)
    assert drops >= 3


def prices(last: float, volume: float) -> tuple[float, float, float, float, float]:
    return 1.0, max(1.0, last), min(1.0, last), last, volume


def test_the_buffer_forgets_what_was_running_when_the_socket_broke() -> None:
    buffer = Buffer()
    for opened in (0, 1, 2, 3):
        buffer.see(opened, prices(1.0, 5.0), now=0.0)
    assert sorted(buffer.final(1.0, 0.5)) == [1, 2]  # the first was running when the socket opened
    buffer.cut()
    assert sorted(buffer.rows) == [1, 2]
    for opened in (3, 4, 5, 6):
        buffer.see(opened, prices(2.0, 1.0), now=2.0)
    assert sorted(buffer.final(3.0, 0.5)) == [1, 2, 4, 5]
    buffer.confirm(range(6), {3: prices(2.0, 9.0), 5: prices(3.0, 9.0)})
    assert buffer.final(3.0, 0.5) == {3: prices(2.0, 9.0), 5: prices(3.0, 9.0)}  # and there is no other
    buffer.see(5, prices(4.0, 99.0), now=4.0)
    assert buffer.rows[5] == prices(3.0, 9.0)  # REST knows best


def test_the_buffer_keeps_no_more_than_it_may() -> None:
    buffer = Buffer()
    for k in range(module.KEPT + 500):
        buffer.see(k, (1.0, 1.0, 1.0, 1.0, 1.0), now=float(k))
    buffer.confirm(range(2 * module.KEPT), {})
    assert max(map(len, (buffer.rows, buffer.over, buffer.confirmed, buffer._begun))) <= module.KEPT
