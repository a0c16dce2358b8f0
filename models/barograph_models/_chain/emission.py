"""What a regime emits, as the chain sees it: kernels over parameters and sums that nobody else looks into.

The filter, EM, smoothing and Viterbi need no more than this of an emission, nor do mixtures, which have no chain: so
another emission is one small file. Params stay one flat NamedTuple (`regimes.fitted`), in which `start` (K,) and
`transition` (K, K) are the chain's, and an emission reads its own fields by name. They are lent by address: passed as
arrays they would be counted at every call, which compiles for longer and runs no faster.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import kernel
from barograph_models._fit.data import Sample
from barograph_models._fit.restarts import Ascent

__all__ = ["LEAST", "LOG_LEAST", "Density", "Emission", "climbed", "make_densities", "no_penalty"]

# A row may shrink the weights by no more than this, and they are rescaled before they get small (`inference`): their
# product stays far from the smallest double. It matters only where the likelier regime is out of reach to 150 decimals.
LEAST: Final = 1e-150
LOG_LEAST: Final = log(LEAST)


@kernel
def no_penalty(own: Any, given: Any) -> Any:
    """Take nothing off: the likeliest parameters are wanted."""
    return 0.0


class Emission(NamedTuple):
    """What K regimes emit: four kernels, then two plain functions that are asked once, before EM begins.

    In the kernels `own` is the model's params, lent, and `sums` what ``new_sums(params)`` made, a NamedTuple of arrays,
    lent too. ``log_density(x, k, own)`` is that of a row in regime k. ``clear(sums)`` sets them to zero, ``gather(x,
    weight, k, own, sums)`` adds a weighted row to regime k's, and ``update(total, sums, own, given)`` makes the
    likeliest parameters of them and of the regimes' weights `total` (K,); `given` is what the model tells its emission
    beside, a number or a tuple of them: the least variance, say. ``least(params)`` is the weight below which a regime
    has died. ``penalty(own, given)`` is what EM takes off the log-likelihood before it compares two iterations, where
    its update does the same.
    """

    log_density: Callable[..., Any]
    clear: Callable[..., Any]
    gather: Callable[..., Any]
    update: Callable[..., Any]
    new_sums: Callable[[Any], Any]
    least: Callable[[Any], float]
    penalty: Callable[..., Any] = no_penalty


class Density(NamedTuple):
    """What smoothing and Viterbi need of an emission: the kernel of its log density, and nothing to fit it by."""

    log_density: Callable[..., Any]


@functools.cache
def make_densities(emission: Emission | Density) -> Callable[..., Any]:
    """Return the kernel that fills all rows' densities."""
    log_density = emission.log_density

    @kernel
    def densities(X: Any, observed: Any, own: Any, density: Any) -> Any:
        """Fill `density` (T, K), each row divided by its largest; return the sum of those divisors' logarithms."""
        T, K = density.shape
        shift = 0.0
        for t in range(T):
            if not observed[t]:
                for k in range(K):
                    density[t, k] = 1.0
                continue
            largest = -math.inf
            for k in range(K):
                density[t, k] = log_density(X[t], k, own)
                largest = max(largest, density[t, k])
            for k in range(K):
                gap = density[t, k] - largest
                density[t, k] = 1.0 if gap == 0.0 else exp(gap) if gap > LOG_LEAST else LEAST
            shift += largest
        return shift

    return densities


def climbed(
    run: Callable[..., tuple[int, int]],
    new_sums: Any,
    emission: Emission,
    data: Sample,
    params: Any,
    iterations: int,
    tolerance: float,
    given: Any,
) -> Ascent:
    """Run a door of EM on standardised data from `params`, which are left alone; the path is in the data's own units.

    It ends when an iteration gains at most `tolerance` a row observed, when a regime holds less than the emission's
    least weight, or after `iterations`. The last likelihood on the path is that of the parameters returned; a penalty
    counts in what is gained, and is not on the path.
    """
    own, path = params._make(a.copy() for a in params), np.empty(iterations)
    limits = (given, emission.least(own), tolerance * data.rows)
    count, verdict = run(data.Z, data.observed, own, new_sums, emission.new_sums(own), *limits, path)
    found = path[:count] - data.log_volume
    return Ascent(own, found, verdict, float(found[-1] - emission.penalty(own, given)))
