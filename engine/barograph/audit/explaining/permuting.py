"""What each feature is worth to the answers: its column is shuffled in blocks of time, and the whole path asked again.

L. Breiman, *Random forests*, Machine Learning 45 (2001). Blocks, because a column of single rows in disorder is none
that a market could have: within a block a feature follows itself as it did. Two features that say the same stand in for
each other, and each seems worth nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.types import Floats
from barograph.validation.classification import Classified, classified

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted

__all__ = ["REPEATS", "Worth", "blocks_shuffled", "permutation"]

REPEATS: Final = 5


class Worth(NamedTuple):
    """What shuffling one feature did, on the mean of `REPEATS` shuffles; `spread` is the deviation among them.

    `change` is the mean absolute change of the probability of the class that was answered. `balanced_accuracy` and
    `brier` are what is lost (positive: the feature was of use), NaN where no class is known. `spread` is of the
    balanced accuracy, or where there is none of `change`.
    """

    feature: str
    change: float
    balanced_accuracy: float
    brier: float
    spread: float


def blocks_shuffled(count: int, block: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers 0..count-1 in blocks of `block`, the blocks in a random order; the last may be shorter.

    >>> blocks_shuffled(7, 3, np.random.default_rng(2)).tolist()
    [6, 0, 1, 2, 3, 4, 5]
    """
    parts = np.split(np.arange(count), np.arange(block, count, block))
    return np.concatenate([parts[i] for i in random.permutation(len(parts))]).astype(np.int64)


def permutation(
    fitted: Fitted, X: Floats, block: int, bars: NDArray[np.int64], classes: NDArray[np.int64] | None, seed: int = 0
) -> list[Worth]:
    """Return what each feature is worth on rows `X` (T, d), read at `bars` (M,), where the true `classes` may be known.

    Whole rows alone are shuffled; one with a missing cell stays as it is.
    """
    random, whole = np.random.default_rng(seed), np.flatnonzero(np.isfinite(X).all(axis=1))
    orders = [whole[blocks_shuffled(len(whole), block, random)] for _ in range(REPEATS)]
    asked = fitted.filter_path(X).probs[bars]
    before = None if classes is None else classified(asked, classes)
    return [_worth(fitted, X, j, (whole, orders), bars, asked, before, classes) for j in range(X.shape[1])]


def _worth(
    fitted: Fitted, X: Floats, j: int, shuffles: tuple[NDArray[np.int64], list[NDArray[np.int64]]],
    bars: NDArray[np.int64], asked: Floats, before: Classified | None, classes: NDArray[np.int64] | None,
) -> Worth:  # fmt: skip
    (whole, orders), answered = shuffles, (np.arange(len(bars)), np.argmax(asked, axis=1))
    told = np.full((len(orders), 3), np.nan)
    for number, order in enumerate(orders):
        changed = X.copy()
        changed[whole, j] = X[order, j]
        probs = fitted.filter_path(changed).probs[bars]
        told[number, 0] = np.mean(np.abs(probs - asked)[answered]) if len(bars) else np.nan
        if before is not None:
            after = classified(probs, classes)
            told[number, 1:] = before.balanced_accuracy - after.balanced_accuracy, after.brier - before.brier
    mean, spread = told.mean(axis=0), float(told[:, 1 if before is not None else 0].std(ddof=1))
    return Worth(fitted.features[j], float(mean[0]), float(mean[1]), float(mean[2]), spread)
