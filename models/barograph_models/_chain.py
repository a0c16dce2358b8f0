"""Inference in a chain of regimes with Gaussian emissions: forward, backward, EM, smoothing, Viterbi.

Scaled, not logged: each row's densities are divided by the largest of them, so that an outlier underflows nowhere, and
the forward and backward weights are rescaled only when they get small. That takes the logarithm and the division out
of the loop that every next row waits for. (Rabiner 1989; the ascent is monotone by Baum, Petrie, Soules & Weiss 1970.)

Work arrays are made in Python and lent: what compiled code allocates it must count references to, row by row.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import borrow
from barograph.types import Floats
from barograph_models._data import Sample
from barograph_models._gaussian import DIAGONAL, FULL, Emission, GaussianParams

__all__ = ["CONVERGED", "DIED", "UNFINISHED", "Ascent", "ascend", "densities_of", "emission_of", "smooth", "viterbi"]

CONVERGED: Final = 0
UNFINISHED: Final = 1
DIED: Final = 2

# A row may shrink the weights by no more than LEAST, and they are rescaled below SMALL: the product stays far from the
# smallest double. LEAST matters only where the likelier regime is out of reach to 150 decimals.
LEAST: Final = 1e-150
SMALL: Final = 1e-60
LOG_LEAST: Final = math.log(LEAST)


class Ascent(NamedTuple):
    """One run of EM: where it ended, its log-likelihoods, and CONVERGED, UNFINISHED or DIED."""

    params: Any
    path: Floats
    verdict: int


class Work(NamedTuple):
    """Room for one run: rows `alpha` and `density` (T, K), then sums the size of the parameters."""

    alpha: Floats
    density: Floats
    beta: Floats
    ahead: Floats
    total: Floats
    first: Floats
    second: Floats
    moves: Floats


@kernel
def _forward(start: Any, transition: Any, density: Any, alpha: Any) -> Any:
    """Fill `alpha` (T, K), P(regime, rows so far) up to a factor a row; return log P(all rows)."""
    T, K = alpha.shape
    whole = 0.0
    for k in range(K):
        alpha[0, k] = start[k] * density[0, k]
        whole += alpha[0, k]
    scale = 0.0
    for t in range(1, T):
        if whole < SMALL:
            scale += math.log(whole)
            for k in range(K):
                alpha[t - 1, k] /= whole
        whole = 0.0
        for k in range(K):
            weight = 0.0
            for i in range(K):
                weight += alpha[t - 1, i] * transition[i, k]
            alpha[t, k] = weight * density[t, k]
            whole += alpha[t, k]
    return scale + math.log(whole)


@kernel
def _back(transition: Any, density: Any, alpha: Any, beta: Any, ahead: Any, t: Any) -> Any:
    """Move `beta` (K,) from row t+1 to t, leave what it came from in `ahead` (K,), and return one over their norm."""
    K = beta.size
    whole = 0.0
    for k in range(K):
        ahead[k] = density[t + 1, k] * beta[k]
        whole += ahead[k]
    if whole < SMALL:
        for k in range(K):
            ahead[k] /= whole
    norm = 0.0
    for i in range(K):
        weight = 0.0
        for k in range(K):
            weight += transition[i, k] * ahead[k]
        beta[i] = weight
        norm += alpha[t, i] * weight
    return 1.0 / norm if norm > 0.0 else 0.0


@functools.cache
def densities_of(emission: Emission) -> Callable[..., Any]:
    log_density = emission.log_density

    @kernel
    def densities(X: Any, observed: Any, means: Any, whitening: Any, peak: Any, density: Any) -> Any:
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
                density[t, k] = log_density(X[t], k, means, whitening, peak)
                largest = max(largest, density[t, k])
            for k in range(K):
                gap = density[t, k] - largest
                density[t, k] = 1.0 if gap == 0.0 else math.exp(gap) if gap > LOG_LEAST else LEAST
            shift += largest
        return shift

    return densities


@functools.cache
def _expect(emission: Emission) -> Callable[..., Any]:
    gather = emission.gather

    @kernel
    def expect(X: Any, observed: Any, transition: Any, means: Any, work: Any) -> None:
        """Walk back once, adding each row to the sums as it passes: no smoothed path is ever stored."""
        alpha, density, beta, ahead, total, first, second, moves = work
        T, K = alpha.shape
        total[:] = 0.0
        first[:] = 0.0
        second[:] = 0.0
        moves[:] = 0.0
        beta[:] = 1.0
        whole = 0.0
        for k in range(K):
            whole += alpha[T - 1, k]
        scale = 1.0 / whole
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                scale = _back(transition, density, alpha, beta, ahead, t)
                for i in range(K):
                    for k in range(K):
                        moves[i, k] += scale * alpha[t, i] * ahead[k]
            if observed[t]:
                for k in range(K):
                    weight = scale * alpha[t, k] * beta[k]
                    total[k] += weight
                    gather(X[t], weight, k, means, first, second)

    return expect


@kernel
def _move(start: Any, transition: Any, work: Any) -> None:
    """Set the chain to the expected counts; `beta` stands at row 0, and a regime never left keeps its row."""
    K = start.size
    whole = 0.0
    for k in range(K):
        start[k] = work.alpha[0, k] * work.beta[k]
        whole += start[k]
    for i in range(K):
        start[i] /= whole
        leaving = 0.0
        for k in range(K):
            work.moves[i, k] *= transition[i, k]
            leaving += work.moves[i, k]
        if leaving > 0.0:
            for k in range(K):
                transition[i, k] = work.moves[i, k] / leaving


@functools.cache
def _baum_welch(emission: Emission) -> Callable[..., tuple[int, int]]:
    densities, expect, update = densities_of(emission), _expect(emission), emission.update

    def run(  # type: ignore[no-untyped-def]
        X, observed, start, transition, means, covariances, whitening, peak, work, floor, tolerance, path
    ):
        X, observed, path = borrow(X), borrow(observed), borrow(path)
        start, transition, means = borrow(start), borrow(transition), borrow(means)
        covariances, whitening, peak = borrow(covariances), borrow(whitening), borrow(peak)
        alpha, density, beta, ahead, total, first, second, moves = work
        alpha, density, beta, ahead = borrow(alpha), borrow(density), borrow(beta), borrow(ahead)
        total, first, second, moves = borrow(total), borrow(first), borrow(second), borrow(moves)
        lent = Work(alpha, density, beta, ahead, total, first, second, moves)
        for n in range(path.size):
            shift = densities(X, observed, means, whitening, peak, density)
            path[n] = shift + _forward(start, transition, density, alpha)
            if n > 0 and path[n] - path[n - 1] <= tolerance:
                return n + 1, CONVERGED
            if n + 1 == path.size:
                break
            expect(X, observed, transition, means, lent)
            for k in range(start.size):
                if total[k] < means.shape[1] + 1:
                    return n + 1, DIED
            _move(start, transition, lent)
            for k in range(start.size):
                update(k, total[k], first, second, means, covariances, whitening, peak, floor)
        return path.size, UNFINISHED

    return compiled(run)


def emission_of(params: GaussianParams) -> Emission:
    """Tell the covariance's shape from the parameters."""
    return DIAGONAL if params.covariances.ndim == 2 else FULL


def ascend(data: Sample, params: GaussianParams, iterations: int, tolerance: float, floor: float) -> Ascent:
    """Run EM on standardised data from `params`, which are left alone; the path is in the units of the data given.

    It ends when an iteration gains at most `tolerance`, when a regime holds fewer than d+1 observations, or after
    `iterations`. The last likelihood on the path is that of the parameters returned.
    """
    own = GaussianParams(*(a.copy() for a in params))
    path = np.empty(iterations)
    work = _work(len(data.Z), own)
    count, verdict = _baum_welch(emission_of(own))(data.Z, data.observed, *own, work, floor, tolerance, path)
    return Ascent(own, path[:count] - data.log_volume, verdict)


def _work(T: int, params: GaussianParams) -> Work:
    K = len(params.start)
    rows = (np.empty((T, K)), np.empty((T, K)))
    sums = (np.empty_like(params.means), np.empty_like(params.covariances), np.empty((K, K)))
    return Work(*rows, np.empty(K), np.empty(K), np.empty(K), *sums)


@functools.cache
def _smoother(emission: Emission) -> Callable[..., None]:
    densities = densities_of(emission)

    def run(X, observed, start, transition, means, whitening, peak, alpha, density, beta, ahead):  # type: ignore[no-untyped-def]
        X, observed, start, transition = borrow(X), borrow(observed), borrow(start), borrow(transition)
        means, whitening, peak = borrow(means), borrow(whitening), borrow(peak)
        alpha, density, beta, ahead = borrow(alpha), borrow(density), borrow(beta), borrow(ahead)
        densities(X, observed, means, whitening, peak, density)
        _forward(start, transition, density, alpha)
        for t in range(alpha.shape[0] - 1, -1, -1):
            if t < alpha.shape[0] - 1:
                _back(transition, density, alpha, beta, ahead, t)
            whole = 0.0
            # Row t of alpha is not needed any more once beta stands there.
            for k in range(beta.size):
                alpha[t, k] *= beta[k]
                whole += alpha[t, k]
            for k in range(beta.size):
                alpha[t, k] = alpha[t, k] / whole if whole > 0.0 else 1.0 / beta.size

    return compiled(run)


def smooth(params: GaussianParams, X: Floats) -> Floats:
    """Return P(regime at each row | all rows), (T, K); a row with any NaN is missing."""
    T, K = len(X), len(params.start)
    alpha = np.empty((T, K))
    if T:
        observed = np.isfinite(X).all(axis=1)
        chain = (params.start, params.transition, params.means, params.whitening, params.peak)
        work = (alpha, np.empty((T, K)), np.ones(K), np.empty(K))
        _smoother(emission_of(params))(X, observed, *chain, *work)
    return alpha


@functools.cache
def _decoder(emission: Emission) -> Callable[..., float]:
    log_density = emission.log_density

    def run(X, observed, log_start, log_transition, means, whitening, peak, best, came, labels):  # type: ignore[no-untyped-def]
        X, observed, labels, best, came = borrow(X), borrow(observed), borrow(labels), borrow(best), borrow(came)
        log_start, log_transition = borrow(log_start), borrow(log_transition)
        means, whitening, peak = borrow(means), borrow(whitening), borrow(peak)
        T, K = came.shape
        for t in range(T):
            for k in range(K):
                value = log_start[k]
                if t > 0:
                    came[t, k] = 0
                    for i in range(K):
                        if (
                            best[t - 1, i] + log_transition[i, k]
                            > best[t - 1, came[t, k]] + log_transition[came[t, k], k]
                        ):
                            came[t, k] = i
                    value = best[t - 1, came[t, k]] + log_transition[came[t, k], k]
                best[t, k] = value + (log_density(X[t], k, means, whitening, peak) if observed[t] else 0.0)
        last = 0
        for k in range(K):
            if best[T - 1, k] > best[T - 1, last]:
                last = k
        labels[T - 1] = last
        for t in range(T - 1, 0, -1):
            labels[t - 1] = came[t, labels[t]]
        return best[T - 1, last]

    return compiled(run)


def viterbi(params: GaussianParams, X: Floats) -> tuple[NDArray[np.int64], float]:
    """Return the most likely regimes given all rows, (T,), and the log-likelihood of rows and regimes together."""
    T, K = len(X), len(params.start)
    labels = np.zeros(T, dtype=np.int64)
    if not T:
        return labels, 0.0
    with np.errstate(divide="ignore"):
        chain = (np.log(params.start), np.log(params.transition))
    emission = (params.means, params.whitening, params.peak)
    work = (np.empty((T, K)), np.zeros((T, K), dtype=np.int64))
    observed = np.isfinite(X).all(axis=1)
    return labels, float(_decoder(emission_of(params))(X, observed, *chain, *emission, *work, labels))
