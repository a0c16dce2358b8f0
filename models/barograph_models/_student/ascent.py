"""The ascent: expectation and maximisation in a chain of Student-t regimes, by variational Bayes, MAP or EM.

A t is a normal whose precision is multiplied by u ~ Gamma(dof/2, dof/2), so its updates are those of a normal with rows
weighted by E[u] = (dof + n) / (dof + excess), n the features observed and `excess` their expected squared distance
(Peel & McLachlan 2000). Variational Bayes (Beal 2003) puts distributions where EM has points: rows of the transition
matrix are replaced by exp E[log row], log densities by their expectations; the bound on the log evidence never falls.
u is integrated out of both, so the bound is that of the t itself. MAP climbs the log posterior density, EM the log
likelihood: it is MAP under a prior that says nothing. Degrees of freedom are points in all three, under a log-normal
prior, moved by Newton's steps that are taken only where they climb.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.arithmetic import exp, lgamma, log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import unowned
from barograph.types import Floats
from barograph_models._chain.emission import LEAST, LOG_LEAST
from barograph_models._chain.inference import back, forward
from barograph_models._student.emission import log_norm
from barograph_models._student.known import Known
from barograph_models._student.special import digamma, trigamma

__all__ = ["EM", "FIXED", "MAP", "OWN", "SHARED", "VB", "Climb", "climb"]

EM: Final = 0
MAP: Final = 1
VB: Final = 2
FIXED: Final = 0
SHARED: Final = 1
OWN: Final = 2
LEAST_DOF: Final = 2.01
MOST_DOF: Final = 200.0
EVERY: Final = 3  # iterations from one step of the degrees of freedom to the next, which costs as much as one
TINY: Final = 1e-12


class Work(NamedTuple):
    """Room for one ascent: rows (T, K), the expectations the rows are weighed by, and what is counted over them."""

    density: Floats
    alpha: Floats
    gamma: Floats
    excess: Floats
    tails: Floats
    beta: Floats
    ahead: Floats
    moves: Floats
    transition: Floats
    precision: Floats
    log_precision: Floats
    norms: Floats
    dof: Floats
    total: Floats


class Climb(NamedTuple):
    """Where an ascent ended: the posterior, the objective's path, whether it converged, P(regime) (T, K), and more.

    `transition` (K, K), `precision` (K, d) and `dof` (K,) are the points (MAP, EM) or posterior means (VB).
    """

    known: Known
    path: Floats
    converged: bool
    gamma: Floats
    transition: Floats
    precision: Floats
    dof: Floats


@kernel
def _lent(work: Any) -> Any:
    return Work(
        unowned(work.density), unowned(work.alpha), unowned(work.gamma), unowned(work.excess), unowned(work.tails),
        unowned(work.beta), unowned(work.ahead), unowned(work.moves), unowned(work.transition),
        unowned(work.precision), unowned(work.log_precision), unowned(work.norms), unowned(work.dof),
        unowned(work.total),
    )  # fmt: skip


@kernel
def _known(known: Any) -> Any:
    return Known(
        unowned(known.start), unowned(known.moves), unowned(known.means), unowned(known.bars), unowned(known.shape),
        unowned(known.rate), unowned(known.log_dof), unowned(known.dof_precision),
    )  # fmt: skip


@kernel
def _settle_rows(how: Any, known: Any, work: Any) -> None:
    """Fill the transition matrix that rows are weighed by: exp E[log row], or the likeliest row."""
    transition, moves = work.transition, known.moves
    for i in range(moves.shape[0]):
        whole = 0.0
        for k in range(moves.shape[1]):
            whole += moves[i, k]
        for k in range(moves.shape[1]):
            if how == VB:
                transition[i, k] = exp(digamma(moves[i, k]) - digamma(whole))
            elif whole > TINY:
                # A regime that was never left, and of which nothing is known, keeps its row.
                transition[i, k] = moves[i, k] / whole


@kernel
def _settle_scales(how: Any, known: Any, work: Any, floor: Any) -> None:
    """Fill the precisions and log precisions that rows are weighed by: expected, or the likeliest."""
    shape, rate, precision, log_precision = known.shape, known.rate, work.precision, work.log_precision
    for k in range(shape.shape[0]):
        for j in range(shape.shape[1]):
            if how == VB:
                precision[k, j] = shape[k, j] / rate[k, j]
                log_precision[k, j] = digamma(shape[k, j]) - log(rate[k, j])
            else:
                # The mode of mean and squared scale together.
                if shape[k, j] + 1.5 > TINY:
                    precision[k, j] = (shape[k, j] + 1.5) / max(rate[k, j], floor * (shape[k, j] + 1.5))
                log_precision[k, j] = log(precision[k, j])


@kernel
def _settle_norms(work: Any) -> None:
    norms = work.norms
    for k in range(norms.shape[0]):
        for n in range(norms.shape[1]):
            norms[k, n] = log_norm(work.dof[k], n)


@kernel
def _weigh_rows(how: Any, Z: Any, count: Any, known: Any, work: Any) -> Any:
    """Fill density, excess and tails; return the sum of the logarithms by which rows of densities were divided."""
    density, excess, tails, means, bars = work.density, work.excess, work.tails, known.means, known.bars
    T, K = density.shape
    shift = 0.0
    for t in range(T):
        largest = -math.inf
        for k in range(K):
            away, log_scale = 0.0, 0.0
            for j in range(Z.shape[1]):
                if math.isfinite(Z[t, j]):
                    z = Z[t, j] - means[k, j]
                    away += work.precision[k, j] * z * z
                    log_scale += work.log_precision[k, j]
                    if how == VB:
                        away += 1.0 / bars[k, j]
            nu, n = work.dof[k], count[t]
            excess[t, k] = away
            tails[t, k] = log(1.0 + away / nu)
            density[t, k] = work.norms[k, n] + 0.5 * log_scale - 0.5 * (nu + n) * tails[t, k]
            largest = max(largest, density[t, k])
        for k in range(K):
            gap = density[t, k] - largest
            density[t, k] = 1.0 if gap == 0.0 else exp(gap) if gap > LOG_LEAST else LEAST
        shift += largest
    return shift


@kernel
def _smooth_rows(start: Any, work: Any, low: Any, high: Any) -> Any:
    """Fill gamma for the rows of one table and add its moves; return the log probability of its rows."""
    density, alpha, gamma = work.density[low:high], work.alpha[low:high], work.gamma[low:high]
    beta, ahead, moves, transition = work.beta, work.ahead, work.moves, work.transition
    T, K = alpha.shape
    found = forward(start, transition, density, alpha)
    whole = 0.0
    for k in range(K):
        beta[k] = 1.0
        whole += alpha[T - 1, k]
    scale = 1.0 / whole
    for t in range(T - 1, -1, -1):
        if t < T - 1:
            scale = back(transition, density, alpha, beta, ahead, t)
            for i in range(K):
                for k in range(K):
                    moves[i, k] += scale * alpha[t, i] * ahead[k]
        for k in range(K):
            gamma[t, k] = scale * alpha[t, k] * beta[k]
    return found


@kernel
def _smooth_tables(start: Any, ends: Any, work: Any) -> Any:
    """Fill gamma and the expected moves over all tables; return the log probability of all rows."""
    moves, transition = work.moves, work.transition
    moves[:] = 0.0
    found = 0.0
    for s in range(ends.size - 1):
        found += _smooth_rows(start, work, ends[s], ends[s + 1])
    for i in range(moves.shape[0]):
        for k in range(moves.shape[1]):
            moves[i, k] *= transition[i, k]
    return found


@kernel
def _learn_rows(how: Any, prior: Any, ends: Any, known: Any, work: Any) -> None:
    """Add the expected moves to those known before; plain EM learns where tables begin, too."""
    for i in range(prior.moves.shape[0]):
        for k in range(prior.moves.shape[1]):
            known.moves[i, k] = prior.moves[i, k] + work.moves[i, k]
    if how == EM:
        for k in range(known.start.size):
            known.start[k] = 0.0
            for s in range(ends.size - 1):
                known.start[k] += work.gamma[ends[s], k] / (ends.size - 1)


@kernel
def _learn_scales(Z: Any, count: Any, prior: Any, known: Any, work: Any) -> None:
    """Bring means and precisions up to date with the rows, weighted by P(regime) and by the expected u."""
    gamma, excess, means = work.gamma, work.excess, known.means
    for k in range(means.shape[0]):
        nu = work.dof[k]
        for j in range(means.shape[1]):
            m, bars = means[k, j], prior.bars[k, j]
            rows, weights, first, second = 0.0, 0.0, 0.0, 0.0
            for t in range(Z.shape[0]):
                if math.isfinite(Z[t, j]):
                    weight, z = gamma[t, k] * (nu + count[t]) / (nu + excess[t, k]), Z[t, j] - m
                    rows += gamma[t, k]
                    weights += weight
                    first += weight * z
                    second += weight * z * z
            before = prior.means[k, j] - m
            known.bars[k, j] = bars + weights
            move = (bars * before + first) / known.bars[k, j] if known.bars[k, j] > TINY else 0.0
            spread = second + bars * before * before - known.bars[k, j] * move * move
            means[k, j] = m + move
            known.shape[k, j] = prior.shape[k, j] + 0.5 * rows
            known.rate[k, j] = prior.rate[k, j] + 0.5 * max(spread, TINY)


@kernel
def _slope(k: Any, count: Any, work: Any) -> Any:
    """Return regime k's part of the objective, and its two derivatives, in its degrees of freedom."""
    nu, gamma, excess, tails = work.dof[k], work.gamma, work.excess, work.tails
    value, slope, curve = 0.0, 0.0, 0.0
    for t in range(gamma.shape[0]):
        g, n, e = gamma[t, k], count[t], excess[t, k]
        value -= g * 0.5 * (nu + n) * tails[t, k]
        share = e / (nu * (nu + e))
        slope += g * 0.5 * ((nu + n) * share - tails[t, k])
        curve += g * 0.5 * share * (2.0 - (nu + n) * (2.0 * nu + e) / (nu * (nu + e)))
    for n in range(1, work.total.shape[1]):
        rows, half = work.total[k, n], 0.5 * (nu + n)
        value += rows * work.norms[k, n]
        slope += rows * 0.5 * (digamma(half) - digamma(0.5 * nu) - n / nu)
        curve += rows * (0.25 * (trigamma(half) - trigamma(0.5 * nu)) + 0.5 * n / (nu * nu))
    return value, slope, curve


@kernel
def _value(k: Any, nu: Any, count: Any, work: Any) -> Any:
    """Return regime k's part of the objective at other degrees of freedom."""
    gamma, excess = work.gamma, work.excess
    value = 0.0
    for t in range(gamma.shape[0]):
        value -= gamma[t, k] * 0.5 * (nu + count[t]) * log(1.0 + excess[t, k] / nu)
    for n in range(1, work.total.shape[1]):
        value += work.total[k, n] * log_norm(nu, n)
    return value


@kernel
def _count_total(count: Any, work: Any) -> None:
    """Add up each regime's weight by the number of features observed."""
    total, gamma = work.total, work.gamma
    total[:] = 0.0
    for t in range(gamma.shape[0]):
        for k in range(gamma.shape[1]):
            total[k, count[t]] += gamma[t, k]


@kernel
def _learn_dof(first: Any, last: Any, count: Any, prior: Any, known: Any, work: Any, move: Any) -> None:
    """Newton's step for the degrees of freedom that regimes first..last-1 have in common; refused where it descends."""
    nu, centre, firm = work.dof[first], prior.log_dof[first], prior.dof_precision[first]
    at = log(nu)
    value, slope, curve = -0.5 * firm * (at - centre) * (at - centre), 0.0, 0.0
    for k in range(first, last):
        more, a, b = _slope(k, count, work)
        value += more
        slope += a
        curve += b
    # In the logarithm of the degrees of freedom.
    up = nu * slope - firm * (at - centre)
    bend = nu * slope + nu * nu * curve - firm
    for k in range(first, last):
        known.dof_precision[k] = max(-bend, firm)
    if not move:
        return
    reach = -up / bend if bend < 0.0 else math.copysign(0.5, up)
    reach = min(max(reach, -0.7), 0.7)
    for _ in range(4):
        trial = min(max(exp(at + reach), LEAST_DOF), MOST_DOF)
        found = -0.5 * firm * (log(trial) - centre) * (log(trial) - centre)
        for k in range(first, last):
            found += _value(k, trial, count, work)
        if found > value:
            for k in range(first, last):
                work.dof[k] = trial
                known.log_dof[k] = log(trial)
            return
        reach *= 0.25


@kernel
def _learn_dofs(kind: Any, count: Any, prior: Any, known: Any, work: Any, move: Any) -> None:
    if kind == SHARED:
        _learn_dof(0, work.dof.size, count, prior, known, work, move)
    elif kind == OWN:
        for k in range(work.dof.size):
            _learn_dof(k, k + 1, count, prior, known, work, move)


@kernel
def _scale_divergence(k: Any, j: Any, prior: Any, known: Any) -> Any:
    """Kullback-Leibler divergence of a normal-gamma posterior from its prior."""
    a, b, m, bars = known.shape[k, j], known.rate[k, j], known.means[k, j], known.bars[k, j]
    a0, b0, m0, bars0 = prior.shape[k, j], prior.rate[k, j], prior.means[k, j], prior.bars[k, j]
    gamma = (a - a0) * digamma(a) - lgamma(a) + lgamma(a0) + a0 * (log(b) - log(b0)) + a * (b0 - b) / b
    share = bars0 / bars
    return gamma + 0.5 * (share - log(share) - 1.0 + bars0 * a / b * (m - m0) * (m - m0))


@kernel
def _row_divergence(i: Any, prior: Any, known: Any) -> Any:
    """Kullback-Leibler divergence of a row's Dirichlet posterior from its prior."""
    whole, whole0, found = 0.0, 0.0, 0.0
    for k in range(known.moves.shape[1]):
        whole += known.moves[i, k]
        whole0 += prior.moves[i, k]
    for k in range(known.moves.shape[1]):
        n, n0 = known.moves[i, k], prior.moves[i, k]
        found += lgamma(n0) - lgamma(n) + (n - n0) * (digamma(n) - digamma(whole))
    return found + lgamma(whole) - lgamma(whole0)


@kernel
def _price(how: Any, kind: Any, prior: Any, known: Any, work: Any) -> Any:
    """Return what the objective subtracts from the rows' log probability: a divergence, or minus a log density."""
    K, d = known.means.shape
    found = 0.0
    for k in range(K):
        if kind == OWN or (kind == SHARED and k == 0):
            away = log(work.dof[k]) - prior.log_dof[k]
            found += 0.5 * prior.dof_precision[k] * away * away
        if how == VB:
            found += _row_divergence(k, prior, known)
        else:
            for i in range(K):
                if prior.moves[k, i] > 0.0:
                    found -= prior.moves[k, i] * log(work.transition[k, i])
        for j in range(d):
            if how == VB:
                found += _scale_divergence(k, j, prior, known)
            else:
                away, p = known.means[k, j] - prior.means[k, j], work.precision[k, j]
                found -= (prior.shape[k, j] + 1.5) * work.log_precision[k, j]
                found += prior.rate[k, j] * p + 0.5 * prior.bars[k, j] * p * away * away
    return found


@compiled
def _climb(how, kind, Z, count, ends, prior, known, work, floor, tolerance, path):  # type: ignore[no-untyped-def]
    """Climb from the weights in `work.gamma`; return how many entries of the path were filled, and if it converged."""
    Z, count, ends, path = unowned(Z), unowned(count), unowned(ends), unowned(path)
    prior, known, work = _known(prior), _known(known), _lent(work)
    _learn_rows(how, prior, ends, known, work)
    _learn_scales(Z, count, prior, known, work)
    done, last = 0, path.size
    for n in range(path.size):
        _settle_rows(how, known, work)
        _settle_scales(how, known, work, floor)
        _settle_norms(work)
        shift = _weigh_rows(how, Z, count, known, work)
        path[n] = shift + _smooth_tables(known.start, ends, work) - _price(how, kind, prior, known, work)
        last = n + 1
        if n >= EVERY and (kind == FIXED or n % EVERY == 0) and path[n] - path[n - 1] <= tolerance:
            done = 1
            break
        if n + 1 == path.size:
            break
        if kind != FIXED and n % EVERY == EVERY - 1:
            _count_total(count, work)
            _learn_dofs(kind, count, prior, known, work, True)
        _learn_rows(how, prior, ends, known, work)
        _learn_scales(Z, count, prior, known, work)
    _count_total(count, work)
    _learn_dofs(kind, count, prior, known, work, False)
    return last, done


def _work(gamma: Floats, d: int, excess: Floats, moves: Floats, dof: Floats) -> Work:
    T, K = gamma.shape
    rows, square = [np.empty((T, K)) for _ in range(3)], np.full((K, K), 1.0 / K)
    density, alpha, tails = rows
    cells = np.ones((K, d)), np.zeros((K, d))
    norms, total = np.empty((K, d + 1)), np.zeros((K, d + 1))
    return Work(density, alpha, gamma.copy(), excess, tails, np.ones(K), np.empty(K), moves, square, *cells, norms,
                dof.copy(), total)  # fmt: skip


def climb(
    how: int,
    kind: int,
    Z: Floats,
    ends: Any,
    prior: Known,
    gamma: Floats,
    moves: Floats,
    dof: Floats,
    iterations: int,
    tolerance: float,
    floor: float,
) -> Climb:
    """Climb from P(regime at each row) `gamma` (T, K), expected `moves` (K, K) and degrees of freedom `dof` (K,).

    `Z` (T, d) are standardised rows, NaN where missing, of one or several tables; table s has the rows ``ends[s]`` to
    ``ends[s + 1]``. It ends when an iteration gains at most `tolerance`, or unconverged after `iterations`.
    """
    count = np.isfinite(Z).astype(np.int64).cumsum(axis=1)[:, -1].copy()
    # Every row weighs one before anything is known: the excess is what is expected of it.
    excess = np.repeat(count[:, None], gamma.shape[1], axis=1).astype(np.float64)
    work = _work(gamma, Z.shape[1], excess, moves.copy(), dof)
    known = Known(*(a.copy() for a in prior))
    path = np.empty(iterations)
    last, done = _climb(how, kind, Z, count, ends, prior, known, work, floor, tolerance, path)
    shape = known.shape + (0.0 if how == VB else 1.5)
    precision = shape / known.rate if how == VB else work.precision
    transition = known.moves / known.moves.cumsum(axis=1)[:, -1:] if how == VB else work.transition
    return Climb(known, path[:last], bool(done), work.gamma, transition, precision, work.dof)
