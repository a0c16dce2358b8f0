"""What an operator commands, and what the watch forbids: by hand, on prices that stand still."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from barograph.config.schema import Config
from barograph.paper.parity import parity
from barograph.paper.runner import replay
from barograph.paper.simulated import replayed
from barograph.paper.verify import verify
from barograph_adapters.store.sql import SqlStore, open_store
from tests import ROOT
from tests.fakes.market import DAY, flat
from tests.paper.test_service import config, store, text_of

__all__ = ["store"]


def stepped(store: SqlStore, weights: list[float], asked: dict[int, str], bars: int, **paper: Any) -> Any:
    """Replay flat prices with a command before some bars; return (quantity held, orders born, switches) of each bar."""
    service, closes, clock = replayed(config(weights, **paper), ROOT, store, "one", 0)
    service.start()
    for n in range(bars):
        if n in asked:
            store.ask("one", asked[n], 0)
        replay(service, closes[n : n + 1], clock, None)
    service.stop()
    cycles = [entry.content for entry in store.entries("one") if entry.kind == "cycle"]
    held = [round(float(one["positions"][0][0]), 9) for one in cycles]
    return held, [one["switches"] for one in cycles]


def test_halt_lets_the_position_shrink_and_not_grow_until_it_is_resumed(store: SqlStore) -> None:
    """1000 in cash, a price of 100: a weight of 0.5 is 5 units, bought at the next open."""
    weights = [0.5, 0.5, 0.8, 0.8, 0.2, 0.2, 0.8, 0.8, 0.8]
    held, switches = stepped(store, weights, {2: "halt", 7: "resume"}, 10)
    assert held == [0.0, 5.0, 5.0, 5.0, 5.0, 2.0, 2.0, 2.0, 8.0, 8.0]
    assert switches == [[]] * 2 + [[0]] * 5 + [[]] * 3
    # Nobody asked: the same weights without a halt.
    free, _ = stepped(open_store("sqlite://"), weights, {}, 10)
    assert free == [0.0, 5.0, 5.0, 8.0, 8.0, 2.0, 2.0, 8.0, 8.0, 8.0]


def test_flatten_closes_everything_at_the_fill_after_and_stays_out(store: SqlStore) -> None:
    held, switches = stepped(store, [0.5, -0.5, -0.5, 0.5], {3: "flatten", 6: "resume"}, 9)
    assert held == [0.0, 5.0, -5.0, -5.0, 0.0, 0.0, 0.0, 5.0, 5.0]
    assert switches == [[]] * 3 + [[1]] * 3 + [[]] * 3


def test_commands_are_told_once_and_are_part_of_the_record(store: SqlStore) -> None:
    stepped(store, [0.5], {2: "halt", 3: "flatten", 5: "resume"}, 7)
    told = [(row["ts"] // DAY, text_of(row)) for row in store.rows("alerts", "one") if row["kind"] == "command"]
    first = int(flat().ts[0]) // DAY
    assert told == [
        (first + 2, "halt: in force from this close on"),
        (first + 3, "flatten: in force from this close on"),
        (first + 5, "resume: in force from this close on"),
    ]
    deployed = store.deployments()[0]
    assert verify(store, deployed).wrong == ()
    assert parity(store, deployed).difference is None


@pytest.mark.parametrize("rule", ["reduce_only", "alert"])
def test_an_unhealthy_model_reduces_by_rule(rule: str, store: SqlStore) -> None:
    """A doubt of more than nothing is unhealthy here: from the bar after it is told no position grows."""
    part = {"use": "barograph_models.gaussian_hmm:gaussian_hmm", "states": 2, "starts": 1, "jobs": 1, "seed": 3}
    tree = {"name": "sick", "data": {"use": "tests.kit.machines:learnable"}, "model": part, "fit": {"window": 60}}
    tree |= {"features": [{"use": "barograph.features:log_return"}], "strategy": {"use": "tests.kit.machines:follow"}}
    tree |= {"run": {"start": 70}, "paper": {"unhealthy": rule, "watch": {"entropy": 1e-9, "window": 8}}}
    service, closes, clock = replayed(Config.model_validate(tree), ROOT, store, "sick", 70)
    service.start()
    replay(service, closes, clock, None)
    service.stop()
    cycles = [entry.content for entry in store.entries("sick") if entry.kind == "cycle"]
    told = [n for n, one in enumerate(cycles) if any(alert["kind"] == "model_health" for alert in one["alerts"])]
    held = np.array([one["positions"][0][0] for one in cycles], dtype=float)
    assert told == [7]
    reduced = [n for n, one in enumerate(cycles) if one["switches"] == [2]]
    assert reduced == (list(range(8, len(cycles))) if rule == "reduce_only" else [])
    # What was decided at bar 7 is filled at bar 8.
    assert (np.diff(held[8:]) > 0).any() == (rule == "alert")
    assert parity(store, store.deployments()[0]).difference is None
