"""Inference in a chain of regimes, whatever they emit: forward, backward, EM, smoothing, Viterbi.

Scaled, not logged: each row's densities are divided by the largest of them, so that an outlier underflows nowhere, and
the forward and backward weights are rescaled only when they get small. That takes the logarithm and the division out
of the loop that every next row waits for. (Rabiner 1989; the ascent is monotone by Baum, Petrie, Soules & Weiss 1970.)

Work arrays are made in Python and lent: what compiled code allocates it must count references to, row by row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.ordered import logarithms
from barograph.jit.views import by_address, unowned
from barograph.types import Floats
from barograph_models._chain.emission import Density, Emission, climbed, make_densities
from barograph_models._fit.data import Sample
from barograph_models._fit.restarts import CONVERGED, DIED, UNFINISHED, Ascent

__all__ = ["any_observed", "ascend", "back", "complete", "decode", "expectation", "forward", "lent", "meet",
           "onward", "smooth", "viterbi", "work"]  # fmt: skip

SMALL: Final = 1e-60  # weights below it are rescaled

Seen = Callable[[Floats], NDArray[np.bool_]]
"""Tells which rows of (T, d) say anything."""


def complete(X: Floats) -> NDArray[np.bool_]:
    """Tell which rows of (T, d) have no missing cell."""
    return np.asarray(np.isfinite(X).all(axis=1))


def any_observed(X: Floats) -> NDArray[np.bool_]:
    """Tell which rows of (T, d) have any cell."""
    return np.asarray(np.isfinite(X).any(axis=1))


class Work(NamedTuple):
    """Room for one run: rows `alpha` and `density` (T, K), then what one row needs and what EM counts."""

    alpha: Floats
    density: Floats
    beta: Floats
    ahead: Floats
    total: Floats
    moves: Floats


def work(T: int, K: int) -> Work:
    return Work(np.empty((T, K)), np.empty((T, K)), np.ones(K), np.empty(K), np.empty(K), np.empty((K, K)))


@kernel
def lent(work: Any) -> Work:
    alpha, density, beta, ahead = unowned(work.alpha), unowned(work.density), unowned(work.beta), unowned(work.ahead)
    return Work(alpha, density, beta, ahead, unowned(work.total), unowned(work.moves))


@kernel
def forward(start: Any, transition: Any, density: Any, alpha: Any) -> Any:
    """Fill `alpha` (T, K), P(regime, rows so far) up to a factor a row; return log P(all rows)."""
    T, K = alpha.shape
    whole = 0.0
    for k in range(K):
        alpha[0, k] = start[k] * density[0, k]
        whole += alpha[0, k]
    scale = 0.0
    for t in range(1, T):
        if whole < SMALL:
            scale += log(whole)
            for k in range(K):
                alpha[t - 1, k] /= whole
        whole = onward(transition, density, alpha, t)
    return scale + log(whole)


@kernel
def onward(transition: Any, density: Any, alpha: Any, t: Any) -> Any:
    """Fill row t of `alpha` from the row before, and return its sum."""
    K = alpha.shape[1]
    whole = 0.0
    for k in range(K):
        weight = 0.0
        for i in range(K):
            weight += alpha[t - 1, i] * transition[i, k]
        alpha[t, k] = weight * density[t, k]
        whole += alpha[t, k]
    return whole


@kernel
def back(transition: Any, density: Any, alpha: Any, beta: Any, ahead: Any, t: Any) -> Any:
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
def expectation(emission: Emission) -> Callable[..., Any]:
    gather = emission.gather

    @kernel
    def expect(X: Any, observed: Any, transition: Any, own: Any, work: Any, sums: Any) -> None:
        """Walk back once, adding each row to the sums as it passes: no smoothed path is ever stored."""
        alpha, density, beta, ahead = work.alpha, work.density, work.beta, work.ahead
        total, moves = work.total, work.moves
        T, K = alpha.shape
        total[:] = 0.0
        moves[:] = 0.0
        beta[:] = 1.0
        whole = 0.0
        for k in range(K):
            whole += alpha[T - 1, k]
        scale = 1.0 / whole
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                scale = back(transition, density, alpha, beta, ahead, t)
                for i in range(K):
                    for k in range(K):
                        moves[i, k] += scale * alpha[t, i] * ahead[k]
            if observed[t]:
                for k in range(K):
                    weight = scale * alpha[t, k] * beta[k]
                    total[k] += weight
                    gather(X[t], weight, k, own, sums)

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
    densities, expect = make_densities(emission), expectation(emission)
    clear, update, penalty = emission.clear, emission.update, emission.penalty

    def run(X, observed, params, new_sums, counts, given, least, tolerance, path):  # type: ignore[no-untyped-def]
        X, observed, path = unowned(X), unowned(observed), unowned(path)
        start, transition = unowned(params.start), unowned(params.transition)
        own, work, sums = by_address(params), lent(new_sums), by_address(counts)
        before = 0.0
        for n in range(path.size):
            shift = densities(X, observed, own, work.density)
            path[n] = shift + forward(start, transition, work.density, work.alpha)
            reached = path[n] - penalty(own, given)
            if n > 0 and reached - before <= tolerance:
                return n + 1, CONVERGED
            before = reached
            if n + 1 == path.size:
                break
            clear(sums)
            expect(X, observed, transition, own, work, sums)
            for k in range(start.size):
                if work.total[k] < least:
                    return n + 1, DIED
            _move(start, transition, work)
            update(work.total, sums, own, given)
        return path.size, UNFINISHED

    return compiled(run)


def ascend(emission: Emission, data: Sample, params: Any, iterations: int, tolerance: float, given: Any) -> Ascent:
    """Run EM in the chain from `params`, as `climbed` says."""
    new_sums = work(len(data.Z), len(params.start))
    return climbed(_baum_welch(emission), new_sums, emission, data, params, iterations, tolerance, given)


@kernel
def meet(alpha: Any, beta: Any, t: Any) -> None:
    """Turn row t of `alpha` into P(regime | all rows): it is not needed any more once `beta` stands there."""
    whole = 0.0
    for k in range(beta.size):
        alpha[t, k] *= beta[k]
        whole += alpha[t, k]
    for k in range(beta.size):
        alpha[t, k] = alpha[t, k] / whole if whole > 0.0 else 1.0 / beta.size


@functools.cache
def _smoother(emission: Emission | Density) -> Callable[..., None]:
    densities = make_densities(emission)

    def run(X, observed, params, alpha, density, beta, ahead):  # type: ignore[no-untyped-def]
        X, observed, start, transition = (
            unowned(X),
            unowned(observed),
            unowned(params.start),
            unowned(params.transition),
        )
        alpha, density, beta, ahead = unowned(alpha), unowned(density), unowned(beta), unowned(ahead)
        densities(X, observed, by_address(params), density)
        forward(start, transition, density, alpha)
        for t in range(alpha.shape[0] - 1, -1, -1):
            if t < alpha.shape[0] - 1:
                back(transition, density, alpha, beta, ahead, t)
            meet(alpha, beta, t)

    return compiled(run)


def smooth(emission: Emission | Density, params: Any, X: Floats, seen: Seen = complete) -> Floats:
    """Return P(regime at each row | all rows), (T, K); a row with any NaN is missing, unless `seen` has it."""
    T, K = len(X), len(params.start)
    alpha = np.empty((T, K))
    if T:
        _smoother(emission)(X, seen(X), params, alpha, np.empty((T, K)), np.ones(K), np.empty(K))
    return alpha


@functools.cache
def _decoder(emission: Emission | Density) -> Callable[..., float]:
    log_density = emission.log_density

    def run(X, observed, log_start, log_transition, params, best, came, labels):  # type: ignore[no-untyped-def]
        X, observed, labels, best, came = unowned(X), unowned(observed), unowned(labels), unowned(best), unowned(came)
        log_start, log_transition, own = unowned(log_start), unowned(log_transition), by_address(params)
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
                best[t, k] = value + (log_density(X[t], k, own) if observed[t] else 0.0)
        last = 0
        for k in range(K):
            if best[T - 1, k] > best[T - 1, last]:
                last = k
        labels[T - 1] = last
        for t in range(T - 1, 0, -1):
            labels[t - 1] = came[t, labels[t]]
        return best[T - 1, last]

    return compiled(run)


def viterbi(
    emission: Emission | Density, params: Any, X: Floats, seen: Seen = complete
) -> tuple[NDArray[np.int64], float]:
    """Return the most likely regimes given all rows, (T,), and the log-likelihood of rows and regimes together."""
    T, K = len(X), len(params.start)
    labels = np.zeros(T, dtype=np.int64)
    if not T:
        return labels, 0.0
    chain = (logarithms(params.start), logarithms(params.transition))
    work = (np.empty((T, K)), np.zeros((T, K), dtype=np.int64))
    return labels, float(_decoder(emission)(X, seen(X), *chain, params, *work, labels))


def decode(emission: Emission | Density, params: Any, X: Floats, seen: Seen = complete) -> NDArray[np.int64]:
    """Return the most likely regimes given all rows, (T,)."""
    return viterbi(emission, params, X, seen)[0]
