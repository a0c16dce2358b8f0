"""How often the nights at ex-dates tell raw prices from adjusted ones, and how often wrongly, in worlds that are known.

``python -m tests.campaigns.exdates --worlds 1000`` prints a row a kind of share: nights are normal or Student-t(3), and
their size wanders.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.data.exdates import slope, verdict
from barograph.types import Floats


class Share(NamedTuple):
    """How long its history is, how often it pays, what a year pays of the price, and the usual size of a night."""

    years: int
    payments: int
    paid: float
    night: float


SHARES: Final = (
    Share(2, 4, 0.02, 0.006), Share(5, 4, 0.02, 0.006), Share(10, 4, 0.02, 0.006), Share(20, 4, 0.02, 0.012),
    Share(20, 1, 0.03, 0.006), Share(10, 12, 0.03, 0.004),
)  # fmt: skip


def nights(share: Share, raw: bool, tail: int, rng: Any) -> tuple[Floats, Floats]:
    """Draw returns over nights and what is paid; `tail` 0 is normal, else Student-t of so many degrees."""
    bars = 252 * share.years
    drawn = rng.standard_t(tail, bars) * ((tail - 2) / tail) ** 0.5 if tail else rng.standard_normal(bars)
    size = np.exp(np.cumsum(0.03 * rng.standard_normal(bars)))
    night = share.night * size / np.median(size) * drawn + 0.0002
    step = 252 // share.payments
    rows = np.arange(step // 2, bars, step)
    paid = np.zeros(bars)
    paid[rows] = share.paid / share.payments * rng.uniform(0.8, 1.2, len(rows))
    return night + np.log1p(-paid) if raw else night, paid


def counted(share: Share, raw: bool, tail: int, worlds: int, seed: int) -> Counter[str]:
    """Count the verdicts on so many worlds."""
    rng = np.random.default_rng(seed)
    return Counter(verdict(slope(*nights(share, raw, tail, rng))) for _ in range(worlds))


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.campaigns.exdates")
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    refused = 0
    for share in SHARES:
        told = []
        for raw in (True, False):
            for tail in (0, 3):
                found = counted(share, raw, tail, asked.worlds, asked.seed)
                refused += found["adjusted"] if raw else 0
                kind = f"{'raw' if raw else 'adjusted'}{', t(3)' if tail else ''}"
                told.append(f"{kind}: " + ", ".join(f"{found[w] / asked.worlds:.1%} {w}" for w in sorted(found)))
        print(f"{share}: {'; '.join(told)}", flush=True)
    if refused > 0.001 * 2 * len(SHARES) * asked.worlds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
