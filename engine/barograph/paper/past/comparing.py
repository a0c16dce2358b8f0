"""The bars in force beside what a source says of them now: late actions, a rewritten scale, and what is revised.

What counts is growth. A source that scales its past says what one says that declares a split: so both are brought to
the scale of their newest bar, with the splits that each declares, and compared there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.data.actions import ACTIONS, filled
from barograph.data.history import FIELDS
from barograph.loop.late import Late
from barograph.paper.past.factors import half_units, staircase

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.types import Floats

__all__ = ["DEEP", "Revision", "Rewritten", "as_shown", "as_told_now", "compared_from", "rewritten"]

_PRICES: Final = FIELDS[:4]
_SPLIT, _DIVIDEND = 2, 1
DEEP: Final = 250
"""How many bars are compared where the newest ones differ: a factor is known by many prices."""

# A dividend is scaled and rounded with the prices: of two that differ by less than this share of it, none is new.
_SAME: Final = 2e-3


class Revision(NamedTuple):
    """A past bar that is not what was recorded: one value, before and now.

    The column "bar" says that an asset has a bar where it had none, or none where it had one; its value is the close.
    """

    ts: int
    symbol: str
    column: str
    before: float
    now: float


class Rewritten(NamedTuple):
    """How a source's past differs from the bars in force.

    `late` are actions of bars gone by; `carry` says by symbol how many new shares an old one is in the scale in which
    the next bar comes, where that is another one; `revised` is what no action explains.
    """

    late: tuple[Late, ...] = ()
    carry: Mapping[str, float] = {}
    revised: tuple[Revision, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.late or self.carry or self.revised)

    def without(self, symbols: Iterable[str]) -> Rewritten:
        """Return it without some assets, of whose past nothing was said."""
        silent = set(symbols)
        late = tuple(one for one in self.late if one.symbol not in silent)
        revised = tuple(one for one in self.revised if one.symbol not in silent)
        return Rewritten(late, {s: ratio for s, ratio in self.carry.items() if s not in silent}, revised)


class _Seen(NamedTuple):
    """One asset's bars at the moments that both sides have: prices (T, 4), dividends and splits where they take effect.

    `after` (T,) is what the splits after a bar have made of one share; `pending` that of those among them which wait
    for its next bar.
    """

    prices: Floats
    dividends: Floats
    splits: Floats
    after: Floats
    pending: float


def compared_from(seen: History, overlap: int) -> int:
    """Return the first row that a look compares: the last few, and of an asset that was away its last one, if not long.

    >>> from barograph.data.history import History
    >>> close = np.column_stack([np.arange(1.0, 9.0), [1, 2, 3, np.nan, np.nan, np.nan, np.nan, np.nan]])
    >>> compared_from(History.from_arrays(range(8), close, symbols=["A", "B"]), 3)
    2
    """
    has = ~np.isnan(seen.close[-DEEP:])
    if seen.final is not None:
        # What has ended has no more to say.
        has &= np.isnan(seen.final).all(axis=0)
    own = [int(np.flatnonzero(has[:, a])[-1]) for a in range(has.shape[1]) if has[:, a].any()]
    return max(0, len(seen) - len(has) + min([len(has) - overlap, *own]))


def rewritten(seen: History, past: History, tolerance: float) -> Rewritten:
    """Compare the bars in force with what a source says of the same span; volumes do not count.

    >>> from barograph.data.history import History
    >>> ts, close = np.arange(4) * 86_400_000_000_000, np.array([400.0, 404.0, 408.0, 402.0])
    >>> seen = History.from_arrays(ts, close, symbols=["A"])
    >>> rewritten(seen, History.from_arrays(ts, close / 4.0, symbols=["A"]), 1e-6).carry
    {'A': 4.0}
    >>> late = History.from_arrays(ts, close * [0.25, 0.25, 1.0, 1.0], symbols=["A"])
    >>> [(one.ts // 86_400_000_000_000, one.split) for one in rewritten(seen, late, 1e-6).late]
    [(2, 4.0)]
    """
    span = seen.slice(int(np.searchsorted(seen.ts, past.ts[0])), len(seen))
    late: list[Late] = []
    carry: dict[str, float] = {}
    revised = _bars(seen, past)
    for a, symbol in enumerate(past.symbols):
        rows = [_rows(one, other, a) for one, other in ((span, past), (past, span))]
        if len(rows[0]) == 0:
            continue
        ts, was, now = span.ts[rows[0]], _seen(span, a, rows[0]), _seen(past, a, rows[1])
        factors, blank = _factors(was, now, tolerance)
        late += _late(symbol, ts, was, now, factors, tolerance)
        if (ratio := float(_known(factors)[-1])) != 1.0:
            carry[symbol] = 1.0 / ratio
        revised += _changed(symbol, ts, was, now, blank, tolerance)
    order = {symbol: n for n, symbol in enumerate(past.symbols)}
    revised = sorted([*revised, *_finals(seen, past)], key=lambda one: (one.ts, order[one.symbol]))
    return Rewritten(tuple(late), carry, tuple(revised))


def as_shown(seen: History, past: History) -> History:
    """Return a source's past with each bar that was proved late in the row in which it was shown.

    >>> from barograph.data.history import History
    >>> late = np.array([True, False, True])
    >>> seen = History.from_arrays([1, 29, 30], [[5.0, 1.0], [9.0, np.nan], [9.0, 1.0]], symbols=["A", "B"])
    >>> past = History.from_arrays([1, 20, 30], [[5.0, 1.0], [9.0, 1.0], [9.0, 1.0]], symbols=["A", "B"])
    >>> found = as_shown(replace(seen, decides=late), past)
    >>> found.ts.tolist(), found.close[:, 0].tolist()
    ([1, 20, 29, 30], [5.0, nan, 9.0, 9.0])
    """
    moved = [(t, a) for t in np.flatnonzero(~seen.deciding & (seen.ts > past.ts[0])) for a in _shown_at(seen, int(t))]
    pairs = [(int(seen.ts[t]), r, a) for t, a in moved if (r := _proved_at(seen, past, int(t), a)) >= 0]
    if not pairs:
        return past
    ts = np.union1d(past.ts, np.array([at for at, _, _ in pairs], dtype=np.int64))
    rows, columns = np.searchsorted(ts, past.ts), dict[str, Any]()
    for name in (*FIELDS, *ACTIONS):
        if (values := getattr(past, name)) is None:
            continue
        columns[name] = column = np.full(
            (len(ts), values.shape[1]), np.nan if name in FIELDS else ACTIONS[name].neutral
        )
        column[rows] = values
        for at, r, a in pairs if name in FIELDS else ():
            column[np.searchsorted(ts, at), a], column[rows[r], a] = values[r, a], np.nan
    decides = np.isin(ts, past.ts[past.deciding]).astype(np.int8)
    return replace(past, ts=ts, decides=decides, **columns)


def _shown_at(seen: History, t: int) -> list[int]:
    return list(map(int, np.flatnonzero(~np.isnan(seen.close[t]))))


def _proved_at(seen: History, past: History, t: int, a: int) -> int:
    """Return the row of a source's bar that a late row shows: the last one before it that was not seen; -1 for none."""
    if seen.ts[t] in past.ts:
        return -1
    before, has = ~np.isnan(seen.close[:t, a]), ~np.isnan(past.close[:, a])
    last = seen.ts[:t][before].max(initial=np.iinfo(np.int64).min)
    rows = np.flatnonzero(has & (past.ts < seen.ts[t]) & (past.ts > last))
    return int(rows[-1]) if len(rows) else -1


def as_told_now(seen: History, past: History, tolerance: float) -> History:
    """Return the bars in force as a source tells them now, scale and splits, so that what only it has follows on them.

    >>> from barograph.data.history import History
    >>> seen = History.from_arrays([1, 2, 3], [400.0, 404.0, 102.0], symbols=["A"], splits=[1.0, 1.0, 4.0])
    >>> past = History.from_arrays([1, 2, 3], [100.0, 101.0, 102.0], symbols=["A"])
    >>> told = as_told_now(seen, past, 1e-6)
    >>> told.close[:, 0].tolist(), told.actions[:, 2].tolist()
    ([100.0, 101.0, 102.0], [[1.0]])
    """
    first = int(np.searchsorted(seen.ts, past.ts[0]))
    splits, scale = filled(seen.action_columns, "splits", seen.close.shape).copy(), np.ones(seen.close.shape)
    for a in range(len(seen.symbols)):
        rows = [_rows(one, other, a) for one, other in ((seen, past), (past, seen))]
        if len(rows[0]) == 0:
            continue
        was, now = _seen(seen, a, rows[0]), _seen(past, a, rows[1])
        if not _withdrawn(was, now, tolerance):
            factors = _known(_factors(was, now, tolerance)[0])
            theirs = splits[:, a].copy()
            theirs[first:] = _at_rows_of(seen, past, a)[first:]
            at = np.minimum(np.searchsorted(rows[0], np.arange(len(seen))), len(rows[0]) - 1)
            scale[:, a] = factors[at] * _after(theirs) / _after(splits[:, a])
            splits[:, a] = theirs
    if (scale == 1.0).all():
        return seen
    columns: dict[str, Any] = {name: getattr(seen, name) * scale for name in _PRICES}
    paid = None if seen.dividends is None else seen.dividends * scale
    return replace(seen, dividends=paid, splits=splits, **columns)


def _at_rows_of(seen: History, past: History, a: int) -> Floats:
    """Return the splits that a source declares (T,), each at the first row that was seen from then on."""
    found = np.ones(len(seen))
    if past.splits is not None:
        np.multiply.at(found, np.minimum(np.searchsorted(seen.ts, past.ts), len(seen) - 1), past.splits[:, a])
    return found


def _after(splits: Floats) -> Floats:
    """Return what the splits after each row make of one share, (T,)."""
    return np.append(np.cumprod(splits[:0:-1])[::-1], 1.0)


def _rows(one: History, other: History, a: int) -> Any:
    """Return the rows of one history at whose moments an asset has a bar in both."""
    has = ~np.isnan(one.close[:, a])
    at = np.minimum(np.searchsorted(other.ts, one.ts), len(other) - 1)
    return np.flatnonzero(has & (other.ts[at] == one.ts) & ~np.isnan(other.close[at, a]))


def _seen(history: History, a: int, rows: Any) -> _Seen:
    actions = np.broadcast_to(history.actions, (len(history), *history.actions.shape[1:]))[:, :, a]
    splits = actions[:, _SPLIT]
    pending = _pending(history, a)
    after = _after(splits) * pending
    prices = np.column_stack([getattr(history, name)[:, a] for name in _PRICES])
    # What falls on a bar that the other side lacks takes effect at the next one of both, a dividend in its shares.
    own = np.append(after[rows[0]] * splits[rows[0]], after[rows])
    paid = np.flatnonzero(actions[: rows[-1] + 1, _DIVIDEND] != 0.0)
    to, dividends = np.searchsorted(rows, paid), np.zeros(len(rows))
    np.add.at(dividends, to, actions[paid, _DIVIDEND] * (after[rows[to]] / after[paid]))
    return _Seen(prices[rows], dividends, own[:-1] / own[1:], after[rows], pending)


def _pending(history: History, a: int) -> float:
    """Return what splits that are declared after an asset's last bar will make of one share at its next one."""
    last = int(np.flatnonzero(~np.isnan(history.close[:, a]))[-1])
    return 1.0 if history.splits is None else float(np.prod(history.splits[last + 1 :, a]))


def _factors(was: _Seen, now: _Seen, tolerance: float) -> tuple[Floats, Any]:
    """Return each row's factor in the scale of the newest bar, and which rows changed by none."""
    factors = staircase(was.prices, now.prices, was.after / now.after, tolerance)
    if _withdrawn(was, now, tolerance):
        factors = np.where(_near(was.prices, now.prices, tolerance).all(axis=1), 1.0, np.nan)
    return factors, np.isnan(factors)


def _withdrawn(was: _Seen, now: _Seen, tolerance: float) -> bool:
    """Tell whether a source only fails to declare a split, at the very prices: one that knows no actions."""
    alike = _near(was.prices, now.prices, tolerance).all(axis=1)
    fewer = (was.splits != 1.0) & (now.splits == 1.0)
    waits = was.pending != 1.0 and now.pending == 1.0 and alike[-1]
    return bool((fewer[1:] & alike[1:] & alike[:-1]).any() or waits)


def _known(factors: Floats) -> Floats:
    """Return factors (T,); a row that changed by none has that of the row after, or of the last one that has any."""
    known = np.flatnonzero(~np.isnan(factors))
    if len(known) == 0:
        return np.ones(len(factors))
    at = np.minimum(np.searchsorted(known, np.arange(len(factors))), len(known) - 1)
    return factors[known[at]]


def _late(symbol: str, ts: Any, was: _Seen, now: _Seen, factors: Floats, tolerance: float) -> list[Late]:
    """Return what bars gone by declare from now on that they did not."""
    factors = _known(factors)
    steps = np.append(1.0, factors[1:] / factors[:-1])
    # Cash per share, told in the scale in which the bar was recorded.
    scale = was.after / now.after / factors
    paid = now.dividends * scale
    near = max(_SAME, tolerance) * paid + np.where(scale != 1.0, half_units(now.dividends) * scale, 0.0)
    more = (paid > 0.0) & (np.abs(paid - was.dividends) > near)
    return [
        Late(symbol, int(ts[t]), float(steps[t]), float(paid[t] - was.dividends[t]) if more[t] else 0.0)
        for t in np.flatnonzero((steps != 1.0) | more)
    ]


def _changed(symbol: str, ts: Any, was: _Seen, now: _Seen, blank: Any, tolerance: float) -> list[Revision]:
    """Return the prices of rows that changed by no factor, and dividends and splits that are declared no longer."""
    found = []
    for t in np.flatnonzero(blank):
        for j, name in enumerate(_PRICES):
            b, n = float(was.prices[t, j]), float(now.prices[t, j])
            if not _near(b, n, tolerance):
                found.append(Revision(int(ts[t]), symbol, name, b, n))
    for t in np.flatnonzero((was.dividends != 0.0) & (now.dividends == 0.0)):
        found.append(Revision(int(ts[t]), symbol, "dividends", float(was.dividends[t]), 0.0))
    return found


def _bars(seen: History, past: History) -> list[Revision]:
    """Return where an asset has a bar that it had not, or none where it had one."""
    rows = np.minimum(np.searchsorted(seen.ts, past.ts), len(seen) - 1)
    was = np.where((seen.ts[rows] == past.ts)[:, None], seen.close[rows], np.nan)
    return [
        Revision(int(past.ts[t]), past.symbols[a], "bar", float(was[t, a]), float(past.close[t, a]))
        for t, a in np.argwhere(np.isnan(was) != np.isnan(past.close))
    ]


def _finals(seen: History, past: History) -> list[Revision]:
    if seen.final is None and past.final is None:
        return []
    rows = np.minimum(np.searchsorted(seen.ts, past.ts), len(seen) - 1)
    was, now = (filled(one.action_columns, "final", one.close.shape) for one in (seen, past))
    was = np.where((seen.ts[rows] == past.ts)[:, None], was[rows], ACTIONS["final"].neutral)
    return [
        Revision(int(past.ts[t]), past.symbols[a], "final", float(was[t, a]), float(now[t, a]))
        for t, a in np.argwhere(~_near(was, now, 0.0))
    ]


def _near(was: Any, now: Any, tolerance: float) -> Any:
    return (np.isnan(was) & np.isnan(now)) | (np.abs(now - was) <= tolerance * np.abs(was))
