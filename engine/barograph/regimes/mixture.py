"""Sums of returns over a horizon, under a chain of regimes: an exact Gaussian mixture; quantiles, also of Student's t.

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
from barograph.jit.arithmetic import erfc, exp, lgamma, log, log1p
from barograph.jit.kernel import kernel, shared
from barograph.jit.ordered import product, total
from barograph.jit.views import frozen, unowned
from barograph.types import Floats

__all__ = ["LARGEST", "blend", "check_horizon", "horizon_mixture", "mixture_cdf", "mixture_expected_shortfall",
           "mixture_quantile", "mixture_value_at_risk"]  # fmt: skip

LARGEST = 100_000
"""The most components a horizon mixture may have: beyond it every bar's quantile would cost milliseconds."""

_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_WIDE = 40.0  # standard deviations; the normal tail beyond is zero in double precision
_FAR = 1e9  # deviations; a Student-t with two degrees of freedom has 1e-18 beyond
_STEPS = 120  # halving a bracket of 80 deviations reaches the last bit in about 60, one of 2e9 in about 90
_LOG_PI = log(math.pi)
_FRACTION = 500  # steps of a continued fraction, which needs about sqrt(max(a, b)) of them
_SLICES = 400  # of a tail that is integrated by Simpson's rule: relative error below 1e-5, at two degrees of freedom


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
    check_horizon(regimes, horizon)
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


def check_horizon(regimes: int, horizon: int) -> None:
    """Raise `PartError` unless the horizon is a positive whole number whose mixture has at most `LARGEST` parts."""
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
def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method.

    DLMF 8.17.22; W. Lentz, *Generating Bessel functions in Mie scattering calculations*, Appl. Opt. 15 (1976).
    """
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / d
    found = d
    for m in range(1, _FRACTION):
        even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        d, c = 1.0 / (1.0 + even * d), 1.0 + even / c
        found *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        d, c = 1.0 / (1.0 + odd * d), 1.0 + odd / c
        found *= d * c
        if abs(d * c - 1.0) < 3e-16:
            break
    return found


@shared
def _student(z: float, nu: float) -> tuple[float, float]:
    """Return P(T <= z) and the density at z of a standard Student-t.

    By the incomplete beta function, DLMF 8.17: P(T <= -|z|) = I_w(nu/2, 1/2) / 2 with w = nu / (nu + z z).
    """
    square = z * z
    log_w = -log1p(square / nu)
    log_beta = lgamma(0.5 * nu) + 0.5 * _LOG_PI - lgamma(0.5 * (nu + 1.0))
    density = exp(0.5 * (nu + 1.0) * log_w - log_beta) / math.sqrt(nu)
    if square == 0.0:
        return 0.5, density
    w, rest = nu / (nu + square), square / (nu + square)
    power = exp(0.5 * nu * log_w + 0.5 * log(rest) - log_beta)
    if w <= (0.5 * nu + 1.0) / (0.5 * nu + 2.5):
        tail = 0.5 * power * _fraction(0.5 * nu, 0.5, w) / (0.5 * nu)
    else:
        tail = 0.5 * (1.0 - power * _fraction(0.5, 0.5 * nu, rest) / 0.5)
    return (tail, density) if z < 0.0 else (1.0 - tail, density)


@shared
def _cdf_and_density(x: float, weights: Any, mean: Any, variance: Any, degrees: Any) -> tuple[float, float]:
    below = 0.0
    density = 0.0
    for m in range(weights.size):
        nu = degrees[m]
        if weights[m] == 0.0:
            continue
        if variance[m] > 0.0 and nu < math.inf:
            scale = math.sqrt(variance[m] * ((nu - 2.0) / nu))
            under, here = _student((x - mean[m]) / scale, nu)
            below += weights[m] * under
            density += weights[m] * here / scale
        elif variance[m] > 0.0:
            deviation = math.sqrt(variance[m])
            z = (x - mean[m]) / deviation
            below += weights[m] * _normal_cdf(z)
            density += weights[m] * _DENSITY * exp(-0.5 * z * z) / deviation
        elif x >= mean[m]:
            below += weights[m]
    return below, density


@kernel
def mixture_cdf(x: float, weights: Any, mean: Any, variance: Any, degrees_of_freedom: Any) -> float:
    """P(R <= x) for the mixture; the four arrays have shape (M,).

    A variance of zero is a point; infinite degrees of freedom are a normal part, others, above 2, a Student-t's of
    that mean and variance.

    >>> one, normal = np.array([1.0]), np.array([np.inf])
    >>> float(round(mixture_cdf(-1.6448536269514722, one, 0.0 * one, one, normal), 12))
    0.05
    """
    return _cdf_and_density(x, frozen(weights), frozen(mean), frozen(variance), frozen(degrees_of_freedom))[0]


@kernel
def mixture_quantile(level: float, weights: Any, mean: Any, variance: Any, degrees_of_freedom: Any) -> float:
    """Return the q with P(R <= q) = `level`, 0 < level < 1, by Newton steps kept inside a shrinking bracket.

    NaN when `level` is outside (0, 1) or a weight is NaN. The steps are the same in every loop, to the last bit.

    >>> one, normal, student = np.array([1.0]), np.array([np.inf]), np.array([4.0])
    >>> float(round(mixture_quantile(0.05, one, 0.0 * one, one, normal), 12))
    -1.644853626951
    >>> float(round(mixture_quantile(0.01, one, 0.0 * one, 2.0 * one, student), 6))
    -3.746947
    """
    return _quantile(level, frozen(weights), frozen(mean), frozen(variance), frozen(degrees_of_freedom))


# Large, and in every rule that reads a quantile: called, with arrays closed to writing, so that it is compiled once.
@shared
def _quantile(level: float, weights: Any, mean: Any, variance: Any, degrees: Any) -> float:
    low, high, x = math.inf, -math.inf, 0.0
    for m in range(weights.size):
        reach = (_WIDE if degrees[m] == math.inf else _FAR) * math.sqrt(variance[m])
        low = min(low, mean[m] - reach)
        high = max(high, mean[m] + reach)
        x += weights[m] * mean[m]
    if not (0.0 < level < 1.0 and low <= x <= high):
        return math.nan
    for _ in range(_STEPS):
        below, density = _cdf_and_density(x, weights, mean, variance, degrees)
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
def mixture_value_at_risk(level: float, weights: Any, mean: Any, variance: Any, degrees_of_freedom: Any) -> float:
    """Return the loss of one unit exceeded with probability `level`: ``1 - exp(q)``, q the log return's quantile.

    The mixture is of log returns, the loss is simple, so it never exceeds 1. `level` is the tail, such as 0.05.

    >>> one, normal = np.array([1.0]), np.array([np.inf])
    >>> float(round(mixture_value_at_risk(0.05, one, 0.0 * one, 0.01**2 * one, normal), 6))
    0.016314
    """
    return 1.0 - exp(mixture_quantile(level, weights, mean, variance, degrees_of_freedom))


@kernel
def _kept_below(q: float, mean: float, scale: float, nu: float) -> float:
    """Return E[exp(R); R <= q] of a Student-t, by Simpson's rule over y in [0, 1), z = z(q) - wide * y / (1 - y)."""
    top, found = (q - mean) / scale, 0.0
    # A tail decays over its distance from the middle, not over a deviation.
    wide = 1.0 + abs(top)
    for n in range(_SLICES):
        y = n / _SLICES
        z = top - wide * y / (1.0 - y)
        worth = exp(mean + scale * z) * _student(z, nu)[1] / ((1.0 - y) * (1.0 - y))
        found += worth * (1.0 if n == 0 else 4.0 if n % 2 == 1 else 2.0)
    return wide * found / (3.0 * _SLICES)


@kernel
def mixture_expected_shortfall(level: float, weights: Any, mean: Any, variance: Any, degrees_of_freedom: Any) -> float:
    """Return the mean loss of one unit in the worst `level` of cases: ``E[1 - exp(R) | R <= q]``.

    With R a mixture of log returns and q its quantile at `level`, the lognormal's partial expectation gives
    ``1 - sum_m w_m exp(mu_m + v_m/2) Phi((q - mu_m - v_m) / sqrt(v_m)) / P(R <= q)`` (McNeil, Frey & Embrechts,
    *Quantitative Risk Management*, 2015, section 2.3, with a lognormal in place of the normal). A Student-t part is
    integrated numerically: it has no such formula.

    >>> one, normal = np.array([1.0]), np.array([np.inf])
    >>> float(round(mixture_expected_shortfall(0.05, one, 0.0 * one, 0.01**2 * one, normal), 6))
    0.020409
    """
    return _shortfall(level, frozen(weights), frozen(mean), frozen(variance), frozen(degrees_of_freedom))


@shared
def _shortfall(level: float, weights: Any, mean: Any, variance: Any, degrees: Any) -> float:
    q = _quantile(level, weights, mean, variance, degrees)
    kept = 0.0
    for m in range(weights.size):
        v, nu = variance[m], degrees[m]
        if v > 0.0 and nu < math.inf:
            kept += weights[m] * _kept_below(q, mean[m], math.sqrt(v * ((nu - 2.0) / nu)), nu)
        elif v > 0.0:
            kept += weights[m] * exp(mean[m] + 0.5 * v) * _normal_cdf((q - mean[m] - v) / math.sqrt(v))
        elif mean[m] <= q:
            kept += weights[m] * exp(mean[m])
    below = _cdf_and_density(q, weights, mean, variance, degrees)[0]
    return 1.0 - kept / below if below > 0.0 else math.nan
