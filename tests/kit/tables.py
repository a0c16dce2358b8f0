"""Tables of at most six bars, a script of what is decided at which close, and what must come of it.

Bars are numbered from 1 and written ``"100 101 99 100 v500 | = | - | 104"``: open, high, low, close and perhaps a
volume; ``=`` is the bar before once more, ``-`` no bar at all, and a single price is all four. A script says for the
close of a bar what is asked there: a list of requests, weights, or a `Protected`; at other closes nothing new.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import barograph as bg
from barograph import orders
from barograph.data.history import History
from barograph.jit.kernel import kernel
from barograph.loop.result import Result
from barograph.testing import interpreted

DAY = 86_400_000_000_000
HOUR = DAY // 24
# Bar 1 closes at 20:00 UTC on Monday the 4th of March 2024, the next ones a day later each unless a case says when.
FIRST = int(np.datetime64("2024-03-04T20:00", "ns").astype(np.int64))
FREE: dict[str, Any] = {"fee": 0.0, "slippage": 0.0, "cash": 10_000.0, "borrow_rate": 0.0, "short_rate": 0.0}
# A fee that is lost in the last bit of any other number, and yet a term that only the full book knows.
FULL: dict[str, Any] = {"unit_fee": 1e-300}
# Reasons, as the tables of a run say them.
SHRUNK, NO_HEADROOM = "shrunk: no room under the leverage limit", "no room under the leverage limit"
WAITS, NEWER = "participation: the rest waits for more volume", "replaced by a newer order"
TARGET = "replaced by a newer target"
PAIR, UNPROTECTED, NO_LOT = "the other order of the pair filled", "nothing left to protect", "less than one lot"
NO_REDUCTION, NO_SHORTS = "reduce only: nothing to reduce", "cash account: nothing to sell"
ALL_REDUCED, ALL_SOLD = "reduce only: all there was", "cash account: all there was"


class Ask(NamedTuple):
    """One request: the kernel of `barograph.orders`, its numbers, and what else is said about it."""

    kind: str
    numbers: tuple[float, ...]
    asset: int
    more: dict[str, Any]


def ask(kind: str, *numbers: float, asset: int = 0, **more: Any) -> Ask:
    """Make a request; `more` is day, until, reduce, keep, tag, bracket, trail or pair (with the request before)."""
    return Ask(kind, numbers, asset, more)


market, limit, stop, stop_limit = (partial(ask, kind) for kind in ("market", "limit", "stop", "stop_limit"))
trailing, percent = partial(ask, "trailing_stop"), partial(ask, "trailing_percent")
on_close, cancel, cancel_all = (partial(ask, kind) for kind in ("market_on_close", "cancel", "cancel_all"))


class Case(NamedTuple):
    """A table, a script, and everything that must come of it.

    `fills`: (bar, order, quantity, price) and a reason other than "as wanted". `orders`, in the order of their ids:
    ``"born-ended asset kind status: reason"``. `fees` and `slips` are those of the fills, `financing` what a bar is
    charged, all 0 where nothing is said; `events`: (bar, event, asset, order, quantity, price, reason).
    `actions` gives dividends, splits and final prices by bar; `end` is the equity after the last bar.
    """

    name: str
    bars: str | Sequence[str]
    script: Mapping[int, Any]
    fills: Sequence[tuple[Any, ...]]
    orders: Sequence[str]
    terms: Mapping[str, Any] = {}
    end: float | None = None
    fees: Sequence[float] | None = None
    slips: Sequence[float] | None = None
    financing: Mapping[int, float] = {}
    events: Sequence[tuple[Any, ...]] = ()
    actions: Mapping[str, Mapping[int, Any]] = {}
    hours: Sequence[float] | None = None


def deal(
    name: str, request: Any, bars: str, price: float, fee: float = 0.0, slip: float = 0.0, /, **terms: Any
) -> Case:
    """One order asked for at the close of the bar before the last, and its fill in the last: price, fee, slippage."""
    last = bars.count("|") + 1
    if isinstance(request, Ask):
        kind, script = request.kind, {last - 1: [request]}
        q = request.numbers[0]
    else:
        (weight, q), kind = request, "market"
        script = {last - 1: weight}
    return Case(
        name,
        bars,
        script,
        [(last, 1, q, price)],
        [f"{last - 1}-{last} A {kind} filled"],
        terms,
        fees=[fee],
        slips=[slip],
    )


def moment(bar: int) -> int:
    """Return the close of a bar, where bars are days."""
    return FIRST + (bar - 1) * DAY


def _row(text: str, before: list[float]) -> list[float]:
    if text.strip() in ("=", "-"):
        return before if text.strip() == "=" else [math.nan] * 5
    words = text.split()
    volume = float(words.pop()[1:]) if words[-1][0] == "v" else 1e6
    prices = [float(word) for word in words]
    return [*(prices * 4 if len(prices) == 1 else prices), volume]


def _rows(text: str) -> list[list[float]]:
    rows: list[list[float]] = []
    for part in text.split("|"):
        rows.append(_row(part, rows[-1] if rows else []))
    return rows


def history_of(case: Case) -> History:
    """Return a case's bars, one asset (A, B, C) a text."""
    texts = [case.bars] if isinstance(case.bars, str) else list(case.bars)
    table = np.array([_rows(text) for text in texts]).transpose(2, 1, 0)
    days = np.arange(table.shape[1]) * 24.0 if case.hours is None else np.array(case.hours)
    neutral = {"dividends": 0.0, "splits": 1.0, "final": math.nan}
    actions: dict[str, Any] = {name: np.full(table.shape[1:], neutral[name]) for name in case.actions}
    for name, told in case.actions.items():
        for bar, value in told.items():
            actions[name][bar - 1] = value
    o, h, low, c, v = table
    ts = FIRST + (days * HOUR).astype(np.int64)
    symbols = [chr(ord("A") + a) for a in range(len(texts))]
    return History.from_arrays(ts, c, o, h, low, v, symbols=symbols, calendar="24/7", **actions)


def _slip(asks: Sequence[Ask]) -> Any:
    slip, before = orders.slip(max(1, len(asks))), 0
    for request in asks:
        row = getattr(orders, request.kind)(slip, request.asset, *request.numbers)
        for key, value in request.more.items():
            if key == "pair":
                orders.one_cancels_other(slip, before, row)
            elif key in ("day", "reduce", "keep"):
                {"day": orders.day, "reduce": orders.reduce_only, "keep": orders.do_not_reduce}[key](slip, row)
            elif key == "bracket":
                orders.bracket(slip, row, *value)
            else:
                getattr(orders, key)(slip, row, value)
        before = row
    return slip


def scripted(script: Mapping[int, Any], assets: int) -> bg.Strategy:
    """Return the strategy that does what the script says; it counts the closes."""
    kind = next(iter(script.values()))
    nothing = math.nan
    levels = [bg.Protected(bg.HOLD, nothing, nothing, nothing)]

    def answer(bar: int) -> Any:
        if isinstance(kind, list):
            return _slip(script.get(bar, []))
        if isinstance(kind, bg.Protected):
            levels[0] = script.get(bar, levels[0]._replace(weights=bg.HOLD))
            return levels[0]._replace(weights=_each(levels[0].weights, assets))
        return bg.Target(_each(script.get(bar, bg.HOLD), assets))

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        return state + 1, answer(state)

    return bg.strategy(kernel(step), init=lambda _: 1, name="scripted")


def _each(weights: Any, assets: int) -> Any:
    return np.full(assets, weights, dtype=float) if np.ndim(weights) == 0 else np.array(weights, dtype=float)


def play(case: Case, observe: str = "", **more: Any) -> Result:
    """Run a case in plain Python; the asset `observe` is not traded."""
    history = history_of(case).observe(*observe)
    machine = bg.Machine(
        strategy=scripted(case.script, len(history.symbols)), terms=bg.Terms(**{**FREE, **case.terms, **more})
    )
    return interpreted(machine, history)


def check(case: Case) -> None:
    """Run a case and compare everything; target weights run in the light book and in the full one."""
    plain = not isinstance(next(iter(case.script.values())), list | bg.Protected)
    both: tuple[dict[str, Any], ...] = ({}, FULL)
    for more in both if plain and "unit_fee" not in case.terms else both[:1]:
        run = play(case, **more)
        _check_fills(case, run)
        assert told(run) == list(case.orders)
        _check_events(case, run)
        _check_account(case, run)


def _columns(run: Result, name: str) -> dict[str, list[Any]]:
    """Return a table of a run as lists, its times as numbers of bars (0 = never)."""
    found: dict[Any, list[Any]] = run.tables[name].to_dict("list")
    number = {ts: bar for bar, ts in enumerate(run.tables["equity"].ts, start=1)}
    for time in {"ts", "end_ts"} & set(found):
        found[time] = [number.get(ts, 0) for ts in found[time]]
    return found


def told(run: Result) -> list[str]:
    """Say every order of a run in a line."""
    found, lines = _columns(run, "orders"), []
    for n in range(len(found["id"])):
        role, parent, end = found["role"][n], found["parent"][n], found["end_ts"][n]
        leg = "" if role == "entry" else f" ({role} of {parent})" if parent else f" ({role})"
        status, reason = found["status"][n], found["reason"][n]
        why = "" if status == "open" or reason == "as wanted" else f": {reason}"
        lines.append(f"{found['ts'][n]}-{end or ''} {found['asset'][n]} {found['kind'][n]}{leg} {status}{why}")
    assert found["id"] == list(range(1, len(lines) + 1))
    return lines


def _check_fills(case: Case, run: Result) -> None:
    found, asked = _columns(run, "fills"), _columns(run, "orders")
    wanted = [row if len(row) == 5 else (*row, "as wanted") for row in case.fills]
    got = list(zip(*(found[name] for name in ("ts", "order_id", "quantity", "price", "reason")), strict=True))
    assert [(f[0], f[1], f[4]) for f in got] == [(f[0], f[1], f[4]) for f in wanted], got
    assert [f[2] for f in got] == pytest.approx([f[2] for f in wanted], rel=1e-12), got
    assert [f[3] for f in got] == pytest.approx([f[3] for f in wanted], rel=1e-12), got
    none = [0.0] * len(wanted)
    assert found["fee"] == pytest.approx(none if case.fees is None else list(case.fees), rel=1e-11, abs=1e-12)
    assert found["slippage"] == pytest.approx(none if case.slips is None else list(case.slips), rel=1e-9, abs=1e-9)
    for n, quantity in zip(asked["id"], asked["quantity"], strict=True):
        assert quantity == pytest.approx(sum(f[2] for f in wanted if f[1] == n), rel=1e-12, abs=1e-12)
    assert found["asset"] == [asked["asset"][n - 1] for n in found["order_id"]]


def _check_events(case: Case, run: Result) -> None:
    found = _columns(run, "events")
    names = ("ts", "event", "asset", "order_id", "quantity", "price", "reason")
    got = list(zip(*(found[name] for name in names), strict=True))
    assert [g[:4] + g[6:] for g in got] == [w[:4] + w[6:] for w in case.events], got
    assert [g[4:6] for g in got] == [pytest.approx(w[4:6], rel=1e-12, abs=1e-12) for w in case.events], got


def _check_account(case: Case, run: Result) -> None:
    """Recompute cash, equity, exposures, fees and weights of every bar from the wanted fills and the bars alone."""
    history, asked = run.history, _columns(run, "orders")
    assets, fees = len(history.symbols), case.fees or [0.0] * len(case.fills)
    cash, units, last = float(run.machine.terms.cash), np.zeros(assets), np.full(assets, math.nan)
    for t in range(len(history)):
        actions = history.actions[t if len(history.actions) > 1 else 0]
        charge, charged = case.financing.get(t + 1, 0.0), 0.0
        units, last = units * actions[2], last / actions[2]
        cash += float(units @ actions[1]) + float(np.nansum(units * actions[3])) - charge
        units = np.where(np.isnan(actions[3]), units, 0.0)
        for (bar, order, q, price, *_), fee in zip(case.fills, fees, strict=True):
            if _row_of(case, asked, bar, order) == t + 1:
                a = history.symbols.index(asked["asset"][order - 1])
                cash, charged = cash - q * price - fee, charged + fee
                units[a] += q
                last[a] = price if np.isnan(last[a]) else last[a]
        last = np.where(np.isnan(history.close[t]), last, history.close[t])
        value = np.where(units == 0.0, 0.0, units * last)
        equity = cash + value.sum()
        row = [equity, cash, abs(value).sum() / equity, value.sum() / equity, charged, charge]
        assert run.arrays.table[t].tolist() == pytest.approx(row, rel=1e-11, abs=1e-9), (t + 1, row)
        assert run.arrays.weights[t].tolist() == pytest.approx((value / equity).tolist(), rel=1e-11, abs=1e-11), t + 1
    if case.end is not None:
        assert run.arrays.equity[-1] == pytest.approx(case.end, rel=1e-11)


def _row_of(case: Case, asked: dict[str, list[Any]], bar: int, order: int) -> int:
    """Return the bar whose row shows a fill: the next, where it filled at the very close that was decided on."""
    same = case.terms.get("fill") == "same_close" and asked["role"][order - 1] == "entry"
    return bar + (1 if same and asked["ts"][order - 1] == bar else 0)


def named(cases: Sequence[Case]) -> Any:
    """Return the decorator that runs a test over cases, each under its own name."""
    assert len({case.name for case in cases}) == len(cases), "two cases have one name"
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])
