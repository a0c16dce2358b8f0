"""Regimes without a chain: each row is judged by the regimes' own weights, whatever they emit. The filter and EM.

The weights stand where a chain has its `start`; `transition` is not in the likelihood and serves rows unseen alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from barograph.jit.arithmetic import log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import by_address, unowned
from barograph.types import Belief
from barograph_models._chain.emission import Emission, climbed, make_densities
from barograph_models._chain.filter import ChainState, believed, observed, predict, stand, weigh
from barograph_models._fit.data import Sample
from barograph_models._fit.restarts import CONVERGED, DIED, UNFINISHED, Ascent

__all__ = ["ascend", "mixture_step"]


@functools.cache
def mixture_step(emission: Emission) -> Callable[..., tuple[ChainState, Belief]]:
    """Return the filter's step for independent rows."""
    log_density = emission.log_density

    @kernel
    def step(state: Any, x: Any, params: Any) -> tuple[ChainState, Belief]:
        """Weigh the mixture's own weights by the densities; only a row with any NaN looks to the bar before."""
        probs, ahead, logs = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
        logpdf = 0.0
        if observed(x):
            own, start = by_address(params), unowned(params.start)
            for k in range(logs.size):
                logs[k] = log_density(x, k, own)
            logpdf = weigh(start, logs, probs)
        else:
            predict(state.seen, probs, ahead, params)
            stand(ahead, probs)
        return believed(state, logpdf)

    return step


@functools.cache
def _expect(emission: Emission) -> Callable[..., Any]:
    gather = emission.gather

    @kernel
    def expect(X: Any, observed: Any, start: Any, own: Any, density: Any, total: Any, sums: Any, shift: Any) -> Any:
        """Add each row to the sums by its posterior; return how many they are, and their log-likelihood."""
        rows = 0
        likelihood = shift
        total[:] = 0.0
        for t in range(X.shape[0]):
            if not observed[t]:
                continue
            rows += 1
            whole = 0.0
            for k in range(start.size):
                density[t, k] *= start[k]
                whole += density[t, k]
            likelihood += log(whole)
            for k in range(start.size):
                total[k] += density[t, k] / whole
                gather(X[t], density[t, k] / whole, k, own, sums)
        return rows, likelihood

    return expect


@functools.cache
def _expectation_maximisation(emission: Emission) -> Callable[..., tuple[int, int]]:
    densities, expect = make_densities(emission), _expect(emission)
    clear, update, penalty = emission.clear, emission.update, emission.penalty

    def run(X, observed, params, new_sums, counts, given, least, tolerance, path):  # type: ignore[no-untyped-def]
        X, observed, path = unowned(X), unowned(observed), unowned(path)
        density, total = unowned(new_sums[0]), unowned(new_sums[1])
        start, own, sums = unowned(params.start), by_address(params), by_address(counts)
        before = 0.0
        for n in range(path.size):
            clear(sums)
            shift = densities(X, observed, own, density)
            rows, path[n] = expect(X, observed, start, own, density, total, sums, shift)
            reached = path[n] - penalty(own, given)
            if n > 0 and reached - before <= tolerance:
                return n + 1, CONVERGED
            before = reached
            if n + 1 == path.size:
                break
            for k in range(start.size):
                if total[k] < least:
                    return n + 1, DIED
                start[k] = total[k] / rows
            update(total, sums, own, given)
        return path.size, UNFINISHED

    return compiled(run)


def ascend(emission: Emission, data: Sample, params: Any, iterations: int, tolerance: float, given: Any) -> Ascent:
    """Run the mixture's EM from `params`, as `climbed` says; `transition` stays as it is."""
    T, K = len(data.Z), len(params.start)
    run, new_sums = _expectation_maximisation(emission), (np.empty((T, K)), np.empty(K))
    return climbed(run, new_sums, emission, data, params, iterations, tolerance, given)
