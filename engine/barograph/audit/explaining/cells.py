"""Which cell of its window an answer hangs on: a feature, so many bars ago; by taking it away, and by moving it.

- **Occlusion** (M. Zeiler & R. Fergus, *Visualizing and understanding convolutional networks*, 2014): the cell becomes
  the feature's centre in training; its effect on P(class) is what the probability was, less what it is then.
- **Saliency**, gradient times input (A. Shrikumar et al., *Not just a black box*, 2016): the slope of P(class) along
  the cell, by central differences, times the cell's distance from that centre. The difference is taken over half a
  deviation of the feature to either side: at a point itself an answer that is sure has no slope at all, whatever made
  it so, and what goes in steps, such as a forest, has none but where it steps.

**What is named.** Anything that is computed from a cell moves with it, so a net of random weights has a map too. Where
the true classes are known, a cell is named when its effect goes with the truth: T(cell), the covariance of effect and
truth (the mean effect on the true class's probability, less that on a class drawn at random). It is held to the same of
all cells' effects together when the truth is shifted against the rows, all ways round but the nearest: above twice the
95 % quantile of that, a cell alone is worth more than the whole answer of a model that knows nothing would seem to be.
With more than `ENOUGH` rows the limit falls no further: what is asked is whether a cell carries the answer, not whether
it has any share in it, which in enough rows is true of every cell that knows anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.audit.explaining.asking import Asker
from barograph.types import Floats

__all__ = ["ENOUGH", "FEWEST", "STEP", "Map", "occlusion", "saliency", "shifted"]

FEWEST: Final = 40
"""Of fewer rows with a known class no cell is named: they can be shifted in too few ways."""
ENOUGH: Final = 100
TIMES, QUANTILE = 2.0, 0.95
_APART: Final = 20
STEP: Final = 0.5
"""To either side, in deviations of a feature."""

Tell = Callable[[int, int], None]


class Map(NamedTuple):
    """How much an answer hangs on each cell, (d, n): row j is a feature, column l what it was l bars ago.

    `size` (d, n) is the mean absolute effect on the answered class's probability. Where classes are known `worth`
    (d, n) is T, `limit` what it has to exceed, and `named` the cells (feature, lag) that do, the largest first; else
    `worth` is None and `limit` NaN.
    """

    size: Floats
    worth: Floats | None
    limit: float
    named: tuple[tuple[int, int], ...]


def occlusion(
    ask: Asker, rows: Floats, centre: Floats, classes: NDArray[np.int64] | None = None, tell: Tell | None = None
) -> Map:
    """Return the map of taking cells away from stretches of `rows` (S, n, d); `centre` (d,) takes their place.

    `classes` (S,) are the true ones at the ends of the stretches, in their order of time.
    """
    whole = ask(rows)

    def effect(j: int, t: int) -> Floats:
        changed = rows.copy()
        changed[:, t, j] = centre[j]
        return whole - ask(changed)

    return _map(effect, rows.shape[1:], whole, classes, tell)


def saliency(
    ask: Asker,
    rows: Floats,
    centre: Floats,
    classes: NDArray[np.int64] | None = None,
    tell: Tell | None = None,
    *,
    reach: float = STEP,
) -> Map:
    """Return the map of slope times input, of stretches of `rows` (S, n, d), over `reach` deviations either way.

    The other arguments are those of `occlusion`."""
    step = reach * np.std(rows.reshape(-1, rows.shape[2]), axis=0)

    def effect(j: int, t: int) -> Floats:
        if step[j] == 0.0:
            return np.zeros((len(rows), ask.fitted.regimes))
        changed = rows.copy()
        changed[:, t, j] = rows[:, t, j] + step[j]
        up = ask(changed)
        changed[:, t, j] = rows[:, t, j] - step[j]
        slope: Floats = (up - ask(changed)) / (2.0 * step[j])
        moved: Floats = slope * (rows[:, t, j] - centre[j])[:, None]
        return moved

    return _map(effect, rows.shape[1:], ask(rows), classes, tell)


def _map(
    effect: Callable[[int, int], Floats],
    shape: tuple[int, ...],
    whole: Floats,
    classes: NDArray[np.int64] | None,
    tell: Tell | None,
) -> Map:
    n, d = shape
    size, effects = np.empty((d, n)), np.empty((d, n, *whole.shape))
    answered = np.argmax(whole, axis=1)
    for j in range(d):
        for lag in range(n):
            effects[j, lag] = effect(j, n - 1 - lag)
            size[j, lag] = np.mean(np.abs(effects[j, lag, np.arange(len(whole)), answered]))
            if tell is not None:
                tell(j * n + lag + 1, d * n)
    if classes is None or len(classes) < FEWEST:
        return Map(size, None, np.nan, ())
    return _named(size, effects, classes)


def _named(size: Floats, effects: Floats, classes: NDArray[np.int64]) -> Map:
    true = np.eye(effects.shape[3])[classes]
    # Less what any class would have: the shares of the true ones.
    centred = true - true.mean(axis=0)
    worth = np.einsum("jlsk,sk->jl", effects, centred) / len(classes)
    by_chance = [np.sum(effects.sum(axis=(0, 1)) * other) / len(classes) for other in shifted(centred)]
    limit = TIMES * float(np.quantile(np.abs(by_chance), QUANTILE)) * max(1.0, math.sqrt(len(classes) / ENOUGH))
    found = [divmod(int(cell), size.shape[1]) for cell in np.argsort(-worth, axis=None)]
    return Map(size, worth, limit, tuple(cell for cell in found if worth[cell] > max(limit, 1e-12)))


def shifted(rows: Floats) -> list[Floats]:
    """Return rows (S, ...) turned against themselves, all ways but those by less than a twentieth of them.

    What follows itself in time still does: only what it stands beside is another.

    >>> [int(of[0]) for of in shifted(np.arange(6.0))]
    [5, 4, 3, 2, 1]
    """
    least = max(1, len(rows) // _APART)
    return [np.roll(rows, by, axis=0) for by in range(least, len(rows) - least + 1)]
