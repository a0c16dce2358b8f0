"""How fast, how large and how good it is: measured, beside other libraries, in one process with them.

Every subject is a function ``measure(size) -> Table``; `size` 1.0 is what `make bench` runs, the tests run a
thousandth. Times are the best of several after a warm-up: what the code needs, not what the machine was also doing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One figure: what was measured, how much, in which unit, what was wanted, and what stands beside it."""

    name: str
    value: float | None
    unit: str
    wanted: str = ""
    beside: str = ""


class Table(NamedTuple):
    """One subject."""

    title: str
    rows: list[Row]


def best(call: Callable[[], Any], repeats: int = 5) -> float:
    """Return the least seconds of several calls; call once before, so that nothing compiles meanwhile."""
    least = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - began)
    return least


def bars(wanted: int, size: float, least: int = 300) -> int:
    """Return how many bars to run at this size."""
    return max(least, int(wanted * size))
