"""What several features remember and how: rings, last numbers, averages that fade.

Windows are kept whole and summed afresh at every bar: a running sum drifts, and after a spike never forgets.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import PartError
from barograph.jit.kernel import kernel

__all__ = ["STILL", "Average", "Last", "OnAsset", "Ring", "Window", "Windowed", "called", "empty_ring",
           "exponential_mean", "extremes", "joint_squares", "mean_and_squares", "mean_of", "no_average", "no_last",
           "nothing", "push", "wilder_mean", "window_of"]  # fmt: skip


class Window(NamedTuple):
    """How many numbers a transform looks back on."""

    window: int


class OnAsset(NamedTuple):
    """The column a source reads."""

    asset: Any


class Windowed(NamedTuple):
    """The column a source reads, and how many of its bars it looks back on."""

    asset: Any
    window: int


class Last(NamedTuple):
    """The last number seen, NaN before the first."""

    value: float


class Average(NamedTuple):
    """An average that fades: a plain sum of `seen` numbers while warming up, the average afterwards."""

    mean: float
    seen: int


class Ring(NamedTuple):
    """The last numbers seen: written at `position`, going round; `seen` of them so far, at most the window."""

    values: Any
    position: int
    seen: int


def window_of(feature: str, window: int, least: int, key: str = "window") -> Window:
    """Check a window; raises `PartError`, which names its key, when it is shorter than the feature can use."""
    if window < least:
        raise PartError(f"{feature}: {key}={window} is too short; wanted at least {least}")
    return Window(int(window))


def called(name: str, *numbers: float, asset: str = "") -> str:
    """Name a feature by its numbers and its asset; the first asset goes without saying.

    >>> called("stochastic_k", 14, 3, asset="SPY"), called("close_location")
    ('stochastic_k(14, 3, SPY)', 'close_location')
    """
    told = ", ".join([f"{number:g}" for number in numbers] + ([asset] if asset else []))
    return f"{name}({told})" if told else name


@kernel
def nothing(_params: Any) -> tuple[()]:
    """Begin with nothing to remember."""
    return ()


@kernel
def no_last(_params: Any) -> Last:
    """Begin without a last number."""
    return Last(math.nan)


@kernel
def no_average(_params: Any) -> Average:
    """Begin without an average."""
    return Average(0.0, 0)


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


STILL: Final = 1e-26
"""A variance of returns below it is the rounding of prices that grow evenly: their deviation is then told as 0."""


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


@kernel
def exponential_mean(mean: float, seen: int, value: float, window: int) -> float:
    """Take the next number into an exponential average: `seen` came before, summed while fewer than `window`."""
    if seen < window - 1:
        return mean + value
    if seen == window - 1:
        return (mean + value) / window
    return mean + (value - mean) * 2.0 / (window + 1)


@kernel
def mean_of(values: Any) -> float:
    """Return the plain mean of numbers that are all there."""
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return float(total / values.size)


@kernel
def extremes(highs: Any, lows: Any) -> tuple[float, float]:
    """Return the highest of the highs and the lowest of the lows."""
    top, bottom = highs[0], lows[0]
    for i in range(1, highs.size):
        top = highs[i] if highs[i] > top else top
        bottom = lows[i] if lows[i] < bottom else bottom
    return top, bottom


@kernel
def joint_squares(x: Any, y: Any, from_x: float, from_y: float) -> tuple[float, float, float]:
    """Return the sums of (dx dx, dx dy, dy dy), each d a deviation from its own mean; pivots lie near them."""
    sx, sy, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(x.size):
        dx, dy = x[i] - from_x, y[i] - from_y
        sx += dx
        sy += dy
        xx += dx * dx
        xy += dx * dy
        yy += dy * dy
    n = x.size
    return xx - sx * sx / n, xy - sx * sy / n, yy - sy * sy / n
