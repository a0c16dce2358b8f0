"""Errors planted into real bars: caught before a decision; and true bars that are held, with the great days.

``python -m tests.campaigns.gate --errors 1000 --shared ../shared/data`` prints the counts of each kind and series.
Each error is beyond the gate's stated bound, which is computed here anew: twelve usual moves, compounded.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from barograph.data.gate import gated
from barograph.data.history import FIELDS, History
from tests.kit.true_bars import GREAT_DAYS, great_days, real

PRICES: Final = FIELDS[:4]
CAUGHT, HELD = 0.95, 1 / 5000
_ROWS: Final = 400

Spoil = Callable[[dict[str, Any], int, float, Any], None]


def by(factor: float) -> Spoil:
    """Return what puts a whole bar off by a factor."""

    def spoil(bar: dict[str, Any], t: int, bound: float, rng: Any) -> None:
        for name in PRICES:
            bar[name][t] *= factor

    return spoil


def another(bar: dict[str, Any], t: int, bound: float, rng: Any) -> None:
    """The price of another asset."""
    by(float(np.exp(rng.uniform(1.0, 3.0) * rng.choice([-1, 1]))))(bar, t, bound, rng)


def just_beyond(bar: dict[str, Any], t: int, bound: float, rng: Any) -> None:
    """A move a tenth beyond the bound."""
    by(bound ** (1.1 * float(rng.choice([-1, 1]))))(bar, t, bound, rng)


def half_a_number(bar: dict[str, Any], t: int, bound: float, rng: Any) -> None:
    """The digits before the point but for the last: half a line, taken for a whole one."""
    for name in PRICES:
        bar[name][t] = np.floor(bar[name][t] / 10.0)


def one_price(name: str, factor: float) -> Spoil:
    """Return what puts one price of a bar off."""

    def spoil(bar: dict[str, Any], t: int, bound: float, rng: Any) -> None:
        bar[name][t] = min(bar[name][t] * factor, 1e308)

    return spoil


KINDS: Final[dict[str, Spoil]] = {
    "pounds for pence (all prices / 100)": by(0.01),
    "pence for pounds (all prices x 100)": by(100.0),
    "a decimal lost (all prices x 10)": by(10.0),
    "half (a split for a day)": by(0.5),
    "the price of another asset (x or / 2.7 to 20)": another,
    "a tenth beyond the bound, in powers": just_beyond,
    "half a number (the last digit cut)": half_a_number,
    "a low of next to nothing (x 0.005)": one_price("low", 0.005),
    "a high beyond all (x 1e300)": one_price("high", 1e300),
    "a volume in another unit (x 1e6)": one_price("volume", 1e6),
}


def bound_of(history: History, t: int) -> float:
    """Return the stated bound of a bar, by logarithms: the sum of moves before it that are no more than a doubling."""
    moves = np.minimum(np.exp(np.abs(np.diff(np.log(history.close[:t, 0])))) - 1.0, 1.0)[-250:]
    recent = np.average(moves[-60:], weights=0.5 ** (np.arange(min(60, len(moves)))[::-1] / 20.0))
    usual = 1.25 * max(float(np.mean(moves)), float(recent))
    return float(np.clip((1.0 + usual) ** 12, 1.05, 5.0))


def beyond(history: History, spoilt: History, t: int) -> bool:
    """Tell whether the error is beyond the bound: what is within it nobody promises to hold."""
    bound, before, own = bound_of(history, t), history.close[t - 1, 0], spoilt.close[t, 0]
    if spoilt.volume[t, 0] != history.volume[t, 0] and not np.isnan(history.volume[t, 0]):
        return bool(spoilt.volume[t, 0] > 1000.0 * np.nanmax(history.volume[max(0, t - 250) : t, 0]))
    if own != history.close[t, 0]:
        return bool(max(own / before, before / own) > bound)
    prices = [float(getattr(spoilt, name)[t, 0]) for name in ("high", "low")]
    return any(min(max(p / q, q / p) for q in (before, own)) > bound**2 for p in prices)


def planted(history: History, kind: str, rng: Any) -> tuple[History, int] | None:
    """Return a piece of a history with one wrong bar, and its row; None where the error would not be beyond."""
    t = int(rng.integers(_ROWS, len(history) - 3))
    piece, row = history.slice(t - _ROWS, t + 3), _ROWS
    columns = {name: getattr(piece, name)[:, 0].copy() for name in FIELDS}
    KINDS[kind](columns, row, bound_of(piece, row), rng)
    spoilt = replace(piece, **{name: values[:, None] for name, values in columns.items()})
    return (spoilt, row) if beyond(piece, spoilt, row) else None


def caught(spoilt: History, t: int) -> bool:
    """Tell whether a wrong bar was kept from every decision."""
    shown = gated(spoilt)
    return int(spoilt.ts[t]) not in shown.ts.tolist()


def errors(series: Mapping[str, History], count: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """Plant so many errors, as many of each kind; return how many there were of each, and how many were caught."""
    rng, names = np.random.default_rng(seed), list(series)
    made, found = Counter[str](), Counter[str]()
    for n in range(count):
        kind, one = list(KINDS)[n % len(KINDS)], None
        while one is None:
            one = planted(series[names[int(rng.integers(len(names)))]], kind, rng)
        made[kind] += 1
        found[kind] += caught(*one)
    return made, found


def held(history: History) -> Counter[str]:
    """Return how many bars of a true series are held, and what became of them."""
    codes = {"proved_bar", "disproved_bar", "held_bar"}
    return Counter({one.code: one.count for one in gated(history).findings if one.code in codes})


def judge_great_days() -> dict[str, Counter[str]]:
    """Return what becomes of the great days."""
    return {name: held(great_days(name)[0]) for name in GREAT_DAYS}


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.campaigns.gate")
    parser.add_argument("--errors", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args(arguments)
    began, series = time.monotonic(), real(asked.shared)
    bars, doubted = sum(map(len, series.values())), Counter[str]()
    for name, history in series.items():
        doubted += (told := held(history))
        print(f"{name}: {len(history):,} true bars, held {told.total()}: {dict(told)}")
    print(f"true bars held: {doubted.total()} of {bars:,}, one in {bars // max(1, doubted.total()):,}")
    for name, told in judge_great_days().items():
        print(f"{name}: {dict(told) or 'passes'}")
    made, found = errors(series, asked.errors, asked.seed)
    for kind, count in made.items():
        print(f"{kind}: {found[kind]} of {count} caught")
    share = found.total() / made.total()
    print(f"{found.total()} of {made.total()} errors caught, {share:.2%}; {time.monotonic() - began:.0f} s")
    if share < CAUGHT or doubted.total() > HELD * bars:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
