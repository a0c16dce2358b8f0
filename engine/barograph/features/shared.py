"""What several features remember and how: rings, last numbers, Wilder's average.

Windows are kept whole and summed afresh at every bar: a running sum drifts, and after a spike never forgets.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from barograph.errors import PartError
from barograph.jit.kernel import kernel

__all__ = ["Last", "Ring", "Window", "empty_ring", "mean_and_squares", "no_last", "nothing", "push", "wilder_mean",
           "window_of"]  # fmt: skip


class Window(NamedTuple):
    """How many numbers a transform looks back on."""

    window: int


class Last(NamedTuple):
    """The last number seen, NaN before the first."""

    value: float


class Ring(NamedTuple):
    """The last numbers seen: written at `position`, going round; `seen` of them so far, at most the window."""

    values: Any
    position: int
    seen: int


def window_of(feature: str, window: int, least: int) -> Window:
    """Check a window; raises `PartError` when it is shorter than the feature can use."""
    if window < least:
        raise PartError(f"{feature}: window={window} is too short; wanted at least {least}")
    return Window(int(window))


@kernel
def nothing(_params: Any) -> tuple[()]:
    """Begin with nothing to remember."""
    return ()


@kernel
def no_last(_params: Any) -> Last:
    """Begin without a last number."""
    return Last(math.nan)


@kernel
def empty_ring(params: Any) -> Ring:
    """Begin with an empty ring of ``params.window`` places."""
    return Ring(np.full(params.window, math.nan), 0, 0)


@kernel
def push(ring: Any, value: float) -> Ring:
    """Put a number into a ring, over the oldest when it is full."""
    ring.values[ring.position] = value
    size = ring.values.size
    position = ring.position + 1 if ring.position + 1 < size else 0
    count = ring.seen + 1 if ring.seen < size else size
    return Ring(ring.values, position, count)


@kernel
def mean_and_squares(values: Any, pivot: float) -> tuple[float, float]:
    """Return the mean minus the pivot, and the sum of squared deviations from the mean."""
    # Sums of the distance from a pivot taken from the window: exact for equal numbers, and no cancellation at 1e5.
    first, second = 0.0, 0.0
    for i in range(values.size):
        gap = values[i] - pivot
        first += gap
        second += gap * gap
    return first / values.size, second - first * first / values.size


@kernel
def wilder_mean(mean: float, seen: int, value: float, window: int) -> float:
    """Take the next number into Wilder's average: `seen` came before, summed while fewer than `window`."""
    if seen < window - 1:
        return mean + value
    if seen == window - 1:
        return (mean + value) / window
    return (mean * (window - 1) + value) / window
