"""Where an ascent begins: rows told apart by how restless the market was around them, and nothing drawn by chance.

A calm and a wild regime have nearly the same mean, so it is the dispersion around a row that tells them apart. Under a
prior one such start is enough: the second never found a likelier answer on 192 paths of each of three worlds.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import exp, log
from barograph.jit.ordered import logarithms, mean, total
from barograph.types import Floats
from barograph_models._fit.clusters import lloyd

__all__ = ["FAR", "REACHES", "dispersion", "dispersion_start", "expected_moves", "level"]

REACHES: Final = (15, 5, 40, 3)  # rows on either side that tell a row's dispersion, one for each start
WILDEST: Final = (0.2, 0.3, 0.1, 0.5)  # the share of rows that begin in the wildest regime
SURE: Final = 0.9
FAR: Final = 6.0  # a cell farther out counts as this far: one bad print must not make a start of its own


def dispersion_start(Z: Floats, ends: NDArray[np.int64], states: int, index: int) -> Floats:
    """Return P(regime at each row), (T, K), for start number `index`; regimes in order of dispersion.

    With more than one feature every second start looks at the levels too: a regime may be a place, not a restlessness.
    """
    kind = index % len(REACHES)
    size = dispersion(Z, ends, REACHES[kind])
    # Shares shrink by one ratio from regime to regime, down to the wildest's.
    share = log(WILDEST[kind]) / max(states - 1, 1)
    cuts = [float(np.quantile(size, 1.0 - exp(share * k))) for k in range(1, states)]
    labels = np.searchsorted(cuts, size)
    if Z.shape[1] > 1 and index % 2 == 1:
        labels = _by_level(
            np.column_stack([logarithms(size + 1e-12), np.nan_to_num(Z).clip(-FAR, FAR)]), labels, states
        )
    weights = np.full((len(Z), states), (1.0 - SURE) / max(states - 1, 1))
    weights[np.arange(len(Z)), labels] = SURE if states > 1 else 1.0
    return weights


def _by_level(space: Floats, labels: NDArray[np.int64], states: int) -> NDArray[np.int64]:
    """Refine labels by the nearest centre of levels and dispersion; where a cluster dies they stay."""
    members = [space[labels == k] for k in range(states)]
    if min(len(m) for m in members) == 0:
        return labels
    _, found, _, ended = lloyd(space, np.array([mean(m) for m in members]), 20)
    return labels if ended == 0 else found


def dispersion(Z: Floats, ends: NDArray[np.int64], reach: int) -> Floats:
    """Mean square of the cells of the rows around, (T,); where none is observed, that of a normal."""
    seen = np.isfinite(Z)
    near = np.where(seen, Z, 0.0).clip(-FAR, FAR)
    return _around(total(near * near, axis=1), total(seen, axis=1), ends, reach, 1.0)


def level(column: Floats, ends: NDArray[np.int64], reach: int) -> Floats:
    """Mean of a feature's cells of the rows around, (T,); where none is observed, 0."""
    seen = np.isfinite(column)
    return _around(np.where(seen, column, 0.0).clip(-FAR, FAR), seen.astype(np.float64), ends, reach, 0.0)


def _around(values: Floats, counts: Floats, ends: NDArray[np.int64], reach: int, usual: float) -> Floats:
    """Return the sum of values over the sum of counts of the rows around, within each table."""
    return np.concatenate([_near(values[a:b], counts[a:b], reach, usual) for a, b in pairwise(ends)])


def _near(values: Floats, counts: Floats, reach: int, usual: float) -> Floats:
    sums, seen = np.concatenate([[0.0], values.cumsum()]), np.concatenate([[0.0], counts.cumsum()])
    rows = np.arange(len(values))
    low, high = (rows - reach).clip(0), (rows + reach + 1).clip(max=len(values))
    count = seen[high] - seen[low]
    some = count > 0.0
    return np.asarray(np.where(some, (sums[high] - sums[low]) / np.where(some, count, 1.0), usual))


def expected_moves(weights: Floats, ends: NDArray[np.int64]) -> Floats:
    """Return the moves between the rows of each table, (K, K), as if consecutive rows were independent."""
    first = np.ones(len(weights), dtype=bool)
    first[ends[:-1]] = False
    after = np.flatnonzero(first)
    K = weights.shape[1]
    pairs = [[total(weights[after - 1, i] * weights[after, k]) for k in range(K)] for i in range(K)]
    return np.array(pairs, dtype=np.float64).reshape(K, K)
