"""How features move together within a regime: correlations, and what of one's variance comes by way of the others."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from barograph.jit.ordered import total
from barograph.types import Floats

__all__ = ["Spillover", "correlations_of", "spillover"]


class Spillover(NamedTuple):
    """Shares in every regime: `share` (R, d, d) of column i's variance that comes by way of j, each row adding to one.

    `whole` (R,) is the mean share that comes from others: the total spillover index.
    """

    share: Floats
    whole: Floats


def correlations_of(covariances: Floats) -> Floats:
    """Return the correlations (R, d, d) of covariances.

    >>> correlations_of(np.array([[[4.0, 1.0], [1.0, 1.0]]]))
    array([[[1. , 0.5],
            [0.5, 1. ]]])
    """
    deviation = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    found = np.clip(covariances / (deviation[:, :, None] * deviation[:, None, :]), -1.0, 1.0)
    found[:, np.arange(found.shape[1]), np.arange(found.shape[1])] = 1.0
    return np.asarray(found)


def spillover(correlations: Any) -> Spillover:
    """Return the spillover that correlations (R, d, d) within regimes amount to.

    The index of F. Diebold & K. Yilmaz, *Better to give than to receive: predictive directional measurement of
    volatility spillovers*, Int. J. Forecasting 28 (2012), equations 2-4: shares of the generalised forecast error
    variance, one bar ahead. Within a regime bars have no memory, so a share of i's variance by way of j is rho_ij^2
    before the row is brought to one, and the index sees what happens in the same bar alone.

    >>> found = spillover([[[1.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    >>> found.share[0], found.whole
    (array([[0.8, 0.2],
           [0.2, 0.8]]), array([0.2, 0. ]))
    """
    square = np.asarray(correlations, dtype=np.float64) * np.asarray(correlations, dtype=np.float64)
    share = square / total(square, axis=2)[:, :, None]
    own = np.diagonal(share, axis1=1, axis2=2)
    return Spillover(share, total(1.0 - own, axis=1) / share.shape[1])
