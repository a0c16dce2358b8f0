"""A correction: what a rewritten past means for the account, how the journal holds it, and how it is read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.config.paper import KINDS
from barograph.data.actions import filled
from barograph.loop.late import Correction, Credit, Late, restated
from barograph.paper.journal import Entry, fit_of
from barograph.paper.ports import Alert
from barograph.paper.schedule import said

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.paper.past.comparing import Rewritten

__all__ = ["NOTHING", "Correcting", "carried", "correcting", "corrections", "credits_of", "in_force", "noted", "told"]

_SPLIT: Final = 2
_DIVIDEND: Final = 1

Rows = Callable[[str], Sequence[Mapping[str, Any]]]


class Correcting(NamedTuple):
    """What enters the record with a bar: the scale in which it comes, by symbol, and what became known late."""

    carry: Mapping[str, float] = {}
    correction: Correction = Correction((), ())


NOTHING: Final = Correcting()
"""A past that is what it was."""


def correcting(found: Rewritten, seen: History, rows: Rows, entries: Callable[[], Iterable[Entry]]) -> Correcting:
    """Return what a rewritten past does to a deployment; `rows` are the store's positions and orders, by table."""
    if not found.late:
        return Correcting(found.carry)
    born = [(row["ts"], row["order_id"]) for row in rows("orders")]
    last = 1 + max((order for _, order in born), default=0)
    late = tuple(
        one._replace(first_order=min((order for ts, order in born if ts >= one.ts), default=last)) for one in found.late
    )
    owed = credits_of(seen, late, rows("positions"), corrections(entries()))
    return Correcting(found.carry, Correction(late, owed, _filter_from(entries(), seen)))


def _filter_from(entries: Iterable[Entry], seen: History) -> int:
    """Return the first bar of the window that the model in force was fitted to; 0 where none was."""
    first = 0
    for entry in entries:
        made = fit_of(entry.kind, entry.content) if entry.kind in ("fit", "choice") else None
        if made is not None and not made.get("refused"):
            first = int(np.searchsorted(seen.ts, made["first"]))
    return first


def credits_of(
    seen: History,
    late: Sequence[Late],
    positions: Iterable[Mapping[str, Any]],
    earlier: Mapping[int, Correction] = MappingProxyType({}),
) -> tuple[Credit, ...]:
    """Return what an account is owed by late actions, from what it held at every close (ts, symbol, quantity).

    `earlier` are the corrections before, by the bar that they entered with: `seen` has their actions in its place, but
    what was held before that bar was recorded without what they gave.

    A split of r for 1 owes r - 1 shares for each that was held the bar before, whatever was traded since; a dividend
    its cash. Shares owed on a position that is gone, or would turn round, are paid at the last close.

    >>> from barograph.data.history import History
    >>> seen = History.from_arrays([1, 2, 3], [400.0, 100.0, 101.0], symbols=["A"])
    >>> held = [{"ts": ts, "symbol": "A", "quantity": 10.0} for ts in (1, 2, 3)]
    >>> credits_of(seen, [Late("A", 2, 4.0, 0.0)], held)
    (Credit(symbol='A', ratio=4.0, cash=0.0),)
    >>> credits_of(seen, [Late("A", 2, 4.0, 0.0)], held[:1])
    (Credit(symbol='A', ratio=1.0, cash=3030.0),)
    """
    held = {(row["ts"], row["symbol"]): row["quantity"] for row in positions}
    was, now = (np.broadcast_to(h.actions, (len(h), *h.actions.shape[1:])) for h in (seen, restated(seen, late)))
    found = []
    for symbol in dict.fromkeys(one.symbol for one in late):
        a = seen.column(symbol)
        quantity = np.array([held.get((ts, symbol), 0.0) for ts in seen.ts.tolist()])
        quantity = _made_good(quantity, seen, a, was[:, _SPLIT, a], earlier)
        more, cash = _owed(quantity, was[:, :, a], now[:, :, a])
        left = float(quantity[-1])
        if left == 0.0 or (left + more) / left <= 0.0:
            price = seen.close[~np.isnan(seen.close[:, a]), a][-1]
            found.append(Credit(symbol, 1.0, cash + more * float(price)))
        else:
            found.append(Credit(symbol, (left + more) / left, cash))
    return tuple(one for one in found if one.ratio != 1.0 or one.cash != 0.0)


def _made_good(quantity: Any, seen: History, a: int, splits: Any, earlier: Mapping[int, Correction]) -> Any:
    """Return what would have been held at every close (T,), had the actions of earlier corrections been known."""
    symbol, told = seen.symbols[a], []
    for bar, made in earlier.items():
        late = np.ones(len(splits))
        for one in made.late:
            if one.symbol == symbol:
                late[np.searchsorted(seen.ts, one.ts)] *= one.split
        paid_out = not any(owed.symbol == symbol and owed.ratio != 1.0 for owed in made.credits)
        told.append((bar, late, paid_out))
    was = splits / np.prod([late for _, late, _ in told], axis=0) if told else splits
    for bar, late, paid_out in told:
        more, held, quantity = 0.0, quantity, quantity.copy()
        for t in range(1, bar):
            more = (held[t - 1] + more) * was[t] * late[t] - held[t - 1] * was[t]
            # Of a position that was gone the shares were paid at the last close before.
            quantity[t] = held[t] if paid_out and t == bar - 1 else held[t] + more
        was = was * late
    return quantity


def _owed(quantity: Any, was: Any, now: Any) -> tuple[float, float]:
    """Return the shares and the cash that lack at the last close; `was` and `now` (T, 4) are actions where they act."""
    more = cash = 0.0
    for t in range(1, len(quantity)):
        held, split = float(quantity[t - 1]), (float(was[t, _SPLIT]), float(now[t, _SPLIT]))
        shares = (held + more) * split[1]
        cash += shares * float(now[t, _DIVIDEND]) - held * split[0] * float(was[t, _DIVIDEND])
        more = shares - held * split[0]
    return more, cash


def carried(row: History, carry: Mapping[str, float]) -> History:
    """Return a row that brings the splits which lead into the scale in which it comes."""
    if not carry:
        return row
    splits = filled(row.action_columns, "splits", row.close.shape).copy()
    for symbol, ratio in carry.items():
        splits[0, row.column(symbol)] *= ratio
    return replace(row, splits=splits)


def noted(made: Correcting) -> dict[str, Any]:
    """Return what an entry of the journal says of a correction: nothing where there is none."""
    if not made.carry and not made.correction.late:
        return {}
    late, owed, first = made.correction
    told = {"carry": dict(made.carry), "late": [one._asdict() for one in late]}
    return {"correction": {**told, "credits": [one._asdict() for one in owed], "filter_from": first}}


def corrections(entries: Iterable[Entry]) -> dict[int, Correction]:
    """Return the corrections of a journal that change bars gone by, by the bar that they enter with."""
    found = {}
    # Most entries hold none, and a journal may have a hundred thousand.
    for content in (entry.content for entry in entries if entry.kind == "cycle" and '"correction":' in entry.text):
        one = content["correction"]
        if one["late"]:
            late = tuple(Late(**each) for each in one["late"])
            owed = tuple(Credit(**each) for each in one["credits"])
            found[content["bar"]] = Correction(late, owed, one["filter_from"])
    return found


def in_force(history: History, entries: Iterable[Entry]) -> History:
    """Return recorded bars with what became known of them since, in its place."""
    return restated(history, [one for correction in corrections(entries).values() for one in correction.late])


def told(made: Correcting, ts: int, source: str) -> list[Alert]:
    """Return one alert an asset: what its source rewrote, and what that did."""
    found = []
    for symbol in dict.fromkeys([*made.carry, *(one.symbol for one in made.correction.late)]):
        said_so = [_of_late(one) for one in made.correction.late if one.symbol == symbol]
        said_so += [_of_credit(one) for one in made.correction.credits if one.symbol == symbol]
        if symbol in made.carry:
            said_so.append(f"all its past is in another scale: {made.carry[symbol]:.10g} new shares for an old one")
        text = f"{symbol} at {source}: {'; '.join(said_so)}"
        facts = {"symbol": symbol, "source": source, "text": text}
        found.append(Alert(f"correction:{ts}:{symbol}", "correction", KINDS["correction"], ts, facts))
    return found


def _of_late(one: Late) -> str:
    what = [f"a split of {one.split:.10g} for 1"] if one.split != 1.0 else []
    what += [f"a dividend of {one.dividend:.10g} a share"] if one.dividend != 0.0 else []
    return f"{' and '.join(what)} on {said(one.ts)} became known late"


def _of_credit(one: Credit) -> str:
    what = [f"units times {one.ratio:.10g}"] if one.ratio != 1.0 else []
    what += [f"{one.cash:.10g} in cash"] if one.cash != 0.0 else []
    return f"made good with {' and '.join(what)}"
