"""Invested while the calm regimes are likely, out of the market otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError, nearest
from barograph.jit.kernel import kernel
from barograph.types import Strategy, Target
from barograph_strategies._switch import UNDECIDED, check_dwell, known, switch, undecided

__all__ = ["regime_filter"]

OUT, IN = 0, 1


class Params(NamedTuple):
    """`calm` are the regimes (int64) to be invested in, `highest` the largest of them; the rest as in the factory."""

    calm: Any
    highest: int
    enter: float
    leave: float
    dwell: int
    weight: float
    otherwise: float


class Held(NamedTuple):
    """The last weight given."""

    weight: float


@kernel
def _calm(probs: Any, calm: Any) -> float:
    total = 0.0
    for j in range(calm.size):
        total += probs[calm[j]]
    return total


@kernel
def _by_threshold(choice: Any, _bars: Any, belief: Any, _portfolio: Any, params: Any) -> Any:
    if params.highest >= belief.probs.size:
        return choice, Target(math.nan)
    wanted = UNDECIDED
    if known(belief.probs):
        threshold = params.leave if choice.current == IN else params.enter
        wanted = IN if _calm(belief.probs, params.calm) > threshold else OUT
    choice = switch(choice, wanted, params.dwell)
    return choice, Target(params.weight if choice.current == IN else params.otherwise)


@kernel
def _begin(params: Any) -> Held:
    return Held(params.otherwise)


@kernel
def _by_probability(held: Any, _bars: Any, belief: Any, _portfolio: Any, params: Any) -> Any:
    if params.highest >= belief.probs.size:
        return held, Target(math.nan)
    if known(belief.probs):
        p = _calm(belief.probs, params.calm)
        held = Held(p * params.weight + (1.0 - p) * params.otherwise)
    return held, Target(held.weight)


KINDS: Final[dict[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
    "threshold": (undecided, _by_threshold),
    "probability": (_begin, _by_probability),
}


def _check(params: Params, fitted: Any) -> Params:
    if params.highest >= fitted.regimes:
        raise ConfigError(
            f"regime_filter: calm={params.calm.tolist()} but the model has {fitted.regimes} regimes, "
            f"numbered 0 to {fitted.regimes - 1} from the calmest"
        )
    return params


def _regimes(calm: int | list[int]) -> NDArray[np.int64]:
    regimes = [calm] if isinstance(calm, int) else list(calm)
    if not regimes or min(regimes) < 0 or len(set(regimes)) < len(regimes):
        raise ConfigError(f"regime_filter: calm={calm}; wanted one or more different regimes, numbered from 0")
    return np.array(regimes, dtype=np.int64)


def regime_filter(
    calm: int | list[int] = 0,
    threshold: float = 0.5,
    exit_threshold: float | None = None,
    dwell: int = 1,
    weight: float = 1.0,
    otherwise: float = 0.0,
    weighting: Literal["threshold", "probability"] = "threshold",
) -> Strategy:
    """Hold `weight` while P(calm regimes) is above a threshold, `otherwise` when not.

    In at ``p > threshold``, out again at ``p <= exit_threshold`` (hysteresis; the same threshold when not given), and
    no change before a choice is `dwell` bars old. With ``weighting="probability"`` the weight is
    ``p weight + (1 - p) otherwise`` and thresholds and dwell do not count. Regimes are numbered from the calmest. Until
    there is a belief the weight is `otherwise`; where one is missing later the last choice stands.

    Raises `ConfigError` for values that cannot be meant, and for a regime that the fitted model has not.

    >>> regime_filter(calm=[0, 1], threshold=0.6, exit_threshold=0.4, dwell=3).params.leave
    0.4
    """
    if weighting not in KINDS:
        raise ConfigError(
            f"regime_filter: weighting={weighting!r}; wanted {' or '.join(KINDS)}{nearest(weighting, KINDS)}"
        )
    params = Params(
        calm=_regimes(calm),
        highest=int(_regimes(calm).max()),
        enter=float(threshold),
        leave=float(threshold if exit_threshold is None else exit_threshold),
        dwell=check_dwell("regime_filter", dwell),
        weight=float(weight),
        otherwise=float(otherwise),
    )
    if not 0.0 <= params.leave <= params.enter <= 1.0:
        found = f"threshold={threshold}, exit_threshold={exit_threshold}"
        raise ConfigError(f"regime_filter: {found}; wanted 0 <= exit_threshold <= threshold <= 1")
    init, step = KINDS[weighting]
    return Strategy(init, step, params, "regime_filter", _check, reads="own")
