"""A deployment behind the gate: held bars are told and waited for, and what it does is what the backtest does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.cli import app
from barograph.config.build import build
from barograph.config.schema import Config
from barograph.data.gate import gated
from barograph.data.history import FIELDS, History
from barograph.errors import ConfigError, StoreError
from barograph.loop.run import scan
from barograph.paper.ends import asked_end
from barograph.paper.feeds import Chain, between, feeds_of, seed
from barograph.paper.holding.behind import without
from barograph.paper.holding.confirm import asked_confirm
from barograph.paper.parity import parity
from barograph.paper.record import rebuilt, recorded
from barograph.paper.runner import replay
from barograph.paper.service import Plan, Service
from barograph.paper.simulated import SetClock, replayed
from barograph.paper.status import status
from barograph.paper.verify import verify
from barograph.types import Feed
from barograph_adapters.store.sql import SqlStore, open_store
from tests import ROOT
from tests.fakes.market import DAY, MINUTE
from tests.kit.paper_replays import same_tables

BEGIN, ROWS = 40, 60


def bars(assets: int, seed: int) -> History:
    """Daily bars of a market that never rests, which move by 1 %."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, (ROWS, assets)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    ts = (19_000 + np.arange(ROWS)) * DAY
    return History.from_arrays(ts, close, opened, high, low, np.full(close.shape, 1e9), "AB"[:assets], "24/7")


def scaled(history: History, rows: Any, factor: float, asset: int = 0) -> History:
    """Put some rows of an asset off by a factor."""
    columns = {name: getattr(history, name).copy() for name in FIELDS[:4]}
    for values in columns.values():
        values[rows, asset] *= factor
    return replace(history, **columns)


class Deployed:
    """A deployment whose feed shows whatever a test puts into `shown`, up to the clock; it is looked at every day."""

    def __init__(self, folder: Path, history: History, gate: str = "on", **paper: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.url, self.truth, self.shown = f"sqlite:///{folder}/paper.db", history, history
        self.store: Any = open_store(self.url)
        tree: dict[str, Any] = {"name": "d", "data": {"use": "tests.fakes.market:flat", "gate": gate}}
        tree["strategy"] = {"use": "tests.fakes.market:scripted", "weights": [0.5, 0.2, 0.9, 0.0, 0.7]}
        tree["paper"] = {"delay": "5m", "retry": "10m", "patience": "2h", **paper}
        self.config = Config.model_validate(tree)
        self.clock = SetClock(int(history.ts[BEGIN]) + 5 * MINUTE)
        self.start()
        self.service.look()

    def start(self) -> None:
        """Start, or start again."""
        feed = Feed("feed", lambda after, until: between(self.shown, after, until))
        first = self.truth.head(BEGIN + 1)
        plan = Plan(self.config, ROOT, "d", "paper", lambda _: (gated(first), len(gated(first)) - 1))
        self.service = Service(self.store, plan, Chain([feed], self.truth.symbols), self.clock)
        self.service.start()

    def look(self, row: int, after: int = 5 * MINUTE) -> int:
        self.clock.set(int(self.truth.ts[row]) + after)
        return self.service.look()

    def entries(self) -> list[tuple[str, str]]:
        return [(entry.kind, entry.text) for entry in self.store.entries("d")]

    def told(self, kind: str = "bad_data") -> list[str]:
        rows = [row for row in self.store.rows("alerts", "d") if row["kind"] == kind]
        return [json.loads(row["facts"])["text"] for row in sorted(rows, key=lambda row: row["ts"])]

    def sound(self) -> None:
        """Check that the record is whole, and what the backtest of the same bars behind the gate says."""
        deployed = self.store.find("d")
        found = parity(self.store, deployed).difference
        assert found is None or found.cause == "clock", found
        assert verify(self.store, deployed).wrong == ()
        machine = replace(build(self.config, ROOT), start=deployed.start)
        was = recorded(self.store, deployed, rebuilt(deployed))
        same_tables(was, scan(machine, gated(self.truth).head(len(was.history))))


def spoilt(assets: int, seed: int) -> History:
    """A bar that never was, a level that stays, a low that is absurd, and a wrong bar beside one that is late."""
    history = scaled(bars(assets, seed), 43, 0.01)
    history = scaled(history, slice(46, None), 0.5)
    low = history.low.copy()
    low[50, 0] *= 0.1
    history = replace(history, low=low)
    return scaled(history, 53, 100.0, assets - 1)


@pytest.mark.parametrize("assets", [1, 2])
def test_live_behind_the_gate_is_the_backtest_behind_it(tmp_path: Path, assets: int) -> None:
    one = Deployed(tmp_path, spoilt(assets, 1))
    for row in range(BEGIN + 1, ROWS):
        one.look(row)
    one.sound()
    kinds = [kind for kind, _ in one.entries()]
    assert len([kind for kind in kinds if kind.startswith("held ")]) == 4
    history = one.store.bars("d")
    assert history.decides is not None
    assert np.count_nonzero(~history.deciding) == 1
    assert one.told("stale_data") == []
    assert all(not json.loads(text)["trouble"] for kind, text in one.entries() if kind == "cycle")


def wrong_before_it_begins() -> History:
    """A bar that never was and a level that stays before the first that is decided, and one of each after it."""
    history = scaled(scaled(bars(2, 8), 25, 0.01), slice(32, None), 2.0)
    return scaled(scaled(history, 44, 100.0, 1), slice(50, None), 0.5, 1)


@pytest.mark.parametrize("start", [BEGIN, "2022-02-17"])
def test_a_replay_is_warmed_up_behind_the_gate(tmp_path: Path, start: Any) -> None:
    tree: dict[str, Any] = {"name": "d", "data": {"use": "tests.paper.test_gate_paper:wrong_before_it_begins"}}
    tree |= {"strategy": {"use": "tests.fakes.market:scripted", "weights": [0.5, 0.2, 0.9, 0.0, 0.7]}}
    config = Config.model_validate(tree | {"run": {"start": start}})
    store = open_store(f"sqlite:///{tmp_path}/paper.db")
    service, closes, clock = replayed(config, ROOT, store, "d", start)
    service.start()
    replay(service, closes, clock, None)
    deployed = store.find("d")
    assert deployed is not None
    was = recorded(store, deployed, rebuilt(deployed))
    assert np.count_nonzero(~was.history.deciding) == 2
    same_tables(was, scan(build(config, ROOT), gated(wrong_before_it_begins())))
    assert parity(store, deployed).difference is None


def halved() -> History:
    return scaled(bars(2, 8), slice(44, None), 0.5)


def first_of_halved() -> History:
    return halved().head(45)


def test_the_feeds_speak_of_the_last_bar_of_the_data_of_a_deployment_that_begins() -> None:
    tree: dict[str, Any] = {"name": "d", "data": {"use": "tests.paper.test_gate_paper:first_of_halved"}}
    tree |= {"strategy": {"use": "tests.fakes.market:scripted", "weights": [0.5]}}
    config = Config.model_validate(tree | {"paper": {"feeds": [{"use": "tests.paper.test_gate_paper:halved"}]}})
    found, wanted = seed(config, ROOT, Chain(feeds_of(config, ROOT)), int(halved().ts[-1])), gated(halved())
    assert np.array_equal(found.ts, wanted.ts)
    assert np.array_equal(found.purpose, wanted.purpose)
    assert np.array_equal(found.close, wanted.close, equal_nan=True)


class Torn(StoreError):
    """A write that was torn off."""


def torn(deployed: Deployed, rng: np.random.Generator) -> None:
    """Let a write fail now and then, before it or just after it."""
    commit = deployed.service.store.commit

    def commits(lease: Any, batch: Any) -> None:
        when = rng.random()
        if when < 0.2:
            raise Torn("before")
        commit(lease, batch)
        if when > 0.8:
            raise Torn("after")

    deployed.service.store.commit = commits


@pytest.mark.parametrize(("assets", "seed"), [(1, 0), (2, 1), (2, 2)])
def test_a_deployment_that_is_killed_between_holding_and_verdict_writes_the_same(
    tmp_path: Path, assets: int, seed: int
) -> None:
    whole, rng = Deployed(tmp_path / "whole", spoilt(assets, seed)), np.random.default_rng(seed)
    for row in range(BEGIN + 1, ROWS):
        whole.look(row)
    cut = Deployed(tmp_path / "cut", spoilt(assets, seed))
    for row in range(BEGIN + 1, ROWS):
        for _ in range(20):
            cut.store = open_store(cut.url)
            cut.service.stop()
            cut.start()
            torn(cut, rng)
            try:
                cut.look(row)
                break
            except Torn:
                continue
        cut.store = cut.service.store = open_store(cut.url)
    assert cut.entries() == whole.entries()


def test_days_of_absence_are_caught_up_to_the_same_entries(tmp_path: Path) -> None:
    whole, absent = (
        Deployed(tmp_path / "whole", spoilt(2, 3)),
        Deployed(tmp_path / "absent", spoilt(2, 3), stale="alert"),
    )
    for row in range(BEGIN + 1, ROWS):
        whole.look(row)
    absent.look(48)
    absent.look(ROWS - 1)

    def bare(entries: Sequence[tuple[str, str]]) -> list[Any]:
        # Which bars were late depends on when they were looked for, and so does the config that is not the same.
        kept = [(kind, json.loads(text)) for kind, text in entries if kind != "deployed"]
        return [(kind, told["ts"], told.get("equity"), told.get("late"), told.get("released")) for kind, told in kept]

    assert bare(absent.entries()) == bare(whole.entries())


def test_a_held_bar_is_told_shown_and_over_when_the_next_one_speaks(tmp_path: Path) -> None:
    one = Deployed(tmp_path, scaled(bars(1, 4), 44, 0.01))
    for row in range(BEGIN + 1, 45):
        decided = one.look(row)
    assert decided == 0
    (held,) = status(one.store, one.store.find("d"), one.clock.now())["held"]
    assert held.startswith("A of 2022-02-21 00:00:00Z: close is ")
    (told,) = one.told()
    assert "is held: close is" in told
    assert "barograph confirm d A '2022-02-21 00:00:00Z'" in told
    one.look(44, after=10 * 60 * MINUTE)
    assert len(one.told()) == 1
    assert not status(one.store, one.store.find("d"), one.clock.now())["overdue"]
    assert status(one.store, one.store.find("d"), int(one.truth.ts[45]) + 3 * 60 * MINUTE)["overdue"]
    assert one.told("stale_data") == []
    assert one.look(45) == 1
    assert status(one.store, one.store.find("d"), one.clock.now())["held"] == []
    assert one.told()[1].startswith("over: A of 2022-02-21 00:00:00Z never was")
    one.look(46)
    assert len(one.told()) == 2
    one.sound()


def test_a_bar_that_its_source_mends_is_decided_when_it_comes(tmp_path: Path) -> None:
    one = Deployed(tmp_path, scaled(bars(1, 5), 44, 0.01))
    for row in range(BEGIN + 1, 45):
        one.look(row)
    one.truth = one.shown = bars(1, 5)
    assert one.look(44, after=30 * MINUTE) == 1
    for row in range(45, 50):
        assert one.look(row) == 1
    assert "is held no longer" in one.told()[1]
    one.sound()


@pytest.mark.parametrize("assets", [1, 2])
def test_an_operator_confirms_a_bar(tmp_path: Path, assets: int, capsys: Any) -> None:
    one = Deployed(tmp_path, scaled(bars(assets, 6), slice(44, None), 0.5))
    for row in range(BEGIN + 1, 45):
        one.look(row)
    deployed = one.store.find("d")
    with pytest.raises(ConfigError, match=r"no bar of B is held .*held: A of 2022-02-21 00:00:00Z"):
        asked_confirm(one.store, deployed, "B", "2022-02-21")
    with pytest.raises(ConfigError, match="'yesterday' is no time"):
        asked_confirm(one.store, deployed, "A", "yesterday")
    app(["confirm", "d", "A", "2022-02-21T00:00:00Z", "--store", one.url], standalone_mode=False)
    assert "is obeyed at its next cycle" in capsys.readouterr().out
    assert one.look(44, after=30 * MINUTE) == 0
    assert status(one.store, deployed, 0)["held"] == status(one.store, deployed, 0)["commands_waiting"] == []
    history = one.store.bars("d")
    assert not history.deciding[-1]
    assert history.close[-1, 0] == one.truth.close[44, 0]
    for row in range(45, 50):
        assert one.look(row) == 1
    assert parity(one.store, deployed).difference is None or assets == 2
    assert verify(one.store, deployed).wrong == ()
    if assets == 1:
        one.sound()


def confirmed_beside_another(folder: Path) -> Deployed:
    """A bar of A is held and confirmed; at the next close A has none yet, and B has one."""
    one = Deployed(folder, scaled(bars(2, 6), slice(44, None), 0.5))
    for row in range(BEGIN + 1, 45):
        one.look(row)
    one.store.ask("d", asked_confirm(one.store, one.store.find("d"), "A", "2022-02-21"), 0)
    one.shown = without(one.truth, (np.arange(ROWS) >= 45)[:, None] & [[True, False]])
    return one


def test_the_late_row_of_a_confirmed_bar_ends_no_waiting(tmp_path: Path) -> None:
    one = confirmed_beside_another(tmp_path)
    assert one.look(45) == 0
    one.shown = one.truth
    assert one.look(45, after=30 * MINUTE) == 1
    assert one.store.bars("d").close[-1, 0] == one.truth.close[45, 0]
    assert one.told()[-1].startswith("over: A of 2022-02-21 00:00:00Z was proved")


def test_a_confirmation_outlives_the_rows_before_its_bar(tmp_path: Path) -> None:
    one = confirmed_beside_another(tmp_path)
    commit = one.service.store.commit

    def torn_after_the_first(lease: Any, batch: Any) -> None:
        commit(lease, batch)
        if batch.entry.kind == "cycle":
            raise Torn("after")

    one.service.store.commit = torn_after_the_first
    with pytest.raises(Torn):
        one.look(45, after=3 * 60 * MINUTE)
    one.service.store.commit = commit
    assert [command.command.partition(" ")[0] for command in one.store.asked("d")] == ["confirm"]
    one.look(45, after=4 * 60 * MINUTE)
    assert one.store.asked("d") == []
    assert one.store.bars("d").close[-1, 0] == one.truth.close[44, 0]


def test_what_was_told_of_a_held_bar_is_over_after_a_kill(tmp_path: Path) -> None:
    one = Deployed(tmp_path, scaled(bars(1, 4), 44, 0.01))
    for row in range(BEGIN + 1, 45):
        one.look(row)
    assert one.store.incidents("d")
    one.service._release = torn_off
    with pytest.raises(Torn):
        one.look(45)
    one.service.stop()
    one.start()
    one.look(45, after=30 * MINUTE)
    assert one.store.incidents("d") == []
    assert one.told()[-1].startswith("over: ")


def torn_off(_: Any) -> None:
    raise Torn("between")


def test_of_two_held_bars_of_an_asset_the_second_is_still_told(tmp_path: Path) -> None:
    one = Deployed(tmp_path, scaled(scaled(bars(2, 4), 44, 0.01), 45, 30.0))
    for row in range(BEGIN + 1, 46):
        one.look(row)
    (held,) = status(one.store, one.store.find("d"), one.clock.now())["held"]
    assert held.startswith("A of 2022-02-22")
    assert [incident.subject for incident in one.store.incidents("d")] == ["bad_data:held:A"]
    one.look(46)
    assert one.store.incidents("d") == []


@pytest.mark.parametrize("confirmed", [False, True])
def test_of_an_asset_that_ends_no_bar_is_held_any_more(tmp_path: Path, confirmed: bool) -> None:
    one = Deployed(tmp_path, scaled(bars(2, 6), slice(44, None), 0.5))
    for row in range(BEGIN + 1, 45):
        one.look(row)
    deployed = one.store.find("d")
    one.store.ask("d", asked_end(deployed, "A", 12.5), 0)
    if confirmed:
        one.store.ask("d", asked_confirm(one.store, deployed, "A", "2022-02-21"), 0)
    one.shown = without(one.truth, (np.arange(ROWS) >= 45)[:, None] & [[True, False]])
    for row in range(45, 50):
        assert one.look(row, after=3 * 60 * MINUTE) == 1
        assert status(one.store, deployed, one.clock.now())["held"] == []
    assert one.store.asked("d") == []
    with pytest.raises(ConfigError, match="held: none"):
        asked_confirm(one.store, deployed, "A", "2022-02-21")
    assert {incident.subject for incident in one.store.incidents("d")} <= {"late_cycle"}
    assert one.told()[-1].endswith("is held no longer: its asset has ended")
    assert verify(one.store, deployed).wrong == ()


def test_a_held_bar_is_asked_for_however_long_its_asset_is_away(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("barograph.paper.past.comparing.DEEP", 4)
    gone = ((np.arange(ROWS) > 44) & (np.arange(ROWS) < 53))[:, None] & [[True, False]]
    one = Deployed(tmp_path, without(scaled(bars(2, 6), slice(44, None), 0.5), gone), overlap=2)
    for row in range(BEGIN + 1, ROWS):
        one.look(row, after=3 * 60 * MINUTE)
    one.sound()
    assert np.count_nonzero(~one.store.bars("d").deciding) == 1


def test_without_the_gate_everything_is_decided_on(tmp_path: Path) -> None:
    one = Deployed(tmp_path, scaled(bars(1, 7), 44, 0.01), gate="off")
    assert [one.look(row) for row in range(BEGIN + 1, 50)] == [1] * 9
    assert one.store.bars("d").close[44, 0] == one.truth.close[44, 0]
    assert isinstance(one.store, SqlStore)
