"""Agreement with other engines on random runs: ``python -m benchmarks.agreement [--runs 200] [--python PATH]``.

Every campaign is a way to make a run from a seed: random bars, random decisions, terms the peer has a profile for.
Each run's decisions are carried out by the peer, and fills (to 1e-9) and equity at every close (to 1e-8) compared.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import barograph as bg
from barograph import orders
from barograph.audit.crosscheck import Agreement, replayed
from barograph.audit.peers import listed_bars

BARS = 150
FREE: dict[str, Any] = {"borrow_rate": 0.0, "short_rate": 0.0}


class Campaign(NamedTuple):
    """What is run, against whom: ``make(seed)`` returns a run."""

    peer: str
    name: str
    make: Callable[[int], bg.Result]


class Count(NamedTuple):
    """What a campaign found; `anew` counts the runs that were drawn anew for a listed difference."""

    anew: int
    runs: int
    agree: int
    fills: int
    fill_gap: float
    equity_gap: float
    first: str


def bars(seed: int, assets: int = 1, missing: float = 0.0) -> bg.History:
    """Return bars with gaps between them that jump over stops, and ranges that touch both sides of a pair."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.standard_t(4, size=(BARS, assets)) * 0.012, axis=0))
    before = np.vstack([close[:1], close[:-1]])
    opened = before * np.exp(rng.standard_t(3, size=close.shape) * 0.006)
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0.0, 0.008, size=close.shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0.0, 0.008, size=close.shape)))
    gone = rng.random(close.shape) < missing
    close, opened, high, low = (np.where(gone, np.nan, column) for column in (close, opened, high, low))
    ts = np.cumsum(rng.choice([1, 1, 1, 3], size=BARS)) * 86_400_000_000_000
    return bg.History.from_arrays(ts, close, opened, high, low, calendar="24/7", source=f"random bars {seed}")


def chance(params: Any, state: Any) -> Any:
    """Return the random numbers of this run and bar."""
    return np.random.default_rng([int(params[0]), int(state[0])])


def rebalance(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Weigh the assets anew now and then, some of them; `params` are seed, exposure, share of bars, sides."""
    _, exposure, often, sides = params
    rng = chance(params, state)
    n = bars.close.size
    weights = np.full(n, bg.HOLD)
    if rng.random() < often:
        weights = exposure * rng.dirichlet(np.ones(n + 1))[:n] * (rng.choice([-1.0, 1.0], n) if sides == 2 else 1.0)
        weights[rng.random(n) < 0.1] = 0.0
        weights[rng.random(n) < 0.2] = bg.HOLD
    state[0] += 1
    return state, bg.Target(weights)


def monthly(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Go back to fixed weights every 21 bars, whatever the prices did."""
    weights = np.full(bars.close.size, bg.HOLD)
    if state[0] % 21 == 0:
        weights = params[1] * np.random.default_rng(int(params[0])).dirichlet(np.ones(weights.size + 1))[:-1]
    state[0] += 1
    return state, bg.Target(weights)


def protected(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Enter, add, cut, turn round, and move a stop (and a take-profit) with the position now and then.

    `params` are the seed, exposure, 1 for a take-profit beside the stop, and 1 for positions that are protected from
    the close of their first bar on (0: from their entry on).
    """
    _, exposure, take, late = params
    rng, close, held = chance(params, state), bars.close[0], portfolio.quantity[0]
    weight, side = bg.HOLD, math.copysign(1.0, held)
    fresh = rng.random() < 0.35
    if fresh:
        weight = float(rng.choice([0.0, 0.3, 1.0])) * exposure * rng.uniform(0.2, 1.0) * rng.choice([-1.0, 1.0])
        side = math.copysign(1.0, weight) if weight != 0.0 else side
    if fresh or rng.random() < 0.15 or (late and math.isnan(state[1])):
        state[1] = close * (1.0 - side * rng.uniform(0.002, 0.03))
        state[2] = close * (1.0 + side * rng.uniform(0.02, 0.05)) if take else math.nan
    if late and fresh and held * weight <= 0.0:
        state[1:3] = math.nan
    state[0] += 1
    return state, bg.Protected(weight, state[1], state[2], math.nan)


def bracketed(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Enter at the market with a stop-loss and a take-profit, and sometimes leave before either."""
    rng = chance(params, state)
    slip = orders.slip(1)
    close, held, side = bars.close[0], portfolio.quantity[0], float(rng.choice([-1.0, 1.0]))
    if held == 0.0 and rng.random() < 0.5:
        row = orders.market(slip, 0, side * portfolio.equity / close * rng.uniform(0.2, 2.0))
        loss, profit = (close * (1.0 + way * side * rng.uniform(0.015, 0.05)) for way in (-1.0, 1.0))
        orders.bracket(slip, row, loss, profit)
    elif held and rng.random() < 0.1:
        orders.reduce_only(slip, orders.market(slip, 0, -held))
    state[0] += 1
    return state, slip


def surrounded(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Enter at a limit or the market with wide legs around it, and leave by an order of another kind, or by a leg."""
    rng = chance(params, state)
    slip = orders.slip(2)
    close, held, side = bars.close[0], portfolio.quantity[0], float(rng.choice([-1.0, 1.0]))
    dice = rng.random()
    if held == 0.0 and dice < 0.5:
        orders.cancel_all(slip, 0)
        row = _bid(slip, side * portfolio.equity / close * rng.uniform(0.2, 2.0), close, rng)
        loss, profit = (close * (1.0 + way * side * rng.uniform(0.06, 0.1)) for way in (-1.0, 1.0))
        orders.bracket(slip, row, loss, profit)
    elif held and dice < 0.1:
        orders.market_on_close(slip, 0, -held)
    elif held and dice < 0.3:
        orders.day(slip, _bid(slip, -held, close, rng))
    state[0] += 1
    return state, slip


def _bid(slip: Any, q: float, close: float, rng: Any) -> int:
    """Write a market order, or a limit not far from the close."""
    if rng.random() < 0.4:
        return orders.market(slip, 0, q)
    return orders.limit(slip, 0, q, _level(close, -math.copysign(1.0, q), rng))


def working(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Enter with one order of any kind, price and life, or a pair; leave by a pair; withdraw some.

    A pair rests alone, so that the position it was made for is the one it meets. `params` are the seed, and 1 when
    limits are among the orders (0: stops and market orders only).
    """
    rng = chance(params, state)
    slip = orders.slip(3 * bars.close.size)
    for a in range(bars.close.size):
        close, held = bars.close[a], portfolio.quantity[a]
        q = portfolio.equity / close * rng.uniform(0.05, 0.3) * rng.choice([-1.0, 1.0])
        dice = rng.random()
        leave = dice < 0.4 and held != 0.0
        pair = dice >= 0.08 and params[1] and (leave or dice < 0.15)
        if dice < 0.08 or pair or (dice < 0.5 and state[1 + a] == 1.0):
            orders.cancel_all(slip, a)
            state[1 + a] = float(pair)
        if pair:
            _pair(slip, a, -held * rng.choice([0.5, 1.0]) if leave else q, close, rng)
        elif 0.08 <= dice < 0.5:
            row = _entry(slip, a, -held if abs(held) * close > portfolio.equity else q, close, rng, params[1])
            _life(slip, row, bars.ts, rng)
    state[0] += 1
    return state, slip


def _pair(slip: Any, a: int, q: float, close: float, rng: Any) -> None:
    """Write a limit and a stop, or two limits, of which one cancels the other."""
    side = math.copysign(1.0, q)
    if rng.random() < 0.7:
        first = orders.limit(slip, a, q, _level(close, -side, rng, 0.022))
        other = orders.stop(slip, a, q, _level(close, side, rng, 0.004))
    else:
        first = orders.limit(slip, a, q, _level(close, -side, rng))
        other = orders.limit(slip, a, q / 2.0, _level(close, -side, rng, 0.025))
    orders.one_cancels_other(slip, first, other)


def _level(close: float, direction: float, rng: Any, least: float = -0.002) -> float:
    return float(close * (1.0 + direction * rng.uniform(least, least + 0.022)))


def _entry(slip: Any, a: int, q: float, close: float, rng: Any, limits: Any) -> int:
    """Write one order; a stop-limit's limit lies beyond its stop, where both engines mean the same."""
    side = math.copysign(1.0, q)
    kind = int(rng.integers(5 if limits else 2))
    if kind == 0:
        return orders.market(slip, a, q)
    if kind == 1:
        return orders.stop(slip, a, q, _level(close, side, rng))
    if kind == 2:
        return orders.limit(slip, a, q, _level(close, -side, rng))
    if kind == 3:
        return orders.market_on_close(slip, a, q)
    stop = _level(close, side, rng)
    return orders.stop_limit(slip, a, q, stop, stop * (1.0 + side * rng.uniform(0.0, 0.01)))


def _life(slip: Any, row: int, ts: int, rng: Any) -> None:
    dice = rng.random()
    if dice < 0.2:
        orders.day(slip, row)
    elif dice < 0.5:
        orders.until(slip, row, ts + int(rng.integers(1, 12)) * 86_400_000_000_000)


def run(step: Any, history: bg.History, params: tuple[float, ...], **terms: Any) -> bg.Result:
    """Run a random strategy on free credit."""
    plan = bg.strategy(step, params=params, init=lambda _: np.array([0.0, *[math.nan] * 3]))
    return bg.scan(bg.Machine(strategy=plan, terms=bg.Terms(**{**FREE, **terms})), history)


def costs(seed: int, slippage: bool = True) -> dict[str, Any]:
    """Return random costs."""
    rng = np.random.default_rng([seed, 1])
    return {"fee": float(rng.choice([0.0, 0.0005, 0.01])), "slippage": float(rng.choice([0.0, 0.002])) * slippage}


def portfolio(seed: int, exposure: float, sides: int, missing: float = 0.1, **terms: Any) -> bg.Result:
    """Run a portfolio of one to five assets, rebalanced at random, by the month, or outside a band."""
    often, n = (1.0, 0.3, 1.0)[seed % 3], 1 + seed % 5
    params = (float(seed), exposure, often, float(sides))
    band = 0.05 if seed % 3 == 2 else 0.0
    history = bars(seed, n, missing)
    return run(monthly if seed % 4 == 3 else rebalance, history, params, band=band, **{**costs(seed), **terms})


def leveraged(seed: int, exposure: float = 3.0, **terms: Any) -> bg.Result:
    """Run one asset at up to three times equity, long and short, without financing."""
    params = (float(seed), exposure, 0.5, 2.0)
    free = {"leverage": exposure, "maintenance": 0.0, "warning": 0.0}
    return run(rebalance, bars(seed, 1, 0.05), params, **{**costs(seed), **free, **terms})


def guarded(seed: int, take: bool, late: bool = False) -> bg.Result:
    """Run one asset with a stop, or a stop and a take-profit, at up to twice equity."""
    free = {"leverage": 4.0, "maintenance": 0.0, "warning": 0.0}
    return run(protected, bars(seed), (float(seed), 2.0, float(take), float(late)), **costs(seed, not take), **free)


def bracketing(seed: int, step: Any = bracketed) -> bg.Result:
    """Run brackets on one asset, at up to twice equity."""
    free = {"leverage": 4.0, "maintenance": 0.0, "warning": 0.0}
    return run(step, bars(seed), (float(seed),), **costs(seed, slippage=False), **free)


def worked(seed: int, limits: bool) -> bg.Result:
    """Run explicit orders of all kinds on one to three assets."""
    free = {"leverage": 20.0, "maintenance": 0.0, "warning": 0.0, "resting": 32}
    return run(working, bars(seed, 1 + seed % 3), (float(seed), float(limits)), **costs(seed, not limits), **free)


CAMPAIGNS = (
    Campaign("backtesting", "leverage, long and short", leveraged),
    Campaign("backtesting", "margin calls", lambda seed: leveraged(seed, maintenance=0.33, warning=0.34)),
    Campaign("backtesting", "stops and take-profits, leverage", lambda seed: guarded(seed, take=True)),
    Campaign("backtesting", "stops with slippage, leverage", lambda seed: guarded(seed, take=False)),
    Campaign("backtesting", "brackets at the market, leverage", bracketing),
    Campaign("backtesting", "fills at the close of the decision", lambda seed: leveraged(seed, fill="same_close")),
    Campaign("backtrader", "limits, stops, stop-limits, on close, OCO, lives", lambda seed: worked(seed, limits=True)),
    Campaign("backtrader", "stops and market orders with slippage", lambda seed: worked(seed, limits=False)),
    Campaign("backtrader", "stops and take-profits from the next bar on", lambda seed: guarded(seed, True, late=True)),
    Campaign("backtrader", "brackets around limits and market orders", lambda seed: bracketing(seed, surrounded)),
    Campaign("backtrader", "portfolios, long and short", lambda seed: portfolio(seed, 1.0, 2)),
    Campaign("vectorbt", "portfolios, rebalancing, long", lambda seed: portfolio(seed, 1.0, 1)),
    Campaign("vectorbt", "portfolios, long and short", lambda seed: portfolio(seed, 0.6, 2)),
    Campaign("vectorbt", "fills at the next close", lambda seed: portfolio(seed, 1.0, 1, fill="next_close")),
    Campaign("bt", "portfolios, long and short, leverage", lambda seed: portfolio(seed, 2.0, 2, leverage=2.0)),
    Campaign("bt", "fills at the close of the decision", lambda seed: portfolio(seed, 1.0, 1, fill="same_close")),
)


def measure(campaign: Campaign, runs: int, python: str) -> Count:
    """Compare as many runs; one that the peer cannot carry out counts as one that differs.

    A run on which a listed difference of semantics acts is drawn anew: our run alone tells that.
    """
    drawn = ((seed, campaign.make(seed)) for seed in itertools.count())
    chosen = dict(itertools.islice((one for one in drawn if not listed_bars(one[1], campaign.peer)), runs))
    agreements = dict(zip(chosen, replayed(list(chosen.values()), campaign.peer, python), strict=True))
    return count(agreements)


def count(agreements: dict[int, Agreement]) -> Count:
    """Add up what runs with these seeds found."""
    found = list(agreements.values())
    return Count(
        anew=max(agreements) + 1 - len(found),
        runs=len(found),
        agree=sum(a.agrees for a in found),
        fills=sum(a.fills for a in found),
        fill_gap=max(a.fill_gap for a in found),
        equity_gap=max(a.equity_gap for a in found),
        first=next((f"run {seed}: {a.problem or a.first}" for seed, a in agreements.items() if not a.agrees), ""),
    )


def environment() -> str:
    """Return the interpreter of the peers' environment: BAROGRAPH_PEERS, or .venv-peers of the project, or this one."""
    beside = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"
    return os.environ.get("BAROGRAPH_PEERS") or (str(beside) if beside.exists() else sys.executable)


def main() -> None:
    """Run the campaigns and print one row each; the exit status is 1 when one run of them differs."""
    parser = argparse.ArgumentParser(prog="benchmarks.agreement", description="Compare random runs with other engines.")
    parser.add_argument("peer", nargs="*", help="backtesting, backtrader, vectorbt, bt; all when none is named")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--python", default=environment(), help="the interpreter the peers are installed for")
    asked = parser.parse_args()
    table = Table(
        "peer", "profile", "agree", "drawn anew", "fills", "largest fill gap", "largest equity gap", "first difference"
    )
    failed = False
    for campaign in CAMPAIGNS:
        if asked.peer and campaign.peer not in asked.peer:
            continue
        c = measure(campaign, asked.runs, asked.python)
        failed = failed or bool(c.first)
        gaps = f"{c.fill_gap:.1e}", f"{c.equity_gap:.1e}"
        table.add_row(
            campaign.peer,
            campaign.name,
            f"{c.agree}/{c.runs}",
            str(c.anew),
            f"{c.fills:,}",
            *gaps,
            c.first or "none",
        )
    Console(width=None if Console().is_terminal else 160).print(table)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
