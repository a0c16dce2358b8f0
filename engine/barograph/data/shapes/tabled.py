"""A text or a list of rows becomes a frame: names from the header, times and foreign numbers as they are written."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from barograph.data.shapes.cells import is_value
from barograph.data.shapes.known import TIMES
from barograph.data.shapes.layout import Layout, block_of, cells_of, laid_out, remarks
from barograph.data.table import SYMBOLS, plain
from barograph.errors import DataError

__all__ = ["frame_of_json", "frame_of_rows", "frame_of_text"]

_HEAD: Final = 1 << 16
_TAIL: Final = 1 << 12
_LISTS: Final = ("results", "bars", "data", "candles", "values", "prices", "historical")


def frame_of_text(
    content: bytes,
    separator: str | None = None,
    header: bool | None = None,
    times: Collection[str] = (),
    foreign: bool = False,
    place: Path | None = None,
) -> tuple[pd.DataFrame, Layout]:
    """Return the frame of a text in UTF-8, and how it is laid out.

    Columns of times (`times` names more of them) stay texts. So does everything where marks of numbers are `foreign`,
    or may be: behind another separator than a comma, or in quotation marks. `place` is a file that holds just this
    content: from there pandas reads it on all cores.

    Raises `DataError`, and what pandas raises for what is no table.
    """
    layout = laid_out(_head(content), separator, header)
    doubtful = foreign or layout.separator != "," or b'"' in content
    kinds: Any = "str" if doubtful else dict.fromkeys(_texts(content, layout, times), "str")
    frame = _read(content, layout, kinds, place)
    return _named(frame, layout.names), layout


def _head(content: bytes) -> list[str]:
    piece = content[:_HEAD]
    lines = piece.decode("utf-8", errors="ignore").splitlines()
    return lines if len(piece) == len(content) else lines[:-1]


def _texts(content: bytes, layout: Layout, times: Collection[str]) -> list[int]:
    """Return which columns are times, by their names or, without names, by their looks."""
    if layout.header:
        named = [name if isinstance(name, str) else name[0] for name in layout.names]
        return [n for n, name in enumerate(named) if name in times or plain(name) in TIMES]
    rows = cells_of(_head(content)[layout.before : layout.before + 20], layout.separator)
    columns = [[row[n] for row in rows if n < len(row)] for n in range(len(layout.names))]
    return [n for n, cells in enumerate(columns) if any(_no_number(cell) for cell in cells)]


def _no_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return True
    return cell.startswith("0") and cell.isdigit() and len(cell) > 1


def _read(content: bytes, layout: Layout, kinds: Any, place: Path | None) -> pd.DataFrame:
    end = content[-_TAIL:].decode("utf-8", errors="ignore").splitlines()
    last = remarks(end[1:] if len(content) > _TAIL else end[layout.first :], layout.separator)
    if last:
        content = content.rstrip()
        for _ in range(last):
            content = content[: content.rfind(b"\n") + 1].rstrip()
    options: dict[str, Any] = {"sep": layout.separator, "header": None, "skiprows": layout.first, "compression": None}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            source = io.BytesIO(content) if place is None or last else place
            frame: pd.DataFrame = pd.read_csv(source, index_col=False, dtype=kinds, **options)
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=range(len(layout.names)))
    for n, name in enumerate(layout.names[: frame.shape[1]]):
        # An asset may be called NA.
        if isinstance(name, str) and plain(name) in SYMBOLS and bool(frame[n].isna().any()):
            again = pd.read_csv(io.BytesIO(content), usecols=[n], dtype="str", keep_default_na=False, **options)
            frame[n] = again[n].where(again[n].str.strip() != "")
    return frame


def _named(frame: pd.DataFrame, names: Sequence[Any]) -> pd.DataFrame:
    """Give the columns their names; what stands beyond the last of them has to be empty."""
    extra = frame.iloc[:, len(names) :]
    if bool(extra.notna().to_numpy().any()):
        raise DataError(
            f"the bars have {frame.shape[1]} cells, the header {len(names)} names; is a mark of numbers the separator?"
        )
    frame = frame.iloc[:, : len(names)]
    own = list(names[: frame.shape[1]])
    plainly = [name for name in own if isinstance(name, str) and name]
    twice = next((one for one in plainly if plainly.count(one) > 1), None)
    if twice is not None:
        raise DataError(f"two columns are called {twice!r}; wanted one: rename or remove the other")
    if own and isinstance(own[0], tuple):
        return frame.set_axis(pd.MultiIndex.from_tuples(own), axis=1)
    frame = frame.set_axis([name or f"Unnamed: {n}" for n, name in enumerate(own)], axis=1)
    return frame.reindex(columns=[*frame.columns, *names[frame.shape[1] :]])


def frame_of_rows(rows: Sequence[Sequence[Any]], header: bool | None = None) -> tuple[pd.DataFrame, int]:
    """Return the frame of rows of cells, as a sheet has them, and how many rows stand before its first bar."""
    written = [["" if cell is None else str(cell) for cell in row] for row in rows[:_TAIL]]
    before, names, count = block_of(written, header)
    body = pd.DataFrame([list(row) for row in rows[before + count :]]).replace("", None).infer_objects()
    return _named(body, names), before + count


def frame_of_json(content: bytes) -> pd.DataFrame:
    """Return the frame of JSON: a line a bar, or one list of bars, alone or under a name such as "results".

    >>> frame_of_json(b'{"t": 1719792000000, "c": 5.5}').to_dict("list")
    {'t': [1719792000000], 'c': [5.5]}

    Raises `DataError` for what holds no bars.
    """
    try:
        found = [json.loads(line) for line in content.splitlines() if line.strip()]
    except json.JSONDecodeError:
        found = _parsed(content)
    columns = _columns(found[0]) if len(found) == 1 and isinstance(found[0], dict) else None
    if columns is not None:
        return columns
    rows = _rows(found[0]) if len(found) == 1 else found
    if not rows or not all(isinstance(row, dict) for row in rows):
        if not rows or not all(isinstance(row, list) for row in rows):
            raise DataError("it is JSON, and holds no list of bars; wanted one object a bar, or one a line")
        return pd.DataFrame(rows).rename(columns=lambda n: str(n + 1))
    return pd.DataFrame(rows)


def _parsed(content: bytes) -> list[Any]:
    try:
        return [json.loads(content)]
    except json.JSONDecodeError as error:
        raise DataError(f"it is no JSON: {error}") from None


def _rows(found: Any) -> list[Any]:
    if isinstance(found, list):
        return found
    if not isinstance(found, dict):
        return []
    lists = [found[name] for name in _LISTS if isinstance(found.get(name), list)]
    return lists[0] if lists else [found] if any(not isinstance(one, dict | list) for one in found.values()) else []


def _columns(found: dict[str, Any]) -> pd.DataFrame | None:
    """Return the frame of an object that holds its columns: as lists, by row, or apart from their names; else None."""
    if isinstance(found.get("columns"), list) and isinstance(found.get("data"), list):
        frame = pd.DataFrame(found["data"], columns=found["columns"], index=found.get("index"))
        return _with_index(frame) if "index" in found else frame
    lists = {name: one for name, one in found.items() if isinstance(one, list) and one}
    if (
        len(lists) > 1
        and len({len(one) for one in lists.values()}) == 1
        and not isinstance(_any(lists)[0], dict | list)
    ):
        return pd.DataFrame(lists)
    held = {name: one for name, one in found.items() if isinstance(one, dict) and isinstance(_any(one), dict)}
    if len(held) == 1 and len(held) < len(found):
        return _columns(_any(held))
    if len(found) < 2 or not all(isinstance(one, dict) and one for one in found.values()) or held:
        return None
    by_row = all(map(is_value, found))
    frame = pd.DataFrame.from_dict(found, orient="index" if by_row else "columns")
    return _with_index(frame.rename(columns=lambda name: re.sub(r"^\d+\. ", "", str(name))))


def _any(found: dict[str, Any]) -> Any:
    return next(iter(found.values()), None)


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its index as the column of times, where none is called one."""
    if any(plain(name) in TIMES for name in frame.columns):
        return frame.reset_index(drop=True)
    index = frame.index.astype("str")
    return frame.reset_index(drop=True).assign(time=index.astype("int64") if index.str.isdigit().all() else index)
