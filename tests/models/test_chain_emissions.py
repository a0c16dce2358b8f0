"""Mixtures and autoregressions as emissions: brute force over all paths, hmmlearn, statsmodels, worlds of their own."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from barograph.errors import ConfigError
from barograph.regimes.fitted import Fitted
from barograph.regimes.mixture import horizon_mixture
from barograph.regimes.window import window
from barograph_models._chain import mixed
from barograph_models.autoregressive_hmm import AUTOREGRESSIVE, LaggedParams, autoregressive_hmm, lagged_params
from barograph_models.mixture_hmm import MIXTURE, MixedParams, mixed_params, mixture_hmm

START = np.array([0.6, 0.4])
MOVES = np.array([[0.95, 0.05], [0.1, 0.9]])


def mixture(d: int = 1) -> MixedParams:
    means = np.array([[[-0.5], [0.3], [0.0]], [[0.0], [2.0], [-2.0]]]) + 0.1 * np.arange(d)
    variances = np.array([[[0.5], [0.8], [2.0]], [[1.0], [3.0], [9.0]]]) * np.ones(d)
    return mixed_params(START, MOVES, [[0.5, 0.4, 0.1], [0.2, 0.2, 0.6]], means, variances)


def autoregression(d: int = 1) -> LaggedParams:
    one = np.ones(d)
    return lagged_params(
        START, MOVES, np.outer([0.1, -0.3], one), np.outer([0.6, -0.4], one), np.outer([0.5, 3.0], one)
    )


def kept(params: Any) -> Fitted:
    family, d = (MIXTURE, 2) if isinstance(params, MixedParams) else (AUTOREGRESSIVE, 1)
    names = tuple(f"x{j}" for j in range(params[3].shape[d]))
    return Fitted(family, params, None, 100, None, None, True, 0, names)


def log_densities(params: Any, X: Any) -> Any:
    """Return (T, K), 0 where a row says nothing; written as the papers write it."""
    found = np.zeros((len(X), 2))
    for t, k in itertools.product(range(len(X)), range(2)):
        if np.isnan(X[t]).any():
            continue
        if isinstance(params, MixedParams):
            parts = stats.norm.logpdf(X[t], params.means[k], np.sqrt(params.variances[k])).sum(axis=1)
            found[t, k] = special.logsumexp(np.log(params.weights[k]) + parts)
        elif t and np.isfinite(X[t - 1]).all():
            centre = params.intercepts[k] + params.slopes[k] * X[t - 1]
            found[t, k] = stats.norm.logpdf(X[t], centre, np.sqrt(params.variances[k])).sum()
    return found


@pytest.mark.parametrize("params", [mixture(2), autoregression(2)], ids=["mixture", "autoregression"])
def test_filter_smoother_and_viterbi_equal_the_sum_over_all_paths(params: Any) -> None:
    X = np.random.default_rng(3).standard_normal((8, 2)) * 2.0
    X[4, 1] = np.nan
    each, fitted = log_densities(params, X), kept(params)

    def weight(path: Any) -> float:
        moves = sum(np.log(MOVES[i, j]) for i, j in itertools.pairwise(path))
        return float(np.exp(np.log(START[path[0]]) + moves + sum(each[t, k] for t, k in enumerate(path))))

    told, filtered = 0.0, fitted.filter_path(X)
    for T in range(1, len(X) + 1):
        paths = {path: weight(path) for path in itertools.product(range(2), repeat=T)}
        whole = sum(paths.values())
        told += filtered.logpdf[T - 1]
        assert told == pytest.approx(np.log(whole), abs=1e-12)
        for k in range(2):
            share = sum(w for path, w in paths.items() if path[-1] == k) / whole
            assert filtered.probs[T - 1, k] == pytest.approx(share, abs=1e-13)
    smoothed = [sum(w for path, w in paths.items() if path[t]) / whole for t in range(len(X))]
    np.testing.assert_allclose(fitted.smooth(X).hindsight[:, 1], smoothed, atol=1e-13)
    assert tuple(fitted.viterbi(X)) == max(paths, key=lambda path: paths[path])


# Likelihoods of others.


def test_hmmlearn_says_the_same_of_a_mixture_and_finds_little_beyond_its_fit() -> None:
    from hmmlearn.hmm import GMMHMM

    X, _ = kept(mixture(2)).sample(1000, seed=5)
    fitted = mixture_hmm(2, 3, starts=2).fit(X)
    model = GMMHMM(2, 3, covariance_type="diag", init_params="", n_iter=30, tol=-np.inf)
    own = fitted.params
    model.startprob_, model.transmat_, model.weights_ = own.start.copy(), own.transition.copy(), own.weights.copy()
    model.means_, model.covars_ = own.means.copy(), own.variances.copy()
    assert model.score(X) == pytest.approx(fitted.log_likelihood[-1], rel=1e-10)  # type: ignore[index]
    assert fitted.score(X) == pytest.approx(model.score(X), rel=1e-10)
    model.fit(X)
    assert model.score(X) <= fitted.score(X) + 0.1


def test_statsmodels_says_the_same_of_an_autoregression_and_finds_nothing_beyond_its_fit() -> None:
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    x = kept(autoregression()).sample(1500, seed=2)[0][:, 0]
    fitted = autoregressive_hmm(2, starts=4, tolerance=1e-11).fit(x)
    # Stationary at the start, no one asks how many moves lie before the first bar: that of statsmodels is our second.
    steady = kept(fitted.params._replace(start=fitted.stationary()))
    own = steady.params
    model = MarkovRegression(x[1:], 2, exog=x[:-1], switching_variance=True)
    chain = [own.transition[0, 0], own.transition[1, 0]]
    told = np.concatenate([chain, own.intercepts[:, 0], own.slopes[:, 0], own.variances[:, 0]])
    assert model.loglike(told) == pytest.approx(steady.score(x), rel=1e-10)
    theirs = model.filter(told).filtered_marginal_probabilities
    np.testing.assert_allclose(steady.filter_path(x).probs[1:], theirs, atol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        better = model.fit(start_params=told, disp=False, maxiter=50)
    assert better.llf <= fitted.score(x)


# Forecasts.


def test_an_autoregressions_forecast_has_the_moments_of_all_paths() -> None:
    params, X = autoregression(), np.array([[0.4], [-1.0], [2.0]])
    fitted = kept(params)
    now, probs = fitted.state_after(X), fitted.filter_path(X).probs[-1]
    for horizon in (1, 2, 4):
        share, mean, square = np.zeros(2), np.zeros(2), np.zeros(2)
        for path in itertools.product(range(2), repeat=horizon + 1):
            weight = probs[path[0]] * np.prod([MOVES[i, j] for i, j in itertools.pairwise(path)])
            # The sum and the bar are linear in the noise so far: keep their loadings.
            x, whole, loadings, summed = 2.0, 0.0, np.zeros(horizon), np.zeros(horizon)
            for t, k in enumerate(path[1:]):
                slope = params.slopes[k, 0]
                x, loadings = params.intercepts[k, 0] + slope * x, slope * loadings
                loadings[t] = np.sqrt(params.variances[k, 0])
                whole, summed = whole + x, summed + loadings
            share[path[-1]] += weight
            mean[path[-1]] += weight * whole
            square[path[-1]] += weight * (whole * whole + summed @ summed)
        told = fitted.predict(now, horizon)
        np.testing.assert_allclose(told.weights, share, atol=1e-14)
        np.testing.assert_allclose(told.probs, share, atol=1e-14)
        np.testing.assert_allclose(told.mean, mean / share, atol=1e-13)
        np.testing.assert_allclose(told.variance, square / share - (mean / share) ** 2, atol=1e-12)


def test_a_forecast_without_a_last_bar_begins_at_the_long_run() -> None:
    told = kept(autoregression()).predict(kept(autoregression()).state_after(np.full((2, 1), np.nan)))
    assert np.isfinite(told.mean).all()
    assert (told.variance > 0.5).all()


def test_a_mixtures_forecast_is_exact_while_its_parts_are_few_and_keeps_both_moments_beyond() -> None:
    params, belief = mixture(), np.array([0.3, 0.7])
    moves = np.repeat((MOVES[:, :, None] * params.weights).reshape(2, 6), 3, axis=0)
    parts = (params.means.ravel(), params.variances.ravel())
    for horizon in (1, 2, 5, 12):
        told = kept(params).predict(belief, horizon)
        weights, mean, variance = horizon_mixture(moves, *parts, horizon)
        share = belief @ weights[::3]
        first = share @ mean
        assert told.weights @ told.mean == pytest.approx(first, abs=1e-12)
        wanted = share @ (variance + (mean - first) ** 2)
        assert told.weights @ (told.variance + (told.mean - first) ** 2) == pytest.approx(wanted, rel=1e-12)
        assert len(told.mean) == mixed.components_ahead(params, horizon)
        if horizon < 12:
            at = np.linspace(-6.0, 6.0, 7)[:, None]
            ours = (told.weights * stats.norm.cdf(at, told.mean, np.sqrt(told.variance))).sum(axis=1)
            np.testing.assert_allclose(
                ours, (share * stats.norm.cdf(at, mean, np.sqrt(variance))).sum(axis=1), atol=1e-12
            )


# Fits.


@pytest.mark.parametrize("params", [mixture(), autoregression()], ids=["mixture", "autoregression"])
def test_the_truth_of_a_world_of_its_own_is_found(params: Any) -> None:
    X, states = kept(params).sample(8_000, seed=1)
    fitted = (
        mixture_hmm(2, 3, starts=2, tolerance=1e-6) if isinstance(params, MixedParams) else autoregressive_hmm(2)
    ).fit(X)
    assert fitted.score(X) >= kept(params).score(X)
    np.testing.assert_allclose(fitted.transition, MOVES, atol=0.02)
    np.testing.assert_allclose(fitted.moments().variance, kept(params).moments().variance, rtol=0.1)  # type: ignore[union-attr]
    assert (fitted.viterbi(X) == states).mean() > 0.85


def test_a_mixture_of_one_component_is_the_gaussian_hmm() -> None:
    from barograph_models.gaussian_hmm import gaussian_hmm

    X = np.random.default_rng(0).standard_normal((400, 2)) * np.repeat([[0.5], [3.0]], 200, axis=0)
    one, other = mixture_hmm(2, 1, variance_floor=1e-6, tolerance=1e-10).fit(X), gaussian_hmm(2, tolerance=1e-10).fit(X)
    np.testing.assert_allclose(one.filter_path(X).probs, other.filter_path(X).probs, atol=1e-6)
    assert (one.free_parameters, one.observations) == (other.free_parameters, other.observations)


def test_a_previous_fit_of_other_components_lends_nothing_but_is_no_error() -> None:
    X = np.random.default_rng(0).standard_normal((400, 1)) * np.repeat([[0.5], [3.0]], 200, axis=0)
    model, other = mixture_hmm(2, 2, starts=2), mixture_hmm(2, 3, starts=2).fit(X)
    assert model.fit(window(X, previous=other)).params.weights.shape == (2, 2)
    again = model.fit(window(X, previous=model.fit(X)))
    assert again.log_likelihood[-1] >= model.fit(X).log_likelihood[-1] - 1e-9  # type: ignore[index]


def test_a_random_walk_has_no_long_run_and_gets_the_steepest_slope() -> None:
    x = np.cumsum(np.random.default_rng(0).standard_normal(2000) * np.repeat([1.0, 3.0], 1000))
    slopes = autoregressive_hmm(2, starts=3).fit(x).params.slopes
    assert np.abs(slopes).max() == 0.99


def test_components_below_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="mixture_hmm: components = 0, a whole number of at least 1 is wanted"):
        mixture_hmm(components=0)


def test_two_models_of_the_same_settings_hang_on_the_same() -> None:
    assert mixture_hmm().settings == mixture_hmm().settings
    assert mixture_hmm(components=2).settings != mixture_hmm().settings


def test_an_autoregression_tells_how_likely_a_regime_is_entered() -> None:
    fitted = kept(autoregression())
    state = fitted.state_after(np.array([[0.2], [0.1]]))
    one, two = (fitted.entering(state, 1, horizon).probability for horizon in (1, 2))
    now = fitted.filter_path(np.array([[0.2], [0.1]])).probs[-1]
    assert one == pytest.approx(now[1] + now[0] * 0.05, rel=1e-12)
    assert two == pytest.approx(now[1] + now[0] * (1.0 - 0.95**2), rel=1e-12)
