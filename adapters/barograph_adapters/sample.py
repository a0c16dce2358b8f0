"""Real daily bars without a download: S&P 500 and NASDAQ, 1999-01-04..2018-12-31, from the package `arch`.

>>> history = sp500()
>>> len(history), history.when(0), history.when(-1)
(5031, '1999-01-04', '2018-12-31')
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from barograph.data.history import History
from barograph.data.table import Reading
from barograph.errors import DataError, with_extra

__all__ = ["nasdaq", "sp500"]


def sp500(start: str | None = None, end: str | None = None) -> History:
    """Return the S&P 500 index: daily open, high, low, close and volume, n = 5,031 bars."""
    return _index("sp500", "SP500", start, end)


def nasdaq(start: str | None = None, end: str | None = None) -> History:
    """Return the NASDAQ Composite index: daily open, high, low, close and volume, n = 5,031 bars."""
    return _index("nasdaq", "NASDAQ", start, end)


def _index(name: str, symbol: str, start: str | None, end: str | None) -> History:
    # The package's file is read where it lies: importing arch for its loader takes a second and all of scipy.stats.
    package = find_spec("arch")
    if package is None or package.origin is None:
        raise DataError(f"the sample data come with the package arch; {with_extra('sample')}")
    path = Path(package.origin).parent / "data" / name / f"{name}.csv.gz"
    if not path.is_file():
        raise DataError(f"this version of the package arch has no {path.name}; pip install 'arch>=8,<9'")
    frame = pd.read_csv(path)
    how = Reading(source=f"arch.data.{name}", symbol=symbol, date_format="%m/%d/%Y")
    return History.from_table(frame, how, start, end)
