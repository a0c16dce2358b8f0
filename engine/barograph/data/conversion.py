"""Prices in another currency: each is worth what the rate last known at its own moment makes of it.

A bar has two moments, its open and its close. The open, and what is paid before it (dividends, a final price), take the
rate known when the bar opened; high, low and close take the one known when it closed, and high and low are widened to
hold the open. A rate counts from its own close on, so none comes from the future.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from barograph.data.calendars import Times, opened
from barograph.data.history import History
from barograph.data.table import spacing
from barograph.epoch import DAY
from barograph.errors import DataError, nearest
from barograph.types import Floats

__all__ = ["Conversion", "converted"]

_STALE: Final = 10


@dataclass(frozen=True)
class Conversion:
    """The account's currency, and for each other one its price in it: a history, or the symbol of an asset observed.

    Currencies in `inverse` are quoted the other way round: 150 yen for a dollar.

    Raises `DataError` when an inverse has no rate.
    """

    to: str
    rates: Mapping[str, History | str] = field(default_factory=dict)
    inverse: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what turns round no rate, and an account without a currency."""
        if not self.to:
            raise DataError('convert: to is empty; wanted the currency of the account, as in to = "USD"')
        for name in self.inverse:
            if name not in self.rates:
                known = ", ".join(self.rates) or "none"
                raise DataError(
                    f"convert.inverse: no rate of {name!r}{nearest(name, self.rates)}; there are rates of {known}"
                )

    def among(self, parts: Sequence[History]) -> Conversion:
        """Return the same with every symbol found among these histories.

        Raises `DataError` for a symbol that none of them has.
        """
        found = {name: _asset(name, rate, parts) for name, rate in self.rates.items()}
        return replace(self, rates=found)


def _asset(name: str, rate: History | str, parts: Sequence[History]) -> History:
    if not isinstance(rate, str):
        return rate
    symbols = [symbol for part in parts for symbol in part.symbols]
    if rate not in symbols:
        raise DataError(
            f"convert.rates.{name}: no asset {rate!r}{nearest(rate, symbols)}; wanted a loader, or one of "
            f"{', '.join(symbols)}"
        )
    return next(part for part in parts if rate in part.symbols).only(rate)


def converted(history: History, conversion: Conversion) -> History:
    """Return a history with its traded assets in the currency of the account; what is observed stays as it is quoted.

    >>> days = DAY * np.arange(1, 4)
    >>> euro = History.from_arrays(days, [1.0, 1.1, 1.2], symbols=["EURUSD"], calendar="24/7")
    >>> dax = History.from_arrays(days, [10.0, 10.0, 10.0], symbols=["DAX"], calendar="24/7", currency="EUR")
    >>> found = converted(dax, Conversion("USD", {"EUR": euro}))
    >>> found.open[1:, 0].round(2), found.close[1:, 0].round(2), found.currency
    (array([10., 11.]), array([11., 12.]), 'USD')

    Raises `DataError` when a currency is not said, has no rate, or has none when a bar opens or closes.
    """
    own = history.currency
    if own == conversion.to or not any(history.traded):
        return history
    name = next(s for s, flag in zip(history.symbols, history.traded, strict=True) if flag)
    if not own:
        raise DataError(f'convert: {name} says no currency; wanted currency = "..." where it is loaded')
    if len(history.calendars) > 1:
        raise DataError(f"convert: {name} is joined with other markets ({history.calendar}); convert before joining")
    if own not in conversion.rates:
        hint = nearest(own, conversion.rates)
        raise DataError(f"convert: no rate of {own}, which {name} is quoted in{hint}; set data.convert.rates.{own}")
    rate = _asset(own, conversion.rates[own], [history])
    moments, values = _series(own, rate, own in conversion.inverse)
    opens = opened(history.calendar, history.ts, spacing(history.ts) or DAY)
    at_open, at_close = (_last_known(moments, values, when) for when in (opens, history.ts))
    _refuse_gaps(history, own, moments, at_open)
    return replace(history, currency=conversion.to, **_columns(history, at_open[:, None], at_close[:, None]))


def _series(name: str, rate: History, inverse: bool) -> tuple[Times, Floats]:
    """Return the moments of a rate and its values, the right way round."""
    if len(rate.symbols) != 1:
        raise DataError(f"convert.rates.{name}: {rate.source} holds {', '.join(rate.symbols)}; wanted one rate")
    known = ~np.isnan(rate.close[:, 0])
    moments, values = rate.ts[known], rate.close[known, 0]
    wrong = ~(np.isfinite(values) & (values > 0.0))
    if not known.any() or wrong.any():
        told = f"{values[np.argmax(wrong)]:.10g}" if known.any() else "nothing"
        raise DataError(f"convert.rates.{name}: {rate.source} holds {told}; wanted prices above 0")
    return moments, 1.0 / values if inverse else values


def _last_known(moments: Times, values: Floats, when: Times) -> Floats:
    at = np.searchsorted(moments, when, side="right") - 1
    return np.where(at >= 0, values[np.maximum(at, 0)], np.nan)


def _refuse_gaps(history: History, name: str, moments: Times, at_open: Floats) -> None:
    """Refuse bars without a rate, or with one ten days (ten of its own steps) old; the first may lack its open's."""
    missing = np.isnan(at_open)
    missing[0] &= len(history) == 1 or history.ts[0] < moments[0]
    last = moments[np.maximum(np.searchsorted(moments, history.ts, side="right") - 1, 0)]
    bad = missing | (history.ts - last > _STALE * max(spacing(moments), DAY))
    if bad.any():
        row = int(np.argmax(bad))
        known = str(np.datetime64(int(last[row]), "ns").astype("datetime64[m]"))
        raise DataError(
            f"convert.rates.{name}: no fresh rate is known for the bar of {', '.join(history.symbols)} on "
            f"{history.when(row)}, the nearest is that of {known}; wanted rates from before its open on"
        )


def _columns(history: History, at_open: Floats, at_close: Floats) -> dict[str, Any]:
    """Convert the columns of what is traded; a bar whose open cannot be told is no bar."""
    open_, high, low, close = (
        getattr(history, name) * rate
        for name, rate in (("open", at_open), ("high", at_close), ("low", at_close), ("close", at_close))
    )
    lost = np.isnan(at_open)
    found = {
        "open": open_,
        "high": np.where(np.isnan(high), np.nan, np.fmax(high, np.fmax(open_, close))),
        "low": np.where(np.isnan(low), np.nan, np.fmin(low, np.fmin(open_, close))),
        "close": close,
        "volume": history.volume,
    }
    found = {name: np.where(lost, np.nan, values) for name, values in found.items()}
    if history.dividends is not None:
        found["dividends"] = np.where(lost, 0.0, history.dividends * at_open)
    if history.final is not None:
        found["final"] = history.final * at_open
    traded: NDArray[np.bool_] = np.array(history.traded)
    return {name: np.where(traded, values, getattr(history, name)) for name, values in found.items()}
