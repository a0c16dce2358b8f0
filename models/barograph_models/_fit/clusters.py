"""k-means: seeds by k-means++ (Arthur & Vassilvitskii 2007), then Lloyd's iterations, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled, kernel
from barograph.jit.ordered import total
from barograph.jit.views import unowned
from barograph.types import Floats

__all__ = ["lloyd", "nearest_centre", "plus_plus"]


@kernel
def nearest_centre(x: Any, centres: Any) -> Any:
    """Return (index of the nearest row of `centres` (K, d), its squared distance); ties go to the lower index."""
    best = 0
    least = 0.0
    for k in range(centres.shape[0]):
        total = 0.0
        for j in range(centres.shape[1]):
            away = x[j] - centres[k, j]
            total += away * away
        if k == 0 or total < least:
            best, least = k, total
    return best, least


@compiled
def _lloyd(Z: Any, centres: Any, sums: Any, counts: Any, labels: Any, path: Any) -> int:
    """Move centres to their rows' means until no label changes; return iterations, 0 if a cluster died, -1 if never."""
    Z, centres, sums, path = unowned(Z), unowned(centres), unowned(sums), unowned(path)
    counts, labels = unowned(counts), unowned(labels)
    for n in range(path.size):
        changed = False
        sums[:] = 0.0
        counts[:] = 0
        path[n] = 0.0
        for t in range(Z.shape[0]):
            k, distance = nearest_centre(Z[t], centres)
            changed = changed or k != labels[t]
            labels[t] = k
            path[n] += distance
            counts[k] += 1
            for j in range(Z.shape[1]):
                sums[k, j] += Z[t, j]
        if not changed:
            return n + 1
        for k in range(counts.size):
            if counts[k] == 0:
                return 0
            for j in range(Z.shape[1]):
                centres[k, j] = sums[k, j] / counts[k]
    return -1


def lloyd(Z: Floats, centres: Floats, iterations: int) -> tuple[Floats, NDArray[np.int64], Floats, int]:
    """Return centres (K, d), labels (T,), the path of squared distances to the nearest centre, and how it ended.

    The last is the number of iterations, 0 when a cluster died, or -1 when labels still changed at the end.
    """
    centres = centres.copy()
    labels, path = np.full(len(Z), -1, dtype=np.int64), np.empty(iterations)
    counts = np.empty(len(centres), dtype=np.int64)
    ended = _lloyd(Z, centres, np.empty_like(centres), counts, labels, path)
    return centres, labels, path[: ended if ended > 0 else iterations], ended


def plus_plus(Z: Floats, states: int, random: np.random.Generator) -> Floats:
    """Draw `states` rows of `Z` (T, d), each with probability proportional to its squared distance from those drawn."""
    chosen = [Z[random.integers(len(Z))]]
    distance = np.full(len(Z), np.inf)
    for _ in range(states - 1):
        away = Z - chosen[-1]
        distance = np.minimum(distance, total(away * away, axis=1))
        whole = total(distance)
        chosen.append(Z[random.choice(len(Z), p=distance / whole)] if whole > 0.0 else Z[random.integers(len(Z))])
    return np.array(chosen)
