"""Manners of a service: what lasts, a calendar that ends, an asset that dies, a ban, a machine short of something."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.cli import app
from barograph.config.schema import Config
from barograph.data.calendars import DAY, horizon, sessions
from barograph.data.history import History
from barograph.epoch import LAST
from barograph.errors import ConfigError, DataError, FeedError, IncompleteError, ShortageError
from barograph.loop import session
from barograph.paper.alerts.incidents import Incidents
from barograph.paper.ends import asked_end
from barograph.paper.feeds import Chain, between
from barograph.paper.parity import parity
from barograph.paper.runner import Runner
from barograph.paper.service import Plan, Service, deployable
from barograph.paper.simulated import SetClock
from barograph.paper.status import status
from barograph.paper.verify import verify
from barograph.types import Feed
from barograph_adapters.store.sql import SqlStore, open_store
from tests import ROOT
from tests.fakes.market import HOUR, MINUTE, flat
from tests.fakes.outbox import Postbox
from tests.kit.machines import learnable
from tests.paper.test_service import Live, changed, text_of

ENDING = "XSHG"


@pytest.fixture
def store() -> Iterator[SqlStore]:
    opened = open_store("sqlite://")
    yield opened
    opened.close()


# Incidents.


def test_what_lasts_is_told_daily_and_what_nobody_may_mend_ever_less_often(store: SqlStore) -> None:
    clock = SetClock(0)
    book = Incidents(store, "one", clock)
    for hour in range(0, 40 * 24, 2):
        clock.set(hour * HOUR)
        book.met("stale_data", "no bar", 0, hour * HOUR, hour + 1)
        book.met("bad_data:absent:B", "B has no bar", hour // 24 * DAY)
        if hour == 100:
            # A clock that was set back tells nothing twice at once, and nothing much later.
            clock.set((hour - 10) * HOUR)
            book.met("stale_data", "no bar", 0, hour * HOUR, hour + 1)
    days = {
        kind: [row["ts"] // DAY for row in store.rows("alerts", "one") if row["kind"] == kind]
        for kind in ("stale_data", "bad_data")
    }
    assert 38 <= len(days["stale_data"]) <= 42
    assert len(days["bad_data"]) == 6
    (absent, stale) = store.incidents("one")
    assert (absent.times, stale.times, stale.severity) == (40, 959, "critical")
    # The next process goes on with it.
    clock.set(41 * DAY)
    Incidents(store, "one", clock).over("stale_data", "the bars are back")
    last = json.loads(store.rows("alerts", "one")[-1]["facts"])
    assert last["text"] == "over: the bars are back; 959 times from 1970-01-01 00:00:00Z to 1970-02-09 22:00:00Z"
    assert [one.subject for one in store.incidents("one")] == ["bad_data:absent:B"]


def test_what_passes_before_it_is_told_is_told_by_nobody(store: SqlStore) -> None:
    clock = SetClock(0)
    book = Incidents(store, "one", clock)
    book.met("bad_data:door:best:B", "B at best: HTTP 500", 0, after=2 * HOUR)
    book.over("bad_data:door:best:B", "best has an answer for B again")
    assert store.rows("alerts", "one") == []
    for hour in range(4):
        clock.set(hour * HOUR)
        book.met("bad_data:door:best:B", "B at best: HTTP 500", clock.now(), after=2 * HOUR)
    assert len(store.rows("alerts", "one")) == 1


# The calendar ends.


class Ending:
    """A deployment on a calendar that ends, with a bar on every weekday after it."""

    def __init__(self, store: SqlStore, days_before: int) -> None:
        self.until = horizon(ENDING)
        if self.until == LAST:
            pytest.skip("this release of exchange_calendars knows no end of it")
        known = sessions(ENDING, np.datetime64(self.until - 120 * DAY, "ns"), np.datetime64(self.until, "ns")).closes
        weekdays = np.arange(1, 60, dtype=np.int64) * DAY + known[-1]
        ts = np.concatenate([known, weekdays])
        self.truth = History.from_arrays(ts, 100.0 + np.sin(ts / DAY), symbols=["A"], calendar=ENDING)
        self.begin = int(np.searchsorted(known, self.until - days_before * DAY)) - 1
        self.store, self.clock = store, SetClock(int(ts[self.begin]) + 5 * MINUTE)
        tree = {"name": "one", "data": {"use": "barograph_adapters.sample:sp500"}}
        hold = {"use": "barograph_strategies.buy_and_hold:buy_and_hold"}
        alerts = {"heartbeat": "1d", "to": [{"url": "json://nobody"}]}
        made = Config.model_validate({**tree, "strategy": hold, "paper": {"alerts": alerts}})
        chain = Chain([Feed("given", lambda after, until: between(self.truth, after, until))])
        plan = Plan(made, ROOT, "one", "paper", lambda _: (self.truth.head(self.begin + 1), self.begin))
        self.service = Service(store, plan, chain, self.clock)
        self.post = Postbox()
        self.runner = Runner(self.service, self.post, self.clock)
        self.service.start()
        self.service.look()

    def run(self, until: int) -> None:
        """Look and tell when the service says so, and at least every eight hours."""
        while self.clock.now() < until:
            now = self.clock.now()
            self.clock.set(min(max(self.service.next(), now + 1), now + 8 * HOUR, until))
            self.service.look()
            self.runner._told()

    def heard(self, kind: str) -> list[Any]:
        return [message for _, message in self.post.taken if message.kind == kind]


@pytest.mark.parametrize("days_before", [36, 12])
def test_a_calendar_that_ends_is_told_a_month_before_and_what_comes_after_is_held(
    days_before: int, store: SqlStore
) -> None:
    live = Ending(store, days_before)
    live.run(live.until - 1)
    before = live.heard("calendar_end")
    assert min(30, days_before) - 1 <= len(before) <= 32
    assert {message.severity for message in before} == {"warning"}
    assert "is known until" in before[0].title
    last = int(live.truth.ts[live.truth.ts < live.until][-1])
    assert live.service.last == last
    pulses = len(live.heard("heartbeat"))
    assert pulses >= days_before - 4
    live.run(live.until + 20 * DAY)
    after = live.heard("calendar_end")[len(before) :]
    assert 19 <= len(after) <= 21
    assert {message.severity for message in after} == {"critical"}
    assert "bars are held until it is known whose they are" in after[-1].body
    assert live.service.last == last
    # The sign of life says all is well: after the last session it is not.
    assert len(live.heard("heartbeat")) <= pulses
    told = status(store, store.deployments()[0], live.clock.now())
    assert [one["about"] for one in told["incidents"]] == ["calendar_end"]


def test_when_the_calendar_is_known_again_what_was_held_is_decided_in_order(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Ending(store, 10)
    live.run(live.until + 5 * DAY)
    live.service.stop()
    monkeypatch.setattr("barograph.paper.service.horizon", lambda _: LAST)
    # The release that knows more knows the sessions too.
    monkeypatch.setattr(Service, "_strays", lambda *_: np.zeros(0, dtype=np.int64))
    live.service.start()
    live.service.look()
    ts = [row["ts"] for row in store.rows("equity", "one")]
    assert ts == live.truth.ts[live.begin : np.searchsorted(live.truth.ts, live.clock.now(), side="right")].tolist()
    assert ts[-1] > live.until
    assert parity(store, store.deployments()[0]).difference is None


def test_no_deployment_begins_where_the_calendar_has_ended(store: SqlStore, tmp_path: Path) -> None:
    until = horizon(ENDING)
    if until == LAST:
        pytest.skip("this release of exchange_calendars knows no end of it")
    (tmp_path / "a.csv").write_text("date,close\n2024-07-01,5\n2024-07-02,6\n2024-07-03,6\n")
    data = {"use": "barograph_adapters.files:csv", "path": "a.csv", "calendar": ENDING}
    hold = {"use": "barograph_strategies.buy_and_hold:buy_and_hold"}
    made = Config.model_validate({"name": "late", "data": data, "strategy": hold})
    service = deployable(made, tmp_path, store, "late", SetClock(until + DAY))
    service.start()
    with pytest.raises(DataError, match=f"the calendar {ENDING} is known until .*: nothing can be decided after it"):
        service.look()
    assert store.deployments() == []


# One asset dies.


def lacking(history: History, **why: str) -> Callable[[int, int], History | None]:
    """Return a feed's fetch that has no answer for some assets, from row 11 on."""

    def fetch(after: int, until: int) -> History | None:
        found = between(history, after, until)
        if until < history.ts[11]:
            return found
        gone = History.from_arrays(
            history.ts, history.close, symbols=list(history.symbols), calendar="24/7", source="best"
        )
        for symbol in why:
            gone = changed(gone, slice(11, None), history.symbols.index(symbol), np.nan)  # type: ignore[arg-type]
        raise IncompleteError(why, between(gone, after, until))

    return fetch


def test_the_others_trade_on_and_the_dead_one_is_waited_for_once(store: SqlStore) -> None:
    live = Live(store, flat(assets=3))
    live.service.chain.feeds = [Feed("best", lacking(live.truth, B="best: HTTP 404"))]
    assert [live.look(11), live.look(11, 60 * MINUTE), live.look(11, 125 * MINUTE)] == [0, 0, 1]
    assert [live.look(row) for row in range(12, 31)] == [1] * 19
    told = [text for kind, text in live.told() if kind == "bad_data"]
    assert 4 <= len(told) <= 6
    assert "B has no bar of 2023-01-13 00:00:00Z, which was decided without it (best: HTTP 404)" in told[0]
    assert "barograph end one B PRICE" in told[0]
    assert "19 times since" not in told[0]
    assert {kind for kind, _ in live.told()} == {"bad_data"}
    live.sound()


def test_what_one_door_lacks_another_one_may_have(store: SqlStore) -> None:
    truth = changed(flat(assets=2), 11, 1, 50.0)
    live = Live(store, truth)
    live.service.chain.feeds = [
        Feed("best", lacking(truth, B="best: HTTP 404")),
        Feed("second", lambda after, until: between(truth, after, until)),
    ]
    assert [live.look(row) for row in (11, 12)] == [1, 1]
    assert store.bars("one").close[11].tolist() == [100.0, 50.0]
    assert live.cycles()[-1]["source"] == "best, B flat"
    assert live.told() == [("bad_data", "B at best: best: HTTP 404; 2 times since 2023-01-13 00:05:00Z")]
    live.service.chain.feeds = live.service.chain.feeds[1:]
    assert live.look(13) == 1
    live.service.chain.feeds = [Feed("best", lambda after, until: between(truth, after, until))]
    assert live.look(14) == 1
    assert live.told()[-1][1].startswith("over: best has an answer for B again")
    live.sound()


@pytest.mark.parametrize("restarted", [False, True])
def test_an_operator_ends_an_asset_and_the_record_says_so(restarted: bool, store: SqlStore) -> None:
    """1000 in cash, two assets at 100, a weight of 0.25 each: 2.5 units of B pay 90 each, at a loss of 25."""
    live = Live(store, flat(assets=2))
    assert live.look(11) == 1
    live.service.chain.feeds = [Feed("best", lacking(live.truth, B="best: HTTP 404"))]
    live.clock.set(int(live.truth.ts[12]))
    store.ask("one", asked_end(store.deployments()[0], "B", 90.0), 0)
    # The command is obeyed at the next cycle, which still waits for B.
    assert [live.look(12), live.look(12, 125 * MINUTE)] == [0, 1]
    # From then on nobody waits for it, and what a feed says of it again is not heard.
    live.service.chain.feeds = [Feed("best", lambda after, until: between(live.truth, after, until))]
    if restarted:
        live.service.stop()
        live.start()
    assert [live.look(row) for row in (13, 14, 15)] == [1, 1, 1]
    held = [[float(x) for x in one["positions"][0]] for one in live.cycles()]
    assert [units[1] for units in held][-4:] == [0.0] * 4
    assert [one["equity"][0] for one in live.cycles()][-1] == pytest.approx(975.0)
    assert live.cycles()[2]["commands"] == ["end 90.0 B"]
    assert np.nanmax(store.bars("one").final) == 90.0
    assert any(
        "end 90.0 B: in force" in text_of(row) for row in store.rows("alerts", "one") if row["kind"] == "command"
    )
    # Nothing is missing: what was ended has no incident and is no revision.
    assert [one.subject for one in store.incidents("one")] == []
    deployed = store.deployments()[0]
    assert verify(store, deployed).wrong == ()
    assert parity(store, deployed).difference is None


def test_only_an_asset_that_is_there_can_be_ended(store: SqlStore) -> None:
    live = Live(store, flat(assets=2))
    deployed = store.deployments()[0]
    with pytest.raises(ConfigError, match="one has no asset 'C'; it has A, B"):
        asked_end(deployed, "C", 1.0)
    for price in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="wanted what a share pays, 0 or more"):
            asked_end(deployed, "A", price)
    assert live.look(11) == 1


def test_end_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(f"sqlite:///{tmp_path}/paper.db")
    Live(store, flat(assets=2))
    with pytest.raises(SystemExit) as over:
        app(["end", "one", "B", "12.5", "--store", f"sqlite:///{tmp_path}/paper.db"])
    assert over.value.code in (0, None)
    assert capsys.readouterr().out == "one: end 12.5 B is obeyed at its next cycle\n"
    assert [command.command for command in store.asked("one")] == ["end 12.5 B"]


# A ban, and a machine that is short of something.


def test_a_ban_is_remembered_by_host_by_all_feeds_and_by_the_next_process(store: SqlStore) -> None:
    live = Live(store, flat())
    asked: list[str] = []

    def banned(name: str) -> Feed:
        def fetch(after: int, until: int) -> History | None:
            asked.append(name)
            error = FeedError(f"{name}: HTTP 418")
            error.wait = 7200.0
            raise error

        return Feed(name, fetch, "api.example.org")

    for n in range(12):
        live.service.stop()
        live.start()
        live.service.chain.feeds = [banned("stream"), banned("rest")]
        assert live.look(11, (5 + 10 * n) * MINUTE) == 0
    assert asked == ["stream"]
    assert "rest: asked to be left alone until 2023-01-13 02:05:00Z: stream: HTTP 418" in live.service.said
    assert live.look(11, 126 * MINUTE) == 0
    assert asked == ["stream", "stream"]


def test_a_fit_that_runs_out_of_descriptors_waits_and_is_made_later(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failure of the model: nothing of it enters the record, which is the backtest's."""
    part = {"use": "barograph_models.gaussian_hmm:gaussian_hmm", "states": 2, "starts": 1, "jobs": 1, "seed": 3}
    tree = {"name": "one", "data": {"use": "tests.kit.machines:learnable"}, "model": part}
    tree |= {"fit": {"window": 60, "every": 3}, "features": [{"use": "barograph.features:log_return"}]}
    tree |= {"strategy": {"use": "tests.kit.machines:follow"}}
    truth = replace(learnable(), calendar="24/7")
    clock = SetClock(int(truth.ts[70]) + 5 * MINUTE)
    chain = Chain([Feed("given", lambda after, until: between(truth, after, until))])
    plan = Plan(Config.model_validate(tree), ROOT, "one", "paper", lambda _: (truth.head(71), 70))
    service = Service(store, plan, chain, clock)
    runner = Runner(service, Postbox(), clock)
    service.start()
    service.look()
    short = {"now": True}
    whole = session.fit_once

    def fit_once(*words: Any) -> Any:
        if short["now"]:
            raise RuntimeError("a worker died") from OSError(errno.EMFILE, "Too many open files")
        return whole(*words)

    monkeypatch.setattr("barograph.loop.session.fit_once", fit_once)
    clock.set(int(truth.ts[75]) + 5 * MINUTE)
    for n in range(3):
        runner.look()
        assert (runner.failed, runner.failure) == (n + 1, None)
    with pytest.raises(ShortageError, match="this machine is short of file descriptors"):
        service.look()
    short["now"] = False
    runner.look()
    assert runner.failed == 0
    assert len(store.rows("equity", "one")) == 6
    assert not [entry for entry in store.entries("one") if entry.kind == "fit" and entry.content["refused"]]
    assert parity(store, store.deployments()[0]).difference is None


def test_a_sign_of_life_is_withheld_while_looks_fail(store: SqlStore) -> None:
    live = Live(store, flat(), alerts={"to": [{"url": "json://nobody"}], "heartbeat": "1h"})
    post = Postbox()
    runner = Runner(live.service, post, live.clock)
    runner._told()
    runner.failed = 1
    live.clock.sleep(3600)
    runner._told()
    runner.failed = 0
    live.clock.sleep(3600)
    runner._told()
    beats = [message for _, message in post.taken if message.kind == "heartbeat"]
    assert len(beats) == 2
    assert "its last bar is that of 2023-01-12 00:00:00Z, its next look is at 2023-01-13 00:05:00Z" in beats[0].body
