"""The online filter's parts: what it remembers, how it looks one bar ahead, and Bayes' rule."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel
from barograph.jit.views import borrow
from barograph.types import Floats

__all__ = ["ChainState", "init", "observed", "predict", "weigh"]

NOTHING: Final = 1e-300  # a regime less likely than this is out of reach; one over it is still a number


class ChainState(NamedTuple):
    """P(regime | bars so far) (K,), room for a step's work (K,) twice, and how many bars were filtered."""

    probs: Floats
    ahead: Floats
    logs: Floats
    seen: int


@kernel
def init(params: Any) -> ChainState:
    """Begin at the start probabilities: the first bar is not preceded by a move."""
    K = params.start.size
    return ChainState(params.start.copy(), np.zeros(K), np.zeros(K), 0)


@kernel
def observed(x: Any) -> Any:
    """Tell whether every feature of a row is a finite number."""
    for j in range(x.size):  # noqa: SIM110  a generator does not compile
        if not math.isfinite(x[j]):
            return False
    return True


@kernel
def predict(seen: Any, probs: Any, ahead: Any, params: Any) -> None:
    """Fill `ahead` (K,) with P(regime now | earlier bars): the start at the first bar, one move later."""
    start, transition = borrow(params.start), borrow(params.transition)
    for k in range(probs.size):
        if seen == 0:
            ahead[k] = start[k]
        else:
            total = 0.0
            for i in range(probs.size):
                total += probs[i] * transition[i, k]
            ahead[k] = total


@kernel
def weigh(ahead: Any, logs: Any, probs: Any) -> Any:
    """Bayes' rule: `probs` becomes `ahead` times exp(`logs`), normalised; return the logarithm of the normaliser."""
    # The largest among the regimes within reach: dividing by another one could leave nothing but zeros.
    largest = -math.inf
    for k in range(logs.size):
        if ahead[k] > NOTHING and logs[k] > largest:
            largest = logs[k]
    if largest == -math.inf:
        for k in range(logs.size):
            probs[k] = ahead[k]
        return -math.inf
    total = 0.0
    for k in range(logs.size):
        if ahead[k] > NOTHING:
            gap = logs[k] - largest
            probs[k] = ahead[k] if gap == 0.0 else ahead[k] * math.exp(gap)
        else:
            probs[k] = 0.0
        total += probs[k]
    share = 1.0 / total
    for k in range(logs.size):
        probs[k] *= share
    return largest + math.log(total)
