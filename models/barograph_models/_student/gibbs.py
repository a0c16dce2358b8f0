"""Draws of all parameters from their posterior: Gibbs sweeps that begin at the variational answer.

The factors of variational Bayes are too narrow: they hold the regimes of the rows fixed at their expectations. Here the
regimes are drawn too, forward-filtered and backward-sampled with u integrated out (Carter & Kohn 1994), then u, rows of
the transition matrix, means and precisions, each from its exact conditional; degrees of freedom by a Metropolis step.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import unowned
from barograph.types import Floats
from barograph_models._chain.chance import gamma, generator, normal, uniform
from barograph_models._student.ascent import FIXED, LEAST_DOF, MOST_DOF, OWN, Climb
from barograph_models._student.data import Cells
from barograph_models._student.emission import log_norm
from barograph_models._student.known import Known

__all__ = ["Draws", "draws"]

LEAST: Final = 1e-12


class Draws(NamedTuple):
    """M draws in robust units: `transition` (M, K, K), `means` and `precision` (M, K, d), `dof` (M, K)."""

    transition: Floats
    means: Floats
    precision: Floats
    dof: Floats


class Room(NamedTuple):
    """Where the chain stands, and room for a sweep."""

    transition: Floats
    means: Floats
    precision: Floats
    dof: Floats
    alpha: Floats
    logs: Floats
    excess: Floats
    mixing: Floats
    moves: Floats
    states: Any


@kernel
def _weigh(Z: Any, count: Any, room: Any) -> None:
    """Fill the excess and the log density of every row in every regime."""
    means, precision, dof, excess, logs = room.means, room.precision, room.dof, room.excess, room.logs
    for k in range(dof.size):
        half = 0.0
        for t in range(Z.shape[0]):
            away, half = 0.0, 0.0
            for j in range(Z.shape[1]):
                if math.isfinite(Z[t, j]):
                    z = Z[t, j] - means[k, j]
                    away += precision[k, j] * z * z
                    half += 1.0
            excess[t, k] = away
            logs[t, k] = -0.5 * (dof[k] + half) * log(1.0 + away / dof[k])
    for k in range(dof.size):
        for n in range(1, Z.shape[1] + 1):
            norm = log_norm(dof[k], n)
            for t in range(Z.shape[0]):
                if count[t] == n:
                    logs[t, k] += norm
        for j in range(Z.shape[1]):
            volume = 0.5 * log(precision[k, j])
            for t in range(Z.shape[0]):
                if math.isfinite(Z[t, j]):
                    logs[t, k] += volume


@kernel
def _filter(start: Any, ends: Any, room: Any) -> None:
    """Fill alpha, P(regime | rows so far)."""
    alpha, logs, transition = room.alpha, room.logs, room.transition
    K = alpha.shape[1]
    table = 0
    for t in range(alpha.shape[0]):
        first = t == ends[table]
        if first:
            table += 1
        largest = -math.inf
        for k in range(K):
            largest = max(largest, logs[t, k])
        whole = 0.0
        for k in range(K):
            ahead = start[k]
            if not first:
                ahead = 0.0
                for i in range(K):
                    ahead += alpha[t - 1, i] * transition[i, k]
            gap = logs[t, k] - largest
            alpha[t, k] = ahead if gap == 0.0 else ahead * exp(gap)
            whole += alpha[t, k]
        for k in range(K):
            alpha[t, k] = alpha[t, k] / whole if whole > 0.0 else 1.0 / K


@kernel
def _draw_states(ends: Any, room: Any, chance: Any) -> None:
    """Draw the regimes of all rows, from the last back, and count their moves."""
    alpha, transition, states, moves = room.alpha, room.transition, room.states, room.moves
    T, K = alpha.shape
    moves[:] = 0.0
    table = ends.size - 1
    for t in range(T - 1, -1, -1):
        last = t + 1 == ends[table]
        if last:
            table -= 1
        whole = 0.0
        for k in range(K):
            whole += alpha[t, k] if last else alpha[t, k] * transition[k, states[t + 1]]
        left = uniform(chance) * whole
        state = K - 1
        for k in range(K - 1):
            left -= alpha[t, k] if last else alpha[t, k] * transition[k, states[t + 1]]
            if left <= 0.0:
                state = k
                break
        states[t] = state
        if not last:
            moves[state, states[t + 1]] += 1.0


@kernel
def _draw_rows(prior: Any, room: Any, chance: Any) -> None:
    moves, transition = room.moves, room.transition
    for i in range(moves.shape[0]):
        whole = 0.0
        for k in range(moves.shape[1]):
            transition[i, k] = gamma(chance, prior.moves[i, k] + moves[i, k]) + LEAST
            whole += transition[i, k]
        for k in range(moves.shape[1]):
            transition[i, k] /= whole


@kernel
def _draw_mixing(count: Any, room: Any, chance: Any) -> None:
    for t in range(room.mixing.size):
        k = room.states[t]
        shape = 0.5 * (room.dof[k] + count[t])
        room.mixing[t] = 2.0 * gamma(chance, shape) / (room.dof[k] + room.excess[t, k])


@kernel
def _draw_scales(Z: Any, prior: Any, room: Any, chance: Any) -> None:
    """Draw means and precisions given regimes and mixing weights: normal and gamma, jointly."""
    means, precision, mixing, states = room.means, room.precision, room.mixing, room.states
    for k in range(means.shape[0]):
        for j in range(means.shape[1]):
            rows, weights, first, second = 0.0, 0.0, 0.0, 0.0
            for t in range(Z.shape[0]):
                if states[t] == k and math.isfinite(Z[t, j]):
                    z = Z[t, j] - prior.means[k, j]
                    rows += 1.0
                    weights += mixing[t]
                    first += mixing[t] * z
                    second += mixing[t] * z * z
            bars = prior.bars[k, j] + weights
            move = first / bars
            rate = prior.rate[k, j] + 0.5 * max(second - bars * move * move, 0.0)
            precision[k, j] = gamma(chance, prior.shape[k, j] + 0.5 * rows) / rate
            means[k, j] = prior.means[k, j] + move + normal(chance) / math.sqrt(bars * precision[k, j])


@kernel
def _dof_density(dof: Any, low: Any, high: Any, count: Any, prior: Any, room: Any) -> Any:
    """Return the log posterior density of the log degrees of freedom that regimes low..high-1 have in common."""
    away = log(dof) - prior.log_dof[low]
    found = -0.5 * prior.dof_precision[low] * away * away
    for t in range(count.size):
        k = room.states[t]
        if low <= k < high:
            found -= 0.5 * (dof + count[t]) * log(1.0 + room.excess[t, k] / dof)
    for n in range(1, room.means.shape[1] + 1):
        rows = 0.0
        for t in range(count.size):
            if count[t] == n and low <= room.states[t] < high:
                rows += 1.0
        found += rows * log_norm(dof, n)
    return found


@kernel
def _draw_dof(low: Any, high: Any, width: Any, count: Any, prior: Any, room: Any, chance: Any) -> None:
    before = room.dof[low]
    trial = before * exp(width * normal(chance))
    hurdle = log(uniform(chance))
    if LEAST_DOF < trial < MOST_DOF:
        gain = _dof_density(trial, low, high, count, prior, room) - _dof_density(before, low, high, count, prior, room)
        if hurdle < gain:
            for k in range(low, high):
                room.dof[k] = trial


@kernel
def _draw_dofs(kind: Any, widths: Any, count: Any, prior: Any, room: Any, chance: Any) -> None:
    if kind == OWN:
        for k in range(room.dof.size):
            _draw_dof(k, k + 1, widths[k], count, prior, room, chance)
    elif kind != FIXED:
        _draw_dof(0, room.dof.size, widths[0], count, prior, room, chance)


@compiled
def _sweep(kind, Z, count, ends, prior, room, widths, chance, burn, thin, out):  # type: ignore[no-untyped-def]
    Z, count, ends, widths, chance = unowned(Z), unowned(count), unowned(ends), unowned(widths), unowned(chance)
    prior = Known(
        unowned(prior.start), unowned(prior.moves), unowned(prior.means), unowned(prior.bars), unowned(prior.shape),
        unowned(prior.rate), unowned(prior.log_dof), unowned(prior.dof_precision),
    )  # fmt: skip
    room = Room(
        unowned(room.transition), unowned(room.means), unowned(room.precision), unowned(room.dof),
        unowned(room.alpha), unowned(room.logs), unowned(room.excess), unowned(room.mixing), unowned(room.moves),
        unowned(room.states),
    )  # fmt: skip
    transition, means, precision, dof = (
        unowned(out.transition), unowned(out.means), unowned(out.precision), unowned(out.dof))  # fmt: skip
    for m in range(-burn, thin * transition.shape[0]):
        _weigh(Z, count, room)
        _filter(prior.start, ends, room)
        _draw_states(ends, room, chance)
        _draw_rows(prior, room, chance)
        _draw_dofs(kind, widths, count, prior, room, chance)
        _draw_mixing(count, room, chance)
        _draw_scales(Z, prior, room, chance)
        if m >= 0 and m % thin == thin - 1:
            for k in range(dof.shape[1]):
                dof[m // thin, k] = room.dof[k]
                for i in range(dof.shape[1]):
                    transition[m // thin, k, i] = room.transition[k, i]
                for j in range(means.shape[2]):
                    means[m // thin, k, j] = room.means[k, j]
                    precision[m // thin, k, j] = room.precision[k, j]


def draws(kind: int, data: Cells, prior: Known, found: Climb, count: int, sweeps: int, seed: int) -> Draws:
    """Return `count` draws, evenly spaced over the last three quarters of `sweeps` sweeps that begin at `found`.

    In each the regimes are in order of the first feature's scale.
    """
    T, d = data.Z.shape
    K = len(found.dof)
    alpha, logs, excess = (np.empty((T, K)) for _ in range(3))
    room = Room(found.transition.copy(), found.known.means.copy(), found.precision.copy(), found.dof.copy(), alpha,
                logs, excess, np.ones(T), np.zeros((K, K)), np.zeros(T, dtype=np.int64))  # fmt: skip
    out = Draws(np.empty((count, K, K)), np.empty((count, K, d)), np.empty((count, K, d)), np.empty((count, K)))
    seen = np.isfinite(data.Z).astype(np.int64).cumsum(axis=1)[:, -1].copy()
    burn = sweeps // 4
    thin = max((sweeps - burn) // count, 1)
    # A step of 2.4 posterior deviations is accepted some two times in five.
    widths = 2.4 / np.sqrt(found.known.dof_precision)
    ends = data.ends.astype(np.int64)
    _sweep(kind, data.Z, seen, ends, prior, room, widths, generator(seed), burn, thin, out)
    return _ordered(out)


def _ordered(out: Draws) -> Draws:
    order = np.argsort(-out.precision[:, :, 0], axis=1, kind="stable")
    each = np.arange(len(order))[:, None]
    transition = out.transition[each[:, :, None], order[:, :, None], order[:, None, :]]
    return Draws(transition, out.means[each, order], out.precision[each, order], out.dof[each, order])
