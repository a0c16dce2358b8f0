"""What a classifier's answers are worth against the true classes, and against who always says the most frequent one.

Answers are probabilities (M, K), a row a bar, true classes (M,) numbers 0..K-1; the class that is answered is the most
probable, the first of equals. Accuracy alone says little: who always answers a class of share s is right in s of the
rows, and has a macro-F1 of s / (1 + s) among two, .459 at 85 %, and a balanced accuracy of 1 / K.

G. Brier, *Verification of forecasts expressed in terms of probability*, Monthly Weather Review 78 (1950); M. Sokolova &
G. Lapalme, *A systematic analysis of performance measures for classification tasks*, Inf. Process. Manag. 45 (2009);
C. Guo, G. Pleiss, Y. Sun & K. Weinberger, *On calibration of modern neural networks* (2017).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.types import Floats
from barograph.validation.event_forecasts import ROUNDING, event_forecast

__all__ = ["Calibrated", "Classified", "balanced", "calibrated", "classified", "confusion", "losses", "majority"]


class Classified(NamedTuple):
    """Scores of M answers in K classes; arrays are of the classes, in their order.

    `confusion` (K, K) counts rows by true class, columns by answer, `support` (K,) the
    rows of each. `precision` is NaN of a class that was never
    answered, `recall` of one that never was; `f1` is 2 tp / (2 tp + fp + fn), NaN only where both hold. `macro_f1` and
    `balanced_accuracy` are the means of `f1` and `recall` over the classes that have one. `brier` is the mean of half
    the sum over classes of (p - y)^2, which of two classes is that of an event; `log_score` the mean of -log p(truth).
    """

    rows: int
    confusion: NDArray[np.int64]
    support: NDArray[np.int64]
    precision: Floats
    recall: Floats
    f1: Floats
    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    brier: float
    log_score: float


class Calibrated(NamedTuple):
    """Are probabilities honest? Of the answered class, and class by class.

    `table` (bins, 3) holds a row a bin of the answer's probability that is not empty: the mean probability said, the
    share of rows that were right, their number; `by_class` the same of each class, whether it was answered or not.
    `error` is the expected calibration error: the mean distance of said and right in `table`, by rows.
    """

    error: float
    table: Floats
    by_class: tuple[Floats, ...]


def _known(probs: Any, classes: Any, told: str) -> tuple[Floats, NDArray[np.int64]]:
    p, y = np.asarray(probs, dtype=np.float64), np.asarray(classes)
    if p.ndim != 2 or y.shape != (len(p),):
        raise PartError(f"{told}: probabilities {p.shape} and classes {y.shape}; wanted (M, K) and (M,)")
    if len(y) and (not np.array_equal(y, y.astype(np.int64)) or y.min() < 0 or y.max() >= p.shape[1]):
        raise PartError(f"{told}: classes {y.min()}..{y.max()}; wanted whole numbers 0..{p.shape[1] - 1}")
    odd = np.flatnonzero(~(np.abs(p.sum(axis=1) - 1.0) <= 1e3 * ROUNDING) | (p < -ROUNDING).any(axis=1))
    if odd.size:
        raise PartError(f"{told}: row {odd[0]} is {p[odd[0]].tolist()}; wanted probabilities that sum to one")
    return np.clip(p, 0.0, 1.0), y.astype(np.int64)


def confusion(answers: Any, classes: Any, regimes: int) -> NDArray[np.int64]:
    """Return how often each true class (row) was answered as each (column), (K, K).

    >>> confusion([0, 0, 1, 0], [0, 0, 1, 1], 2)
    array([[2, 0],
           [1, 1]])
    """
    answered, true = np.asarray(answers, dtype=np.int64), np.asarray(classes, dtype=np.int64)
    found = np.bincount(true * regimes + answered, minlength=regimes * regimes)
    return found.reshape(regimes, regimes).astype(np.int64)


def balanced(table: NDArray[np.int64]) -> float:
    """Return the balanced accuracy of a confusion matrix: the mean recall of the classes that there were.

    >>> balanced(np.array([[85, 0], [15, 0]]))
    0.5
    """
    return _mean(_over(np.diag(table), table.sum(axis=1)))


def _over(part: Any, whole: Any) -> Floats:
    found: Floats = np.full(len(whole), np.nan)
    there = np.asarray(whole) > 0
    found[there] = part[there] / whole[there]
    return found


def _mean(values: Floats) -> float:
    there = values[np.isfinite(values)]
    return float(np.mean(there)) if len(there) else math.nan


def losses(probs: Any, classes: Any) -> tuple[Floats, Floats]:
    """Return each row's Brier score and log score, (M,) both: lower is better.

    >>> brier, _ = losses([[0.9, 0.1], [0.4, 0.6]], [0, 0])
    >>> brier.round(2)
    array([0.01, 0.36])
    """
    p, y = _known(probs, classes, "losses")
    true = p[np.arange(len(y)), y]
    with np.errstate(divide="ignore"):
        return 0.5 * (np.sum(p * p, axis=1) - 2.0 * true + 1.0), -np.log(true)


def classified(probs: Any, classes: Any) -> Classified:
    """Score answers `probs` (M, K) against the true `classes` (M,).

    Raises `PartError` for arrays that do not belong together and what are no probabilities.

    >>> found = classified([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], [0, 0, 1, 1])
    >>> found.confusion.tolist(), found.recall.tolist(), round(found.macro_f1, 4), round(found.brier, 4)
    ([[2, 0], [1, 1]], [1.0, 0.5], 0.7333, 0.125)
    """
    p, y = _known(probs, classes, "classified")
    table = confusion(np.argmax(p, axis=1) if len(p) else [], y, p.shape[1])
    right, there, said = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    f1 = _over(2.0 * right, there + said)
    brier, log_score = losses(p, y)
    return Classified(
        rows=len(y), confusion=table, support=there, precision=_over(right, said), recall=_over(right, there), f1=f1,
        accuracy=float(right.sum()) / len(y) if len(y) else math.nan, macro_f1=_mean(f1),
        balanced_accuracy=balanced(table), brier=_mean(brier),
        log_score=float(np.mean(log_score)) if len(y) else math.nan,
    )  # fmt: skip


def majority(classes: Any, regimes: int) -> Classified:
    """Score who always answers the most frequent of `classes` (M,), and as probabilities says their shares.

    >>> always = majority([0] * 85 + [1] * 15, 2)
    >>> round(always.macro_f1, 3), always.balanced_accuracy, always.accuracy, round(always.brier, 4)
    (0.459, 0.5, 0.85, 0.1275)
    """
    y = np.asarray(classes, dtype=np.int64)
    shares = np.bincount(y, minlength=regimes) / max(len(y), 1)
    return classified(np.tile(shares, (len(y), 1)), y)


def calibrated(probs: Any, classes: Any, bins: int = 10) -> Calibrated:
    """Tell how far probabilities (M, K) are from what happened, in bins of equal width.

    >>> found = calibrated([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]], [0, 1, 0, 1], bins=5)
    >>> found.table.round(2)
    array([[0.6, 1. , 2. ],
           [0.9, 0.5, 2. ]])
    >>> round(found.error, 2)
    0.4
    """
    p, y = _known(probs, classes, "calibrated")
    top = np.argmax(p, axis=1) if len(p) else np.empty(0, dtype=np.int64)
    table = event_forecast(p[np.arange(len(y)), top], (top == y).astype(np.float64), bins).table
    each = tuple(event_forecast(p[:, k], (y == k).astype(np.float64), bins).table for k in range(p.shape[1]))
    apart = np.abs(table[:, 0] - table[:, 1])
    return Calibrated(float(np.sum(apart * table[:, 2]) / len(y)) if len(y) else math.nan, table, each)
