"""The service by hand: feeds that fail, bars that are late, missing, revised; commands and what they do; status."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.config.schema import Config
from barograph.data.history import History
from barograph.errors import FeedError, StrategyError
from barograph.paper.feeds import Chain, between
from barograph.paper.parity import parity
from barograph.paper.ports import Message
from barograph.paper.runner import Runner
from barograph.paper.service import Plan, Service, deployable
from barograph.paper.simulated import SetClock
from barograph.paper.status import listed, status
from barograph.paper.verify import verify
from barograph.types import Feed
from barograph_adapters.store.sql import SqlStore, open_store
from tests import ROOT
from tests.fakes.market import DAY, MINUTE, flat

FREE = {"fee": 0.0, "slippage": 0.0, "borrow_rate": 0.0, "short_rate": 0.0, "cash": 1000.0, "leverage": 2.0}
RULES = {"delay": "5m", "retry": "10m", "patience": "2h"}


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return open_store(f"sqlite:///{tmp_path}/paper.db")


def config(weights: list[float] | None = None, assets: int = 1, **paper: Any) -> Config:
    data = {"use": "tests.fakes.market:flat", "assets": assets}
    tree: dict[str, Any] = {"name": "one", "data": data, "execution": FREE}
    tree["strategy"] = {"use": "tests.fakes.market:scripted", "weights": weights or [0.5]}
    return Config.model_validate({**tree, "paper": {**RULES, **paper}})


class Live:
    """A deployment whose feeds are whatever a test puts into `shown`, by name, a history or an exception; looked at."""

    def __init__(self, store: SqlStore, history: History, begin: int = 10, **paper: Any) -> None:
        self.store, self.truth, self.begin = store, history, begin
        self.config = config(assets=len(history.symbols), **paper)
        self.shown: dict[str, Any] = {"best": history}
        self.clock = SetClock(int(history.ts[begin]) + 5 * MINUTE)
        self.start()
        self.service.look()

    def start(self) -> None:
        """Start, or start again."""
        self.make()
        self.service.start()

    def make(self) -> None:
        """Make the service that is to be started."""
        feeds = [Feed(name, self._fetch(name)) for name in ("best", "second")]

        def seed(until: int) -> tuple[History, int]:
            return self.truth.head(self.begin + 1), self.begin

        self.service = Service(self.store, Plan(self.config, ROOT, "one", "paper", seed), Chain(feeds), self.clock)

    def _fetch(self, name: str) -> Callable[[int, int], History | None]:
        def fetch(after: int, until: int) -> History | None:
            found = self.shown.get(name, FeedError(f"{name}: HTTP 503"))
            if isinstance(found, Exception):
                raise found
            return between(found, after, min(until, int(found.ts[-1])) if len(found) else until)

        return fetch

    def look(self, row: int, after: int = 5 * MINUTE) -> int:
        """Look so long after a bar's close; return how many bars were decided."""
        self.clock.set(int(self.truth.ts[row]) + after)
        return self.service.look()

    def told(self) -> list[tuple[str, str]]:
        """Return the alerts that speak of data and time: kind and text."""
        kinds = ("bad_data", "stale_data", "late_cycle", "missed_cycle")
        rows = sorted(self.store.rows("alerts", "one"), key=lambda row: (row["ts"], row["kind"]))
        return [(row["kind"], text_of(row)) for row in rows if row["kind"] in kinds]

    def cycles(self) -> list[Any]:
        return [entry.content for entry in self.store.entries("one") if entry.kind == "cycle"]

    def sound(self) -> None:
        """Check the store, and the record against the backtest of the recorded bars."""
        deployed = self.store.find("one")
        assert deployed is not None
        assert verify(self.store, deployed).wrong == ()
        found = parity(self.store, deployed).difference
        assert found is None or found.cause in ("data revised", "clock")


def text_of(row: dict[str, Any]) -> str:
    return str(json.loads(row["facts"])["text"])


def without(history: History, *rows: int) -> History:
    keep = [t for t in range(len(history)) if t not in rows]
    parts = [history.slice(t, t + 1) for t in keep]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.then(part)
    return whole


def changed(history: History, row: int, asset: int, value: float, *names: str) -> History:
    columns = {name: getattr(history, name).copy() for name in names or ("open", "high", "low", "close")}
    for column in columns.values():
        column[row, asset] = value
    return replace(history, **columns)


# Feeds.


def test_feeds_fall_over_and_back_and_every_bar_says_where_it_came_from(store: SqlStore) -> None:
    live = Live(store, flat())
    live.shown["second"] = replace(flat(), source="second")
    live.shown["best"] = FeedError("best: HTTP 503 from example.org")
    assert live.look(11) == 1
    live.shown["best"] = replace(flat(), source="best")
    assert live.look(12) == 1
    assert [one["source"] for one in live.cycles()] == ["flat", "second", "best"]
    assert [(note.kind, note.text) for note in store.notes("one", 6) if note.kind != "manners"] == [
        ("feed", "best failed: best: HTTP 503 from example.org"),
        ("closes", "bars close every session of 24/7"),
    ]
    assert live.told() == []
    live.sound()


def test_a_feed_that_answers_and_stands_still_is_passed_over_for_one_that_goes_on(store: SqlStore) -> None:
    live = Live(store, flat())
    live.shown = {"best": replace(flat().head(11), source="best"), "second": replace(flat(), source="second")}
    assert live.look(11, 5 * MINUTE) == live.look(11, 60 * MINUTE) == 0
    assert live.look(11, 70 * MINUTE) == 1
    assert live.cycles()[-1]["source"] == "second"
    assert store.notes("one", 1)[0].text == "best failed: answers without the bar that is overdue"
    live.shown["second"] = FeedError("second: HTTP 503")
    assert live.look(12, 70 * MINUTE) == 0
    assert live.told() == []
    live.shown["best"] = replace(flat(), source="best")
    assert live.look(12, 75 * MINUTE) == 1
    assert live.cycles()[-1]["source"] == "best"
    live.sound()


def test_a_feed_that_breaks_is_a_feed_that_fails_and_what_it_said_is_not_repeated(store: SqlStore) -> None:
    live = Live(store, flat())
    live.shown["best"] = KeyError("https://me:hunter2@example.org/")
    assert live.look(11) == live.look(11, 15 * MINUTE) == 0
    ((kind, text),) = live.told()
    assert kind == "bad_data"
    assert text.startswith("no feed answers: best: raised KeyError (test_service.py, line ")
    assert text.endswith("; second: second: HTTP 503")
    assert "hunter2" not in text
    live.shown["best"] = flat()
    assert live.look(11, 25 * MINUTE) == 1
    live.sound()


def test_a_bar_of_the_future_spoils_the_answer_it_is_in(store: SqlStore) -> None:
    live = Live(store, flat())
    honest = live.service.chain.feeds
    eager = Feed("best", lambda after, until: between(flat(), after, until + DAY))
    live.service.chain.feeds = [eager]
    assert live.look(11) == 0
    assert [kind for kind, _ in live.told()] == ["bad_data"]
    assert "best: has a bar that closes 2023-01-13, which is not over yet" in live.told()[0][1]
    live.service.chain.feeds = [eager, *honest]
    assert live.look(11, 15 * MINUTE) == 1


def test_assets_in_another_order_and_some_that_nobody_asked_for_are_put_in_place(store: SqlStore) -> None:
    truth = changed(flat(assets=2), 11, 1, 50.0)
    live = Live(store, truth)
    names = ("B", "X", "A")
    columns = {name: getattr(truth, name)[:, [1, 0, 0]] for name in ("open", "high", "low", "close", "volume")}
    live.shown["best"] = replace(truth, symbols=names, traded=(True,) * 3, **columns)
    assert live.look(11) == 1
    assert np.array_equal(store.bars("one").close[11], [100.0, 50.0])
    live.shown["best"] = replace(truth, symbols=("A", "C"))
    assert live.look(12) == 0
    assert live.told() == []
    # Of B nothing is known; after its patience the others are decided, and from then on without waiting for it.
    assert [live.look(12, 125 * MINUTE), live.look(13), live.look(14)] == [1, 1, 1]
    (_, text), _ = live.told()
    assert text.startswith(
        "B has no bar of 2023-01-14 00:00:00Z, which was decided without it (best: has no such asset; it"
    )
    assert text.endswith("if it is gone for good, end it: barograph end one B PRICE")
    live.sound()


# Bars that are late, missing, revised.


def test_a_bar_that_is_late_within_patience_is_no_news(store: SqlStore) -> None:
    live = Live(store, flat())
    live.shown["best"] = flat().head(11)
    assert [live.look(11, minutes * MINUTE) for minutes in (5, 15, 60, 124)] == [0, 0, 0, 0]
    assert live.told() == []
    assert live.service.next() == int(live.truth.ts[11]) + 134 * MINUTE
    live.shown["best"] = flat()
    # The last look that still waits is up to a retry after patience is over.
    assert live.look(11, 134 * MINUTE) == 1
    assert live.told() == []


def test_stale_then_late_are_told_once_each(store: SqlStore) -> None:
    live = Live(store, flat())
    live.shown["best"] = flat().head(11)
    for minutes in (126, 300, 600):
        assert live.look(11, minutes * MINUTE) == 0
    live.shown["best"] = flat()
    assert live.look(11, 700 * MINUTE) == 1
    assert live.told() == [
        ("late_cycle", "its bar was decided 11:40:00 (h:mm:ss) after the close"),
        ("stale_data", "no bar since 2023-01-12 00:00:00Z; 1 close has passed without one"),
        ("stale_data", "over: the bars are back, the newest is that of 2023-01-13 00:00:00Z"),
    ]
    assert [one["switches"] for one in live.cycles()] == [[], []]


@pytest.mark.parametrize("stale", ["reduce_only", "alert"])
def test_a_close_that_the_source_proves_empty_is_a_fact_and_is_noted_once(stale: str, store: SqlStore) -> None:
    live = Live(store, flat(), stale=stale)
    live.shown["best"] = without(flat(), 11, 12, 17)
    assert [live.look(row) for row in (11, 12, 13, 14, 15, 16, 17, 18)] == [0, 0, 1, 1, 1, 1, 0, 1]
    # Until the later bar proves it, a source that was never silent is stale: an incident that begins and ends.
    assert [kind for kind, _ in live.told()] == ["stale_data", "stale_data"]
    told = "2 closes before the bar of 2023-01-15 00:00:00Z have none; at most 0 in a row had none before"
    assert [note.text for note in store.notes("one", 20) if note.kind == "gap"] == [told]
    # Only who asks for it decides otherwise than a backtest of the same bars, and only after a silence that is new.
    reducing = [2] if stale == "reduce_only" else []
    assert [one["switches"] for one in live.cycles()] == [[], reducing, [], [], [], []]
    # It comes after all: nothing is decided again, and it is told.
    live.shown["best"] = flat()
    assert live.look(19) == 1
    assert sum("bar was nothing, is now 100" in text for _, text in live.told()) == 1
    live.sound()


def test_a_source_that_was_silent_before_is_stale_after_twice_as_long(store: SqlStore) -> None:
    seen = without(flat(), 3, 4)
    live = Live(store, seen, begin=8)
    live.shown["best"] = seen.head(9)
    for row in (9, 10, 11, 12):
        live.look(row, 300 * MINUTE)
    assert live.told() == []
    live.look(13, 300 * MINUTE)
    assert [text for _, text in live.told()] == ["no bar since 2023-01-12 00:00:00Z; 5 closes have passed without one"]


def test_a_bar_that_closes_when_none_does_is_refused_by_name(store: SqlStore) -> None:
    live = Live(store, flat())
    odd = flat().head(12)
    live.shown["best"] = replace(odd, ts=np.append(odd.ts[:-1], odd.ts[-1] - 77 * MINUTE))
    assert live.look(11) == 0
    (told,) = [text for kind, text in live.told() if kind == "bad_data"]
    assert told.endswith("has a bar of 2023-01-12 22:43:00Z, when none closes (every session of 24/7); it was left out")
    # It is in the feed still when later bars were decided: it was no bar, and is no revision of the past.
    live.shown["best"] = replace(flat(), ts=np.sort(np.append(flat().ts[:-1], odd.ts[-1] - 77 * MINUTE)))
    assert [live.look(row) for row in (12, 13, 14)] == [2, 1, 1]
    texts = [text for kind, text in live.told() if kind == "bad_data"]
    assert texts == [told, f"still: {told}", "over: all bars close when bars of this source do"][: len(texts)]
    live.sound()


def test_an_asset_that_is_missing_is_waited_for_then_left_out_and_told_once(store: SqlStore) -> None:
    truth = flat(assets=2)
    live = Live(store, truth)
    live.shown["best"] = changed(truth, 11, 1, np.nan)
    assert [live.look(11, minutes * MINUTE) for minutes in (5, 60, 124)] == [0, 0, 0]
    assert live.told() == []
    assert live.look(11, 125 * MINUTE) == 1
    assert live.told() == [("bad_data", "B has no bar of 2023-01-13 00:00:00Z, which was decided without it")]
    live.shown["best"] = truth
    assert live.look(12) == 1
    assert live.told()[1:] == [
        ("bad_data", "B of 2023-01-13 00:00:00Z at flat: bar was nothing, is now 100"),
        ("bad_data", "over: B has a bar again, that of 2023-01-14 00:00:00Z"),
    ]
    live.sound()


def test_an_asset_whose_market_has_ended_is_not_waited_for(store: SqlStore) -> None:
    truth = flat(assets=2)
    close = truth.close.copy()
    close[11:, 1] = np.nan
    final = np.full(close.shape, np.nan)
    final[11, 1] = 90.0
    ended = replace(truth, final=final, **dict.fromkeys(("open", "high", "low", "close"), close))
    live = Live(store, ended)
    assert [live.look(row) for row in (11, 12)] == [1, 1]
    live.service.stop()
    live.start()
    assert live.look(13) == 1
    assert live.told() == []
    live.sound()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_revised_bar_is_told_once_and_reduces_as_long_as_it_is_looked_at(restarted: bool, store: SqlStore) -> None:
    live = Live(store, flat(), revised="reduce_only", overlap=3)
    live.shown["best"] = changed(flat(), 11, 0, 101.0)
    assert live.look(11) == 1
    live.shown["best"] = flat()
    for row in (12, 13, 14, 15, 16):
        if restarted:
            live.service.stop()
            live.start()
        assert live.look(row) == 1
    # Bars 12 to 14 are decided while bar 11 is one of the last three.
    assert [one["trouble"] for one in live.cycles()][2:] == [["past bars were revised"]] * 3 + [[]] * 2
    text = "A of 2023-01-13 00:00:00Z at flat: open was 101, is now 100, high was 101, is now 100"
    assert [told.startswith(text) for _, told in live.told()] == [True]
    live.sound()


def test_a_dividend_that_is_declared_afterwards_is_credited(store: SqlStore) -> None:
    live = Live(store, flat())
    live.shown["best"] = replace(flat(), dividends=np.where(np.arange(40)[:, None] == 10, 2.0, 0.0))
    assert live.look(11) == 1
    assert live.told() == []
    # Nothing was held yet on the bar of its day.
    assert live.cycles()[-1]["correction"]["credits"] == []


def test_a_late_dividend_is_paid_on_what_was_held_before_it_and_mended_with_its_source(store: SqlStore) -> None:
    live = Live(store, flat())
    assert [live.look(row) for row in (11, 12, 13)] == [1, 1, 1]
    for row, amount in ((14, 0.02), (15, 2.0)):
        live.shown["best"] = replace(flat(), dividends=np.where(np.arange(40)[:, None] == 13, amount, 0.0))
        assert live.look(row) == 1
        live.service.stop()
        live.start()
    made = [one["correction"]["credits"] for one in live.cycles() if "correction" in one]
    # Half of 1000 in shares of 100.
    assert [(one["symbol"], one["ratio"], one["cash"]) for (one,) in made] == [
        ("A", 1.0, 0.1),
        ("A", 1.0, pytest.approx(9.9)),
    ]
    assert live.cycles()[-1]["equity"][0] == pytest.approx(1010.0)
    assert live.told() == []
    live.sound()


def test_an_asset_that_was_away_comes_back_in_another_scale(store: SqlStore) -> None:
    gone = flat(assets=2)
    close = gone.close.copy()
    close[12:22, 1] = np.nan
    live = Live(store, replace(gone, **dict.fromkeys(("open", "high", "low", "close"), close)))
    for row in range(11, 22):
        live.look(row, after=3 * 60 * MINUTE)
    scaled = live.truth.close * np.array([1.0, 0.25])
    live.shown["best"] = replace(live.truth, **dict.fromkeys(("open", "high", "low", "close"), scaled))
    assert live.look(22) == 1
    assert live.cycles()[-1]["correction"]["carry"] == {"B": 4.0}
    assert live.cycles()[-1]["equity"][0] == pytest.approx(1000.0)


def test_a_rounding_error_is_no_revision(store: SqlStore) -> None:
    live = Live(store, flat())
    live.shown["best"] = changed(flat(), 10, 0, 100.00005)
    assert live.look(11) == 1
    assert live.told() == []


def test_a_deployment_that_cannot_begin_ends_and_says_why(store: SqlStore, tmp_path: Path) -> None:
    """Its data ended long ago; nothing is kept of it."""
    service = deployable(config(), ROOT, store, "one", SetClock(int(flat().ts[-1]) + 9 * DAY))
    runner = Runner(service, None, service.clock)  # type: ignore[arg-type]
    service.start()
    runner.look()
    service.stop()
    assert runner.over.is_set()
    assert "the newest bar is that of 2023-02-09, 8 closes have passed since" in str(runner.failure)
    assert store.deployments() == []
    assert store.rows("alerts", "one") == []


class Deaf:
    """A notifier that keeps what it is to send."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, url: str, message: Message) -> None:
        self.sent.append(message.title)


@pytest.mark.parametrize("how", ["once", "run"])
def test_a_deployment_that_stands_still_says_so_every_time_before_it_ends(how: str, store: SqlStore) -> None:
    """Its strategy asks for nonsense from bar 12 on; whoever starts it again is told the same once, not twice."""
    alerts = {"to": [{"url": "json://nobody", "kinds": ["missed_cycle"]}]}
    live = Live(store, flat(), weights=[0.5] * 12 + [999.0], alerts=alerts)
    assert live.look(11) == 1
    live.service.stop()
    notifier = Deaf()
    for _ in range(2):
        live.clock.set(int(flat().ts[12]) + 5 * MINUTE)
        live.make()
        runner = Runner(live.service, notifier, live.clock)
        with pytest.raises(StrategyError, match="returned NaN"):
            getattr(runner, how)()
    (title,) = notifier.sent
    assert title.startswith("missed: one stands still: strategy scripted returned NaN")


# Status.


def test_status_says_what_was_recorded(store: SqlStore) -> None:
    live = Live(store, flat(assets=2), begin=10)
    assert [live.look(row) for row in (11, 12)] == [1, 1]
    store.ask("one", "halt", 0)
    told = status(store, store.deployments()[0], 0)
    assert (told["deployment"], told["kind"], told["bars"]) == ("one", "paper", 3)
    assert (told["last_cycle"], told["next_cycle"]) == ("2023-01-14T00:00:00Z", "2023-01-15T00:05:00Z")
    assert [(one["symbol"], one["quantity"], one["price"]) for one in told["positions"]] == [
        ("A", 2.5, 100.0), ("B", 2.5, 100.0),
    ]  # fmt: skip
    assert (told["equity"], told["cash"], told["gross"], told["net"]) == (1000.0, 500.0, 0.5, 0.5)
    assert (told["regime"], told["probability"], told["probabilities"]) == (0, 1.0, [1.0])
    assert (told["switches"], told["commands_waiting"], told["trouble"], told["healthy"]) == ([], ["halt"], [], True)
    assert told["journal"]["entries"] == 4
    assert 0.0 < told["latency_ms"]["median"] <= told["latency_ms"]["p99"]
    assert live.look(13) == 1
    told = status(store, store.deployments()[0], 0)
    assert (told["switches"], told["commands_waiting"]) == (["halted"], [])
    assert told["regime_name"] == "regime 0"
    assert told["profit"] == {"day": 0.0, "week": 0.0, "month": 0.0}
    (row,) = listed(store)
    assert (row["deployment"], row["last_cycle"], row["equity"]) == ("one", "2023-01-15T00:00:00Z", 1000.0)
