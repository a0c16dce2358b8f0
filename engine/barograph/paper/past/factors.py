"""By which factors a source has rewritten an asset's past: pure numbers, no time and no account.

A vendor that adjusts multiplies all prices before a date by one number, and rounds. So every price says between which
bounds that number lies; prices of one factor have bounds with something in common, and noise has not.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.types import Floats

__all__ = ["Bounds", "half_units", "simplest", "staircase"]

# Digits after the point that a vendor may round to; beyond that numbers are those of a computation.
_DIGITS: Final = 8
# A computed number is right to some units in its last place, one kept in 32 bits to half of theirs.
_COMPUTED, _SINGLE = 4.0 * 2.0**-53, 2.0**-24
# Prices of fewer digits by chance (100, 50) are taken to be of a vendor who gives this many.
_USUAL: Final = 2
# A fraction is no chance in an interval that holds one of its size or smaller less than once in a hundred times.
_CHANCE: Final = 0.01
# A factor at the far end wants this many rows: a single bar may have been mended.
_ROWS: Final = 2


class Bounds(NamedTuple):
    """Between which numbers (T,) the factor of each row lies, and where not even its own prices agree (low > high)."""

    low: Floats
    high: Floats


class _Tread(NamedTuple):
    """Rows of one factor, and what their bounds have in common."""

    rows: tuple[int, ...]
    low: float
    high: float

    @property
    def is_one(self) -> bool:
        return self.low <= 1.0 <= self.high


def half_units(prices: Floats, least: int = _USUAL) -> Floats:
    """Return by how much each price may differ from what was rounded to it: half a unit of the last digit there is.

    >>> half_units(np.array([100.25, 99.5])).tolist(), half_units(np.array([1 / 3])) < 1e-15
    ([0.005, 0.005], array([ True]))
    """
    known = prices[np.isfinite(prices)]
    for digits in range(least, _DIGITS + 1):
        if (np.abs(np.round(known, digits) - known) <= 1e-12 * (1.0 + np.abs(known))).all():
            return np.full(prices.shape, 0.5 * 10.0**-digits)
    single = (known.astype(np.float32).astype(np.float64) == known).all()
    return np.abs(prices) * (_SINGLE if single else _COMPUTED)


def staircase(before: Floats, now: Floats, scale: Floats, tolerance: float) -> Floats:
    """Return the factor (T,) by which each row was rewritten, NaN where it changed by none that its neighbours share.

    `before` and `now` (T, 4) are the prices of the same bars, oldest first; `scale` (T,) is what their declared splits
    have made of the ratio already. A relative change up to `tolerance` is none. Factors are those of a rewriting when
    the oldest rows have one: of a past whose beginning is unchanged, what changed is noise.

    >>> before = np.array([[100.0] * 4, [102.0] * 4, [101.0] * 4, [104.0] * 4])
    >>> now = before * np.array([[0.25], [0.25], [1.0], [1.0]])
    >>> staircase(before, now, np.ones(4), 1e-6).tolist()
    [0.25, 0.25, 1.0, 1.0]
    >>> staircase(before, before * [[1.0], [1.0], [1.01], [1.0]], np.ones(4), 1e-6).tolist()
    [1.0, 1.0, nan, 1.0]
    """
    usual = _tried(before, now, scale, tolerance, _USUAL)
    # A yen has no cents: numbers that stay as coarse as they were are rounded so.
    if not np.isnan(usual).any() or _coarse((half_units(before, 0), half_units(now, 0))).any():
        return usual
    return min(usual, _tried(before, now, scale, tolerance, 0), key=lambda factors: int(np.isnan(factors).sum()))


def _tried(before: Floats, now: Floats, scale: Floats, tolerance: float, least: int) -> Floats:
    halves = half_units(before, least), half_units(now, least)
    # What a declared split made of prices is known to the rounding of those that it was found by.
    slack = tolerance + (0.0 if (scale == 1.0).all() else float(np.nanmax(halves[0] / np.abs(before)) * 2.0))
    wide = _bounds(before, now, halves, scale, slack)
    treads = _treads(wide)
    factors = np.full(len(before), np.nan)
    tight = _bounds(before, now, halves, scale, 0.0)
    for tread in treads if _begins(treads) else [tread for tread in treads if tread.is_one]:
        rows = list(tread.rows)
        factors[rows] = 1.0 if tread.is_one else _factor(tight, rows, now[rows] / before[rows] * scale[rows, None])
    return factors


def _begins(treads: list[_Tread]) -> bool:
    """Tell whether the oldest rows were rewritten by a factor, and not a few in the middle."""
    return bool(treads) and not treads[-1].is_one and len(treads[-1].rows) >= _ROWS


def _bounds(before: Floats, now: Floats, halves: tuple[Floats, Floats], scale: Floats, slack: float) -> Bounds:
    # A shade less than half a unit: a price that changed by one was not rounded from the same number.
    b, n = halves[0] * (1.0 - 1e-9), halves[1] * (1.0 - 1e-9)
    change = np.abs(now - before)
    alike = (change <= slack * np.abs(before)) | (_coarse(halves) & (change <= np.maximum(b, n)))
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (now - n) / (before + b), (now + n) / (before - b)
    pinned = alike & (halves[0] == halves[1])
    low, high = np.where(pinned, 1.0, low), np.where(pinned, 1.0, high)
    odd = ~((before > b) & (now > n)) & ~alike
    low, high = np.where(odd, np.inf, low), np.where(odd, -np.inf, high)
    # What was rounded further than that has its bounds from there.
    more = np.where((scale != 1.0).any() | (np.maximum(b, n) < slack * np.abs(before)), slack, 0.0)
    return Bounds((low * (1.0 - more)).max(axis=1) * scale, (high * (1.0 + more)).min(axis=1) * scale)


def _coarse(halves: tuple[Floats, Floats]) -> Any:
    """Tell where the vendor rounds otherwise than before: what differs by no more than the coarser says nothing."""
    return halves[0] != halves[1]


def _treads(bounds: Bounds) -> list[_Tread]:
    """Return the rows that share a factor, newest first; single ones between two that go on are left out."""
    found: list[_Tread] = []
    for t in range(len(bounds.low) - 1, -1, -1):
        if bounds.low[t] > bounds.high[t]:
            continue
        one = _Tread((t,), float(bounds.low[t]), float(bounds.high[t]))
        if found and (both := _common(found[-1], one)) is not None:
            found[-1] = both
        elif len(found) > 1 and len(found[-1].rows) == 1 and (both := _common(found[-2], one)) is not None:
            found[-2:] = [both]
        else:
            found.append(one)
    return found


def _common(a: _Tread, b: _Tread) -> _Tread | None:
    low, high = max(a.low, b.low), min(a.high, b.high)
    return _Tread((*a.rows, *b.rows), low, high) if low <= high else None


def _factor(tight: Bounds, rows: list[int], ratios: Floats) -> float:
    low, high = float(tight.low[rows].max()), float(tight.high[rows].min())
    return simplest(low, high) if 0.0 < low <= high else float(np.median(ratios))


def simplest(low: float, high: float) -> float:
    """Return the factor that lies between two bounds: a simple fraction if one is there by no chance, else the middle.

    >>> simplest(0.24998, 0.25001), simplest(0.66666, 0.66667) == 2 / 3, simplest(0.98761, 0.98765)
    (0.25, True, 0.98763)
    """
    middle = (low + high) / 2.0
    width = (high - low) / middle
    most = math.isqrt(int(_CHANCE / max(width, 1e-9)))
    if most < 1:
        return middle
    flipped = middle > 1.0
    near = Fraction(1.0 / middle if flipped else middle).limit_denominator(most)
    value = float(1 / near if flipped else near) if near else middle
    return value if low <= value <= high else middle
