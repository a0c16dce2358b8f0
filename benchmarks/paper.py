"""What a cycle of paper trading costs, and whether fifty thousand of them leave anything behind."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from barograph.config.schema import Config
from barograph.data.history import History
from barograph.paper.feeds import Chain, between, replaying
from barograph.paper.service import Plan, Service
from barograph.paper.simulated import SetClock
from barograph_adapters.sample import sp500
from barograph_adapters.store import SqlStore, open_store
from benchmarks import Row, Table, bars

_HOUR = 3_600_000_000_000
_SAMPLE = {"use": "barograph_adapters.sample:sp500"}


@contextmanager
def _replay(config: dict[str, Any], history: History, start: int) -> Iterator[tuple[Service, SetClock, SqlStore]]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/paper.db")
        clock = SetClock(int(history.ts[start]))
        made = Config.model_validate(config)

        def seed(until: int) -> tuple[History, int]:
            seen = between(history, -(2**63), until)
            assert seen is not None
            return seen, start

        plan = Plan(made, Path(folder), "bench", "replay", seed)
        service = Service(store, plan, Chain([replaying(history)]), clock)
        service.start()
        yield service, clock, store
        service.stop()
        store.close()


def cycle(size: float = 1.0) -> Table:
    """Replay daily bars of one asset through the service on SQLite, a hidden Markov model refitted by the quarter."""
    count, history = bars(2_000, size, 20), sp500()
    model = {"use": "barograph_models.gaussian_hmm:gaussian_hmm", "states": 2}
    strategy = {"use": "barograph_strategies.regime_filter:regime_filter"}
    fit = {"window": 1000, "every": "quarter"}
    config = {"name": "bench", "data": _SAMPLE, "model": model, "fit": fit, "strategy": strategy}
    start, looks = 2000, []
    with _replay(config, history, start) as (service, clock, store):
        for ts in history.ts[start : start + count]:
            clock.set(int(ts))
            began = time.perf_counter()
            service.look()
            looks.append((time.perf_counter() - began) * 1e3)
        stored = np.array([(row["committed"] - row["arrived"]) / 1e6 for row in store.rows("cycles", "bench")][1:])
    told, whole = (f"p99 {np.quantile(times, 0.99):.1f} ms" for times in (stored, looks[1:]))
    rows = [
        Row("bar in to orders stored, median", float(np.median(stored)), "ms", "<= 25", told),
        Row("a whole look, median", float(np.median(looks[1:])), "ms", "", whole),
    ]
    return Table(f"A cycle, {count:,} daily bars, 1 asset, SQLite", rows)


def year(size: float = 1.0) -> Table:
    """Run hourly bars around the clock, and see what the process has grown by between the first fifth and the end."""
    count = bars(50_000, size, 50)
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).standard_normal(count + 1) * 0.002))
    ts = np.arange(1, count + 2) * _HOUR
    history = History.from_arrays(ts, close, symbols=["A"], calendar="24/7")
    config = {"name": "bench", "data": _SAMPLE, "strategy": {"use": "barograph_strategies.sma_filter:sma_filter"}}
    grown: list[float] = []
    with _replay(config, history, 0) as (service, clock, _):
        began = time.perf_counter()
        for n, close_at in enumerate(history.ts):
            clock.set(int(close_at))
            service.look()
            if n in (count // 5, count):
                grown.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        spent = time.perf_counter() - began
    kept = f"the bars themselves are {(count - count // 5) * 8 * 8 / 1e6:.1f} MB"
    rows = [
        Row(
            "growth over the last four fifths",
            grown[1] - grown[0],
            "MB",
            "flat",
            kept,
        ),
        Row("a cycle", spent / (count + 1) * 1e3, "ms"),
    ]
    return Table(f"Memory, {count:,} cycles", rows)
