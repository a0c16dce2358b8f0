"""A slow chain over quick ones: the chain that they make together, and what its expected moves say of each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import kernel
from barograph.jit.ordered import total
from barograph.regimes.family import long_run
from barograph.types import Floats
from barograph_models._chain.chance import generator
from barograph_models._chain.drawing import noise, path
from barograph_models._chain.gaussian import gaussian_params
from barograph_models._fit.data import Sample

__all__ = ["HierarchicalParams", "draw", "hierarchical_params", "in_units", "move", "ordered", "standardised"]


class HierarchicalParams(NamedTuple):
    """M macro states of K fine states, S = M K product states (macro m, state k is m K + k), d features.

    `start` (1, S) and `moves` (1, S, S): the one chain that all make; `macro` (M, M) moves the macro state, `fine`
    (M, K, K) the state while it stays, `entry` (M, K) is where a new macro state begins. `means`, `covariances`
    (variances), `whitening` (S, d) and `peak` (S,) as in `gaussian_hmm`; `shown` (S,) is the regime that each shows.
    """

    start: Floats
    moves: Floats
    macro: Floats
    entry: Floats
    fine: Floats
    means: Floats
    covariances: Floats
    whitening: Floats
    peak: Floats
    shown: Floats


def hierarchical_params(
    start: Any, macro: Any, entry: Any, fine: Any, means: Any, variances: Any, shown: Any = None
) -> HierarchicalParams:
    """Make params from what a person would write: `start` (M, K), `means` and `variances` (M, K, d).

    Raises `FitError` naming a product state whose variance is not above zero.

    >>> stay, even = [[0.9, 0.1], [0.1, 0.9]], [[0.5, 0.5]] * 2
    >>> p = hierarchical_params(even, stay, even, [stay, stay], np.zeros((2, 2, 1)), np.ones((2, 2, 1)))
    >>> p.moves[0, 0].round(2)
    array([0.81, 0.09, 0.05, 0.05])
    """
    macro, entry, fine = (np.array(a, dtype=np.float64, order="C") for a in (macro, entry, fine))
    M, K = entry.shape
    flat = [np.array(a, dtype=np.float64).reshape(M * K, -1) for a in (means, variances)]
    single = gaussian_params(np.ravel(start), np.eye(M * K), *flat)
    moves = np.empty((1, M * K, M * K))
    _join(macro, entry, fine, moves)
    label = np.arange(M * K) // K if shown is None else shown
    emits = (single.means, single.covariances, single.whitening, single.peak)
    chains = (single.start[None], moves, macro, entry, fine)
    return HierarchicalParams(*(*chains, *emits, np.array(label, dtype=np.float64)))


@kernel
def _join(macro: Any, entry: Any, fine: Any, moves: Any) -> None:
    """Fill the moves (1, S, S): within a macro state by its own chain, into another by where that begins."""
    M, K = entry.shape
    for m in range(M):
        for n in range(M):
            for i in range(K):
                for k in range(K):
                    inner = fine[m, i, k] if m == n else entry[n, k]
                    moves[0, m * K + i, n * K + k] = macro[m, n] * inner


@kernel
def _share_out(into: Any) -> None:
    """Bring a row of counts to one."""
    whole = 0.0
    for k in range(into.size):
        whole += into[k]
    for k in range(into.size):
        into[k] /= whole


@kernel
def move(start: Any, moves: Any, work: Any, own: Any) -> None:
    """Set the start and the chains to the expected counts, `beta` standing at row 0; what is never left keeps its row.

    A move says of the macro chain where it went, and of either the chain within or the entry where in there: each move
    counts in one of the two, so the likeliest of all are shares.
    """
    alpha, beta, counts = work.alpha, work.beta, work.counts
    for s in range(beta.size):
        start[0, s] = alpha[0, s] * beta[s]
    _share_out(start[0])
    macro, entry, fine = own.macro, own.entry, own.fine
    M, K = entry.shape
    for m in range(M):
        entered = 0.0
        for n in range(M):
            if n != m:
                entered += _between(counts, n, m, K)
        if entered > 0.0:
            _enter(counts, m, entry)
        left = 0.0
        for n in range(M):
            left += _between(counts, m, n, K)
        if left > 0.0:
            for n in range(M):
                macro[m, n] = _between(counts, m, n, K) / left
        for i in range(K):
            _stay(counts, m, i, fine)
    _join(macro, entry, fine, moves)


@kernel
def _between(counts: Any, m: Any, n: Any, K: Any) -> Any:
    """Return the expected moves from macro state m to n."""
    found = 0.0
    for i in range(K):
        for k in range(K):
            found += counts[0, m * K + i, n * K + k]
    return found


@kernel
def _enter(counts: Any, m: Any, entry: Any) -> None:
    M, K = entry.shape
    for k in range(K):
        entry[m, k] = 0.0
        for i in range(M * K):
            if i // K != m:
                entry[m, k] += counts[0, i, m * K + k]
    _share_out(entry[m])


@kernel
def _stay(counts: Any, m: Any, i: Any, fine: Any) -> None:
    K = fine.shape[1]
    whole = 0.0
    for k in range(K):
        whole += counts[0, m * K + i, m * K + k]
    if whole > 0.0:
        for k in range(K):
            fine[m, i, k] = counts[0, m * K + i, m * K + k] / whole


def in_units(data: Sample, params: HierarchicalParams) -> HierarchicalParams:
    """Bring params of standardised data to the data's own units."""
    return _with(params, params.means * data.scale + data.centre, params.covariances * (data.scale * data.scale))


def standardised(data: Sample, params: HierarchicalParams) -> HierarchicalParams:
    """Bring params in the data's own units to standardised data."""
    return _with(params, (params.means - data.centre) / data.scale, params.covariances / (data.scale * data.scale))


def _with(params: HierarchicalParams, means: Floats, variances: Floats) -> HierarchicalParams:
    chains = (params.start, params.macro, params.entry, params.fine)
    return hierarchical_params(*chains, means, variances, params.shown)


def ordered(params: HierarchicalParams) -> HierarchicalParams:
    """Return the same law with macro states, and the states within each, from the calmest to the wildest.

    By the variance of the first feature; of a macro state over the time spent in its states.
    """
    M, K = params.entry.shape
    variance, share = params.covariances[:, 0].reshape(M, K), long_run(params.moves[0]).reshape(M, K)
    within = np.argsort(variance, axis=1, kind="stable")
    whole = total(share * variance, axis=1) / np.maximum(total(share, axis=1), np.finfo(float).tiny)
    across = np.argsort(whole, kind="stable")
    flat = (across[:, None] * K + within[across]).ravel()
    inner = [params.fine[m][within[m]][:, within[m]] for m in across]
    entry = np.take_along_axis(params.entry, within, axis=1)[across]
    chains = (params.start[0, flat].reshape(M, K), params.macro[across][:, across], entry, np.stack(inner))
    return hierarchical_params(*chains, params.means[flat], params.covariances[flat])


def draw(params: HierarchicalParams, bars: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return rows (bars, d) and the product states (bars,) that they were drawn in."""
    chance = generator(seed)
    states = path(params.start[0], params.moves[0], bars, chance)
    away = noise(bars, params.means.shape[1], chance)
    return params.means[states] + away * np.sqrt(params.covariances[states]), states
