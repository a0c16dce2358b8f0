"""Files of every known shape, changed at random, each with its truth: none loaded wrongly but for three kinds.

``python -m tests.campaigns.shapes --files 100000`` uses all cores, and prints counts and the first that are wrong.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tests.kit.file_mutations import KINDS, mutated, outcome

BLOCK = 250


def block(first: int, count: int = BLOCK) -> tuple[Counter[str], list[str]]:
    """Load a block of seeds; return what was counted, and what is wrong."""
    counted, found = Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            one, kinds = mutated(seed)
            told = outcome(one, Path(folder))
            word = "unknowable" if told.word == "wrong" and kinds else told.word
            counted[word] += 1
            counted += Counter({f"unknowable: {kind}": 1 for kind in kinds if word == "unknowable"})
            found += [f"{seed} ({one.name}): {told.said}"] if word == "wrong" else []
    return counted, found


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.campaigns.shapes")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    began, counted, found = time.monotonic(), Counter[str](), []
    with ProcessPoolExecutor(asked.jobs) as pool:
        for more, wrong in pool.map(block, range(asked.seed, asked.seed + asked.files, BLOCK)):
            counted += more
            found += wrong
    print(f"{counted['right']:,} right, {counted['refused']:,} refused, {counted['wrong']:,} wrong")
    for kind in KINDS:
        print(f"{counted[f'unknowable: {kind}']:,} wrong as no program could know: {kind}")
    print(f"{time.monotonic() - began:.0f} s on {asked.jobs} cores")
    print("\n".join(found[:20]))
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
