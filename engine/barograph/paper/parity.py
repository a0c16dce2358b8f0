"""Would the backtest have done the same? The recorded bars go through `scan` again, and every table is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.config.provenance import code_hash
from barograph.config.schema import Config
from barograph.data.history import FIELDS
from barograph.epoch import LAST
from barograph.errors import BarographError
from barograph.execution.book import ACTIVE, UNTIL_BAR
from barograph.jit.arithmetic import ARITHMETIC
from barograph.loop.late import restated
from barograph.loop.session import Session
from barograph.paper.deployment import SWITCHES
from barograph.paper.ends import end_of
from barograph.paper.feeds import Chain, feeds_of, seed
from barograph.paper.holding.behind import Behind
from barograph.paper.holding.kept import Keeping, held_of
from barograph.paper.journal import begun_with, floats
from barograph.paper.past.comparing import Revision, as_shown, as_told_now, rewritten
from barograph.paper.past.corrections import corrections, credits_of, in_force
from barograph.paper.projection import BARS
from barograph.paper.record import rebuilt, recorded

if TYPE_CHECKING:
    import pandas as pd

    from barograph.data.history import History
    from barograph.loop.late import Correction, Late
    from barograph.loop.machine import Machine
    from barograph.loop.result import Learned, Result
    from barograph.paper.journal import Entry
    from barograph.paper.store import Deployed, Store
    from barograph.regimes.fitted import Fitted
    from barograph.regimes.matching import Match

__all__ = ["CAUSES", "Difference", "Parity", "first_difference", "parity"]

CAUSES: Final = {
    "data revised": "a bar is not what it was when it was decided on",
    "clock": "a bar is there that was not, or is missing, or closed at another moment",
    "parameters": "the model was fitted to other numbers, or another candidate was chosen",
    "fill model": "the same decisions were filled or charged differently",
    "code": "the program, or a part of the config, is not the one that began the deployment",
}
"""Why a deployment may differ from its backtest."""

TABLES: Final = ("choices", "beliefs", "orders", "fills", "events", "equity", "trades")


class Difference(NamedTuple):
    """The first thing that is not the same: where it stands, what was recorded, and what is found now."""

    cause: str
    table: str
    ts: str
    column: str
    recorded: str
    found: str

    def __str__(self) -> str:
        where = f"{self.table} of {self.ts}, {self.column}"
        return f"{self.cause}: {where}: recorded {self.recorded}, found {self.found} ({CAUSES[self.cause]})"


class Parity(NamedTuple):
    """What was compared, and the first difference, or None; `unchecked` says what could not be compared, and why.

    `another` says that nothing was: the deployment was made by another arithmetic, whose last bits are others.
    """

    deployment: str
    bars: int
    rows: int
    difference: Difference | None
    unchecked: str = ""
    another: str = ""
    tables: int = 0

    def __str__(self) -> str:
        if self.difference is not None or self.another:
            return f"{self.deployment}: {self.difference or self.another}"
        told = f"{self.deployment}: no difference in {self.rows} rows of {self.tables} tables over {self.bars} bars"
        return f"{told}; {self.unchecked}" if self.unchecked else told


class _Rerun(Session):
    """A scan in which switches are turned, and corrections enter, at the bars where they did.

    What stands in `made` is a fit that was recorded at that bar, and is not learned again.
    """

    def __init__(
        self,
        machine: Machine,
        history: History,
        turned: Mapping[int, list[int]],
        late: Mapping[int, Correction],
        made: Mapping[int, Learned],
    ) -> None:
        # A session learns its first fit as it begins, and begins without corrections.
        self.made = made
        super().__init__(machine, history, None, None)
        self.turned, self.late = turned, late

    def _fitted(self, lo: int, hi: int, bar: int) -> tuple[Fitted, Match | None, str]:
        if bar not in self.made:
            return super()._fitted(lo, hi, bar)
        _, _, _, fitted, matched, _, refused = self.made[bar]
        return fitted, matched, refused

    def _until(self, total: int) -> int:
        return min([super()._until(total), *(bar for bar in self.turned if bar > self.bar)])

    def _advance(self, tape: Any, until: int, stride: int, first: int) -> Any:
        if self.bar in self.turned:
            guard_state, before = self.memory.read(3).guard_state, len(self.machine.terms.guards) - len(SWITCHES)
            for n in range(len(SWITCHES)):
                on = n in self.turned[self.bar]
                guard_state[ACTIVE, before + n], guard_state[UNTIL_BAR, before + n] = (
                    (1.0, np.inf) if on else (0.0, 0.0)
                )
        return super()._advance(tape, until, stride, first)


def parity(store: Store, deployed: Deployed, folder: Path | None = None, refit: bool = False) -> Parity:
    """Rerun what a deployment has recorded, and compare everything to the bit.

    A classifier's weights are other ones on another kind of machine: its fits are those that were recorded, unless it
    is to `refit`.
    """
    from dataclasses import replace

    if another := _another_arithmetic(store, deployed):
        return Parity(deployed.name, 0, 0, None, another=another)
    place = Path(deployed.folder) if folder is None else folder
    machine = replace(rebuilt(deployed, place), start=deployed.start)
    with store.moment():
        was = recorded(store, deployed, machine, place)
        entries = list(store.entries(deployed.name))
    cycles = [entry.content for entry in entries if entry.kind == "cycle"]
    turned: dict[int, list[int]] = {}
    before: list[int] = []
    for one in cycles:
        if one["switches"] != before:
            turned[one["bar"]] = before = one["switches"]
    made = {} if refit or not _taught(machine) else {one.bar: one for one in was.fits}
    now = _Rerun(machine, was.history, turned, corrections(entries), made).run(stride=len(was.history))
    # A choice at the last close has decided nothing yet, and a rerun of these bars does not make it.
    was = replace(was, choices=tuple(one for one in was.choices if one.bar < len(was.history) - 1))
    rows = sum(len(was.tables[name]) for name in _told(was))
    tampered = _tampered(was.history, cycles)
    difference = tampered or _judged(deployed, place, was, now) or _miscredited(was.history, entries)
    if difference is not None:
        return Parity(deployed.name, len(was.history), rows, difference)
    holding = held_of(store.snapshot(deployed.name)[1].watch)
    revised, unchecked = _against_today(deployed, in_force(was.history, entries), place, _ends(cycles), holding)
    if made:
        told = f"its {len(made)} fits are those that were recorded; --refit learns them again"
        unchecked = f"{unchecked}; {told}" if unchecked else told
    return Parity(deployed.name, len(was.history), rows, revised, unchecked, tables=len(_told(was)))


def _taught(machine: Machine) -> bool:
    """Tell whether what learns is a classifier: a library that is not ours makes its weights."""
    return getattr(machine.model, "untrained", None) is not None


def _another_arithmetic(store: Store, deployed: Deployed) -> str:
    """Say so where a deployment began with other elementary functions than the kernels use now."""
    made = begun_with(store.entries(deployed.name))
    if made in (ARITHMETIC, None):
        return ""
    told = f"made by arithmetic {made}, and this program computes by {ARITHMETIC}"
    return f"{told}: another arithmetic, whose last bits differ; nothing was compared (begin a new deployment)"


def _told(run: Result) -> list[str]:
    """Return which tables there are: choices only of a machine that chooses."""
    return [name for name in TABLES if name in run.tables]


def first_difference(was: Result, now: Result) -> tuple[str, str, str, str, str] | None:
    """Return (ts, table, column, recorded, found) of the earliest row that is not the same to the bit, or None."""
    pairs = [(name, was.tables[name], now.tables[name]) for name in _told(was)]
    found = [(d, order) for order, pair in enumerate(pairs) if (d := _table(*pair))]
    return min(found, key=lambda one: (one[0][0], one[1]))[0] if found else None


def _table(name: str, was: pd.DataFrame, now: pd.DataFrame) -> tuple[str, str, str, str, str] | None:
    moment = "ts" if "ts" in was else next(column for column in was if "ts" in str(column))
    most = min(len(was), len(now))
    rows = {str(column): _differs(was[column][:most], now[column][:most]) for column in was}
    first = {column: int(where[0]) for column, where in rows.items() if len(where)}
    if first:
        column = min(first, key=lambda key: first[key])
        row = first[column]
        told = f"{was['symbol'].iloc[row]} {column}" if name == "beliefs" and "symbol" in was else column
        return str(was[moment].iloc[row]), name, told, repr(was[column].iloc[row]), repr(now[column].iloc[row])
    if len(was) != len(now):
        longer = was if len(was) > len(now) else now
        return str(longer[moment].iloc[most]), name, "rows", str(len(was)), str(len(now))
    return None


def _differs(was: pd.Series, now: pd.Series) -> Any:
    a, b = was.to_numpy(), now.to_numpy()
    if a.dtype == np.float64 and b.dtype == np.float64:
        # NaN is the same as NaN; 0 and -0 are not the same bits.
        return np.flatnonzero((a.view(np.int64) != b.view(np.int64)) & ~(np.isnan(a) & np.isnan(b)))
    same = (was == now) | (was.isna() & now.isna())
    return np.flatnonzero(~same.to_numpy())


def _tampered(history: History, cycles: list[Any]) -> Difference | None:
    """Compare the bars as they lie in the table with those in the journal."""
    for one in cycles:
        t = one["bar"]
        now = np.column_stack([*(getattr(history, name)[t] for name in FIELDS), *history.declared(t)])
        wrong = np.argwhere(~((floats(one["bars"]) == now) | (np.isnan(floats(one["bars"])) & np.isnan(now))))
        if len(wrong):
            a, j = wrong[0]
            where = f"{history.symbols[a]} {BARS[j]}"
            values = repr(float(floats(one["bars"])[a, j])), repr(float(now[a, j]))
            return Difference("data revised", "bars", history.when(t), where, *values)
    return None


def _miscredited(history: History, entries: list[Entry]) -> Difference | None:
    """Compute again what the account was owed by late actions, from what it held."""
    cycles = [entry.content for entry in entries if entry.kind == "cycle"]
    held = [
        {"ts": one["ts"], "symbol": symbol, "quantity": float(quantity)}
        for one in cycles
        for symbol, quantity in zip(history.symbols, floats(one["positions"])[0], strict=True)
    ]
    seen, earlier = history, dict[int, "Correction"]()
    for bar, made in corrections(entries).items():
        found = credits_of(seen.head(bar), made.late, held, earlier)
        seen, earlier[bar] = restated(seen, made.late), made
        if found != made.credits:
            told = ", ".join(str(one) for one in made.credits) or "nothing", ", ".join(str(one) for one in found)
            return Difference("fill model", "corrections", history.when(bar), "credits", *told)
    return None


def _judged(deployed: Deployed, place: Path, was: Result, now: Result) -> Difference | None:
    first = first_difference(was, now)
    if first is None:
        return None
    ts, table, column, recorded, found = first
    changed = code_hash(Config.model_validate(deployed.config), place) != deployed.code_hash
    refitted = any(a.fitted.to_bytes() != b.fitted.to_bytes() for a, b in zip(was.fits, now.fits, strict=False))
    cause = "code" if changed else "parameters" if refitted or table in ("choices", "beliefs") else "fill model"
    return Difference(cause, table, ts, column, recorded, found)


def _ends(cycles: list[Any]) -> dict[str, int]:
    """Return the assets that the operator ended, and when: the source knows nothing of it."""
    ends = [(end_of(command), one["ts"]) for one in cycles for command in one["commands"]]
    return {end.symbol: ts for end, ts in ends if end is not None}


def _against_today(
    deployed: Deployed, history: History, place: Path, ends: Mapping[str, int], holding: Sequence[Keeping]
) -> tuple[Difference | None, str]:
    """Compare the recorded bars with those that the config's data and feeds have today."""
    config = Config.model_validate(deployed.config)
    try:
        today = seed(config, place, Chain(feeds_of(config, place)), int(history.ts[-1]), raw=True)
        span = today.between(int(history.ts[0]), int(history.ts[-1]))
    except BarographError as error:
        return None, f"the bars could not be compared with today's: {error}"
    if span.symbols != history.symbols:
        told = f"there are {', '.join(span.symbols)}; wanted {', '.join(history.symbols)}"
        return None, f"the bars could not be compared with today's: {told}"
    # A late row may stand at a moment of its own; what the gate would not have, then, is no difference. Nor is it that
    # the source has another scale since: the next bar will bring it.
    shown = as_shown(history, span)
    seen = as_told_now(history, shown, 0.0)
    past = rewritten(history, Behind(config.data.gate == "on").past(seen, shown, holding), 0.0)
    revisions = [*past.revised, *(one for late in past.late for one in _declared(history, late))]
    found = [(one.ts, _revised(history, one)) for one in revisions if one.ts < ends.get(one.symbol, LAST)]
    closes = history.ts[history.deciding]
    for ts in np.setdiff1d(closes[closes <= span.ts[-1]], span.ts).tolist():
        found.append((ts, Difference("clock", "bars", _when(history, ts), "ts", "a bar", "no bar")))
    later = int((history.ts > span.ts[-1]).sum())
    unchecked = f"[data] end with {span.when(-1)}: {later} later bars could not be compared with it" if later else ""
    return (min(found, key=lambda one: one[0])[1] if found else None), unchecked


def _declared(history: History, late: Late) -> list[Revision]:
    """Return what a bar declares today, for an action that the record does not know."""
    t, a = int(np.searchsorted(history.ts, late.ts)), history.column(late.symbol)
    dividends, splits, _ = (float(values[a]) for values in history.declared(t))
    pairs = {"splits": (splits, splits * late.split), "dividends": (dividends, dividends + late.dividend)}
    return [Revision(late.ts, late.symbol, name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]


def _revised(history: History, one: Revision) -> Difference:
    if one.column != "bar":
        values = repr(one.before), repr(one.now)
        return Difference("data revised", "bars", _when(history, one.ts), f"{one.symbol} {one.column}", *values)
    told = ["no bar" if np.isnan(value) else repr(value) for value in (one.before, one.now)]
    return Difference("clock", "bars", _when(history, one.ts), f"{one.symbol} bar", *told)


def _when(history: History, ts: int) -> str:
    return history.between(None, ts).when(-1) if ts >= history.ts[0] else str(np.datetime64(ts, "ns"))
