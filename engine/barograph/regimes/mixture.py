"""Sums of returns over a horizon, under a chain of regimes: an exact Gaussian mixture, and its quantiles.

If a bar's log return is Normal(mean[k], variance[k]) in regime k, then the sum over h bars depends on the path of
regimes only through how often each was visited. There are C(h+K-1, K-1) such counts, so the mixture is exact and
small: 11 components for two regimes and ten bars, not 2**10.

The kernels give the same bits in Python and compiled: they use the project's own `erfc` and `exp`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from barograph.errors import PartError
from barograph.jit.arithmetic import erfc, exp
from barograph.jit.kernel import kernel
from barograph.jit.ordered import product, total
from barograph.jit.views import unowned
from barograph.types import Floats

__all__ = ["LARGEST", "blend", "horizon_mixture", "mixture_cdf", "mixture_expected_shortfall", "mixture_quantile",
           "mixture_value_at_risk"]  # fmt: skip

LARGEST = 100_000
"""The most components a horizon mixture may have: beyond it every bar's quantile would cost milliseconds."""

_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_WIDE = 40.0  # standard deviations; the normal tail beyond is zero in double precision
_STEPS = 100  # halving a bracket of 80 deviations reaches the last bit in about 60


def horizon_mixture(transition: Floats, mean: Floats, variance: Floats, horizon: int) -> tuple[Floats, Floats, Floats]:
    """Return the exact mixture of the return summed over the next `horizon` bars, for each current regime.

    `transition` is (K, K), rows from; `mean` and `variance` (K,) are one bar's. The first step already moves by the
    transition matrix: the current bar is not part of the sum. Returns weights (K, M), mean (M,) and variance (M,),
    M = C(horizon+K-1, K-1), such that the sum given regime k now is sum_m weights[k, m] Normal(mean[m], variance[m]).
    Their shapes depend on K and the horizon only. Exact by dynamic programming over (visits per regime, last regime).

    Raises `PartError` when the horizon is no positive whole number, or M would exceed `LARGEST`.

    >>> stay = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> weights, mean, variance = horizon_mixture(stay, np.array([0.1, -0.2]), np.array([1.0, 4.0]), 2)
    >>> mean.round(3), variance.round(3)
    (array([ 0.2, -0.1, -0.4]), array([2., 5., 8.]))
    >>> weights.round(3)
    array([[0.81, 0.11, 0.08],
           [0.18, 0.18, 0.64]])
    """
    regimes = mean.size
    _check(regimes, horizon)
    # A row of visits is one number in base horizon+1, so the next bar in regime j adds radix[j].
    radix = (horizon + 1) ** np.arange(regimes, dtype=np.int64)
    codes = np.zeros(1, dtype=np.int64)
    # mass[k, c, i]: probability, from regime k now, of visits c with the last bar in regime i.
    mass = np.eye(regimes)[:, None, :]
    for _ in range(horizon):
        later = np.unique(codes[:, None] + radix)
        moved = product(mass, transition)
        mass = np.zeros((regimes, later.size, regimes))
        for j in range(regimes):
            mass[:, np.searchsorted(later, codes + radix[j]), j] = moved[:, :, j]
        codes = later
    visits = (codes[:, None] // radix) % (horizon + 1)
    return total(mass, axis=2), product(visits, mean), product(visits, variance)


def _check(regimes: int, horizon: int) -> None:
    if not isinstance(horizon, int | np.integer) or horizon < 1:
        raise PartError(f"horizon = {horizon!r}: a whole number of bars, at least 1, is wanted")
    components = math.comb(horizon + regimes - 1, regimes - 1)
    if components > LARGEST or (horizon + 1) ** regimes >= 2**62:
        raise PartError(
            f"horizon = {horizon} with {regimes} regimes makes {components} mixture components, more than {LARGEST}; "
            "take a shorter horizon or fewer regimes"
        )


@kernel
def blend(probs: Any, weights: Any, out: Any) -> None:
    """Write the mixture weights for a belief into `out` (M,): ``probs`` (K,) times ``weights`` (K, M).

    >>> out = np.zeros(2)
    >>> blend(np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]]), out)
    >>> out.round(2)
    array([0.55, 0.45])
    """
    probs, weights, out = unowned(probs), unowned(weights), unowned(out)
    for m in range(out.size):
        total = 0.0
        for k in range(probs.size):
            total += probs[k] * weights[k, m]
        out[m] = total


@kernel
def _normal_cdf(z: float) -> float:
    return 0.5 * erfc(-z * _ROOT_HALF)


@kernel
def _cdf_and_density(x: float, weights: Any, mean: Any, variance: Any) -> tuple[float, float]:
    below = 0.0
    density = 0.0
    for m in range(weights.size):
        if variance[m] > 0.0:
            deviation = math.sqrt(variance[m])
            z = (x - mean[m]) / deviation
            below += weights[m] * _normal_cdf(z)
            density += weights[m] * _DENSITY * exp(-0.5 * z * z) / deviation
        elif x >= mean[m]:
            below += weights[m]
    return below, density


@kernel
def mixture_cdf(x: float, weights: Any, mean: Any, variance: Any) -> float:
    """P(R <= x) for the mixture; the three arrays have shape (M,), a variance of zero is a point.

    >>> one = np.array([1.0])
    >>> float(round(mixture_cdf(-1.6448536269514722, one, 0.0 * one, one), 12))
    0.05
    """
    return _cdf_and_density(x, unowned(weights), unowned(mean), unowned(variance))[0]


@kernel
def mixture_quantile(level: float, weights: Any, mean: Any, variance: Any) -> float:
    """Return the q with P(R <= q) = `level`, 0 < level < 1, by Newton steps kept inside a shrinking bracket.

    NaN when `level` is outside (0, 1) or a weight is NaN. The steps are the same in every loop, to the last bit.

    >>> one = np.array([1.0])
    >>> float(round(mixture_quantile(0.05, one, 0.0 * one, one), 12))
    -1.644853626951
    """
    weights, mean, variance = unowned(weights), unowned(mean), unowned(variance)
    low, high, x = math.inf, -math.inf, 0.0
    for m in range(weights.size):
        reach = _WIDE * math.sqrt(variance[m])
        low = min(low, mean[m] - reach)
        high = max(high, mean[m] + reach)
        x += weights[m] * mean[m]
    if not (0.0 < level < 1.0 and low <= x <= high):
        return math.nan
    for _ in range(_STEPS):
        below, density = _cdf_and_density(x, weights, mean, variance)
        if below > level:
            high = x
        else:
            low = x
        # A tail where the density vanishes sends Newton out of the bracket: halve instead.
        step = x - (below - level) / density if density > 0.0 else low
        if not low < step < high:
            step = 0.5 * (low + high)
        if abs(step - x) <= 1e-16 * abs(x) or step in (low, high):
            break
        x = step
    return x


@kernel
def mixture_value_at_risk(level: float, weights: Any, mean: Any, variance: Any) -> float:
    """Return the loss of one unit exceeded with probability `level`: ``1 - exp(q)``, q the log return's quantile.

    The mixture is of log returns, the loss is simple, so it never exceeds 1. `level` is the tail, such as 0.05.

    >>> float(round(mixture_value_at_risk(0.05, np.array([1.0]), np.array([0.0]), np.array([0.01**2])), 6))
    0.016314
    """
    return 1.0 - exp(mixture_quantile(level, weights, mean, variance))


@kernel
def mixture_expected_shortfall(level: float, weights: Any, mean: Any, variance: Any) -> float:
    """Return the mean loss of one unit in the worst `level` of cases: ``E[1 - exp(R) | R <= q]``.

    With R a mixture of log returns and q its quantile at `level`, the lognormal's partial expectation gives
    ``1 - sum_m w_m exp(mu_m + v_m/2) Phi((q - mu_m - v_m) / sqrt(v_m)) / P(R <= q)`` (McNeil, Frey & Embrechts,
    *Quantitative Risk Management*, 2015, section 2.3, with a lognormal in place of the normal).

    >>> float(round(mixture_expected_shortfall(0.05, np.array([1.0]), np.array([0.0]), np.array([0.01**2])), 6))
    0.020409
    """
    weights, mean, variance = unowned(weights), unowned(mean), unowned(variance)
    q = mixture_quantile(level, weights, mean, variance)
    kept = 0.0
    for m in range(weights.size):
        v = variance[m]
        if v > 0.0:
            kept += weights[m] * exp(mean[m] + 0.5 * v) * _normal_cdf((q - mean[m] - v) / math.sqrt(v))
        elif mean[m] <= q:
            kept += weights[m] * exp(mean[m])
    below = _cdf_and_density(q, weights, mean, variance)[0]
    return 1.0 - kept / below if below > 0.0 else math.nan
