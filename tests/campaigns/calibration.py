"""Whether the statistics keep their promises: worlds without an edge, worlds with one, and how each is called.

``python -m tests.campaigns.calibration`` runs them all, ``--only crosses trends`` some; the tests run a few of each.

- crosses: 1,024 crosses of two averages on returns without memory, which is one idea 1,024 times
- trends: the same on returns that have a slow trend
- independent: trials that have nothing to do with each other, counted right, and a tenth of them told
- overfitting: PBO of noise, whose mean over worlds is one half
- intervals: how often the interval of a Sharpe ratio holds the true one, without memory, with it, and under regimes
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.signal import lfilter

from barograph.data.synthetic import SCENARIOS, Scenario, draw
from barograph.metrics.bootstrap import interval
from barograph.validation.block_sums import block_sums, moments
from barograph.validation.haircuts import adjusted
from barograph.validation.overfitting import overfitting
from barograph.validation.reality_check import reality_check
from barograph.validation.sharpe import deflated_sharpe, probabilistic_sharpe, shape

FAST, SLOW = range(2, 34), range(40, 165, 4)
COST, DEVIATION, TREND, MEMORY = 7e-4, 0.01, 0.0016, 0.985


class Crosses(NamedTuple):
    """How many bars and trials a world of crosses has, and how often it is resampled."""

    bars: int = 2500
    fast: range = FAST
    slow: range = SLOW
    samples: int = 1000


def returns_of(bars: int, trend: bool, rng: np.random.Generator) -> np.ndarray:
    """Student-t returns with 5 degrees of freedom, 1 % a day; with a trend, .16 % a day times a slow AR(1)."""
    returns = rng.standard_t(5, bars) * DEVIATION * math.sqrt(3 / 5)
    return returns + TREND * autoregression(MEMORY, rng.standard_normal(bars)) if trend else returns


def autoregression(memory: float, noise: np.ndarray) -> np.ndarray:
    """An AR(1) of unit variance, along the last axis."""
    scaled = math.sqrt(1 - memory * memory) * noise
    scaled[..., 0] = noise[..., 0]
    return np.asarray(lfilter([1.0], [1.0, -memory], scaled, axis=-1))


def crosses(returns: np.ndarray, fast: range, slow: range) -> np.ndarray:
    """The streams of all crosses, long or flat, costs paid, without the bars that the longest average takes."""
    price = np.cumprod(1 + returns)
    first = max(slow)
    running = np.concatenate(([0.0], np.cumsum(price)))
    quick, lazy = (
        np.array([(running[first:] - running[first - n : -n]) / n for n in windows]) for windows in (fast, slow)
    )
    held = (quick[:, None] > lazy[None]).reshape(-1, quick.shape[1])[:, :-1].astype(float)
    traded = np.abs(np.diff(held, axis=1, prepend=0.0))
    return held * returns[first:] - COST * traded


class Found(NamedTuple):
    """What each statistic says of one world: a p-value below 5 %, or a probability above 95 %."""

    naive: bool
    studentised: bool
    upper: bool
    blocks: bool
    white: bool
    deflated: bool


def judged(seed: int, trend: bool, size: Crosses) -> Found:
    """Make one world of crosses and ask each statistic whether anything was found."""
    rng = np.random.default_rng([seed, trend])
    streams = crosses(returns_of(size.bars + max(size.slow), trend, rng), size.fast, size.slow)
    sharpes = moments(block_sums(streams)).sharpe
    best = shape(streams[int(np.nanargmax(sharpes))])
    check = reality_check(streams, samples=size.samples, seed=seed)
    short = reality_check(block_sums(streams)[:, :, 1], samples=size.samples, seed=seed)
    told = deflated_sharpe(best.sharpe, best.bars, len(streams), float(np.nanvar(sharpes, ddof=1)), *best[2:])
    return Found(
        naive=probabilistic_sharpe(*best) > 0.95,
        studentised=check.consistent < 0.05,
        upper=check.upper < 0.05,
        blocks=short.consistent < 0.05,
        white=check.white < 0.05,
        deflated=told > 0.95,
    )


def sidak(seed: int, trials: int, bars: int = 500) -> tuple[bool, bool]:
    """Whether the best of independent trials passes Šidák's correction, all of them told, and a tenth."""
    streams = np.random.default_rng(seed).standard_normal((trials, bars))
    best = float(np.max(moments(block_sums(streams, 1)).sharpe))
    once = 1 - probabilistic_sharpe(best, bars)
    right, tenth = (adjusted(np.full(told, once), "sidak")[0] < 0.05 for told in (trials, trials // 10))
    return bool(right), bool(tenth)


def noise_pbo(seed: int, trials: int = 50, bars: int = 1024, groups: int = 16) -> float:
    """The PBO of one world of noise."""
    return overfitting(block_sums(np.random.default_rng(seed).standard_normal((trials, bars)), groups), groups).pbo


def plain(bars: int, seed: int) -> tuple[np.ndarray, float]:
    return 0.05 + np.random.default_rng(seed).standard_normal(bars), 0.05


def remembering(bars: int, seed: int) -> tuple[np.ndarray, float]:
    return 0.05 + autoregression(0.2, np.random.default_rng(seed).standard_normal(bars)), 0.05


def clustered(bars: int, seed: int) -> tuple[np.ndarray, float]:
    """GARCH(1, 1) with α .08 and β .87, begun 300 bars before."""
    noise = np.random.default_rng(seed).standard_normal(bars + 300)
    found, variance = np.empty(bars + 300), 1.0
    for t, z in enumerate(noise):
        found[t] = math.sqrt(variance) * z
        variance = 0.05 + 0.08 * found[t] * found[t] + 0.87 * variance
    return 0.05 + found[300:], 0.05


# Means as far apart as daily2's and a half more, stays a quarter as long.
BRISK = SCENARIOS["daily2"]._replace(
    name="brisk2", mean=(0.0009, -0.0011), transition=((0.99, 0.01), (0.04, 0.96)), start=(0.8, 0.2)
)


def switching(world: Scenario, bars: int, seed: int) -> tuple[np.ndarray, float]:
    """A world of regimes, begun where it is in the long run, and its true Sharpe ratio a bar."""
    share = np.linalg.matrix_power(np.asarray(world.transition), 100_000)[0]
    mean, variance = np.asarray(world.mean), np.asarray(world.variance)
    truth = float(share @ mean)
    settled = world._replace(start=tuple((share / share.sum()).tolist()))
    returns = draw(settled, bars, seed)[0][0]
    return returns, truth / math.sqrt(float(share @ (variance + (mean - truth) ** 2)))


WORLDS: dict[str, Callable[[int, int], tuple[np.ndarray, float]]] = {
    "iid": plain,
    "AR(.2)": remembering,
    "GARCH": clustered,
    "two regimes, daily2": partial(switching, SCENARIOS["daily2"]),
    "two regimes, brisk": partial(switching, BRISK),
    "three regimes, daily3": partial(switching, SCENARIOS["daily3"]),
}


def held(seed: int, world: str, bars: int) -> bool:
    """Whether the interval of one world holds the true Sharpe ratio."""
    returns, truth = WORLDS[world](bars, seed)
    found = interval(returns, periods=1)
    return found.low <= truth <= found.high


def share(pool: Any, ask: Callable[[int], Any], worlds: int, seed: int) -> np.ndarray:
    """The mean over worlds of what each answers, as shares."""
    found = pool.map(ask, range(seed, seed + worlds), chunksize=max(1, worlds // 64))
    return np.mean(np.array(list(found), dtype=float), axis=0)


class Line(NamedTuple):
    """One figure, between which it must lie."""

    name: str
    value: float
    low: float
    high: float


def of_crosses(pool: Any, worlds: int, seed: int) -> Iterator[Line]:
    found = Found(*share(pool, partial(judged, trend=False, size=Crosses()), worlds, seed).tolist())
    yield Line("crosses of noise: best p < .05, uncorrected", found.naive, 0.20, 1)
    yield Line("  studentised reality check p < .05", found.studentised, 0.025, 0.075)
    yield Line("  the same, all trials centred", found.upper, 0, 0.075)
    yield Line("  from block sums", found.blocks, 0, 0.10)
    yield Line("  not studentised (White)", found.white, 0, 0.10)
    yield Line("  DSR > .95", found.deflated, 0, 0.07)


def of_trends(pool: Any, worlds: int, seed: int) -> Iterator[Line]:
    found = Found(*share(pool, partial(judged, trend=True, size=Crosses()), worlds, seed).tolist())
    yield Line("crosses of a trend: studentised reality check p < .05", found.studentised, 0.40, 1)
    yield Line("  from block sums", found.blocks, 0.40, 1)
    yield Line("  not studentised (White)", found.white, 0, 1)
    yield Line("  DSR > .95", found.deflated, 0, 1)


def of_independent(pool: Any, worlds: int, seed: int) -> Iterator[Line]:
    for trials in (10, 100, 1000):
        right, tenth = share(pool, partial(sidak, trials=trials), 10 * worlds, seed).tolist()
        yield Line(f"{trials} independent trials: Šidák p < .05", right, 0.035, 0.065)
        # The planted miscount: were it within the bounds too, they would show nothing.
        yield Line("  a tenth of them told", tenth, 0.10, 1)


def of_overfitting(pool: Any, worlds: int, seed: int) -> Iterator[Line]:
    yield Line("PBO of noise, mean", float(share(pool, noise_pbo, worlds, seed)), 0.47, 0.53)


def of_intervals(pool: Any, worlds: int, seed: int) -> Iterator[Line]:
    for bars in (250, 1000, 2500):
        for world in WORLDS:
            found = float(share(pool, partial(held, world=world, bars=bars), 5 * worlds, seed))
            yield Line(f"95 % intervals, {bars} bars, {world}", found, 0.93, 0.97)


PARTS = {
    "crosses": of_crosses,
    "trends": of_trends,
    "independent": of_independent,
    "overfitting": of_overfitting,
    "intervals": of_intervals,
}


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.campaigns.calibration")
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    asked = parser.parse_args(arguments)
    missed = 0
    with ProcessPoolExecutor(asked.jobs) as pool:
        for name in asked.only:
            began = time.monotonic()
            for line in PARTS[name](pool, asked.worlds, asked.seed):
                out = not line.low <= line.value <= line.high
                missed += out
                wanted = f"{100 * line.low:.1f} to {100 * line.high:.1f}"
                told = f"{line.name:<60} {100 * line.value:6.2f} %   wanted {wanted}"
                print(f"{told}   MISSED" if out else told, flush=True)
            print(f"{name}: {time.monotonic() - began:.0f} s on {asked.jobs} cores", flush=True)
    if missed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
