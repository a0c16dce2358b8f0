"""Is a bar further off than bars of its asset ever are? Comparisons of ratios: the same answer on every processor.

The *usual* move is a standard deviation, told by the larger of two means of the moves before it: of the last 250, and
of the last 60 with a half-life of 20. A close is doubtful when it is more than `MOVES` usual moves, compounded, from
the close before it (at least 5 %, at most fivefold); an open, high or low when it is twice as far, in powers, from
that close and from its own. Moves of true bars alone are counted, so a great day makes the next one more usual.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from barograph.types import Floats

__all__ = ["LONG", "MOVES", "Doubt", "Own", "apart", "bounds", "first_doubt"]

MOVES: Final = 12
"""How many usual moves, compounded, a close may be from the one before it."""

LONG: Final = 250
"""How many moves before it a bar is judged by."""

_SHORT: Final = 60
_FEWEST: Final = 20
_HALVED: Final = 0.9659363289248456
"""What a move weighs less than the one after it: half after twenty."""
_DEVIATION: Final = 1.25
_LEAST, _MOST = 1.05, 5.0
_MOST_VOLUME: Final = 1000.0


class Own(NamedTuple):
    """One asset's own bars in order, each column (n,): prices, volume (NaN: unknown), and what took effect before."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    dividends: Floats
    splits: Floats

    def at(self, rows: Any) -> Own:
        """Return some of the bars."""
        return Own(*(column[rows] for column in self))


class Doubt(NamedTuple):
    """Why a bar is held: its number, the field, what was found there, and what it would be, had nothing moved.

    `bound` is how many times (or what part of) that it may be; 0 where nothing later can prove the bar.
    """

    row: int
    field: str
    found: float
    before: float
    bound: float


def apart(one: Any, other: Any) -> Any:
    """Return how many times one number is the other, or the other it: 1 is the same; of other signs, for ever apart.

    >>> apart(50.0, 100.0), apart(-1.0, 100.0)
    (2.0, inf)
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.maximum(np.divide(one, other), np.divide(other, one))
    one, other = np.asarray(one), np.asarray(other)
    found = np.where(one == other, 1.0, np.where((one > 0.0) == (other > 0.0), ratio, np.inf))
    return float(found) if found.ndim == 0 else found


def bounds(moves: Floats) -> Floats:
    """Return how many times the close before it a close may be, by the moves before it: each row's (n, 250), or NaN.

    >>> bounds(np.array([[np.nan] * 250, [np.nan] * 220 + [0.01] * 30])).round(4).tolist()
    [5.0, 1.1608]
    """
    usual = _DEVIATION * np.fmax(_mean(moves, 1.0), _mean(moves[:, -_SHORT:], _HALVED))
    known = np.isfinite(moves).sum(axis=1) >= _FEWEST
    return np.asarray(np.where(known, np.clip(_power(1.0 + usual), _LEAST, _MOST), _MOST))


def first_doubt(bars: Own, known: int, sure: Any = False) -> Doubt | None:
    """Return the first doubtful bar after the first `known` ones, which are true, or None; all before it are true.

    Where `sure`, (n,), nobody doubts.
    """
    as_before = _as_before(bars)
    far = {name: _apart_or_none(getattr(bars, name), as_before) for name in ("close", "open", "high", "low")}
    for name in ("open", "high", "low"):
        far[name] = np.fmin(far[name], apart(getattr(bars, name), bars.close))
    leaps, swells = (of & ~np.asarray(sure) for of in _candidates(bars, far))
    moves = np.fmin(far["close"] - 1.0, 1.0)
    for t in (known + np.flatnonzero((leaps | swells)[known:])).tolist():
        bound = float(bounds(_before(moves, t)[None, :])[0]) if leaps[t] else _MOST
        for name, values in far.items():
            most = bound if name == "close" else bound * bound
            if values[t] > most:
                return Doubt(t, name, float(getattr(bars, name)[t]), float(as_before[t]), most)
        if swells[t] and (doubt := _wild(bars.volume, t)) is not None:
            return doubt
    return None


def _as_before(bars: Own) -> Floats:
    """Return each bar's close as it would be, had nothing moved: after its split, and less its dividend."""
    before = np.concatenate([[np.nan], bars.close[:-1]])
    return np.asarray(before / bars.splits - bars.dividends)


def _candidates(bars: Own, far: dict[str, Floats]) -> tuple[Any, Any]:
    """Return which bars are further off than the least bound, and which have a volume that may be wild: few."""
    volume = bars.volume
    known = volume[(volume > 0.0) & (volume < np.inf)]
    least = float(np.min(known)) if len(known) else np.inf
    leaps = far["close"] > _LEAST
    for name in ("open", "high", "low"):
        leaps |= far[name] > _LEAST * _LEAST
    return leaps, (volume > _MOST_VOLUME * least) | (volume < 0.0) | np.isinf(volume)


def _wild(volume: Floats, t: int) -> Doubt | None:
    """Tell whether a bar's volume is impossible, or a thousand times the largest before it."""
    found, before = float(volume[t]), _before(volume, t)
    if found < 0.0 or found == np.inf:
        return Doubt(t, "volume", found, np.nan, 0.0)
    known = before[(before > 0.0) & (before < np.inf)]
    if len(known) < _FEWEST or not found > _MOST_VOLUME * float(np.max(known)):
        return None
    return Doubt(t, "volume", found, float(np.max(known)), _MOST_VOLUME)


def _apart_or_none(values: Floats, before: Floats) -> Floats:
    """Return how far values are from what was before; NaN where nothing was, or it was no price to compare with."""
    return np.asarray(np.where(before > 0.0, apart(values, before), np.nan))


def _before(values: Floats, t: int) -> Floats:
    """Return the 250 values before the one at `t`; NaN where there are fewer."""
    found = values[max(0, t - LONG) : t]
    return np.concatenate([np.full(LONG - len(found), np.nan), found])


def _mean(window: Floats, decay: float) -> Floats:
    """Return the mean of each row's numbers, each weighing `decay` of the next; one addition after another."""
    total, weight = np.zeros(len(window)), np.zeros(len(window))
    for j in range(window.shape[1]):
        here = np.isfinite(window[:, j])
        total = total * decay + np.where(here, window[:, j], 0.0)
        weight = weight * decay + here
    return np.asarray(np.divide(total, weight, out=np.full(len(window), np.nan), where=weight > 0.0))


def _power(once: Floats) -> Floats:
    """Return the twelfth power: multiplications round alike everywhere."""
    third = once * once * once
    sixth = third * third
    return np.asarray(sixth * sixth)
