"""Several assets, each of one of G chains: EM over who belongs where, and the chains of those who do.

An iteration weighs every table's expected counts in every group by the probability that the asset belongs to it, and
then improves each asset's unit: one that was more often in a storm is not for that a wilder asset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled
from barograph.jit.ordered import exponentials, logarithms, total
from barograph.jit.views import by_address, unowned
from barograph.types import Floats
from barograph_models._chain.emission import make_densities
from barograph_models._chain.gaussian import CELLS, GaussianParams, Given
from barograph_models._chain.inference import back, forward
from barograph_models._fit.data import Sample
from barograph_models._fit.restarts import CONVERGED, DIED, UNFINISHED

__all__ = ["Grouped", "belonging", "climb", "medoids", "scored"]

NOBODY: Final = 1e-12  # an asset that belongs to a group with less than this adds nothing to it
ROUNDS: Final = 20


class Grouped(NamedTuple):
    """Where a climb is: the groups' shares (G,), their chains, P(group) of each asset (N, G), the tables in the units
    that were learned, and how it got there."""

    share: Floats
    groups: tuple[GaussianParams, ...]
    membership: Floats
    parts: tuple[Sample, ...]
    path: Floats
    verdict: int


_gather = CELLS.gather
_densities = make_densities(CELLS)


@compiled
def _likelihood(X: Any, observed: Any, params: Any, alpha: Any, density: Any) -> Any:
    X, observed, alpha, density = unowned(X), unowned(observed), unowned(alpha), unowned(density)
    shift = _densities(X, observed, by_address(params), density)
    return shift + forward(unowned(params.start), unowned(params.transition), density, alpha)


@compiled
def _expect(
    X: Any, observed: Any, params: Any, alpha: Any, density: Any, room: Any, sums: Any, counts: Any, weight: Any
) -> None:
    """Add a table's expected counts to those of a group, times `weight`; `alpha` and `density` are already its own."""
    X, observed, alpha, density = unowned(X), unowned(observed), unowned(alpha), unowned(density)
    transition, own, lent = unowned(params.transition), by_address(params), by_address(sums)
    beta, ahead = unowned(room[0]), unowned(room[1])
    begun, held, moves = unowned(counts[0]), unowned(counts[1]), unowned(counts[2])
    T, K = alpha.shape
    beta[:] = 1.0
    whole = 0.0
    for k in range(K):
        whole += alpha[T - 1, k]
    scale = weight / whole
    for t in range(T - 1, -1, -1):
        if t < T - 1:
            scale = weight * back(transition, density, alpha, beta, ahead, t)
            for i in range(K):
                for k in range(K):
                    moves[i, k] += scale * alpha[t, i] * ahead[k]
        for k in range(K):
            here = scale * alpha[t, k] * beta[k]
            if t == 0:
                begun[k] += here
            if observed[t]:
                held[k] += here
                _gather(X[t], here, k, own, lent)


def scored(parts: Sequence[Sample], groups: Sequence[GaussianParams]) -> Floats:
    """Return the log-likelihood of every table under every chain, (N, G), of standardised rows."""
    found = np.empty((len(parts), len(groups)))
    for i, part in enumerate(parts):
        for g, params in enumerate(groups):
            room = np.empty((2, len(part.Z), len(params.start)))
            found[i, g] = _likelihood(part.Z, part.observed, params, room[0], room[1])
    return found


def belonging(share: Floats, scores: Floats) -> tuple[Floats, float]:
    """Return P(group | table) of each asset, (N, G), and the log-likelihood of all; Bayes' rule.

    >>> belonging(np.array([0.5, 0.5]), np.array([[-1.0, -1.0], [0.0, -800.0]]))[0]
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    joint = scores + logarithms(share)
    largest = joint.max(axis=1)
    near = exponentials(joint - largest[:, None])
    whole = total(near, axis=1)
    return near / whole[:, None], float(total(largest + logarithms(whole)))


def climb(
    parts: Sequence[Sample],
    share: Floats,
    groups: Sequence[GaussianParams],
    iterations: int,
    tolerance: float,
    floor: float,
) -> Grouped:
    """Run EM from shares and chains, which are left alone, until an iteration gains at most `tolerance` a row.

    The likelihoods on the path are those of the rows in the assets' own units, and so are what a unit may gain.
    """
    rows, path, parts = sum(part.rows for part in parts), np.empty(iterations), list(parts)
    share, groups = share.copy(), tuple(GaussianParams(*(a.copy() for a in g)) for g in groups)
    for n in range(iterations):
        membership, found = belonging(share, scored(parts, groups))
        path[n] = found - sum(part.log_volume for part in parts)
        verdict = CONVERGED if n and path[n] - path[n - 1] <= tolerance * rows else UNFINISHED
        if verdict == CONVERGED or n + 1 == iterations:
            break
        share = total(membership) / len(parts)
        counted = [
            [_counted(part, g, w) for g, w in zip(groups, of, strict=True)]
            for part, of in zip(parts, membership.tolist(), strict=True)
        ]
        if not all(_improve(g, [of[i] for of in counted], floor) for i, g in enumerate(groups)):
            verdict = DIED
            break
        parts = [_rescaled(part, groups, of) for part, of in zip(parts, counted, strict=True)]
    return Grouped(share, groups, membership, tuple(parts), path[: n + 1], verdict)


class _Counts(NamedTuple):
    """What one asset is expected to have done in one group, times its membership: begun, held (K,), moves (K, K)
    before the chances of each move, and of each cell weight, sum and square, (K, d)."""

    begun: Floats
    held: Floats
    moves: Floats
    weight: Floats
    first: Floats
    second: Floats


def _counted(part: Sample, params: GaussianParams, weight: float) -> _Counts:
    K, sums = len(params.start), CELLS.new_sums(params)
    CELLS.clear(sums)
    chain = (np.zeros(K), np.zeros(K), np.zeros((K, K)))
    if weight > NOBODY:
        room = np.empty((2, len(part.Z), K))
        _likelihood(part.Z, part.observed, params, room[0], room[1])
        _expect(part.Z, part.observed, params, room[0], room[1], np.empty((2, K)), sums, chain, weight)
    # The sums are of deviations from the current means; those of the cells themselves serve every later one.
    m, w = params.means, sums.weight
    return _Counts(*chain, w, sums.first + w * m, sums.second + 2.0 * m * sums.first + w * m * m)


def _improve(params: GaussianParams, counted: Sequence[_Counts], floor: float) -> bool:
    """Set a group's chain to the likeliest of its members; tell whether all its regimes live.

    A group that nobody belongs to stays as it is.
    """
    K, least = len(params.start), CELLS.least(params)
    whole = _Counts(*(total(np.stack(of)) for of in zip(*counted, strict=True)))
    if total(whole.held) < K * least:
        return True
    if whole.held.min() < least:
        return False
    params.start[:] = whole.begun / total(whole.begun)
    moves = whole.moves * params.transition
    left = total(moves, axis=1)[:, None]
    params.transition[:] = np.where(left > 0.0, moves / np.where(left > 0.0, left, 1.0), params.transition)
    m, w = params.means, whole.weight
    sums = CELLS.new_sums(params)
    sums.weight[:], sums.first[:] = w, whole.first - w * m
    sums.second[:] = whole.second - 2.0 * m * whole.first + w * m * m
    CELLS.update(whole.held, sums, params, Given(floor))
    return True


def _rescaled(part: Sample, groups: Sequence[GaussianParams], counted: Sequence[_Counts]) -> Sample:
    """Bring an asset's rows to their likeliest unit, all else as it is: the root of a quadratic a feature.

    With rows times q: the maximum of n log q - (square q^2 - 2 cross q) / 2.
    """
    each = list(zip(groups, counted, strict=True))
    square = total(np.stack([total(of.second / g.covariances) for g, of in each]))
    cross = total(np.stack([total(of.first * g.means / g.covariances) for g, of in each]))
    cells = total(np.stack([total(of.weight) for _, of in each]))
    known = square > 0.0
    rate = (cross + np.sqrt(cross * cross + 4.0 * square * cells)) / np.where(known, 2.0 * square, 1.0)
    rate = np.where(known, rate, 1.0)
    return part._replace(Z=np.ascontiguousarray(part.Z * rate), scale=part.scale / rate)


def medoids(distance: Floats, groups: int) -> NDArray[np.int64]:
    """Return at most `groups` members that all others are near to, by their distances (N, N).

    Begun with the most central one and then the farthest from all chosen, and moved while that helps.

    >>> medoids(np.abs(np.subtract.outer([0.0, 0.1, 0.2, 5.0, 5.1, 5.2], [0.0, 0.1, 0.2, 5.0, 5.1, 5.2])), 2)
    array([1, 4])
    """
    chosen = [int(np.argmin(total(distance)))]
    while len(chosen) < min(groups, len(distance)):
        chosen.append(int(np.argmax(distance[:, chosen].min(axis=1))))
    for _ in range(ROUNDS):
        nearest, before = np.argmin(distance[:, chosen], axis=1), list(chosen)
        for g in range(len(chosen)):
            members = np.flatnonzero(nearest == g)
            if len(members):
                chosen[g] = int(members[np.argmin(total(distance[members][:, members]))])
        if chosen == before:
            break
    return np.array(sorted(chosen))
