"""Means of many trials on the same resampled bars: what the reality check and its kin are made of.

A stationary bootstrap (Politis & Romano 1994) draws stretches of bars. Every trial sees the same ones, so that what is
alike stays alike. The mean of a draw is made of differences of running sums, one a stretch instead of one a bar; all
sums run from front to back, so that the same seed gives the same bits on any processor. Trials are taken 64 at a time:
ten thousand need no more memory than a hundred, beside the draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled, kernel
from barograph.metrics.bootstrap import block_length, resample
from barograph.types import Floats

__all__ = ["Draws", "deviations", "draw", "draws_of", "means", "resampled", "usual_block"]

# So many trials' running sums of 5,000 bars stay in a core's cache.
_AT_ONCE: Final = 64
_LOOKED_AT: Final = 100


class Draws(NamedTuple):
    """Resampled paths as stretches: path s holds the stretches `first[s]` up to `first[s + 1]`.

    A stretch has the row number at which it begins and its bars; rows wrap at `size`.
    """

    size: int
    first: NDArray[np.int64]
    starts: NDArray[np.int32]
    lengths: NDArray[np.int32]

    @property
    def samples(self) -> int:
        """How many paths there are."""
        return len(self.first) - 1


def draws_of(rows: NDArray[Any]) -> Draws:
    """Return paths of row numbers (samples, T), each below T, as stretches.

    >>> draws_of(np.array([[2, 3, 0, 0]])).lengths.tolist()
    [3, 1]
    """
    samples, size = rows.shape
    begins = np.ones((samples, size), dtype=bool)
    begins[:, 1:] = rows[:, 1:] != (rows[:, :-1] + 1) % size
    at = np.flatnonzero(begins)
    lengths = np.diff(at, append=samples * size)
    first = np.concatenate(([0], np.cumsum(np.count_nonzero(begins, axis=1))))
    return Draws(size, first, rows.ravel()[at].astype(np.int32), lengths.astype(np.int32))


def draw(size: int, block: float, samples: int, seed: int) -> Draws:
    """Return stationary-bootstrap draws of a mean block length, in bars, from one seed.

    >>> draw(100, block=10.0, samples=3, seed=1).lengths.sum()
    np.int64(300)
    """
    rng = np.random.default_rng(seed)
    parts = [draws_of(resample(size, block, min(64, samples - at), rng)) for at in range(0, samples, 64)]
    before = np.cumsum([0, *(len(part.starts) for part in parts)])
    first = [part.first[:-1] + begin for part, begin in zip(parts, before, strict=False)]
    starts = np.concatenate([part.starts for part in parts])
    return Draws(size, np.concatenate([*first, before[-1:]]), starts, np.concatenate([part.lengths for part in parts]))


def usual_block(streams: Floats) -> float:
    """Return one mean block length, in whole bars, for all trials (N, T): the median of what suits each of ≤ 100."""
    chosen = np.linspace(0, len(streams) - 1, min(len(streams), _LOOKED_AT)).astype(int)
    return float(math.ceil(np.median([block_length(np.asarray(streams[k])) for k in chosen])))


def means(streams: Floats) -> Floats:
    """Return the mean of each trial (N, T) → (N,), summed from front to back."""
    found: Floats = np.cumsum(streams, axis=1)[:, -1] / streams.shape[1]
    return found


def resampled(streams: Floats, draws: Draws) -> Iterator[tuple[slice, Floats]]:
    """Yield, 64 trials at a time, which they are and the means of each draw, (samples, trials)."""
    for at in range(0, len(streams), _AT_ONCE):
        some = np.asarray(streams[at : at + _AT_ONCE], dtype=np.float64)
        running = np.zeros((draws.size + 1, len(some)))
        np.cumsum(some.T, axis=0, out=running[1:])
        found = np.empty((draws.samples, len(some)))
        _fill_means(running, draws.first, draws.starts, draws.lengths, found)
        yield slice(at, at + len(some)), found


@compiled
def _fill_means(running: Any, first: Any, starts: Any, lengths: Any, found: Any) -> None:
    size, trials = running.shape[0] - 1, running.shape[1]
    total = np.empty(trials)
    for s in range(first.shape[0] - 1):
        total[:] = 0.0
        for j in range(first[s], first[s + 1]):
            begin = starts[j]
            end = begin + lengths[j]
            if end <= size:
                for k in range(trials):
                    total[k] += running[end, k] - running[begin, k]
            else:
                end -= size
                for k in range(trials):
                    total[k] += running[size, k] - running[begin, k] + running[end, k]
        for k in range(trials):
            found[s, k] = total[k] / size


def deviations(streams: Floats, block: float) -> Floats:
    """Return ω (N,) of trials (N, T): √T times the standard deviation of the mean under this bootstrap, exactly.

    ω² = γ₀ + 2 Σ ((1 − i/T) λ^i + (i/T) λ^(T−i)) γ_i, i = 1 … T − 1, λ = 1 − 1/block, γ_i the autocovariances (Hansen
    2005). The weights are geometric, so two running sums take the place of all pairs of bars.

    >>> round(float(deviations(np.array([[1.0, 2.0, 3.0, 6.0]]), block=1.0)[0]) ** 2, 6)
    3.5
    """
    found = np.empty(len(streams))
    for at in range(0, len(streams), _AT_ONCE):
        some = np.ascontiguousarray(streams[at : at + _AT_ONCE], dtype=np.float64)
        _fill_deviations(some, means(some), 1.0 - 1.0 / block, found[at : at + len(some)])
    return found


@kernel
def _long_run_variance(x: Any, mean: Any, decay: float) -> Any:
    size = x.shape[0]
    # Sums over the bars before the first one, which are the last ones: Σ λ^i x(−i) and Σ i λ^i x(−i).
    plain, linear, weight = 0.0, 0.0, 1.0
    for i in range(1, size):
        weight *= decay
        plain += weight * (x[size - i] - mean)
        linear += i * weight * (x[size - i] - mean)
    weight *= decay
    total = 0.0
    for t in range(size):
        now = x[t] - mean
        total += now * (now + 2.0 * (plain - linear / size))
        after = x[t + 1 if t + 1 < size else 0] - mean
        linear = decay * (now + plain + linear) - size * weight * after
        plain = decay * (now + plain) - weight * after
    return total / size


@compiled
def _fill_deviations(streams: Any, mean: Any, decay: float, found: Any) -> None:
    for i in range(streams.shape[0]):
        variance = _long_run_variance(streams[i], mean[i], decay)
        found[i] = np.sqrt(variance) if variance > 0.0 else 0.0
