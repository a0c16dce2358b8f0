"""Which features tell the regimes apart: weights under two norms, in turn with the path (sparse jump models)."""

from __future__ import annotations

import math

import numpy as np

from barograph.jit.ordered import moment, total
from barograph.types import Floats

__all__ = ["between", "sparse_weights"]


def between(Z: Floats, shares: Floats) -> Floats:
    """Return the sum of squares between regimes of each feature, (d,): sum_k N_k (centre_k - mean)^2.

    `Z` (T, d) has mean zero; `shares` (T, K) are those of the regimes at each row.

    >>> between(np.array([[1.0], [1.0], [-2.0]]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    array([6.])
    """
    mass = total(shares)
    centres = moment(shares, Z) / np.where(mass > 0.0, mass, 1.0)[:, None]
    return np.asarray(total(mass[:, None] * centres * centres))


def sparse_weights(worth: Floats, most: float) -> Floats:
    """Return w >= 0 (d,) that maximises sum w * worth with sum w^2 <= 1 and sum w <= `most`, at least 1.

    It is the soft-thresholded `worth`, brought to length one, at the least threshold that the second norm allows; the
    threshold is found by halving. D. Witten & R. Tibshirani, *A framework for feature selection in clustering*, J. Am.
    Stat. Assoc. 105 (2010), section 2.

    >>> sparse_weights(np.array([3.0, 2.0, 0.1]), 1.2).round(3)
    array([0.974, 0.226, 0.   ])
    """
    if not worth.max() > 0.0:
        return np.full(len(worth), 1.0 / math.sqrt(len(worth)) if len(worth) <= most * most else most / len(worth))
    worth = worth / worth.max()
    found = _shrunk(worth, 0.0)
    if total(found) <= most:
        return found
    low, high = 0.0, float(np.sort(worth)[-2])
    if total(_shrunk(worth, high)) > most:
        return _shrunk(worth, high)  # several are the best alike: no threshold tells them apart
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if total(_shrunk(worth, middle)) > most else (low, middle)
    return _shrunk(worth, high)


def _shrunk(worth: Floats, threshold: float) -> Floats:
    left = np.maximum(worth - threshold, 0.0)
    return np.asarray(left / math.sqrt(total(left * left)))
