"""A classifier over a chain whose moves hang on the features: the rows that are seen say what comes next, too.

From class i the chain goes to j with probability proportional to exp(logits[i, j] . (1, z)), against 1 for staying, z
the scaled features of the bar that is left: an input-output hidden Markov model (Y. Bengio & P. Frasconi, *An input
output HMM architecture*, NIPS 1995). The logits are a penalised multinomial regression of the labels' own moves, one
for each class that is left. Learned from the classifier's answers instead, by expectation maximisation, they foresaw
the next bar worse than counted moves do: the features are in those answers already, and would be counted twice.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import Kernel, kernel
from barograph.jit.ordered import logarithms, total
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.family import Family, lasting, long_run
from barograph.regimes.fitted import Fitted
from barograph.regimes.transitions import expected, passages
from barograph.regimes.window import Window
from barograph.types import Belief, Floats, Forecast
from barograph_models._chain import driven
from barograph_models._chain.ahead import one_a_regime
from barograph_models._chain.filter import observed
from barograph_models._over.evidence import believe
from barograph_models._over.family import Changed, family_named

__all__ = ["DRIVEN", "DrivenHybridState", "learned"]

LEAST: Final = 1e-12
"""A move that was never made is as likely as this: it has a logarithm."""
FEWEST: Final = 5
"""Moves out of a class below which nothing is said to drive them."""


class DrivenHybridState(NamedTuple):
    """The classifier's state, the belief (K,), room for its moves (K,), twice, and the features last known (d,)."""

    inner: Any
    believed: Floats
    ahead: Floats
    chance: Floats
    drive: Floats


@functools.cache
def _make(begin: Any, look: Any) -> tuple[Any, Any]:
    def init(params: Any) -> Any:
        K = params.start.size
        return DrivenHybridState(
            begin(params), params.start.copy(), np.zeros(K), np.zeros(K), np.zeros(params.centre.size)
        )

    def step(state: Any, x: Any, params: Any) -> Any:
        inner, said = look(state.inner, x, params)
        probs, ahead, chance = unowned(state.believed), unowned(state.ahead), unowned(state.chance)
        drive, own, weight = unowned(state.drive), by_address(params), params.evidence[0]
        driven.predict(own.logits, drive, probs, chance, ahead)
        believe(observed(x), said.probs, own.start, weight, ahead, probs)
        for c in range(drive.size):
            if math.isfinite(x[c]):  # a missing feature is what it last was
                drive[c] = (x[c] - own.centre[c]) * own.shrink[c]
        after = DrivenHybridState(inner, state.believed, state.ahead, state.chance, state.drive)
        return after, Belief(frozen(state.believed), said.logpdf)

    if isinstance(begin, Kernel) and isinstance(look, Kernel):
        return kernel(init), kernel(step)
    return init, step


@kernel
def _ahead(state: Any, params: Any, horizon: int, out: Forecast) -> None:
    """Write the mixture of the summed return by its last bar's regime, were the features to stay where they are."""
    own, drive, probs = by_address(params), unowned(state.drive), unowned(state.believed)
    driven.foresee(own.logits, drive, probs, own.means, own.variances, horizon, out)


# What the engine asks beside.


def _usual(params: Any) -> Floats:
    return driven.moves_at(params.logits, np.zeros(len(params.centre)))


def _stays(params: Any) -> Floats:
    """Return the expected stays (K,) were the features what they were on the mean."""
    return lasting(1.0 - np.diag(_usual(params)))


def _never_left(params: Any, states: NDArray[np.int64]) -> Any:
    """Return the params in which these are left with a chance of 1e-13 a bar, the least that a logit can say."""
    logits = params.logits.copy()
    logits[states] = 0.0
    logits[states, :, 0] = -driven.FARTHEST
    logits[states, states, 0] = 0.0
    return params._replace(logits=logits)


def _until(params: Any, now: Any, states: NDArray[np.int64]) -> float:
    return expected(np.asarray(now.believed), passages(driven.moves_at(params.logits, np.asarray(now.drive)), states))


def _remaining(params: Any, now: Any) -> Floats:
    """Return the expected bars that each class still lasts, were the features to stay where they are."""
    return lasting(1.0 - np.diag(driven.moves_at(params.logits, np.asarray(now.drive)))) - 1.0


def _own(inner: Family) -> dict[str, Any]:
    """Return what a chain with driven moves answers otherwise than one with counted ones."""
    kernels = {"forecast": _ahead, "plan": None, "components": one_a_regime} if inner.moments is not None else {}
    return {
        "stays": _stays,
        "stationary": lambda params: long_run(_usual(params)),
        "never_left": _never_left,
        "until": _until,
        "remaining": _remaining,
        "draws_ahead": None,
        **kernels,
    }


DRIVEN: Final = Changed(__name__, ("evidence", "logits"), _make, _own)


# Learning the logits.


def learned(
    labelled: Callable[[Window], NDArray[np.int64]], fitted: Fitted, window: Window, setting: Floats
) -> tuple[tuple[Floats, ...], tuple[str, ...]]:
    """Return the arrays (`setting`, logits) over a fit to the window, and what is to be told of them.

    `setting` holds the evidence's weight and the penalty b^2 ridge / 2 of every slope. Labels of two bars in a row are
    a move; those that are not known at the window's end are none.
    """
    params, X, ridge = fitted.params, window.rows, float(setting[1])
    K, d = len(params.start), len(params.centre)
    own = counted(params)
    logits = own.copy()
    if not len(X):
        return (setting, logits), ()
    room = driven.work(len(X), K, 1 + d)
    _fill(labelled(window), room.made)
    driven.regress(logits, driven.followed((X - params.centre) * params.shrink, np.zeros(d)), ridge, room)
    left = [float(total(np.delete(room.made[:, i], i, axis=1).ravel())) for i in range(K)]
    few = [i for i in range(K) if left[i] < FEWEST]
    logits[few] = own[few]
    names = fitted.labels or tuple(f"regime {i}" for i in range(K))
    told = "times in the window, too seldom to learn by which features: its moves are counted"
    return (setting, logits), tuple(f"{names[i]} is left {left[i]:.0f} {told}" for i in few)


def counted(params: Any) -> Floats:
    """Return the logits (K, K, 1 + d) of the labels' own moves, whatever the features."""
    moves = logarithms(np.maximum(params.transition, LEAST))
    logits = np.zeros((*moves.shape, 1 + len(params.centre)))
    logits[:, :, 0] = moves - np.diag(moves)[:, None]
    return logits


def _fill(classes: NDArray[np.int64], made: Floats) -> None:
    """Fill `made` (T, K, K) with the move to each row; a label that is not known is no part of one."""
    made[:] = 0.0
    to = 1 + np.flatnonzero((classes[:-1] >= 0) & (classes[1:] >= 0))
    made[to, classes[to - 1], classes[to]] = 1.0


def __getattr__(name: str) -> Family:
    """Find the family of a saved fit: it is called like the one it is over."""
    return family_named(DRIVEN, name)
