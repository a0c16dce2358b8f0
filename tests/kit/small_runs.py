"""Small random runs whose decisions are plain numbers, fixed before they run: for the second reading of the contract.

A run comes from a kind of answer, a seed and the switches that may be on. The engine is given it as a history,
terms and a strategy that reads its answers from arrays; the reading is given the same numbers as lists.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import fields, replace
from random import Random
from typing import Any, NamedTuple

import numpy as np

import barograph as bg
from barograph import orders
from barograph.data.history import History
from barograph.jit.kernel import kernel
from tests.kit import reading
from tests.kit.reading import HOLD, INF, NAN, Guard, Request, Terms, is_nan

DAY = 86_400_000_000_000
HOUR = DAY // 24
BEGIN = 1_704_200_000_000_000_000 // HOUR * HOUR
REQUESTS = 3
ANSWERS = ("targets", "protected", "orders")
KINDS = ("market", "limit", "stop", "stop_limit", "trailing_stop", "market_on_close")
LIVES = ("GTC", "DAY", "GTD")
ACTIONS = ("none", "new", "cancel", "cancel_all")
GRIDS = (0.1, 0.01, 0.05, 0.25, 1.0, 10.0, 1e-8, 1e-18, 0.3)
SCALES = (1e-8, 1e-3, 1e4, 1e12)
SWITCHES = (
    "missing", "holes", "zero_volume", "unknown_volume", "splits", "dividends", "delisting", "scales", "negative",
    "grid",
    "fees", "maker", "unit_fee", "fixed_fee", "minimum_fee", "tiers", "slippage", "spread", "volatility", "impact",
    "lot", "tick", "min_notional", "participation", "rates", "series", "band", "guards", "leverage", "cash_account",
    "next_close", "same_close", "optimistic", "nearest", "hours", "crash",
)  # fmt: skip


class Run(NamedTuple):
    """A random run: all that the engine and the reading are given; nobody decides at its `late` bars.

    Nothing fills at those that are `marked` alone.
    """

    seed: int
    answer: str
    on: frozenset[str]
    bars: list[dict[str, Any]]
    actions: list[dict[str, list[float]]]
    terms: Terms
    decisions: list[Any]
    late: frozenset[int] = frozenset()
    marked: frozenset[int] = frozenset()

    def head(self, n: int) -> Run:
        """Return the run of the first n bars."""
        return self._replace(bars=self.bars[:n], actions=self.actions[:n], decisions=self.decisions[:n])


def make(answer: str, seed: int, allowed: Collection[str] = SWITCHES, bars: int | None = None) -> Run:
    """Draw a run; which switches are on comes from the seed too."""
    rng = Random(f"{answer} {seed}")
    share = rng.choice((0.0, 0.1, 0.25, 0.5))
    on = frozenset(name for name in SWITCHES if rng.random() < share) & frozenset(allowed)
    T, N = bars or rng.choice((3, 5, 8, 12, 20)), rng.choice((1, 1, 2, 3))
    tick = rng.choice(GRIDS) if "tick" in on else 0.0
    made = _bars(rng, on, T, N, tick)
    actions = _actions(rng, on, made)
    terms = _terms(rng, on, made, tick)
    return Run(seed, answer, on, made, actions, terms, _decisions(rng, answer, made, terms))


# Bars.


def _bars(rng: Random, on: frozenset[str], T: int, N: int, tick: float) -> list[dict[str, Any]]:
    ts, columns = BEGIN + rng.randrange(24) * HOUR, [_column(rng, on, T, tick) for _ in range(N)]
    made = []
    for t in range(T):
        ts += rng.choice((6, 6, 6, 18) if "hours" in on else (24, 24, 24, 72, 12)) * HOUR
        bar: dict[str, Any] = {name: [column[t][i] for column in columns] for i, name in enumerate(FIELDS)}
        made.append({"ts": ts, **bar})
    return made


FIELDS = ("open", "high", "low", "close", "volume")


def _column(rng: Random, on: frozenset[str], T: int, tick: float) -> list[tuple[float, ...]]:
    """Draw one asset's bars."""
    scale = rng.choice(SCALES) if "scales" in on and rng.random() < 0.5 else 1.0
    crossing = "negative" in on and rng.random() < 0.5
    last, grid = rng.uniform(20.0, 150.0) * scale, tick * rng.choice((1.0, 1.0, 5.0)) if "grid" in on else 0.0
    size, column = (0.3 if "crash" in on else 0.02) * last, []
    if crossing:
        last = rng.choice((0.02, 0.1, -0.5)) * last
    for _ in range(T):
        opened = last + rng.gauss(0.0, size) * (rng.random() < 0.4)
        close = opened + rng.gauss(0.0, size)
        top, bottom = (abs(rng.gauss(0.0, 0.7 * size)) * (rng.random() < 0.9) for _ in range(2))
        prices = [opened, max(opened, close) + top, min(opened, close) - bottom, close]
        floor = -INF if crossing else 0.02 * size
        prices = [_put(max(p, floor), grid) for p in prices]
        last = prices[3]
        column.append((*prices, float(round(math.exp(rng.gauss(5.0, 1.5)) * 10.0))))
    return [_spoil(rng, on, bar) for bar in column]


def _put(p: float, grid: float) -> float:
    """Put a price on a grid that is not too fine or too wide for it."""
    if grid == 0.0 or not 1.0 < abs(p) / grid < 1e9:
        return p
    return float(f"{round(p / grid) * grid:.12g}")


def _spoil(rng: Random, on: frozenset[str], bar: tuple[float, ...]) -> tuple[float, ...]:
    """Take a bar away, or its close, or its volume."""
    opened, high, low, close, volume = bar
    if "zero_volume" in on and rng.random() < 0.15:
        volume = 0.0
    if "unknown_volume" in on and rng.random() < 0.2:
        volume = NAN
    if "missing" in on and rng.random() < 0.2:
        return (NAN,) * 5
    if "holes" in on and rng.random() < 0.05:
        close = NAN
    return (opened, high, low, close, volume)


def _actions(rng: Random, on: frozenset[str], bars: list[dict[str, Any]]) -> list[dict[str, list[float]]]:
    """Draw splits, dividends and an end; prices fall with every split."""
    N = len(bars[0]["close"])
    actions = [{"dividend": [0.0] * N, "split": [1.0] * N, "final": [NAN] * N} for _ in bars]
    for a in range(N):
        ratio = 1.0
        for bar, action in zip(bars, actions, strict=True):
            half = is_nan(bar["close"][a]) and not is_nan(bar["open"][a])
            if "splits" in on and rng.random() < 0.1 and not half:
                action["split"][a] = rng.choice((0.5, 2.0, 3.0, 0.1, 1.5))
                ratio *= action["split"][a]
            for name in FIELDS[:4]:
                bar[name][a] /= ratio
            bar["volume"][a] = float(round(bar["volume"][a] * ratio)) if bar["volume"][a] > 0 else bar["volume"][a]
            if "dividends" in on and rng.random() < 0.15 and not half:
                action["dividend"][a] = abs(0.0 if is_nan(bar["close"][a]) else bar["close"][a]) * 0.02
    if "delisting" in on and len(bars) > 2:
        _end(rng, bars, actions)
    return actions


def _end(rng: Random, bars: list[dict[str, Any]], actions: list[dict[str, list[float]]]) -> None:
    a, last = rng.randrange(len(bars[0]["close"])), rng.randrange(1, len(bars))
    known = [abs(bar["close"][a]) for bar in bars if not is_nan(bar["close"][a])]
    actions[last]["final"][a] = rng.choice((0.0, 0.7, 1.1)) * (known[0] if known else 1.0)
    for t in range(last + 1, len(bars)):
        for name in FIELDS:
            bars[t][name][a] = NAN
        actions[t]["split"][a], actions[t]["dividend"][a] = 1.0, 0.0


# Terms.


def _terms(rng: Random, on: frozenset[str], bars: list[dict[str, Any]], tick: float) -> Terms:
    price = next((abs(p) for bar in bars for p in bar["close"] if not is_nan(p) and p != 0.0), 100.0)
    lot = rng.choice(GRIDS) if "lot" in on else 0.0
    cash = lot * price * rng.choice((7.3, 55.0, 400.0, 3_000.0)) if lot > 0.0 and rng.random() < 0.8 else 10_000.0
    cash = cash if 1e-4 < cash < 1e16 else 10_000.0
    unit = price * 1e-4
    leverage = rng.choice((0.7, 1.0, 2.0, 4.0)) if "leverage" in on and "cash_account" not in on else 1.0
    series = [(bars[0]["ts"], 0.02), (bars[len(bars) // 2]["ts"], 0.09)]
    return Terms(
        cash=cash,
        fill="next_close" if "next_close" in on else "same_close" if "same_close" in on else "next_open",
        path="optimistic" if "optimistic" in on else "nearest" if "nearest" in on else "pessimistic",
        fee=rng.choice((0.001, 0.01)) if "fees" in on else 0.0,
        maker_fee=rng.choice((-0.0002, 0.0004)) if "maker" in on else None,
        unit_fee=unit if "unit_fee" in on else 0.0,
        fixed_fee=cash * 1e-4 if "fixed_fee" in on else 0.0,
        minimum_fee=cash * rng.choice((3e-4, 2e-3)) if "minimum_fee" in on else 0.0,
        minimum_fee_of=rng.choice(("order", "fill")),
        tiers=((0.0, 0.002, 0.001), (0.5 * cash, 0.001, 0.0005), (3.0 * cash, 0.0004, 0.0)) if "tiers" in on else (),
        slippage=rng.choice((0.001, 0.01)) if "slippage" in on else 0.0,
        spread=0.002 if "spread" in on else 0.0,
        volatility_slippage=0.1 if "volatility" in on else 0.0,
        impact=0.5 if "impact" in on else 0.0,
        lot=lot,
        tick=tick,
        min_notional=0.03 * cash if "min_notional" in on else 0.0,
        participation=rng.choice((0.01, 0.1, 0.29)) if "participation" in on else 0.0,
        account="cash" if "cash_account" in on else "margin",
        leverage=leverage,
        maintenance=min(0.8 / leverage, rng.choice((0.0, 0.1, 0.23, 0.46))) if "leverage" in on else 0.25,
        warning=0.47,
        borrow_rate=series if "series" in on else 0.2 if "rates" in on else 0.0,
        cash_rate=series if "series" in on and rng.random() < 0.5 else 0.03 if "rates" in on else 0.0,
        short_rate=0.3 if "rates" in on else 0.0,
        band=rng.choice((0.05, 0.2)) if "band" in on else 0.0,
        guards=_guards(rng) if "guards" in on else (),
    )


def _guards(rng: Random) -> tuple[Guard, ...]:
    limits = {"drawdown": 0.03, "daily_loss": 0.02, "gross": 0.8, "net": 0.6, "position": 0.4, "turnover": 1.5,
              "stop_out": 1.0}  # fmt: skip
    chosen = rng.sample(sorted(limits), rng.choice((1, 1, 1, 2, 3)))
    return tuple(Guard(on, limits[on], rng.choice(reading.MODES[1:]), rng.choice((0, 0, 1, 2, 3))) for on in chosen)


# Decisions.


def _decisions(rng: Random, answer: str, bars: list[dict[str, Any]], terms: Terms) -> list[Any]:
    price, made, before = [NAN] * len(bars[0]["close"]), [], None
    unit = terms.leverage * terms.cash * (rng.choice((0.12, 0.12, 1.0)) if answer == "orders" else 1.0)
    for bar in bars:
        price = [p if is_nan(c) else c for c, p in zip(bar["close"], price, strict=True)]
        if answer == "orders":
            made.append(("orders", _requests(rng, price, bar["ts"], unit, before[1] if before else [])))
        elif before is not None and rng.random() < 0.3:
            made.append(before)
        else:
            made.append(_weights(rng, answer, price, terms))
        before = made[-1]
    return made


def _weights(rng: Random, answer: str, price: list[float], terms: Terms) -> tuple[Any, ...]:
    wanted = (0.0, 0.3, 0.5, 0.9, 1.0, -0.4, 1.5, -0.97, HOLD, HOLD)
    w = [rng.choice(wanted) for _ in price]
    w = [x if x == HOLD else x * terms.leverage / max(1, len(price) - 1) for x in w]
    if answer == "targets":
        return "targets", w
    sides = [1.0 if x >= 0.0 else -1.0 for x in w]
    by = (NAN, 0.005, 0.02, 0.05)
    stop = [_level(p * (1.0 - s * rng.choice(by))) for p, s in zip(price, sides, strict=True)]
    take = [_level(p * (1.0 + s * rng.choice(by))) for p, s in zip(price, sides, strict=True)]
    return "protected", w, stop, take, [rng.choice((NAN, 0.007, 0.023, 0.047)) for _ in price]


def _level(p: float) -> float:
    return NAN if p == 0.0 else p


def _requests(rng: Random, price: list[float], ts: int, unit: float, before: list[Request]) -> list[Request]:
    made: list[Request] = []
    for _ in range(REQUESTS):
        a = rng.randrange(len(price))
        if rng.random() < 0.5 or is_nan(price[a]) or price[a] == 0.0:
            continue
        chance = rng.random()
        if chance < 0.05:
            made.append(Request("cancel", a, tag=rng.randrange(1, 4)))
        elif chance < 0.09:
            made.append(Request("cancel_all", a))
        elif chance < 0.2 and before:
            made.append(rng.choice(before)._replace(pair=0))
        else:
            made.append(_request(rng, a, price[a], ts, unit))
    return _paired(rng, made)


def _request(rng: Random, a: int, p: float, ts: int, unit: float) -> Request:
    kind = rng.choice(("market", *KINDS))
    q = rng.choice((0.1, 0.3, 0.6, 1.0, 1.7, -0.1, -0.3, -0.6, -1.2)) * unit / abs(p)
    side = 1.0 if q > 0.0 else -1.0
    near = (-0.03, -0.01, 0.0, 0.005, 0.03)
    percent = kind == "trailing_stop" and rng.random() < 0.5
    by = rng.choice((0.0061, 0.021, 0.052))
    life = rng.choice(("GTC", *LIVES))
    legs = [p * (1.0 + s * rng.choice((0.01, 0.03))) if rng.random() < 0.3 else NAN for s in (-side, side)]
    return Request(
        "new", a, kind, q,
        limit=p * (1.0 + rng.choice(near)) if "limit" in kind else NAN,
        stop=p * (1.0 + rng.choice(near)) if kind in ("stop", "stop_limit") else NAN,
        trail=NAN if kind != "trailing_stop" else by if percent else abs(p) * by,
        percent=percent, life=life, until=float(ts + rng.randrange(1, 6) * DAY) if life == "GTD" else INF,
        reduces=rng.random() < 0.2, tag=rng.randrange(0, 4), loss=legs[0], profit=legs[1],
        trailing=rng.choice((0.013, 0.034)) if rng.random() < 0.2 else NAN, keeps=rng.random() < 0.2,
    )  # fmt: skip


def _paired(rng: Random, made: list[Request]) -> list[Request]:
    """Let some two orders of one asset that are new be a pair."""
    for r in range(1, len(made)):
        one, other = made[r - 1], made[r]
        fits = one.action == other.action == "new" and one.asset == other.asset and one.pair == 0
        if fits and rng.random() < 0.3:
            made[r - 1], made[r] = one._replace(pair=r), other._replace(pair=r)
    return made


# The same run for the engine.


class Weights(NamedTuple):
    """Weights and levels (T, N)."""

    weights: Any
    stop: Any
    take: Any
    trail: Any


class Slips(NamedTuple):
    """Requests (T, R, columns)."""

    rows: Any


@kernel
def follow_targets(state, bars, belief, portfolio, params):
    """Want what the arrays say."""
    return state + 1, bg.Target(params.weights[state])


@kernel
def follow_protected(state, bars, belief, portfolio, params):
    """Want what the arrays say, protected at their levels."""
    return state + 1, bg.Protected(params.weights[state], params.stop[state], params.take[state], params.trail[state])


(ACTION, ASSET, KIND, SIZE, LIMIT, STOP, TRAIL, PERCENT, LIFE, UNTIL, REDUCES, TAG, PAIR, LOSS, PROFIT, TRAILING,
 KEEPS) = range(17)  # fmt: skip


@kernel
def _write(slip, row):
    """Write one new order; return its row on the slip."""
    a, kind, q = int(row[ASSET]), int(row[KIND]), row[SIZE]
    if kind == 0:
        made = orders.market(slip, a, q)
    elif kind == 1:
        made = orders.limit(slip, a, q, row[LIMIT])
    elif kind == 2:
        made = orders.stop(slip, a, q, row[STOP])
    elif kind == 3:
        made = orders.stop_limit(slip, a, q, row[STOP], row[LIMIT])
    elif kind == 4 and row[PERCENT] == 1.0:
        made = orders.trailing_percent(slip, a, q, row[TRAIL])
    elif kind == 4:
        made = orders.trailing_stop(slip, a, q, row[TRAIL])
    else:
        made = orders.market_on_close(slip, a, q)
    return made


@kernel
def _say(slip, made, row):
    """Say what else is to be said of an order."""
    if row[LIFE] == 1.0:
        orders.day(slip, made)
    if row[LIFE] == 2.0:
        orders.until(slip, made, int(row[UNTIL]))
    if row[KEEPS] == 1.0:
        orders.do_not_reduce(slip, made)
    if row[REDUCES] == 1.0:
        orders.reduce_only(slip, made)
    orders.tag(slip, made, int(row[TAG]))
    orders.bracket(slip, made, row[LOSS], row[PROFIT])
    orders.trail(slip, made, row[TRAILING])


@kernel
def follow_slips(state, bars, belief, portfolio, params):
    """Ask for what the arrays say."""
    slip = orders.slip(params.rows.shape[1])
    before, pair = 0, 0.0
    for r in range(params.rows.shape[1]):
        row = params.rows[state, r]
        if row[ACTION] == 2.0:
            orders.cancel(slip, int(row[ASSET]), int(row[TAG]))
        if row[ACTION] == 3.0:
            orders.cancel_all(slip, int(row[ASSET]))
        if row[ACTION] != 1.0:
            continue
        made = _write(slip, row)
        _say(slip, made, row)
        if row[PAIR] != 0.0 and row[PAIR] == pair:
            orders.one_cancels_other(slip, before, made)
        before, pair = made, row[PAIR]
    return state + 1, slip


def _zero(_: Any) -> int:
    return 0


def history_of(run: Run) -> History:
    columns = {name: np.array([bar[name] for bar in run.bars]) for name in FIELDS}
    names = {"dividends": "dividend", "splits": "split", "final": "final"}
    columns |= {name: np.array([action[key] for action in run.actions]) for name, key in names.items()}
    symbols = [f"A{a}" for a in range(len(run.bars[0]["close"]))]
    made = History.from_arrays(
        ts=np.array([bar["ts"] for bar in run.bars]), symbols=symbols, calendar="24/7", **columns
    )
    return replace(made, decides=np.array([1 - (t in run.late) - (t in run.marked) for t in range(len(made))]))


def strategy_of(run: Run) -> bg.Strategy:
    # Who is not asked at a late bar has no answer for it.
    run = run._replace(decisions=[of for t, of in enumerate(run.decisions) if t not in run.late] or run.decisions[:1])
    if run.answer == "orders":
        return bg.strategy(follow_slips, params=Slips(_rows(run.decisions)), init=_zero)
    arrays = [np.array([answer[i] for answer in run.decisions]) for i in range(1, len(run.decisions[0]))]
    params = Weights(*arrays, *[arrays[0]] * (4 - len(arrays)))
    return bg.strategy(follow_protected if run.answer == "protected" else follow_targets, params=params, init=_zero)


def _rows(decisions: list[Any]) -> Any:
    rows = np.zeros((len(decisions), REQUESTS, KEEPS + 1))
    for t, (_, requests) in enumerate(decisions):
        for r, q in enumerate(requests):
            rows[t, r] = (ACTIONS.index(q.action), q.asset, KINDS.index(q.kind), *q[3:8], LIVES.index(q.life), *q[9:])
    return rows


def terms_of(run: Run) -> bg.Terms:
    """Return the terms as the engine wants them."""
    given = {f.name: getattr(run.terms, f.name) for f in fields(Terms) if f.name in bg.Terms.__dataclass_fields__}
    for name in ("borrow_rate", "cash_rate"):
        if not isinstance(given[name], float):
            given[name] = bg.Rate(*(np.array(x) for x in zip(*given[name], strict=True)))
    given["guards"] = tuple(bg.Guard(*guard) for guard in run.terms.guards)
    return bg.Terms(**given, resting=48)


def machine_of(run: Run) -> bg.Machine:
    return bg.Machine(strategy=strategy_of(run), terms=terms_of(run))


def read(run: Run, by: type[reading.Reading] = reading.Reading) -> reading.Reading:
    """Let the reading carry a run out."""
    return by(run.bars, run.actions, run.terms, run.decisions, run.late, run.marked).run()
