"""One arithmetic of lots and ticks: what is a whole multiple of a step, and the multiple below or above what is none.

A step is kept as the fraction of whole numbers that its decimals spell (0.1 is 1/10), so that a multiple is the very
double that the same decimals give: six lots of 0.1 are 0.6, where 6 x 0.1 is 0.6000000000000001. No count becomes an
integer before it is known to be one that a double can tell from its neighbours.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Final, NamedTuple

from barograph.jit.kernel import kernel

__all__ = ["FEW", "Grid", "above", "below", "grid_of", "settled", "toward_zero"]

# Eight units of the last binary digit: what a quotient, or a sum of what was traded, is off by.
FEW: Final = 8.0 * 2.220446049250313e-16
# From so many steps on, a double of that size does not tell one from the next.
UNTOLD: Final = 2.0**48


class Grid(NamedTuple):
    """The multiples of `numerator` / `denominator`; a numerator of 0 is no grid, and every number is on it."""

    numerator: float
    denominator: float


@cache
def grid_of(step: float) -> Grid:
    """Return the grid of a step as its shortest decimals spell it.

    >>> grid_of(0.05), grid_of(0.0)
    (Grid(numerator=1.0, denominator=20.0), Grid(numerator=0.0, denominator=1.0))
    """
    told = Fraction(repr(float(step)))
    try:
        return Grid(float(told.numerator), float(told.denominator))
    except OverflowError:
        return Grid(float(step), 1.0)


@kernel
def _count(x: float, scale: float, grid: Grid) -> tuple[float, float]:
    """Return how many steps x is, and how far from a whole number that may be; infinity where nobody can tell."""
    size = scale * grid.denominator / grid.numerator
    return x * grid.denominator / grid.numerator, FEW * size if size < UNTOLD else math.inf


@kernel
def below(x: float, scale: float, grid: Grid) -> float:
    """Return the largest multiple that is not above x, which comes of numbers as large as `scale`.

    >>> below(0.29 * 100.0, 100.0, Grid(1.0, 1.0)), below(1e12 + 0.3, 1e12, Grid(1.0, 1e8))
    (29.0, 1000000000000.3)
    """
    if grid.numerator == 0.0:
        return x
    count, off = _count(x, scale, grid)
    if off == math.inf:
        return x
    whole = math.floor(count + 0.5)
    return float(whole if abs(count - whole) <= off else math.floor(count)) * grid.numerator / grid.denominator


@kernel
def above(x: float, scale: float, grid: Grid) -> float:
    """Return the smallest multiple that is not below x."""
    # Not a negation: nothing is 0.0, never -0.0.
    return 0.0 - below(-x, scale, grid)


@kernel
def toward_zero(x: float, grid: Grid) -> float:
    """Return the multiple next to x on the way to zero.

    >>> toward_zero(0.6, Grid(1.0, 10.0)), toward_zero(-0.69, Grid(1.0, 10.0))
    (0.6, -0.6)
    """
    return below(x, x, grid) if x > 0.0 else 0.0 - below(-x, -x, grid)


@kernel
def settled(x: float, scale: float, grid: Grid) -> float:
    """Return the multiple that x is but for rounding, or x itself."""
    if grid.numerator == 0.0:
        return x
    count, off = _count(x, scale, grid)
    if off == math.inf:
        return x
    whole = math.floor(count + 0.5)
    return float(whole) * grid.numerator / grid.denominator if abs(count - whole) <= off else x
