"""A slow chain over quick ones: brute force over all paths of both, one level, worlds of its own, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from barograph.errors import ConfigError, FitError
from barograph.regimes.fitted import Fitted
from barograph.regimes.matching import match
from barograph.regimes.window import window
from barograph.testing import check_model
from barograph_models._chain.gaussian import CELLS, Given
from barograph_models._fit.data import Sample
from barograph_models._product import nested
from barograph_models._product.chains import ascend
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.hierarchical_hmm import (
    HIERARCHICAL,
    HierarchicalParams,
    hierarchical_hmm,
    hierarchical_params,
)

MACRO = np.array([[0.99, 0.01], [0.02, 0.98]])
ENTRY = np.array([[0.9, 0.1], [0.3, 0.7]])
FINE = np.array([[[0.95, 0.05], [0.3, 0.7]], [[0.6, 0.4], [0.2, 0.8]]])


def true(d: int = 1, shown: Any = None) -> HierarchicalParams:
    one = np.ones(d)
    means = np.array([[[0.1], [0.0]], [[-0.3], [0.2]]]) * one
    variances = np.array([[[0.25], [1.0]], [[4.0], [25.0]]]) * one
    return hierarchical_params([[0.4, 0.2], [0.3, 0.1]], MACRO, ENTRY, FINE, means, variances, shown)


def kept(params: HierarchicalParams) -> Fitted:
    names = tuple(f"x{j}" for j in range(params.means.shape[1]))
    return Fitted(HIERARCHICAL, params, None, 100, None, None, True, 0, names)


def rows(T: int, d: int = 1) -> Any:
    X = np.random.default_rng(3).standard_normal((T, d)) * 1.5
    X[2, 0] = np.nan
    return X


def moved(before: Any, after: Any) -> float:
    """Return P(macro state and state | those before), as told in words."""
    (m, i), (n, k) = before, after
    return float(MACRO[m, n] * (FINE[m, i, k] if m == n else ENTRY[n, k]))


def all_paths(params: HierarchicalParams, X: Any) -> dict[Any, float]:
    """Return the weight of every path of macro states and states."""
    pairs, found = [(0, 0), (0, 1), (1, 0), (1, 1)], {}
    density = {
        (m, k): np.where(
            np.isfinite(X), stats.norm.pdf(X, params.means[2 * m + k], np.sqrt(params.covariances[2 * m + k])), 1.0
        ).prod(axis=1)
        for m, k in pairs
    }
    for path in itertools.product(pairs, repeat=len(X)):
        weight = params.start[0, 2 * path[0][0] + path[0][1]]
        for before, after in itertools.pairwise(path):
            weight *= moved(before, after)
        for t, pair in enumerate(path):
            weight *= density[pair][t]
        found[path] = float(weight)
    return found


@pytest.mark.parametrize("shown", [None, [2, 0, 1, 3]], ids=["macro", "all"])
def test_filter_smoother_and_viterbi_equal_the_sum_over_all_paths(shown: Any) -> None:
    X, params = rows(6, 2), true(2, shown)
    X[4] = np.nan
    fitted, label = kept(params), params.shown.astype(int).reshape(2, 2)
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
    assert fitted.viterbi(X).tolist() == [label[pair] for pair in max(paths, key=lambda path: paths[path])]


def test_one_iteration_counts_what_all_paths_count() -> None:
    X, params = rows(5), true()
    paths = all_paths(params, X)
    whole, macro, entry, fine, start = sum(paths.values()), np.zeros((2, 2)), ENTRY * 0, FINE * 0, np.zeros((2, 2))
    for path, weight in paths.items():
        start[path[0]] += weight / whole
        for (m, i), (n, k) in itertools.pairwise(path):
            macro[m, n] += weight / whole
            if m == n:
                fine[m, i, k] += weight / whole
            else:
                entry[n, k] += weight / whole
    observed = np.isfinite(X[:, 0])
    data = Sample(np.where(observed[:, None], X, 0.0), observed, np.zeros(1), np.ones(1))
    own = CELLS._replace(least=lambda _: 0.0)
    found = ascend(own, data, params, 2, -1.0, Given(1e-6), nested.move).params
    np.testing.assert_allclose(found.start.reshape(2, 2), start, atol=1e-13)
    for got, counted in ((found.macro, macro), (found.entry, entry), (found.fine, fine)):
        np.testing.assert_allclose(got, counted / counted.sum(axis=-1, keepdims=True), atol=1e-11)
    pairs = list(itertools.product(range(2), repeat=2))
    np.testing.assert_allclose(params.moves[0], [[moved(a, b) for b in pairs] for a in pairs], atol=1e-15)


@pytest.mark.parametrize(("settings", "d"), [({}, 1), ({"shows": "all"}, 1), ({"macro_states": 3, "states": 1}, 2)])
def test_the_laws_of_models_hold(settings: Any, d: int) -> None:
    X = kept(true(d)).sample(400, seed=1)[0]
    X[31, 0], X[40] = np.nan, np.nan
    found = check_model(hierarchical_hmm(starts=3, **settings), X)
    assert {"future", "steps", "saving", "batch", "missing bars", "renumbering", "scale", "shapes"} <= set(found.held)
    assert ({"density", "two bars"} if d == 1 else {"missing cells"}) <= set(found.held)


@pytest.mark.parametrize("levels", [(2, 1), (1, 2)])
def test_one_level_is_the_gaussian_hmm(levels: tuple[int, int]) -> None:
    X = np.random.default_rng(0).standard_normal((400, 2)) * np.repeat([[0.5], [3.0], [0.5], [3.0]], 100, axis=0)
    X[7, 1] = np.nan
    one = hierarchical_hmm(*levels, shows="all", tolerance=1e-11).fit(X)
    other = gaussian_hmm(tolerance=1e-11).fit(X)
    np.testing.assert_allclose(one.filter_path(X).probs, other.filter_path(X).probs, atol=1e-4)
    assert one.log_likelihood[-1] == pytest.approx(other.log_likelihood[-1], abs=1e-4)  # type: ignore[index]
    if levels == (1, 2):
        assert one.free_parameters == other.free_parameters


def test_the_truth_of_a_world_of_its_own_is_found_and_every_iteration_climbs() -> None:
    X, states = kept(true()).sample(8_000, seed=1)
    fitted = hierarchical_hmm(starts=4).fit(X)
    assert np.diff(np.asarray(fitted.log_likelihood)).min() > -1e-7
    assert fitted.score(X) >= kept(true()).score(X)
    np.testing.assert_allclose(fitted.params.macro, MACRO, atol=0.01)
    np.testing.assert_allclose(fitted.params.fine, FINE, atol=0.12)
    np.testing.assert_allclose(fitted.params.covariances.ravel(), [0.25, 1.0, 4.0, 25.0], rtol=0.35)
    np.testing.assert_allclose(fitted.stays(), [100.0, 50.0], rtol=0.35)  # type: ignore[arg-type]
    assert (fitted.viterbi(X) == states // 2).mean() > 0.95


def test_stays_and_shares_are_those_of_the_drawn_path() -> None:
    states = kept(true()).sample(200_000, seed=4)[1]
    macro, fitted = states // 2, kept(true())
    share, every = fitted.stationary(), kept(true(shown=range(4))).stationary()
    np.testing.assert_allclose(share, np.bincount(macro) / len(macro), atol=0.02)  # type: ignore[arg-type]
    np.testing.assert_allclose(every, np.bincount(states) / len(states), atol=0.02)  # type: ignore[arg-type]
    moments = fitted.moments()
    assert moments is not None
    np.testing.assert_allclose(moments.variance[1], 4.0 * 0.353 + 25.0 * 0.647 + 0.0625 * 4 * 0.353 * 0.647, rtol=0.03)


def test_a_refit_keeps_its_regimes_and_another_shape_lends_nothing() -> None:
    X = kept(true()).sample(4_000, seed=3)[0]
    model = hierarchical_hmm(starts=3)
    first = model.fit(X[:3_500])
    again, how = match(first, model.fit(window(X[500:], previous=first)))
    assert how.convincing
    beliefs = first.filter_path(X).probs, again.filter_path(X).probs
    assert np.abs(beliefs[0][1000:3000] - beliefs[1][1000:3000]).mean() < 0.05
    other = hierarchical_hmm(states=3, starts=2).fit(X[:600])
    assert model.fit(window(X[:600], previous=other)).params.entry.shape == (2, 2)


def test_what_cannot_be_meant_is_refused_in_one_line() -> None:
    told = "hierarchical_hmm: 100 macro states of 50 states make 5,000 product states, at most 4,096 are filtered"
    with pytest.raises(ConfigError, match=told):
        hierarchical_hmm(macro_states=100, states=50)
    with pytest.raises(ConfigError, match="hierarchical_hmm: states = 0, a whole number of at least 1 is wanted"):
        hierarchical_hmm(states=0)
    with pytest.raises(ConfigError, match="shows = 'marco', one of macro, all is wanted"):
        hierarchical_hmm(shows="marco")  # type: ignore[arg-type]
    with pytest.raises(FitError, match="hierarchical_hmm: 5 of 5 rows are observed, 4 states need at least 8"):
        hierarchical_hmm().fit(np.arange(5.0))
    with pytest.raises(FitError, match="hierarchical_hmm: feature 0 is constant"):
        hierarchical_hmm().fit(np.ones(50))
    with pytest.raises(FitError, match="regime 1: its covariance is not positive definite"):
        hierarchical_params([[1.0, 0.0]], [[1.0]], [[1.0, 0.0]], [np.eye(2)], np.zeros((1, 2, 1)), [[[1.0], [0.0]]])
