"""Columns of times, each with its truth, under three values of TZ: none read wrongly, those that prove it read.

``python -m tests.campaigns.times --columns 100000`` uses all cores, and prints counts and the first that are wrong.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tests.kit.time_columns import Column, Outcome, column, names_both, outcome

BLOCK = 500
MACHINES = ("UTC", "America/New_York", "Asia/Kolkata")
LOADED = 0.95


def block(first: int, count: int = BLOCK) -> tuple[Counter[str], list[str]]:
    """Read a block of seeds; return what was counted, and what is wrong."""
    counted, found = Counter[str](), []
    for seed in range(first, first + count):
        one = column(seed)
        told = under_all(one)
        wrong = judged(one, told)
        counted += Counter(
            columns=1, proved=int(one.proves), **{told[0].word: 1, f"{told[0].word} proved": int(one.proves)}
        )
        found += [f"{seed} ({one.kind}): {wrong}"] if wrong else []
    return counted, found


def under_all(one: Column) -> list[Outcome]:
    """Read a column on machines in several zones."""
    before = os.environ.get("TZ")
    told = []
    try:
        for zone in MACHINES:
            os.environ["TZ"] = zone
            time.tzset()
            told.append(outcome(one))
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
    return told


def judged(one: Column, told: list[Outcome]) -> str:
    """Say what is wrong: a machine's zone that matters, a wrong moment, a refusal that does not say how to go on."""
    if len(set(told)) > 1:
        return f"another answer elsewhere: {told}"
    if told[0].word == "wrong":
        return f"read wrongly: {told[0].said}"
    doubtful = told[0].word == "refused" and not one.proves and " proves which" in told[0].said
    return f"names not both: {told[0].said}" if doubtful and not names_both(one, told[0].said) else ""


def campaign(columns: int, seed: int, jobs: int) -> tuple[Counter[str], list[str]]:
    """Run so many from a seed on."""
    counted, found = Counter[str](), []
    with ProcessPoolExecutor(jobs) as pool:
        for more, wrong in pool.map(block, blocks(columns, seed)):
            counted += more
            found += wrong
    return counted, found


def blocks(columns: int, seed: int) -> Iterator[int]:
    yield from range(seed, seed + columns, BLOCK)


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.campaigns.times")
    parser.add_argument("--columns", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    counted, found = campaign(asked.columns, asked.seed, asked.jobs)
    share = counted["right proved"] / max(1, counted["proved"])
    print(f"{counted['columns']:,} columns under {len(MACHINES)} values of TZ: {counted['wrong']} read wrongly")
    print(f"of {counted['proved']:,} that prove their reading {share:.2%} loaded; {counted['refused']:,} refused")
    print(f"{time.monotonic() - began:.0f} s on {asked.jobs} cores")
    for line in found[:20]:
        print(line)
    if found or share < LOADED:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
