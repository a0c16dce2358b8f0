"""A CSV file becomes a table: times stay as they are written, two columns of one name are refused."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from barograph.data.reading import COLUMNS
from barograph.data.table import plain
from barograph.errors import DataError

__all__ = ["table"]

_PACKED = (".gz", ".bz2", ".zip", ".xz", ".zst", ".tar")


def table(
    path: Path,
    separator: str = ",",
    encoding: str = "utf-8",
    foreign: bool = False,
    times: Iterable[str] = (),
    growing: bool = False,
) -> pd.DataFrame | None:
    """Read a CSV file with a header line; None when it has no whole line yet.

    With `foreign` marks of numbers all is text; `times` are columns that are text because they are times. In a file
    that is `growing` a line counts once it has its end.

    Raises `DataError` for two columns of one name, and what pandas raises for what is no table.
    """
    source: Path | io.StringIO = path
    if growing and path.suffix.lower() not in _PACKED:
        text = path.read_bytes().decode(encoding)
        source = io.StringIO(text[: text.rfind("\n") + 1])
        if not source.getvalue().strip():
            return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        names = _names(source, separator, encoding, path.name)
        # Pandas would take 27.12.2000 for a number where foreign marks are told, and 0930 for 930 everywhere.
        kind = "str" if foreign else {name: "str" for name in names if name in times or plain(name) in COLUMNS["time"]}
        return pd.read_csv(source, sep=separator, encoding=encoding, index_col=False, dtype=kind)


def _names(source: Path | io.StringIO, separator: str, encoding: str, name: str) -> list[str]:
    """Return the names in the header line, which pandas would tell apart by itself."""
    header = pd.read_csv(source, sep=separator, encoding=encoding, index_col=False, header=None, nrows=1, dtype="str")
    if isinstance(source, io.StringIO):
        source.seek(0)
    names = [str(one) for one in header.iloc[0].dropna()]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        raise DataError(f"{name}: two columns are called {twice!r}; wanted one: rename or remove the other")
    return names
