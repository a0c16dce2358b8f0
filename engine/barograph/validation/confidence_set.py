"""Which trials might be the best: the model confidence set of Hansen, Lunde & Nason 2011 (statistic T_max).

While the trials that are left cannot all be equally good, the one that is worst beside their mean goes. The set says
what the data do not decide between, which is most of a sweep as a rule: worth knowing before the best is told apart by
its third digit. Whether any earns anything at all it does not ask; that is the reality check.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.types import Floats
from barograph.validation.resampling import Draws, draw, means, resampled, usual_block

__all__ = ["ConfidenceSet", "confidence_set"]


class ConfidenceSet(NamedTuple):
    """The trials that may be the best at the level asked for, and `p` (N,), the level up to which each one may be."""

    included: list[int]
    p: Floats


def confidence_set(
    streams: Floats,
    block: float | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.05,
    draws: Draws | None = None,
) -> ConfidenceSet:
    """Return the model confidence set of trials (N, T), by their mean return.

    Work grows with samples · N²: a thousand trials take a few seconds. `draws` replaces block, samples and seed.

    >>> streams = np.random.default_rng(0).standard_normal((4, 500))
    >>> streams[2] -= 1.0
    >>> confidence_set(streams, samples=200).included
    [0, 1, 3]
    """
    length = usual_block(streams) if block is None else block
    drawn = draw(streams.shape[1], length, samples, seed) if draws is None else draws
    mean = means(streams)
    errors = np.concatenate([found for _, found in resampled(streams, drawn)], axis=1) - mean
    p, left, highest = np.ones(len(mean)), np.arange(len(mean)), 0.0
    while left.size > 1:
        gone, found = _worst(mean[left], errors[:, left])
        highest = max(highest, found)
        p[left[gone]] = highest
        left = left[~gone]
    return ConfidenceSet(np.flatnonzero(p > level).tolist(), p)


def _worst(mean: Floats, errors: Floats) -> tuple[NDArray[np.bool_], float]:
    """Which trials are farthest below the mean of all, in deviations of that gap, and how often chance is as far."""
    away = np.mean(errors, axis=1, keepdims=True) - errors
    deviation = np.sqrt(np.mean(away * away, axis=0))
    # Trials that are the same as the mean of all are never the worst.
    safe = np.where(deviation > 0.0, deviation, np.inf)
    t = (np.mean(mean) - mean) / safe
    worst = t == np.max(t)
    return worst, float(np.mean(np.max(away / safe, axis=1) > np.max(t)))
