"""One file away from the door: helpers, constants, records."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numba
import numpy as np

from barograph.jit.kernel import kernel, shared

from .two import middle, through_middle

YEAR = 365.0
AGE = 30.0
TABLE = np.array([1.0, 2.0, 3.0])
SHORT = np.dtype([("a", "i1"), ("b", "i8")])
WIDTH = numba.float32


class Pair(NamedTuple):
    """Two numbers, told apart by their names."""

    first: float
    second: float


LIMITS = Pair(1.0, 2.0)


class Side(IntEnum):
    """Which way."""

    BUY = 1
    SELL = 2


@kernel
def near(x):
    """Add."""
    return x + 100.0


@kernel
def near_middle(x):
    """Reach the second file."""
    return middle(x)


@kernel
def near_far(x):
    """Reach the third file."""
    return through_middle(x)


@kernel
def yearly(x):
    """Use a constant of this module."""
    return x * YEAR


@kernel
def scaled(x, by=7.0):
    """Multiply."""
    return x * by


@kernel
def steady(x):
    """Stay as it is."""
    return x - 1.0


@kernel
def countdown(n):
    """Call itself."""
    if n <= 0:
        return 5.0
    return countdown(n - 1)


@kernel
def deeper(x):
    return x * 37.0


@shared
def apart(x):
    return x + 31.0


@shared
def apart_above(x):
    return deeper(x)


@shared
def read_lent(pair):
    return pair.first + 41.0
