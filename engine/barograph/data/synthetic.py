"""Invented markets whose regimes are known: what an online filter can be measured against.

A `Scenario` says how each regime moves, how long it lasts and what follows it; `simulate` draws one path of it with
bars around it, `draw` many paths of returns alone. All chance comes from one seeded numpy generator: the same seed
gives the same world.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from barograph.data.calendars import ALWAYS, DAY, Times
from barograph.data.history import History
from barograph.epoch import LAST
from barograph.errors import DataError, nearest
from barograph.types import Floats

__all__ = ["SCENARIOS", "Durations", "NegativeBinomial", "Scenario", "Simulated", "draw", "scenario", "simulate"]

Regimes = NDArray[np.int64]


class NegativeBinomial(NamedTuple):
    """A sojourn of 1 + NegativeBinomial bars with this mean in all; size 1 is geometric, larger ones have a hump."""

    mean: float
    size: float

    def draw(self, rng: np.random.Generator, count: int) -> Regimes:
        """Return `count` sojourns in bars."""
        return 1 + rng.negative_binomial(self.size, self.size / (self.size + self.mean - 1.0), count)


class Durations(NamedTuple):
    """A sojourn with its probabilities given: `probs[i]` that it lasts i + 1 bars."""

    probs: tuple[float, ...]

    def draw(self, rng: np.random.Generator, count: int) -> Regimes:
        """Return `count` sojourns in bars."""
        return 1 + rng.choice(len(self.probs), size=count, p=np.asarray(self.probs))


class Scenario(NamedTuple):
    """A regime-switching world of K regimes, calm first; `mean` and `variance` are of one bar's simple return.

    `transition` (K, K) is P(next | now) of one bar. With `sojourns`, one a regime, stays are drawn from these instead
    and only what follows a stay comes from `transition` (semi-Markov). `tail` is the degrees of freedom (> 2) of
    Student-t returns of the same variance, or None for Gaussian ones. `start` (K,) is where paths begin.
    """

    name: str
    mean: tuple[float, ...]
    variance: tuple[float, ...]
    transition: tuple[tuple[float, ...], ...]
    start: tuple[float, ...]
    tail: float | None = None
    sojourns: tuple[NegativeBinomial | Durations, ...] | None = None
    weekly: bool = False


class Simulated(NamedTuple):
    """A world that was drawn: simple returns (T,), the true regimes (T,), and bars whose closes have these returns."""

    returns: Floats
    regimes: Regimes
    history: History


_DAILY2 = Scenario(
    name="daily2",
    mean=(0.000615, -0.000785),
    variance=(6.02045e-5, 3.02642e-4),
    transition=((0.99788424, 0.00211576), (0.01198171, 0.98801829)),
    start=(0.8499, 0.1501),
)
# expm(5 logm P) is P to the fifth power: five days between two looks.
_FIVE_DAYS = np.linalg.matrix_power(np.asarray(_DAILY2.transition), 5)
# Rounded from a Gaussian hidden Markov model fitted to the S&P 500's daily returns, 1999-2018.
_DAILY3 = Scenario(
    name="daily3",
    mean=(0.0009, -0.0002, -0.0011),
    variance=(3.0e-5, 1.35e-4, 7.0e-4),
    transition=((0.979, 0.021, 0.0), (0.020, 0.973, 0.007), (0.0, 0.0315, 0.9685)),
    start=(0.438, 0.460, 0.102),
)

SCENARIOS: Final[dict[str, Scenario]] = {
    world.name: world
    for world in (
        _DAILY2,
        _DAILY2._replace(name="daily2_t5", tail=5.0),
        _DAILY2._replace(
            name="weekly2",
            mean=tuple(5.0 * value for value in _DAILY2.mean),
            variance=tuple(5.0 * value for value in _DAILY2.variance),
            transition=tuple(tuple(float(p) for p in row) for row in _FIVE_DAYS),
            weekly=True,
        ),
        _DAILY3,
        # Stays as long as daily2's on average, but never short: a hump instead of a geometric's many short stays.
        _DAILY2._replace(
            name="daily2_semi",
            sojourns=tuple(NegativeBinomial(1.0 / (1.0 - _DAILY2.transition[k][k]), 4.0) for k in range(2)),
        ),
    )
}
"""The worlds known by name."""


def scenario(name: str) -> Scenario:
    """Return a world by its name.

    Raises `DataError` when there is none, naming the nearest.
    """
    if name not in SCENARIOS:
        raise DataError(f"world = {name!r} is unknown{nearest(name, SCENARIOS)}; known: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def draw(world: Scenario, bars: int, seed: int, paths: int = 1) -> tuple[Floats, Regimes]:
    """Return simple returns (paths, bars) and the true regimes (paths, bars), drawn from one seed.

    >>> returns, regimes = draw(SCENARIOS["daily2"], bars=250, seed=7, paths=3)
    >>> returns.shape, sorted(set(regimes.ravel().tolist()))
    ((3, 250), [0, 1])

    A return of r moves the price by the factor 1 + r; below -0.99, which takes a Student-t of few degrees of freedom,
    it is cut there. Raises `DataError` when the scenario is not one.
    """
    _validate(world, bars, paths)
    return _drawn(world, bars, np.random.default_rng(seed), paths)


def simulate(world: Scenario, bars: int, seed: int = 0, spacing: str | None = None) -> Simulated:
    """Return one path with bars whose closes start at 100 and have exactly the path's returns.

    Daily bars close at 21:00 UTC on every weekday from 2000-01-03 on (invented markets keep no holidays), weekly ones
    on Fridays; with `spacing` (``"1min"``) they run without a break and the calendar is "24/7". The returns and regimes
    are those of ``draw(world, bars, seed)``.

    >>> world = simulate(SCENARIOS["daily2"], bars=100, seed=1)
    >>> bool((world.history.high >= world.history.close).all()), len(world.regimes)
    (True, 100)

    Raises `DataError` when the bars would leave the years that 64-bit nanoseconds can hold: choose a `spacing`.
    """
    _validate(world, bars, 1)
    rng = np.random.default_rng(seed)
    returns, regimes = (path[0] for path in _drawn(world, bars, rng, 1))
    ts = _stamps(world, bars, spacing)
    columns: dict[str, Any] = _bars(returns, np.sqrt(np.asarray(world.variance))[regimes], rng)
    history = History.from_arrays(
        ts=ts,
        symbols=[world.name.upper()],
        calendar="XNYS" if spacing is None else ALWAYS,
        source=f"synthetic {world.name}, seed {seed}",
        **columns,
    )
    return Simulated(returns, regimes, history)


def _drawn(world: Scenario, bars: int, rng: np.random.Generator, paths: int) -> tuple[Floats, Regimes]:
    regimes = _regimes(world, bars, rng, paths)
    if world.tail is None:
        noise = rng.standard_normal((paths, bars))
    else:
        noise = rng.standard_t(world.tail, (paths, bars)) * np.sqrt((world.tail - 2.0) / world.tail)
    returns = np.asarray(world.mean)[regimes] + np.sqrt(np.asarray(world.variance))[regimes] * noise
    return np.maximum(returns, -0.99), regimes


def _regimes(world: Scenario, bars: int, rng: np.random.Generator, paths: int) -> Regimes:
    """Draw stay after stay for all paths at once, until the shortest path is long enough."""
    after = _followers(world)
    now = _choose(rng, np.broadcast_to(np.asarray(world.start), (paths, len(world.start))))
    stays, lengths, shortest = [], [], 0
    total = np.zeros(paths, dtype=np.int64)
    while shortest < bars:
        stay = np.minimum(_sojourns(world, now, bars, rng), bars)
        stays.append(now)
        lengths.append(stay)
        total += stay
        shortest = int(total.min())
        now = _choose(rng, after[now])
    state, length = np.stack(stays, axis=1), np.stack(lengths, axis=1)
    return np.stack([np.repeat(state[path], length[path])[:bars] for path in range(paths)])


def _followers(world: Scenario) -> Floats:
    """Return P(next regime | this stay is over), (K, K); what is never left is followed by itself."""
    leaving = np.array(world.transition, dtype=np.float64)
    np.fill_diagonal(leaving, 0.0)
    total = leaving.sum(axis=1, keepdims=True)
    return np.where(total > 0.0, leaving / np.where(total > 0.0, total, 1.0), np.eye(len(leaving)))


def _choose(rng: np.random.Generator, probs: Floats) -> Regimes:
    edges = np.cumsum(probs, axis=1)
    # The last edge is 1 up to rounding; a draw above it belongs to the last regime that is possible.
    edges[:, -1] = 1.0
    return np.asarray((rng.random(len(probs))[:, None] >= edges).sum(axis=1), dtype=np.int64)


def _sojourns(world: Scenario, now: Regimes, bars: int, rng: np.random.Generator) -> Regimes:
    stay = np.full(len(now), bars, dtype=np.int64)
    for k in range(len(world.mean)):
        here = now == k
        count = int(here.sum())
        if world.sojourns is not None:
            stay[here] = world.sojourns[k].draw(rng, count)
        elif world.transition[k][k] < 1.0:
            # A geometric's draw may exceed int64 for a regime that is all but absorbing.
            stay[here] = np.minimum(rng.geometric(1.0 - world.transition[k][k], count), bars)
    return stay


def _stamps(world: Scenario, bars: int, spacing: str | None) -> Times:
    first = int(pd.Timestamp("2000-01-03 21:00").as_unit("ns").value)  # a Monday
    rows = np.arange(bars, dtype=np.int64)
    if spacing is not None:
        step, steps = _step(spacing), rows
    elif world.weekly:
        first, step, steps = first + 4 * DAY, 7 * DAY, rows
    else:
        step, steps = DAY, rows // 5 * 7 + rows % 5
    # Plain integers do not wrap.
    if first + int(steps[-1]) * step >= LAST:
        raise DataError(f"{bars} bars of {world.name} end after the year 2250; choose a closer spacing, such as '1h'")
    return first + step * steps


def _step(spacing: str) -> int:
    try:
        step = int(pd.Timedelta(spacing).as_unit("ns").value)
    except ValueError:
        step = 0
    if step <= 0:
        raise DataError(f"spacing = {spacing!r} is no time between bars; write it like '1h'")
    return step


def _bars(returns: Floats, scale: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """Put bars around the closes: a small gap at the open, a range that fits the regime, volume that rises with it."""
    close = 100.0 * np.cumprod(1.0 + returns)
    before = np.concatenate([[100.0], close[:-1]])
    noise = rng.standard_normal((4, len(close)))
    opened = before * np.exp(0.2 * scale * noise[0])
    high = np.maximum(opened, close) * np.exp(0.3 * scale * np.abs(noise[1]))
    low = np.minimum(opened, close) * np.exp(-0.3 * scale * np.abs(noise[2]))
    volume = np.round(1e9 * scale * np.exp(0.3 * noise[3]))
    return {"open": opened, "high": high, "low": low, "close": close, "volume": volume}


def _validate(world: Scenario, bars: int, paths: int) -> None:
    K = len(world.mean)
    if bars < 1 or paths < 1:
        raise DataError(f"world {world.name}: bars = {bars}, paths = {paths}; wanted at least 1")
    matrix, start = np.asarray(world.transition), np.asarray(world.start)
    if len(world.variance) != K or matrix.shape != (K, K) or start.shape != (K,):
        raise DataError(f"world {world.name}: {K} means, so wanted {K} variances, starts and a {K} by {K} transition")
    if not (np.asarray(world.variance) > 0).all():
        raise DataError(f"world {world.name}: variance = {world.variance}; wanted numbers above 0")
    for name, rows in (("transition", matrix), ("start", start[None, :])):
        if (rows < 0).any() or (np.abs(rows.sum(axis=1) - 1.0) > 1e-6).any():
            raise DataError(f"world {world.name}: {name} = {getattr(world, name)}; wanted probabilities that sum to 1")
    if world.tail is not None and world.tail <= 2:
        raise DataError(f"world {world.name}: tail = {world.tail}; wanted more than 2, else there is no variance")
    if world.sojourns is not None and len(world.sojourns) != K:
        raise DataError(f"world {world.name}: {len(world.sojourns)} sojourns for {K} regimes")
