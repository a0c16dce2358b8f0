"""Do the nights at ex-dates show that the prices are adjusted for the dividends that stand beside them?

Where a share pays d, of its last close c, a raw price moves by y = log(1 - d / c) over the night and an adjusted one by
nothing. With r the night's return less the usual one, s the usual size of a night about that day, weights y / s^2, the
slope b = sum(r y / s^2) / sum(y^2 / s^2) is 1 for raw prices and 0 for adjusted ones, and its standard error 1 / S with
S^2 = sum(y^2 / s^2). r is clipped three s beyond what either says, and what is refused is so without any one of the
dividends too: no crash and no wrong number decides alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from barograph.data.findings import Finding, Mask, finding
from barograph.data.table import Table, spacing
from barograph.epoch import HOUR
from barograph.types import Floats

__all__ = ["Slope", "held_twice", "slope", "verdict"]

_ERRORS: Final = 3.5
"""How many standard errors below 1 a slope under one half must lie to be refused, or above 0 another to be raw."""
_AROUND: Final = 60
_LEAST: Final = 1e-4
_FEW: Final = 5
_UNKNOWN: Final = 1e3


class Slope(NamedTuple):
    """The slope b of the nights on their dividends, S, and how many standard errors b lies below 1 at the least.

    The last is of all dividends but any one.
    """

    value: float
    strength: float
    below_one: float


def held_twice(table: Table) -> Iterator[Finding]:
    """Dividends beside prices that did not fall by them, and dividends of which the nights tell nothing."""
    if table.dividends is None or not (table.dividends > 0.0).any() or len(table.ts) < 3:
        return
    found = slope(*_nights(table))
    where = table.dividends > 0.0
    told = verdict(found)
    if told == "adjusted":
        text = (
            f"over the nights before them prices fell by {found.value:.0%} of dividends such as {{value}}: they are "
            f"adjusted already, and dividends would count twice"
        )
        yield from finding(table, "dividend_without_drop", where, "dividend", table.dividends, text)
    elif told == "undecided":
        text = "dividends such as {value} are too few or too small to tell by their nights whether prices are adjusted"
        yield from finding(table, "undecided_dividends", where, "dividend", table.dividends, text)


def verdict(found: Slope) -> str:
    """Say what the nights tell: "raw", "adjusted" or "undecided".

    >>> verdict(Slope(0.1, 8.0, 6.0)), verdict(Slope(0.9, 8.0, 0.5)), verdict(Slope(0.1, 2.0, 1.5))
    ('adjusted', 'raw', 'undecided')
    """
    if found.value < 0.5 and found.below_one > _ERRORS:
        return "adjusted"
    return "raw" if found.value >= 0.5 and found.value * found.strength > _ERRORS else "undecided"


def slope(night: Floats, paid: Floats) -> Slope:
    """Return the slope of returns over nights (T,) on what is paid (T,), a fraction of the last price, 0 for nothing.

    >>> rng = np.random.default_rng(0)
    >>> paid = np.where(np.arange(1000) % 50 == 49, 0.01, 0.0)
    >>> night = 0.004 * rng.standard_normal(1000)
    >>> [round(slope(r, paid).value, 1) for r in (night, night + np.log1p(-paid))]
    [-0.1, 0.9]
    """
    rows = np.flatnonzero((paid > 0.0) & (paid < 1.0) & np.isfinite(night))
    if len(rows) == 0:
        return Slope(1.0, 0.0, 0.0)
    others = np.where((paid == 0.0) & np.isfinite(night), night, np.nan)
    usual = [_usual(others[max(0, row - _AROUND) : row + _AROUND + 1]) for row in rows]
    middle, size = (np.array([one[n] for one in usual]) for n in (0, 1))
    fall = np.log1p(-paid[rows])
    moved = np.clip(night[rows] - middle, fall - 3.0 * size, 3.0 * size)
    top, bottom = moved * fall / size**2, fall**2 / size**2
    rest = np.maximum(bottom.sum() - bottom, 0.0)
    below = np.min((rest - (top.sum() - top)) / np.sqrt(np.maximum(rest, _LEAST)))
    return Slope(float(top.sum() / bottom.sum()), float(bottom.sum() ** 0.5), float(below))


def _usual(nights: Floats) -> tuple[float, float]:
    """Return the median of some nights, and how far they usually lie from it; of very few nothing is known."""
    known = nights[~np.isnan(nights)]
    if len(known) < _FEW:
        return 0.0, _UNKNOWN
    middle = float(np.median(known))
    return middle, max(1.4826 * float(np.median(np.abs(known - middle))), _LEAST)


def _nights(table: Table) -> tuple[Floats, Floats]:
    """Return the return over the night before each bar, NaN where there is none, and the part of the close paid."""
    splits = np.ones(len(table.ts)) if table.splits is None else table.splits
    night, paid = np.full(len(table.ts), np.nan), np.zeros(len(table.ts))
    last = table.close[:-1] / splits[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        night[1:] = np.where(_overnight(table), np.log(table.open[1:] / last), np.nan)
        paid[1:] = np.nan_to_num(table.dividends[1:] / last) if table.dividends is not None else 0.0
    return night, paid


def _overnight(table: Table) -> Mask:
    step = spacing(table.ts)
    return np.asarray((step > 12 * HOUR) | (np.diff(table.ts) > 1.5 * step))
