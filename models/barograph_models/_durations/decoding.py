"""The likeliest stays given all rows: Viterbi's recursion over (regime, length).

A stay's score is that of where it began, of its bars and of its length; the bars' is a difference of running sums. Of
those longer than the last age only the best is kept, for all of them go on alike.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled, kernel
from barograph.jit.ordered import logarithms
from barograph.jit.views import by_address, unowned
from barograph.types import Floats
from barograph_models._chain.emission import Density, Emission
from barograph_models._chain.inference import Seen, complete

__all__ = ["decode", "viterbi"]


class Scores(NamedTuple):
    """What is compared: log `start` (K,), `follows` (K, K), `ends` and `lasts` (K, D); of every row (K, T + 1) the best
    score of a stay that `begins` there and the bars' own sum `before` it, and (T, K) the best one `ending` there; and
    the best stay beyond the last age, with where it began, `old` (K, 2)."""

    start: Floats
    follows: Floats
    ends: Floats
    lasts: Floats
    begins: Floats
    before: Floats
    ending: Floats
    old: Floats


@kernel
def _lent(of: Any) -> Scores:
    return Scores(
        unowned(of.start), unowned(of.follows), unowned(of.ends), unowned(of.lasts), unowned(of.begins),
        unowned(of.before), unowned(of.ending), unowned(of.old),
    )  # fmt: skip


@kernel
def _open(t: Any, k: Any, of: Any, came: Any) -> None:
    """Score the stays of k that begin at row t, without their bars: the first, or after the best that ended."""
    found = of.start[k] if t == 0 else -math.inf
    if t > 0:
        for i in range(of.start.size):
            value = of.ending[t - 1, i] + of.follows[i, k]
            if value > found:
                found, came[t, k] = value, i
    of.begins[k, t] = found - of.before[k, t]


@kernel
def _age(t: Any, k: Any, of: Any) -> None:
    """Let the best stay beyond the last age be a bar older, or be the one that has just got there."""
    D = of.ends.shape[1]
    if t == 0:
        of.old[k, 0] = -math.inf
    of.old[k, 0] += of.lasts[k, D - 1]
    if t >= D - 1:
        arrives = of.begins[k, t - D + 1] + of.lasts[k, D - 2]
        if arrives > of.old[k, 0]:
            of.old[k, 0], of.old[k, 1] = arrives, t - D + 1


@kernel
def _close(t: Any, k: Any, of: Any) -> tuple[float, int]:
    """Return the best score of a stay of k that ends at row t, and where it began."""
    D = of.ends.shape[1]
    best, first = of.old[k, 0] + of.ends[k, D - 1], int(of.old[k, 1])
    for a in range(min(D - 1, t + 1)):
        value = of.begins[k, t - a] + of.ends[k, a]
        if value > best:
            best, first = value, t - a
    return best + of.before[k, t + 1], first


@kernel
def _unfinished(t: Any, k: Any, of: Any) -> tuple[float, int]:
    """Return the best score of a stay of k that is there at row t, and where it began."""
    best, first = of.old[k, 0], int(of.old[k, 1])
    for a in range(min(of.ends.shape[1] - 1, t + 1)):
        value = of.begins[k, t - a] + (of.lasts[k, a - 1] if a > 0 else 0.0)
        if value > best:
            best, first = value, t - a
    return best + of.before[k, t + 1], first


@functools.cache
def _decoder(emission: Emission | Density) -> Callable[..., float]:
    log_density = emission.log_density

    def run(X, observed, params, scores, since, came, labels):  # type: ignore[no-untyped-def]
        X, observed, labels, since, came = unowned(X), unowned(observed), unowned(labels), unowned(since), unowned(came)
        own, of = by_address(params), _lent(scores)
        T, K = of.ending.shape
        for t in range(T):
            for k in range(K):
                _open(t, k, of, came)
                of.before[k, t + 1] = of.before[k, t] + (log_density(X[t], k, own) if observed[t] else 0.0)
            for k in range(K):
                _age(t, k, of)
                of.ending[t, k], since[t, k] = _close(t, k, of)
        best, first = _unfinished(T - 1, 0, of)
        last = 0
        for k in range(1, K):
            value, since_then = _unfinished(T - 1, k, of)
            if value > best:
                best, first, last = value, since_then, k
        t = T - 1
        while t >= 0:
            labels[first : t + 1] = last
            t = first - 1
            if t >= 0:
                last = came[first, last]
                first = since[t, last]
        return best

    return compiled(run)


def viterbi(
    emission: Emission | Density, params: Any, X: Floats, seen: Seen = complete
) -> tuple[NDArray[np.int64], float]:
    """Return the most likely regimes given all rows, (T,), and the log-likelihood of rows and stays together."""
    T, K = len(X), len(params.start)
    labels = np.zeros(T, dtype=np.int64)
    if not T:
        return labels, 0.0
    logs = tuple(logarithms(of) for of in (params.start, params.follows, params.ends, params.lasts))
    scores = Scores._make([*logs, np.empty((K, T)), np.zeros((K, T + 1)), np.empty((T, K)), np.zeros((K, 2))])
    since, came = np.zeros((T, K), dtype=np.int64), np.zeros((T, K), dtype=np.int64)
    return labels, float(_decoder(emission)(X, seen(X), params, scores, since, came, labels))


def decode(emission: Emission | Density, params: Any, X: Floats, seen: Seen = complete) -> NDArray[np.int64]:
    """Return the most likely regimes given all rows, (T,)."""
    return viterbi(emission, params, X, seen)[0]
