"""Guards: a classifier that has learned nothing is refused, where that can be judged."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.types import Floats
from barograph.validation.classification import confusion
from barograph_models._classify.blocks import FEWEST

__all__ = ["JUDGED", "balanced", "collapse", "judgeable", "macro_f1", "refuse_few", "shifted"]

RARE: Final = 50
"""A class of fewer rows is told."""
BETTER: Final = 0.05
"""How far above a constant answer's balanced accuracy, 1 / K, a classifier has to be."""
ONE: Final = 0.98
"""A larger share of the answers is one answer, where it is not of the truth."""
DEAF: Final = 0.01
"""An answer that permuting all inputs changes less often hangs on nothing."""
JUDGED: Final = 20
"""Held-out rows of a class without which it is not judged: a dozen is one end of a stretch whose other part was not
held out, and 2 of 52 honest forests were refused by them (windows of 1,000 bars of a calm and a wild regime)."""
SHIFTS: Final = 100
BY_CHANCE: Final = 0.1
"""In a larger share of the ways to shift the answers against the truth they agree as well: both only last long."""


def refuse_few(
    name: str, classes: NDArray[np.int64], names: tuple[str, ...], least: int, window: int, instead: str
) -> tuple[str, ...]:
    """Raise `FitError` for fewer labelled rows than `least`, or than `FEWEST` of a class; tell which are rare."""
    if len(classes) < least:
        whole = f" with {window - 1} whole rows before them" if window > 1 else ""
        told = f"{len(classes)} labelled rows{whole} are known, it needs {least}"
        raise FitError(f"{name}: {told}: lengthen the window of [fit]{instead}")
    counts = np.bincount(classes, minlength=len(names))
    for k, count in enumerate(counts):
        if count < FEWEST:
            told = f"{count} of {len(classes)} labelled rows are of {names[k]!r}"
            raise FitError(f"{name}: {told}; wanted {FEWEST} at least: lengthen the window of [fit]")
    return tuple(f"{count} rows are of {names[k]!r}" for k, count in enumerate(counts) if count < RARE)


def judgeable(classes: NDArray[np.int64], K: int) -> bool:
    """Tell whether held-out rows (M,) hold two classes of `JUDGED` rows at least."""
    return int(np.count_nonzero(np.bincount(classes, minlength=K) >= JUDGED)) > 1


def balanced(answers: Any, classes: Any, K: int) -> tuple[float, int]:
    """Return the balanced accuracy, the mean recall of the classes of `JUDGED` rows at least, and how many these are.

    A constant answer has 1 / their number.
    """
    told = confusion(answers, classes, K).tolist()
    each = [row[k] / rows for k, row in enumerate(told) if (rows := sum(row)) >= JUDGED]
    return sum(each) / len(each), len(each)


def macro_f1(answers: Any, classes: Any, K: int) -> float:
    """Return the mean F1 of the classes; of a constant answer at share s, with two of them, s / (1 + s).

    >>> round(macro_f1(np.zeros(100, int), np.arange(100) // 85, 2), 3)
    0.459
    """
    told = confusion(answers, classes, K).tolist()
    asked = [sum(row) + sum(other[k] for other in told) for k, row in enumerate(told)]
    return float(sum(2.0 * told[k][k] / asked[k] for k in range(K) if asked[k])) / K


def collapse(probs: Floats, shuffled: Floats, classes: NDArray[np.int64], blocks: int) -> str:
    """Say why what was answered on held-out rows is no answer, (M, K) probabilities, or "".

    `shuffled` are the answers to the same rows with all inputs permuted; `blocks` is how many blocks the rows are of.
    """
    K, answers = probs.shape[1], probs.argmax(axis=1)
    score, present = balanced(answers, classes, K)
    f1 = macro_f1(answers, classes, K)
    told = f"balanced accuracy {score:.3f}, macro-F1 {f1:.3f}, on {len(classes)} held-out rows"
    share = np.bincount(answers, minlength=K) / len(answers)
    of_truth = np.bincount(classes, minlength=K) / len(classes)
    top = int(share.argmax())
    if share[top] > ONE >= of_truth[top]:
        return f"answers one class in {share[top]:.1%} of rows where the truth has it in {of_truth[top]:.1%} ({told})"
    if score < 1.0 / present + BETTER:
        return f"tells the classes apart no better than a constant would ({told})"
    moved = float(np.count_nonzero(answers != shuffled.argmax(axis=1)) / len(answers))
    if moved < DEAF:
        return f"answers the same but for {moved:.1%} of rows when all its inputs are permuted ({told})"
    # Within one block a filter that is late by some bars would agree better when it is shifted: no fault of it.
    as_well = shifted(answers, classes, K, score) if blocks > 2 else 0.0
    if as_well > BY_CHANCE:
        return f"agrees as well with labels of {as_well:.0%} of other times ({told})"
    return ""


def shifted(answers: Any, classes: Any, K: int, score: float) -> float:
    """Return the share of the ways to shift answers against the truth, round and round, that score as well.

    A way that brings the truth itself as near to the truth is none: labels may come again at their hour or season.
    """
    step = max(JUDGED, len(answers) // SHIFTS)
    every = range(step, len(answers) - step + 1, step)
    ways = [way for way in every if balanced(np.roll(classes, way), classes, K)[0] < score]
    as_well = sum(balanced(np.roll(answers, way), classes, K)[0] >= score for way in ways)
    return as_well / max(1, len(ways))
