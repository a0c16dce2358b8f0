"""The gate of a deployment: which rows of what a feed brought may be stepped over, and which bars are held.

It remembers nothing that decides: what is held is found out again at every look, from the bars that were seen and
those that the feed has now. So whoever starts again holds the same bars, and lets the same ones go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.data.gate import Held, judged, refused
from barograph.data.history import FIELDS, History
from barograph.paper.holding.confirm import confirmed_of
from barograph.paper.holding.kept import Keeping
from barograph.paper.store import Command

__all__ = ["FATES", "NOTHING", "Behind", "Look", "confirmations", "obeyed_at", "without"]


class Look(NamedTuple):
    """What the gate makes of one look: the rows to step over, or None, and the bars that are, or were, held."""

    rows: History | None
    held: tuple[Held, ...]

    def closes(self) -> Any:
        """Return when held bars closed: no silence."""
        return np.array([one.ts for one in self.held], dtype=np.int64)

    def withheld(self, ts: int) -> frozenset[str]:
        """Return the assets whose bar of that close is not missing, but doubtful."""
        return frozenset(one.symbol for one in self.held if one.ts == ts)

    def until(self, ts: int, last: int) -> Iterator[Held]:
        """Give the bars that were held at that close or before, and were so after the last row that was shown."""
        return (one for one in self.held if one.ts <= ts and (one.state == "held" or one.until > last))

    def released(self, row: History, holding: Sequence[Keeping], ended: Collection[str] = ()) -> list[Held]:
        """Return which of the bars that were held are so no longer, from this row on.

        One that nobody doubts any more in its own row is mended; one that the source shows no more when its asset has a
        bar again, it has withdrawn. Of assets that have `ended` none is waited for.
        """
        known, ts = {(one.symbol, one.ts): one for one in self.held}, int(row.ts[0])
        there = dict(zip(row.symbols, (~np.isnan(row.close[0])).tolist(), strict=True))
        released = []
        for one in holding:
            state = "held" if not there[one.symbol] else "mended" if one.ts == ts else "withdrawn"
            found = known.get((one.symbol, one.ts), Held(one.symbol, one.ts, state, one.ts, one.why))
            if one.symbol in ended and (found.state == "held" or found.until > ts):
                found = Held(one.symbol, one.ts, "ended", ts, one.why)
            if found.state != "held" and found.until <= ts:
                released.append(found)
        return released


NOTHING: Final = Look(None, ())
FATES: Final = {
    "proved": "was proved: it is seen from now on, and nothing was decided at its close",
    "disproved": "never was: the next bar disproved it",
    "mended": "is held no longer: its source has mended it, or declared what explains it; it is seen from now on",
    "ended": "is held no longer: its asset has ended",
    "withdrawn": "is held no longer: its source has none there any more",
}
"""What is said of a bar that is held no longer."""


class Behind(NamedTuple):
    """The gate, on or off."""

    on: bool

    def look(
        self,
        seen: History,
        past: History | None,
        fresh: History | None,
        confirmed: Collection[Any] = (),
        holding: Sequence[Keeping] = (),
    ) -> Look:
        """Judge what a feed has found: rows that were seen already, and `fresh` ones."""
        if not self.on:
            return Look(fresh, ())
        both = [one for one in (past, fresh) if one is not None]
        if not both:
            return NOTHING
        found = both[0] if len(both) == 1 else both[0].then(replace(both[1], traded=both[0].traded))
        return Look(*judged(seen, found, confirmed, _named(holding)))

    def past(self, seen: History, past: History, holding: Sequence[Keeping] = ()) -> History:
        """Return past rows without the bars that were not seen because the gate would not have them, or has not yet."""
        strange = refused(seen, past, _named(holding)) if self.on else np.zeros(past.close.shape, dtype=bool)
        return without(past, strange) if strange.any() else past


def _named(holding: Sequence[Keeping]) -> set[tuple[str, int]]:
    return {(one.symbol, one.ts) for one in holding}


def without(history: History, bars: Any) -> History:
    """Return a history without some bars (T, N); what is declared stays."""
    columns: dict[str, Any] = {name: np.where(bars, np.nan, getattr(history, name)) for name in FIELDS}
    return replace(history, **columns)


def confirmations(commands: Sequence[Command]) -> set[tuple[str, int]]:
    """Return the bars that the operator stands for."""
    found = (confirmed_of(command.command) for command in commands)
    return {(one.symbol, one.ts) for one in found if one is not None}


def obeyed_at(commands: Sequence[Command], look: Look, ts: int, late: bool) -> list[Command]:
    """Return the commands that a row obeys: a late one those that confirm its bars, another one all that are left.

    A confirmation waits as long as its bar does.
    """
    shown = {(one.symbol, one.ts) for one in look.held if one.until == ts}
    waiting = {(one.symbol, one.ts) for one in look.held if one.state == "held" or one.until > ts}
    if late:
        return [one for one in commands if confirmed_of(one.command) in shown]
    return [one for one in commands if confirmed_of(one.command) not in waiting]
