"""Chance of our own: uniform, normal and gamma numbers whose bits no library and no processor decides.

L'Ecuyer's MRG32k3a (*Operations Research* 47, 1999): two recursions whose products fit in 53 bits, so that compiled and
plain Python agree; period 2**191. A generator is an array of its six whole numbers, changed in place.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import kernel

__all__ = ["gamma", "generator", "normal", "uniform"]

ONE: Final = 4294967087
TWO: Final = 4294944443


def generator(seed: int) -> NDArray[np.int64]:
    """Return a generator for a seed.

    >>> 0.0 < float(uniform(generator(0))) < 1.0
    True
    """
    words = np.random.SeedSequence(seed).generate_state(6).astype(np.int64)
    return 1 + words % (TWO - 1)


@kernel
def uniform(chance: Any) -> Any:
    """Return a number above 0 and below 1, all equally likely."""
    one = (1403580 * chance[1] - 810728 * chance[0]) % ONE
    two = (527612 * chance[5] - 1370589 * chance[3]) % TWO
    chance[0], chance[1], chance[2] = chance[1], chance[2], one
    chance[3], chance[4], chance[5] = chance[4], chance[5], two
    found = (one - two) % ONE
    return (found if found > 0 else ONE) / (ONE + 1.0)


@kernel
def normal(chance: Any) -> Any:
    """Return a standard normal number (Marsaglia's polar method)."""
    while True:
        a, b = 2.0 * uniform(chance) - 1.0, 2.0 * uniform(chance) - 1.0
        size = a * a + b * b
        if 0.0 < size < 1.0:
            return a * math.sqrt(-2.0 * log(size) / size)


@kernel
def gamma(chance: Any, shape: Any) -> Any:
    """Return a gamma number of rate 1 (Marsaglia & Tsang 2000)."""
    lift = 1.0
    if shape < 1.0:
        lift = exp(log(uniform(chance)) / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(chance)
        v = 1.0 + c * x
        if v > 0.0:
            v = v * v * v
            if log(uniform(chance)) < 0.5 * x * x + d - d * v + d * log(v):
                return d * v * lift
