"""A transition matrix for models that have none: the moves counted between consecutive bars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from barograph.jit.ordered import mean, moment, total
from barograph.types import Floats

__all__ = ["soft_transition"]


def soft_transition(posterior: Floats, observed: NDArray[np.bool_]) -> Floats:
    """Return (K, K): sum_t p[t, i] p[t+1, j], each row brought to one, over pairs of observed bars.

    With one-hot rows it is the count of moves. A regime that was never left moves to the regimes' overall shares.
    Where posteriors overlap the moves are drawn toward independence: a hidden Markov model estimates them better.
    """
    pairs = observed[:-1] & observed[1:]
    moves = moment(posterior[:-1][pairs], posterior[1:][pairs])
    share = mean(posterior[observed])
    left = total(moves, axis=1)[:, None]
    return np.asarray(np.where(left > 0.0, moves / np.where(left > 0.0, left, 1.0), share))
