"""A chain whose moves depend on covariates: the same passes over all rows, with a matrix of its own at every row.

From regime i the chain goes to j with probability proportional to exp(logits[i, j] . (1, z)), where z are the
covariates of the row it *leaves*, which are known there; staying is the measure of the others, logits[i, i] = 0. A
covariate that is missing is what it last was, and before it was ever seen what it is on the mean.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import by_address, unowned
from barograph.types import Floats
from barograph_models._chain.ahead import summed
from barograph_models._chain.emission import Emission, make_densities
from barograph_models._chain.inference import SMALL, back, meet, onward
from barograph_models._fit.restarts import CONVERGED, DIED, UNFINISHED

__all__ = [
    "DrivenWork",
    "climb",
    "fill_moves",
    "followed",
    "foresee",
    "log_densities",
    "move",
    "moves_at",
    "predict",
    "regress",
    "smoother",
    "viterbi",
    "work",
]

NEWTON: Final = 4  # steps an iteration; EM needs no more than a rise, and later iterations begin near the top
HALVINGS: Final = 12
ROUNDS: Final = 5  # of NEWTON steps where moves are known: then nothing comes after
FARTHEST: Final = 30.0
"""A logit's largest size: the chance of 1e-13 that it stands for is as good as none."""
FLAT: Final = 1e-9  # of the intercepts' penalty: a regime that is never left has no likeliest logit


class DrivenWork(NamedTuple):
    """Room for one run: rows (T, K), moves (T, K, K) and how often they were made, and what Newton's method needs."""

    alpha: Floats
    density: Floats
    beta: Floats
    ahead: Floats
    total: Floats
    moves: Floats
    made: Floats
    slope: Floats
    curve: Floats
    step: Floats
    chance: Floats


def work(T: int, K: int, q: int) -> DrivenWork:
    """Return the room for T rows, K regimes and q numbers a logit."""
    size = max((K - 1) * q, 1)
    rows = (np.empty((T, K)), np.empty((T, K)), np.ones(K), np.empty(K), np.empty(K))
    newton = (np.empty(size), np.empty((size, size)), np.empty(size), np.empty(K))
    return DrivenWork(*rows, np.empty((T, K, K)), np.empty((T, K, K)), *newton)


@kernel
def _lent(room: Any) -> DrivenWork:
    return DrivenWork(
        unowned(room.alpha),
        unowned(room.density),
        unowned(room.beta),
        unowned(room.ahead),
        unowned(room.total),
        unowned(room.moves),
        unowned(room.made),
        unowned(room.slope),
        unowned(room.curve),
        unowned(room.step),
        unowned(room.chance),
    )


@kernel
def move(logits: Any, z: Any, i: Any, out: Any) -> None:
    """Fill `out` (K,) with the chances of the moves from regime i, given the covariates z (p,)."""
    K = out.size
    largest = 0.0
    for j in range(K):
        value = logits[i, j, 0]
        for c in range(z.size):
            value += logits[i, j, 1 + c] * z[c]
        out[j] = max(-FARTHEST, min(FARTHEST, value))
        largest = max(largest, out[j])
    whole = 0.0
    for j in range(K):
        out[j] = exp(out[j] - largest)
        whole += out[j]
    for j in range(K):
        out[j] /= whole


@kernel
def predict(logits: Any, z: Any, probs: Any, chance: Any, ahead: Any) -> None:
    """Fill `ahead` (K,) with where a chain moves that is believed to be at `probs`, given z; `chance` (K,) is room."""
    for k in range(ahead.size):
        ahead[k] = 0.0
    for i in range(probs.size):
        move(logits, z, i, chance)
        for k in range(ahead.size):
            ahead[k] += probs[i] * chance[k]


@kernel
def foresee(logits: Any, z: Any, probs: Any, means: Any, variances: Any, horizon: Any, out: Any) -> None:
    """Write the mixture of the summed return by its last bar's regime, were the covariates to stay where they are.

    Exact one bar ahead; beyond it each part has the exact mean and variance of the sum on its way there, as a normal.
    """
    K = probs.size
    moves = np.zeros((K, K))
    for i in range(K):
        move(logits, z, i, moves[i])
    summed(probs, moves, means, variances, horizon, out)


@kernel
def fill_moves(logits: Any, drives: Any, moves: Any) -> None:
    """Fill `moves` (T, K, K) with the matrices by which each row is reached from the last; the first is unused."""
    for t in range(moves.shape[0]):
        for i in range(moves.shape[1]):
            move(logits, drives[t], i, moves[t, i])


@kernel
def _forward(start: Any, moves: Any, density: Any, alpha: Any) -> Any:
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
        whole = onward(moves[t], density, alpha, t)
    return scale + log(whole)


@functools.cache
def _expect(emission: Emission) -> Callable[..., Any]:
    gather = emission.gather

    @kernel
    def expect(X: Any, observed: Any, own: Any, room: Any, sums: Any) -> None:
        """Walk back once: add each row to the sums, and leave the expected moves to each row in `made`."""
        alpha, density, beta, ahead = room.alpha, room.density, room.beta, room.ahead
        total, moves, made = room.total, room.moves, room.made
        T, K = alpha.shape
        total[:] = 0.0
        beta[:] = 1.0
        whole = 0.0
        for k in range(K):
            whole += alpha[T - 1, k]
        scale = 1.0 / whole
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                scale = back(moves[t + 1], density, alpha, beta, ahead, t)
                for i in range(K):
                    for k in range(K):
                        made[t + 1, i, k] = scale * alpha[t, i] * ahead[k] * moves[t + 1, i, k]
            if observed[t]:
                for k in range(K):
                    weight = scale * alpha[t, k] * beta[k]
                    total[k] += weight
                    gather(X[t], weight, k, own, sums)

    return expect


# The moves' own likelihood: a multinomial regression of them on the covariates, one for each regime that is left.


@kernel
def _worth(logits: Any, i: Any, drives: Any, made: Any, ridge: Any, chance: Any) -> Any:
    """Return the expected log-likelihood of the moves from regime i, less the penalty of their logits."""
    T, K = made.shape[0], made.shape[1]
    found = 0.0
    for t in range(1, T):
        move(logits, drives[t], i, chance)
        for j in range(K):
            if made[t, i, j] > 0.0:
                found += made[t, i, j] * log(chance[j])
    for j in range(K):
        for c in range(logits.shape[2]):
            found -= 0.5 * (FLAT if c == 0 else ridge) * logits[i, j, c] * logits[i, j, c]
    return found


@kernel
def _differentiate(logits: Any, i: Any, drives: Any, ridge: Any, room: Any) -> None:
    """Fill the slope and the negative curvature of `_worth` in the logits of all regimes but i."""
    made, slope, curve, chance = room.made, room.slope, room.curve, room.chance
    T, K, q = made.shape[0], made.shape[1], logits.shape[2]
    slope[:] = 0.0
    curve[:] = 0.0
    for t in range(1, T):
        move(logits, drives[t], i, chance)
        left = 0.0
        for j in range(K):
            left += made[t, i, j]
        for j in range(K):
            if j == i:
                continue
            row = (j if j < i else j - 1) * q
            for a in range(q):
                za = 1.0 if a == 0 else drives[t, a - 1]
                slope[row + a] += (made[t, i, j] - left * chance[j]) * za
                for m in range(K):
                    if m == i:
                        continue
                    column = (m if m < i else m - 1) * q
                    both = left * chance[j] * ((1.0 if m == j else 0.0) - chance[m]) * za
                    for b in range(q):
                        curve[row + a, column + b] += both * (1.0 if b == 0 else drives[t, b - 1])
    for j in range(K):
        if j != i:
            row = (j if j < i else j - 1) * q
            for a in range(q):
                price = FLAT if a == 0 else ridge
                slope[row + a] -= price * logits[i, j, a]
                # A hair more than the penalty, for moves that are never made.
                curve[row + a, row + a] += price + 1e-9


@kernel
def _solve(curve: Any, slope: Any, step: Any) -> Any:
    """Solve curve . step = slope by Cholesky's factor, in place; tell whether there is one."""
    n = slope.size
    for i in range(n):
        for j in range(i + 1):
            rest = curve[i, j]
            for m in range(j):
                rest -= curve[i, m] * curve[j, m]
            if i > j:
                curve[i, j] = rest / curve[j, j]
            elif rest > 0.0:
                curve[i, i] = math.sqrt(rest)
            else:
                return False
    for i in range(n):
        rest = slope[i]
        for m in range(i):
            rest -= curve[i, m] * step[m]
        step[i] = rest / curve[i, i]
    for i in range(n - 1, -1, -1):
        rest = step[i]
        for m in range(i + 1, n):
            rest -= curve[m, i] * step[m]
        step[i] = rest / curve[i, i]
    return True


@kernel
def _shift(logits: Any, i: Any, step: Any, by: Any) -> None:
    q = logits.shape[2]
    for j in range(logits.shape[1]):
        if j != i:
            for a in range(q):
                logits[i, j, a] += by * step[(j if j < i else j - 1) * q + a]


@kernel
def _regress(logits: Any, i: Any, drives: Any, ridge: Any, room: Any) -> None:
    """Raise `_worth` by Newton's method; a step that does not is halved until it does, or given up."""
    worth = _worth(logits, i, drives, room.made, ridge, room.chance)
    for _ in range(NEWTON):
        _differentiate(logits, i, drives, ridge, room)
        if not _solve(room.curve, room.slope, room.step):
            return
        by, risen = 1.0, False
        for _ in range(HALVINGS):
            _shift(logits, i, room.step, by)
            reached = _worth(logits, i, drives, room.made, ridge, room.chance)
            if reached > worth:
                risen = True
                break
            _shift(logits, i, room.step, -by)
            by *= 0.5
        if not risen:
            return
        gained = reached - worth
        worth = reached
        if gained < 1e-9:
            return


def regress(logits: Floats, drives: Floats, ridge: float, room: DrivenWork) -> None:
    """Bring the logits to the likeliest of the moves that ``room.made`` holds, in their place."""
    _regressed(logits, drives, ridge, room)


@compiled
def _regressed(logits: Any, drives: Any, ridge: Any, room: Any) -> None:
    lent = _lent(room)
    for i in range(logits.shape[0]):
        for _ in range(ROUNDS):
            _regress(logits, i, drives, ridge, lent)


@kernel
def _price(logits: Any, ridge: Any) -> Any:
    found = 0.0
    for i in range(logits.shape[0]):
        for j in range(logits.shape[1]):
            for a in range(logits.shape[2]):
                found += 0.5 * (FLAT if a == 0 else ridge) * logits[i, j, a] * logits[i, j, a]
    return found


@functools.cache
def climb(emission: Emission) -> Callable[..., tuple[int, int]]:
    """Return the door of EM; it leaves the log-likelihoods in `path`, and returns how many they are and a verdict."""
    densities, expect = make_densities(emission), _expect(emission)
    clear, update, penalty = emission.clear, emission.update, emission.penalty

    def run(  # type: ignore[no-untyped-def]
        X, observed, drives, params, room, counts, given, ridge, least, tolerance, path
    ):
        X, observed, drives, path = unowned(X), unowned(observed), unowned(drives), unowned(path)
        start, logits = unowned(params.start), unowned(params.logits)
        own, lent, sums = by_address(params), _lent(room), by_address(counts)
        before = 0.0
        for n in range(path.size):
            fill_moves(logits, drives, lent.moves)
            shift = densities(X, observed, own, lent.density)
            path[n] = shift + _forward(start, lent.moves, lent.density, lent.alpha)
            reached = path[n] - penalty(own, given) - _price(logits, ridge)
            if n > 0 and reached - before <= tolerance:
                return n + 1, CONVERGED
            before = reached
            if n + 1 == path.size:
                break
            clear(sums)
            expect(X, observed, own, lent, sums)
            for k in range(start.size):
                if lent.total[k] < least:
                    return n + 1, DIED
            _begin(start, lent)
            for i in range(start.size):
                _regress(logits, i, drives, ridge, lent)
            update(lent.total, sums, own, given)
        return path.size, UNFINISHED

    return compiled(run)


@kernel
def _begin(start: Any, room: Any) -> None:
    """Set the start to what is expected of row 0, where `beta` stands."""
    whole = 0.0
    for k in range(start.size):
        start[k] = room.alpha[0, k] * room.beta[k]
        whole += start[k]
    for k in range(start.size):
        start[k] /= whole


@functools.cache
def smoother(emission: Emission) -> Callable[..., None]:
    """Return the door that leaves P(regime | all rows) in `alpha` (T, K)."""
    densities = make_densities(emission)

    def run(X, observed, params, moves, alpha, density, beta, ahead):  # type: ignore[no-untyped-def]
        X, observed, start, moves = unowned(X), unowned(observed), unowned(params.start), unowned(moves)
        alpha, density, beta, ahead = unowned(alpha), unowned(density), unowned(beta), unowned(ahead)
        densities(X, observed, by_address(params), density)
        _forward(start, moves, density, alpha)
        for t in range(alpha.shape[0] - 1, -1, -1):
            if t < alpha.shape[0] - 1:
                back(moves[t + 1], density, alpha, beta, ahead, t)
            meet(alpha, beta, t)

    return compiled(run)


@functools.cache
def log_densities(emission: Emission) -> Callable[..., None]:
    """Return the door that fills the log densities (T, K) of the rows observed."""
    log_density = emission.log_density

    def run(X, observed, params, each):  # type: ignore[no-untyped-def]
        X, observed, each, own = unowned(X), unowned(observed), unowned(each), by_address(params)
        for t in range(each.shape[0]):
            if observed[t]:
                for k in range(each.shape[1]):
                    each[t, k] = log_density(X[t], k, own)

    return compiled(run)


def viterbi(start: Floats, moves: Floats, each: Floats) -> tuple[NDArray[np.int64], float]:
    """Return the most likely regimes (T,) and their log-likelihood; all are logs: (K,), (T, K, K), densities (T, K)."""
    labels = np.zeros(len(each), dtype=np.int64)
    return (labels, float(_best(start, moves, each, labels))) if len(each) else (labels, 0.0)


@compiled
def _best(start: Any, moves: Any, each: Any, labels: Any) -> Any:
    T, K = each.shape
    best, came = np.empty((T, K)), np.zeros((T, K), dtype=np.int64)
    for k in range(K):
        best[0, k] = start[k] + each[0, k]
    for t in range(1, T):
        for k in range(K):
            for i in range(1, K):
                if best[t - 1, i] + moves[t, i, k] > best[t - 1, came[t, k]] + moves[t, came[t, k], k]:
                    came[t, k] = i
            best[t, k] = best[t - 1, came[t, k]] + moves[t, came[t, k], k] + each[t, k]
    last = 0
    for k in range(1, K):
        if best[T - 1, k] > best[T - 1, last]:
            last = k
    labels[T - 1] = last
    for t in range(T - 1, 0, -1):
        labels[t - 1] = came[t, labels[t]]
    return best[T - 1, last]


def moves_at(logits: Floats, z: Floats) -> Floats:
    """Return the matrix (K, K) by which a row of these covariates (p,) is left."""
    moves = np.empty((1, *logits.shape[:2]))
    fill_moves(logits, np.ascontiguousarray(z)[None, :], moves)
    return np.asarray(moves[0])


def followed(covariates: Floats, usual: Floats) -> Floats:
    """Return what each row is reached by, (T, p): the covariates of the row before, missing ones as they last were.

    >>> followed(np.array([[2.0], [np.nan], [3.0]]), np.array([7.0])).ravel()
    array([7., 2., 2.])
    """
    known = np.vstack([usual, covariates])[:-1] if len(covariates) else covariates
    rows = np.where(np.isfinite(known), np.arange(len(known))[:, None], 0)
    return np.ascontiguousarray(np.take_along_axis(known, np.maximum.accumulate(rows, axis=0), axis=0))
