"""Real bars for the gate: those at hand, and small series of great days made to their public figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from barograph.data.history import FIELDS, History
from barograph_adapters.sample import nasdaq, sp500

__all__ = ["GREAT_DAYS", "at_hand", "great_days", "real"]

GREAT_DAYS = {
    "EURCHF, 2015-01-15": (0.0006, (1.2010, 0.9750, 0.9940, 1.0020)),
    "LUNA, 2022-05": (0.045, (64.1, 30.3, 17.5, 1.10, 0.0037, 0.00006, 0.00019)),
    "S&P 500, 1987-10-19": (0.0095, (282.7, 224.84, 236.83, 258.38)),
    "S&P 500, 2020-03": (0.009, (2972.4, 2746.6, 2882.2, 2741.4, 2480.6, 2711.0, 2386.1, 2529.2, 2398.1)),
}
"""The usual move before, and the closes of the great days, as they are publicly known; the first is the calm one."""

_ETFS = ("SPY", "QQQ", "GLD", "TLT", "IEF")


def great_days(name: str, seed: int = 0) -> tuple[History, int]:
    """Return closes that move as usual for 300 days, and then the great ones; and the row of the first of these."""
    usual, closes = GREAT_DAYS[name]
    calm = np.random.default_rng(seed).normal(0.0, usual, 300)
    before = closes[0] * np.exp(np.cumsum(calm) - np.sum(calm))
    return _history(pd.DataFrame({"close": [*before, *closes[1:]]})), 300


def real(shared: Path) -> dict[str, History]:
    """Return all real bars at hand, by name: those of the tests' own folder, and of the sample."""
    tables = {name: pd.read_parquet(shared / f"etf/{name}.parquet") for name in _ETFS}
    tables["VIX"] = pd.read_csv(shared / "vix/cboe_vix_daily.csv").rename(columns=str.lower)
    tables["NDX"] = pd.read_csv(shared / "ndx/NDX.csv")
    tables["BTCEUR, hours"] = pd.read_parquet(shared / "crypto/BTC-EUR_1h.parquet")
    # The volumes of this file are wrong, its prices are not.
    hours = pd.read_parquet(shared / "bad/BTCUSD_1h_volume_swapped.parquet").sort_index()
    tables["BTCUSD, hours"] = hours[~hours.index.duplicated()].drop(columns="volume")
    return {name: _history(table) for name, table in tables.items()} | at_hand()


def at_hand() -> dict[str, History]:
    """Return the real bars that come with the sample."""
    return {"S&P 500": sp500(), "NASDAQ": nasdaq()}


def _history(table: pd.DataFrame) -> History:
    close = table["close"].to_numpy(np.float64)
    whole = ~np.isnan(close)
    columns: dict[str, Any] = {name: table[name].to_numpy(np.float64)[whole] for name in FIELDS if name in table}
    ts = (10_000 + np.arange(int(whole.sum()))) * 86_400_000_000_000
    return History.from_arrays(ts, columns.pop("close"), calendar="24/7", **columns)
