"""The step of a classifier: the last rows are kept, scored by what was learned, and calibrated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.arithmetic import exp, power
from barograph.jit.kernel import kernel
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.family import Moments
from barograph.types import Belief, Floats
from barograph_models._chain.filter import observed

__all__ = ["COMMON", "LEAST", "Scored", "calibrate", "moments", "pass_missing", "softmax", "window_filter"]

COMMON: Final = ("start", "transition", "means", "variances", "centre", "shrink", "temperature", "knots")
"""The fields that the params of every classifier begin with.

`start` (K,) are the classes' shares among the labelled rows, `transition` (K, K) their counted moves, `means` and
`variances` (K, d) the labelled rows of each class in the data's units; ``scaled = (x - centre) * shrink`` (d,);
`temperature` (1,) and `knots` (2, K, M) are the calibration: M = 0 where it is by temperature alone.
"""

LEAST: Final = 1e-12
"""What is called impossible is not believed to be: with a temperature it is as likely as this."""


class Scored(NamedTuple):
    """The last rows, scaled, as a ring (window, d), how many were taken, and the belief (K,)."""

    rows: Floats
    seen: int
    probs: Floats


@kernel
def softmax(z: Any) -> None:
    """Bring scores to probabilities, in their place."""
    top = z[0]
    for k in range(1, z.size):
        top = max(top, z[k])
    total = 0.0
    for k in range(z.size):
        z[k] = exp(z[k] - top)
        total += z[k]
    for k in range(z.size):
        z[k] /= total


@kernel
def _between(p: Any, knots: Any, k: Any) -> Any:
    """Return what class k's probability `p` becomes: between its knots on a straight line, flat beyond them."""
    last = knots.shape[2] - 1
    if p <= knots[0, k, 0]:
        return knots[1, k, 0]
    for m in range(1, last + 1):
        if p <= knots[0, k, m]:
            left, right = knots[0, k, m - 1], knots[0, k, m]
            share = (p - left) / (right - left) if right > left else 1.0
            return knots[1, k, m - 1] + share * (knots[1, k, m] - knots[1, k, m - 1])
    return knots[1, k, last]


@kernel
def calibrate(probs: Any, params: Any) -> None:
    """Calibrate probabilities in their place: to the power of 1 / temperature, then class by class along the knots."""
    knots, coldness = params.knots, 1.0 / params.temperature[0]
    if coldness != 1.0:
        _normalise(probs, coldness)
    if knots.shape[2] > 0:
        for k in range(probs.size):
            probs[k] = _between(probs[k], knots, k)
        _normalise(probs, 1.0)


@kernel
def _normalise(probs: Any, exponent: Any) -> None:
    total = 0.0
    for k in range(probs.size):
        if exponent != 1.0:
            probs[k] = power(max(probs[k], LEAST), exponent)
        total += probs[k]
    for k in range(probs.size):
        # Where every knot says nothing, nothing is known.
        probs[k] = probs[k] / total if total > 0.0 else 1.0 / probs.size


@kernel
def pass_missing(state: Any, params: Any) -> tuple[Any, Belief]:
    """Let a row that was not observed pass: the belief, ``state.probs``, moves as the classes move."""
    probs, transition = unowned(state.probs), unowned(params.transition)
    before = np.empty(probs.size)
    for k in range(probs.size):
        before[k] = probs[k]
    for k in range(probs.size):
        moved = 0.0
        for i in range(before.size):
            moved += before[i] * transition[i, k]
        probs[k] = moved
    return state, Belief(frozen(state.probs), 0.0)


@functools.cache
def window_filter(rows: Callable[[Any], Any], score: Callable[..., None]) -> tuple[Any, Any]:
    """Return the filter's beginning and step of what looks at the last ``rows(params)`` rows, all whole.

    ``score(state, params)`` is a kernel that writes probabilities to ``state.probs``; row ``(state.seen + i) % n`` of
    ``state.rows`` is row i of the window, oldest first, n its length. A row with any NaN is not taken: the belief moves
    as the classes do. Before the window is full it is the classes' shares. There is no density of the data: `logpdf` is
    NaN, and zero for a row that was not observed.
    """

    @kernel
    def init(params: Any) -> Scored:
        return Scored(np.zeros((rows(params), params.centre.size)), 0, params.start.copy())

    @kernel
    def step(state: Any, x: Any, params: Any) -> tuple[Scored, Belief]:
        if not observed(x):
            return pass_missing(state, params)
        ring, centre, shrink = unowned(state.rows), unowned(params.centre), unowned(params.shrink)
        n = ring.shape[0]
        at = state.seen % n
        for j in range(x.size):
            ring[at, j] = (x[j] - centre[j]) * shrink[j]
        after = Scored(state.rows, state.seen + 1, state.probs)
        if after.seen >= n:
            score(after, by_address(params))
            calibrate(unowned(state.probs), by_address(params))
        return after, Belief(frozen(state.probs), np.nan)

    return init, step


def moments(params: Any) -> Moments:
    """Return one bar's mean and variance in each class, as the labelled rows had them."""
    return Moments(params.means, params.variances)
