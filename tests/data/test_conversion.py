"""Prices in another currency, converted by hand with Python's own search; and what no conversion may know or break."""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from pathlib import Path
from typing import Any

import exchange_calendars
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import barograph as bg
from barograph.config.build import load_history
from barograph.config.schema import Config
from barograph.data.calendars import DAY, opened, sessions
from barograph.data.conversion import Conversion, converted
from barograph.data.history import FIELDS, History
from barograph.errors import BarographError, DataError
from barograph_adapters.files import joined
from barograph_strategies.fixed_weights import fixed_weights

HOUR = DAY // 24
NAN = float("nan")


def market(symbol: str, calendar: str, currency: str, seed: int, **more: Any) -> History:
    """A quarter of daily bars whose prices jump about, with a dividend on every tenth."""
    ts = sessions(calendar, np.datetime64("2023-01-02"), np.datetime64("2023-03-31")).closes
    rng = np.random.default_rng(seed)
    close = 100.0 * np.cumprod(1.0 + rng.normal(0.0, 0.02, len(ts)))
    open_ = close * (1.0 + rng.normal(0.0, 0.01, len(ts)))
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    paid = np.where(np.arange(len(ts)) % 10 == 3, 1.5, 0.0)
    told = {"symbols": [symbol], "calendar": calendar, "currency": currency, "dividends": paid, **more}
    return History.from_arrays(ts, close, open_, high, low, np.full(len(ts), 1e6), **told)


def rate(
    symbol: str, base: float, step: int, seed: int, first: str = "2022-12-20", last: str = "2023-04-02"
) -> History:
    ts = np.arange(pd.Timestamp(first).value, pd.Timestamp(last).value, step)
    values = base * np.cumprod(1.0 + np.random.default_rng(seed).normal(0.0, 0.01, len(ts)))
    return History.from_arrays(ts, values, symbols=[symbol], calendar="24/7", traded=[False])


SPY, N225 = market("SPY", "XNYS", "USD", 1), market("N225", "XTKS", "JPY", 2)
DAX = market("DAX", "XETR", "EUR", 3)
EURUSD, USDJPY = rate("EURUSD", 1.1, HOUR, 4), rate("USDJPY", 130.0, DAY, 5)
DOLLARS = Conversion("USD", {"EUR": EURUSD, "JPY": USDJPY}, inverse=["JPY"])


def opens_of(calendar: str, ts: list[int]) -> list[int]:
    """Return when the sessions of daily bars began, as the library of calendars itself says."""
    known = exchange_calendars.get_calendar(calendar, start="2022-12-01", end="2023-04-30")
    return [int(known.session_open(pd.Timestamp(t).normalize()).value) for t in ts]


# --- by hand --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("own", "quoted", "inverse"), [(N225, USDJPY, True), (DAX, EURUSD, False)])
def test_every_number_of_a_bar_is_converted_as_by_hand(own: History, quoted: History, inverse: bool) -> None:
    moments, values = quoted.ts.tolist(), quoted.close[:, 0].tolist()

    def known(t: int) -> float:
        value = values[bisect_right(moments, t) - 1]
        return 1.0 / value if inverse else value

    found = converted(own, DOLLARS)
    assert (found.currency, found.symbols, found.calendar) == ("USD", own.symbols, own.calendar)
    assert np.array_equal(found.volume, own.volume)
    for t, begin in enumerate(opens_of(own.calendar, own.ts.tolist())):
        at_open, at_close = known(begin), known(int(own.ts[t]))
        open_, close = own.open[t, 0] * at_open, own.close[t, 0] * at_close
        assert found.open[t, 0] == pytest.approx(open_, rel=1e-14)
        assert found.close[t, 0] == pytest.approx(close, rel=1e-14)
        assert found.high[t, 0] == pytest.approx(max(own.high[t, 0] * at_close, open_, close), rel=1e-14)
        assert found.low[t, 0] == pytest.approx(min(own.low[t, 0] * at_close, open_, close), rel=1e-14)
        assert found.dividends is not None
        assert own.dividends is not None
        assert found.dividends[t, 0] == pytest.approx(own.dividends[t, 0] * at_open, rel=1e-14)


def test_an_account_of_three_currencies_adds_up_by_hand() -> None:
    """Cash moves by fills and dividends in dollars; what is held is worth its close at the rate of its close."""
    whole = joined([N225, SPY, DAX], convert=DOLLARS)
    terms = bg.Terms(cash=10_000.0, fee=0.0, slippage=0.0, borrow_rate=0.0)
    run = bg.run(bg.Machine(strategy=fixed_weights([0.3, 0.4, 0.3], every="bar"), terms=terms), whole)
    fills, paid = run.tables["fills"], run.tables["events"]
    assert set(fills["asset"]) == {"SPY", "N225", "DAX"}
    last: dict[str, float] = {}
    for row, t in enumerate(whole.ts.tolist()):
        for a, symbol in enumerate(whole.symbols):
            if not np.isnan(whole.close[row, a]):
                own = {"SPY": SPY, "N225": N225, "DAX": DAX}[symbol]
                price = own.close[own.ts == t, 0].item()
                jpy = USDJPY.close[np.searchsorted(USDJPY.ts, t, side="right") - 1, 0]
                eur = EURUSD.close[np.searchsorted(EURUSD.ts, t, side="right") - 1, 0]
                last[symbol] = price * {"SPY": 1.0, "N225": 1.0 / jpy, "DAX": eur}[symbol]
        done = fills[fills["ts"] <= pd.Timestamp(t, tz="UTC")]
        got = paid[(paid["ts"] <= pd.Timestamp(t, tz="UTC")) & (paid["event"] == "dividend")]
        money = 10_000.0 - (done["quantity"] * done["price"]).sum() + (got["quantity"] * got["price"]).sum()
        worth = sum(done.loc[done["asset"] == symbol, "quantity"].sum() * p for symbol, p in last.items())
        assert run.arrays.equity[row] == pytest.approx(money + worth, rel=1e-9)


def test_a_final_price_takes_the_rate_of_its_open() -> None:
    final = np.full(len(DAX), NAN)
    final[-1] = 50.0
    gone = DAX.close.copy()
    gone[-1] = NAN
    told = History.from_arrays(DAX.ts, gone, symbols=["DAX"], calendar="XETR", currency="EUR", final=final)
    begin = opens_of("XETR", DAX.ts[-1:].tolist())[0]
    known = EURUSD.close[np.searchsorted(EURUSD.ts, begin, side="right") - 1, 0]
    found = converted(told, DOLLARS).final
    assert found is not None
    assert found[-1, 0] == pytest.approx(50.0 * known)


@pytest.mark.parametrize(
    ("calendar", "stamps", "step", "wanted"),
    [
        # A Friday, the Monday after it, and the bar after the holiday that follows on no bar of Tuesday.
        ("XNYS", ["06-30 20:00", "07-03 17:00", "07-05 20:00"], DAY, ["06-30 13:30", "07-03 13:30", "07-05 13:30"]),
        # Bars of two hours: the first of a session begins with it.
        (
            "XNYS",
            ["07-05 15:30", "07-05 17:30", "07-06 15:30"],
            2 * HOUR,
            ["07-05 13:30", "07-05 15:30", "07-06 13:30"],
        ),
        # Weeks begin with the session after the last one's end.
        ("XNYS", ["06-30 20:00", "07-07 20:00"], 7 * DAY, ["06-26 13:30", "07-03 13:30"]),
        # Around the clock a bar begins a step before its end, whatever is missing.
        ("24/7", ["07-01 00:00", "07-02 00:00", "07-05 00:00"], DAY, ["06-30 00:00", "07-01 00:00", "07-04 00:00"]),
        # A bar of a Saturday begins when it can.
        ("XNYS", ["06-30 20:00", "07-01 20:00"], DAY, ["06-30 13:30", "06-30 20:00"]),
    ],
)
def test_when_a_bar_opened(calendar: str, stamps: list[str], step: int, wanted: list[str]) -> None:
    ts, begun = (np.array([pd.Timestamp(f"2023-{text}").value for text in each]) for each in (stamps, wanted))
    assert opened(calendar, ts, step).tolist() == begun.tolist()


# --- laws -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, len(N225) - 1), st.integers(0, 2**32 - 1))
def test_no_rate_comes_from_the_future(row: int, seed: int) -> None:
    """Rates that close after a bar may be anything: up to that bar nothing moves, and its open knows less still."""
    whole = converted(N225, DOLLARS)
    later = USDJPY.ts > N225.ts[row]
    wild = np.where(later, np.random.default_rng(seed).uniform(1.0, 999.0, len(later)), USDJPY.close[:, 0])
    other = History.from_arrays(USDJPY.ts, wild, symbols=["USDJPY"], calendar="24/7")
    found = converted(N225, Conversion("USD", {"JPY": other}, inverse=["JPY"]))
    assert same(found.head(row + 1), whole.head(row + 1))
    begin = opens_of("XTKS", N225.ts[row : row + 1].tolist())[0]
    wild = np.where(USDJPY.ts > begin, 1.0, USDJPY.close[:, 0])
    other = History.from_arrays(USDJPY.ts, wild, symbols=["USDJPY"], calendar="24/7")
    assert converted(N225, Conversion("USD", {"JPY": other}, inverse=["JPY"])).open[row, 0] == whole.open[row, 0]


def same(one: History, other: History) -> bool:
    names = (*FIELDS, "dividends")
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=True) for n in names)


@given(st.integers(0, 2**32 - 1))
def test_open_and_close_stay_between_low_and_high(seed: int) -> None:
    jumps = rate("USDJPY", 130.0, 5 * HOUR, seed)
    wild = History.from_arrays(jumps.ts, jumps.close**3, symbols=["X"], calendar="24/7")
    found = converted(N225, Conversion("USD", {"JPY": wild}))
    assert (found.high >= np.maximum(found.open, found.close)).all()
    assert (found.low <= np.minimum(found.open, found.close)).all()


def test_a_rate_of_one_changes_the_name_alone() -> None:
    one = History.from_arrays(USDJPY.ts, np.ones(len(USDJPY)), symbols=["ONE"], calendar="24/7")
    found = converted(N225, Conversion("USD", {"JPY": one}))
    assert same(found, N225)
    assert (found.currency, N225.currency) == ("USD", "JPY")


def test_the_other_way_round_is_the_same() -> None:
    straight = History.from_arrays(USDJPY.ts, 1.0 / USDJPY.close, symbols=["JPYUSD"], calendar="24/7")
    assert same(converted(N225, Conversion("USD", {"JPY": straight})), converted(N225, DOLLARS))


def test_parts_are_converted_before_they_are_joined() -> None:
    by_hand = converted(N225, DOLLARS).join(SPY, converted(DAX, DOLLARS))
    assert joined([N225, SPY, DAX], convert=DOLLARS).digest() == by_hand.digest()
    assert by_hand.currency == "USD"
    assert converted(by_hand, DOLLARS) is by_hand
    assert converted(SPY, DOLLARS) is SPY


def test_a_history_cut_short_is_converted_as_the_whole() -> None:
    whole = converted(DAX, DOLLARS)
    for rows in (2, 17, len(DAX)):
        assert same(converted(DAX.head(rows), DOLLARS), whole.head(rows))


def test_what_is_observed_stays_as_it_is_quoted() -> None:
    hidden = N225.observe("N225")
    assert converted(hidden, DOLLARS) is hidden
    both = SPY.join(hidden)
    assert both.currency == "USD"


def test_a_rate_among_the_assets_and_the_bar_before_its_first() -> None:
    """A column of rates is known at the closes of the prices: the first open has none, and that bar is left out."""
    quoted = History.from_arrays(DAX.ts, np.linspace(1.0, 1.2, len(DAX)), symbols=["EURUSD"], calendar="XETR")
    both = DAX.join(quoted.observe("EURUSD"))
    found = converted(both, Conversion("USD", {"EUR": "EURUSD"}))
    assert np.flatnonzero(np.isnan(found.close[:, 0])).tolist() == [0]
    assert found.open[1:, 0] == pytest.approx(DAX.open[1:, 0] * quoted.close[:-1, 0])
    assert found.close[1:, 0] == pytest.approx(DAX.close[1:, 0] * quoted.close[1:, 0])
    assert np.array_equal(found.close[:, 1], quoted.close[:, 0])
    assert joined([DAX, quoted.observe("EURUSD")], Conversion("USD", {"EUR": "EURUSD"})).digest() == found.digest()


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "make", "words"),
    [
        (
            N225,
            lambda: Conversion("USD", {}),
            r"no rate of JPY, which N225 is quoted in; set data\.convert\.rates\.JPY",
        ),
        (N225, lambda: Conversion("USD", {"JPX": USDJPY}), "no rate of JPY.*did you mean 'JPX'"),
        (N225, lambda: Conversion("USD", {"JPY": "USDJPY"}), r"rates\.JPY: no asset 'USDJPY'; wanted a loader, or one"),
        (N225, lambda: Conversion("USD", {"JPY": USDJPY}, inverse=["JPX"]), r"convert\.inverse: no rate of 'JPX'"),
        (N225, lambda: Conversion("", {}), "to is empty"),
        (market("A", "XTKS", "", 1), lambda: DOLLARS, 'A says no currency; wanted currency = "..."'),
        (N225, lambda: Conversion("USD", {"JPY": SPY.join(market("B", "XNYS", "USD", 1))}), "holds SPY, B; wanted one"),
        (N225, lambda: Conversion("USD", {"JPY": rate("X", -1.0, DAY, 1)}), "holds -.*; wanted prices above 0"),
        (N225, lambda: Conversion("USD", {"JPY": rate("X", 1.0, DAY, 1, "2023-01-10")}), r"rates\.JPY: no fresh rate"),
        (N225, lambda: Conversion("USD", {"JPY": rate("X", 1.0, DAY, 1, last="2023-02-01")}), "no fresh.* 2023-02-1"),
        (
            N225,
            lambda: Conversion("USD", {"JPY": rate("X", 1.0, HOUR, 1, "2023-01-04 09:00")}),
            "no fresh.* 2023-01-04",
        ),
        (
            N225.head(1),
            lambda: Conversion("USD", {"JPY": rate("X", 1.0, HOUR, 1, "2023-01-04 05:00")}),
            "no fresh rate",
        ),
        (joined([N225, DAX], Conversion("GBP", {"JPY": USDJPY, "EUR": EURUSD})), lambda: DOLLARS, "before joining"),
    ],
)
def test_what_cannot_be_converted_is_refused_in_one_line(own: History, make: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        converted(own, make())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (("USD", "XNYS"), ("JPY", "XTKS"), r"several currencies \(USD, JPY\).*set data\.convert"),
        (("USD", "XNYS"), ("EUR", "XNYS"), r"several currencies \(USD, EUR\).*set data\.convert"),
        (("USD", "XNYS"), ("", "XTKS"), r"B \(XTKS\) says no currency, and the account trades XNYS\+XTKS; wanted curr"),
        (("", "XNYS"), ("USD", "XTKS"), r"A \(XNYS\) says no currency"),
        (("", "24/7"), ("", "XTKS"), r"A \(24/7\) says no currency.*data\.convert"),
    ],
)
def test_unlike_or_unsaid_currencies_are_refused(one: tuple[str, str], other: tuple[str, str], words: str) -> None:
    pair = [market(s, calendar, currency, 1) for s, (currency, calendar) in zip("AB", (one, other), strict=True)]
    with pytest.raises(DataError, match=words) as caught:
        pair[0].join(pair[1])
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError):
        pair[1].join(pair[0], rows="mine")
    assert pair[0].join(pair[1].observe("B")).currency == one[0]


# --- in a config ----------------------------------------------------------------------------------------------------

CONFIG = """
name = "two"
[data]
use = "barograph_adapters.files:joined"
parts = [
    { use = "barograph_adapters.files:csv", path = "spy.csv", currency = "USD" },
    { use = "barograph_adapters.files:csv", path = "dax.csv", calendar = "XETR", currency = "EUR" },
]
[data.convert]
to = "USD"
[data.convert.rates]
EUR = { use = "barograph_adapters.files:csv", path = "eurusd.csv", calendar = "24/5" }
[strategy]
use = "barograph_strategies.fixed_weights:fixed_weights"
weights = [0.5, 0.5]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    days = pd.bdate_range("2023-01-30", "2023-03-31")
    for n, name in enumerate(("spy", "dax", "eurusd")):
        close = 10.0 + n + np.sin(np.arange(len(days)))
        first = 0 if name == "eurusd" else 5
        pd.DataFrame({"date": days, "close": close})[first:].to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def loaded(folder: Path, text: str) -> History:
    return load_history(Config.model_validate(tomllib.loads(text)), folder)


def test_a_config_converts_what_its_loaders_bring(folder: Path) -> None:
    found = loaded(folder, CONFIG)
    assert (found.currency, found.symbols, found.calendars) == ("USD", ("spy", "dax"), ("XETR", "XNYS"))
    rates = pd.read_csv(folder / "eurusd.csv")["close"].to_numpy()
    dax = pd.read_csv(folder / "dax.csv")["close"].to_numpy()
    own = found.close[~np.isnan(found.close[:, 1]), 1]
    # Frankfurt closes before the day's rate is known: the one of the day before is the last.
    assert own == pytest.approx(dax * rates[4:-1])
    single = CONFIG.replace('joined"', 'csv"').replace(
        "parts = [", 'path = "dax.csv"\ncalendar = "XETR"\ncurrency = "EUR"'
    )
    single = "\n".join(line for line in single.splitlines() if not line.startswith(("    {", "]")))
    assert loaded(folder, single).close[:, 0] == pytest.approx(own)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("EUR = {", "GBP = {", r"data: convert: no rate of EUR, which dax is quoted in; set data\.convert\.rates\.EUR"),
        ("[data.convert]", "[data.convert]\ninverse = ['USD']", r"data\.convert\.inverse: no rate of 'USD'"),
        ("eurusd.csv", "eur.csv", r"data\.convert\.rates\.EUR: .*eur\.csv: no such file"),
        (
            'files:csv", path = "eurusd.csv", calendar = "24/5"',
            'files:rate", path = "rate.csv"',
            "EUR is Rate; wanted a",
        ),
        (
            'files:joined"',
            'feeds.loaded:folder"\nsymbols = ["spy"]\npath = "."',
            "convert: folder is a feed; wanted a lo",
        ),
    ],
)
def test_what_is_wrong_with_a_conversion_names_its_key(folder: Path, old: str, new: str, words: str) -> None:
    (folder / "rate.csv").write_text("date,rate\n2020-01-01,0.5\n")
    text = CONFIG.replace(old, new)
    if "folder" in new:
        text = "\n".join(line for line in text.splitlines() if not line.startswith(("    {", "]", "parts")))
    with pytest.raises(BarographError, match=words) as caught:
        loaded(folder, text)
    assert "\n" not in str(caught.value)
