"""Its own weight in every regime: more than all in the calm, little in the storm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from barograph.errors import ConfigError, nearest
from barograph.jit.kernel import kernel
from barograph.types import Strategy, Target
from barograph_strategies._switch import UNDECIDED, check_dwell, known, switch, undecided

__all__ = ["regime_leverage"]


class Params(NamedTuple):
    """One weight a regime (K,), the probability a change needs, the least bars between changes, the weight before."""

    weights: Any
    threshold: float
    dwell: int
    otherwise: float


class Held(NamedTuple):
    """The last weight given."""

    weight: float


@kernel
def _most_likely(probs: Any, current: int, threshold: float) -> int:
    best = 0
    for k in range(probs.size):
        if probs[k] > probs[best]:
            best = k
    return best if current == UNDECIDED or probs[best] > threshold else current


@kernel
def _by_regime(choice: Any, _bars: Any, belief: Any, _portfolio: Any, params: Any) -> Any:
    if params.weights.size != belief.probs.size:
        return choice, Target(math.nan)
    wanted = UNDECIDED
    if known(belief.probs):
        wanted = _most_likely(belief.probs, choice.current, params.threshold)
    choice = switch(choice, wanted, params.dwell)
    return choice, Target(params.otherwise if choice.current == UNDECIDED else params.weights[choice.current])


@kernel
def _begin(params: Any) -> Held:
    return Held(params.otherwise)


@kernel
def _by_probability(held: Any, _bars: Any, belief: Any, _portfolio: Any, params: Any) -> Any:
    if params.weights.size != belief.probs.size:
        return held, Target(math.nan)
    if known(belief.probs):
        weight = 0.0
        for k in range(belief.probs.size):
            weight += belief.probs[k] * params.weights[k]
        held = Held(weight)
    return held, Target(held.weight)


KINDS: Final[dict[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
    "most_likely": (undecided, _by_regime),
    "probability": (_begin, _by_probability),
}


def _check(params: Params, fitted: Any) -> Params:
    if params.weights.size != fitted.regimes:
        raise ConfigError(
            f"regime_leverage: weights={params.weights.tolist()} but the model has {fitted.regimes} regimes; "
            "wanted one weight a regime, from the calmest"
        )
    return params


def regime_leverage(
    weights: Sequence[float] = (1.5, 0.3),
    weighting: Literal["most_likely", "probability"] = "most_likely",
    threshold: float = 0.0,
    dwell: int = 1,
    otherwise: float = 0.0,
) -> Strategy:
    """Hold ``weights[k]`` in the most likely regime k, or their mean under the belief.

    With "most_likely" a regime replaces another once it is the most likely *and* above `threshold`, and no earlier than
    `dwell` bars after the last change. With "probability" the weight is ``sum_k p_k weights[k]`` and neither counts.
    Regimes are numbered from the calmest. Until there is a belief the weight is `otherwise`; where one is missing later
    the last choice stands. A weight above 1 needs the machine's `leverage` to allow it, and pays for the loan.

    Raises `ConfigError` for values that cannot be meant, and when the fitted model has another number of regimes.

    >>> regime_leverage([1.5, 1.0, 0.0], dwell=5).params.weights
    array([1.5, 1. , 0. ])
    """
    if weighting not in KINDS:
        raise ConfigError(
            f"regime_leverage: weighting={weighting!r}; wanted {' or '.join(KINDS)}{nearest(weighting, KINDS)}"
        )
    if not len(weights) or not 0.0 <= threshold < 1.0:
        raise ConfigError(
            f"regime_leverage: weights={list(weights)}, threshold={threshold}; "
            "wanted a weight a regime and 0 <= threshold < 1"
        )
    params = Params(
        weights=np.array(weights, dtype=np.float64),
        threshold=float(threshold),
        dwell=check_dwell("regime_leverage", dwell),
        otherwise=float(otherwise),
    )
    init, step = KINDS[weighting]
    return Strategy(init, step, params, "regime_leverage", _check, reads="own")
