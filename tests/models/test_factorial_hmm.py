"""Chains side by side: brute force over all paths of the product, one chain, worlds of its own, refusals."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from barograph.errors import ConfigError, FitError, PartError
from barograph.regimes.fitted import Fitted
from barograph.regimes.matching import match
from barograph.regimes.window import window
from barograph.testing import check_model
from barograph_models._fit.data import Sample
from barograph_models._product import ahead as product_ahead
from barograph_models._product.chains import ascend, digits
from barograph_models._product.effects import EFFECTS, Asked
from barograph_models.factorial_hmm import (
    FACTORIAL,
    FactorialParams,
    chain_probabilities,
    factorial_hmm,
    factorial_params,
)
from barograph_models.gaussian_hmm import gaussian_hmm

MOVES = np.array([[[0.99, 0.01], [0.02, 0.98]], [[0.9, 0.1], [0.2, 0.8]]])


def true(d: int = 1, shown: Any = None, moves: Any = MOVES) -> FactorialParams:
    one = np.ones(d)
    shifts = np.array([[[0.0], [-0.2]], [[0.0], [0.4]]]) * one
    factors = np.array([[[1.0], [4.0]], [[1.0], [9.0]]]) * one
    return factorial_params([[0.7, 0.3], [0.4, 0.6]], moves, 0.1 * one, 0.5 * one, shifts, factors, shown)


def kept(params: FactorialParams) -> Fitted:
    names = tuple(f"x{j}" for j in range(len(params.centre)))
    return Fitted(FACTORIAL, params, None, 100, None, None, True, 0, names)


def all_paths(params: FactorialParams, X: Any) -> dict[Any, float]:
    """Return the weight of every path of product states; the law of one state is written as the paper writes it."""
    which = digits(*params.start.shape)
    S, chains = len(which), range(len(params.start))
    start = [np.prod([params.start[c, which[s, c]] for c in chains]) for s in range(S)]
    moves = [[np.prod([params.moves[c, which[i, c], which[k, c]] for c in chains]) for k in range(S)] for i in range(S)]
    density = np.ones((len(X), S))
    for s in range(S):
        mean = params.centre + sum(params.shifts[c, k] for c, k in enumerate(which[s]))
        variance = params.spread * np.prod([params.factors[c, k] for c, k in enumerate(which[s])], axis=0)
        of_cells = stats.norm.pdf(X, mean, np.sqrt(variance))
        density[:, s] = np.where(np.isfinite(X), of_cells, 1.0).prod(axis=1)
    table, found = density.tolist(), {}
    for path in itertools.product(range(S), repeat=len(X)):
        weight = start[path[0]] * table[0][path[0]]
        for t in range(1, len(path)):
            weight *= moves[path[t - 1]][path[t]] * table[t][path[t]]
        found[path] = float(weight)
    return found


def rows(T: int, d: int = 1) -> Any:
    X = np.random.default_rng(3).standard_normal((T, d)) * 1.5
    X[2, 0] = np.nan
    return X


@pytest.mark.parametrize("shown", [None, [1, 1, 0, 0]], ids=["all", "slowest"])
def test_filter_smoother_and_viterbi_equal_the_sum_over_all_paths(shown: Any) -> None:
    X, params = rows(6, 2), true(2, shown)
    X[4] = np.nan
    fitted, label = kept(params), params.shown.astype(int)
    told, filtered = 0.0, fitted.filter_path(X)
    for T in range(1, len(X) + 1):
        paths = all_paths(params, X[:T])
        whole = sum(paths.values())
        told += filtered.logpdf[T - 1]
        assert told == pytest.approx(np.log(whole), abs=1e-12)
        for r in range(label.max() + 1):
            share = sum(w for path, w in paths.items() if label[path[-1]] == r) / whole
            assert filtered.probs[T - 1, r] == pytest.approx(share, abs=1e-13)
    smoothed = [sum(w for path, w in paths.items() if label[path[t]] == 1) / whole for t in range(len(X))]
    np.testing.assert_allclose(fitted.smooth(X).hindsight[:, 1], smoothed, atol=1e-13)
    assert fitted.viterbi(X).tolist() == label[list(max(paths, key=lambda path: paths[path]))].tolist()


def test_one_iteration_counts_what_all_paths_count() -> None:
    X, params = rows(5), true()
    paths, which = all_paths(params, X), digits(2, 2)
    whole, moves, start = sum(paths.values()), np.zeros((2, 2, 2)), np.zeros((2, 2))
    for path, weight in paths.items():
        for c in range(2):
            start[c, which[path[0], c]] += weight / whole
            for i, k in itertools.pairwise(path):
                moves[c, which[i, c], which[k, c]] += weight / whole
    observed = np.isfinite(X[:, 0])
    data = Sample(np.where(observed[:, None], X, 0.0), observed, np.zeros(1), np.ones(1))
    own = EFFECTS._replace(least=lambda _: 0.0)
    ascent = ascend(own, data, params, 2, -1.0, Asked(1e-6, True, True))
    assert ascent.path[0] == pytest.approx(np.log(whole), abs=1e-12)
    np.testing.assert_allclose(ascent.params.start, start, atol=1e-13)
    np.testing.assert_allclose(ascent.params.moves, moves / moves.sum(axis=2, keepdims=True), atol=1e-12)


def test_one_iteration_reaches_mean_and_variance_from_anywhere() -> None:
    X = np.random.default_rng(5).standard_normal((50, 1)) * 2.0 + 1.0
    away = factorial_params([[1.0]], [[[1.0]]], [-3.0], [0.5], [[[0.0]]], [[[1.0]]])
    data = Sample(X, np.ones(50, dtype=bool), np.zeros(1), np.ones(1))
    found = ascend(EFFECTS, data, away, 2, -1.0, Asked(1e-6, True, True)).params
    assert found.centre[0] + found.shifts[0, 0, 0] == pytest.approx(X.mean(), abs=1e-12)
    assert found.covariances[0, 0] == pytest.approx(X.var(), rel=1e-12)


def test_three_chains_of_three_states_are_the_big_chain_that_they_make() -> None:
    random = np.random.default_rng(0)
    moves, start = random.dirichlet(np.ones(3), (3, 3)), random.dirichlet(np.ones(3), 3)
    params = factorial_params(
        start, moves, [0.0], [1.0], random.normal(size=(3, 3, 1)), random.gamma(3, size=(3, 3, 1))
    )
    big = np.kron(np.kron(moves[0], moves[1]), moves[2])
    X, probs, told = random.normal(size=(40, 1)) * 3.0, np.kron(np.kron(start[0], start[1]), start[2]), []
    for t, x in enumerate(X):
        probs = (probs @ big if t else probs) * stats.norm.pdf(x, params.means[:, 0], np.sqrt(params.covariances[:, 0]))
        probs = probs / probs.sum()
        told.append(probs)
    np.testing.assert_allclose(kept(params).filter_path(X).probs, told, atol=1e-13)
    share, stays = kept(params).stationary(), kept(params).stays()
    assert share is not None
    assert stays is not None
    np.testing.assert_allclose(share @ big, share, atol=1e-13)
    np.testing.assert_allclose(stays, 1.0 / (1.0 - np.diag(big)), rtol=1e-12)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="minutes long in plain Python")
def test_the_largest_product_is_filtered_and_forecast() -> None:
    random = np.random.default_rng(0)
    moves, start = random.dirichlet(np.ones(2), (12, 2)), random.dirichlet(np.ones(2), 12)
    fitted = kept(factorial_params(start, moves, [0.0], [2.0], np.zeros((12, 2, 1)), np.ones((12, 2, 1))))
    # Chains without any effect are never seen: each is where it began, moved on.
    found = chain_probabilities(fitted, fitted.filter_path(np.ones((3, 1))).probs)
    for c in range(12):
        np.testing.assert_allclose(found[2, c], start[c] @ moves[c] @ moves[c], atol=1e-13)
    ahead = fitted.predict(fitted.state_after(np.ones((3, 1))), 2)
    assert (len(ahead.weights), len(ahead.probs)) == (4096, 4096)
    np.testing.assert_allclose(ahead.variance, 4.0, rtol=1e-12)
    assert ahead.weights.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("exact", [True, False])
def test_a_forecast_has_the_moments_of_all_paths(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    params, X = true(), rows(8)
    big = np.kron(MOVES[0], MOVES[1])
    probs = kept(params).filter_path(X).probs[-1]
    if not exact:
        monkeypatch.setattr(product_ahead, "MOST_PARTS", 0)
    for horizon in (1, 3):
        share, mean, square = np.zeros((3, 4))
        for path in itertools.product(range(4), repeat=horizon + 1):
            weight = probs[path[0]] * np.prod([big[i, k] for i, k in itertools.pairwise(path)])
            centre, spread = params.means[list(path[1:]), 0].sum(), params.covariances[list(path[1:]), 0].sum()
            share[path[-1]] += weight
            mean[path[-1]] += weight * centre
            square[path[-1]] += weight * (centre * centre + spread)
        told = kept(params).predict(kept(params).state_after(X), horizon)
        np.testing.assert_allclose(told.probs, share, atol=1e-14)
        assert told.weights @ told.mean == pytest.approx(mean.sum(), abs=1e-13)
        assert told.weights @ (told.variance + told.mean**2) == pytest.approx(square.sum(), abs=1e-12)
        if not exact:
            np.testing.assert_allclose(told.mean, mean / share, atol=1e-13)
            np.testing.assert_allclose(told.variance, square / share - (mean / share) ** 2, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "d"), [({}, 1), ({"shows": "slowest", "effect": "variance"}, 1), ({"effect": "mean"}, 3)]
)
def test_the_laws_of_models_hold(settings: Any, d: int) -> None:
    X = kept(true(d)).sample(300, seed=1)[0]
    X[31, 0], X[40] = np.nan, np.nan
    found = check_model(factorial_hmm(starts=2, **settings), X)
    assert {"future", "steps", "saving", "batch", "missing bars", "renumbering", "scale", "shapes"} <= set(found.held)
    assert ("density" if d == 1 else "missing cells") in found.held


def test_one_chain_is_the_gaussian_hmm() -> None:
    X = np.random.default_rng(0).standard_normal((400, 2)) * np.repeat([[0.5], [3.0], [0.5], [3.0]], 100, axis=0)
    X[7, 1] = np.nan
    one, other = factorial_hmm(chains=1, tolerance=1e-11).fit(X), gaussian_hmm(tolerance=1e-11).fit(X)
    np.testing.assert_allclose(one.filter_path(X).probs, other.filter_path(X).probs, atol=1e-4)
    assert one.log_likelihood[-1] == pytest.approx(other.log_likelihood[-1], abs=1e-4)  # type: ignore[index]
    assert one.free_parameters == other.free_parameters


def test_the_truth_of_a_world_of_its_own_is_found_and_every_iteration_climbs() -> None:
    X, states = kept(true()).sample(8_000, seed=1)
    fitted = factorial_hmm(starts=4).fit(X)
    climb = np.diff(np.asarray(fitted.log_likelihood))
    assert climb.min() > -1e-7
    assert fitted.score(X) >= kept(true()).score(X)
    np.testing.assert_allclose(fitted.params.moves, MOVES, atol=0.03)
    np.testing.assert_allclose(fitted.params.factors.ravel(), [1.0, 4.0, 1.0, 9.0], rtol=0.15)
    np.testing.assert_allclose(fitted.params.shifts.ravel(), [0.0, -0.2, 0.0, 0.4], atol=0.15)
    slow = chain_probabilities(fitted, fitted.filter_path(X).probs)[:, 0, 1]
    assert ((slow > 0.5) == (digits(2, 2)[states, 0] == 1)).mean() > 0.85


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="minutes long in plain Python")
def test_on_the_sp500_two_chains_say_more_with_fewer_numbers_than_four_regimes(shared: Path) -> None:
    frame = pd.read_parquet(shared / "oxford_man" / "sp500.parquet")
    X = frame.loc["2000-01-04":"2019-08-30", "ret_pct"].to_numpy(copy=True)[:, None]
    fitted, four = factorial_hmm(effect="variance").fit(X), gaussian_hmm(4).fit(X)
    assert fitted.log_likelihood[-1] == pytest.approx(-6639.91, abs=0.05)  # type: ignore[index]
    assert fitted.bic < four.bic - 30.0  # type: ignore[operator]


def test_an_effect_that_is_not_asked_for_stays_none() -> None:
    X = kept(true()).sample(600, seed=2)[0]
    assert (factorial_hmm(starts=2, effect="variance").fit(X).params.shifts == 0.0).all()
    found = factorial_hmm(starts=2, effect="mean").fit(X)
    assert (found.params.factors == 1.0).all()
    assert (np.diff(found.params.shifts[:, :, 0], axis=1) >= 0.0).all()
    assert found.free_parameters == 10


def test_a_refit_keeps_regimes_chains_and_states() -> None:
    X = kept(true()).sample(4_000, seed=3)[0]
    model = factorial_hmm(starts=3, effect="variance")
    first = model.fit(X[:3_500])
    second = model.fit(window(X[500:], previous=first))
    again, how = match(first, second)
    assert how.convincing
    np.testing.assert_array_equal(again.params.shown, first.params.shown)
    beliefs = first.filter_path(X).probs, again.filter_path(X).probs
    assert np.abs(beliefs[0][1000:3000] - beliefs[1][1000:3000]).mean() < 0.05


def test_a_previous_fit_of_other_chains_lends_nothing_but_is_no_error() -> None:
    X = kept(true()).sample(400, seed=3)[0]
    four = factorial_hmm(chains=1, states=4, starts=2).fit(X)
    assert factorial_hmm(starts=2).fit(window(X, previous=four)).params.start.shape == (2, 2)


def test_what_cannot_be_meant_is_refused_in_one_line() -> None:
    with pytest.raises(
        ConfigError, match="factorial_hmm: 13 chains of 2 states make 8,192 product states, at most 4,0"
    ):
        factorial_hmm(chains=13)
    with pytest.raises(ConfigError, match="factorial_hmm: chains = 0, a whole number of at least 1 is wanted"):
        factorial_hmm(chains=0)
    with pytest.raises(ConfigError, match="effect = 'varience', one of variance, mean, both is wanted"):
        factorial_hmm(effect="varience")  # type: ignore[arg-type]
    with pytest.raises(FitError, match="factorial_hmm: 5 of 5 rows are observed, 4 states need at least 8"):
        factorial_hmm().fit(np.arange(5.0))
    with pytest.raises(FitError, match="factorial_hmm: feature 0 is constant"):
        factorial_hmm().fit(np.ones(50))
    with pytest.raises(FitError, match=r"a variance of -1; one above zero is wanted"):
        factorial_params([[1.0]], [[[1.0]]], [0.0], [-1.0], [[[0.0]]], [[[1.0]]])
    fitted = factorial_hmm(starts=1, shows="slowest").fit(rows(200))
    with pytest.raises(PartError, match=r"beliefs of all 4 product states are wanted, found shape \(200, 2\)"):
        chain_probabilities(fitted, fitted.filter_path(rows(200)).probs)
