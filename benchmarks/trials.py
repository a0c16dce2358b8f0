"""What the registry of trials costs: a run's entry, a sweep's, the room they take, and to look at all of it."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from barograph.trials.block_sums import BLOCKS
from barograph.trials.nouns import Study, Trial
from barograph.trials.registry import Registry
from benchmarks import Row, Table, bars, best

_STUDY = Study("run", "bench", "0" * 64, ("SPY",), 0, 1, "0" * 64)


def measure(size: float = 1.0) -> Table:
    """Enter single trials into a file that is opened anew, and into one that stays open; then sweeps in bulk."""
    count = bars(10_000, size, 1_000)
    sums = np.random.default_rng(0).standard_normal((count, BLOCKS, 3))
    sums[:, :, 0] = 39.0
    names, values = [f"fast={k % 100} slow={k // 100}" for k in range(count)], sums[:, 0, 1]
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(Path(folder) / "trials.db")
        one = Trial(_STUDY, 0.5, sums[0])
        registry.begin()
        empty = registry.path.stat().st_size
        rows = [Row("a file without trials", empty, "B")]
        rows += _single(lambda: registry.append(one), "an entry that opens the file")
        registry.stay()
        rows += _single(lambda: registry.append(one), "an entry into a file that is open")
        sweep = _STUDY._replace(kind="sweep")
        each = _cpu(lambda: registry.append_many(sweep, names, sums, values)) / count
        hashing = _cpu(lambda: hashlib.sha256(sums[:, :, 1:].copy().data).digest()) / count
        told = f"hash alone {hashing * 1e6:.1f}"
        rows.append(Row(f"a trial of {count:,} entered in bulk, CPU", each * 1e6, "µs", "<= 10 beside the hash", told))
        tried = registry.verify().tried
        rows.append(Row("room a trial of a sweep", (registry.path.stat().st_size - empty) / tried, "B", "<= 4096"))
        rows.append(Row("verify, a trial", best(registry.verify, 2) / tried * 1e6, "µs"))
    return Table("The registry of trials: block sums of 128 blocks", rows)


def _single(enter: Callable[[], Any], name: str) -> list[Row]:
    return [Row(name, best(enter, 20) * 1e3, "ms", "", f"CPU {_cpu(enter, 20) * 1e3:.2f} ms")]


def _cpu(call: Callable[[], Any], repeats: int = 5) -> float:
    """Return the least CPU seconds of several calls."""
    least = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        call()
        least = min(least, time.process_time() - began)
    return least
