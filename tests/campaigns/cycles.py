"""Thousands of cycles of a whole deployment with faults at every edge: the exchange, the webhook, the mail server.

``python -m tests.campaigns.cycles --cycles 10000 --rate 0.05`` runs it twice, with and without faults, and compares:
the same journal to the hash, every alert delivered, none under two keys.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from barograph.config.schema import Config
from barograph.paper.alerts.outbox import dispatch
from barograph.paper.service import Service, deployable
from barograph.paper.simulated import SetClock
from barograph.paper.verify import verify
from barograph_adapters.notify import Apprise
from barograph_adapters.store import SqlStore, open_store
from tests.fakes.exchange import FakeExchange
from tests.fakes.mail import MailServer, WebServer

MS = 1_000_000
HOUR = 3_600_000
BEGIN = 1_700_000_000_000 // HOUR * HOUR
HOOK = ("500", "503", "drop", "take and cut", "429")
MAIL = ("450 later", "data 451 busy", "drop", "take and drop")


class Ended(NamedTuple):
    """What a run left: its journal but for the first entry, the keys raised and arrived, and what befell it.

    The first entry names the config, and with it the exchange's port.
    """

    journal: list[str]
    raised: set[str]
    hooked: Counter[str]
    mailed: Counter[str]
    faults: int
    looks: int
    given_up: int
    wrong: tuple[str, ...]
    states: Counter[str]
    seconds: float


def config(fake: FakeExchange, hook: WebServer, mail: MailServer) -> Config:
    """A deployment of two coins by the hour, told to a webhook and, where it matters, by mail."""
    feed = {"use": "barograph_adapters.feeds.exchange:exchange", "name": "binance", "symbols": ["BTC/USDT", "ETH/USDT"]}
    feed |= {"interval": "1h", "start": "2023-11-13", "tries": 1, "options": fake.options(), "margin": 1.0}
    people = [{"url": hook.url}, {"url": mail.url, "kinds": ["order_filled", "bad_data", "stale_data", "missed_cycle"]}]
    paper = {"every": "1h", "delay": "5s", "alerts": {"to": people, "at_most": 1_000_000}}
    strategy = {"use": "barograph_strategies.sma_filter:sma_filter", "window": 4}
    return Config.model_validate({"name": "coins", "data": feed, "strategy": strategy, "paper": paper})


@contextmanager
def servers(rate: float, seed: int, cycles: int) -> Iterator[tuple[FakeExchange, WebServer, MailServer]]:
    """Start an exchange, a webhook and a mail server in which each request may fail."""
    rng = random.Random(seed)

    def answers(kinds: tuple[str, ...]) -> list[str]:
        return [rng.choice(kinds) if rng.random() < rate else "take" for _ in range(4 * cycles)]

    fake = FakeExchange(BEGIN, patience=0.4, seed=seed)
    with fake, WebServer(*answers(HOOK)) as hook, MailServer(*answers(MAIL)) as mail:
        yield fake, hook, mail


def campaign(cycles: int, rate: float, seed: int, folder: Path) -> Ended:
    """Run so many hours, looking again where a look failed, and deliver what is to be told."""
    began = time.monotonic()
    with servers(rate, seed, cycles) as (fake, hook, mail):
        made, clock = config(fake, hook, mail), SetClock((BEGIN + 5_000) * MS)
        store = open_store(f"sqlite:///{folder}/coins.db")
        fake.moment = BEGIN + 5_000
        service = deployable(made, folder, store, "coins", clock)
        service.start()
        service.look()
        fake.rate = rate
        looks = sum(hour(service, clock, fake, BEGIN + n * HOUR) for n in range(1, cycles))
        notifier = Apprise(connect=1.0, read=1.0, most=5.0)
        deliver(store, made, clock, notifier)
        service.stop()
        return ended(store, hook, mail, sum(fake.met.values()), looks, time.monotonic() - began)


def hour(service: Service, clock: SetClock, fake: FakeExchange, close: int) -> int:
    """Look after one close, a minute later each time, until its bar is decided; return the number of looks."""
    for n in range(60):
        fake.moment = close + 5_000 + n * 60_000
        clock.set(fake.moment * MS)
        service.look()
        if service.last == close * MS:
            return n + 1
    raise AssertionError(f"the bar of {close} was not decided within an hour")


def deliver(store: SqlStore, made: Config, clock: SetClock, notifier: Apprise) -> None:
    """Send until nothing waits: each round is an hour later, as a year would bring it."""
    for _ in range(200):
        dispatch(store, notifier, made.paper.alerts, "coins", clock)
        if not any(row["state"] == "waiting" for row in store.rows("deliveries", "coins")):
            return
        clock.sleep(3600.0)
    raise AssertionError("messages still wait after two hundred rounds")


def ended(store: SqlStore, hook: WebServer, mail: MailServer, faults: int, looks: int, seconds: float) -> Ended:
    deployed = store.find("coins")
    assert deployed is not None
    given = [word for word in (*hook.script.given, *mail.script.given) if word != "take"]
    states = Counter(row["state"] for row in store.rows("deliveries", "coins"))
    return Ended(
        journal=[entry.text for entry in store.entries("coins")][1:],
        raised={row["key"] for row in store.rows("alerts", "coins")},
        hooked=_counted(hook.keys()),
        mailed=_counted(mail.keys()),
        faults=faults + len(given),
        looks=looks,
        given_up=states["given_up"],
        wrong=verify(store, deployed).wrong,
        states=states,
        seconds=seconds,
    )


def _counted(keys: list[str]) -> Counter[str]:
    return Counter(key.removeprefix("coins/") for key in keys)


def compare(calm: Ended, stormy: Ended, cycles: int) -> None:
    """Raise `AssertionError` unless the faults changed nothing but what was told of them."""
    assert len(calm.journal) == cycles
    assert stormy.journal == calm.journal, "the journals differ"
    assert not calm.wrong, calm.wrong
    assert not stormy.wrong, stormy.wrong
    # What a feed could not tell is told; on a busy machine even a calm one may not answer in time.
    told = [{key for key in run.raised if not key.startswith("bad_data:")} for run in (calm, stormy)]
    assert told[0] == told[1]
    assert stormy.given_up == 0
    for run in (calm, stormy):
        # What waits of one incident goes out as one message.
        joined = run.raised - set(run.hooked)
        assert set(run.hooked) <= run.raised
        assert all(key.startswith("bad_data:") for key in joined), joined
        assert set(run.states) == {"sent"}


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.campaigns.cycles")
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    runs = []
    for rate in (0.0, asked.rate):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(campaign(asked.cycles, rate, asked.seed, Path(folder)))
        one = runs[-1]
        twice = sum(count - 1 for count in (*one.hooked.values(), *one.mailed.values()))
        print(
            f"rate {rate}: {len(one.journal)} cycles, {one.looks} looks, {one.faults} faults, "
            f"{len(one.raised)} alerts, {sum(one.hooked.values())} posts and {sum(one.mailed.values())} mails, "
            f"{twice} of them repeated under the same key, {one.given_up} given up; {one.seconds:.0f} s"
        )
    compare(*runs, asked.cycles)
    print("the journals are the same to the letter; every alert was delivered")


if __name__ == "__main__":
    main()
