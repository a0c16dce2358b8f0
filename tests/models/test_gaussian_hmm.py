"""The Gaussian HMM against brute force, hmmlearn, published likelihoods, and worlds whose truth is known."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from barograph.errors import ConfigError, FitError
from barograph.jit.views import frozen
from barograph.regimes.fitted import Fitted
from barograph.regimes.window import window
from barograph.testing import check_model
from barograph_models._chain.gaussian import CELLS, GaussianParams, gaussian_params
from barograph_models._chain.inference import _baum_welch
from barograph_models.gaussian_hmm import fit_from, gaussian_hmm

needs_compiler = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="minutes long in plain Python")
COVARIANCES = ("diagonal", "full")


def _params(K: int, d: int, covariance: str, seed: int) -> GaussianParams:
    random = np.random.default_rng(seed)
    factors = random.normal(0.0, 0.3, (K, d, d)) + np.eye(d) * random.uniform(0.5, 2.0, (K, 1, 1))
    covariances = np.einsum("kij,kmj->kim", factors, factors)
    if covariance == "diagonal":
        covariances = np.diagonal(covariances, axis1=1, axis2=2)
    means = random.normal(0.0, 1.0, (K, d))
    return gaussian_params(random.dirichlet(np.ones(K)), random.dirichlet(np.full(K, 0.7), K), means, covariances)


def _simulated(params: GaussianParams, T: int, seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    K, d = params.means.shape
    labels = np.empty(T, dtype=np.int64)
    for t in range(T):
        labels[t] = random.choice(K, p=params.start if t == 0 else params.transition[labels[t - 1]])
    factors = np.linalg.cholesky(_matrices(params))
    return params.means[labels] + np.einsum("tij,tj->ti", factors[labels], random.standard_normal((T, d))), labels


def _matrices(params: GaussianParams) -> Any:
    if params.covariances.ndim == 3:
        return params.covariances
    return np.array([np.diag(v) for v in params.covariances])


def _holes(X: Any, share: float = 0.2) -> Any:
    X = X.copy()
    X[np.random.default_rng(7).random(X.shape) < share] = np.nan
    return X


def _two(covariance: str) -> GaussianParams:
    """Two regimes that a few hundred rows tell apart."""
    full = np.array([[[0.5, 0.1], [0.1, 1.0]], [[3.0, -0.8], [-0.8, 2.0]]])
    covariances = full if covariance == "full" else np.diagonal(full, axis1=1, axis2=2)
    return gaussian_params([0.5, 0.5], [[0.98, 0.02], [0.05, 0.95]], [[0.05, 1.0], [-0.1, -1.0]], covariances)


def _with(params: GaussianParams) -> Fitted:
    """A fitted model with exactly these parameters."""
    X = _simulated(params, 60, 1)[0]
    return Fitted(**(vars(fit_from(X, params, iterations=1)) | {"params": params}))


def _log_densities(params: GaussianParams, X: Any) -> Any:
    """Of rows without a missing cell, or, where features are independent, of the cells that are there."""
    logs = np.zeros((len(X), len(params.start)))
    for k, covariance in enumerate(_matrices(params)):
        for t, x in enumerate(X):
            there = np.flatnonzero(~np.isnan(x))
            if len(there) and (params.covariances.ndim == 2 or len(there) == len(x)):
                marginal = stats.multivariate_normal(params.means[k, there], covariance[np.ix_(there, there)])
                logs[t, k] = marginal.logpdf(x[there])
    return logs


def _paths(params: GaussianParams, X: Any) -> tuple[Any, Any]:
    """Every path of regimes (K**T, T) and its joint likelihood with the rows."""
    logs = _log_densities(params, X)
    paths = np.array(list(itertools.product(range(len(params.start)), repeat=len(X))))
    joint = params.start[paths[:, 0]] * np.exp(logs[0][paths[:, 0]])
    for t in range(1, len(X)):
        joint = joint * params.transition[paths[:, t - 1], paths[:, t]] * np.exp(logs[t][paths[:, t]])
    return paths, joint


@given(K=st.integers(1, 3), d=st.integers(1, 3), T=st.integers(1, 6), seed=st.integers(0, 99), data=st.data())
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_filter_smoother_and_viterbi_equal_the_sum_over_all_paths(
    covariance: str, K: int, d: int, T: int, seed: int, data: Any
) -> None:
    params = _params(K, d, covariance, seed)
    X = _simulated(params, T, seed)[0]
    X[np.array(data.draw(st.lists(st.booleans(), min_size=T * d, max_size=T * d))).reshape(T, d)] = np.nan
    fitted = _with(params)
    found, smoothed = fitted.filter_path(X), fitted.smooth(X).hindsight
    before = 0.0
    for t in range(T):
        paths, joint = _paths(params, X[: t + 1])
        now = np.array([joint[paths[:, t] == k].sum() for k in range(K)])
        np.testing.assert_allclose(found.probs[t], now / now.sum(), rtol=0, atol=1e-12)
        assert found.logpdf[t] == pytest.approx(math.log(now.sum()) - before, abs=1e-12)
        before = math.log(now.sum())
    for t in range(T):
        wanted = np.array([joint[paths[:, t] == k].sum() for k in range(K)]) / joint.sum()
        np.testing.assert_allclose(smoothed[t], wanted, rtol=0, atol=1e-12)
    best = fitted.viterbi(X)
    assert joint[(paths == best).all(axis=1)].item() == pytest.approx(joint.max(), rel=1e-12)


def test_a_missing_row_only_predicts_and_says_nothing() -> None:
    params = _params(3, 2, "full", 4)
    X = _simulated(params, 20, 2)[0]
    X[5] = [np.nan, 0.3]
    X[0] = np.nan
    path = _with(params).filter_path(X)
    assert path.logpdf[[0, 5]].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(path.probs[0], params.start, atol=1e-15)
    np.testing.assert_allclose(path.probs[5], path.probs[4] @ params.transition, atol=1e-15)


def test_a_row_with_a_cell_says_what_the_cell_says() -> None:
    params = _params(3, 2, "diagonal", 4)
    X = _simulated(params, 20, 2)[0]
    X[5, 0] = np.nan
    path, whole = (_with(params).filter_path(rows) for rows in (X, _simulated(params, 20, 2)[0]))
    ahead = path.probs[4] @ params.transition
    weights = ahead * stats.norm.pdf(X[5, 1], params.means[:, 1], np.sqrt(params.covariances[:, 1]))
    np.testing.assert_allclose(path.probs[5], weights / weights.sum(), atol=1e-14)
    assert path.logpdf[5] == pytest.approx(math.log(weights.sum()), abs=1e-14)
    # What came before is what it was, and what comes after knows what was seen.
    assert path.probs[:5].tobytes() == whole.probs[:5].tobytes()
    assert np.abs(path.probs[6] - ahead @ params.transition).max() > 1e-3


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_compiled_and_python_filters_give_the_same_bits(covariance: str) -> None:
    params = _params(3, 2, covariance, 8)
    X = _simulated(params, 300, 3)[0]
    X[17] = np.nan
    X[50:90:3, 0] = np.nan
    X[51:90:5, 1] = np.nan
    X[40] = 60.0
    fitted = _with(params)
    online = fitted.filter()
    state = online.init(online.params)
    compiled = fitted.filter_path(X)
    for t, row in enumerate(X):
        state, belief = online.step(state, frozen(row), online.params)
        assert belief.probs.tobytes() == compiled.probs[t].tobytes()
        assert belief.logpdf == compiled.logpdf[t]
        with pytest.raises(ValueError, match="read-only"):
            belief.probs[0] = 1.0


def test_an_outlier_beyond_every_density_leaves_probabilities() -> None:
    params = gaussian_params([1.0, 0.0], [[1.0, 0.0], [0.5, 0.5]], [[0.0], [50.0]], [[1.0], [1.0]])
    path = _with(params).filter_path(np.array([0.0, 60.0, 0.0]))
    # Regime 1 is likelier by e**1750 and out of reach.
    np.testing.assert_array_equal(path.probs, [[1.0, 0.0]] * 3)
    assert path.logpdf[1] == pytest.approx(-1800.0 - 0.5 * math.log(2 * math.pi))
    np.testing.assert_array_equal(_with(params).smooth(np.array([0.0, 60.0, 0.0])).hindsight, [[1.0, 0.0]] * 3)


def _hmmlearn(params: GaussianParams, iterations: int) -> Any:
    from hmmlearn.hmm import GaussianHMM

    kind = "diag" if params.covariances.ndim == 2 else "full"
    model = GaussianHMM(
        len(params.start),
        kind,
        n_iter=iterations,
        tol=-np.inf,
        init_params="",
        min_covar=0.0,
        covars_prior=0.0,
        # hmmlearn's full M-step adds the weight less d to the observations' count.
        covars_weight=1.0 if kind == "diag" else params.means.shape[1],
        means_prior=0.0,
        means_weight=0.0,
        implementation="scaling",
    )
    model.startprob_, model.transmat_, model.means_ = params.start, params.transition, params.means
    model.covars_ = params.covariances
    return model


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_filter_equals_hmmlearns_last_posterior_on_every_prefix(covariance: str) -> None:
    params = _params(3, 2, covariance, 6)
    X = _simulated(params, 120, 4)[0]
    found = _with(params).filter_path(X)
    model = _hmmlearn(params, 1)
    for t in range(1, len(X) + 1):
        score, posterior = model.score_samples(X[:t])
        np.testing.assert_allclose(found.probs[t - 1], posterior[-1], rtol=0, atol=1e-10)
        assert found.logpdf[:t].sum() == pytest.approx(score, rel=1e-10)


@pytest.mark.parametrize(
    ("K", "d", "covariance"), [(2, 1, "diagonal"), (3, 2, "diagonal"), (2, 1, "full"), (3, 2, "full")]
)
def test_em_follows_hmmlearns_likelihood_from_the_same_start(K: int, d: int, covariance: str) -> None:
    X = _simulated(_params(K, d, covariance, 21), 700, 5)[0]
    start = _params(K, d, covariance, 22)
    ours = fit_from(X, start, iterations=40, tolerance=-math.inf)
    model = _hmmlearn(start, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X)
    np.testing.assert_allclose(ours.log_likelihood, np.array(model.monitor_.history), rtol=1e-8)
    assert len(ours.log_likelihood) == 40


@pytest.fixture(scope="module")
def sp500(shared: Path) -> Any:
    frame = pd.read_parquet(shared / "oxford_man" / "sp500.parquet")
    X = frame.loc["2000-01-04":"2019-08-30", "ret_pct"].to_numpy(copy=True)[:, None]  # type: ignore[misc]
    assert len(X) == 4934
    return X


@needs_compiler
@pytest.mark.parametrize(
    ("K", "reference", "best"),
    # For four regimes the reference is a lesser optimum, which some of our starts reach too; hmmlearn, given our
    # parameters, agrees on the better one. For five ours is 0.6 above it.
    [(2, -6859.2, -6859.17), (3, -6656.7, -6656.73), (4, -6619.5, -6602.28), (5, -6569.0, -6568.37)],
)
def test_likelihoods_on_the_sp500_reach_the_reference_or_better(
    sp500: Any, K: int, reference: float, best: float
) -> None:
    fitted = gaussian_hmm(K).fit(sp500)
    found = fitted.log_likelihood[-1]
    assert found >= reference - 0.05
    assert found == pytest.approx(best, abs=0.05)
    assert _hmmlearn(fitted.params, 1).score(sp500) == pytest.approx(found, rel=1e-10)


@needs_compiler
@pytest.mark.parametrize("K", [2, 3])
def test_every_five_years_of_the_sp500_converge(sp500: Any, K: int) -> None:
    for first in range(0, 3600, 300):
        fitted = gaussian_hmm(K, starts=4).fit(sp500[first : first + 1260])
        assert fitted.converged
        assert np.diff(fitted.signature()[1]).min() > 0.0


@given(
    K=st.integers(1, 4),
    d=st.integers(1, 3),
    covariance=st.sampled_from(COVARIANCES),
    seed=st.integers(0, 999),
    holes=st.sampled_from(("none", "rows", "cells")),
)
def test_likelihood_never_falls(K: int, d: int, covariance: str, seed: int, holes: str) -> None:
    X = _simulated(_params(K, d, covariance, seed), 150, seed)[0]
    if holes == "cells":
        X[np.random.default_rng(seed).random(X.shape) < 0.2] = np.nan
    if holes == "rows":
        X[:: 2 + seed % 7] = np.nan
        X[1::5] = 0.25
    try:
        path = fit_from(X, _params(K, d, covariance, seed + 1), iterations=60, tolerance=-math.inf).log_likelihood
    except FitError as error:
        assert "died" in str(error)  # noqa: PT017
        return
    assert np.diff(path).min() >= -1e-9 * np.abs(path).max()


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_the_last_likelihood_is_that_of_the_parameters(covariance: str) -> None:
    X = _simulated(_two(covariance), 400, 3)[0]
    X[9] = np.nan
    X[20:90:7, 1] = np.nan
    fitted = gaussian_hmm(2, covariance, starts=2).fit(X)  # type: ignore[arg-type]
    assert fitted.filter_path(X).logpdf.sum() == pytest.approx(fitted.log_likelihood[-1], rel=1e-11)
    paths = fitted.viterbi(X)
    logs = _log_densities(fitted.params, X)[np.arange(400), paths].sum() + np.log(fitted.params.start[paths[0]])
    joint = logs + np.log(fitted.transition[paths[:-1], paths[1:]]).sum()
    assert fitted.completed == pytest.approx(joint, rel=1e-10)
    assert fitted.icl > fitted.bic


@needs_compiler
def test_plain_python_climbs_rows_that_lack_cells_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = _two("diagonal")
    X = _holes(_simulated(truth, 200, 3)[0])
    compiled = fit_from(X, truth, iterations=5)
    run = _baum_welch(CELLS)
    monkeypatch.setattr("barograph_models._chain.inference._baum_welch", lambda _: run.py_func)
    plain = fit_from(X, truth, iterations=5)
    assert plain.log_likelihood.tobytes() == compiled.log_likelihood.tobytes()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(plain.params, compiled.params, strict=True))


def test_em_weighs_each_feature_by_the_cells_that_are_there() -> None:
    """One iteration by hand: posteriors of all rows, and each feature's weighted moments over its own cells."""
    truth = _two("diagonal")
    X = _holes(_simulated(truth, 200, 3)[0])
    weights, there = _with(truth).smooth(X).hindsight, np.isfinite(X)
    found = fit_from(X, truth, iterations=2, tolerance=-math.inf).params
    for k, j in itertools.product(range(2), range(2)):
        w, x = weights[there[:, j], k], X[there[:, j], j]
        mean = (w * x).sum() / w.sum()
        assert found.means[k, j] == pytest.approx(mean, rel=1e-10)
        assert found.covariances[k, j] == pytest.approx((w * (x - mean) ** 2).sum() / w.sum(), rel=1e-10)


def test_a_feature_that_a_regime_hardly_saw_keeps_what_it_had() -> None:
    truth = gaussian_params([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[0.0, 1.0], [50.0, 2.0]], [[1.0, 1.0]] * 2)
    X = _simulated(truth, 200, 3)[0]
    wild = np.flatnonzero(X[:, 0] > 25.0)
    X[wild[1:], 1] = np.nan
    fitted = fit_from(X, truth, iterations=30, tolerance=-math.inf)
    assert np.diff(fitted.log_likelihood).min() >= -1e-9 * np.abs(fitted.log_likelihood).max()
    assert (fitted.params.means[1, 1], fitted.params.covariances[1, 1]) == pytest.approx((2.0, 1.0))


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_other_units_give_the_same_model_in_other_units(covariance: str) -> None:
    X = _simulated(_two(covariance), 300, 3)[0]
    scale, shift = np.array([0.01, 1000.0]), np.array([3.0, -70.0])
    one, other = (gaussian_hmm(2, covariance, starts=2).fit(x) for x in (X, X * scale + shift))  # type: ignore[arg-type]
    np.testing.assert_allclose(other.params.means, one.params.means * scale + shift, rtol=1e-6)
    np.testing.assert_allclose(_matrices(other.params), _matrices(one.params) * np.outer(scale, scale), rtol=1e-5)
    np.testing.assert_allclose(other.transition, one.transition, atol=1e-6)
    volume = len(X) * np.log(scale).sum()
    assert other.log_likelihood[-1] == pytest.approx(one.log_likelihood[-1] - volume, abs=1e-5)


@needs_compiler
def test_the_truth_of_a_simulated_world_is_recovered() -> None:
    truth = _two("full")
    X, labels = _simulated(truth, 6000, 12)
    X[100:130] = np.nan
    fitted = gaussian_hmm(2, "full", starts=3).fit(X)
    np.testing.assert_allclose(fitted.params.means, truth.means, atol=0.12)
    np.testing.assert_allclose(fitted.params.covariances, truth.covariances, atol=0.25)
    np.testing.assert_allclose(fitted.transition, truth.transition, atol=0.02)
    assert (fitted.viterbi(X) == labels).mean() > 0.97
    assert fitted.free_parameters == 1 + 2 + 4 + 6


@needs_compiler
def test_the_truth_is_recovered_where_a_fifth_of_the_cells_is_missing() -> None:
    truth = _two("diagonal")
    whole, labels = _simulated(truth, 6000, 12)
    X = _holes(whole)
    fitted = gaussian_hmm(2, starts=3).fit(X)
    assert fitted.observations == np.isfinite(X).any(axis=1).sum() > 5700
    assert np.isfinite(X).all(axis=1).sum() < 4000
    np.testing.assert_allclose(fitted.params.means, truth.means, atol=0.12)
    np.testing.assert_allclose(fitted.params.covariances, truth.covariances, atol=0.25)
    np.testing.assert_allclose(fitted.transition, truth.transition, atol=0.02)
    right = (fitted.viterbi(X) == labels).mean()
    only = np.where(np.isfinite(X).all(axis=1)[:, None], X, np.nan)
    assert right > (fitted.viterbi(only) == labels).mean() + 0.005
    assert right > 0.95


def test_a_feature_that_comes_once_a_month_counts_with_the_days_between() -> None:
    X = _simulated(_two("diagonal"), 800, 12)[0]
    X[np.arange(800) % 21 != 20, 1] = np.nan
    fitted = gaussian_hmm(2, starts=4).fit(X)
    assert (fitted.observations, fitted.converged) == (800, True)
    total = fitted.filter_path(X).logpdf.sum()
    assert fitted.log_likelihood[-1] == pytest.approx(total, rel=1e-11)


@needs_compiler
def test_the_answer_does_not_depend_on_the_number_of_threads() -> None:
    X = _simulated(_params(3, 1, "diagonal", 5), 300, 5)[0]
    one, many = (gaussian_hmm(3, starts=6, jobs=jobs).fit(X) for jobs in (1, 4))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one.params, many.params, strict=True))
    assert one.dropped == many.dropped


@needs_compiler
def test_the_previous_fit_is_one_more_start() -> None:
    X = _simulated(_params(3, 1, "diagonal", 5), 500, 5)[0]
    previous = gaussian_hmm(3, starts=8).fit(X)
    poor = gaussian_hmm(3, starts=1, seed=4)
    warm = poor.fit(window(X, previous=previous))
    assert warm.log_likelihood[-1] >= previous.log_likelihood[-1] - 1e-9
    assert len(warm.log_likelihood) < 4 < len(poor.fit(X).log_likelihood)


def test_a_dying_regime_is_an_error_and_a_dropped_start_is_told() -> None:
    X = np.random.default_rng(0).standard_normal((24, 1))
    with pytest.raises(FitError, match=r"every start failed; start 0: a regime died .* fewer states, or more data"):
        gaussian_hmm(12, starts=2).fit(X)
    far = gaussian_params([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[0.0], [90.0]], [[1.0], [1.0]])
    with pytest.raises(FitError, match="a regime died"):
        fit_from(X, far)


def test_a_slow_ascent_is_a_result_that_says_so() -> None:
    X = _simulated(_params(3, 1, "diagonal", 5), 300, 5)[0]
    hasty = gaussian_hmm(3, starts=2, iterations=3).fit(X)
    assert not hasty.converged
    assert len(hasty.log_likelihood) == 3
    assert re.fullmatch(r"start \d: no convergence in 3 iterations \(the last gained .*\)", hasty.dropped[0])
    assert not fit_from(X, _params(3, 1, "diagonal", 6), iterations=3).converged


def test_variances_never_fall_below_the_floor() -> None:
    X = np.random.default_rng(0).standard_normal((300, 2))
    X[100:200] = 0.0
    for covariance in COVARIANCES:
        fitted = gaussian_hmm(2, covariance, starts=2, variance_floor=1e-3).fit(X)  # type: ignore[arg-type]
        least = np.linalg.eigvalsh(_matrices(fitted.params) / np.outer(X.std(axis=0), X.std(axis=0))).min()
        assert least == pytest.approx(1e-3, rel=1e-6)
    X[:, 1] = 2.0 * X[:, 0]
    assert gaussian_hmm(2, "full", starts=2, variance_floor=1e-3).fit(X).converged


@pytest.mark.parametrize(
    ("X", "wanted"),
    [
        (np.full((50, 1), np.nan), "0 of 50 rows are observed, 2 states need at least 4"),
        (np.zeros((3, 1)), "3 of 3 rows are observed"),
        (np.full((50, 2), 0.1), "feature 0 is constant over the 50 observed rows"),
        (np.array([[0.0, 1.0]] * 9 + [[0.0, np.inf]]), "feature 1 is infinite in row 9"),
    ],
)
def test_hopeless_data_are_refused_by_name(X: Any, wanted: str) -> None:
    with pytest.raises(FitError, match=wanted):
        gaussian_hmm(2).fit(X)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"states": 0}, "states = 0, a whole number"),
        ({"starts": 2.5}, r"starts = 2\.5"),
        ({"covariance": "ful"}, "covariance = 'ful'.*did you mean 'full'"),
        ({"tolerance": -1.0}, r"tolerance = -1\.0, a number above 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(settings: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        gaussian_hmm(**settings)


def test_a_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(FitError, match="regime 1: its covariance is not positive definite"):
        gaussian_params([1, 0], np.eye(2), np.zeros((2, 2)), [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]])


# One covariance for all, and penalties.


def test_a_tied_fit_equals_hmmlearns_and_counts_one_covariance() -> None:
    from hmmlearn.hmm import GaussianHMM

    random = np.random.default_rng(1)
    X = random.multivariate_normal([0.0, 0.0], [[1.0, 0.6], [0.6, 2.0]], 900) + np.repeat(
        [[0, 0], [3, -2], [0, 0]], 300, 0
    )
    fitted = gaussian_hmm(2, "tied", starts=4, tolerance=1e-12).fit(X)
    one, other = fitted.params.covariances
    assert one.tobytes() == other.tobytes()
    assert fitted.free_parameters == 1 + 2 + 4 + 3
    model = GaussianHMM(2, covariance_type="tied", init_params="", params="")
    model.startprob_, model.transmat_ = fitted.params.start, fitted.params.transition
    model.means_, model.covars_ = fitted.params.means, one
    assert model.score(X) == pytest.approx(fitted.log_likelihood[-1], rel=1e-11)  # type: ignore[index]
    # At the top its own covariance is the mean of the rows' squares around their regimes' means.
    weight = fitted.smooth(X).hindsight
    away = X[:, None, :] - fitted.params.means
    np.testing.assert_allclose(np.einsum("tk,tki,tkj->ij", weight, away, away) / len(X), one, rtol=1e-5)


@pytest.mark.parametrize(("lasso", "ridge"), [(0.0, 30.0), (20.0, 0.0), (20.0, 30.0)])
def test_penalised_means_are_where_the_penalised_likelihood_is_flat(lasso: float, ridge: float) -> None:
    X = _two_and_noise()
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    params = gaussian_hmm(2, lasso=lasso, ridge=ridge, starts=3, tolerance=1e-12).fit(Z).params
    weight = _with(params).smooth(Z).hindsight
    for k, j in itertools.product(range(2), range(3)):
        mean, variance = params.means[k, j], params.covariances[k, j]
        slope = (weight[:, k] * (Z[:, j] - mean)).sum() / variance - ridge * mean
        if abs(mean) < 1e-12:  # zero, but for the data's own mean
            assert abs(slope) <= lasso
        else:
            assert slope == pytest.approx(lasso * np.sign(mean), abs=0.01)


def test_a_lasso_leaves_the_features_that_tell_nothing_at_the_mean_of_all_rows() -> None:
    X = _two_and_noise()
    bare, drawn = gaussian_hmm(2, starts=3).fit(X), gaussian_hmm(2, lasso=40.0, starts=3).fit(X)
    assert (bare.params.means[:, 1:] != X[:, 1:].mean(axis=0)).all()
    np.testing.assert_allclose(drawn.params.means[:, 1:], np.tile(X[:, 1:].mean(axis=0), (2, 1)), atol=1e-15)
    assert np.ptp(drawn.params.means[:, 0]) > 2.0
    assert drawn.log_likelihood[-1] < bare.log_likelihood[-1]  # type: ignore[index]


@pytest.mark.parametrize("holes", ["none", "cells"])
def test_the_penalised_likelihood_never_falls(holes: str) -> None:
    X = _two_and_noise() if holes == "none" else _holes(_two_and_noise())
    Z = (X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)

    def reached(iterations: int) -> float:
        found = gaussian_hmm(2, lasso=15.0, ridge=5.0, starts=1, iterations=iterations, tolerance=1e-300).fit(Z)
        means = found.params.means
        return float(found.log_likelihood[-1] - 15.0 * abs(means).sum() - 2.5 * (means**2).sum())  # type: ignore[index]

    assert np.diff([reached(n) for n in range(2, 30)]).min() > -1e-8


def test_penalties_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"gaussian_hmm: ridge = -1.0, a number of at least 0 is wanted"):
        gaussian_hmm(ridge=-1.0)
    with pytest.raises(ConfigError, match=r'covariance = "diagonal" is wanted, found \'full\''):
        gaussian_hmm(covariance="full", lasso=1.0)


def _two_and_noise() -> Any:
    random = np.random.default_rng(4)
    X = random.standard_normal((600, 3))
    X[:, 0] += np.repeat([0.0, 3.0, 0.0], 200)
    return X


def test_regimes_of_one_covariance_come_in_the_order_of_their_means_whatever_the_seed() -> None:
    random = np.random.default_rng(1)
    X = random.standard_normal((900, 2)) + np.repeat([[0.0, 0.0], [3.0, -2.0], [0.0, 0.0]], 300, axis=0)
    for seed in range(6):
        assert np.diff(gaussian_hmm(2, "tied", starts=1, seed=seed).fit(X).params.means[:, 0])[0] > 0.0


def test_means_that_a_lasso_holds_are_not_free() -> None:
    X = _two_and_noise()
    bare, held = gaussian_hmm(2, starts=2).fit(X), gaussian_hmm(2, starts=2, lasso=1e6).fit(X)
    assert held.free_parameters == bare.free_parameters - 6  # type: ignore[operator]


def test_the_laws_of_models_hold_with_one_covariance_and_with_penalties() -> None:
    X = np.random.default_rng(2).standard_normal((240, 2)) + np.repeat(
        [[0.0, 0.0], [3.0, -2.0], [0.0, 0.0]], 80, axis=0
    )
    X[31, 0] = np.nan
    for model in (gaussian_hmm(2, "tied", starts=3), gaussian_hmm(2, lasso=3.0, ridge=2.0, starts=3)):
        assert {"future", "steps", "saving", "missing bars", "renumbering", "shapes"} <= set(check_model(model, X).held)
