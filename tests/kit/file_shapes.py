"""More than forty shapes of files, in each vendor's form, each with its true bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tests.kit.file_grids import Bars, Grid, hours, ns, sessions, walk

HOUR = 3_600_000_000_000
DAYS, CLOSES = sessions()
DAILY = walk(CLOSES, 1)
RAW = walk(CLOSES, 2, price=1300.0)
YEN = walk(CLOSES, 8, 0, 38_000.0)
NONE = np.full(len(CLOSES), np.nan)
BRAZIL = walk(ns([day + pd.Timedelta(hours=19) for day in pd.bdate_range("2000-12-04", periods=15)]), 3, 0, 15_000.0)
COINS = hours("2024-06-28 20:00", 60)
LATER = [one + pd.Timedelta(hours=1) for one in COINS]
COIN = walk([t + HOUR for t in ns(COINS)], 4, 2, 62_000.0)


def week() -> list[pd.Timestamp]:
    """Return the hours of two weeks of currencies, from Sunday 21:00 UTC to Friday 21:00, that bars begin at."""
    every = pd.date_range("2024-06-16 21:00", "2024-06-28 20:00", freq="h")
    return [one for one in every if not (one.day_of_week == 5 or (one.day_of_week == 4 and one.hour > 20)
                                         or (one.day_of_week == 6 and one.hour < 21))]  # fmt: skip


PAIRS = week()
PAIR = walk([t + HOUR for t in ns(PAIRS)], 5, 5, 1.07, volume=False)


def plain(values: Sequence[float], digits: int = 2) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def whole(values: Sequence[float]) -> list[str]:
    return [f"{value:.0f}" for value in values]


def foreign(values: Sequence[float], digits: int = 2, point: str = ",", comma: str = ".") -> list[str]:
    """Write numbers with thousands as other countries do."""
    return [f"{value:,.{digits}f}".translate({ord(","): comma, ord("."): point}) for value in values]


def dates(form: str, days: Sequence[pd.Timestamp] = DAYS) -> list[str]:
    return [day.strftime(form) for day in days]


def rows(*columns: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(zip(*columns, strict=True))


def prices(bars: Bars, order: str = "ohlc", write: Callable[[Sequence[float]], list[str]] = plain) -> list[list[str]]:
    return [write(getattr(bars, {"o": "open", "h": "high", "l": "low", "c": "close"}[letter])) for letter in order]


def grid(name: str, header: str, body: tuple[tuple[str, ...], ...], truth: Bars, **more: Any) -> Grid:
    """Make a grid whose header is told in one line, its names parted by commas."""
    names = tuple(header.split(",")) if header else ()
    return Grid(name, (names,) if names else (), body, truth, **more)


def backwards(name: str, header: str, body: tuple[tuple[str, ...], ...], truth: Bars, **more: Any) -> Grid:
    """Make a grid whose rows stand newest first."""
    return grid(name, header, body, truth, back=True, **more)


def unknown(bars: Bars) -> Bars:
    return bars._replace(volume=np.full(len(bars.ts), np.nan))


VOLUME = whole(DAILY.volume)
ISO = dates("%Y-%m-%d")
PLAIN = "Date,Open,High,Low,Close,Volume"
ZEROS = ["0"] * len(DAYS)


def yfinance() -> list[Grid]:
    local = [f"{day} 00:00:00-04:00" for day in ISO]
    own = rows(ISO, *prices(DAILY, "chlo"), VOLUME)
    names = ("Close", "High", "Low", "Open", "Volume")
    actions = "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits"
    paid = ["0.0"] * 9 + ["0.25"] + ["0.0"] * 10
    split = ["0.0"] * 12 + ["4.0"] + ["0.0"] * 7
    three = (("Price", *names), ("Ticker", *["SPY"] * 5), ("Date", *[""] * 5))
    pairs = (("Price", *[n for n in names for _ in "AB"]), ("Ticker", *["QQQ", "SPY"] * 5), ("Date", *[""] * 10))
    both = rows(ISO, *[c for pair in zip(prices(RAW, "chlo"), prices(DAILY, "chlo"), strict=True) for c in pair],
                VOLUME, VOLUME)  # fmt: skip
    return [
        grid("yfinance history", actions, rows(local, *prices(DAILY), VOLUME, paid, split), DAILY),
        Grid("yfinance three lines", three, own, DAILY),
        Grid("yfinance three lines, two assets", pairs, both, DAILY, {"symbol": "SPY"}),
        Grid("yfinance by ticker", (three[1][:1] + ("SPY",) * 5, ("Price", *names), three[2]), own, DAILY),
        Grid("yfinance two lines", (("Date", *names), ("", *["SPY"] * 5)), own, DAILY),
        grid("Yahoo", "Date,Open,High,Low,Close,Adj Close,Volume",
             rows(ISO, *prices(DAILY), plain(DAILY.close / 2), VOLUME), DAILY),
    ]  # fmt: skip


def metatrader() -> list[Grid]:
    date, clock = dates("%Y.%m.%d", PAIRS), dates("%H:%M", PAIRS)
    ticks = [str(100 + n) for n in range(len(PAIRS))]
    five = [write5(values) for values in (PAIR.open, PAIR.high, PAIR.low, PAIR.close)]
    zeros = ["0"] * len(PAIRS)
    head = "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>"
    daily = "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>"
    fx = {"time_zone": "UTC", "calendar": "FX"}
    return [
        grid("MetaTrader 5", head, rows(date, [f"{c}:00" for c in clock], *five, ticks, zeros, zeros), PAIR, words=fx,
             separator="\t", encoding="utf-16", ends="\r\n", file="EURUSD_H1.csv", times=(0, 1)),
        grid("MetaTrader 5 daily", daily, rows(dates("%Y.%m.%d"), *prices(DAILY), ["7"] * 20, VOLUME, ZEROS), DAILY,
             separator="\t", file="SPY.csv"),
        grid("MetaTrader 4", "", rows(date, clock, *five, ticks), PAIR, words=fx, file="EURUSD60.csv", times=(0, 1)),
    ]  # fmt: skip


def write5(values: Sequence[float]) -> list[str]:
    return plain(values, 5)


def crypto() -> list[Grid]:
    begins = np.array(ns(COINS))
    pair = [plain(values) for values in (COIN.open, COIN.high, COIN.low, COIN.close)]
    amount, money = whole(COIN.volume), plain(COIN.volume * COIN.close)
    count = ["12"] * len(COINS)

    def epoch(unit: int) -> list[str]:
        return [str(t // unit) for t in begins]

    def klines(unit: int, ns_unit: int) -> tuple[tuple[str, ...], ...]:
        ends = [str((t + HOUR) // ns_unit - 1) for t in begins]
        return rows(epoch(ns_unit), *pair, amount, ends, money, count, amount, money, ["0"] * len(COINS))

    head = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_volume,taker_quote_volume,ignore"
    cdd = rows(epoch(10**6), dates("%Y-%m-%d %H:%M:%S", COINS), ["BTC/USDT"] * 60, *pair, amount, money)[::-1]
    kraken = rows(epoch(10**9), *pair, amount, count)
    coinbase = rows(epoch(10**9), *(pair[n] for n in (2, 1, 0, 3)), amount)[::-1]
    return [
        grid("Binance", "", klines(3, 10**6), COIN, file="BTCUSDT-1h-2024-06.zip", packed="zip"),
        grid("Binance in microseconds", "", klines(6, 10**3), COIN, file="BTCUSDT-1h-2025-01.csv"),
        grid("Binance futures", head, klines(3, 10**6), COIN),
        backwards("CryptoDataDownload", "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT", cdd, COIN,
             before=("https://www.CryptoDataDownload.com",), file="Binance_BTCUSDT_1h.csv", times=(0, 1)),
        grid("Kraken", "", kraken, COIN, words={"shape": "kraken"}, file="XBTUSD_60.csv"),
        grid("Kraken with names", "time,open,high,low,close,vwap,volume,count",
             rows(epoch(10**9), *pair, pair[3], amount, count), COIN),
        backwards("Coinbase", "time,low,high,open,close,volume", coinbase, COIN),
    ]  # fmt: skip


def investing() -> list[Grid]:
    days = list(pd.bdate_range("2000-12-04", periods=15))[::-1]
    back = BRAZIL.at(slice(None, None, -1))
    volume = [f"{value / 1e6:.2f}M".replace(".", ",") for value in np.arange(15) * 1e6 + 239_980_000]
    truth = BRAZIL._replace(volume=(np.arange(15) * 1e6 + 239_980_000)[::-1])
    body = rows(dates("%d.%m.%Y", days), *prices(back, "cohl", lambda v: foreign(v, 0)), volume, ["2,65%"] * 15)
    german = walk(ns([day + pd.Timedelta(hours=15, minutes=30) for day in DAYS]), 6, 2, 18_000.0)
    lots = np.arange(20) * 1e4 + 8_820_000
    us = rows(dates("%m/%d/%Y", DAYS[::-1]), *prices(DAILY.at(slice(None, None, -1)), "cohl"),
              [f"{v / 1000:.3f}K" for v in DAILY.volume[::-1]], ["0.5%"] * 20)  # fmt: skip
    india = rows(dates("%d-%m-%Y"), *prices(RAW, "cohl", lambda v: [f"{x:,.2f}" for x in v]),
                 [f"{v / 1e6:.2f}M" for v in lots], ["0.5%"] * 20)  # fmt: skip
    return [
        backwards("investing.com in Portuguese", "Data,Último,Abertura,Máxima,Mínima,Vol.,Var%", body, truth,
             words={"calendar": "BVMF"}, quoted=True, encoding="utf-8-sig", file="IBOV.csv"),
        grid("investing.com in German", "Datum,Zuletzt,Eröffn.,Hoch,Tief,Vol.,+/- %",
             rows(dates("%d.%m.%Y"), *prices(german, "cohl", foreign),
                  [f"{v / 1e6:.2f}M".replace(".", ",") for v in lots], ["0,1%"] * 20),
             german._replace(volume=lots), words={"calendar": "XETR"}, quoted=True),
        grid("investing.com in French", "Date,Dernier,Ouv., Plus Haut,Plus Bas,Vol.,Variation %",
             rows(dates("%d/%m/%Y"), *prices(DAILY, "cohl", foreign), [""] * 20, ["0,1%"] * 20), unknown(DAILY),
             quoted=True),
        backwards("investing.com in English", "Date,Price,Open,High,Low,Vol.,Change %", us, DAILY, quoted=True,
             encoding="utf-8-sig"),
        grid("investing.com in India", "Date,Price,Open,High,Low,Vol.,Change %", india, RAW._replace(volume=lots),
             quoted=True),
    ]  # fmt: skip


def american() -> list[Grid]:
    back = DAILY.at(slice(None, None, -1))
    dollars = prices(back, "cohl", lambda v: [f"${x:.2f}" for x in v])
    nasdaq = rows(dates("%m/%d/%Y", DAYS[::-1]), dollars[0], whole(back.volume), *dollars[1:])
    early = [f"{day} 04:00:00+00:00" for day in ISO]
    alpaca = "symbol,timestamp,open,high,low,close,volume,trade_count,vwap"
    pairs = [q + s for q, s in zip(prices(RAW), prices(DAILY), strict=True)]
    two = rows(["QQQ"] * 20 + ["SPY"] * 20, early * 2, *pairs, VOLUME * 2, ["9"] * 40, ["1.0"] * 40)
    begins = [str(day.as_unit("ns").value + 4 * HOUR) for day in DAYS]
    polygon = rows(["SPY"] * 20, VOLUME, *prices(DAILY, "ochl"), begins, ["9"] * 20)
    short = rows(VOLUME, ["1.0"] * 20, *prices(DAILY, "ochl"), [str(int(t) // 10**6) for t in begins], ["9"] * 20)
    spaced = rows(dates("%m/%d/%y", DAYS[::-1]), *[[f" {x}" for x in column] for column in prices(back)])
    bar = rows(dates("%m/%d/%Y"), *prices(DAILY, "ohlc"), ["0.1"] * 20, ["0.05%"] * 20, VOLUME)
    tiingo = rows([f"{day}T00:00:00.000Z" for day in ISO], *prices(DAILY, "chlo"), VOLUME, plain(DAILY.close / 2),
                  ["0.0"] * 20, ["1.0"] * 20)  # fmt: skip
    av = rows(ISO[::-1], *prices(back), plain(back.close / 2), whole(back.volume), ["0.0"] * 20, ["1.0"] * 20)
    return [
        backwards("Nasdaq", "Date,Close/Last,Volume,Open,High,Low", nasdaq, DAILY),
        grid("Alpaca", alpaca, two[20:], DAILY, times=(1,)),
        grid("Alpaca, two assets", alpaca, two, DAILY, words={"symbol": "SPY"}, times=(1,)),
        grid("Polygon flat file", "ticker,volume,open,close,high,low,window_start,transactions", polygon, DAILY,
             packed="gz", file="2024-06-17.csv.gz", times=(6,)),
        grid("Polygon aggregates", "v,vw,o,c,h,l,t,n", short, DAILY, times=(6,)),
        backwards("Wall Street Journal", "Date, Open, High, Low, Close", spaced, unknown(DAILY)),
        grid("Barchart", "Time,Open,High,Low,Last,Change,%Chg,Volume", bar, DAILY, words={"columns": {"close": "Last"}},
             after=("Downloaded from Barchart.com as of 07-16-2024 05:10am CDT",)),
        grid("Tiingo", "date,close,high,low,open,volume,adjClose,divCash,splitFactor", tiingo, DAILY),
        backwards("Alpha Vantage",
                  "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient", av, DAILY),
        grid("CBOE", "DATE,OPEN,HIGH,LOW,CLOSE", rows(dates("%m/%d/%Y"), *prices(DAILY)), unknown(DAILY)),
        grid("Macrotrends", "date,open,high,low,close,volume", rows(ISO, *prices(DAILY), VOLUME), DAILY,
             before=("Macrotrends Data Download", "", "SPY - Historical Price Data", "", "Disclaimer, and more", "")),
        grid("Kibot", "", rows(dates("%m/%d/%Y"), *prices(DAILY), VOLUME), DAILY, words={"shape": "kibot_daily"}),
    ]  # fmt: skip


def others() -> list[Grid]:
    begins = dates("%d.%m.%Y %H:%M:%S.000", PAIRS)
    five = [write5(values) for values in (PAIR.open, PAIR.high, PAIR.low, PAIR.close)]
    stooq = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    local = [f"{one:%Y-%m-%dT%H:%M:%S}Z" for one in COINS]
    coin = prices(COIN)
    german = walk(ns([day + pd.Timedelta(hours=15, minutes=30) for day in DAYS]), 7, 2, 1_800.0)
    ariva = rows(ISO[::-1], *prices(german.at(slice(None, None, -1)), "ohlc", foreign),
                 foreign(german.volume[::-1], 0), foreign(german.volume[::-1] * 1000.0, 0))  # fmt: skip
    names = {"time": "Datum", "open": "Erster", "high": "Hoch", "low": "Tief", "close": "Schlusskurs"}
    euronext = rows(dates("%d/%m/%Y"), *prices(german), VOLUME)
    nse = rows(dates("%d-%b-%Y"), ["EQ"] * 20, *prices(RAW, "ohl", lambda v: [f"{x:,.2f}" for x in v]),
               *prices(RAW, "c", lambda v: [f"{x:,.2f}" for x in v]))  # fmt: skip
    hist = rows(dates("%Y%m%d %H%M%S", [one - pd.Timedelta(hours=5) for one in PAIRS]), *five, ["0"] * len(PAIRS))
    return [
        grid("Dukascopy", "Gmt time,Open,High,Low,Close,Volume", rows(begins, *five, ["3.5"] * len(PAIRS)), PAIR,
             words={"calendar": "FX"}, file="EURUSD_Candlestick_1_Hour_BID.csv"),
        grid("HistData", "", hist, PAIR, words={"shape": "histdata", "calendar": "FX"}, separator=";"),
        grid("Stooq", stooq, rows(["SPY.US"] * 20, ["D"] * 20, dates("%Y%m%d"), ["000000"] * 20, *prices(DAILY), VOLUME,
                                  ZEROS), DAILY, file="spy.us.txt", times=(2, 3)),
        grid("Stooq's page", PLAIN, rows(ISO, *prices(DAILY), VOLUME), DAILY),
        grid("TradingView", "time,open,high,low,close,Volume", rows(local, *coin, whole(COIN.volume)), COIN,
             words={"calendar": "24/7"}),
        backwards("ariva", "Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke;Volumen".replace(";", ","), ariva, german,
             words={"calendar": "XETR", "columns": {**names, "volume": "Stuecke"}}, separator=";", encoding="cp1252"),
        grid("Euronext", "Date,Open,High,Low,Close,Volume", euronext, german._replace(volume=DAILY.volume),
             words={"calendar": "XETR"}, separator=";", before=("Historical Data", "From 2024-06-17", "FR0000")),
        grid("NSE of India", "Date ,series ,OPEN ,HIGH ,LOW ,close ", nse, unknown(RAW), quoted=True,
             encoding="utf-8-sig"),
        grid("bars by the day in words", PLAIN, rows(dates("%b %d, %Y"), *prices(DAILY), VOLUME), DAILY, quoted=True),
        grid("Swiss numbers", PLAIN, rows(dates("%d.%m.%Y"), *prices(RAW, "ohlc", lambda v: foreign(v, 2, ".", "'")),
                                          VOLUME), RAW._replace(volume=DAILY.volume), separator=";"),
        grid("BRK.B", PLAIN, rows(ISO, *prices(DAILY), VOLUME), DAILY, file="BRK.B.CSV", ends="\r"),
        grid("FRED", "observation_date,VIXCLS", rows(ISO, plain(DAILY.close)),
             Bars(DAILY.ts, *[DAILY.close] * 4, NONE),
             words={"columns": {"time": "observation_date", "close": "VIXCLS"}}),
        grid("whole numbers", PLAIN, rows(ISO, *prices(YEN, "ohlc", whole), VOLUME), YEN._replace(volume=DAILY.volume)),
        grid("two readings", PLAIN, rows(dates("%d/%m/%Y", [pd.Timestamp(2024, 6, d) for d in (3, 4, 5, 6, 7)]),
                                         *[c[:5] for c in prices(DAILY)], VOLUME[:5]),
             Bars(np.array(ns([pd.Timestamp(2024, 6, d, 20) for d in (3, 4, 5, 6, 7)])), *(c[:5] for c in DAILY[1:])),
             words={"date_format": "%d/%m/%Y"}),
    ]  # fmt: skip


def refusals() -> list[Grid]:
    """Return what nobody can read, and what it is told."""
    thousands = prices(walk(CLOSES, 9, 3, 15.0), "ohlc", lambda v: plain(v, 3))
    three = rows(["SPY", "QQQ"] * 10, ISO, *prices(DAILY), VOLUME)
    return [
        grid("thousands or decimals", PLAIN, rows(ISO, *thousands, VOLUME), DAILY, separator=";",
             refused=r"line 2: '.*' is .* \(decimal = '\.'\) or .* \(decimal = ',', thousands = '\.'\)"),
        grid("no names", "", rows(ISO, *prices(DAILY), VOLUME), DAILY, refused="number them: header = false"),
        grid("a zone that is two", PLAIN, rows([f"{d} 09:30 EST" for d in ISO], *prices(DAILY), VOLUME), DAILY,
             refused=r"no time; say how times are written with date_format="),
        grid("twelve digits", PLAIN, rows(dates("%Y%m%d1600"), *prices(DAILY), VOLUME), DAILY,
             refused=r"date_format = 'ms'\) or .*date_format = '%Y%m%d%H%M'"),
        grid("MetaTrader's clock", "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>",
             rows(dates("%Y.%m.%d"), ["10:00:00"] * 20, *prices(DAILY), VOLUME, ZEROS, ZEROS), DAILY, separator="\t",
             refused="MetaTrader 5 writes its server's clock.*time_zone="),
        grid("two assets", f"Symbol,{PLAIN}", three, DAILY, refused="holds the symbols SPY, QQQ; choose one"),
        grid("decimal commas between commas", PLAIN, tuple(tuple(",".join(row).replace(".", ",").split(",")) for row in
                                                           rows(ISO, *prices(DAILY), VOLUME)), DAILY,
             refused="is a mark of numbers the separator"),
        grid("a line of totals", PLAIN, (*rows(ISO, *prices(DAILY), VOLUME), ("Total", "", "", "", "", "99")), DAILY,
             refused="line 22: 'Total' is no time, and a line without one is no bar: remove it"),
        grid("totals without a name", PLAIN, (*rows(ISO, *prices(DAILY), VOLUME), ("", "", "", "", "5.5", "99")), DAILY,
             refused="line 22: there is no time, and a line without one is no bar: remove it"),
        grid("a dividend among the bars", PLAIN,
             (*rows(ISO, *prices(DAILY), VOLUME), ("2024-07-15", *["1 Dividend"] * 5)), DAILY,
             refused="'1 Dividend' is no number; a line of words is no bar: remove it"),
        grid("weeks", PLAIN, rows([f"2024-W{n:02d}" for n in range(20, 40)], *prices(DAILY), VOLUME), DAILY,
             refused="'2024-W20' is a week; wanted the date of its last session"),
        grid("days of a spreadsheet", PLAIN, rows([str(45460 + n) for n in range(20)], *prices(DAILY), VOLUME), DAILY,
             refused="if a spreadsheet counts days so, 45460 is 2024-06-17"),
        grid("two zones", PLAIN, rows([f"{d} 09:30 US/{('East', 'West')[n % 2]}ern" for n, d in enumerate(ISO)],
                                      *prices(DAILY), VOLUME), DAILY,
             refused="line 3: .* is of another zone than 'US/Eastern'"),
        grid("Markdown", "", (("", "Date", "Close", ""), ("", "---", "---", ""), ("", "2024-07-01", "5.0", "")), DAILY,
             separator="|", refused="it is a table in Markdown"),
        grid("spaces", "", tuple((f"{a}   {b:>9}   {b:>9}",) for a, b in zip(ISO, plain(DAILY.close), strict=True)),
             DAILY, refused="parted by spaces alone"),
    ]  # fmt: skip


def elsewhere() -> list[Grid]:
    """Return what is written in other words, by hand, and by what ends lines twice."""
    german = {
        "time": "Datum",
        "open": "Eröffnung",
        "high": "Hoch",
        "low": "Tief",
        "close": "Schluss",
        "volume": "Stück",
    }
    chinese = {"time": "日期", "open": "开盘", "high": "最高", "low": "最低", "close": "收盘", "volume": "成交量"}
    terminal = {part: f"PX_{part.upper()}" for part in ("open", "high", "low")} | {"close": "PX_LAST"}
    comma = partial(foreign, point=",", comma=" ")
    zone = [f"{one.tz_localize('UTC').tz_convert('US/Eastern'):%Y%m%d %H:%M:%S} US/Eastern" for one in LATER]
    own = rows(ISO, *prices(DAILY), VOLUME)
    mixed = tuple(
        row
        for pair in zip(
            rows(ISO, *prices(DAILY), VOLUME, ["AAL"] * 20), rows(ISO, *prices(RAW), VOLUME, ["ZTS"] * 20), strict=True
        )
        for row in pair
    )
    return [
        grid("German names", "Datum,Eröffnung,Hoch,Tief,Schluss,Stück",
             rows(dates("%d.%m.%Y"), *prices(RAW, "ohlc", foreign), VOLUME), RAW._replace(volume=DAILY.volume),
             words={"columns": german}, separator=";", encoding="utf-8-sig"),
        grid("Chinese names", "日期,开盘,收盘,最高,最低,成交量", rows(ISO, *prices(DAILY, "ochl"), VOLUME), DAILY,
             words={"columns": chinese}),
        grid("a terminal's names", "Date,PX_OPEN,PX_HIGH,PX_LOW,PX_LAST", rows(dates("%m/%d/%Y"), *prices(DAILY)),
             unknown(DAILY), words={"columns": terminal}, before=("Security,SPY US Equity", "Currency,USD", "")),
        grid("French numbers", "Date,Open,High,Low,Close", rows(dates("%d/%m/%Y"), *prices(RAW, "ohlc", comma)),
             unknown(RAW), separator=";"),
        grid("footnotes", "Date,Open,High,Low,Close*,Adj Close**,Volume",
             rows(dates("%b %d, %Y"), *prices(DAILY), plain(DAILY.close / 2), VOLUME), DAILY, quoted=True),
        grid("an index without a name", ",Open,High,Low,Close,Volume", own, DAILY),
        grid("rows with numbers", ",Date,Open,High,Low,Close,Volume",
             tuple((str(n), *row) for n, row in enumerate(own)), DAILY, times=(1,)),
        grid("Swiss numbers between commas", "Date,Open,High,Low,Close",
             rows(ISO, *prices(RAW, "ohlc", lambda v: foreign(v, 2, ".", "’"))), unknown(RAW)),
        grid("Interactive Brokers", "date,open,high,low,close,volume,average,barCount",
             rows(zone, *prices(COIN), whole(COIN.volume), plain(COIN.close), ["9"] * 60), COIN,
             words={"calendar": "24/7"}),
        grid("lines that end twice", PLAIN, own, DAILY, ends="\r\r\n"),
        grid("empty lines between", PLAIN, own, DAILY, ends="\n\n"),
        grid("assets in a column of another name", "date,open,high,low,close,volume,Name", mixed, DAILY,
             words={"columns": {"symbol": "Name"}, "symbol": "AAL"}),
    ]  # fmt: skip


SHAPES: tuple[Grid, ...] = (*yfinance(), *metatrader(), *crypto(), *investing(), *american(), *others(), *elsewhere())
REFUSED: tuple[Grid, ...] = tuple(refusals())
