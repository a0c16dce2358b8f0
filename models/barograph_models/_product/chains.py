"""Independent chains side by side: moves, filter, smoothing, Viterbi and EM on their product, chain by chain.

A product state is a number in base K, one digit a chain, the first chain's the most significant. A vector over all K^C
of them moves one digit at a time, so a bar costs C K^(C+1) multiplications and no K^C by K^C matrix is ever made: the
exact algorithm of Z. Ghahramani & M. Jordan, *Factorial hidden Markov models*, Machine Learning 29 (1997), appendix B.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError
from barograph.jit.arithmetic import log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.ordered import logarithms, product, total
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.family import Moments
from barograph.types import Belief, Floats
from barograph_models._chain.emission import Emission, climbed, make_densities
from barograph_models._chain.filter import partly_observed, stand, weigh
from barograph_models._chain.inference import SMALL, any_observed
from barograph_models._fit.data import Sample
from barograph_models._fit.restarts import CONVERGED, DIED, UNFINISHED, Ascent

__all__ = ["MOST", "ProductState", "ascend", "check_size", "digits", "forth", "init", "product_step", "show",
           "shown_moments", "shows", "size", "smooth", "viterbi"]  # fmt: skip

MOST: Final = 4096


def check_size(name: str, told: str, states: int) -> None:
    """Raise `ConfigError` for a product of more than `MOST` states; `told` says what it is the product of."""
    if states > MOST:
        raise ConfigError(f"{name}: {told} make {states:,} product states, at most {MOST:,} are filtered; take fewer")


def size(chains: int, states: int) -> int:
    """Return how many product states so many chains of so many states make."""
    found = 1
    for _ in range(chains):
        found *= states
    return found


def digits(chains: int, states: int) -> NDArray[np.int64]:
    """Return each product state's state in every chain, (K^C, C).

    >>> digits(2, 2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    place = np.array([size(chains - 1 - c, states) for c in range(chains)], dtype=np.int64)
    return np.asarray(np.arange(size(chains, states))[:, None] // place % states, dtype=np.int64)


def shows(shown: Floats) -> Floats:
    """Return (R, S): 1 where a product state shows as a regime.

    >>> shows(np.array([0.0, 1.0, 1.0]))
    array([[1., 0., 0.],
           [0., 1., 1.]])
    """
    label = shown.astype(np.int64)
    return np.ascontiguousarray(np.eye(int(label.max()) + 1)[label].T)


def shown_moments(shown: Floats, share: Floats, means: Floats, variances: Floats) -> Moments:
    """Return mean and variance of every feature in every regime (R, d), over the product states that show as it.

    `share` (S,) is that of the time spent in each.
    """
    within = shows(shown) * np.maximum(share, np.finfo(float).tiny)
    within = within / total(within, axis=1)[:, None]
    centre = product(within, means)
    # Where each shows as a regime of its own nothing is mixed, and nothing may cancel.
    if within.shape[0] == within.shape[1]:
        return Moments(centre, product(within, variances))
    return Moments(centre, product(within, variances + means * means) - centre * centre)


class ProductState(NamedTuple):
    """P(product state | bars so far) (S,), room (S,) twice and (K,), the belief (R,), and a count of bars."""

    probs: Floats
    ahead: Floats
    logs: Floats
    column: Floats
    belief: Floats
    seen: int


@kernel
def _begin(start: Any, probs: Any) -> None:
    """Fill `probs` (S,) with the product of the chains' start probabilities (C, K)."""
    C, K = start.shape
    for s in range(probs.size):
        probs[s] = 1.0
        rest = s
        for c in range(C - 1, -1, -1):
            probs[s] *= start[c, rest % K]
            rest //= K


@kernel
def forth(x: Any, moves: Any, c: Any, column: Any) -> None:
    """Move chain c of a vector (S,) one bar on, where it stands."""
    C, K = moves.shape[0], moves.shape[1]
    stride = 1
    for _ in range(c + 1, C):
        stride *= K
    for block in range(0, x.size, stride * K):
        for base in range(block, block + stride):
            for k in range(K):
                column[k] = x[base + k * stride]
            for k in range(K):
                weight = 0.0
                for i in range(K):
                    weight += column[i] * moves[c, i, k]
                x[base + k * stride] = weight


@kernel
def _back(x: Any, moves: Any, c: Any, column: Any) -> None:
    """Bring chain c of a vector (S,) one bar back: the mean over where it goes."""
    C, K = moves.shape[0], moves.shape[1]
    stride = 1
    for _ in range(c + 1, C):
        stride *= K
    for block in range(0, x.size, stride * K):
        for base in range(block, block + stride):
            for k in range(K):
                column[k] = x[base + k * stride]
            for i in range(K):
                weight = 0.0
                for k in range(K):
                    weight += moves[c, i, k] * column[k]
                x[base + i * stride] = weight


# The filter.


@kernel
def init(params: Any) -> ProductState:
    """Begin at the start probabilities: the first bar is not preceded by a move."""
    S, K = params.shown.size, params.start.shape[1]
    R = 0
    for s in range(S):
        R = max(R, int(params.shown[s]) + 1)
    probs = np.zeros(S)
    _begin(params.start, probs)
    return ProductState(probs, np.zeros(S), np.zeros(S), np.zeros(K), np.zeros(R), 0)


@kernel
def show(probs: Any, shown: Any, belief: Any) -> None:
    belief[:] = 0.0
    for s in range(probs.size):
        belief[int(shown[s])] += probs[s]


@functools.cache
def product_step(emission: Emission) -> Callable[..., tuple[ProductState, Belief]]:
    """Return the filter's step; a row without any cell only moves the chains."""
    log_density = emission.log_density

    @kernel
    def step(state: Any, x: Any, params: Any) -> tuple[ProductState, Belief]:
        """Move each chain, weigh the product states by their densities, and add up what shows as one regime."""
        probs, ahead, logs = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
        moves, column, belief = unowned(params.moves), unowned(state.column), unowned(state.belief)
        for s in range(probs.size):
            ahead[s] = probs[s]
        if state.seen > 0:
            for c in range(moves.shape[0]):
                forth(ahead, moves, c, column)
        logpdf = 0.0
        if partly_observed(x):
            own = by_address(params)
            for s in range(logs.size):
                logs[s] = log_density(x, s, own)
            logpdf = weigh(ahead, logs, probs)
        else:
            stand(ahead, probs)
        show(probs, unowned(params.shown), belief)
        after = (state.probs, state.ahead, state.logs, state.column, state.belief, state.seen + 1)
        return ProductState(*after), Belief(frozen(state.belief), logpdf)

    return step


# All rows at once.


class Work(NamedTuple):
    """Room for one run: `alpha` and `density` (T, S), vectors (S,), `left` (C, S), `column` (K,), counts (C, K, K)."""

    alpha: Floats
    density: Floats
    beta: Floats
    right: Floats
    total: Floats
    left: Floats
    column: Floats
    pairs: Floats
    counts: Floats


def _work(T: int, start: Floats) -> Work:
    C, K = start.shape
    S = size(C, K)
    of_states = (np.ones(S), np.empty(S), np.empty(S), np.empty((C, S)))
    return Work(np.empty((T, S)), np.empty((T, S)), *of_states, np.empty(K), np.empty((C, K, K)), np.empty((C, K, K)))


@kernel
def _lent(work: Any) -> Work:
    alpha, density, beta, right = unowned(work.alpha), unowned(work.density), unowned(work.beta), unowned(work.right)
    total, left, column = unowned(work.total), unowned(work.left), unowned(work.column)
    return Work(alpha, density, beta, right, total, left, column, unowned(work.pairs), unowned(work.counts))


@kernel
def _forward(start: Any, moves: Any, work: Any) -> Any:
    """Fill `alpha` (T, S), P(product state, rows so far) up to a factor a row; return log P(all rows)."""
    alpha, density, column = work.alpha, work.density, work.column
    T, S = alpha.shape
    scale = 0.0
    for t in range(T):
        if t == 0:
            _begin(start, alpha[0])
        else:
            for s in range(S):
                alpha[t, s] = alpha[t - 1, s]
            for c in range(moves.shape[0]):
                forth(alpha[t], moves, c, column)
        whole = 0.0
        for s in range(S):
            alpha[t, s] *= density[t, s]
            whole += alpha[t, s]
        if whole < SMALL or t == T - 1:
            scale += log(whole)
            for s in range(S):
                alpha[t, s] /= whole
    return scale


@kernel
def _load(work: Any, t: Any) -> None:
    """Put what row t+1 says, its density times `beta`, into `right`; rescaled where it got small."""
    density, beta, right = work.density, work.beta, work.right
    whole = 0.0
    for s in range(right.size):
        right[s] = density[t + 1, s] * beta[s]
        whole += right[s]
    if whole < SMALL:
        for s in range(right.size):
            right[s] /= whole


@kernel
def _stand_back(work: Any, t: Any) -> Any:
    """Take `right` for the new `beta`; return one over the sum of posterior weights at row t."""
    alpha, beta, right = work.alpha, work.beta, work.right
    norm = 0.0
    for s in range(beta.size):
        beta[s] = right[s]
        norm += alpha[t, s] * beta[s]
    return 1.0 / norm if norm > 0.0 else 0.0


@kernel
def _count(moves: Any, work: Any, t: Any) -> Any:
    """Bring `beta` from row t+1 to t, and add the expected moves of every chain between them to `counts`.

    Of chain c: the chains before it are already back at row t, those after it already on at row t+1.
    """
    alpha, right, left = work.alpha, work.right, work.left
    column, pairs, counts = work.column, work.pairs, work.counts
    C, S = left.shape
    for s in range(S):
        left[C - 1, s] = alpha[t, s]
    for c in range(C - 1, 0, -1):
        for s in range(S):
            left[c - 1, s] = left[c, s]
        forth(left[c - 1], moves, c, column)
    _load(work, t)
    for c in range(C):
        _pair(left[c], right, moves, c, pairs)
        _back(right, moves, c, column)
    scale = _stand_back(work, t)
    for c in range(C):
        for i in range(moves.shape[1]):
            for k in range(moves.shape[1]):
                counts[c, i, k] += scale * pairs[c, i, k]
    return scale


@kernel
def _pair(left: Any, right: Any, moves: Any, c: Any, pairs: Any) -> None:
    C, K = moves.shape[0], moves.shape[1]
    stride = 1
    for _ in range(c + 1, C):
        stride *= K
    for i in range(K):
        for k in range(K):
            found = 0.0
            for block in range(0, left.size, stride * K):
                for base in range(block, block + stride):
                    found += left[base + i * stride] * right[base + k * stride]
            pairs[c, i, k] = found * moves[c, i, k]


@functools.cache
def _expect(emission: Emission) -> Callable[..., Any]:
    gather = emission.gather

    @kernel
    def expect(X: Any, observed: Any, moves: Any, own: Any, work: Any, sums: Any) -> None:
        """Walk back once, adding each row to the sums as it passes."""
        alpha, beta, total, counts = work.alpha, work.beta, work.total, work.counts
        T, S = alpha.shape
        total[:] = 0.0
        counts[:] = 0.0
        beta[:] = 1.0
        scale = 1.0  # the last row of alpha sums to one
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                scale = _count(moves, work, t)
            if observed[t]:
                for s in range(S):
                    weight = scale * alpha[t, s] * beta[s]
                    total[s] += weight
                    gather(X[t], weight, s, own, sums)

    return expect


@kernel
def _move(start: Any, moves: Any, work: Any, own: Any) -> None:
    """Set the chains to the expected counts; `beta` stands at row 0, and a state never left keeps its row."""
    C, K = start.shape
    alpha, beta, counts = work.alpha, work.beta, work.counts
    start[:] = 0.0
    whole = 0.0
    for s in range(beta.size):
        weight, rest = alpha[0, s] * beta[s], s
        whole += weight
        for c in range(C - 1, -1, -1):
            start[c, rest % K] += weight
            rest //= K
    for c in range(C):
        for i in range(K):
            start[c, i] /= whole
            leaving = 0.0
            for k in range(K):
                leaving += counts[c, i, k]
            if leaving > 0.0:
                for k in range(K):
                    moves[c, i, k] = counts[c, i, k] / leaving


@kernel
def _fewest(total: Any, C: Any, K: Any) -> Any:
    """Return the least weight that a state of any chain holds."""
    fewest = math.inf
    stride = 1
    for _ in range(C):
        for k in range(K):
            held = 0.0
            for s in range(total.size):
                if s // stride % K == k:
                    held += total[s]
            fewest = min(fewest, held)
        stride *= K
    return fewest


@functools.cache
def _baum_welch(emission: Emission, move: Callable[..., Any]) -> Callable[..., tuple[int, int]]:
    densities, expect = make_densities(emission), _expect(emission)
    clear, update = emission.clear, emission.update

    def run(X, observed, params, room, counts, given, least, tolerance, path):  # type: ignore[no-untyped-def]
        X, observed, path = unowned(X), unowned(observed), unowned(path)
        start, moves = unowned(params.start), unowned(params.moves)
        own, work, sums = by_address(params), _lent(room), by_address(counts)
        for n in range(path.size):
            shift = densities(X, observed, own, work.density)
            path[n] = shift + _forward(start, moves, work)
            if n > 0 and path[n] - path[n - 1] <= tolerance:
                return n + 1, CONVERGED
            if n + 1 == path.size:
                break
            clear(sums)
            expect(X, observed, moves, own, work, sums)
            if _fewest(work.total, start.shape[0], start.shape[1]) < least:
                return n + 1, DIED
            move(start, moves, work, own)
            update(work.total, sums, own, given)
        return path.size, UNFINISHED

    return compiled(run)


def ascend(
    emission: Emission,
    data: Sample,
    params: Any,
    iterations: int,
    tolerance: float,
    given: Any,
    move: Callable[..., Any] = _move,
) -> Ascent:
    """Run EM from `params`, as `climbed` says; a state of a chain dies where a regime does.

    ``move(start, moves, work, own)`` is the kernel that sets the chains to the expected counts.
    """
    work, run = _work(len(data.Z), params.start), _baum_welch(emission, move)
    return climbed(run, work, emission, data, params, iterations, tolerance, given)


@functools.cache
def _smoother(emission: Emission) -> Callable[..., None]:
    densities = make_densities(emission)

    def run(X, observed, params, room, belief):  # type: ignore[no-untyped-def]
        X, observed, start, moves = unowned(X), unowned(observed), unowned(params.start), unowned(params.moves)
        work, shown, belief = _lent(room), unowned(params.shown), unowned(belief)
        alpha, beta = work.alpha, work.beta
        densities(X, observed, by_address(params), work.density)
        _forward(start, moves, work)
        scale = 1.0
        for t in range(alpha.shape[0] - 1, -1, -1):
            if t < alpha.shape[0] - 1:
                _load(work, t)
                for c in range(moves.shape[0]):
                    _back(work.right, moves, c, work.column)
                scale = _stand_back(work, t)
            for s in range(beta.size):
                alpha[t, s] *= scale * beta[s]
            show(alpha[t], shown, belief[t])

    return compiled(run)


def smooth(emission: Emission, params: Any, X: Floats) -> Floats:
    """Return P(regime at each row | all rows), (T, R)."""
    belief = np.zeros((len(X), int(params.shown.max()) + 1))
    if len(X):
        _smoother(emission)(X, any_observed(X), params, _work(len(X), params.start), belief)
    return belief


@kernel
def _best(best: Any, came: Any, logs: Any, c: Any, column: Any, whence: Any) -> None:
    """Let chain c of the best paths (S,) move one bar on, and carry along in `came` where each of them was."""
    C, K = logs.shape[0], logs.shape[1]
    stride = 1
    for _ in range(c + 1, C):
        stride *= K
    for block in range(0, best.size, stride * K):
        for base in range(block, block + stride):
            for k in range(K):
                column[k], whence[k] = best[base + k * stride], came[base + k * stride]
            for k in range(K):
                likeliest = 0
                for i in range(1, K):
                    if column[i] + logs[c, i, k] > column[likeliest] + logs[c, likeliest, k]:
                        likeliest = i
                best[base + k * stride] = column[likeliest] + logs[c, likeliest, k]
                came[base + k * stride] = whence[likeliest]


@functools.cache
def _decoder(emission: Emission) -> Callable[..., float]:
    log_density = emission.log_density

    def run(X, observed, params, best, logs, column, whence, came, labels):  # type: ignore[no-untyped-def]
        X, observed, best, logs, column = unowned(X), unowned(observed), unowned(best), unowned(logs), unowned(column)
        whence, came, labels, own = unowned(whence), unowned(came), unowned(labels), by_address(params)
        T, S = came.shape
        for t in range(T):
            for s in range(S):
                came[t, s] = s
            if t > 0:
                for c in range(logs.shape[0]):
                    _best(best, came[t], logs, c, column, whence)
            if observed[t]:
                for s in range(S):
                    best[s] += log_density(X[t], s, own)
        last = 0
        for s in range(S):
            if best[s] > best[last]:
                last = s
        labels[T - 1] = last
        for t in range(T - 1, 0, -1):
            labels[t - 1] = came[t, labels[t]]
        return best[last]

    return compiled(run)


def viterbi(emission: Emission, params: Any, X: Floats) -> tuple[NDArray[np.int64], float]:
    """Return the most likely product states given all rows, (T,), and the log-likelihood of both together."""
    labels, (C, K) = np.zeros(len(X), dtype=np.int64), params.start.shape
    if not len(X):
        return labels, 0.0
    begin = logarithms(params.start)[np.arange(C), digits(C, K)]
    best = np.zeros(len(begin))
    for c in range(C):
        best += begin[:, c]
    room = (np.empty(K), np.empty(K, dtype=np.int64), np.empty((len(X), len(best)), dtype=np.int64))
    return labels, float(_decoder(emission)(X, any_observed(X), params, best, logarithms(params.moves), *room, labels))
