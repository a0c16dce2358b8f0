"""Calibration: what is called 80 % should happen in eight of ten; learned from rows that were held out."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.ordered import exponentials, logarithms, total
from barograph.types import Floats
from barograph_models._classify.scoring import LEAST

__all__ = ["CALIBRATIONS", "Calibration", "calibrated", "calibration", "none"]

CALIBRATIONS: Final = ("temperature", "isotonic", "none")
_NARROW: Final = 60  # golden sections, of a range of e**6: beyond the last digit that a temperature is told by
_RANGE: Final = 3.0
_GOLDEN: Final = 0.6180339887498949
_KNOTS: Final = 64


class Calibration(NamedTuple):
    """`temperature` (1,) and `knots` (2, K, M), as `barograph_models._classify.scoring` reads them."""

    temperature: Floats
    knots: Floats


def none(K: int) -> Calibration:
    """Return the calibration that changes nothing."""
    return Calibration(np.ones(1), np.zeros((2, K, 0)))


def calibration(how: str, probs: Floats, classes: NDArray[np.int64]) -> Calibration:
    """Learn a calibration from held-out probabilities (M, K) and what was true, (M,).

    ``"temperature"``: probabilities to the power of 1 / temperature, the one under which what was true was likeliest
    (Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017); between e**-3 and e**3, and not below 1 where
    no answer was wrong. ``"isotonic"``: class by class the rising line that is nearest to what was true (Zadrozny &
    Elkan, KDD 2002), then brought to a sum of one.
    """
    K = probs.shape[1]
    if how == "temperature":
        return Calibration(np.array([_temperature(probs, classes)]), np.zeros((2, K, 0)))
    return Calibration(np.ones(1), _isotonic(probs, classes)) if how == "isotonic" else none(K)


def calibrated(probs: Floats, by: Calibration) -> Floats:
    """Return probabilities (M, K) as a calibration changes them: what the step does, for a whole table."""
    out = _cooled(probs, 1.0 / float(by.temperature[0]))
    if by.knots.shape[2]:
        out = np.column_stack([np.interp(out[:, k], by.knots[0, k], by.knots[1, k]) for k in range(out.shape[1])])
        whole = total(out, axis=1)[:, None]
        out = np.where(whole > 0.0, out / np.where(whole > 0.0, whole, 1.0), 1.0 / out.shape[1])
    return np.asarray(out)


def _cooled(probs: Floats, exponent: float) -> Floats:
    logs = logarithms(np.maximum(probs, LEAST)) * exponent
    weights = exponentials(logs - logs.max(axis=1)[:, None])
    return np.asarray(weights / total(weights, axis=1)[:, None])


def _temperature(probs: Floats, classes: NDArray[np.int64]) -> float:
    def loss(log_temperature: float) -> float:
        cooled = _cooled(probs, float(exponentials(np.array([-log_temperature]))[0]))
        return -float(total(logarithms(np.maximum(cooled[np.arange(len(classes)), classes], LEAST))))

    low, high = -_RANGE, _RANGE
    for _ in range(_NARROW):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    found = float(exponentials(np.array([0.5 * (low + high)]))[0])
    # Where nothing was answered wrongly the likeliest is as cold as there is: nothing says how cold.
    return found if (probs.argmax(axis=1) != classes).any() else max(found, 1.0)


def _isotonic(probs: Floats, classes: NDArray[np.int64]) -> Floats:
    """Return the knots: of each class the points of its line, thinned to what a table can hold."""
    K = probs.shape[1]
    knots = np.empty((2, K, _KNOTS))
    for k in range(K):
        x, which, times = np.unique(probs[:, k], return_inverse=True, return_counts=True)
        # Rows that were answered alike are one: what came of them is their mean.
        came = np.bincount(which, weights=(classes == k).astype(np.float64)) / times
        y = _rising(came, times.astype(np.float64))
        at = np.unique(np.linspace(0, len(x) - 1, _KNOTS).round().astype(np.int64))
        knots[0, k], knots[1, k] = _padded(x[at]), _padded(y[at])
    return knots


def _rising(values: Floats, weights: Floats) -> Floats:
    """Return the rising sequence nearest to `values` in weighted squares, by pooling neighbours that fall.

    Ayer et al., *An Empirical Distribution Function for Sampling with Incomplete Information*, Ann. Math. Stat. 26
    (1955).

    >>> _rising(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4))
    array([1. , 2.5, 2.5, 4. ])
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        level, mass, rows = value, weight, 1
        while pools and pools[-1][0] >= level:
            before, more, count = pools.pop()
            level = (before * more + level * mass) / (more + mass)
            mass, rows = mass + more, rows + count
        pools.append((level, mass, rows))
    return np.repeat([level for level, _, _ in pools], [rows for _, _, rows in pools])


def _padded(values: Any) -> Floats:
    return np.concatenate([values, np.full(_KNOTS - len(values), values[-1])])
