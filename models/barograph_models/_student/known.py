"""What is known of K Student-t regimes, before rows are seen or after, as one tuple of the same form."""

from __future__ import annotations

from typing import NamedTuple

from barograph.types import Floats

__all__ = ["Known"]


class Known(NamedTuple):
    """Knowledge of K regimes of d features, in standardised units; a posterior is the prior of the next fit.

    `start` (K,) are the probabilities of the first row. Rows of the transition matrix are Dirichlet(`moves`), (K, K). A
    precision (inverse squared scale) is Gamma(`shape`, `rate`), a mean normal around `means` with `bars` times that
    precision, each (K, d). Log degrees of freedom are normal around `log_dof` with `dof_precision`, each (K,).
    """

    start: Floats
    moves: Floats
    means: Floats
    bars: Floats
    shape: Floats
    rate: Floats
    log_dof: Floats
    dof_precision: Floats
