"""How a history looks behind the gate: a doubtful bar is no bar at its close, and a late one once it is proved.

Each thing is known when a deployment would know it. A row that a doubtful bar leaves empty is left out. A bar that is
proved stands in a *late* row, in which nothing is decided: at its own close where no row was shown since, else just
before the close that proved it, and nothing is matched then on prices that lie before what was decided since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.data.actions import ACTIONS
from barograph.data.findings import CODES, Finding
from barograph.data.gate.moves import LONG, Doubt
from barograph.data.gate.sheet import NEUTRAL, Sheet, own_bars, sheet_of, together
from barograph.data.gate.verdicts import Verdict, verdicts
from barograph.data.history import FIELDS, History
from barograph.errors import DataError

__all__ = ["Held", "Judged", "gated", "judged", "refused"]

_Named = Collection[tuple[str, int]]
_FINDINGS: Final = {"held": "held_bar", "proved": "proved_bar", "disproved": "disproved_bar"}


class Held(NamedTuple):
    """A bar that was held: of which asset, its close (ns UTC), what became of it, and why it was.

    `until` is the moment of the row in which that shows: a late one of its own, or that of the bar that spoke of it;
    0 while it is held.
    """

    symbol: str
    ts: int
    state: str
    until: int
    why: str


class Judged(NamedTuple):
    """The rows that may be shown now, or None, and the bars that are, or were, held, by time."""

    history: History | None
    held: tuple[Held, ...]


class _Call(NamedTuple):
    """A verdict in rows of the sheet: the bar's own, its asset, and the row of its asset's next bar, or -1."""

    row: int
    asset: int
    following: int
    verdict: Verdict


def gated(history: History) -> History:
    """Return a history as the gate shows it, bar by bar; each kind of verdict is a finding with a count.

    >>> day, close = 86_400_000_000_000, np.full(40, 100.0) + np.arange(40) % 2
    >>> close[30] = 1.0
    >>> seen = gated(History.from_arrays(np.arange(40) * day, close, symbols=["ABC"]))
    >>> len(seen), seen.findings[0].code, seen.findings[0].value
    (39, 'disproved_bar', '1.0')

    Raises `DataError` when no bar is left.
    """
    sheet = sheet_of(history)
    calls = list(_calls(history, sheet, ()))
    if not calls:
        return history
    shown = _shown(history, sheet, calls)
    if shown is None:
        raise DataError(f"{history.source}: its only bar is held; wanted one more, which speaks of it")
    return replace(shown, findings=(*history.findings, *_findings(history, sheet, calls)))


def judged(seen: History, found: History, vouched: _Named = (), holding: _Named = ()) -> Judged:
    """Return the rows that follow on what was `seen`, of bars that a feed has `found` since and before.

    What was seen is true. A past bar that was held is looked at again until its asset has another one. Of bars, by
    symbol and close, `vouched` are those that somebody stands for: they are late ones from now on; `holding` those that
    are held: they wait also where an action that was declared since explains them, for the row they stood in was shown
    without it. One that its source has mended is a late one from now on.
    """
    seen = _recent(seen)
    waiting = refused(seen, found, holding) & (found.ts[:, None] > _newest(seen))
    sheet = together(seen, found, found.ts > seen.ts[-1], waiting)
    calls = [*_calls(seen, sheet, vouched)]
    calls += _mended(seen, sheet, calls, holding)
    return Judged(_shown(replace(seen, source=found.source), sheet, calls), tuple(_told(seen, sheet, calls)))


def refused(seen: History, found: History, holding: _Named = ()) -> Any:
    """Return which bars (T, N), no later than the last row, were not seen because the gate would not have them.

    Those that it is `holding`, by symbol and close, it had not, whatever their source says of them now.
    """
    strange = np.zeros(found.close.shape, dtype=bool)
    rows = np.minimum(np.searchsorted(seen.ts, found.ts), len(seen) - 1)
    unseen = (seen.ts[rows] != found.ts)[:, None] | np.isnan(seen.close[rows])
    unseen &= ((found.ts > seen.ts[0]) & (found.ts <= seen.ts[-1]))[:, None] & ~np.isnan(found.close)
    for t, a in np.argwhere(unseen).tolist():
        if (found.symbols[a], int(found.ts[t])) in holding:
            strange[t, a] = True
            continue
        before = seen.head(int(np.searchsorted(seen.ts, found.ts[t])))
        alone = together(before, found.slice(t, t + 1), np.array([True]), np.zeros((1, len(seen.symbols)), dtype=bool))
        rows, own = own_bars(alone.values, a)
        strange[t, a] = len(verdicts(own, len(rows) - 1)) > 0
    return strange


def _recent(seen: History) -> History:
    """Return the last rows, in which every asset has as many bars as one is judged by."""
    later = np.cumsum(~np.isnan(seen.close[::-1]), axis=0)[::-1]
    rows = np.flatnonzero((later > LONG).all(axis=1))
    return seen.slice(int(rows[-1]), len(seen)) if len(rows) else seen


def _newest(seen: History) -> Any:
    """Return the close of each asset's last bar, (N,)."""
    there = ~np.isnan(seen.close)
    last = seen.ts[len(seen) - 1 - np.argmax(there[::-1], axis=0)]
    return np.where(there.any(axis=0), last, np.iinfo(np.int64).min)


def _calls(like: History, sheet: Sheet, vouched: _Named) -> Iterator[_Call]:
    for a, symbol in enumerate(like.symbols):
        rows, own = own_bars(sheet.values, a)
        known = int(np.count_nonzero(sheet.known[rows, a]))
        told = [n for n, t in enumerate(sheet.ts[rows].tolist()) if (symbol, t) in vouched] if vouched else []
        # After a final price nothing comes that could speak.
        for one in verdicts(own, known, ~np.isnan(sheet.values["final"][rows, a]), told):
            following = int(rows[one.row + 1]) if one.row + 1 < len(rows) else -1
            yield _Call(int(rows[one.row]), a, following, one)


def _mended(like: History, sheet: Sheet, calls: list[_Call], holding: _Named) -> list[_Call]:
    """Return the bars that are held in rows which were shown, and which nobody doubts any more."""
    doubtful, found = {(call.row, call.asset) for call in calls}, []
    for t, a in np.argwhere(sheet.shown[:, None] & ~sheet.known & ~np.isnan(sheet.values["close"])).tolist():
        if (t, a) not in doubtful and (like.symbols[a], int(sheet.ts[t])) in holding:
            later = t + 1 + np.flatnonzero(~np.isnan(sheet.values["close"][t + 1 :, a]))
            found.append(_Call(t, a, int(later[0]) if len(later) else -1, Verdict(t, "mended", None)))
    return found


def _shown(like: History, sheet: Sheet, calls: list[_Call]) -> History | None:
    """Return the rows that were not shown yet, as they are to be, or None."""
    values = {name: column.copy() for name, column in sheet.values.items()} if calls else sheet.values
    for name in FIELDS:
        for call in calls:
            values[name][call.row, call.asset] = np.nan
    gone = _gone(sheet, calls)
    kept = np.flatnonzero(~sheet.shown & ~gone)
    late = list(_late(sheet, calls, gone).items())
    ts = np.concatenate([sheet.ts[kept], np.array([at for at, _ in late], dtype=np.int64)])
    if len(ts) == 0:
        return None
    columns = {}
    for name, column in values.items():
        rows = np.full((len(late), column.shape[1]), NEUTRAL[name])
        for n, (_, of) in enumerate(late):
            for call in of:
                if name in FIELDS or gone[call.row]:
                    rows[n, call.asset] = sheet.values[name][call.row, call.asset]
        columns[name] = np.concatenate([column[kept], rows])
    _carry(sheet, columns, ts, gone, {(c.row, c.asset) for _, of in late for c in of})
    order = np.argsort(ts)
    own = [all(sheet.ts[call.row] == at for call in of) for at, of in late]
    decides = np.concatenate([sheet.decides[kept], np.where(np.array(own, dtype=bool), 0, -1)])
    return _history(like, ts[order], {name: values[order] for name, values in columns.items()}, decides[order])


def _gone(sheet: Sheet, calls: list[_Call]) -> Any:
    """Return which rows (T,) the gate has left empty, and nobody has seen."""
    doubtful = np.zeros(sheet.known.shape, dtype=bool)
    doubtful[[call.row for call in calls], [call.asset for call in calls]] = True
    empty = (doubtful | np.isnan(sheet.values["close"])) & np.isnan(sheet.values["final"])
    return doubtful.any(axis=1) & ~sheet.shown & empty.all(axis=1)


def _late(sheet: Sheet, calls: list[_Call], gone: Any) -> dict[int, list[_Call]]:
    """Return the proved bars by the moments of their rows."""
    rows: dict[int, list[_Call]] = {}
    for call in calls:
        if call.verdict.state not in ("proved", "mended"):
            continue
        until = call.following if call.following >= 0 else len(sheet.ts)
        before = np.flatnonzero(~gone[:until])
        last = int(sheet.ts[before[-1]]) if len(before) else np.iinfo(np.int64).min
        ts = int(sheet.ts[call.row])
        if ts <= last:
            ts = int(sheet.ts[until]) - 1 if call.following >= 0 else last + 1
        rows.setdefault(ts, []).append(call)
    return rows


def _carry(sheet: Sheet, columns: dict[str, Any], ts: Any, gone: Any, late: set[tuple[int, int]]) -> None:
    """Let what a row that is gone declares of other bars than late ones take effect before their assets' next bars."""
    moving = gone[:, None] & ((sheet.values["dividends"] != 0.0) | (sheet.values["splits"] != 1.0))
    for t, a in np.argwhere(moving)[::-1].tolist():
        later = np.flatnonzero((ts > sheet.ts[t]) & ~np.isnan(columns["close"][:, a]))
        if (t, a) in late or len(later) == 0:
            continue
        at = later[np.argmin(ts[later])], a
        columns["dividends"][at] += sheet.values["dividends"][t, a] / columns["splits"][at]
        columns["splits"][at] *= sheet.values["splits"][t, a]


def _history(like: History, ts: Any, columns: dict[str, Any], decides: Any) -> History:
    given: dict[str, Any] = {name: columns[name] for name in FIELDS}
    for name, action in ACTIONS.items():
        told = columns[name]
        given[name] = told if getattr(like, name) is not None or action.tells(told).any() else None
    return replace(like, ts=ts, decides=decides, **given)


def _told(like: History, sheet: Sheet, calls: list[_Call]) -> list[Held]:
    """Return what is to be said of every doubtful bar, by time."""
    late = _late(sheet, calls, _gone(sheet, calls))
    until = {(call.row, call.asset): ts for ts, of in late.items() for call in of}
    found = []
    for call in sorted(calls, key=lambda call: (call.row, call.asset)):
        state, spoken = call.verdict.state, int(sheet.ts[call.following]) if call.following >= 0 else 0
        when = until.get((call.row, call.asset), spoken)
        symbol, ts = like.symbols[call.asset], int(sheet.ts[call.row])
        found.append(Held(symbol, ts, state, when, _why(call.verdict.doubt)))
    return found


def _why(doubt: Doubt | None) -> str:
    if doubt is None:
        return "its source has mended it"
    found = f"{doubt.field} is {doubt.found:.10g}"
    if doubt.bound == 0.0:
        return f"{found}, which it cannot be"
    ratio = doubt.found / doubt.before if doubt.before else np.inf
    return f"{found}, {ratio:.4g} times the {doubt.before:.10g} before it, where {doubt.bound:.4g} times is much"


def _findings(like: History, sheet: Sheet, calls: list[_Call]) -> Iterator[Finding]:
    """Tell each kind of verdict once, with its first bar and how many there are."""
    calls = sorted(calls, key=lambda call: (call.row, call.asset))
    for state, code in _FINDINGS.items():
        found = [call for call in calls if call.verdict.state == state]
        if not found:
            continue
        row, doubt, ts = found[0].row, found[0].verdict.doubt, int(sheet.ts[found[0].row])
        assert doubt is not None, "only what a deployment holds is mended"
        where = f"{like.source}: {code}: row {row} ({like.when(row)})"
        total = f"; {len(found)} in all" if len(found) > 1 else ""
        message = f"{where}: {like.symbols[found[0].asset]}: {_why(doubt)}{total}"
        told = (code, CODES[code].severity, like.source, row, ts, doubt.field, str(doubt.found))
        yield Finding(*told, message, len(found))
