"""Several markets that behave alike and move by different amounts: one set of parameters, a scale for each.

Cells are divided by the asset's own unit before anything is learned. The units are learned in turn with the rest: given
regimes and mixing weights the likeliest unit is the root of a quadratic, and one number an asset takes sixteen times
the rows to learn everything else from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from barograph.jit.ordered import logarithms, total
from barograph.types import Floats
from barograph_models._student.ascent import VB, Climb
from barograph_models._student.data import Cells
from barograph_models._student.fit import Ascender, best_climb
from barograph_models._student.known import Known

__all__ = ["pooled"]

ROUNDS: Final = 20
CLOSE: Final = 1e-4  # of a unit's logarithm


def pooled(ascender: Ascender, prior: Known, parts: Sequence[Cells]) -> tuple[Climb, list[Cells]]:
    """Climb on all tables together and by turns bring each to its own unit; return the last climb and the tables."""
    parts = list(parts)
    found = best_climb(ascender, _joined(parts), prior)
    for _ in range(ROUNDS):
        factors = [_factor(ascender.how, part, rows, found) for part, rows in _split(parts, found.gamma)]
        parts = [p._replace(Z=p.Z / f, unit=p.unit * f) for p, f in zip(parts, factors, strict=True)]
        found = ascender.climb(_joined(parts), prior, found.gamma)
        if float(np.abs(logarithms(np.array(factors))).max()) < CLOSE:
            break
    return found, parts


def _joined(parts: Sequence[Cells]) -> Cells:
    ends = np.cumsum([0, *(len(part.Z) for part in parts)])
    return Cells(np.vstack([part.Z for part in parts]), parts[0].centre, parts[0].unit, ends.astype(np.int64))


def _split(parts: Sequence[Cells], gamma: Floats) -> Any:
    return zip(parts, np.split(gamma, np.cumsum([len(part.Z) for part in parts])[:-1]), strict=True)


def _factor(how: int, part: Cells, gamma: Floats, found: Climb) -> Floats:
    """Return by what the units of a table's features, (d,), are to be multiplied: the likeliest, all else as it is."""
    Z, means = part.Z[:, None, :], found.known.means[None]
    seen = np.isfinite(Z)
    away = np.where(seen, Z - means, 0.0)
    slack = total(seen / found.known.bars[None], axis=2) if how == VB else 0.0
    excess = total(found.precision[None] * away * away, axis=2) + slack
    count = total(seen[:, 0], axis=1)[:, None]
    weight = (gamma * (found.dof + count) / (found.dof + excess))[:, :, None] * found.precision[None]
    near = np.where(seen, Z, 0.0)
    square, cross = (total(total(weight * near * other), axis=0) for other in (near, np.where(seen, means, 0.0)))
    rows = total(total(seen[:, 0]).reshape(1, -1))
    # The derivative of rows * log r - (square * r * r - 2 * cross * r) / 2 in r, one over the factor.
    rate = (cross + np.sqrt(cross * cross + 4.0 * square * rows)) / (2.0 * square)
    return np.asarray(1.0 / rate)
