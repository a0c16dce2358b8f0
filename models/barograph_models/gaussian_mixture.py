"""The Gaussian mixture: each bar's regime is judged by that bar alone, with no memory of the bars before."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled, kernel
from barograph.jit.views import borrow, frozen
from barograph.regimes.filtering import filter_path
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.matching import order_by_volatility
from barograph.types import Belief, Filter, Floats
from barograph_models import _gaussian
from barograph_models._chain import CONVERGED, DIED, UNFINISHED, Ascent, densities_of, emission_of
from barograph_models._counts import soft_transition
from barograph_models._data import Sample, check_choice, check_counts, check_positive, sample
from barograph_models._filter import ChainState, init, observed, predict, weigh
from barograph_models._gaussian import Emission, GaussianParams, gaussian_params, in_units, standardised
from barograph_models._restarts import best_of, same_kind
from barograph_models._starts import start_params

__all__ = ["DIAGONAL", "FULL", "GaussianParams", "gaussian_mixture", "gaussian_params"]


@functools.cache
def _step(emission: Emission) -> Callable[..., tuple[ChainState, Belief]]:
    log_density = emission.log_density

    @kernel
    def step(state: Any, x: Any, params: Any) -> tuple[ChainState, Belief]:
        """Weigh the mixture's own weights by the densities; only a row with any NaN looks to the bar before."""
        probs, ahead, logs = borrow(state.probs), borrow(state.ahead), borrow(state.logs)
        logpdf = 0.0
        if observed(x):
            start, means = borrow(params.start), borrow(params.means)
            whitening, peak = borrow(params.whitening), borrow(params.peak)
            for k in range(logs.size):
                logs[k] = log_density(x, k, means, whitening, peak)
            logpdf = weigh(start, logs, probs)
        else:
            predict(state.seen, probs, ahead, params)
            for k in range(probs.size):
                probs[k] = ahead[k]
        return ChainState(state.probs, state.ahead, state.logs, state.seen + 1), Belief(frozen(state.probs), logpdf)

    return step


@functools.cache
def _expectation_maximisation(emission: Emission) -> Callable[..., tuple[int, int]]:
    densities, gather, update = densities_of(emission), emission.gather, emission.update

    def run(  # type: ignore[no-untyped-def]
        X, observed, start, means, covariances, whitening, peak, density, total, first, second, floor, tolerance, path
    ):
        X, observed, path, start = borrow(X), borrow(observed), borrow(path), borrow(start)
        means, covariances, whitening, peak = borrow(means), borrow(covariances), borrow(whitening), borrow(peak)
        density, total, first, second = borrow(density), borrow(total), borrow(first), borrow(second)
        for n in range(path.size):
            path[n] = densities(X, observed, means, whitening, peak, density)
            total[:] = 0.0
            first[:] = 0.0
            second[:] = 0.0
            rows = 0
            for t in range(X.shape[0]):
                if not observed[t]:
                    continue
                rows += 1
                whole = 0.0
                for k in range(start.size):
                    density[t, k] *= start[k]
                    whole += density[t, k]
                path[n] += math.log(whole)
                for k in range(start.size):
                    total[k] += density[t, k] / whole
                    gather(X[t], density[t, k] / whole, k, means, first, second)
            if n > 0 and path[n] - path[n - 1] <= tolerance:
                return n + 1, CONVERGED
            if n + 1 == path.size:
                break
            for k in range(start.size):
                if total[k] < means.shape[1] + 1:
                    return n + 1, DIED
                start[k] = total[k] / rows
                update(k, total[k], first, second, means, covariances, whitening, peak, floor)
        return path.size, UNFINISHED

    return compiled(run)


def _ascend(data: Sample, params: GaussianParams, iterations: int, tolerance: float, floor: float) -> Ascent:
    own = GaussianParams(*(a.copy() for a in params))
    K = len(own.start)
    path = np.empty(iterations)
    work = (np.empty((len(data.Z), K)), np.empty(K), np.empty_like(own.means), np.empty_like(own.covariances))
    arrays = (own.start, own.means, own.covariances, own.whitening, own.peak)
    run = _expectation_maximisation(emission_of(own))
    count, verdict = run(data.Z, data.observed, *arrays, *work, floor, tolerance, path)
    return Ascent(own, path[:count] - data.log_volume, verdict)


def _smooth(params: GaussianParams, X: Floats) -> Floats:
    # Bars are independent: what came later says nothing more.
    return filter_path(_filter(params), X).probs


def _decode(params: GaussianParams, X: Floats) -> NDArray[np.int64]:
    return np.asarray(np.argmax(_smooth(params, X), axis=1), dtype=np.int64)


def _filter(params: GaussianParams) -> Filter:
    own = GaussianParams(*(a.copy() for a in params))
    return Filter(init, _step(emission_of(own)), own, len(own.start), "gaussian_mixture")


def _family(name: str, emission: Emission) -> Family:
    return Family(
        f"{__name__}:{name}", GaussianParams, init, _step(emission), _gaussian.moments, smooth=_smooth, decode=_decode
    )


DIAGONAL = _family("DIAGONAL", _gaussian.DIAGONAL)
FULL = _family("FULL", _gaussian.FULL)
_FAMILIES = {"diagonal": DIAGONAL, "full": FULL}


def gaussian_mixture(
    states: int = 2,
    covariance: Literal["full", "diagonal"] = "full",
    starts: int = 8,
    iterations: int = 2000,
    tolerance: float = 1e-8,
    seed: int = 0,
    variance_floor: float = 1e-6,
    jobs: int | None = None,
) -> Model:
    """Mixture of Gaussians, fitted by EM from `starts` k-means++ starts, the likeliest kept.

    The parameters mean what they mean in `gaussian_hmm`. The transition matrix is not part of the likelihood: it counts
    the posteriors of consecutive bars, for ``predict`` and for bars without an observation.

    A. Dempster, N. Laird & D. Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, J. R. Stat. Soc. B
    39 (1977), section 4.3.

    >>> random = np.random.default_rng(0)
    >>> X = np.vstack([random.normal(0.0, 1.0, (200, 2)), random.normal(8.0, 2.0, (100, 2))])
    >>> fitted = gaussian_mixture(states=2, starts=2).fit(X, None)
    >>> fitted.params.start.round(2)
    array([0.67, 0.33])
    """
    name = "gaussian_mixture"
    check_counts(name, states=states, starts=starts, iterations=iterations)
    check_choice(name, "covariance", covariance, tuple(_FAMILIES))
    check_positive(name, tolerance=tolerance, variance_floor=variance_floor)

    def fit(X: Floats, previous: Fitted | None) -> Fitted:
        data = sample(X, states, name)
        limits = (iterations, tolerance * data.rows, variance_floor)
        attempts = [partial(_from_seeds, data, states, covariance, seed, i, limits) for i in range(starts)]
        if previous is not None and same_kind(previous, _FAMILIES[covariance], states, data):
            attempts.append(partial(_ascend, data, standardised(previous.params, data), *limits))
        ascent, dropped = best_of(attempts, name, jobs)
        return order_by_volatility(_fitted(data, ascent, seed, dropped))

    return Model(fit, states, name)


def _from_seeds(
    data: Sample, states: int, covariance: str, seed: int, index: int, limits: tuple[int, float, float]
) -> Ascent:
    return _ascend(data, start_params(data, states, covariance, seed, index), *limits)


def _fitted(data: Sample, ascent: Ascent, seed: int, dropped: tuple[str, ...]) -> Fitted:
    K, d = ascent.params.means.shape
    posterior = _smooth(ascent.params, data.with_nan())
    seen = posterior[data.observed].max(axis=1)
    free = d if ascent.params.covariances.ndim == 2 else d * (d + 1) // 2
    transition = soft_transition(posterior, data.observed)
    return Fitted(
        family=DIAGONAL if ascent.params.covariances.ndim == 2 else FULL,
        params=in_units(ascent.params._replace(transition=transition), data),
        log_likelihood=ascent.path,
        observations=data.rows,
        free_parameters=(K - 1) + K * d + K * free,
        # log p(x, k) = log p(x) + log p(k | x)
        completed=float(ascent.path[-1] + np.log(seen).sum()),
        converged=ascent.verdict == CONVERGED,
        seed=seed,
        features=tuple(f"x{j}" for j in range(d)),
        dropped=dropped,
    )
