"""The online filter: what it remembers, how it looks one bar ahead, Bayes' rule, and the chain's own step."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import kernel
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.filtering import filter_path
from barograph.types import Belief, Filter, Floats
from barograph_models._chain.emission import Emission

__all__ = ["ChainState", "believed", "chain_step", "filtered", "init", "likeliest", "observed", "partly_observed",
           "predict", "share", "stand", "weigh"]  # fmt: skip

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
def partly_observed(x: Any) -> Any:
    """Tell whether any feature of a row is a finite number."""
    for j in range(x.size):  # noqa: SIM110  a generator does not compile
        if math.isfinite(x[j]):
            return True
    return False


@kernel
def predict(seen: Any, probs: Any, ahead: Any, params: Any) -> None:
    """Fill `ahead` (K,) with P(regime now | earlier bars): the start at the first bar, one move later."""
    start, transition = unowned(params.start), unowned(params.transition)
    for k in range(probs.size):
        if seen == 0:
            ahead[k] = start[k]
        else:
            total = 0.0
            for i in range(probs.size):
                total += probs[i] * transition[i, k]
            ahead[k] = total


@kernel
def stand(ahead: Any, probs: Any) -> None:
    """Believe what was predicted: the bar said nothing."""
    for k in range(probs.size):
        probs[k] = ahead[k]


@kernel
def share(ahead: Any, logs: Any, probs: Any) -> Any:
    """Bayes' rule: `probs` becomes `ahead` times exp(`logs`), normalised by a sum; return the largest log and that sum.

    The logarithm of the normaliser is the largest plus the sum's.
    """
    # The largest among the regimes within reach: dividing by another one could leave nothing but zeros.
    largest = -math.inf
    for k in range(logs.size):
        if ahead[k] > NOTHING and logs[k] > largest:
            largest = logs[k]
    if largest == -math.inf:
        for k in range(logs.size):
            probs[k] = ahead[k]
        return -math.inf, 1.0
    total = 0.0
    for k in range(logs.size):
        if ahead[k] > NOTHING:
            gap = logs[k] - largest
            probs[k] = ahead[k] if gap == 0.0 else ahead[k] * exp(gap)
        else:
            probs[k] = 0.0
        total += probs[k]
    inverse = 1.0 / total
    for k in range(logs.size):
        probs[k] *= inverse
    return largest, total


@kernel
def weigh(ahead: Any, logs: Any, probs: Any) -> Any:
    """Bayes' rule: `probs` becomes `ahead` times exp(`logs`), normalised; return the logarithm of the normaliser."""
    largest, total = share(ahead, logs, probs)
    return largest + log(total)


@kernel
def believed(state: Any, logpdf: Any) -> tuple[ChainState, Belief]:
    """End a step: one more bar was filtered, and its belief is what the filter now holds."""
    return ChainState(state.probs, state.ahead, state.logs, state.seen + 1), Belief(frozen(state.probs), logpdf)


@functools.cache
def chain_step(emission: Emission, says: Callable[..., Any] = observed) -> Callable[..., tuple[ChainState, Belief]]:
    """Return the filter's step where regimes follow a Markov chain; ``says(x)`` tells which rows say anything."""
    log_density = emission.log_density

    @kernel
    def step(state: Any, x: Any, params: Any) -> tuple[ChainState, Belief]:
        """Predict by the transition matrix, then weigh by the densities; a row that says nothing only predicts."""
        probs, ahead, logs = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
        predict(state.seen, probs, ahead, params)
        logpdf = 0.0
        if says(x):
            own = by_address(params)
            for k in range(logs.size):
                logs[k] = log_density(x, k, own)
            logpdf = weigh(ahead, logs, probs)
        else:
            stand(ahead, probs)
        return believed(state, logpdf)

    return step


def filtered(init: Callable[..., Any], step: Callable[..., Any], params: Any, X: Floats) -> Floats:
    """Return P(regime), (T, K), of a model whose bars are independent: what came later says nothing more."""
    return filter_path(Filter(init, step, params, len(params.start), "independent bars"), X).probs


def likeliest(init: Callable[..., Any], step: Callable[..., Any], params: Any, X: Floats) -> NDArray[np.int64]:
    """Return each bar's likeliest regime, (T,), of such a model; ties go to the lower one."""
    return np.asarray(np.argmax(filtered(init, step, params, X), axis=1), dtype=np.int64)
