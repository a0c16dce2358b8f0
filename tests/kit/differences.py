"""What differs between a run by the engine and the same run by the second reading."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

import barograph as bg
from barograph.data.history import History
from barograph.errors import StrategyError
from barograph.execution import events
from barograph.loop.result import Result
from tests.kit import reading, small_runs
from tests.kit.small_runs import Run

NEAR = 1e-9
Loop = Callable[[bg.Machine, History], Result]


WORDS = {
    "orders": ("bar", "asset", "role", "kind", "weight", "asked", "limit", "stop", "trail", "life", "tag", "filled",
               "status", "reason", "end"),
    "fills": ("bar", "asset", "quantity", "price", "fee"),
    "events": ("bar", "event", "asset", "quantity", "price", "reason"),
}  # fmt: skip


class Told(NamedTuple):
    """What is compared: plain rows, and the equity at every close."""

    orders: list[tuple[Any, ...]]
    fills: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]
    equity: list[float]


class Compared(NamedTuple):
    """What differs, the reading, and whether a difference is one of the few digits of what is left of an account."""

    told: list[str]
    read: reading.Reading
    edge: bool


def differences(run: Run, loop: Loop, by: type[reading.Reading] = reading.Reading) -> list[str]:
    """Run both; return what differs, nothing where they agree."""
    return compared(run, loop, by).told


def compared(run: Run, loop: Loop, by: type[reading.Reading] = reading.Reading) -> Compared:
    """Run both and compare them; a run that is ruined is compared up to there."""
    read, history = small_runs.read(run, by), small_runs.history_of(run)
    ended, result = attempt(run, history, loop)
    wanted = f" at {history.when(read.ruined)}" if read.ruined is not None else ""
    if (wanted == "") != (ended == "") or not ended.endswith(wanted):
        told = [f"ruin: the engine says {ended!r}, the reading {read.ruined}{wanted}"]
    elif read.ruined is not None:
        told = differences(run.head(read.ruined), loop, by) if read.ruined > 1 else []
    else:
        told = list(compare(told_by_engine(result), told_by_reading(read), run.terms.cash, run.terms.lot))
    return Compared([], read, True) if told and read.edge else Compared(told, read, False)


def attempt(run: Run, history: History, loop: Loop) -> tuple[str, Any]:
    """Return how a run ended early, and its result."""
    try:
        return "", loop(small_runs.machine_of(run), history)
    except StrategyError as error:
        if "ruined the account" not in str(error):
            raise
        return str(error), None


def told_by_engine(result: Result) -> Told:
    log = result.arrays.events
    made, ends, fills, told = events.born(log), events.changes(log), events.fills(log), events.account_events(log)
    how: dict[int, tuple[str, str, int]] = {}
    filled: dict[int, float] = {}
    for order, bar, q, status, reason in zip(
        ends.order.tolist(), ends.bar.tolist(), ends.filled.tolist(), ends.status, ends.reason, strict=True
    ):
        filled[order] = filled.get(order, 0.0) + q
        if status:
            how[order] = (status, reason, bar)
    columns = (made.bar, made.asset, made.role, made.kind, made.weight, made.asked, made.limit, made.stop, made.trail,
               made.life, made.tag)  # fmt: skip
    ids = made.order.tolist()
    rows = [
        (*row, filled.get(order, 0.0), *how.get(order, ("open", events.WAITING, -1)))
        for order, *row in zip(ids, *(x.tolist() for x in columns), strict=True)
    ]
    n = len(result.history.symbols)
    return Told(
        rows,
        _rows(fills.bar, fills.asset, fills.quantity, fills.price, fills.fee),
        [
            (bar, event, -1 if a >= n else a, q, p, reason)
            for bar, event, a, q, p, reason in _rows(
                told.bar, told.event, told.asset, told.measured, told.limit, told.reason
            )
        ],
        result.arrays.equity.tolist(),
    )


def _rows(*columns: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(x.tolist() for x in columns), strict=True))


def told_by_reading(read: reading.Reading) -> Told:
    rows = [
        (
            o.born,
            o.asset,
            o.role,
            o.kind,
            o.weight,
            o.asked,
            *o.first,
            o.life,
            o.tag,
            o.filled,
            o.status,
            o.reason,
            o.end,
        )
        for o in read.orders
    ]
    return Told(rows, [(f.bar, *f[2:]) for f in read.fills], [tuple(e) for e in read.events], list(read.equity))


def compare(engine: Told, second: Told, scale: float, lot: float = 0.0) -> Iterator[str]:
    """Name what differs, to 1e-9; of quantities to what 1e-12 of the cash buys, of fine lots to a few of them."""
    few, least = 4.0 * lot if lot <= 1e-8 else 0.0, dict[int, float]()
    for _, asset, _, price, _ in engine.fills:
        least[asset] = min(least.get(asset, math.inf), abs(price))
    for t, (one, other) in enumerate(zip_longest(engine.equity, second.equity, fillvalue=math.nan)):
        if not abs(one - other) <= NEAR * max(scale, abs(one), abs(other)):
            yield f"equity at bar {t}: {one!r} and {other!r}"
            break
    for name, key in (("fills", None), ("orders", _place), ("events", _kind)):
        rows = [list(getattr(told, name)) for told in (engine, second)]
        for one, other in zip_longest(*(sorted(x, key=key) if key else x for x in rows)):
            if one is None or other is None:
                yield f"{name}: {one} and {other}"
                continue
            price = least.get(one[2 if name == "events" else 1], 0.0)
            slack = few + 1e-12 + (1e-12 * scale / price if price > 0.0 else 0.0)
            odd = {
                word: (x, y)
                for word, x, y in zip(WORDS[name], one, other, strict=True)
                if not alike(x, y, slack if word in QUANTITIES else 1e-12 * scale if word == "fee" else 0.0)
            }
            if odd:
                yield f"{name}: {odd} of {one}"


QUANTITIES = ("asked", "filled", "quantity")


def _place(order: tuple[Any, ...]) -> tuple[Any, ...]:
    return order[:4]


def _kind(event: tuple[Any, ...]) -> tuple[Any, ...]:
    return event[:3]


def alike(one: Any, other: Any, slack: float = 0.0) -> bool:
    """Tell whether two words or numbers are one, to 1e-9."""
    if isinstance(one, float):
        return (
            one == other
            or (one != one and other != other)
            or abs(one - other) <= slack + NEAR * max(abs(one), abs(other))
        )
    return bool(one == other)
