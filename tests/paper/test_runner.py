"""The runner with its real scheduler and a real clock, on bars of a second; and the mirror beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.config.schema import Config
from barograph.data.history import History
from barograph.errors import LeaseError, NotifyError, StoreError, StrategyError
from barograph.paper.feeds import Chain, between
from barograph.paper.parity import parity
from barograph.paper.ports import Message, SystemClock
from barograph.paper.runner import LookTrigger, Runner, heartbeat
from barograph.paper.schedule import SECOND
from barograph.paper.service import Plan, Service
from barograph.paper.simulated import SetClock
from barograph.paper.testnet.mirror import Mirror, brought
from barograph.paper.verify import verify
from barograph.types import Feed
from barograph_adapters.store import SqlStore, open_store
from tests.fakes.exchange import KEY, SECRET, FakeExchange
from tests.fakes.orders import BTC, broker_of

HOUR = 3600 * SECOND
DATA = {"use": "barograph_adapters.sample:sp500"}
HOLD = {"use": "barograph_strategies.buy_and_hold:buy_and_hold"}


def config(**paper: Any) -> Config:
    quick = {"every": "1s", "delay": "1s", "retry": "1s", "patience": "20s", **paper}
    return Config.model_validate({"name": "quick", "data": DATA, "strategy": HOLD, "paper": quick})


def ticking(until: int) -> History:
    """A bar each second since the beginning of time, up to now; the last two hundred of them."""
    last = until // SECOND
    ts = np.arange(last - 200, last + 1, dtype=np.int64)
    return History.from_arrays(ts * SECOND, 100.0 + np.sin(ts * 0.1), symbols=["X"], calendar="24/7", source="tick")


def feed(after: int, until: int) -> History | None:
    return between(ticking(until), after, until)


@dataclass
class Postbox:
    sent: list[str] = field(default_factory=list)
    fails: bool = False

    def send(self, url: str, message: Message) -> None:
        if self.fails:
            raise NotifyError("nobody listens")
        self.sent.append(message.key)


def service(store: SqlStore, made: Config, folder: Path, fetch: Callable[[int, int], Any] = feed) -> Service:
    def seed(until: int) -> tuple[History, int]:
        history = ticking(until)
        return history, len(history) - 1

    plan = Plan(made, folder, "quick", "paper", seed)
    return Service(store, plan, Chain([Feed("tick", fetch)]), SystemClock())


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = open_store(f"sqlite:///{tmp_path}/paper.db")
    yield opened
    opened.close()


def run_until(runner: Runner, done: Callable[[], bool], most: float = 60.0) -> list[BaseException]:
    """Run it in a thread until something is seen, and stop it; return what it raised."""
    raised: list[BaseException] = []

    def body() -> None:
        try:
            runner.run()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    until = time.monotonic() + most
    while thread.is_alive() and not done() and time.monotonic() < until:
        time.sleep(0.05)
    runner.stop()
    thread.join(most)
    assert not thread.is_alive()
    return raised


def decided(store: SqlStore) -> list[int]:
    return [row["ts"] // SECOND for row in store.rows("equity", "quick")]


def test_a_runner_decides_every_bar_once_and_gives_the_lease_back(store: SqlStore, tmp_path: Path) -> None:
    runner = Runner(service(store, config(), tmp_path), Postbox(), SystemClock())
    assert run_until(runner, lambda: len(decided(store)) >= 4) == []
    seconds = decided(store)
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    assert store.rows("leases", "quick")[0]["holder"] == ""
    again = Runner(service(store, config(), tmp_path), Postbox(), SystemClock())
    assert run_until(again, lambda: len(decided(store)) >= len(seconds) + 2) == []
    more = decided(store)
    assert more == list(range(more[0], more[0] + len(more)))
    deployed = store.find("quick")
    assert deployed is not None
    assert not verify(store, deployed).wrong


def test_a_store_that_is_gone_for_a_while_loses_nothing(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, whole = service(store, config(), tmp_path), store.commit
    refused: list[int] = []

    def commit(lease: Any, batch: Any) -> None:
        if len(refused) < 2:
            refused.append(batch.entry.number)
            raise StoreError("the database is gone")
        whole(lease, batch)

    monkeypatch.setattr(store, "commit", commit)
    assert run_until(Runner(made, Postbox(), SystemClock()), lambda: len(decided(store)) >= 4) == []
    assert len(refused) == 2
    assert refused[0] == refused[1]
    seconds = decided(store)
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))


def test_a_lost_lease_ends_the_run(store: SqlStore, tmp_path: Path) -> None:
    made = service(store, config(), tmp_path)

    def taken() -> bool:
        if len(decided(store)) < 2:
            return False
        lease = store.rows("leases", "quick")[0]
        with store.transaction() as connection:
            connection.execute(store.tables["leases"].update().values(token=lease["token"] + 1, holder="other:1:1"))
        return False

    raised = run_until(Runner(made, Postbox(), SystemClock()), taken)
    assert isinstance(raised[0], LeaseError)
    assert store.rows("leases", "quick")[0]["holder"] == "other:1:1"


def test_a_database_that_is_removed_ends_the_run(store: SqlStore, tmp_path: Path) -> None:
    made = service(store, config(), tmp_path)
    made.start()
    assert made.lease is not None
    store.beat(made.lease)
    (tmp_path / "paper.db").rename(tmp_path / "away.db")
    with pytest.raises(LeaseError, match="was removed or replaced while it was used"):
        store.beat(made.lease)
    (tmp_path / "away.db").rename(tmp_path / "paper.db")
    store.beat(made.lease)
    made.stop()


def test_what_cannot_be_mended_ends_the_run_and_says_so(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service(store, config(), tmp_path)
    Runner(made, Postbox(), SystemClock()).once()

    def ruined(*_: Any) -> Any:
        raise StrategyError("strategy hold ruined the account")

    monkeypatch.setattr("barograph.paper.deployment.Deployment.cycle", ruined)
    raised = run_until(Runner(made, Postbox(), SystemClock()), lambda: False)
    assert isinstance(raised[0], StrategyError)
    told = [row for row in store.rows("alerts", "quick") if row["key"].startswith("missed_cycle:stopped:")]
    assert [row["severity"] for row in told] == ["critical"]
    assert "ruined the account" in told[0]["facts"]
    assert store.notes("quick", 1)[0].kind == "stopped"


def test_once_looks_tells_and_leaves(store: SqlStore, tmp_path: Path) -> None:
    post = Postbox()
    made = config(alerts={"to": [{"url": "json://host"}], "heartbeat": "1d"})
    assert Runner(service(store, made, tmp_path), post, SystemClock()).once() == 1
    assert [key.split(":")[0] for key in post.sent] == ["quick/heartbeat"]
    Runner(service(store, made, tmp_path), post, SystemClock()).once()
    assert sum("heartbeat" in key for key in post.sent) == 1
    assert store.rows("leases", "quick")[0]["holder"] == ""


def test_a_recipient_that_fails_stops_no_cycle(store: SqlStore, tmp_path: Path) -> None:
    made = config(alerts={"to": [{"url": "json://host"}], "heartbeat": "1d"})
    Runner(service(store, made, tmp_path), Postbox(fails=True), SystemClock()).once()
    runner = Runner(service(store, made, tmp_path), Postbox(fails=True), SystemClock())
    assert run_until(runner, lambda: len(decided(store)) >= 3) == []
    (row,) = [row for row in store.rows("deliveries", "quick") if row["alert_key"].startswith("heartbeat")]
    assert row["state"] == "waiting"
    assert row["error"] == "nobody listens"


def test_the_sign_of_life_is_told_once_a_period(store: SqlStore, tmp_path: Path) -> None:
    made = service(store, config(), tmp_path)
    keys = [heartbeat(made, 3600, now).key for now in (5 * HOUR, 6 * HOUR - 1, 6 * HOUR)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("minutes", [-90, -1, 0, 1, 90])
def test_a_trigger_fires_later_than_now(minutes: int) -> None:
    now = datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    due = now + timedelta(minutes=minutes)
    found = LookTrigger(lambda: int(due.timestamp()) * SECOND).get_next_fire_time(None, now)
    assert found == max(due, now + timedelta(seconds=1))


# The mirror.


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTNET_KEY", KEY)
    monkeypatch.setenv("TESTNET_SECRET", SECRET)


def coins(store: SqlStore, folder: Path, clock: SetClock, weights: list[float]) -> Service:
    """A deployment whose targets are given, one a bar, on bars of an hour."""
    (folder / "given.py").write_text(
        "import barograph as bg\n"
        f"WEIGHTS = {weights!r}\n"
        "def step(state, bars, belief, portfolio, params):\n"
        "    return state + 1, bg.Target(WEIGHTS[min(state, len(WEIGHTS) - 1)])\n"
        "given = bg.strategy(step, init=lambda _: 0)\n"
    )
    ts = np.arange(1, 40) * HOUR
    history = History.from_arrays(ts, 100.0 + np.arange(39.0), symbols=[BTC], calendar="24/7")
    tree = {"name": "coins", "data": DATA, "strategy": {"use": "given:given"}, "execution": {"cash": 1000.0}}
    made = Config.model_validate({**tree, "paper": {"every": "1h", "broker": {"use": "nowhere:broker"}}})

    def seed(until: int) -> tuple[History, int]:
        return history.head(1), 0

    chain = Chain([Feed("given", lambda after, until: between(history, after, until))])
    return Service(store, Plan(made, folder, "coins", "paper", seed), chain, clock)


@pytest.mark.usefixtures("keys")
def test_orders_are_mirrored_and_a_target_of_nothing_leaves_nothing(store: SqlStore, tmp_path: Path) -> None:
    clock = SetClock(HOUR)
    made = coins(store, tmp_path, clock, [0.5, 0.5, 0.9, 0.2, 0.0])
    made.start()
    with FakeExchange(None) as fake:
        mirror = Mirror(store, broker_of(fake, held_before={BTC: 1.0, "ETH/USDT": 10.0}), "coins")
        for n in range(6):
            clock.set((n + 1) * HOUR)
            made.look()
            mirror.place()
            mirror.place()
        counts = fake.by_client_id()
        report = mirror.compare()
    assert len(counts) == 5
    assert set(counts.values()) == {1}
    assert brought(store.placed_orders("coins"))[BTC] == pytest.approx(0.0, abs=1e-12)
    assert report is not None
    assert report.agrees, str(report)
    deployed = store.find("coins")
    assert deployed is not None
    assert not verify(store, deployed).wrong


@pytest.mark.usefixtures("keys")
def test_what_a_broker_refuses_is_told_once_and_tried_again(store: SqlStore, tmp_path: Path) -> None:
    clock = SetClock(HOUR)
    made = coins(store, tmp_path, clock, [0.5])
    made.start()
    made.look()
    with FakeExchange(None) as fake:
        broker = broker_of(fake, held_before={BTC: 1.0, "ETH/USDT": 10.0}, tries=1)
        broker.find(next(iter(store.open_intents("coins"))).client_id, BTC)
        mirror = Mirror(store, broker, "coins")
        fake.rate, fake.kinds = 1.0, ("503",)
        mirror.place()
        mirror.place()
        assert len(store.open_intents("coins")) == 1
        fake.rate = 0.0
        mirror.place()
        assert not store.open_intents("coins")
        assert len(fake.accepted) == 1
    told = [row for row in store.rows("alerts", "coins") if row["kind"] == "broker"]
    assert len(told) == 1
    assert told[0]["severity"] == "critical"


def test_parity_knows_nothing_of_the_mirror(store: SqlStore, tmp_path: Path) -> None:
    clock = SetClock(HOUR)
    made = coins(store, tmp_path, clock, [0.5, 0.1])
    made.start()
    for n in range(4):
        clock.set((n + 1) * HOUR)
        made.look()
    deployed = store.find("coins")
    assert deployed is not None
    found = parity(store, deployed, tmp_path)
    assert found.difference is None or found.difference.table == "bars"
