"""Outages on a minute schedule: who is told what, how often and when, whatever feeds and recipients do, and at night.

    python -m tests.campaigns.outages --runs 20 --seed 1

Nothing comes for hours or for a week; the recipients fail, rest and sleep in between. What must hold is written here
without the outbox's own code: at most one message an incident and one a day while it lasts, none lost, what weighs most
first, an hour no fuller than it may be, and nothing later than its quota, the night or a recipient explains.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.config.schema import Config
from barograph.data.history import History
from barograph.errors import FeedError, NotifyError
from barograph.paper.feeds import Chain, between
from barograph.paper.ports import Alert, Message
from barograph.paper.runner import Runner
from barograph.paper.service import Plan, Service
from barograph.paper.simulated import SetClock
from barograph.types import Feed
from barograph_adapters.store.sql import open_store

SECOND: Final = 1_000_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
BEGIN: Final = int(np.datetime64("2026-03-02T00:00:00", "ns").astype(np.int64))
WEIGHTS: Final = ("info", "warning", "critical")
NAME: Final = "minutes"
# Written here a second time on purpose: what neither nights nor quotas hold back.
APART: Final = ("heartbeat", "command")


class Study(NamedTuple):
    """One run: how long nothing comes and how a feed says so, how often is looked, how a recipient is, what else is."""

    seed: int
    lasts: int = 7 * DAY
    how: str = "raises"
    step: int = 60 * MINUTE
    at_most: int = 20
    night: bool = False
    faults: float = 0.0
    others: int = 0

    def config(self) -> Config:
        """Return the config."""
        quiet = {"quiet_from": "22:00", "quiet_until": "07:00"} if self.night else {}
        to = [{"url": "json://nobody", "name": "ann"}]
        alerts = {"to": to, "at_most": self.at_most, "heartbeat": "1h", "give_up": "30d", **quiet}
        rules = {"every": "1m", "delay": "2s", "retry": "20s", "patience": "5m", "watch": {"weekly_summary": False}}
        data = {"use": "barograph_adapters.sample:sp500"}
        hold = {"use": "barograph_strategies.buy_and_hold:buy_and_hold"}
        tree = {"name": NAME, "data": data, "strategy": hold, "paper": {**rules, "alerts": alerts}}
        return Config.model_validate(tree)


class Told(NamedTuple):
    """A message that went out: when, and in which round."""

    at: int
    round: int
    message: Message


class Post:
    """A notifier that keeps what it is given, and fails as often as the study says."""

    def __init__(self, study: Study, clock: SetClock) -> None:
        self.clock, self.chance, self.faults = clock, random.Random(f"{study.seed} post"), study.faults
        self.told: list[Told] = []
        self.refused: set[int] = set()
        self.round = 0
        self.until = 0

    def send(self, url: str, message: Message) -> None:
        """Take a message, or refuse it."""
        if self.clock.now() < self.until or self.chance.random() < self.faults:
            self.refused.add(self.round)
            error = NotifyError("json://nobody: not delivered: HTTP 503")
            if self.clock.now() >= self.until and self.chance.random() < 0.2:
                # Now and then a recipient is away for hours, and sometimes it says for how long.
                self.until = self.clock.now() + self.chance.randint(1, 6) * HOUR
                error.wait = self.chance.choice([0.0, (self.until - self.clock.now()) / SECOND])
            raise error
        self.told.append(Told(self.clock.now(), self.round, message))


class Outage:
    """A deployment on bars of a minute: some of them, then none for long, then some of them again."""

    def __init__(self, study: Study) -> None:
        self.study, self.clock = study, SetClock(BEGIN + 30 * MINUTE + 5 * SECOND)
        self.stops, self.resumes = BEGIN + 40 * MINUTE, BEGIN + 40 * MINUTE + study.lasts
        self.ends = self.resumes + 10 * MINUTE
        self.post = Post(study, self.clock)
        self.chance = random.Random(f"{study.seed} others")
        self.rounds: list[int] = []
        self.routed: dict[str, int] = {}

    def run(self) -> Outage:
        """Go on until the end, and until nothing waits."""
        self.store = open_store("sqlite://")
        plan = Plan(self.config(), Path(), NAME, "paper", self._seed)
        self.service = Service(self.store, plan, Chain([Feed("feed", self._fetch)]), self.clock)
        self.runner = Runner(self.service, self.post, self.clock)
        self.service.start()
        while self.clock.now() < self.ends:
            self.service.look()
            self._tell()
            down = self.stops + 10 * MINUTE < self.clock.now() < self.resumes - self.study.step
            self.clock.sleep((self.study.step if down else MINUTE) / SECOND)
        self.post.faults = 0.0
        until = self.ends + 3 * DAY
        while self.clock.now() < until and self._waits():
            self.clock.sleep(600)
            self._tell()
        return self

    def config(self) -> Config:
        """Return the config."""
        return self.study.config()

    def _waits(self) -> bool:
        return any(row["state"] == "waiting" for row in self.store.rows("deliveries", NAME))

    def _tell(self) -> None:
        self.post.round += 1
        self.rounds.append(self.clock.now())
        for n in range(self.chance.randint(0, self.study.others) if self.clock.now() < self.ends else 0):
            key, severity = f"guard:{self.post.round}:{n}", self.chance.choice(WEIGHTS)
            ts = self.clock.now() - self.chance.randint(0, 600) * SECOND
            self.store.tell(NAME, [Alert(key, "guard", severity, ts, {"text": "something else"})])
        self.runner._told()
        for row in self.store.rows("deliveries", NAME):
            self.routed.setdefault(row["alert_key"], self.post.round)

    def _fetch(self, after: int, until: int) -> History | None:
        if self.stops <= until < self.resumes:
            if self.study.how == "raises":
                raise FeedError("feed: no answer within 10 s")
            return None
        return between(self._bars(until), after, until)

    def _seed(self, until: int) -> tuple[History, int]:
        history = self._bars(until)
        return history, len(history) - 1

    def _bars(self, until: int) -> History:
        ts = np.arange(BEGIN // MINUTE + 1, until // MINUTE + 1, dtype=np.int64) * MINUTE
        ts = ts[(ts < self.stops) | (ts >= self.resumes)]
        return History.from_arrays(ts, 100.0 + np.sin(ts / HOUR), symbols=["X"], calendar="24/7", source="feed")

    # What must hold.

    def judge(self) -> dict[str, int]:
        """Check it all; return how many messages there were of each kind."""
        rows = {row["alert_key"]: row for row in self.store.rows("deliveries", NAME)}
        alerts = {row["key"]: row for row in self.store.rows("alerts", NAME)}
        assert set(rows) == set(alerts)
        assert {row["state"] for row in rows.values()} == {"sent"}, "something was lost"
        keys = [told.message.key for told in self.post.told]
        assert len(keys) == len(set(keys))
        assert {row["message"] for row in rows.values()} == set(keys)
        self._few(alerts)
        self._full()
        self._ordered(alerts)
        self._explained(rows, alerts)
        return dict(Counter(told.message.kind for told in self.post.told))

    def _few(self, alerts: dict[str, Any]) -> None:
        """At most one message an incident and one a day, or part of one, while it lasts."""
        days = -(-self.study.lasts // DAY)
        about = {key: json.loads(row["facts"]).get("incident") for key, row in alerts.items()}
        incidents = Counter(one["key"] for one in about.values() if one)
        assert incidents
        assert max(incidents.values()) <= 1 + days, incidents
        began = {one["key"]: one["first"] for one in about.values() if one}
        # Two of one subject are two troubles, not one that is told twice.
        assert len({(key.rpartition(":")[0], first) for key, first in began.items()}) == len(began)
        if self.study.step < 5 * MINUTE or self.study.lasts >= DAY:
            assert Counter(key.rpartition(":")[0] for key in began)["stale_data"] == 1, began

    def _full(self) -> None:
        """No hour is fuller than it may be."""
        times = np.array([told.at for told in self.post.told if told.message.kind not in APART])
        for at in times:
            assert ((times > at - HOUR) & (times <= at)).sum() <= self.study.at_most

    def _ordered(self, alerts: dict[str, Any]) -> None:
        """In a round what weighs most is first, and of one weight what waits longest; the sign of life before all."""
        for n in range(1, self.post.round + 1):
            mine = [told.message for told in self.post.told if told.round == n]
            kinds = [message.kind in APART for message in mine]
            assert kinds == sorted(kinds, reverse=True)
            singly = [message for message in mine if message.kind not in (*APART, "digest")]
            found = [alerts[message.key.partition("/")[2]] for message in singly]
            order = [(-WEIGHTS.index(row["severity"]), row["ts"] if row["kind"] == "guard" else 0) for row in found]
            assert [weight for weight, _ in order] == sorted(weight for weight, _ in order)
            others = [one for one in order if one[1]]
            assert others == sorted(others)

    def _explained(self, rows: dict[str, Any], alerts: dict[str, Any]) -> None:
        """What was due and did not go out had no room, or its recipient slept, failed or rested."""
        went = {told.message.key: told for told in self.post.told}
        times = [(told.at, told.round) for told in self.post.told if told.message.kind not in APART]
        for key, row in rows.items():
            sent, alert = went[row["message"]], alerts[key]
            urgent, pulse = alert["severity"] == "critical", alert["kind"] in APART
            kept = 0 if urgent or self.study.at_most == 1 else max(1, self.study.at_most // 5)
            for n in range(self.routed[key], sent.round):
                at = self.rounds[n - 1]
                free = self.study.at_most - sum(at - HOUR < t <= at and r <= n for t, r in times)
                asleep = self.study.night and not urgent and _asleep(at)
                failing = any(m in self.post.refused for m in range(max(1, n - 400), n + 1))
                assert failing or (not pulse and (asleep or free <= kept)), (key, n, free)


def _asleep(at: int) -> bool:
    hour = datetime.fromtimestamp(at // SECOND, UTC).hour
    return hour >= 22 or hour < 7


def letters(outage: Outage) -> str:
    """Return all messages but the signs of life, as a reader gets them."""
    told = [one for one in outage.post.told if one.message.kind != "heartbeat"]
    pulses = [one.at for one in outage.post.told if one.message.kind == "heartbeat"]
    lines = [f"{np.datetime64(at, 's')}Z" for at in (pulses[0] // SECOND, pulses[-1] // SECOND)]
    text = f"{len(pulses)} signs of life, the first at {lines[0]}, the last at {lines[1]}; none while no bars come\n"
    for one in told:
        when = f"{np.datetime64(one.at // SECOND, 's')}Z"
        text += f"\n=== {when}  {one.message.severity}\n{one.message.title}\n\n{one.message.body}\n"
    return text


def studies(runs: int, seed: int, step: int) -> list[Study]:
    """Return runs of every kind."""
    chance = random.Random(seed)
    return [
        Study(
            seed=chance.randrange(10**6),
            lasts=chance.choice([3 * HOUR, DAY, 7 * DAY]),
            how=chance.choice(["raises", "silent"]),
            step=step,
            at_most=chance.choice([1, 3, 20]),
            night=chance.random() < 0.5,
            faults=chance.choice([0.0, 0.05, 0.3]),
            others=chance.choice([0, 3]),
        )
        for _ in range(runs)
    ]


def main() -> None:
    """Run the campaign and print its figures, a line a study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=int, default=1, help="between two looks while nothing comes")
    asked = parser.parse_args()
    for study in studies(asked.runs, asked.seed, asked.minutes * MINUTE):
        begun = time.perf_counter()
        told = Outage(study).run().judge()
        print(f"{study}: {told}, {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
