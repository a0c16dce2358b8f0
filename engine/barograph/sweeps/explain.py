"""What a sweep would compute, how often, and about how long: said before it is done."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from barograph.sweeps.harvest import Harvest
from barograph.sweeps.plan import Plan
from barograph.sweeps.run import run_plan
from barograph.sweeps.stages import Point

__all__ = ["Explained", "explained"]


class Explained(NamedTuple):
    """How many points there are, and of how many kinds is what they share; seconds of one of each, on one core.

    `seen` counts histories looked at by features and models, `fits` the fits of the first of them. Where a machine
    chooses, each point is a whole run with so many `shadows` beside it, of which `fits` are.
    """

    points: int
    seen: int
    fits: int
    strategies: int
    terms: int
    seconds_to_see: float
    seconds_a_point: float
    shadows: int = 0

    @property
    def seconds(self) -> float:
        """About how long all takes on one core."""
        return self.seen * self.seconds_to_see + self.points * self.seconds_a_point

    def lines(self) -> list[str]:
        """Say it in lines."""
        if self.shadows:
            return [
                f"{self.points:,} points, each a whole run of a machine that chooses: nothing is shared",
                f"{self.shadows:,} candidates run beside each, with {self.fits:,} fits",
                f"about {self.seconds:,.1f} s on one core",
            ]
        times = "once" if self.seen == 1 else f"{self.seen:,} times, each time"
        return [
            f"{self.points:,} points",
            f"features and model see the bars {times}, with {self.fits:,} fits",
            f"{self.strategies:,} strategies and {self.terms:,} sets of terms are laid out once",
            f"{self.points:,} accounts are run, {1e6 * self.seconds_a_point:,.0f} microseconds each",
            f"about {self.seconds:,.1f} s on one core",
        ]


def explained(points: Iterable[Point], count: int) -> Explained:
    """Count what points share, and time the first of them: its features and fits, and its account."""
    kinds: tuple[set[object], ...] = (set(), set(), set())
    first: Point | None = None
    for point in points:
        first = first or point
        for kind, key in zip(kinds, point.keys or (), strict=False):
            kind.add(key)
    assert first is not None
    point = first
    started = time.perf_counter()
    plan = Plan([point])
    to_see = time.perf_counter() - started
    # The first account loads what is compiled; the second is timed.
    for _ in range(2):
        started = time.perf_counter()
        run_plan(plan, lambda _: point, Harvest(1), threads=1)
    first_seen, took = plan.seen[0], time.perf_counter() - started
    seen, strategies, terms = map(len, kinds)
    if first_seen.whole is not None:
        return Explained(count, count, first_seen.whole.fits, count, count, to_see, took, first_seen.whole.shadows)
    return Explained(count, seen, len(first_seen.learned), strategies, terms, to_see, took)
