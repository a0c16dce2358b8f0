"""Live on complete data is the backtest of the same bars, every decision: markets x steps x vendors' ways of stamping.

    python -m tests.campaigns.closes --jobs 2

A deployment begins with three weeks of bars and goes through two months of them on a clock that is set: over clock
changes, half-days, Lunar New Year and golden weeks. Each bar can be had a minute after it closed. Every decision is
that of the backtest, no decision may only reduce, and nobody is alarmed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import barograph as bg
from barograph.config.build import build
from barograph.config.schema import Config
from barograph.data.history import History
from barograph.paper.feeds import Chain, between
from barograph.paper.record import floats
from barograph.paper.service import Plan, Service
from barograph.paper.simulated import SetClock
from barograph.types import Feed
from barograph_adapters.store.sql import open_store
from tests.data.test_closes import MARKETS, STEPS
from tests.fakes.market import DAY, MINUTE
from tests.kit.vendors import VENDORS, loaded, table

SPANS: Final = {
    # Both clock changes of spring, Lunar New Year; half-days and the end of the year; the golden week of October.
    "spring": ("2024-01-22", "2024-04-12"),
    "winter": ("2023-11-01", "2024-01-10"),
    "autumn": ("2024-09-02", "2024-11-08"),
}
FEWER: Final = {"5m": 14, "30m": 40}
"""Days from the beginning of a span that bars so short are traded; two months of them would be thousands."""

ALARMS: Final = ("stale_data", "missed_cycle", "bad_data", "late_cycle")


class Case(NamedTuple):
    """A market, a step, a vendor and a span."""

    market: str
    step: str
    vendor: str
    span: str


class Verdict(NamedTuple):
    """How many bars there were, were decided, decided otherwise than in the backtest, could only reduce; and alarms."""

    bars: int
    decided: int
    other: int
    reduced: int
    alarms: int

    @property
    def right(self) -> bool:
        """Whether live was the backtest."""
        return self.bars == self.decided and self[2:] == (0, 0, 0)


def run(case: Case, folder: Path) -> Verdict:
    """Trade a case to its end and compare."""
    first, last = SPANS[case.span]
    last = str(np.datetime64(first) + np.timedelta64(21 + FEWER[case.step])) if case.step in FEWER else last
    if case.step == "week":
        first = str(np.datetime64(first) - np.timedelta64(300))
    whole = loaded(case.market, case.step, case.vendor, table(case.market, case.step, case.vendor, first, last))
    begin = int(np.searchsorted(whole.ts, int(whole.ts[0]) + (270 if case.step == "week" else 21) * DAY))
    return traded(whole, begin, case.step, folder)


def traded(whole: History, begin: int, step: str, folder: Path) -> Verdict:
    """Begin at a bar, look whenever a look is due, and hold what was decided against the backtest of all bars."""
    config = Config.model_validate({
        "name": "live", "data": {"use": "tests.fakes.market:flat"},
        "strategy": {"use": "tests.fakes.market:scripted", "weights": [0.5, 1.0, 0.0, 0.8, 0.3]},
        "paper": {"every": step, "delay": "90s", "retry": "1m", "patience": "10m"},
    })  # fmt: skip
    store, clock = open_store(f"sqlite:///{folder}/paper.db"), SetClock(int(whole.ts[begin]) + 90_000_000_000)
    feed = Feed("vendor", lambda after, until: between(whole, after, until - MINUTE))
    plan = Plan(config, folder, "live", "paper", lambda _: (whole.head(begin + 1), begin))
    service = Service(store, plan, Chain([feed]), clock)
    service.start()
    while clock.now() <= int(whole.ts[-1]) + 2 * MINUTE:
        service.look()
        clock.set(service.next())
    service.stop()
    cycles = [entry.content for entry in store.entries("live") if entry.kind == "cycle"]
    alarms = sum(row["kind"] in ALARMS for row in store.rows("alerts", "live"))
    store.close()
    back = bg.run(replace(build(config, folder), start=begin), whole)
    same = min(len(cycles), len(back.arrays.table))
    other = sum(_differs(cycles[t], back, t) for t in range(same))
    return Verdict(len(whole) - begin, len(cycles), other, sum(bool(one["trouble"]) for one in cycles), alarms)


def _differs(cycle: dict[str, Any], back: bg.Result, t: int) -> bool:
    account, weights = floats(cycle["equity"]), floats(cycle["weights"])
    return account.tobytes() != back.arrays.table[t].tobytes() or weights.tobytes() != back.arrays.weights[t].tobytes()


def cases() -> list[Case]:
    """Return all of them."""
    return [Case(*one) for one in itertools.product(MARKETS, STEPS, VENDORS, SPANS)]


def judged(case: Case) -> tuple[Case, Verdict]:
    """Run a case in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return case, run(case, Path(folder))


def main() -> int:
    """Run all, or some; print what was wrong and how many decisions were compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="run one case in so many")
    given = parser.parse_args()
    chosen, bars, wrong = cases()[:: given.every], 0, 0
    with ProcessPoolExecutor(given.jobs) as pool:
        for case, verdict in pool.map(judged, chosen):
            bars += verdict.bars
            wrong += not verdict.right
            if not verdict.right:
                print(*case, verdict, flush=True)
    print(f"{len(chosen)} cases, {bars} decisions, {wrong} cases differ from their backtest")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
