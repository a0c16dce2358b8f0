"""What a person sees of a deployment: honest status, profits by hand, why messages wait, lists of alerts and orders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.errors import ConfigError, NotifyError
from barograph.paper.feeds import Chain
from barograph.paper.ports import Message
from barograph.paper.runner import Runner
from barograph.paper.service import Plan, Service
from barograph.paper.simulated import SetClock
from barograph.paper.status import profit, status
from barograph.types import Feed
from barograph_adapters.store.sql import open_store
from tests.campaigns.outages import BEGIN, MINUTE, NAME, Outage, Study
from tests.cli.test_cli import barograph


@pytest.fixture(scope="module")
def outage() -> Outage:
    return Outage(Study(seed=1, lasts=30 * MINUTE, step=MINUTE)).run()


def test_six_minutes_without_data_on_a_schedule_of_minutes_are_told(outage: Outage) -> None:
    """Of a service that stopped: nothing raises, nothing is delivered, and the next cycle stays where it was."""
    store, (one,) = outage.store, outage.store.deployments()
    last = store.newest("cycles", NAME, 1)[0]["next_look"]
    early, late = (status(store, one, last + minutes * MINUTE) for minutes in (1, 6))
    assert (early["overdue"], early["healthy"]) == (False, True)
    assert (late["overdue"], late["healthy"], late["model_healthy"]) == (True, False, True)


def test_profits_are_those_from_the_last_close_before() -> None:
    """1 March 2026 is a Sunday: week and month begin at different closes; midnight belongs to the day before."""
    days = np.array(
        ["2026-02-20", "2026-02-23", "2026-02-27", "2026-03-01", "2026-03-02", "2026-03-03T16:00"], "M8[ns]"
    )
    rows = [{"ts": int(ts), "equity": 100.0 + 7.0 * n} for n, ts in enumerate(days.astype(np.int64))]

    class Rows:
        def newest(self, _table: str, _name: str, _most: int, until: int) -> list[dict[str, Any]]:
            return [row for row in rows if row["ts"] <= until][-1:]

        def rows(self, _table: str, _name: str) -> list[dict[str, Any]]:
            return rows

    found = profit(Rows(), "x", rows[-1])  # type: ignore[arg-type]
    assert found == {"day": 135.0 / 128.0 - 1.0, "week": 135.0 / 128.0 - 1.0, "month": 135.0 / 121.0 - 1.0}
    assert profit(Rows(), "x", rows[0]) == dict.fromkeys(("day", "week", "month"), 0.0)  # type: ignore[arg-type]


class Refusing:
    """A recipient who takes nothing, and may say for how long."""

    def __init__(self, wait: float) -> None:
        self.wait = wait

    def send(self, url: str, message: Message) -> None:
        error = NotifyError("json://nobody: not delivered: HTTP 429")
        error.wait = self.wait
        raise error


@pytest.mark.parametrize(
    ("study", "wait", "told"),
    [
        ({}, 0.0, "ann: json://nobody: not delivered: HTTP 429; tried 1 times, again at 2026-03-02T00:"),
        ({}, 600.0, "ann: asked to be left alone until 2026-03-02T00:"),
        ({"night": True}, None, "ann: quiet hours until 07:00 in UTC"),
    ],
)
def test_status_says_why_messages_wait(study: dict[str, Any], wait: float | None, told: str) -> None:
    run = Outage(Study(seed=1, **study))
    run_store = open_store("sqlite://")
    clock = SetClock(BEGIN + 30 * MINUTE + 5_000_000_000)
    service = Service(
        run_store, Plan(run.config(), Path(), NAME, "paper", run._seed), Chain([Feed("feed", run._fetch)]), clock
    )
    runner = Runner(service, Refusing(wait) if wait is not None else run.post, clock)
    service.start()
    for _ in range(3):
        service.look()
        clock.sleep(60)
    runner._told()
    found = status(run_store, run_store.deployments()[0], clock.now())["alerts"]
    assert found["waiting"] > 0
    assert [line for line in found["why"] if line.startswith(told)], found["why"]


def test_every_alert_is_listed_once_with_what_became_of_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/paper.db"
    done = barograph("paper", "configs/paper.toml", "--replay", "2018-06-01", "--store", url)
    assert done.returncode == 0, done.stderr
    listed = json.loads(barograph("alerts", "list", "--store", url, "--last", "10000", "--json").stdout)["rows"]
    raised = json.loads(barograph("status", "--store", url, "--json").stdout)["alerts"]["raised"]
    assert len({row["key"] for row in listed}) == len(listed) == raised
    assert [row["ts"] for row in listed] == sorted(row["ts"] for row in listed)
    assert {row["delivered"] for row in listed} == {"to nobody"}
    few = barograph("alerts", "list", "--store", url, "--kind", "order_filled", "--last", "2").stdout.splitlines()
    assert len(few) == 2
    assert all("fill: SP500" in line for line in few)
    orders = barograph("orders", "--store", url, "--last", "3").stdout.splitlines()
    assert len(orders) == 3
    assert all("SP500 market to" in line for line in orders)
    traded = json.loads(barograph("trades", "--store", url, "--json").stdout)["rows"]
    assert sum(row["profit"] for row in traded) == pytest.approx(
        json.loads(barograph("status", "--store", url, "--json").stdout)["equity"] - 1e6, rel=1e-9
    )
    assert len(barograph("trades", "--store", url, "--last", "1").stdout.splitlines()) == 1
    wrong = barograph("alerts", "list", "--store", url, "--kind", "regime")
    assert wrong.returncode == ConfigError.exit_code
    assert "no alert is 'regime'; wanted one of" in wrong.stderr
