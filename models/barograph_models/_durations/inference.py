"""Inference over stays of any length: forward over ages, backward over stays, EM, smoothing.

The forward pass is the filter's own. The backward pass asks of every bar what all later rows say of a stay that begins
there: G(t), a sum over how long it lasts, and of one that has ended there: E(t), the stays that follow. Nothing of size
(T, K, D) is ever stored. Each is divided by what the filter expected, so that a weight times what was filtered is a
probability. Regimes' probabilities follow from the last row back: what begins comes in, what ends goes out.

S.-Z. Yu, *Hidden semi-Markov models*, Artificial Intelligence 174 (2010), sections 3 and 4; a stay that is unfinished
at the last row counts as at risk, and as no end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.arithmetic import log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import by_address, unowned
from barograph.types import Floats
from barograph_models._chain.emission import Density, Emission, climbed, make_densities
from barograph_models._chain.inference import Seen, complete
from barograph_models._durations import law
from barograph_models._durations.filter import begun, carried, older
from barograph_models._fit.data import Sample
from barograph_models._fit.restarts import CONVERGED, DIED, UNFINISHED, Ascent

__all__ = ["Given", "ascend", "smooth"]

NOTHING: Final = 1e-60
"""What is said of a stay by bars that are so unlikely together adds nothing: it is not followed further."""


class Given(NamedTuple):
    """What EM is told: the least variance, the kind of law, and what is believed of it beforehand.

    Emissions ask for penalties of their means too: there are none.
    """

    floor: float
    kind: int
    habits: law.Habits
    lasso: float = 0.0
    ridge: float = 0.0


class Work(NamedTuple):
    """Room for one run. Of every row: `density` (T, K), and (K, T) what begins and ends, what its bar says, what lies
    beyond the last age, what later rows say of an end and of that, and the regimes. Then the filter's and EM's own."""

    density: Floats
    begins: Floats
    ended: Floats
    says: Floats
    tail: Floats
    after: Floats
    beyond: Floats
    regimes: Floats
    weight: Floats
    scale: Floats
    probs: Floats
    ahead: Floats
    over: Floats
    opens: Floats
    moves: Floats
    ends: Floats
    goes_on: Floats
    slopes: Floats
    total: Floats


def _work(T: int, K: int, D: int) -> Work:
    shapes = [(T, K), *[(K, T)] * 7, (K, D), *[(K,)] * 5, (K, K), *[(K, D)] * 2, (2, D), (K,)]
    return Work._make([np.empty(shape) for shape in shapes])


@kernel
def _lent(work: Any) -> Work:
    return Work(
        unowned(work.density), unowned(work.begins), unowned(work.ended), unowned(work.says), unowned(work.tail),
        unowned(work.after), unowned(work.beyond), unowned(work.regimes), unowned(work.weight), unowned(work.scale),
        unowned(work.probs), unowned(work.ahead), unowned(work.over), unowned(work.opens), unowned(work.moves),
        unowned(work.ends), unowned(work.goes_on), unowned(work.slopes), unowned(work.total),
    )  # fmt: skip


@kernel
def _forward(start: Any, follows: Any, ends: Any, lasts: Any, work: Any) -> Any:
    """Run the filter over the rows' densities and note what passes; return log P(all rows)."""
    density, weight, scale, probs, ahead = work.density, work.weight, work.scale, work.probs, work.ahead
    T, K = density.shape
    last, head, found = weight.shape[1] - 1, 0, 0.0
    for t in range(T):
        if t == 0:
            begun(start, weight, scale, ahead)
        else:
            head = older(head, weight, scale, follows, ends, lasts, work.over, ahead)
            for k in range(K):
                work.ended[k, t - 1] = work.over[k]
        whole = 0.0
        for k in range(K):
            work.begins[k, t] = weight[k, head] * scale[k]
            probs[k] = ahead[k] * density[t, k]
            whole += probs[k]
        for k in range(K):
            work.says[k, t] = density[t, k] / whole
            probs[k] /= whole
        found += log(whole)
        carried(weight, scale, probs, ahead)
        for k in range(K):
            work.tail[k, t] = weight[k, last] * scale[k]
    for k in range(K):
        work.regimes[k, T - 1] = probs[k]
    return found


@kernel
def _stay(k: Any, t: Any, ends: Any, lasts: Any, work: Any) -> Any:
    """Return what all rows from t on say of a stay in k that begins there, and count its ends and its bars at risk."""
    T, D = work.says.shape[1], ends.shape[1]
    begins, so_far, found = work.begins[k, t], 1.0, 0.0
    left = T - 1 - t
    for a in range(min(D - 1, left)):
        so_far *= work.says[k, t + a]
        here = so_far * ends[k, a] * work.after[k, t + a]
        found += here
        work.ends[k, a] += begins * here
        if so_far < NOTHING:
            return found
    # It lasts to the last row, or beyond the last age.
    a = min(D - 1, left)
    so_far *= work.says[k, t + a]
    if a > 0:
        so_far *= lasts[k, a - 1]
    if a == D - 1:
        so_far *= work.beyond[k, t + a]
    work.goes_on[k, a] += begins * so_far
    return found + so_far


@kernel
def _backward(follows: Any, ends: Any, lasts: Any, work: Any) -> None:
    """Walk back once: fill the regimes' probabilities, and count moves, ends and stays by the age they reached."""
    T, K = work.density.shape
    last = ends.shape[1] - 1
    work.moves[:] = 0.0
    work.ends[:] = 0.0
    work.goes_on[:] = 0.0
    for t in range(T - 1, -1, -1):
        for k in range(K):
            if t == T - 1:
                work.after[k, t], work.beyond[k, t] = 1.0, 1.0
                continue
            said = 0.0
            for j in range(K):
                said += follows[k, j] * work.opens[j]
                work.moves[k, j] += work.ended[k, t] * follows[k, j] * work.opens[j]
            work.after[k, t] = said
            on = lasts[k, last] * work.says[k, t + 1] * work.beyond[k, t + 1]
            work.beyond[k, t] = ends[k, last] * said + on
            left = work.regimes[k, t + 1] - work.begins[k, t + 1] * work.opens[k] + work.ended[k, t] * said
            work.regimes[k, t] = max(left, 0.0)
        for k in range(K):
            work.opens[k] = _stay(k, t, ends, lasts, work)


@kernel
def _at_risk(ends: Any, lasts: Any, work: Any) -> None:
    """Turn the stays that went on to the last row, by their age there, into the bars at every age that were no end."""
    T, last = work.says.shape[1], ends.shape[1] - 1
    for k in range(ends.shape[0]):
        # Beyond the last age a bar is a chance of its own; at the last row nobody knows.
        reached, over, on = work.goes_on[k, last], 0.0, 0.0
        for t in range(T - 1):
            over += work.tail[k, t] * ends[k, last] * work.after[k, t]
            on += work.tail[k, t] * lasts[k, last] * work.says[k, t + 1] * work.beyond[k, t + 1]
        work.ends[k, last], work.goes_on[k, last] = over, on
        for a in range(last - 1, -1, -1):
            unfinished = work.goes_on[k, a]
            work.goes_on[k, a] = reached
            reached += unfinished + work.ends[k, a]


@kernel
def _move(start: Any, follows: Any, work: Any) -> None:
    """Set what begins first, and what follows what, to the expected counts."""
    K = start.size
    whole = 0.0
    for k in range(K):
        start[k] = work.regimes[k, 0]
        whole += start[k]
    for i in range(K):
        start[i] /= whole
        leaving = 0.0
        for k in range(K):
            leaving += work.moves[i, k]
        if leaving > 0.0:
            for k in range(K):
                follows[i, k] = work.moves[i, k] / leaving


@functools.cache
def _gather(emission: Emission) -> Callable[..., Any]:
    gather = emission.gather

    @kernel
    def weigh_rows(X: Any, observed: Any, own: Any, work: Any, sums: Any) -> None:
        """Add every row to the sums of its regimes."""
        T, K = work.density.shape
        work.total[:] = 0.0
        for t in range(T):
            if not observed[t]:
                continue
            whole = 0.0
            for k in range(K):
                whole += work.regimes[k, t]
            for k in range(K):
                share = work.regimes[k, t] / whole
                work.total[k] += share
                gather(X[t], share, k, own, sums)

    return weigh_rows


@functools.cache
def _expectation_maximisation(emission: Emission) -> Callable[..., tuple[int, int]]:
    densities, weigh_rows = make_densities(emission), _gather(emission)
    clear, update = emission.clear, emission.update

    def run(X, observed, params, new_sums, counts, given, least, tolerance, path):  # type: ignore[no-untyped-def]
        X, observed, path = unowned(X), unowned(observed), unowned(path)
        start, follows, hazard = unowned(params.start), unowned(params.follows), unowned(params.hazard)
        ends, lasts, lengths = unowned(params.ends), unowned(params.lasts), unowned(params.law)
        own, work, sums = by_address(params), _lent(new_sums), by_address(counts)
        for n in range(path.size):
            shift = densities(X, observed, own, work.density)
            path[n] = shift + _forward(start, follows, ends, lasts, work)
            path[n] += law.belief_in(given.kind, given.habits, lengths, hazard)
            if n > 0 and path[n] - path[n - 1] <= tolerance:
                return n + 1, CONVERGED
            if n + 1 == path.size:
                break
            _backward(follows, ends, lasts, work)
            _at_risk(ends, lasts, work)
            clear(sums)
            weigh_rows(X, observed, own, work, sums)
            for k in range(start.size):
                if work.total[k] < least:
                    return n + 1, DIED
            _move(start, follows, work)
            law.learn(given.kind, given.habits, lengths, hazard, work.slopes, work.ends, work.goes_on)
            law.lay_out(hazard, ends, lasts)
            update(work.total, sums, own, given)
        return path.size, UNFINISHED

    return compiled(run)


def ascend(emission: Emission, data: Sample, params: Any, iterations: int, tolerance: float, given: Given) -> Ascent:
    """Run EM over stays from `params`, as `climbed` says; what is believed of the laws is in what it climbs."""
    K, D = params.hazard.shape
    run, new_sums = _expectation_maximisation(emission), _work(len(data.Z), K, D)
    return climbed(run, new_sums, emission, data, params, iterations, tolerance, given)


@functools.cache
def _smoother(emission: Emission | Density) -> Callable[..., None]:
    densities = make_densities(emission)

    def run(X, observed, params, new_work):  # type: ignore[no-untyped-def]
        work = _lent(new_work)
        start, follows = unowned(params.start), unowned(params.follows)
        ends, lasts = unowned(params.ends), unowned(params.lasts)
        densities(unowned(X), unowned(observed), by_address(params), work.density)
        _forward(start, follows, ends, lasts, work)
        _backward(follows, ends, lasts, work)

    return compiled(run)


def smooth(emission: Emission | Density, params: Any, X: Floats, seen: Seen = complete) -> Floats:
    """Return P(regime at each row | all rows), (T, K); a row with any NaN is missing, unless `seen` has it."""
    K, D = params.hazard.shape
    if not len(X):
        return np.empty((0, K))
    work = _work(len(X), K, D)
    _smoother(emission)(X, seen(X), params, work)
    found = work.regimes.T
    return np.ascontiguousarray(found / np.cumsum(found, axis=1)[:, -1:])
