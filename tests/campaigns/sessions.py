"""Years of sessions through the live service: every close decided once, on time, whatever the feeds and the process do.

`python -m tests.campaigns.sessions --years 20 --seed 1` runs the long campaign; the tests run samples of it. The real
trigger says when to look, a clock that is set says what time it is, and a model of the documented rules, written
here without the service's own code, says what must have been decided and told.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from barograph.config.load import load
from barograph.config.schema import Config
from barograph.paper.parity import parity
from barograph.paper.runner import LookTrigger, Runner
from barograph.paper.service import Service, deployable
from barograph.paper.simulated import SetClock
from barograph.paper.verify import verify
from barograph_adapters.store.sql import SqlStore, open_store
from tests import ROOT
from tests.fakes.market import HOUR, IS_OVER, MINUTE, SECOND, FaultyFeed, Market, Row, market
from tests.kit.paper_replays import judged_replay
from tests.kit.paper_rules import Expected, Observer

HEALTHY = "paper.unhealthy=alert"
TOLD = ("missed_cycle", "late_cycle", "stale_data", "bad_data")
"""The kinds of alert that speak of data and time."""


class Study(NamedTuple):
    """One run: a market, how often its feeds fail, how often the process does, and the [paper] rules."""

    calendar: str
    every: str
    first: str
    last: str
    seed: int
    assets: int = 1
    bars: float = 0.0
    looks: float = 0.0
    restarts: float = 0.05
    delay: int = 5
    retry: int = 10
    patience: int = 120
    overlap: int = 5
    reducing: bool = False
    feeds: int = 1
    strategy: str = "tests.fakes.market:sway"

    @property
    def begins(self) -> int:
        """When the deployment is made: a fortnight into the market."""
        return int((pd.Timestamp(self.first, tz="UTC") + pd.Timedelta(days=14)).value)

    @property
    def ends(self) -> int:
        """When it ends: eight bars before the market does, so that what is due afterwards is known."""
        return int(self.market().closes[-8])

    @property
    def late(self) -> int:
        """How long after its close a bar is late."""
        return (self.delay + self.patience) * MINUTE

    @property
    def overdue(self) -> int:
        """How long after its close another feed is asked for a bar."""
        return self.delay * MINUTE + self.patience * MINUTE // 2

    def market(self) -> Market:
        """Return what truly happens."""
        return market(self.calendar, self.every, self.first, self.last, self.assets, self.seed)

    def sources(self) -> list[FaultyFeed]:
        """Return the feeds, the best one first; each has faults of its own."""
        names = ("best", "second")[: self.feeds]
        return [FaultyFeed(self.market(), name, self.bars, self.looks, self.begins, self.seed) for name in names]

    def config(self) -> Config:
        """Return the config."""
        keys = ("calendar", "every", "first", "last", "assets", "seed")
        where = {key: getattr(self, key) for key in keys}
        wrong = {"bars": self.bars, "looks": self.looks, "since": str(pd.Timestamp(self.begins))}
        feed = {"use": "tests.fakes.market:feed", **where, **wrong}
        rules = {name: f"{getattr(self, name)}m" for name in ("delay", "retry", "patience")}
        doubtful = "reduce_only" if self.reducing else "alert"
        rules |= {"every": self.every, "revised": doubtful, "stale": doubtful}
        paper = {
            "feeds": [{**feed, "name": source.name} for source in self.sources()],
            "overlap": self.overlap,
            **rules,
        }
        data = {"use": "tests.fakes.market:past", **where, "until": str(pd.Timestamp(self.begins))}
        return Config.model_validate(
            {"name": "study", "data": data, "strategy": {"use": self.strategy}, "paper": paper}
        )


class Look(NamedTuple):
    """One look: when, which bars it decided, and when the next one was to be."""

    at: int
    decided: tuple[int, ...]
    due: int


class Process:
    """A deployment under the real trigger and a clock that is set; it is stopped, killed and started at random."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.folder = study, folder
        self.config = study.config()
        self.url = f"sqlite:///{folder}/paper.db"
        self.clock, self.rng = SetClock(study.begins), random.Random(f"{study.seed} process")
        self.looks: list[Look] = []
        self.restarts = 0
        self.store: SqlStore = open_store(self.url)

    def run(self) -> None:
        """Go on until the study ends."""
        self._start()
        while self.clock.now() < self.study.ends:
            due = self._look()
            self.clock.set(self._restarted(due) if self.rng.random() < self.study.restarts else self._woken(due))
        self.service.stop()
        self.store.close()

    def _start(self) -> None:
        self.service: Service = deployable(self.config, self.folder, self.store, "study", self.clock)
        self.runner = Runner(self.service, None, self.clock)  # type: ignore[arg-type]
        self.trigger = LookTrigger(self.runner._due)
        self.service.start()

    def _look(self) -> int:
        """Look once and return when the next look is due; the scheduler may ask for that before the look is done."""
        before, known = self.rng.random() < 0.5, self.service.last
        due = self._due() if before else 0
        self.runner.look()
        if self.runner.failure is not None:
            raise self.runner.failure
        assert self.service.deployment is not None
        ts = self.service.deployment.live.history.ts
        decided = tuple(int(t) for t in ts[ts > known]) if known else (int(ts[-1]),)
        due = due if before else self._due()
        self.looks.append(Look(self.clock.now(), decided, due))
        return due

    def _due(self) -> int:
        now = datetime.fromtimestamp(self.clock.now() / SECOND, UTC)
        fires = self.trigger.get_next_fire_time(None, now)
        assert fires > now
        return int(pd.Timestamp(fires).value)

    def _woken(self, due: int) -> int:
        # A scheduler is a little late, and a machine that slept is late by much.
        return due + (
            self.rng.randint(1, 40) * MINUTE if self.rng.random() < 0.01 else self.rng.randint(0, 900) * 10**6
        )

    def _restarted(self, due: int) -> int:
        """Stop or kill the process before its next look, and start it at any time."""
        stopped = self.rng.randint(self.clock.now() + 1, due)
        down = self.rng.choice((0, 30 * SECOND, 20 * MINUTE, 5 * HOUR, 60 * HOUR))
        if self.rng.random() < 0.5:
            self.service.stop()
        else:
            # A process that was killed gives nothing back; here it is this one, which lives.
            assert self.service.lease is not None
            self.store.release(self.service.lease)
        if self.rng.random() < 0.25:
            self.store.close()
            self.store = open_store(self.url)
        self.restarts += 1
        self.clock.set(stopped + down)
        self._start()
        return self.clock.now()


class Figures(NamedTuple):
    """What one run was like: bars decided, looks, restarts, alerts by kind, reduced decisions, seconds."""

    study: str
    closes: int
    decided: int
    looks: int
    restarts: int
    told: dict[str, int]
    reduced: int
    seconds: float


def judged(study: Study, folder: Path) -> Figures:
    """Run a study and check everything that must hold of it; raises `AssertionError` where it does not."""
    begun = time.perf_counter()
    process = Process(study, folder)
    process.run()
    store = open_store(process.url)
    IS_OVER[0] = True
    try:
        figures = _judge(study, process, store)
    finally:
        IS_OVER[0] = False
        store.close()
    return figures._replace(seconds=round(time.perf_counter() - begun, 1))


def _judge(study: Study, process: Process, store: SqlStore) -> Figures:
    deployed = store.find("study")
    assert deployed is not None
    whole = study.market()
    seen = [whole.row(t) for t in range(deployed.start + 1)]
    expected = Observer(study, seen, [look.at for look in process.looks[1:]]).found
    _same_decisions(process, store, expected)
    _same_words(store, expected)
    assert verify(store, deployed).wrong == ()
    found = parity(store, deployed, process.folder).difference
    true = [whole.row(t) for t in range(len(whole.closes)) if int(whole.closes[t]) <= max(expected.decided)]
    same = [*seen, *expected.decided.items()] == true or _equal([*seen, *expected.decided.items()], true)
    assert (found is None) if same else (found is not None and found.cause in ("clock", "data revised")), found
    if not study.bars and not study.looks:
        assert same
        _on_time(study, process)
    closes = int(((whole.closes > study.begins) & (whole.closes <= study.ends)).sum())
    told = dict(Counter(kind for kind, _ in expected.told))
    name = f"{study.calendar} {study.every} {study.first[:4]}-{study.last[:4]}"
    reduced = len(expected.reduced)
    return Figures(name, closes, len(expected.decided), len(process.looks), process.restarts, told, reduced, 0.0)


def _equal(one: list[Row], other: list[Row]) -> bool:
    if [ts for ts, _ in one] != [ts for ts, _ in other]:
        return False
    values = ([list(bars.values()) for _, bars in rows] for rows in (one, other))
    return np.array_equal(*(np.array(v)[:, :, :4] for v in values), equal_nan=True)


def _same_decisions(process: Process, store: SqlStore, expected: Expected) -> None:
    """Compare what was decided: each bar once, in order, at the look at which it had to be, as the feed had it."""
    cycles = [entry.content for entry in store.entries("study") if entry.kind == "cycle"]
    assert [one["ts"] for one in cycles[1:]] == list(expected.decided)
    decided = {ts: look.at for look in process.looks for ts in look.decided}
    assert {ts: decided[ts] for ts in expected.decided} == expected.moments
    assert sum(len(look.decided) for look in process.looks) == len(decided) == len(cycles)
    rows = {(row["ts"], row["symbol"]): row for row in store.rows("bars", "study")}
    for ts, bars in expected.decided.items():
        for symbol, bar in bars.items():
            row = rows[ts, symbol]
            assert row["source"] == expected.sources[ts]
            values = [row[name] for name in ("open", "high", "low", "close", "volume")]
            assert np.array_equal(np.array(values, dtype=float), bar, equal_nan=True)
    assert {one["ts"] for one in cycles if one["trouble"]} == expected.reduced
    assert {one["ts"] for one in cycles if one["switches"]} == expected.reduced


def _same_words(store: SqlStore, expected: Expected) -> None:
    rows = store.rows("alerts", "study")
    revised = [row for row in rows if row["key"].startswith("bad_data:revised:")]
    told = Counter((row["kind"], row["ts"]) for row in rows if row["kind"] in TOLD and row not in revised)
    wanted = Counter(expected.told)
    assert told == wanted, f"told {told - wanted}, wanted {wanted - told}"
    # A message on an asset's past says how many bars it means, the newest of which it bears the close of.
    of = [(json.loads(row["facts"])["symbol"], row["ts"]) for row in revised]
    assert {symbol for symbol, _ in of} == {symbol for symbol, _ in expected.revised}
    untold = {one for one in expected.revised if not any(one[0] == symbol and one[1] <= ts for symbol, ts in of)}
    assert not untold, untold


def _on_time(study: Study, process: Process) -> None:
    """Without faults every close is decided at the first look after its delay, and no look is set for later than that.

    A process that was stopped, or slept on, looks as soon as it can; a restart may find a bar before its delay is over.
    """
    decided = {ts: look.at for look in process.looks for ts in look.decided}
    late = process.looks[-1].at - study.delay * MINUTE
    wanted = [int(ts) for ts in study.market().closes if study.begins < ts <= max(late, *decided)]
    assert [ts for ts in decided if ts > study.begins] == wanted
    at, promised = (np.array([getattr(look, name) for look in process.looks]) for name in ("at", "due"))
    for ts in wanted:
        due = ts + study.delay * MINUTE
        first = min(int(np.searchsorted(at, due)), len(at) - 1)
        assert ts < decided[ts] <= at[first]
        assert promised[first - 1] <= due or decided[ts] <= at[first - 1]


def studies(years: int, seed: int) -> list[Study]:
    """Return the long campaign: sessions of four markets, bars within days, and faults in all of them."""
    first, last = f"{2024 - years}-01-01", "2023-12-31"
    hold = "barograph_strategies.buy_and_hold:buy_and_hold"
    long = [Study(c, "session", first, last, seed, strategy=hold) for c in ("XNYS", "XETR", "BVMF", "24/7")]
    recent = f"{max(2024 - years, 2022)}-01-01"
    short = [Study(c, "1h", recent, last, seed, patience=30) for c in ("XNYS", "XETR", "BVMF")]
    short += [Study("24/7", "4h", recent, last, seed), Study("24/7", "1h", "2023-07-01", last, seed, patience=30)]
    wrong = {"assets": 2, "bars": 0.25, "looks": 0.1, "strategy": "tests.fakes.market:sway"}
    failing = [one._replace(**wrong, feeds=1 + n % 2, reducing=n % 3 < 2) for n, one in enumerate([*long, *short])]
    return [*long, *short, *failing]


def main() -> None:
    """Run the campaign and print its figures, a line a study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--years", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for study in studies(asked.years, asked.seed):
        with tempfile.TemporaryDirectory() as folder:
            print(judged(study, Path(folder)), flush=True)
    configs = ROOT / "configs"
    for name, overrides in (("buy_and_hold", ["run.start=0"]), ("regime_filter", []), ("paper", [HEALTHY])):
        print(replay_of(configs / f"{name}.toml", overrides, False, asked.seed), flush=True)
    # What an operator commands and the watch forbids is no backtest's; it is done again from the record.
    print(replay_of(configs / "paper.toml", [], True, asked.seed), flush=True)


def replay_of(path: Path, overrides: list[str], commands: bool, seed: int) -> str:
    """Replay a config over the whole sample; return what was shown."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/paper.db")
        bars = judged_replay(load(path, overrides), path.parent, store, commands, seed)
        store.close()
    return f"{path.stem}: {bars} bars replayed{', with commands,' if commands else ''} are the backtest to the bit"


if __name__ == "__main__":
    main()
