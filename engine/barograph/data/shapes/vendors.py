"""The table of known shapes: what a vendor's columns are called, what its times name, and what its prices are.

A row says only what the vendor's own files always are. What differs from file to file (an exchange, a server's clock)
is left for people to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from barograph.data.calendars import ALWAYS

__all__ = ["HEADERLESS", "SHAPES", "Shape"]

_NEW_YORK: Final = "America/New_York"


class Shape(NamedTuple):
    """One vendor's files: `header` are column names (as `plain` has them) that all have to be there.

    `columns` maps parts to such names, "" leaves one out. `opens` says that times name a bar's open; `dates` are the
    separator and the order of its days and months, `decimal` its mark; `zone` is where its times are, or where its
    midnights are days; `clock` says whose clock it is when no file tells the zone. `prices` says how they are adjusted.
    `written` are names as the vendor spells them, where others only spell them differently; `first` are all names, in
    their order, where only that is its own.
    """

    name: str
    header: tuple[str, ...]
    columns: Mapping[str, str] = {}
    opens: bool = False
    calendar: str | None = None
    dates: tuple[str, str] | None = None
    decimal: str | None = None
    zone: str | None = None
    clock: str = ""
    prices: str = ""
    written: tuple[str, ...] = ()
    first: tuple[str, ...] = ()


_OHLC: Final = ("open", "high", "low", "close")
_INVESTING: Final = {
    "Portuguese": ("data", "último", "abertura", "máxima", "mínima", "vol.", "."),
    "Spanish": ("fecha", "último", "apertura", "máximo", "mínimo", "vol.", "."),
    "German": ("datum", "zuletzt", "eröffn.", "hoch", "tief", "vol.", "."),
    "French": ("date", "dernier", "ouv.", "plus_haut", "plus_bas", "vol.", "/"),
    "Italian": ("data", "ultimo", "apertura", "massimo", "minimo", "vol.", "."),
    "Dutch": ("datum", "laatst", "open", "hoog", "laag", "vol.", "-"),
    "Turkish": ("tarih", "şimdi", "açılış", "yüksek", "düşük", "hac.", "."),
    "Russian": ("дата", "цена", "откр.", "макс.", "мин.", "объём", "."),
}


def _investing(language: str, row: tuple[str, ...]) -> Shape:
    time, close, opening, high, low, volume, mark = row
    columns = {"time": time, "close": close, "open": opening, "high": high, "low": low, "volume": volume}
    return Shape(f"investing.com ({language})", row[:5], columns, dates=(mark, "DMY"), decimal=",",
                 prices="adjusted for splits")  # fmt: skip


SHAPES: Final[tuple[Shape, ...]] = (
    Shape("yfinance", ("date", *_OHLC, "adj_close", "volume", "dividends", "stock_splits"), {"split": ""},
          prices="adjusted for splits already, so that they are left out, and not for dividends"),
    Shape("yfinance", ("date", *_OHLC, "volume", "dividends", "stock_splits"), {"split": "", "dividend": ""},
          prices="adjusted for splits and dividends already, so that both columns are left out"),
    Shape("MetaTrader 5", ("date", *_OHLC, "tickvol", "vol", "spread"),
          {"time": "date", "clock": "time", "volume": "vol"}, opens=True, decimal=".", clock="its server's",
          prices="as quoted"),
    Shape("Stooq", ("ticker", "per", "date", "time", *_OHLC, "vol", "openint"),
          {"time": "date", "clock": "time", "volume": "vol"}, decimal=".", clock="its server's",
          prices="adjusted for splits and dividends"),
    Shape("Binance", ("open_time", *_OHLC, "volume", "close_time"), {"time": "open_time"}, opens=True,
          calendar=ALWAYS, decimal=".", zone="UTC", prices="as traded"),
    Shape("CryptoDataDownload", ("date", "symbol", *_OHLC, "unix"), {"time": "unix"}, opens=True, calendar=ALWAYS,
          zone="UTC", prices="as traded"),
    Shape("CryptoDataDownload", ("date", "symbol", *_OHLC, "unix_timestamp"), {"time": "unix_timestamp"}, opens=True,
          calendar=ALWAYS, zone="UTC", prices="as traded"),
    *(_investing(language, row) for language, row in _INVESTING.items()),
    Shape("investing.com (English)", ("date", "price", "open", "high", "low", "change_%"),
          {"close": "price", "volume": "vol."}, decimal=".", prices="adjusted for splits"),
    Shape("Nasdaq", ("date", "close/last"), {"close": "close/last"},
          dates=("/", "MDY"), decimal=".", prices="adjusted for splits"),
    Shape("Kraken", ("time", *_OHLC, "vwap", "volume", "count"), {}, opens=True, calendar=ALWAYS, zone="UTC",
          prices="as traded"),
    Shape("Alpaca", ("symbol", "timestamp", *_OHLC, "volume", "trade_count", "vwap"), {}, opens=True, zone=_NEW_YORK,
          prices="raw, unless adjustment was asked for"),
    Shape("Polygon", ("ticker", *_OHLC, "volume", "window_start", "transactions"), {"time": "window_start"},
          opens=True, zone=_NEW_YORK, prices="raw"),
    Shape("Polygon", ("v", "o", "c", "h", "l", "t"),
          {"time": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}, opens=True,
          zone=_NEW_YORK, prices="adjusted for splits, unless asked for otherwise"),
    Shape("Dukascopy", ("gmt_time",), {"time": "gmt_time", "volume": ""}, opens=True, dates=(".", "DMY"), decimal=".",
          zone="UTC", prices="as quoted; volume in millions is left out"),
    Shape("Dukascopy", ("local_time", *_OHLC), {"time": "local_time", "volume": ""}, opens=True, dates=(".", "DMY"),
          decimal=".", prices="as quoted; volume in millions is left out"),
    Shape("TradingView", ("time", *_OHLC, "volume"), {}, opens=True, prices="as the chart showed them",
          written=("time", "open", "high", "low", "close", "Volume")),
    Shape("Coinbase", ("time", "low", "high", "open", "close", "volume"), {}, opens=True, calendar=ALWAYS, zone="UTC",
          prices="as traded", first=("time", "low", "high", "open", "close", "volume")),
    Shape("Tiingo", ("date", "close", "high", "low", "open", "volume", "adjclose", "divcash", "splitfactor"),
          {"dividend": "divcash", "split": "splitfactor"}, prices="raw, with dividends and splits beside them"),
    Shape("Alpha Vantage", ("timestamp", *_OHLC, "adjusted_close", "volume", "dividend_amount", "split_coefficient"),
          {"adj_close": "adjusted_close", "dividend": "dividend_amount", "split": "split_coefficient"},
          prices="raw, with dividends and splits beside them"),
)  # fmt: skip
"""Known by their headers."""

_CLOCK: Final = r"\d{1,2}:\d\d(:\d\d)?"
_PRICE: Final = r"\d*\.?\d+"


class Headerless(NamedTuple):
    """A shape without a header line: what its cells look like, and whether nobody else writes so."""

    shape: Shape
    cells: tuple[str, ...]
    alone: bool


def _by_number(*parts: str) -> dict[str, str]:
    return {part: str(n + 1) for n, part in enumerate(parts) if part}


HEADERLESS: Final[dict[str, Headerless]] = {
    "binance": Headerless(
        Shape("Binance", (), {**_by_number("time", *_OHLC, "volume"), "quote_volume": "8"}, opens=True,
              calendar=ALWAYS, decimal=".", zone="UTC", prices="as traded"),
        (r"\d{13}|\d{16}", *[_PRICE] * 5, r"\d{13}|\d{16}", _PRICE, r"\d+", _PRICE, _PRICE, _PRICE), True),
    "metatrader4": Headerless(
        Shape("MetaTrader 4", (), _by_number("time", "clock", *_OHLC), opens=True, decimal=".", clock="its server's",
              prices="as quoted; volume counts ticks and is left out"),
        (r"\d{4}\.\d\d\.\d\d", r"\d\d:\d\d", *[_PRICE] * 4, r"\d+"), True),
    "kraken": Headerless(
        Shape("Kraken", (), _by_number("time", *_OHLC, "volume"), opens=True, calendar=ALWAYS, decimal=".",
              zone="UTC", prices="as traded"),
        (r"\d{10}", *[_PRICE] * 5, r"\d+"), False),
    "kibot": Headerless(
        Shape("Kibot", (), _by_number("time", "clock", *_OHLC, "volume"), opens=True, dates=("/", "MDY"), decimal=".",
              zone=_NEW_YORK, prices="adjusted for splits and dividends, unless it was bought raw"),
        (r"\d\d/\d\d/\d{4}", _CLOCK, *[_PRICE] * 4, r"\d+"), False),
    "kibot_daily": Headerless(
        Shape("Kibot", (), _by_number("time", *_OHLC, "volume"), dates=("/", "MDY"), decimal=".",
              prices="adjusted for splits and dividends, unless it was bought raw"),
        (r"\d\d/\d\d/\d{4}", *[_PRICE] * 4, r"\d+"), False),
    "histdata": Headerless(
        Shape("HistData", (), _by_number("time", *_OHLC), opens=True, decimal=".", zone="Etc/GMT+5",
              prices="as quoted; volume is always 0 and left out"),
        (r"\d{8} \d{6}", *[_PRICE] * 4, r"\d+"), False),
    "ninjatrader": Headerless(
        Shape("NinjaTrader", (), _by_number("time", *_OHLC, "volume"), decimal=".", clock="its user's",
              prices="as recorded"),
        (r"\d{8} \d{6}", *[_PRICE] * 4, r"\d+"), False),
}  # fmt: skip
"""Known by their cells, or told with ``shape = "..."`` where others write so too."""
