"""The Gaussian hidden Markov model: regimes follow a Markov chain, features are Gaussian given the regime."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.jit.kernel import kernel
from barograph.jit.views import borrow, frozen
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.matching import order_by_volatility
from barograph.types import Belief, Floats
from barograph_models import _gaussian
from barograph_models._chain import CONVERGED, DIED, Ascent, ascend, smooth, viterbi
from barograph_models._data import Sample, check_choice, check_counts, check_positive, sample
from barograph_models._filter import ChainState, init, observed, predict, weigh
from barograph_models._gaussian import Emission, GaussianParams, gaussian_params, in_units, standardised
from barograph_models._restarts import best_of, reason, same_kind
from barograph_models._starts import start_params

__all__ = ["DIAGONAL", "FULL", "GaussianParams", "fit_from", "gaussian_hmm", "gaussian_params"]


@functools.cache
def _step(emission: Emission) -> Callable[..., tuple[ChainState, Belief]]:
    log_density = emission.log_density

    @kernel
    def step(state: Any, x: Any, params: Any) -> tuple[ChainState, Belief]:
        """Predict by the transition matrix, then weigh by the densities; a row with any NaN only predicts."""
        probs, ahead, logs = borrow(state.probs), borrow(state.ahead), borrow(state.logs)
        predict(state.seen, probs, ahead, params)
        logpdf = 0.0
        if observed(x):
            means, whitening, peak = borrow(params.means), borrow(params.whitening), borrow(params.peak)
            for k in range(logs.size):
                logs[k] = log_density(x, k, means, whitening, peak)
            logpdf = weigh(ahead, logs, probs)
        else:
            for k in range(probs.size):
                probs[k] = ahead[k]
        return ChainState(state.probs, state.ahead, state.logs, state.seen + 1), Belief(frozen(state.probs), logpdf)

    return step


def _decode(params: GaussianParams, X: Floats) -> NDArray[np.int64]:
    return viterbi(params, X)[0]


def _family(name: str, emission: Emission) -> Family:
    return Family(
        f"{__name__}:{name}", GaussianParams, init, _step(emission), _gaussian.moments, smooth=smooth, decode=_decode
    )


DIAGONAL = _family("DIAGONAL", _gaussian.DIAGONAL)
FULL = _family("FULL", _gaussian.FULL)
_FAMILIES = {"diagonal": DIAGONAL, "full": FULL}


def gaussian_hmm(
    states: int = 2,
    covariance: Literal["diagonal", "full"] = "diagonal",
    starts: int = 8,
    iterations: int = 1000,
    tolerance: float = 1e-8,
    seed: int = 0,
    variance_floor: float = 1e-6,
    jobs: int | None = None,
) -> Model:
    """Hidden Markov model with Gaussian features, fitted by EM from `starts` k-means++ starts, the likeliest kept.

    A start converges when an iteration gains at most `tolerance` log-likelihood per observed row; one that needs more
    than `iterations`, or loses a regime (fewer than d+1 expected observations), is dropped and named in
    ``Fitted.dropped``. No variance falls below `variance_floor` times the feature's own. The previous fit, when
    given, is one more start. `jobs` threads run the starts; the result does not depend on their number.

    ``fit(X, previous)`` takes X (T, d), NaN where missing; a row with any NaN counts as no observation. It raises
    `FitError` when every start fails or the data are too few, constant or infinite.

    L. Rabiner, *A tutorial on hidden Markov models*, Proc. IEEE 77 (1989), equations 19-41 and 53-54.

    >>> noise = np.random.default_rng(0).standard_normal((400, 1))
    >>> calm_then_wild = noise * np.repeat([[0.5], [3.0]], 200, axis=0)
    >>> fitted = gaussian_hmm(states=2, starts=2).fit(calm_then_wild, None)
    >>> fitted.filter_path(calm_then_wild).probs[[100, 300]].round(2)
    array([[1., 0.],
           [0., 1.]])
    """
    name = "gaussian_hmm"
    check_counts(name, states=states, starts=starts, iterations=iterations)
    check_choice(name, "covariance", covariance, tuple(_FAMILIES))
    check_positive(name, tolerance=tolerance, variance_floor=variance_floor)

    def fit(X: Floats, previous: Fitted | None) -> Fitted:
        data = sample(X, states, name)
        limits = (iterations, tolerance * data.rows, variance_floor)
        attempts = [partial(_from_seeds, data, states, covariance, seed, i, limits) for i in range(starts)]
        if previous is not None and same_kind(previous, _FAMILIES[covariance], states, data):
            attempts.append(partial(ascend, data, standardised(previous.params, data), *limits))
        ascent, dropped = best_of(attempts, name, jobs)
        return order_by_volatility(_fitted(data, ascent, seed, dropped))

    return Model(fit, states, name)


def _from_seeds(
    data: Sample, states: int, covariance: str, seed: int, index: int, limits: tuple[int, float, float]
) -> Ascent:
    return ascend(data, start_params(data, states, covariance, seed, index), *limits)


def fit_from(
    X: Floats, params: GaussianParams, iterations: int = 1000, tolerance: float = 1e-8, variance_floor: float = 1e-6
) -> Fitted:
    """Run EM once from given parameters in the data's units, and return where it came, converged or not.

    For warm starts and studies: the regimes keep their order, and a negative `tolerance` runs all `iterations`. The
    last entry of ``log_likelihood`` belongs to the parameters returned. Raises `FitError` when a regime dies.
    """
    name = "gaussian_hmm"
    data = sample(X, len(params.start), name)
    ascent = ascend(data, standardised(params, data), iterations, tolerance * data.rows, variance_floor)
    if ascent.verdict == DIED:
        raise FitError(f"{name}: {reason(ascent)}; take fewer states, or more data")
    return _fitted(data, ascent, 0, ())


def _fitted(data: Sample, ascent: Ascent, seed: int, dropped: tuple[str, ...]) -> Fitted:
    params = in_units(ascent.params, data)
    K, d = params.means.shape
    free = d if params.covariances.ndim == 2 else d * (d + 1) // 2
    return Fitted(
        family=DIAGONAL if params.covariances.ndim == 2 else FULL,
        params=params,
        log_likelihood=ascent.path,
        observations=data.rows,
        free_parameters=(K - 1) + K * (K - 1) + K * d + K * free,
        completed=viterbi(ascent.params, data.with_nan())[1] - data.log_volume,
        converged=ascent.verdict == CONVERGED,
        seed=seed,
        features=tuple(f"x{j}" for j in range(d)),
        dropped=dropped,
    )
