"""How a text file is laid out: its separator, the lines before its header, its header lines, remarks at its end."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from barograph.data.shapes.cells import is_value
from barograph.data.table import plain
from barograph.errors import DataError

__all__ = ["SEPARATORS", "Layout", "block_of", "cells_of", "laid_out", "remarks"]

SEPARATORS: Final = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
"""What may part cells, and how it is told to people."""
_SAMPLE: Final = 60
_RULE: Final = re.compile(r"\|?(?:\s*:?-+:?\s*\|)+(?:\s*:?-+:?\s*)?")
_TIMES: Final = ("date", "datetime", "time", "timestamp")
Name = str | tuple[str, str]


class Layout(NamedTuple):
    """Where things stand in a text: `before` lines, then `header` lines (0: none), then the bars.

    `names` are those of the columns: of two header lines pairs (field, asset); "1", "2", ... where there is no header.
    """

    separator: str
    before: int
    header: int
    names: tuple[Name, ...]

    @property
    def first(self) -> int:
        """The number of lines before the first bar."""
        return self.before + self.header


def laid_out(lines: Sequence[str], separator: str | None = None, header: bool | None = None) -> Layout:
    """Return the layout that the first lines of a text show; what is told is not asked for.

    >>> laid_out(["www.example.com", "Data;Último", "27.12.2000;15.186,5", "28.12.2000;15.259"])
    Layout(separator=';', before=1, header=1, names=('Data', 'Último'))
    >>> laid_out(["2024.07.01,00:00,1.07", "2024.07.01,01:00,1.08"], header=False).names
    ('1', '2', '3')

    Raises `DataError` for a separator that parts nothing while another does, and for headers that are none.
    """
    sample = list(lines[:_SAMPLE])
    if sample and sample[0].startswith("sep=") and separator is None:
        separator = sample[0].strip()[4:] or None
    chosen = _separator(sample) if separator is None else separator
    _refuse_spaces(sample, chosen, separator)
    if len(chosen) != 1:
        raise DataError(f"separator = {chosen!r}; wanted one letter, such as ',' or ';'")
    rows = cells_of(sample, chosen)
    if separator is not None and _parted(rows)[0] < 0.5:
        better = _separator(sample)
        if _parted(cells_of(sample, better))[0] > 0.9:
            raise DataError(f"separator = {chosen!r} parts no cells; the file has {SEPARATORS[better]}: say {better!r}")
    return _of_rows(rows, chosen, header)


def _refuse_spaces(lines: Sequence[str], chosen: str, told: str | None) -> None:
    """Refuse columns that only spaces part: a time may have one inside, and an empty cell has none."""
    if (
        told is None
        and _usual(cells_of(lines, chosen)) < 2
        and _usual([re.split(r"\s{2,}", one.strip()) for one in lines]) > 2
    ):
        raise DataError(
            "its cells are parted by spaces alone; wanted ',', ';', a tab or '|' between them: save it as CSV"
        )
    if told is None and chosen == "|" and any(_RULE.fullmatch(line.strip()) for line in lines):
        raise DataError("it is a table in Markdown; wanted ',', ';' or a tab between the cells: save it as CSV")


def cells_of(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the cells of lines."""
    return [next(csv.reader([line], delimiter=separator), []) for line in lines]


def _separator(lines: Sequence[str]) -> str:
    """Return the mark that parts most lines alike, into cells that are values."""
    return max(SEPARATORS, key=lambda mark: _parted(cells_of(lines, mark)))


def _parted(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    later = [row for row in rows[len(rows) // 2 :] if row]
    widths, usual = [len(row) for row in later], _usual(rows)
    if usual < 2:
        return 0.0, usual
    cells = [cell for row in later if len(row) == usual for cell in row]
    clean = sum(is_value(cell) or not any(mark in cell for mark in SEPARATORS) for cell in cells) / len(cells)
    return round(clean * widths.count(usual) / len(widths), 2), usual


def _of_rows(rows: Sequence[Sequence[str]], separator: str, header: bool | None) -> Layout:
    before, names, count = block_of(rows, header)
    return Layout(separator, before, count, names)


def block_of(rows: Sequence[Sequence[str]], header: bool | None = None) -> tuple[int, tuple[Name, ...], int]:
    """Return how many rows stand before the header of a table, the names of its columns, and the header's rows.

    Raises `DataError` for several rows of names of which none is the header.
    """
    usual = _usual(rows)
    first = next((n for n, row in enumerate(rows) if abs(len(row) - usual) < 2 and _is_bar(row)), None)
    if header is False:
        start = 0 if first is None else first
        return start, _numbered(rows[start:]), 0
    if first is None or (header and first == 0):
        start = next((n for n, row in enumerate(rows) if len(row) > 1), 0)
        return start, tuple(rows[start]) if rows else (), 1
    width = len(rows[first])
    # Files that were written with too many ends of lines have an empty line below each.
    below = first
    while below > 0 and not any(rows[below - 1]):
        below -= 1
    start = below
    while start > 0 and abs(len(rows[start - 1]) - width) <= 1 and any(rows[start - 1]):
        start -= 1
    block = list(rows[start:below])
    while block and width > 1 and sum(map(bool, block[0])) < 2 and not _is_index(block, 0):
        start, block = start + 1, block[1:]
    if not block:
        _refuse_other_width(rows, below, first)
        return first, _numbered(rows[first:]), 0
    return start, _names(block, start), first - start


def _refuse_other_width(rows: Sequence[Sequence[str]], below: int, first: int) -> None:
    """Refuse a header with other cells than the bars below it: a mark of numbers has parted them."""
    above = [cell for cell in rows[below - 1] if cell.strip()] if below else []
    if len(above) > 1 and not any(map(is_value, above)):
        raise DataError(
            f"line {below} has {len(rows[below - 1])} names, and line {first + 1} has {len(rows[first])} cells; is a "
            f"mark of numbers the separator?"
        )


def _usual(rows: Sequence[Sequence[str]]) -> int:
    """Return how many cells most of the later rows have."""
    every = [len(row) for row in rows]
    later = [width for width in every[len(every) // 2 :] if width]
    return max(set(later), key=lambda width: (later.count(width), every.count(width), width), default=0)


def _is_bar(row: Sequence[str]) -> bool:
    """Tell whether a row is one of values: at least half of its cells that are not empty."""
    full = [cell for cell in row if cell.strip()]
    return len(full) > 0 and 2 * sum(map(is_value, full)) >= len(full)


def _numbered(rows: Sequence[Sequence[str]]) -> tuple[Name, ...]:
    return tuple(str(n + 1) for n in range(max(map(len, rows), default=0)))


def _is_index(block: Sequence[Sequence[str]], at: int) -> bool:
    """Tell whether a row but names the index of a downloaded table: "Date,,,"."""
    row = block[at]
    return at > 0 and plain(row[0]) in _TIMES and not any(row[1:])


def _names(block: list[list[str]] | list[Sequence[str]], start: int) -> tuple[Name, ...]:
    index = ""
    if len(block) > 1 and _is_index(block, len(block) - 1):
        index, block = block[-1][0], block[:-1]
    if len(block) == 1:
        return (index or block[0][0], *block[0][1:])
    if len(block) == 2 and any("close" in map(plain, row) for row in block):
        fields = next(row for row in block if "close" in map(plain, row))
        tickers = block[1] if fields is block[0] else block[0]
        if not index and plain(tickers[0]) not in ("", "ticker"):
            raise _several(block, start)
        named = index or (fields[0] if plain(fields[0]) in _TIMES else "Date")
        return (named, ""), *zip(fields[1:], tickers[1:], strict=False)
    raise _several(block, start)


def _several(block: Sequence[Sequence[str]], start: int) -> DataError:
    return DataError(
        f"lines {start + 1} to {start + len(block)} are names, and which of them names the columns cannot be told; "
        f"leave one line before the bars"
    )


def remarks(lines: Sequence[str], separator: str) -> int:
    """Return how many of the last lines that are not empty are words about the file and no bars."""
    count = 0
    for line in reversed([line for line in lines if line.strip()]):
        full = [cell for cell in next(csv.reader([line], delimiter=separator)) if cell.strip()]
        if len(full) != 1 or " " not in full[0].strip() or is_value(full[0]):
            break
        count += 1
    return count
