"""Paper is the backtest, to the bit: every machine, the S&P 500, restarts and commands; and what parity says is so."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

import barograph as bg
from barograph.config import Config, build, load, load_history
from barograph.errors import StoreError
from barograph.history import History
from barograph.loops import scan
from barograph.paper import service as service_module
from barograph.paper.parity import TABLES, first_difference, parity
from barograph.paper.record import rebuilt, recorded
from barograph.paper.runner import replay
from barograph.paper.service import Plan, Service
from barograph.paper.simulated import SetClock, replayed
from barograph.paper.sources import Chain, between, replaying
from barograph.paper.verify import verify
from barograph.result import Result
from barograph.testing import some_bars
from barograph_adapters.store.sql import SqlStore, open_store
from tests.machines import learnable, machines

ROOT = Path(__file__).resolve().parent.parent
MACHINES = machines()
ACTING = {"protected", "orders", "orders in python", "every term", "called", "lots"}


def history_for(name: str) -> History:
    if name.startswith("learns"):
        return learnable()
    return some_bars(90, assets=3, seed=2, actions=name in ACTING)


@pytest.fixture()
def store(tmp_path: Path) -> SqlStore:
    return open_store(f"sqlite:///{tmp_path}/paper.db")


def any_config() -> Config:
    """A config that stands for a machine that is put together by hand."""
    data, strategy = {"use": "tests.fake_market:past"}, {"use": "tests.fake_market:sway"}
    return Config.model_validate({"name": "any", "data": data, "strategy": strategy})


def plan_of(history: History, start: int) -> Plan:
    def seed(until: int) -> tuple[History, int]:
        seen = between(history, 0, until)
        assert seen is not None
        return seen, start

    return Plan(any_config(), ROOT, "any", "replay", seed)


def paper(store: SqlStore, machine: bg.Machine, history: History, start: int, seed: int = 0) -> list[str]:
    """Replay a history through services that are stopped at random bars; return the commands that were given."""
    rng, asked = random.Random(seed), []
    closes, done = history.ts[start:].tolist(), 0
    while done < len(closes):
        clock = SetClock(closes[done])
        one = Service(store, plan_of(history, start), Chain([replaying(history)]), clock)
        one.machine = machine
        one.start()
        until = min(len(closes), done + rng.randint(1, 40))
        assert replay(one, closes[done:until], clock, None) == until - done
        one.stop()
        done = until
        if seed and done < len(closes):
            asked.append(rng.choice(("halt", "flatten", "resume")))
            store.ask("any", asked[-1], 0)
    return asked


def same_tables(was: Result, now: Result) -> None:
    """Compare every table that both have, every column, to the bit."""
    shared = was.tables.keys() & now.tables.keys()
    assert set(TABLES) <= shared
    for name in shared:
        one, other = was.tables[name], now.tables[name]
        assert list(one) == list(other) and len(one) == len(other), name
        for column in one:
            a, b = one[column].to_numpy(), other[column].to_numpy()
            assert a.dtype == b.dtype, (name, column)
            same = a.tobytes() == b.tobytes() if a.dtype != object else pd.Series(a).equals(pd.Series(b))
            assert same, (name, column)


@pytest.mark.parametrize("name", MACHINES)
def test_paper_with_restarts_at_random_bars_writes_the_tables_of_scan(name: str, store: SqlStore) -> None:
    machine, history = MACHINES[name], history_for(name)
    whole = scan(machine, history)
    paper(store, machine, history, whole.first)
    deployed = store.find("any")
    assert deployed is not None
    same_tables(recorded(store, deployed, machine_with_switches(machine)), whole)
    assert verify(store, deployed).wrong == ()


def machine_with_switches(machine: bg.Machine) -> bg.Machine:
    from barograph.paper.deployment import switchable

    return switchable(machine)
