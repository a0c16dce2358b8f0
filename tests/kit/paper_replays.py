"""A config replayed through the service in pieces, and everything it recorded held against its backtest."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd

from barograph.config.build import build, load_history
from barograph.config.schema import Config
from barograph.loop.result import Result
from barograph.loop.run import scan
from barograph.paper.parity import TABLES, parity
from barograph.paper.record import rebuilt, recorded
from barograph.paper.runner import replay
from barograph.paper.simulated import replayed
from barograph.paper.store import COMMANDS
from barograph.paper.verify import verify
from barograph_adapters.store.sql import SqlStore


def judged_replay(config: Config, folder: Path, store: SqlStore, commands: bool = False, seed: int = 0) -> int:
    """Replay a config, restarted at random bars, and compare it with its backtest; return how many bars it has."""
    rng, n, name = random.Random(seed), 0, config.name
    while True:
        service, closes, clock = replayed(config, folder, store, name, config.run.start)
        part = closes[n : n + rng.randint(1, max(40, len(closes) // 10))]
        if not len(part):
            break
        service.start()
        assert replay(service, part, clock, None) == len(part)
        service.stop()
        n += len(part)
        if commands:
            store.ask(name, rng.choice(COMMANDS), 0)
    deployed = store.find(name)
    assert deployed is not None
    if not commands:
        machine = rebuilt(deployed)
        same_tables(recorded(store, deployed, machine), scan(build(config, folder), load_history(config, folder)))
    found = parity(store, deployed)
    assert found.difference is None, found
    assert not found.unchecked, found
    assert verify(store, deployed).wrong == ()
    return n


def same_tables(was: Result, now: Result) -> None:
    """Compare every table that both have, every column, to the bit."""
    shared = was.tables.keys() & now.tables.keys()
    assert {*TABLES} - {"choices"} <= shared
    for name in shared:
        one, other = was.tables[name], now.tables[name]
        # A choice at the last close has decided nothing yet: on paper it is made all the same.
        one = one.iloc[: len(other)] if name == "choices" else one
        assert list(one) == list(other), name
        assert len(one) == len(other), name
        for column in one:
            a, b = one[column].to_numpy(), other[column].to_numpy()
            assert a.dtype == b.dtype, (name, column)
            same = a.tobytes() == b.tobytes() if a.dtype != object else pd.Series(a).equals(pd.Series(b))
            assert same, (name, column)
