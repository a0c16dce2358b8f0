"""A vendor that writes its whole file anew every night, adjusted by all actions so far; and who trades it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import barograph as bg
from barograph.config.build import build, load_history
from barograph.config.load import load
from barograph.data.calendars import sessions
from barograph.loop.result import Result
from barograph.paper.parity import parity
from barograph.paper.service import Service, deployable
from barograph.paper.simulated import SetClock
from barograph.paper.verify import verify
from barograph_adapters.store.sql import SqlStore, open_store

KNOWN = sessions("XNYS", np.datetime64("2023-01-03"), np.datetime64("2024-06-28"))
SOON = 360_000_000_000
CONFIG = """
name = "d"
[data]
use = "barograph_adapters.files:csv"
path = "A.csv"
accept = ["unadjusted_split"]
[strategy]
use = "turns:turns"
weights = {weights}
[execution]
fee = {fee}
slippage = {fee}
{more}
"""

STRATEGY = """
import numpy as np
import barograph as bg

def step(state, bars, belief, portfolio, params):
    return min(state + 1, params.size - 1), bg.Target(params[state])

def turns(weights):
    return bg.strategy(bg.kernel(step), params=np.array(weights), init=lambda _: 0)
"""


class Vendor:
    """True prices of a share, and by which factor each day's action scales all earlier ones, from `late` days after."""

    def __init__(self, days: int, actions: dict[int, float], digits: int | None = None, late: int = 0, seed: int = 0):
        rng = np.random.default_rng(seed)
        close = 400.0 * np.exp(np.cumsum(0.008 * rng.standard_normal(days)))
        start = close * np.exp(0.003 * rng.standard_normal(days))
        wide = np.maximum(start, close) * 1.004, np.minimum(start, close) * 0.996
        self.actions, self.digits, self.late = actions, digits, late
        # What is quoted on a day: after a split the price is another one.
        scale = np.ones(days)
        for k, factor in actions.items():
            scale[k:] *= factor
        self.quoted = np.column_stack([start, *wide, close]) * scale[:, None]

    def factors(self, day: int) -> Any:
        """Return by what the quotes of each day stand multiplied in the file of the night of a day."""
        found = np.ones(len(self.quoted))
        for k, factor in self.actions.items():
            if day >= k + self.late:
                found[:k] *= factor
        return found

    def rows(self, day: int) -> Any:
        """Return the prices in the file of the night of a day."""
        prices = (self.quoted * self.factors(day)[:, None])[: day + 1]
        return prices if self.digits is None else np.round(prices, self.digits)

    def text(self, day: int) -> str:
        lines = [
            ",".join([str(KNOWN.days[t]), *map(repr, row), "1000000"]) for t, row in enumerate(self.rows(day).tolist())
        ]
        return "\n".join(["date,open,high,low,close,volume", *lines]) + "\n"


class Live:
    """A deployment on the vendor's file; every look comes after the file was written."""

    def __init__(self, folder: Path, vendor: Vendor, day: int, weights: list[float], fee: float = 0.0, more: str = ""):
        self.folder, self.vendor, self.begun = folder, vendor, day
        (folder / "c.toml").write_text(CONFIG.format(weights=weights, fee=fee, more=more))
        (folder / "turns.py").write_text(STRATEGY)
        self.clock = SetClock(0)
        self.store: SqlStore = open_store(f"sqlite:///{folder}/paper.db")
        self.at(day)
        self.start()
        self.service.look()

    def start(self) -> None:
        self.config = load(self.folder / "c.toml", [])
        self.service: Service = deployable(self.config, self.folder, self.store, "d", self.clock)
        self.service.start()

    def at(self, day: int) -> None:
        self.clock.set(int(KNOWN.closes[day]) + SOON)
        (self.folder / "A.csv").write_text(self.vendor.text(day))

    def look(self, day: int) -> int:
        self.at(day)
        return self.service.look()

    def again(self) -> None:
        """Stop, and start anew from what the store has."""
        self.service.stop()
        self.start()

    def alerts(self) -> list[str]:
        return [
            row["kind"]
            for row in self.store.rows("alerts", "d")
            if row["kind"] not in ("order_filled", "drawdown", "weekly_summary")
        ]

    def equity(self) -> Any:
        return np.array([row["equity"] for row in self.store.rows("equity", "d")])

    def head(self) -> str:
        return list(self.store.entries("d"))[-1].hash

    def backtest(self) -> Result:
        """Return the run over the file as it is now."""
        machine = replace(build(self.config, self.folder), start=self.begun)
        return bg.scan(machine, load_history(self.config, self.folder))

    def sound(self) -> None:
        deployed = self.store.find("d")
        assert deployed is not None
        assert verify(self.store, deployed).wrong == ()
        found = parity(self.store, deployed, self.folder)
        assert found.difference is None, str(found)
        assert found.unchecked == ""
