"""Where people wait: whole processes from an edit to an answer, as multiples of importing numpy, numba and pandas."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import Row, Table

ROOT = Path(__file__).parent.parent
YARDSTICK = "import numpy, numba, pandas"
MINE = """
import sys
import numpy as np
import barograph as bg
from barograph.testing import coin
from barograph_adapters.sample import sp500
from barograph_models.gaussian_hmm import gaussian_hmm


@bg.kernel
def cautious(state, bars, belief, portfolio, params):
    peak = max(state, portfolio.equity)
    weight = belief.probs[0] if portfolio.equity > {strategy} * peak else 0.5 * belief.probs[0]
    return peak, bg.Target(weight / bars.close.size)


@bg.kernel
def pace(state, bars, params):
    change = bars.close[0] / state[0] - 1.0 if state[1] > 0 else np.nan
    slow = state[2] * {feature} + (1.0 - {feature}) * change if state[1] > 1 else change
    return (bars.close[0], state[1] + 1, slow), slow


@bg.kernel
def lean(state, x, params):
    probs = np.empty(2)
    weight = {filter}
    for k in range(2):
        probs[k] = state[k]
    if not np.isnan(x[0]):
        probs[0] = state[0] * weight + (1.0 - weight) * (1.0 if x[0] > 0.0 else 0.0)
        probs[1] = 1.0 - probs[0]
    return probs, bg.Belief(bg.frozen(probs), 0.0)


def walk(bars, assets):
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.005, (bars, assets)), axis=0))
    ts = (np.arange(bars) + 1) * 3_600_000_000_000
    return bg.History.from_arrays(ts=ts, close=close, calendar="24/7")


how, bars, assets = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
parts = {{"strategy": bg.strategy(cautious, init=lambda params: 0.0), "filter": coin()}}
if how == "fits":
    del parts["filter"]
    parts |= {{"model": gaussian_hmm(states=2), "fit": bg.Fit(window=1000, every="quarter")}}
if how == "feature":
    parts["features"] = [bg.Feature(lambda params: (0.0, 0, 0.0), pace, (), "pace")]
if how == "filter":
    parts["filter"] = bg.Filter(lambda params: np.full(2, 0.5), lean, (), 2, "lean")
history = sp500() if bars == 0 else walk(bars, assets)
print(bg.scan(bg.Machine(**parts), history).arrays.equity[-1])
"""
# What is run, what is edited before each time, how many bars (0: the S&P sample) of how many assets, what was wanted.
CASES = (
    ("nothing edited", "coin", "", 0, 1, "<= 2"),
    ("nothing edited, 65 fits", "fits", "", 0, 1, "<= 4"),
    ("a number in the strategy", "coin", "strategy", 0, 1, "<= 4"),
    ("a number in the strategy, 65 fits", "fits", "strategy", 0, 1, "<= 6.5"),
    ("a number in a feature", "feature", "feature", 0, 1, "<= 4.5"),
    ("a number in a filter", "filter", "filter", 0, 1, "<= 5"),
    ("a number in the strategy, 100,000 bars", "coin", "strategy", 100_000, 1, "<= 5"),
    ("a number in the strategy, 50 assets", "coin", "strategy", 5_000, 50, "<= 5"),
)


def measure(size: float = 1.0) -> Table:
    """Take each case's CPU seconds, its least of several after one that compiles what is not edited."""
    repeats, cases = (5, CASES) if size >= 1.0 else (1, CASES[2:3])
    with tempfile.TemporaryDirectory() as folder:
        yardstick = _least(lambda: _cpu("-c", YARDSTICK), repeats)
        rows = [Row(f"`{YARDSTICK}` (Y)", yardstick, "CPU s")]
        for name, how, edited, bars, assets, wanted in cases:
            call = _case(Path(folder) / "mine.py", how, edited, bars, assets)
            call()
            rows.append(Row(name, _least(call, repeats) / yardstick, "Y", wanted, f"{assets} asset(s), a new process"))
    return Table("Where people wait: an edit, then a result", rows)


def _case(file: Path, how: str, edited: str, bars: int, assets: int) -> Callable[[], float]:
    def call() -> float:
        numbers = {"strategy": 0.9, "feature": 0.9, "filter": 0.9}
        if edited:
            # Another number each time: nobody has compiled it.
            numbers[edited] = random.uniform(0.8, 0.9)
        file.write_text(MINE.format(**numbers), encoding="utf-8")
        return _cpu(str(file), how, str(bars), str(assets))

    return call


def _least(call: Callable[[], float], repeats: int) -> float:
    return min(call() for _ in range(repeats))


def _cpu(*words: str) -> float:
    """Return the CPU seconds of a Python process, its own and the system's."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"a measured process failed:\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
