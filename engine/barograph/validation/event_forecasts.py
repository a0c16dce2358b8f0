"""What a forecast of an event is worth: is it honest, does it tell apart, does it warn in time, and how often in vain.

A forecast is a probability a bar, (T,), that something happens within the next `horizon` bars; NaN is none. A
probability is honest where of the bars at which 30 % was said three in ten were followed by it: the reliability table.
It is also worth something only where it is not always the same: the resolution. A warning is a probability above a
threshold, which is judged as an alarm is: by its lead, by what it missed, and by its false alarms a year.

G. Brier, *Verification of forecasts expressed in terms of probability*, Monthly Weather Review 78 (1950); A. Murphy, *A
new vector partition of the probability score*, Journal of Applied Meteorology 12 (1973).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.types import Floats

__all__ = ["EventForecast", "Warned", "entered_within", "event_forecast", "warned"]

ROUNDING: Final = 1e-9
"""Sums of probabilities may be above 1 by so much."""


class EventForecast(NamedTuple):
    """Scores of probabilities (lower is better): `brier`, and `skill`, by how much it beats the base rate always said.

    Over the bins of `table` (bins, 3), which holds a row a bin, the mean probability said, the share of bars at which
    it happened, and the number of bars, `brier` is about `reliability` - `resolution` + `uncertainty`.
    """

    bars: int
    base_rate: float
    brier: float
    skill: float
    reliability: float
    resolution: float
    uncertainty: float
    table: Floats


class Warned(NamedTuple):
    """Warnings as alarms: how many `entries` there were, the share `warned` of in advance, and how early.

    `lead` is the median number of bars by which the alarm came before an entry that was warned of, NaN where none was;
    `false_alarms` are those that nothing followed within the horizon, a year of bars at which one could be given.
    """

    entries: int
    warned: float
    lead: float
    leads: NDArray[np.int64]
    false_alarms: float


def entered_within(labels: Any, regimes: int | Sequence[int], horizon: int) -> Floats:
    """Return whether any of `regimes` is there at a bar or at any of the next `horizon`, (T,): 0 or 1.

    It is NaN for the last `horizon` bars, also where it is known already that one is: to keep those alone would make
    entries look more frequent than they are.

    It is what `Fitted.entering` tells the probability of; `labels` (T,) are the regimes that were, of a simulated
    world, or as seen in hindsight.

    >>> entered_within([0, 0, 0, 1, 0], 1, 2)
    array([ 0.,  1.,  1., nan, nan])
    """
    there = np.isin(np.asarray(labels), np.atleast_1d(regimes))
    if horizon < 1:
        raise PartError(f"entered_within: horizon = {horizon!r}, a whole number of bars, at least 1, is wanted")
    padded = np.concatenate([there, np.zeros(horizon, dtype=bool)])
    found: Floats = np.zeros(len(there))
    found[np.lib.stride_tricks.sliding_window_view(padded, horizon + 1).any(axis=1)] = 1.0
    found[max(len(there) - horizon, 0) :] = math.nan
    return found


def _known(said: Any, other: Any, told: str) -> tuple[Floats, Floats]:
    p, y = np.asarray(said, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if p.shape != y.shape or p.ndim != 1:
        raise PartError(f"{told}: {p.shape} probabilities and {y.shape} outcomes; wanted as many of both, (T,)")
    odd = p[(p < -ROUNDING) | (p > 1.0 + ROUNDING)]
    if odd.size:
        raise PartError(f"{told}: a probability is {odd[0]}; wanted numbers from 0 to 1")
    odd = y[np.isfinite(y) & (y != 0.0) & (y != 1.0)]
    if odd.size:
        raise PartError(f"{told}: an outcome is {odd[0]}; wanted 0 or 1")
    return np.clip(p, 0.0, 1.0), y


def event_forecast(said: Any, happened: Any, bins: int = 10) -> EventForecast:
    """Score probabilities `said` (T,) against what `happened` (T,), 0 or 1; bars without one of both do not count.

    Bins are of equal width. Raises `PartError` for arrays of other lengths and what is no probability.

    >>> found = event_forecast([0.1, 0.1, 0.8, 0.8], [0, 0, 1, 0], bins=2)
    >>> found.table.round(2)
    array([[0.1, 0. , 2. ],
           [0.8, 0.5, 2. ]])
    >>> round(found.brier, 4), round(found.reliability - found.resolution + found.uncertainty, 4)
    (0.175, 0.175)
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise PartError(f"event_forecast: bins = {bins!r}, a whole number of at least 1 is wanted")
    p, y = _known(said, happened, "event_forecast")
    there = np.isfinite(p) & np.isfinite(y)
    p, y = p[there], y[there]
    if not p.size:
        return EventForecast._make([0, *[math.nan] * 6, np.empty((0, 3))])
    base, brier = float(np.mean(y)), float(np.mean((p - y) ** 2))
    where = np.minimum((p * bins).astype(np.int64), bins - 1)
    count = np.bincount(where, minlength=bins).astype(np.float64)
    full = count > 0.0
    count = count[full]
    of_said, of_seen = (np.bincount(where, weights=of, minlength=bins)[full] / count for of in (p, y))
    weights = count / count.sum()
    uncertainty = base * (1.0 - base)
    return EventForecast(
        bars=len(p),
        base_rate=base,
        brier=brier,
        skill=1.0 - brier / uncertainty if uncertainty > 0.0 else math.nan,
        reliability=float(np.sum(weights * (of_said - of_seen) ** 2)),
        resolution=float(np.sum(weights * (of_seen - base) ** 2)),
        uncertainty=uncertainty,
        table=np.column_stack([of_said, of_seen, count]),
    )


def warned(
    said: Any, labels: Any, regimes: int | Sequence[int], horizon: int, threshold: float = 0.5, periods: float = 252.0
) -> Warned:
    """Judge warnings, ``said > threshold``, of entering `regimes`: is an alarm raised before, how early, how often not.

    An alarm is the first bar of a warning, outside of `regimes`. An entry is warned of by the earliest bar of the
    `horizon` before it at which the warning stood; an alarm is false when no entry follows within the horizon (those
    too late for that to be seen are not counted). `labels` (T,) are the regimes that were, `periods` bars are a year.

    >>> said, labels = [0.1, 0.7, 0.7, 0.1, 0.1, 0.9, 0.1, 0.1], [0, 0, 0, 1, 0, 0, 0, 0]
    >>> found = warned(said, labels, regimes=1, horizon=2, periods=7)
    >>> found.entries, found.warned, found.lead, found.false_alarms
    (1, 1.0, 2.0, 1.0)
    """
    p, _ = _known(said, np.asarray(labels, dtype=np.float64), "warned")
    there, T = np.isin(np.asarray(labels), np.atleast_1d(regimes)), len(p)
    entries = np.flatnonzero(there[1:] & ~there[:-1]) + 1
    stands = (np.nan_to_num(p) > threshold) & ~there
    leads = [_lead(stands, int(e), horizon) for e in entries]
    known = np.array([lead for lead in leads if lead > 0], dtype=np.int64)
    raised = np.flatnonzero(stands & ~np.concatenate([[False], stands[:-1]]))
    follows = np.searchsorted(entries, raised, side="right")
    next_entry = np.append(entries, T + horizon)[follows]
    vain = int(np.count_nonzero((next_entry > raised + horizon) & (raised + horizon < T)))
    could = int(np.count_nonzero(~there & np.isfinite(p)))
    return Warned(
        entries=len(entries),
        warned=len(known) / len(entries) if len(entries) else math.nan,
        lead=float(np.median(known)) if len(known) else math.nan,
        leads=known,
        false_alarms=vain * periods / could if could else math.nan,
    )


def _lead(stands: NDArray[np.bool_], entry: int, horizon: int) -> int:
    """Return by how many bars the earliest warning within the horizon came before an entry; 0 where none stood."""
    first = max(0, entry - horizon)
    found = np.flatnonzero(stands[first:entry])
    return entry - first - int(found[0]) if len(found) else 0
