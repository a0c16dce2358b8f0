"""The online filter over (regime, age): every stay lasts a bar longer or ends, then Bayes' rule.

Ages are not moved. A stay's weight lies where it began, in a ring, and what its bars said is one factor for its whole
regime, for it does not depend on the age: so a bar costs two sums over the ages, P(ends) and P(goes on), and writes
one number. The last place holds all stays that have lasted as long as ages are told apart.

S.-Z. Yu, *Hidden semi-Markov models*, Artificial Intelligence 174 (2010), section 4; S. Chiappa, *Explicit-duration
Markov switching models*, Foundations and Trends in Machine Learning 7 (2014).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel
from barograph.jit.views import by_address, frozen, unowned
from barograph.types import Belief, Floats
from barograph_models._chain.emission import Emission
from barograph_models._chain.filter import stand, weigh

__all__ = ["AgeState", "begun", "carried", "duration_step", "init", "older"]

LITTLE: Final = 1e-100
MUCH: Final = 1e100


class AgeState(NamedTuple):
    """Stays by where they began: P(regime and age | bars so far) is ``weight`` * ``scale`` * P(it lasts so long).

    `weight` (K, D): a ring of the ages below D whose age one is at `head`, and all older ones in the last place.
    `scale` (K,); `probs` (K,) is the belief; `ahead`, `logs`, `ended` (K,) are room for a step's work.
    """

    weight: Floats
    scale: Floats
    probs: Floats
    ahead: Floats
    logs: Floats
    ended: Floats
    head: int
    seen: int


@kernel
def init(params: Any) -> AgeState:
    """Begin with a stay of every regime that begins at the first bar."""
    K, D = params.hazard.shape
    weight = np.zeros((K, D))
    for k in range(K):
        weight[k, 0] = params.start[k]
    return AgeState(weight, np.ones(K), params.start.copy(), np.zeros(K), np.zeros(K), np.zeros(K), 0, 0)


@kernel
def begun(start: Any, weight: Any, scale: Any, ahead: Any) -> None:
    """Fill what is expected of the first bar: every stay begins."""
    weight[:] = 0.0
    for k in range(start.size):
        weight[k, 0] = start[k]
        scale[k] = 1.0
        ahead[k] = start[k]


@kernel
def older(head: Any, weight: Any, scale: Any, follows: Any, ends: Any, lasts: Any, ended: Any, ahead: Any) -> Any:
    """Let a bar pass: fill P(a stay of k ended) and P(regime at the next bar), (K,) each; return where age one is now.

    At the new head stand the stays that begin; `scale` is left as it was.
    """
    K, D = weight.shape
    L = D - 1
    oldest = head - 1 if head > 0 else L - 1
    for k in range(K):
        over, on, a = 0.0, 0.0, 0
        for i in range(head, L):
            over += weight[k, i] * ends[k, a]
            on += weight[k, i] * lasts[k, a]
            a += 1
        for i in range(head):
            over += weight[k, i] * ends[k, a]
            on += weight[k, i] * lasts[k, a]
            a += 1
        stayed = weight[k, L] * lasts[k, L]
        over += weight[k, L] * ends[k, L]
        on += stayed
        weight[k, L] = stayed + weight[k, oldest] * lasts[k, L - 1]
        ended[k] = over * scale[k]
        ahead[k] = on * scale[k]
    for j in range(K):
        begins = 0.0
        for i in range(K):
            begins += ended[i] * follows[i, j]
        ahead[j] += begins
        weight[j, oldest] = begins / scale[j]
    return oldest


@kernel
def carried(weight: Any, scale: Any, probs: Any, ahead: Any) -> None:
    """Let what a bar said, ``probs / ahead``, be a factor of all stays of a regime; the factor stays within bounds."""
    for k in range(scale.size):
        said = probs[k] / ahead[k] if ahead[k] > 0.0 else 0.0
        whole = scale[k] * said
        if LITTLE < whole < MUCH:
            scale[k] = whole
        else:
            for a in range(weight.shape[1]):
                weight[k, a] = weight[k, a] * scale[k] * said
            scale[k] = 1.0


@functools.cache
def duration_step(emission: Emission, says: Callable[..., Any]) -> Callable[..., tuple[AgeState, Belief]]:
    """Return the filter's step; ``says(x)`` tells which rows say anything."""
    log_density = emission.log_density

    @kernel
    def step(state: Any, x: Any, params: Any) -> tuple[AgeState, Belief]:
        """Predict by the hazards, then weigh by the densities; a row that says nothing only predicts."""
        weight, scale, probs = unowned(state.weight), unowned(state.scale), unowned(state.probs)
        ahead, logs, ended, head = unowned(state.ahead), unowned(state.logs), unowned(state.ended), state.head
        if state.seen == 0:
            begun(unowned(params.start), weight, scale, ahead)
        else:
            follows, ends, lasts = unowned(params.follows), unowned(params.ends), unowned(params.lasts)
            head = older(head, weight, scale, follows, ends, lasts, ended, ahead)
        logpdf = 0.0
        if says(x):
            own = by_address(params)
            for k in range(logs.size):
                logs[k] = log_density(x, k, own)
            logpdf = weigh(ahead, logs, probs)
            carried(weight, scale, probs, ahead)
        else:
            stand(ahead, probs)
        later = AgeState(state.weight, state.scale, state.probs, state.ahead, state.logs, state.ended, head,
                         state.seen + 1)  # fmt: skip
        return later, Belief(frozen(state.probs), logpdf)

    return step
