"""What happens in a worker of a cluster: it makes the points that it is sent, and runs them as one process does."""

from __future__ import annotations

import functools
import pickle
from typing import TYPE_CHECKING, Any, Final

from barograph.sweeps.harvest import Harvest
from barograph.sweeps.outline import outlined
from barograph.sweeps.plan import Plan
from barograph.sweeps.run import run_plan
from barograph.sweeps.stages import Looks

if TYPE_CHECKING:
    from barograph.sweeps.stages import Seen

__all__ = ["given", "run_chunk"]

# Looks that a worker keeps: chunks come look by look.
_LOOKS: Final = 4
given: Final[dict[str, bytes]] = {}
"""What makes the points, pickled, by the sweep it is of."""


@functools.lru_cache(maxsize=1)
def _ready(mark: str) -> tuple[Any, Looks]:
    """Make what makes the points, once a worker."""
    return pickle.loads(given[mark]), Looks(_LOOKS)


def run_chunk(mark: str, values: dict[int, tuple[Any, ...]], runs: bool) -> tuple[Harvest, Seen]:
    """Run points that see the same, in a worker; return what they brought home, and what they saw."""
    source, looks = _ready(mark)
    source.values = values
    points = [source.point(number) for number in values]
    plan, harvest = Plan(points, looks), Harvest(len(points))
    if runs:
        run_plan(plan, lambda k: points[k], harvest, threads=1)
    return harvest, outlined(plan.seen[0])
