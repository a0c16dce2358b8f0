"""What chance would have earned: the same positions at other times, the same regimes with other days, other worlds.

Each null keeps something and destroys something, so each answers another question. A circular shift keeps exposure,
turnover and the lengths of all runs, and destroys *when*. A bootstrap within regimes keeps when the regimes were too:
what survives it is no more than having been in the right regime. Worlds drawn from a model keep what the model knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from barograph.metrics.bootstrap import block_length, resample
from barograph.types import Floats

__all__ = ["Null", "circular_shift", "regime_bootstrap", "within_regimes", "worlds"]

World = TypeVar("World")


class Null(NamedTuple):
    """A figure, the share of the null's figures that are at least as large, and these, with their mean."""

    value: float
    p: float
    mean: float
    values: Floats


def _judged(value: float, values: Floats) -> Null:
    # A shift that is the strategy itself differs from it by the rounding of a sum.
    scale = float(np.max(np.abs(values[np.isfinite(values)]), initial=abs(value)))
    least = value - 1e-9 * scale
    return Null(value, float(np.mean(values >= least)), float(np.mean(values)), values)


def circular_shift(weights: Floats, returns: Floats, figure: str = "sum") -> Null:
    """Hold what positions earned against the same positions begun at every other bar, all T of them.

    `weights` (T,) are those that earned `returns` (T,), bar by bar and free of costs, which every shift pays alike. The
    figure is ``"sum"``, Σ w r, or ``"sharpe"``, mean / deviation (ddof = 1) a bar. ``values[k]`` is that of positions k
    bars late; the last bars wrap to the front. The mean of all sums is w̄ Σ r, exactly: what the exposure earns without
    any timing.

    >>> found = circular_shift(np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.03, 0.01, -0.02, 0.02]))
    >>> found.values.round(4).tolist(), found.p, round(found.mean, 4)
    ([0.03, 0.01, -0.02, 0.02], 0.25, 0.01)

    Raises `ValueError` for an unknown figure, or when there are not as many weights as returns.
    """
    if figure not in ("sum", "sharpe"):
        raise ValueError(f"figure = {figure!r} is unknown; known: sum, sharpe")
    if weights.shape != returns.shape or weights.ndim != 1:
        raise ValueError(
            f"circular shift: found weights {weights.shape} for returns {returns.shape}, wanted (T,) of both"
        )
    total = _shifted(weights, returns)
    if figure == "sum":
        return _judged(float(np.dot(weights, returns)), total)
    bars = len(returns)
    spread = _shifted(weights * weights, returns * returns) - total * total / bars
    deviation = np.sqrt(np.where(spread > 0.0, spread, np.nan) / (bars - 1))
    values = np.nan_to_num(total / bars / deviation)
    return _judged(float(values[0]), values)


def _shifted(weights: Floats, returns: Floats) -> Floats:
    """Σ_t w(t − k) r(t) for k = 0 … T − 1, in T log T steps."""
    found: Floats = np.fft.irfft(np.conj(np.fft.rfft(weights)) * np.fft.rfft(returns), n=len(weights))
    return found


def within_regimes(regimes: NDArray[np.int64], block: float, samples: int = 1000, seed: int = 0) -> NDArray[np.intp]:
    """Draw row numbers (samples, T) that put a bar of the same regime at every bar of `regimes` (T,).

    The bars of a regime are set end to end and resampled in blocks of that mean length (stationary bootstrap); when the
    regimes turn stays as it was. ``returns[rows]`` are the worlds.

    >>> regimes = np.array([0, 0, 1, 0, 1])
    >>> rows = within_regimes(regimes, block=2.0, samples=3)
    >>> bool((regimes[rows] == regimes).all())
    True
    """
    rng = np.random.default_rng(seed)
    rows = np.empty((samples, len(regimes)), dtype=np.intp)
    for regime in np.unique(regimes):
        bars = np.flatnonzero(regimes == regime)
        rows[:, bars] = bars[resample(len(bars), block, samples, rng)]
    return rows


def regime_bootstrap(
    weights: Floats,
    returns: Floats,
    regimes: NDArray[np.int64],
    block: float | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Null:
    """Hold Σ w r of positions (T,) against worlds in which every regime has its own returns, in another order.

    `regimes` (T,) are those believed when the weights were decided. A small p says that something is known beyond the
    regime; a p around one half that the regime is all that was traded. `block` is in bars, what suits the returns if
    none is given.
    """
    length = block_length(returns) if block is None else block
    rows = within_regimes(regimes, length, samples, seed)
    values = np.array([float(np.dot(weights, returns[path])) for path in rows])
    return _judged(float(np.dot(weights, returns)), values)


def worlds(
    value: float, figure: Callable[[World], float], simulate: Callable[[int], World], count: int = 200, seed: int = 0
) -> Null:
    """Hold a figure against that of `count` simulated worlds: ``figure(simulate(seed))``, ``seed + 1`` and so on.

    A world is whatever `simulate` returns and `figure` takes: a history to run a machine on, or returns. Worlds without
    what the strategy looks for make a null, worlds of the fitted model say whether the figure is one it would expect.

    >>> from barograph.data.synthetic import SCENARIOS, draw
    >>> def mean_of(world):
    ...     return float(world.mean())
    >>> found = worlds(0.0, mean_of, lambda seed: draw(SCENARIOS["daily2"], 250, seed)[0], count=50)
    >>> found.p > 0.5
    True

    A figure that cannot be told counts as below the value. Raises `ValueError` when there is no world at all.
    """
    if count < 1:
        raise ValueError(f"worlds: count = {count}; wanted at least 1")
    values = np.array([figure(simulate(seed + k)) for k in range(count)])
    return _judged(value, np.where(np.isnan(values), -math.inf, values))
