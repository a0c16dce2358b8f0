"""The cheapest path through the states: dynamic programming, forward by values and back by choices; then its means."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import unowned
from barograph.types import Floats
from barograph_models._jump.states import States

__all__ = ["Descent", "blended", "cheapest_path", "descend", "distances", "reach"]


@kernel
def distances(z: Any, centres: Any, losses: Any) -> None:
    """Fill `losses` (K,) with half the squared distance of `z` (d,) from each of `centres` (K, d)."""
    for k in range(losses.size):
        square = 0.0
        for j in range(z.size):
            away = z[j] - centres[k, j]
            square += away * away
        losses[k] = 0.5 * square


@kernel
def blended(losses: Any, shares: Any, q: Any) -> Any:
    """Return the loss of state q: those of the regimes by its shares."""
    loss = 0.0
    for k in range(losses.size):
        loss += shares[q, k] * losses[k]
    return loss


@kernel
def reach(values: Any, penalties: Any, reached: Any) -> None:
    """Fill `reached` (N,) with min_p values[p] + penalties[p, q], the price of being at q one bar later.

    A state at a time, over all that it can move to: the inner loop is of neighbours in memory, and a vector unit takes
    several at once to the same bits, for a minimum does not care for its order.
    """
    for q in range(reached.size):
        reached[q] = math.inf
    for p in range(values.size):
        value = values[p]
        for q in range(reached.size):
            there = value + penalties[p, q]
            reached[q] = there if there < reached[q] else reached[q]


@kernel
def _lowest(values: Any) -> Any:
    """Return the place of the least value, the first of equals."""
    best = 0
    for q in range(values.size):
        if values[q] < values[best]:
            best = q
    return best


@kernel
def _forward(Z: Any, centres: Any, shares: Any, penalties: Any, values: Any, reached: Any, losses: Any) -> None:
    """Fill `values` (T, N): the least price of a path that ends at each state."""
    for t in range(Z.shape[0]):
        if t == 0:
            reached[:] = 0.0
        else:
            reach(values[t - 1], penalties, reached)
        distances(Z[t], centres, losses)
        for q in range(reached.size):
            values[t, q] = blended(losses, shares, q) + reached[q]


@kernel
def _back(values: Any, penalties: Any, path: Any) -> Any:
    """Fill `path` (T,) with the states of the cheapest path; return whether any of it changed."""
    q = _lowest(values[values.shape[0] - 1])
    changed = False
    for t in range(values.shape[0] - 1, -1, -1):
        if t < values.shape[0] - 1:
            best, least = 0, math.inf
            for p in range(values.shape[1]):
                if values[t, p] + penalties[p, q] < least:
                    best, least = p, values[t, p] + penalties[p, q]
            q = best
        changed = changed or path[t] != q
        path[t] = q
    return changed


@kernel
def _recentre(Z: Any, shares: Any, path: Any, centres: Any, mass: Any) -> Any:
    """Move centres to the means of their rows, by shares; return whether every regime has more than none."""
    centres[:, :] = 0.0
    mass[:] = 0.0
    for t in range(Z.shape[0]):
        for k in range(mass.size):
            share = shares[path[t], k]
            mass[k] += share
            for j in range(Z.shape[1]):
                centres[k, j] += share * Z[t, j]
    alive = True
    for k in range(mass.size):
        alive = alive and mass[k] > 0.0
        for j in range(Z.shape[1]):
            centres[k, j] = centres[k, j] / mass[k] if mass[k] > 0.0 else 0.0
    return alive


@compiled
def _descend(
    Z: Any, centres: Any, shares: Any, penalties: Any, values: Any, reached: Any, losses: Any, mass: Any,
    path: Any, costs: Any, tolerance: float,
) -> int:  # fmt: skip
    """Alternate path and means; return iterations, 0 if a regime died, -1 if it still gained at the end."""
    Z, centres, shares, penalties = unowned(Z), unowned(centres), unowned(shares), unowned(penalties)
    values, reached, losses, mass = unowned(values), unowned(reached), unowned(losses), unowned(mass)
    path, costs = unowned(path), unowned(costs)
    for n in range(costs.size):
        _forward(Z, centres, shares, penalties, values, reached, losses)
        changed = _back(values, penalties, path)
        costs[n] = values[Z.shape[0] - 1, path[Z.shape[0] - 1]]
        if not changed or (n > 0 and costs[n - 1] - costs[n] <= tolerance):
            return n + 1
        if not _recentre(Z, shares, path, centres, mass):
            return 0
    return -1


class Descent(NamedTuple):
    """Where an alternation ended: `centres` (K, d), states `path` (T,), the objective's path `costs`, and how.

    `ended` is the number of iterations, 0 when a regime died, or -1 when it still gained at the end.
    """

    centres: Floats
    path: NDArray[np.int64]
    costs: Floats
    ended: int


def descend(Z: Floats, centres: Floats, states: States, iterations: int, tolerance: float) -> Descent:
    """Minimise sum_t loss_t(s_t) + sum_t penalty(s_{t-1}, s_t) over paths and `centres` in turn, from given centres.

    A path with given centres is found exactly, as are centres with a given path, so that no iteration costs more than
    the one before.
    """
    (N, K), centres = states.shares.shape, centres.copy()
    path, costs = np.full(len(Z), -1, dtype=np.int64), np.zeros(iterations)
    room = (np.empty((len(Z), N)), np.empty(N), np.empty(K), np.empty(K))
    ended = _descend(Z, centres, *states, *room, path, costs, tolerance)
    done = ended if ended > 0 else max(1, int(np.count_nonzero(costs)))
    return Descent(centres, path, costs[:done], ended)


def cheapest_path(Z: Floats, centres: Floats, states: States) -> NDArray[np.int64]:
    """Return the states (T,) of the cheapest path with given centres."""
    if not len(Z):
        return np.empty(0, dtype=np.int64)
    return descend(Z, centres, states, 1, 0.0).path
