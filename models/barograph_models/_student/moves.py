"""Where an ascent begins beside another's end: one of its regimes split in two, or two of them merged.

Ascents from starts of their own may end below where a neighbour's regimes lead. Split is the regime whose rows two
normals describe best beside one, told apart by how restless the market was around a row or by where it was; merged are
the two that share the most rows. Nothing is drawn by chance.

N. Ueda, R. Nakano, Z. Ghahramani & G. Hinton, *SMEM algorithm for mixture models*, Neural Computation 12 (2000): the
criterion of the merge is theirs (made a cosine, so that a large regime is not preferred), that of the split asks what
theirs does, how badly one density fits a regime's rows, of two normals rather than of a kernel estimate.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Final

import numpy as np

from barograph.jit.arithmetic import log
from barograph.jit.ordered import total
from barograph.types import Floats
from barograph_models._student.data import Cells
from barograph_models._student.starts import FAR, dispersion, level

__all__ = ["merged", "moved_start", "split"]

REACHES: Final = (15, 5)  # rows on either side that tell a row's dispersion
NEAR: Final = 5  # and its level
SURE: Final = 0.9
LEAST: Final = 1e-6  # a variance is no less than this, in robust units


def moved_start(data: Cells, weights: Floats, states: int) -> Floats | None:
    """Return P(regime at each row), (T, `states`), from that of one regime fewer or more; None where none divides."""
    return split(data, weights) if weights.shape[1] < states else merged(weights)


def merged(weights: Floats) -> Floats:
    """Return the weights (T, K-1) in which the two regimes that share the most rows are one, ties to the first two.

    >>> merged(np.array([[0.5, 0.5, 0.0], [0.4, 0.5, 0.1], [0.0, 0.1, 0.9]]))[:, 0].round(2)
    array([1. , 0.9, 0.1])
    """
    size = [math.sqrt(float(total(w * w))) for w in weights.T]
    pairs = combinations(range(weights.shape[1]), 2)

    def alike(pair: tuple[int, int]) -> float:
        i, j = pair
        whole = size[i] * size[j]
        return float(total(weights[:, i] * weights[:, j])) / whole if whole > 0.0 else 0.0

    i, j = max(pairs, key=alike)
    found = np.delete(weights, j, axis=1)
    found[:, i] += weights[:, j]
    return found


def split(data: Cells, weights: Floats) -> Floats | None:
    """Return the weights (T, K+1) in which the regime that two normals describe best is two, calmer rows first."""
    Z = np.where(np.isfinite(data.Z), data.Z.clip(-FAR, FAR), np.nan)
    clues = [dispersion(data.Z, data.ends, reach) for reach in REACHES]
    clues += [level(data.Z[:, j], data.ends, NEAR) for j in range(Z.shape[1])]
    gains = [(_gain(Z, weights[:, k], clue), k, clue) for k in range(weights.shape[1]) for clue in clues]
    gain, k, clue = max(gains, key=lambda found: found[0])
    if gain == -math.inf:
        return None
    above = np.where(clue > _middle(clue, weights[:, k]), SURE, 1.0 - SURE)
    parts = np.column_stack([weights[:, k] * (1.0 - above), weights[:, k] * above])
    return np.ascontiguousarray(np.hstack([weights[:, :k], parts, weights[:, k + 1 :]]))


def _middle(clue: Floats, weight: Floats) -> float:
    """Return the weighted median of what tells rows apart."""
    order = np.argsort(clue, kind="stable")
    below = np.cumsum(weight[order])
    return float(clue[order[np.searchsorted(below, 0.5 * below[-1])]])


def _gain(Z: Floats, weight: Floats, clue: Floats) -> float:
    """Return by how much two normals are likelier than one for the weighted rows, cut at the middle of the clue."""
    above = clue > _middle(clue, weight)
    found = 0.0
    for j in range(Z.shape[1]):
        seen = np.isfinite(Z[:, j])
        cells, w = np.where(seen, Z[:, j], 0.0), np.where(seen, weight, 0.0)
        parts = _worth(cells, w * above), _worth(cells, w * ~above)
        if math.inf in parts:
            return -math.inf
        found += parts[0] + parts[1] - _worth(cells, w)
    return found


def _worth(z: Floats, w: Floats) -> float:
    """Return the log likelihood, up to its constant, of weighted cells under their own normal; infinite of too few."""
    rows = float(total(w))
    if rows < 2.0:
        return math.inf
    centre = float(total(w * z)) / rows
    spread = float(total(w * (z - centre) * (z - centre))) / rows
    return -0.5 * rows * log(max(spread, LEAST))
