"""Daily returns of the S&P 500 and 20 of its stocks, 1990-2022: the data files of the package `skfolio`, if installed.

Only its files are read: the package itself, and what it needs, is not imported (`pip install --no-deps skfolio`).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

from barograph.types import Floats

MISSING = "skfolio: not installed"


def series() -> dict[str, Floats]:
    """Return the log returns of each series by name, the index first; nothing where the package is not installed."""
    found = importlib.util.find_spec("skfolio")
    if found is None or not found.submodule_search_locations:
        return {}
    folder = Path(found.submodule_search_locations[0]) / "datasets" / "data"
    index, stocks = (_returns(folder / f"sp500_{name}.csv.gz") for name in ("index", "dataset"))
    return {"SP500": index[:, 0]} | dict(zip(_names(folder / "sp500_dataset.csv.gz"), stocks.T.copy(), strict=True))


def _returns(path: Path) -> Floats:
    prices = pd.read_csv(path, index_col=0, parse_dates=True).to_numpy(dtype=np.float64)
    return np.diff(np.log(prices), axis=0)


def _names(path: Path) -> list[str]:
    return list(pd.read_csv(path, index_col=0, nrows=0).columns)
