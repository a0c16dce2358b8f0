"""The engine against the second reading of its contract, on as many random runs as there is time for.

``python -m tests.campaigns.reading --runs 100000`` uses all cores, and prints counts and the first runs that differ.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import barograph as bg
from tests.kit.differences import compared
from tests.kit.small_runs import ANSWERS, make

BLOCK = 500


def block(first: int) -> tuple[Counter[str], list[str]]:
    """Run a block of seeds with every kind of answer; return what was counted, and what differs."""
    counted, found = Counter[str](), []
    for seed in range(first, first + BLOCK):
        answer = ANSWERS[seed % len(ANSWERS)]
        run = make(answer, seed)
        told, done, edge = compared(run, bg.scan)
        counted += Counter(runs=1, bars=len(run.bars), orders=len(done.orders), fills=len(done.fills),
                           ruined=int(done.ruined is not None), edge=int(edge), differ=int(bool(told)))  # fmt: skip
        found += [f"{answer} {seed}: {told[0]}"] if told else []
    return counted, found


def campaign(runs: int, seed: int, jobs: int) -> tuple[Counter[str], list[str]]:
    """Run so many from a seed on."""
    counted, found = Counter[str](), []
    with ProcessPoolExecutor(jobs) as pool:
        for more, wrong in pool.map(block, blocks(runs, seed)):
            counted += more
            found += wrong
    return counted, found


def blocks(runs: int, seed: int) -> Iterator[int]:
    yield from range(seed, seed + runs, BLOCK)


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.campaigns.reading")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    counted, found = campaign(asked.runs, asked.seed, asked.jobs)
    took = time.monotonic() - began
    counts = ", ".join(f"{counted[name]:,} {name}" for name in ("runs", "bars", "orders", "fills", "ruined"))
    edge = f"{counted['edge']} more in the few digits of what is left"
    print(f"{counts}; {counted['differ']} runs differ; {edge}; {took:.0f} s on {asked.jobs} cores")
    for line in found[:20]:
        print(line)
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
