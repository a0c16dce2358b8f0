"""What is wrong with bars, told to people: codes, severities, places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.data.table import Table
from barograph.errors import DataError, nearest
from barograph.types import Floats

__all__ = ["CODES", "Code", "Finding", "Mask", "accepted", "finding"]

Mask = NDArray[np.bool_]
Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """One thing that is wrong, at its first place: `row` is a CSV's line (the header is 1), else a row from 0.

    `ts` is that bar's close in ns UTC, `count` how many rows (or missing bars) share the fault.
    """

    code: str
    severity: Severity
    file: str
    row: int
    ts: int | None
    column: str
    value: str
    message: str
    count: int = 1  # type: ignore[assignment]  # tuple.count is of no use here


class Code(NamedTuple):
    """What a kind of finding weighs, and how to mend it."""

    severity: Severity
    mend: str


CODES: Final[dict[str, Code]] = {
    "wrong_order": Code("error", "sort the file by time"),
    "duplicate_time": Code("error", "keep one row a moment"),
    "early_stamp": Code("error", "stamp bars with their close"),
    "wrong_calendar": Code("error", "name the market's calendar with calendar="),
    "outside_hours": Code("error", "check time_zone= and bars_mark="),
    "swapped_columns": Code("error", "put the volume columns right, or leave volume out"),
    "nan_price": Code("error", "fill or drop the rows"),
    "non_positive_price": Code("error", "drop the rows"),
    "negative_volume": Code("error", "mend the volume, or leave it out"),
    "scale_jump": Code("error", "multiply the values back, or get the file afresh"),
    "impossible_ohlc": Code("error", "get the file afresh, or load it close-only"),
    "unadjusted_split": Code("error", "declare it in a column named split, or use adjusted prices (adjusted=true)"),
    "lost_action": Code("error", "put it on a bar of the asset, or add the bars that are missing"),
    "split_without_jump": Code(
        "error", 'leave them out with columns = {split = ""} if prices are split-adjusted already'
    ),
    "dividend_without_drop": Code(
        "error", 'leave them out with columns = {dividend = ""}, or get prices that are not adjusted for dividends'
    ),
    "undecided_dividends": Code("warning", "look whether the prices are adjusted for dividends: then they count twice"),
    "proved_order": Code("warning", "say it with date_format="),
    "known_shape": Code("warning", "look whether the file is theirs; what is told goes before"),
    "proved_marks": Code("warning", "say it with decimal= and thousands="),
    "unit_changes": Code("warning", "nothing, if the source changed it"),
    "newest_first": Code("warning", "nothing: the rows were turned round"),
    "beyond_clock": Code("warning", "check times and clock"),
    "ends_early": Code("warning", "give the price at which it ended, in a column named final"),
    "held_bar": Code("warning", "wait for the next bar, or confirm it"),
    "proved_bar": Code("warning", "nothing: the next bar proved it, and nothing was decided at it"),
    "disproved_bar": Code("warning", "nothing, or mend the file: the next bar disproved it, and it was left out"),
    "gap": Code("warning", "get the missing bars, if the market was open"),
    "beyond_calendar": Code("warning", "end before it, or install a release of exchange_calendars that knows more"),
    "not_a_session": Code("warning", "drop them, or name another calendar"),
    "frozen_price": Code("warning", "look whether the feed had stopped"),
    "illiquid": Code("warning", "look whether this is the instrument its name says"),
    "zero_volume": Code("warning", "nothing can be bought or sold in these bars"),
    "unknown_volume": Code("warning", "no order is limited by volume there"),
    "close_only": Code("warning", "open, high and low are taken to be the close"),
}
"""Every code, in the order in which errors are told: causes before their consequences."""


def accepted(findings: Iterable[Finding], accept: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Return the findings when every error among them is accepted by its code; it stays an error in the report.

    Raises `DataError`, one line, when an error is left, or when `accept` names a code that is none.
    """
    for code in accept:
        if code not in CODES:
            raise DataError(f"accept: no finding is called {code!r}{nearest(code, CODES)}; known: {', '.join(CODES)}")
    kept = tuple(findings)
    errors = [one for one in kept if one.severity == "error" and one.code not in accept]
    if errors:
        raise DataError(_told(errors))
    return kept


def _told(errors: list[Finding]) -> str:
    first = errors[0]
    many: dict[str, int] = {}
    for one in errors:
        many[one.code] = many.get(one.code, 0) + one.count
    also = "; also " + ", ".join(f"{c} ({n})" for c, n in many.items() if c != first.code) if len(many) > 1 else ""
    codes = ", ".join(f'"{code}"' for code in many)
    return f"{first.message}{also}; {CODES[first.code].mend}, or take it as it is with accept = [{codes}]"


def finding(
    table: Table,
    code: str,
    where: Mask | NDArray[np.int64],
    column: str,
    values: Floats | None,
    text: str,
    count: int = 0,
) -> Iterator[Finding]:
    """Tell the rows of one code once; `text` may use {value}; nothing when there are none."""
    rows = np.flatnonzero(where) if where.dtype == bool else where
    if len(rows) == 0:
        return
    first, many = int(rows[0]), count or len(rows)
    value = "" if values is None else str(float(values[first]))
    told = text.format(value="" if values is None else f"{values[first]:.10g}")
    listed = ", ".join(str(row) for row in table.rows[rows[:3]]) + (", ..." if len(rows) > 3 else "")
    total = f"; {many} in all" + (f" ({table.place}s {listed})" if len(rows) > 1 else "") if many > 1 else ""
    place, ts = int(table.rows[first]), int(table.ts[first])
    message = f"{table.source}: {code}: {table.place} {place} ({_when(table, first)}): {told}{total}"
    yield Finding(code, CODES[code].severity, table.source, place, ts, column, value, message, many)


def _when(table: Table, row: int) -> str:
    if table.days is not None:
        return str(table.days[row])
    return str(np.datetime64(int(table.ts[row]), "ns"))[:16].replace("T", " ")
