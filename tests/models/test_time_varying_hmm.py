"""Time-varying transitions: brute force over all paths, statsmodels, the HMM without covariates, a world of its own."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from barograph.errors import ConfigError, FitError
from barograph.regimes.fitted import Fitted
from barograph.regimes.window import window
from barograph.testing import check_model
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.time_varying_hmm import TIME_VARYING, DrivenParams, driven_params, time_varying_hmm

TRUE = driven_params(
    [0.5, 0.5], [[[0.0, 0.0], [-3.0, 1.5]], [[-2.0, -1.0], [0.0, 0.0]]], [[0.1], [-0.2]], [[0.5], [4.0]]
)


def kept(params: DrivenParams) -> Fitted:
    return Fitted(TIME_VARYING, params, None, 100, None, None, True, 0, ("return", "fear"))


def matrix(params: DrivenParams, z: float) -> Any:
    return special.softmax(params.logits @ np.array([1.0, z]), axis=1)


def world(bars: int, seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    X, states, k, z = np.empty((bars, 2)), np.empty(bars, dtype=int), 0, 0.0
    for t in range(bars):
        if t:
            k = int(random.random() < matrix(TRUE, z)[k, 1])
        z = 0.8 * z + 0.6 * random.standard_normal()
        X[t], states[t] = (random.normal(TRUE.means[k, 0], np.sqrt(TRUE.covariances[k, 0])), z), k
    return X, states


def test_filter_smoother_and_viterbi_equal_the_sum_over_all_paths() -> None:
    X = world(9, 3)[0]
    X[3, 0], X[5, 1] = np.nan, np.nan
    fitted, z = kept(TRUE), X[:, 1].copy()
    z[5] = z[4]  # missing: as it last was
    each = np.where(
        np.isnan(X[:, :1]), 0.0, stats.norm.logpdf(X[:, :1], TRUE.means[:, 0], np.sqrt(TRUE.covariances[:, 0]))
    )

    def weight(path: Any) -> float:
        moves = [np.log(matrix(TRUE, z[t])[i, j]) for t, (i, j) in enumerate(itertools.pairwise(path))]
        return float(np.exp(np.log(0.5) + sum(moves) + sum(each[t, k] for t, k in enumerate(path))))

    told, filtered = 0.0, fitted.filter_path(X)
    for T in range(1, len(X) + 1):
        paths = {path: weight(path) for path in itertools.product(range(2), repeat=T)}
        whole = sum(paths.values())
        told += filtered.logpdf[T - 1]
        assert told == pytest.approx(np.log(whole), abs=1e-12)
        share = sum(w for path, w in paths.items() if path[-1] == 1) / whole
        assert filtered.probs[T - 1, 1] == pytest.approx(share, abs=1e-13)
    smoothed = [sum(w for path, w in paths.items() if path[t]) / whole for t in range(len(X))]
    np.testing.assert_allclose(fitted.smooth(X).hindsight[:, 1], smoothed, atol=1e-13)
    assert tuple(fitted.viterbi(X)) == max(paths, key=lambda path: paths[path])


def test_the_laws_of_models_hold() -> None:
    X = world(300, 1)[0]
    X[31, 0], X[40, 1] = np.nan, np.nan
    found = check_model(time_varying_hmm(starts=2), X, without=("two bars", "missing cells"))
    assert {"future", "steps", "saving", "missing bars", "renumbering", "shapes"} <= set(found.held)


def test_without_covariates_it_is_the_gaussian_hmm() -> None:
    X = np.random.default_rng(0).standard_normal((400, 2)) * np.repeat([[0.5], [3.0], [0.5], [3.0]], 100, axis=0)
    one, other = time_varying_hmm(covariates=0, tolerance=1e-11).fit(X), gaussian_hmm(tolerance=1e-11).fit(X)
    np.testing.assert_allclose(one.filter_path(X).probs, other.filter_path(X).probs, atol=1e-5)
    assert one.log_likelihood[-1] == pytest.approx(other.log_likelihood[-1], abs=1e-4)  # type: ignore[index]
    assert one.free_parameters == other.free_parameters
    for horizon in (1, 4):
        ours = one.predict(one.state_after(X), horizon)
        theirs = other.predict(other.state_after(X), horizon)
        np.testing.assert_allclose(ours.probs, theirs.probs, atol=1e-4)
        mean = theirs.weights @ theirs.mean
        assert ours.weights @ ours.mean == pytest.approx(mean, abs=1e-4)
        assert ours.weights @ (ours.variance + ours.mean**2) == pytest.approx(
            theirs.weights @ (theirs.variance + theirs.mean**2), rel=1e-3
        )


def test_statsmodels_says_the_same_and_finds_nothing_beyond_the_fit() -> None:
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    X, _ = world(1200, 2)
    fitted = time_varying_hmm(starts=3, ridge=1e-6, tolerance=1e-11).fit(X)
    own = fitted.params
    # statsmodels moves to row t by row t's own covariates, and once before its first row: it begins at our second.
    drives = np.column_stack([np.ones(len(X) - 1), X[:-1, 1]])
    model = MarkovRegression(X[1:, 0], 2, switching_variance=True, exog_tvtp=drives)
    stay = [-own.logits[0, 1, 0], -own.logits[0, 1, 1]], [own.logits[1, 0, 0], own.logits[1, 0, 1]]
    told = np.array([stay[0][0], stay[1][0], stay[0][1], stay[1][1], *own.means[:, 0], *own.covariances[:, 0]])
    path = model.filter(told)
    # From ten bars on nobody knows any more where the two of them began.
    np.testing.assert_allclose(
        fitted.filter_path(X).probs[60:, 1], path.filtered_marginal_probabilities[59:, 1], atol=1e-6
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        better = model.fit(start_params=told, disp=False, maxiter=50)
    assert better.llf - path.llf < 0.5


def test_the_penalised_likelihood_never_falls_and_a_world_of_its_own_is_found() -> None:
    X, states = world(6000, 4)
    fitted = time_varying_hmm(starts=2).fit(X)
    assert np.diff(fitted.log_likelihood).min() > -1e-3  # type: ignore[arg-type]  the path is without the penalty
    np.testing.assert_allclose(fitted.params.logits[[0, 1], [1, 0]], TRUE.logits[[0, 1], [1, 0]], atol=0.35)
    np.testing.assert_allclose(fitted.params.covariances, TRUE.covariances, rtol=0.1)
    assert fitted.score(X) > kept(TRUE).score(X)
    assert (fitted.viterbi(X) == states).mean() > 0.88
    assert fitted.score(X) > gaussian_hmm().fit(X[:, :1]).score(X[:, :1]) + 50.0


def test_in_other_units_it_is_the_same_model() -> None:
    X = world(600, 5)[0]
    one, other = (
        time_varying_hmm(starts=2).fit(X * scale + shift) for scale, shift in ((1.0, 0.0), ([0.01, 40.0], [0.0, 20.0]))
    )
    np.testing.assert_allclose(
        other.filter_path(X * [0.01, 40.0] + [0.0, 20.0]).probs, one.filter_path(X).probs, atol=1e-5
    )


def test_roles_say_which_columns_are_covariates() -> None:
    X = world(400, 6)[0][:, ::-1]
    told = window(np.column_stack([X[:, 1], X[:, 0], X[:, 1]]), roles=("return", "covariate", "feature"))
    fitted = time_varying_hmm(starts=2).fit(told)
    assert (fitted.params.emitted.tolist(), fitted.params.driving.tolist()) == ([0.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("X", "wanted"),
    [
        (np.ones((50, 1)) * np.arange(50.0)[:, None], "1 of 1 columns are covariates, the first of them too"),
        (np.column_stack([np.random.default_rng(0).standard_normal(50), np.ones(50)]), "the covariate x1 is constant"),
        (np.column_stack([np.ones(50), np.arange(50.0)]), "feature 0 is constant"),
    ],
)
def test_hopeless_data_are_refused_by_name(X: Any, wanted: str) -> None:
    with pytest.raises(FitError, match=wanted):
        time_varying_hmm().fit(X)


def test_covariates_below_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="covariates = -1, a whole number of at least 0 is wanted"):
        time_varying_hmm(covariates=-1)


def test_an_infinite_covariate_is_missing_to_the_filter_and_refused_by_the_fit() -> None:
    X = world(400, 7)[0]
    fitted = time_varying_hmm(starts=2).fit(X)
    infinite, gone = X.copy(), X.copy()
    infinite[200, 1], gone[200, 1] = np.inf, np.nan
    assert fitted.filter_path(infinite).probs.tobytes() == fitted.filter_path(gone).probs.tobytes()
    with pytest.raises(FitError, match="the covariate x1 is infinite in row 200; make it NaN"):
        time_varying_hmm().fit(infinite)


def test_a_covariate_that_is_constant_but_for_rounding_is_refused() -> None:
    X = world(400, 7)[0]
    X[:, 1] = 0.1
    with pytest.raises(FitError, match="the covariate x1 is constant"):
        time_varying_hmm().fit(X)


def test_a_previous_fit_of_other_columns_lends_nothing() -> None:
    X = np.column_stack([world(400, 7)[0], world(400, 8)[0][:, 1]])
    previous = time_varying_hmm(starts=1, covariates=1).fit(X)
    fitted = time_varying_hmm(starts=1, covariates=2).fit(window(X, previous=previous))
    assert (fitted.params.means.shape, fitted.params.logits.shape) == ((2, 1), (2, 2, 3))


def test_one_state_never_ends() -> None:
    assert np.isinf(time_varying_hmm(1, starts=1).fit(world(200, 9)[0]).stays()).all()  # type: ignore[arg-type]
