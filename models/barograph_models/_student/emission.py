"""Student-t emissions: parameters, density of a row with or without missing cells, and the online filter's step.

The features of a row share one mixing weight u ~ Gamma(dof/2, dof/2) and are independent given it: x_j ~ Normal(mean_j,
scale_j^2 / u). So a bar that is wild in one feature is less of a surprise in the others, and the cells that are there
are a t of as many dimensions with the same degrees of freedom: exact, whatever is missing.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import lgamma, log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.ordered import logarithms, total
from barograph.jit.views import by_address, unowned
from barograph.regimes.fitted import Moments
from barograph.types import Belief, Floats
from barograph_models._chain.chance import gamma, generator
from barograph_models._chain.drawing import noise, path
from barograph_models._chain.emission import Density
from barograph_models._chain.filter import ChainState, believed, predict, stand, weigh

__all__ = ["FIT", "STUDENT", "StudentParams", "count_cells", "density_norms", "draw", "log_norm", "moments", "step"]

LOG_PI = log(math.pi)
FIT: Final = ("until", "tail", "evidence")
"""What is kept of the fit, and counts no regimes."""


class StudentParams(NamedTuple):
    """K regimes of d features, and the posterior they came from.

    What the filter reads, in the data's units: `start` (K,), `transition` (K, K), `means` and `scales` (K, d),
    `degrees_of_freedom` (K,). Worked out at the fit, so that no step takes a gamma function: `whitening` (K, d), one
    over scale and root of the degrees of freedom, `log_scales` (K, d), `norms` (K, d+1), by the number of features
    observed, and `peak` (K,), the log density of a whole row at the mean.

    The posterior: rows are Dirichlet with `strength` (K,) times the row of `transition`; a precision (inverse squared
    scale) is Gamma(`shape`, `rate`), each (K, d); a mean is normal around `means` with `bars` (K, d) times that
    precision; log degrees of freedom have a precision of `dof_precision` (K,). `ended` (K,) is the belief after the
    fit's last row. Shared by the regimes: `until` (2,), the close of that row in whole seconds and nanoseconds, `tail`
    (n, d), the last rows it saw, and `evidence` (1,), the bound on the log evidence where the ascent ended, NaN without
    one.
    """

    start: Floats
    transition: Floats
    means: Floats
    scales: Floats
    whitening: Floats
    log_scales: Floats
    degrees_of_freedom: Floats
    norms: Floats
    peak: Floats
    strength: Floats
    bars: Floats
    shape: Floats
    rate: Floats
    dof_precision: Floats
    ended: Floats
    until: Floats
    tail: Floats
    evidence: Floats


@kernel
def log_norm(nu: Any, n: Any) -> Any:
    """Return the log density at its peak of a standard t of n dimensions."""
    return lgamma(0.5 * (nu + n)) - lgamma(0.5 * nu) - 0.5 * n * (log(nu) + LOG_PI)


@kernel
def count_cells(x: Any) -> Any:
    """Count the features of a row that are finite numbers."""
    seen = 0
    for j in range(x.size):
        if math.isfinite(x[j]):
            seen += 1
    return seen


@kernel
def _whole_density(x: Any, k: Any, own: Any) -> Any:
    """Return the log density of a row without a missing cell."""
    means, whitening = own.means, own.whitening
    d = means.shape[1]
    excess = 0.0
    for j in range(d):
        z = (x[j] - means[k, j]) * whitening[k, j]
        excess += z * z
    return own.peak[k] - 0.5 * (own.degrees_of_freedom[k] + d) * log(1.0 + excess)


@kernel
def _part_density(x: Any, k: Any, own: Any) -> Any:
    """Return the log density of the cells that are there."""
    means, whitening, log_scales = own.means, own.whitening, own.log_scales
    seen, excess, volume = 0, 0.0, 0.0
    for j in range(means.shape[1]):
        if math.isfinite(x[j]):
            z = (x[j] - means[k, j]) * whitening[k, j]
            excess += z * z
            volume += log_scales[k, j]
            seen += 1
    return own.norms[k, seen] - volume - 0.5 * (own.degrees_of_freedom[k] + seen) * log(1.0 + excess)


@kernel
def _log_density(x: Any, k: Any, own: Any) -> Any:
    return _whole_density(x, k, own) if count_cells(x) == x.size else _part_density(x, k, own)


@kernel
def step(state: Any, x: Any, params: Any) -> tuple[ChainState, Belief]:
    """Predict by the transition matrix, then weigh by the densities of what is there; an empty row only predicts."""
    probs, ahead, logs = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
    predict(state.seen, probs, ahead, params)
    logpdf = 0.0
    seen = count_cells(x)
    if seen > 0:
        own = by_address(params)
        if seen == x.size:
            for k in range(logs.size):
                logs[k] = _whole_density(x, k, own)
        else:
            for k in range(logs.size):
                logs[k] = _part_density(x, k, own)
        logpdf = weigh(ahead, logs, probs)
    else:
        stand(ahead, probs)
    return believed(state, logpdf)


STUDENT = Density(_log_density)


@compiled
def _fill_norms(nu: Any, norms: Any) -> None:
    for k in range(nu.size):
        for n in range(norms.shape[1]):
            norms[k, n] = log_norm(nu[k], n)


def density_norms(scales: Floats, nu: Floats) -> dict[str, Floats]:
    """Return the fields of the params that follow from the others."""
    norms = np.empty((len(nu), scales.shape[1] + 1))
    _fill_norms(np.array(nu), norms)
    whitening = 1.0 / (scales * np.sqrt(nu)[:, None])
    log_scales = logarithms(scales)
    peak = norms[:, -1] - total(log_scales, axis=1)
    return {"whitening": whitening, "log_scales": log_scales, "norms": norms, "peak": peak}


def moments(params: StudentParams) -> Moments:
    """Return means and variances of every feature, (K, d)."""
    nu = params.degrees_of_freedom[:, None]
    return Moments(params.means, params.scales * params.scales * nu / (nu - 2.0))


def draw(params: StudentParams, bars: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return rows (bars, d) and the states (bars,) that they were drawn in; a row's features share one weight."""
    chance = generator(seed)
    states = path(params.start, params.transition, bars, chance)
    half = 0.5 * params.degrees_of_freedom[states]
    weight = np.array([gamma(chance, shape) for shape in half.tolist()]) / half
    away = noise(bars, params.means.shape[1], chance) / np.sqrt(weight)[:, None]
    return params.means[states] + params.scales[states] * away, states
