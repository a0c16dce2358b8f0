"""Files changed as people and programs change them, with what they still truly hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from barograph.data.history import History
from barograph.errors import DataError
from barograph_adapters.files import bars
from tests.kit.file_grids import COLUMNS, Bars, Grid, pack
from tests.kit.file_shapes import SHAPES

THOUSANDS: Final = "points that part thousands, between commas, in every number"
OPENS: Final = "times that name the open in a file of nobody known"
CLOCK: Final = "times of day without an offset that are not of UTC"
KINDS: Final = (THOUSANDS, OPENS, CLOCK)
"""What no program could know; docs/data.md says why."""
Change = Callable[[Any, Grid], tuple[Grid, str]]


class Outcome(NamedTuple):
    """What became of a file: "right", "wrong" or "refused", and what was said."""

    word: str
    said: str


def mutated(seed: int) -> tuple[Grid, tuple[str, ...]]:
    """Draw a shape and up to four changes of it; return it and the kinds of what cannot be known any more."""
    rng = np.random.default_rng(seed)
    one, kinds = SHAPES[seed % len(SHAPES)], []
    for _ in range(int(rng.integers(1, 5))):
        one, kind = CHANGES[int(rng.integers(len(CHANGES)))](rng, one)
        kinds += [kind] if kind else []
    return one, tuple(kinds)


def outcome(one: Grid, folder: Path, content: bytes | None = None, **words: Any) -> Outcome:
    """Load a file and hold it to its truth."""
    path = folder / one.file
    path.write_bytes(one.content if content is None else content)
    try:
        history = bars(path, **{**one.words, **words})
    except DataError as error:
        return Outcome("refused" if "\n" not in str(error) else "wrong", str(error))
    except UnicodeEncodeError as error:  # pragma: no cover
        return Outcome("wrong", str(error))
    told = differences(history, one.truth)
    return Outcome("wrong" if told else "right", told)


def differences(history: History, truth: Bars) -> str:
    """Say what is not as it truly is, "" for nothing; a volume that is left out is unknown, not wrong."""
    if history.ts.tolist() != truth.ts.tolist():
        shown = [str(ts[:2].astype("M8[ns]").astype("M8[m]")) for ts in (history.ts, truth.ts)]
        return f"{len(history)} closes {shown[0]} for {len(truth.ts)} {shown[1]}"
    if any(
        action is not None and (action != none).any() for action, none in ((history.dividends, 0), (history.splits, 1))
    ):
        return "actions of prices that are adjusted for them"
    for name in COLUMNS:
        got, wanted = getattr(history, name)[:, 0], getattr(truth, name)
        wrong = got != wanted
        if name == "volume":
            wrong &= ~np.isnan(got)
        if wrong.any():
            row = int(np.argmax(wrong))
            return f"{name} {got[row]} for {wanted[row]} in row {row}"
    return ""


# --- how it is written ------------------------------------------------------------------------------------------------


def _separator(rng: Any, one: Grid) -> tuple[Grid, str]:
    return one._replace(separator=str(rng.choice([",", ";", "\t", "|"]))), ""


def _quoted(rng: Any, one: Grid) -> tuple[Grid, str]:
    return one._replace(quoted=not one.quoted), ""


def _encoding(rng: Any, one: Grid) -> tuple[Grid, str]:
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]))
    try:
        one._replace(encoding=encoding).content  # noqa: B018
    except UnicodeEncodeError:
        return one, ""
    return one._replace(encoding=encoding), ""


def _ends(rng: Any, one: Grid) -> tuple[Grid, str]:
    return one._replace(ends=str(rng.choice(["\n", "\r\n", "\r"]))), ""


def _packed(rng: Any, one: Grid) -> tuple[Grid, str]:
    return one._replace(packed=str(rng.choice(["", "gz", "zip", "bz2", "xz"]))), ""


def _before(rng: Any, one: Grid) -> tuple[Grid, str]:
    lines = ["Historical prices of ABC", "", "Source: somebody", "www.example.com", "All prices, in USD"]
    return one._replace(before=tuple(str(line) for line in rng.choice(lines, int(rng.integers(1, 4))))), ""


def _after(rng: Any, one: Grid) -> tuple[Grid, str]:
    return one._replace(after=(str(rng.choice(["", "Downloaded on a Monday", "These are no bars of ours"])),)), ""


def _trailing(rng: Any, one: Grid) -> tuple[Grid, str]:
    return one._replace(rows=tuple((*row, "") for row in one.rows)), ""


# --- which rows and columns -------------------------------------------------------------------------------------------


def _reversed(rng: Any, one: Grid) -> tuple[Grid, str]:
    return one._replace(rows=one.rows[::-1], back=not one.back), ""


def _cut(rng: Any, one: Grid) -> tuple[Grid, str]:
    """Keep some rows that follow each other."""
    count = len(one.truth.ts)
    if len(one.rows) != count or count < 8:
        return one, ""
    first, last = sorted(rng.choice(count + 1, 2, replace=False))
    if last - first < 3:
        return one, ""
    span = slice(int(first), int(last))
    kept = slice(count - span.stop, count - span.start) if one.back else span
    return one._replace(rows=one.rows[span], truth=one.truth.at(kept)), ""


def _permuted(rng: Any, one: Grid) -> tuple[Grid, str]:
    if len(one.header) != 1 or len(one.header[0]) != len(one.rows[0]):
        return one, ""
    order = [int(n) for n in rng.permutation(len(one.rows[0]))]
    return _in_order(one, order), OPENS if one.name == "Coinbase" else ""


def _in_order(one: Grid, order: list[int]) -> Grid:
    moved = [tuple(tuple(row[n] for n in order) for row in part) for part in (one.header, one.rows)]
    return one._replace(header=moved[0], rows=moved[1], times=tuple(order.index(n) for n in one.times))


def _added(rng: Any, one: Grid) -> tuple[Grid, str]:
    """Put a column beside the others that is none of ours."""
    if len(one.header) != 1 or len(one.header[0]) != len(one.rows[0]):
        return one, ""
    name, cells = [("RSI 14", "55.5"), ("Notes", "a, b"), ("Change", "-0.5%"), ("MA20", "")][int(rng.integers(4))]
    if name in one.header[0]:
        return one, ""
    header, rows = (*one.header[0], name), tuple((*row, cells) for row in one.rows)
    return one._replace(header=(header,), rows=rows), ""


def _without_names(rng: Any, one: Grid) -> tuple[Grid, str]:
    return one._replace(header=()), ""


def _other_case(rng: Any, one: Grid) -> tuple[Grid, str]:
    how = [str.upper, str.lower, str.title][int(rng.integers(3))]
    header = tuple(tuple(map(how, row)) for row in one.header)
    # These two are known by how they write common names.
    own = one.name in ("TradingView", "Coinbase") and header != one.header
    return one._replace(header=header), OPENS if own else ""


def _plain_names(rng: Any, one: Grid) -> tuple[Grid, str]:
    """Call the columns as everybody does: whose file it is cannot be told any more."""
    plainly = {"open_time": "time", "unix": "time", "gmt time": "time", "window_start": "time", "t": "time"}
    if len(one.header) != 1:
        return one, ""
    named = tuple(plainly.get(name.lower(), name.strip("<>").lower()) for name in one.header[0])
    kept = [n for n, name in enumerate(named) if name in ("time", "date", "timestamp", "open", "high", "low", "close")]
    if named == one.header[0] or len(kept) < 5 or len(one.header[0]) != len(one.rows[0]):
        return one, ""
    return _in_order(one._replace(header=(named,), truth=_no_volume(one.truth)), kept), OPENS


def _no_volume(truth: Bars) -> Bars:
    return truth._replace(volume=np.full(len(truth.ts), np.nan))


# --- how numbers and times are written --------------------------------------------------------------------------------


def _marks(rng: Any, one: Grid) -> tuple[Grid, str]:
    """Write numbers with a decimal comma, some with thousands."""
    columns = _of(one, re.compile(r"\d+\.\d+|\d+"))
    if len(columns) < 4 or any(re.search(r"\d[,'’]\d", cell) for row in one.rows[:3] for cell in row):
        return one, ""
    parted = bool(rng.random() < 0.5)
    rows = [tuple(_foreign(cell, parted) if n in columns else cell for n, cell in enumerate(row)) for row in one.rows]
    changed = one._replace(rows=tuple(rows))
    cells = [cell for row in rows for n, cell in enumerate(row) if n in columns]
    doubt = parted and one.separator == "," and not any("," in cell for cell in cells)
    return changed, THOUSANDS if doubt else ""


def _foreign(cell: str, parted: bool) -> str:
    whole, point, rest = cell.partition(".")
    grouped = f"{int(whole):,}".replace(",", ".") if parted and whole else whole
    return grouped + ("," + rest if point else "")


def _of(one: Grid, look: re.Pattern[str]) -> list[int]:
    """Return the columns, but for times, in which every cell looks so."""
    several = range(min(map(len, one.rows)))
    return [n for n in several if n not in one.times and all(look.fullmatch(row[n]) for row in one.rows)]


_FORMS: Final = (
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%Y%m%d",
    "%d %b %Y",
    "%m/%d/%y",
    "%Y/%m/%d",
    "%B %d, %Y",
    "%y-%m-%d",
)


def _dates(rng: Any, one: Grid) -> tuple[Grid, str]:
    at = one.times[0]
    if len(one.times) > 1 or not all(re.fullmatch(r"\d{4}-\d\d-\d\d", row[at]) for row in one.rows):
        return one, ""
    form = str(rng.choice(_FORMS))
    return _rewritten(one, at, lambda cell: pd.Timestamp(cell).strftime(form)), ""


def _units(rng: Any, one: Grid) -> tuple[Grid, str]:
    at = one.times[0]
    if not all(re.fullmatch(r"\d{10}|\d{13}|\d{16}|\d{19}", row[at]) for row in one.rows):
        return one, ""
    width = int(rng.choice([10, 13, 16, 19]))
    return _rewritten(one, at, lambda cell: f"{cell:0<19}"[:width]), ""


def _local(rng: Any, one: Grid) -> tuple[Grid, str]:
    """Write moments as the wall clocks of Tokyo."""
    at = one.times[0]
    if not all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[at]) for row in one.rows):
        return one, ""
    there = _rewritten(one, at, lambda cell: pd.Timestamp(cell).tz_convert("Asia/Tokyo").strftime("%Y-%m-%d %H:%M:%S"))
    return there, CLOCK


def _rewritten(one: Grid, at: int, write: Callable[[str], str]) -> Grid:
    return one._replace(rows=tuple((*row[:at], write(row[at]), *row[at + 1 :]) for row in one.rows))


def half_a_line(rng: Any, one: Grid) -> tuple[bytes, Grid]:
    """Return a file whose last line is still being written, and what is whole of it."""
    text = one._replace(after=(), packed="").content
    last = one._replace(after=(), packed="", rows=one.rows[:-1]).content
    kept = slice(1, None) if one.back else slice(0, -1)
    ended = int(rng.integers(len(last), len(text) - len(one.ends.encode(one.encoding.removesuffix("-sig")))))
    return pack(text[:ended], "", one.file), one._replace(truth=one.truth.at(kept))


CHANGES: Final[tuple[Change, ...]] = (
    _separator, _quoted, _encoding, _ends, _packed, _before, _after, _trailing, _reversed, _cut, _cut, _permuted,
    _added, _without_names, _other_case, _plain_names, _marks, _marks, _dates, _dates, _units, _local,
)  # fmt: skip
