"""Random bars, random terms, and strategies that do what a script says: what the oracle and the laws run over.

All comes from a seed and a few switches, so that what fails shrinks to few bars and few switches.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import barograph as bg
from barograph import orders
from barograph.data.history import History
from barograph.jit.kernel import kernel

DAY = 86_400_000_000_000
MOST, ASSETS, REQUESTS = 40, 3, 3
CASH = 10_000.0
# Prices, volume, switches of the bars; terms.
BARS = ("missing", "gaps", "zero_volume", "unknown_volume", "splits", "dividends", "delisting", "holes")
TERMS = (
    "fees", "maker", "unit_fee", "fixed_fee", "minimum_fee", "tiers", "slippage", "spread", "volatility", "impact",
    "lot", "tick", "min_notional", "participation", "series", "guards", "band", "short_rate",
)  # fmt: skip


class Knobs(NamedTuple):
    """What a random run is made of."""

    seed: int
    bars: int
    assets: int
    on: frozenset[str]
    fill: str
    path: str
    account: str
    leverage: float
    maintenance: float
    step: str


@st.composite
def knobs(draw: Any, fills: tuple[str, ...] = ("next_open", "next_close", "same_close"),
          without: tuple[str, ...] = ()) -> Knobs:  # fmt: skip
    """Draw a run; fewer bars, assets and switches are simpler."""
    account = draw(st.sampled_from(("margin", "cash")))
    leverage = 1.0 if account == "cash" else draw(st.sampled_from((1.0, 0.7, 2.0, 4.0)))
    return Knobs(
        seed=draw(st.integers(0, 10**6)),
        bars=draw(st.integers(3, MOST)),
        assets=draw(st.integers(1, ASSETS)),
        on=frozenset(draw(st.sets(st.sampled_from([x for x in (*BARS, *TERMS) if x not in without]), max_size=14))),
        fill=draw(st.sampled_from(fills)),
        path=draw(st.sampled_from(("pessimistic", "optimistic", "nearest"))),
        account=account,
        leverage=leverage,
        maintenance=draw(st.sampled_from((0.0, 0.1, 0.25))),
        step=draw(st.sampled_from(("day", "hours", "week"))),
    )


class Market(NamedTuple):
    """Columns (T, N) of prices as quoted, and what was declared beside them."""

    ts: Any
    prices: dict[str, Any]
    volume: Any
    dividends: Any
    splits: Any
    final: Any

    def history(self, order: Any = None, **changed: Any) -> History:
        """Make a history, its columns in this order."""
        market = self._replace(**changed)
        n = market.volume.shape[1]
        at = list(range(n)) if order is None else list(order)
        names = ("volume", "dividends", "splits", "final")
        columns = {name: getattr(market, name)[:, at] for name in names}
        columns |= {name: values[:, at] for name, values in market.prices.items()}
        return History.from_arrays(ts=market.ts, symbols=[f"A{a}" for a in at], calendar="24/7", **columns)


def market_of(k: Knobs, ratios: tuple[float, ...] = (0.5, 2.0, 3.0, 0.2)) -> Market:
    """Make the bars: more and less quiet ones, all with a high and a low that hold."""
    rng = np.random.default_rng(k.seed)
    shape = (MOST, ASSETS)
    steps = {"day": (24, 24, 24, 72), "hours": (6, 6, 6, 18), "week": (168, 168, 336, 1000)}[k.step]
    ts = 1_704_200_000_000_000_000 + np.cumsum(rng.choice(steps, size=MOST)) * (DAY // 24)
    moves = rng.standard_t(3, size=shape) * 0.02
    gap = rng.normal(0.0, 0.03, size=shape) * (rng.random(shape) < 0.4) * ("gaps" in k.on)
    close = rng.uniform(20.0, 150.0, size=ASSETS) * np.exp(np.cumsum(np.clip(moves, -0.3, 0.3), axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(gap)
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0.0, 0.015, size=shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0.0, 0.015, size=shape)))
    volume = np.round(np.exp(rng.normal(5.0, 1.5, size=shape)) * 10.0)
    chance = rng.random((6, *shape))
    volume[(chance[0] < 0.1) & ("zero_volume" in k.on)] = 0.0
    volume[(chance[1] < 0.2) & ("unknown_volume" in k.on)] = np.nan
    prices = {"open": opened, "high": high, "low": low, "close": close}
    gone = (chance[2] < 0.15) & ("missing" in k.on)
    for column in (*prices.values(), volume):
        column[gone] = np.nan
    if "holes" in k.on:
        close[chance[3] < 0.05] = np.nan
    splits = np.where((chance[4] < 0.08) & ("splits" in k.on), rng.choice(ratios, size=shape), 1.0)
    dividends = np.where((chance[5] < 0.08) & ("dividends" in k.on), 0.03 * 50.0, 0.0)
    # A bar with an open and no close has its actions on the next day: they would not be those of its open.
    half = np.isnan(close) & np.isfinite(opened)
    splits[half], dividends[half] = 1.0, 0.0
    market = Market(ts, prices, volume, dividends, splits, np.full(shape, np.nan))
    if "delisting" in k.on:
        _end(market, rng, k)
    return _quoted(_cut(market, k))


def _end(market: Market, rng: Any, k: Knobs) -> None:
    a, last = int(rng.integers(0, k.assets)), int(rng.integers(1, k.bars))
    market.final[last, a] = rng.choice([0.0, 30.0, 70.0])
    for column in (*market.prices.values(), market.volume):
        column[last + 1 :, a] = np.nan
    market.splits[last + 1 :, a], market.dividends[last + 1 :, a] = 1.0, 0.0


def _cut(market: Market, k: Knobs) -> Market:
    names = ("volume", "dividends", "splits", "final")
    cut: dict[str, Any] = {name: getattr(market, name)[: k.bars, : k.assets] for name in names}
    prices = {name: values[: k.bars, : k.assets] for name, values in market.prices.items()}
    return market._replace(ts=market.ts[: k.bars], prices=prices, **cut)


def _quoted(market: Market) -> Market:
    """Let the prices be those of the day: what is quoted falls with every split, and volume rises."""
    ratio = np.cumprod(market.splits, axis=0)
    prices = {name: values / ratio for name, values in market.prices.items()}
    return market._replace(prices=prices, volume=market.volume * ratio)


def still(market: Market) -> Market:
    """Let no price move: every bar that is there is its asset's first close, split for split."""
    ratio = np.cumprod(market.splits, axis=0)
    first = [column[np.isfinite(column)][:1] for column in market.prices["close"].T]
    price = np.array([x[0] if len(x) else np.nan for x in first])
    prices = {name: np.where(np.isnan(values), np.nan, price / ratio) for name, values in market.prices.items()}
    return market._replace(prices=prices)


def adjusted(market: Market) -> Market:
    """Say the same without a split: prices of old shares, quantities of them."""
    ratio = np.cumprod(market.splits, axis=0)
    prices = {name: values * ratio for name, values in market.prices.items()}
    return market._replace(
        prices=prices,
        volume=market.volume / ratio,
        splits=np.ones_like(ratio),
        dividends=market.dividends * ratio,
        final=market.final * ratio,
    )


def terms_of(k: Knobs, market: Market) -> dict[str, Any]:
    """Return the terms of trade that the switches say."""
    rng = np.random.default_rng(k.seed + 1)
    on = k.on
    when = [int(market.ts[0]), int(market.ts[len(market.ts) // 2])]
    series = bg.Rate(np.array(when), np.array([0.02, 0.09]))
    found: dict[str, Any] = {
        "fee": 0.001 if "fees" in on else 0.0,
        "maker_fee": float(rng.choice([-0.0002, 0.0004])) if "maker" in on else None,
        "unit_fee": 0.01 if "unit_fee" in on else 0.0,
        "fixed_fee": 1.0 if "fixed_fee" in on else 0.0,
        "minimum_fee": 3.0 if "minimum_fee" in on else 0.0,
        "tiers": ((0.0, 0.002, 0.001), (5_000.0, 0.001, 0.0005), (30_000.0, 0.0004, 0.0)) if "tiers" in on else (),
        "slippage": 0.001 if "slippage" in on else 0.0,
        "spread": 0.002 if "spread" in on else 0.0,
        "volatility_slippage": 0.1 if "volatility" in on else 0.0,
        "impact": 0.5 if "impact" in on else 0.0,
        "lot": float(rng.choice([1.0, 10.0])) if "lot" in on else 0.0,
        "tick": float(rng.choice([0.01, 0.25])) if "tick" in on else 0.0,
        "min_notional": 300.0 if "min_notional" in on else 0.0,
        "participation": float(rng.choice([0.01, 0.1])) if "participation" in on else 0.0,
        "borrow_rate": series if "series" in on else float(rng.choice([0.0, 0.2])),
        "cash_rate": series if "series" in on and rng.random() < 0.5 else float(rng.choice([0.0, 0.03])),
        "short_rate": 0.3 if "short_rate" in on else 0.0,
        "band": 0.05 if "band" in on else 0.0,
        "guards": _guards(rng, market) if "guards" in on else (),
    }
    return found | {
        "cash": CASH, "fill": k.fill, "path": k.path, "account": k.account, "leverage": k.leverage,
        "maintenance": k.maintenance, "resting": 48,
    }  # fmt: skip


def _guards(rng: Any, market: Market) -> tuple[bg.Guard, ...]:
    limits = {"drawdown": 0.05, "daily_loss": 0.02, "gross": 0.8, "net": 0.6, "position": 0.4, "turnover": 2.0,
              "stop_out": 1.0}  # fmt: skip
    chosen = rng.choice(list(limits), size=int(rng.integers(1, 4)), replace=False)
    modes = ("no_new_risk", "reduce_only", "flatten")
    return tuple(
        bg.Guard(str(on), limits[str(on)], modes[int(rng.integers(0, 3))], int(rng.integers(0, 4))) for on in chosen
    )


class Weights(NamedTuple):
    """What is wanted at each close: weights (T, N), and stop, take, trail as fractions of the price (T, N)."""

    weights: Any
    stop: Any
    take: Any
    trail: Any


def weights_of(k: Knobs) -> Weights:
    """Return a script of targets: some held, some zero, some too large, some short."""
    rng = np.random.default_rng(k.seed + 2)
    shape = (MOST, ASSETS)
    w = rng.choice([0.0, 0.3, 0.5, 0.9, -0.4, 1.5, bg.HOLD, bg.HOLD], size=shape)
    w *= np.where(np.isinf(w), 1.0, k.leverage / max(1, k.assets - 1))
    stays = rng.random(shape) < 0.3
    for t in range(1, MOST):
        w[t, stays[t]] = w[t - 1, stays[t]]
    drop = [np.where(rng.random(shape) < 0.6, rng.choice([0.01, 0.03, 0.06], size=shape), np.nan) for _ in range(3)]
    return Weights(*(np.ascontiguousarray(x[: k.bars, : k.assets]) for x in (w, *drop)))


@kernel
def follow_weights(state, bars, belief, portfolio, params):
    """Want what the script says."""
    return state + 1, bg.Target(params.weights[state])


@kernel
def follow_protected(state, bars, belief, portfolio, params):
    """Want what the script says, protected at distances from the last price, on the good side of it."""
    n = portfolio.price.size
    stop, take, trail = np.empty(n), np.empty(n), np.empty(n)
    for a in range(n):
        w = params.weights[state, a]
        long = w > 0.0 if w != np.inf else portfolio.quantity[a] > 0.0
        side = 1.0 if long else -1.0
        stop[a] = portfolio.price[a] * (1.0 - side * params.stop[state, a])
        take[a] = portfolio.price[a] * (1.0 + side * params.take[state, a])
        trail[a] = params.trail[state, a]
    return state + 1, bg.Protected(params.weights[state], stop, take, trail)


class Script(NamedTuple):
    """Requests (T, R, 14) at each close; sizes are money, `unit` of it; `column` (N,) is where each asset stands."""

    rows: Any
    column: Any
    unit: float


# Columns of a request. `REDUCING` is added to the tag of a reduce-only order, so that a reader of tables knows it.
(KIND, ASSET, SIZE, LIMIT, STOP, BY, LIFE, BARS_LEFT, REDUCE, TAG, LOSS, PROFIT, TRAIL, PAIRED) = range(14)
REDUCING = 100_000


def script_of(k: Knobs) -> Script:
    """Return a script of explicit orders of every kind."""
    rng = np.random.default_rng(k.seed + 3)
    shape = (MOST, REQUESTS)
    rows = np.zeros((*shape, 14))
    rows[..., KIND] = np.where(rng.random(shape) < 0.5, 0, rng.choice([1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9], size=shape))
    rows[..., ASSET] = rng.integers(0, ASSETS, size=shape) % k.assets
    rows[..., SIZE] = rng.choice([0.1, 0.3, 0.6, 1.0, 1.7, -0.1, -0.3, -0.6, -1.2], size=shape) * k.leverage
    rows[..., LIMIT] = rng.choice([-0.03, -0.01, 0.0, 0.005, 0.03], size=shape)
    rows[..., STOP] = rng.choice([-0.03, -0.01, 0.0, 0.005, 0.03], size=shape)
    rows[..., BY] = rng.choice([0.005, 0.02, 0.05], size=shape)
    rows[..., LIFE] = rng.integers(0, 3, size=shape)
    rows[..., BARS_LEFT] = rng.integers(1, 6, size=shape)
    rows[..., REDUCE] = rng.random(shape) < 0.2
    rows[..., TAG] = rng.integers(0, 4, size=shape)
    for column in (LOSS, PROFIT, TRAIL):
        rows[..., column] = np.where(rng.random(shape) < 0.3, rng.choice([0.01, 0.03], size=shape), np.nan)
    rows[..., PAIRED] = rng.random(shape) < 0.3
    return Script(np.ascontiguousarray(rows[: k.bars]), np.arange(k.assets), CASH)


@kernel
def _write(slip, row, a, p, unit):
    """Write one request; return its row on the slip."""
    kind, q = int(row[KIND]), row[SIZE] * unit / abs(p)
    limit, stop = p * (1.0 + row[LIMIT]), p * (1.0 + row[STOP])
    if kind == 1:
        made = orders.market(slip, a, q)
    elif kind == 2:
        made = orders.limit(slip, a, q, limit)
    elif kind == 3:
        made = orders.stop(slip, a, q, stop)
    elif kind == 4:
        made = orders.stop_limit(slip, a, q, stop, limit)
    elif kind == 5:
        made = orders.trailing_stop(slip, a, q, abs(p) * row[BY])
    elif kind == 6:
        made = orders.trailing_percent(slip, a, q, row[BY])
    else:
        made = orders.market_on_close(slip, a, q)
    return made


@kernel
def follow_script(state, bars, belief, portfolio, params):
    """Ask for what the script says; an asset that never had a price waits."""
    slip = orders.slip(params.rows.shape[1])
    before = 0
    for r in range(params.rows.shape[1]):
        row = params.rows[state, r]
        a, kind = params.column[int(row[ASSET])], int(row[KIND])
        p = portfolio.price[a]
        if kind == 0 or p != p:
            continue
        if kind == 8:
            orders.cancel(slip, a, int(row[TAG]))
            continue
        if kind == 9:
            orders.cancel_all(slip, a)
            continue
        made = _write(slip, row, a, p, params.unit)
        side = 1.0 if row[SIZE] > 0.0 else -1.0
        if row[LIFE] == 1.0:
            orders.day(slip, made)
        if row[LIFE] == 2.0:
            orders.until(slip, made, bars.ts + int(row[BARS_LEFT]) * DAY)
        number = int(row[TAG])
        if row[REDUCE] == 1.0:
            orders.reduce_only(slip, made)
            number += REDUCING
        orders.tag(slip, made, number)
        orders.bracket(slip, made, p * (1.0 - side * row[LOSS]), p * (1.0 + side * row[PROFIT]))
        orders.trail(slip, made, row[TRAIL])
        if before > 0 and row[PAIRED] == 1.0 and slip.rows[before, 1] == a:
            orders.one_cancels_other(slip, before, made)
            before = 0
        else:
            before = made
    return state + 1, slip


def _zero(_: Any) -> int:
    return 0


def strategy_of(kind: str, k: Knobs) -> bg.Strategy:
    """Return the scripted strategy of this kind: targets, protected, orders."""
    if kind == "orders":
        return bg.strategy(follow_script, params=script_of(k), init=_zero)
    step = follow_protected if kind == "protected" else follow_weights
    return bg.strategy(step, params=weights_of(k), init=_zero)
