"""Yearly rates that change as time goes by: what cash earns, what borrowing costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.errors import DataError
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rate", "rates_on"]


@dataclass(frozen=True, eq=False)
class Rate:
    """A yearly rate that changes: moments (int64 ns UTC, increasing) from which each value (a fraction) holds.

    >>> import pandas as pd
    >>> bills = Rate.of(pd.Series([0.05, 0.04], index=pd.to_datetime(["2024-01-02", "2024-07-01"])))
    >>> float(bills.values[1])
    0.04

    Raises `DataError` when time does not increase or a rate is not a number.
    """

    ts: Any
    values: Floats

    @classmethod
    def of(cls, series: pd.Series) -> Rate:
        """Make a rate of a series with a time index."""
        from barograph.data.calendars import nanoseconds

        return cls(nanoseconds(series.index), np.array(series, dtype=np.float64))

    def __post_init__(self) -> None:
        """Refuse what is no rate."""
        if len(self.ts) == 0 or len(self.ts) != len(self.values):
            found = f"{len(self.ts)} moments and {len(self.values)} values"
            raise DataError(f"a rate wants moments and as many values; found {found}")
        back = np.diff(self.ts) <= 0
        if back.any():
            row = int(np.argmax(back)) + 1
            now, before = (
                np.datetime64(int(t), "ns").astype("datetime64[s]") for t in (self.ts[row], self.ts[row - 1])
            )
            raise DataError(f"a rate wants increasing moments; row {row} is {now}, after {before}: sort them")
        if not np.isfinite(self.values).all():
            raise DataError(f"a rate of {len(self.values)} values holds one that is not a number; remove the row")
        if np.any(np.abs(self.values) >= 2.0):
            most = self.values[np.argmax(np.abs(self.values))]
            raise DataError(f"a rate holds {most:g}, which is {most:.0%} a year; wanted fractions (or percent = true)")

    def on(self, ts: Any) -> Floats:
        """Return the rate in force before each bar: known at the close of the one before."""
        before = np.concatenate([ts[:1], ts[:-1]])
        at = np.searchsorted(self.ts, before, side="right") - 1
        if at[0] < 0:
            first, wanted = (np.datetime64(int(t), "ns").astype("datetime64[D]") for t in (self.ts[0], ts[0]))
            raise DataError(f"the rate begins on {first}, the history on {wanted}; begin the rate there or earlier")
        return np.asarray(self.values[at], dtype=np.float64)


def rates_on(ts: Any, borrow: float | Rate, cash: float | Rate) -> Floats:
    """Return the rates on negative and positive cash, (T, 2), or (1, 2) when neither changes."""
    if not isinstance(borrow, Rate) and not isinstance(cash, Rate):
        return np.array([[float(borrow), float(cash)]])
    columns = []
    for key, rate in (("borrow_rate", borrow), ("cash_rate", cash)):
        try:
            columns.append(rate.on(ts) if isinstance(rate, Rate) else np.full(len(ts), float(rate)))
        except DataError as error:
            raise DataError(f"execution.{key}: {error}") from None
    return np.ascontiguousarray(np.column_stack(columns))
