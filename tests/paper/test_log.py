"""The log of a deployment: a line when something begins, waits, goes wrong or ends, and none again and again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.errors import FeedError, StrategyError
from barograph.paper.holding.behind import without
from barograph.paper.ports import SystemClock
from barograph.paper.runner import Runner
from barograph_adapters.store.sql import SqlStore, open_store
from tests.fakes.market import MINUTE, flat
from tests.fakes.outbox import Postbox, refusing
from tests.paper import test_runner
from tests.paper.test_service import Live


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the log says from here on, without what it knew before."""
    # The command line keeps its log to itself.
    monkeypatch.setattr(logging.getLogger("barograph"), "propagate", True)
    caplog.set_level(logging.INFO, logger="barograph")

    def since() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.name == "barograph.paper"]
        caplog.clear()
        return found

    return since


@pytest.fixture
def store() -> SqlStore:
    return open_store("sqlite://")


def looks(live: Live, runner: Runner, row: int, *minutes: int) -> None:
    """Look so many minutes after a bar's close, one time after the other."""
    for after in minutes:
        live.clock.set(int(live.truth.ts[row]) + after * MINUTE)
        runner.look()


def test_a_day_that_is_late_is_waited_for_stale_and_missed_and_each_is_said_once(store: SqlStore, lines: Any) -> None:
    live = Live(store, flat())
    runner = Runner(live.service, Postbox(), live.clock)
    live.shown["best"] = flat().head(11)
    lines()
    looks(live, runner, 11, 5, 15, 25, 126, 300, 600)
    assert lines() == [
        "one: waiting for the bar of 2023-01-13 00:00:00Z; next look 2023-01-13 00:15:00Z",
        "one: feed: best failed: answers without the bar that is overdue",
        "one: feed: second failed: second: HTTP 503",
        "one: stale: no bar since 2023-01-12 00:00:00Z; 1 close has passed without one",
    ]
    live.shown["best"] = flat()
    looks(live, runner, 11, 700)
    assert lines() == [
        "one: missed: its bar was decided 11:40:00 (h:mm:ss) after the close",
        "one: stale: over: the bars are back, the newest is that of 2023-01-13 00:00:00Z",
        "one: decided the bar of 2023-01-13 00:00:00Z, equity 1000.00; next look 2023-01-14 00:05:00Z",
    ]


def test_an_asset_is_waited_for_by_name_and_a_feed_that_fails_is_said_once(store: SqlStore, lines: Any) -> None:
    live = Live(store, flat(assets=2))
    only_a = (np.arange(40) == 11)[:, None] & [[False, True]]
    live.shown["best"] = without(flat(assets=2), only_a)
    runner = Runner(live.service, Postbox(), live.clock)
    lines()
    looks(live, runner, 11, 5, 15)
    assert [line for line in lines() if "waiting" in line] == [
        "one: waiting for B of 2023-01-13 00:00:00Z; next look 2023-01-13 00:15:00Z"
    ]
    live.shown["best"] = FeedError("best: HTTP 500")
    looks(live, runner, 11, 25, 35, 45)
    assert [line for line in lines() if "HTTP 500" in line] == [
        "one: bad data: no feed answers: best: best: HTTP 500; second: second: HTTP 503"
    ]


def test_on_a_closed_day_and_in_a_replay_nothing_is_waited_for(store: SqlStore, lines: Any) -> None:
    live = Live(store, flat())
    lines()
    runner = Runner(live.service, Postbox(), live.clock)
    looks(live, runner, 11, -1)
    assert [line for line in lines() if "waiting" in line] == []
    live.service.due = None
    assert live.service.awaited() == ""


def test_a_delivery_that_fails_is_said_when_it_first_does(store: SqlStore, lines: Any) -> None:
    to = [{"name": "mail", "url": "json://nobody"}]
    live = Live(store, flat(), alerts={"to": to, "heartbeat": "1d", "give_up": "2m"})
    post = Postbox(refusing())
    runner = Runner(live.service, post, live.clock)
    lines()
    for minutes in range(0, 20, 2):
        live.clock.set(int(live.truth.ts[10]) + minutes * MINUTE)
        runner._told()
    told = lines()
    assert [line.partition(" to ")[0] for line in told] == ["one: delivery failed: heartbeat:19369"] * 2
    assert told[0].endswith("to mail: json://host: not delivered: HTTP 500")
    assert "given up after" in told[1]


def test_who_starts_and_stops_says_so_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Any) -> None:
    store = open_store(f"sqlite:///{tmp_path}/paper.db")
    made = test_runner.service(store, test_runner.config(), tmp_path)
    post = Postbox()
    assert test_runner.run_until(Runner(made, post, SystemClock()), lambda: len(test_runner.decided(store)) > 1) == []
    said = lines()
    assert said[0] == "quick: started; nothing is deployed yet, the first look begins it"
    assert said[-1] == "quick: stopped"

    def ruined(*_: Any) -> Any:
        raise StrategyError("strategy hold ruined the account")

    monkeypatch.setattr("barograph.paper.deployment.Deployment.cycle", ruined)
    again = test_runner.service(store, test_runner.config(), tmp_path)
    assert len(test_runner.run_until(Runner(again, post, SystemClock()), lambda: False)) == 1
    said = lines()
    assert said[0].startswith("quick: started; its last bar is that of ")
    assert said[-1] == "quick: stopped: strategy hold ruined the account"
