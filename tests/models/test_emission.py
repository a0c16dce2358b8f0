"""A second emission, counts that are Poisson, through all that the models' kit does: against brute force, paths and EM.

It stands for every emission to come: what is written here, above the line, is all that one owes.
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from barograph.errors import FitError
from barograph.jit.kernel import kernel
from barograph.regimes.filtering import filter_path
from barograph.regimes.fitted import Family, Fitted, Moments
from barograph.regimes.window import window
from barograph.types import Filter, Floats
from barograph_models._chain import mixture
from barograph_models._chain.emission import Emission
from barograph_models._chain.filter import chain_step, init
from barograph_models._chain.inference import ascend, decode, smooth, viterbi
from barograph_models._fit.data import Sample
from barograph_models._fit.restarts import DIED, Answer, Ascent, Pieces, from_many_starts


class PoissonParams(NamedTuple):
    start: Floats
    transition: Floats
    rate: Floats


class Sums(NamedTuple):
    counted: Floats


@kernel
def _log_density(x: Any, k: Any, own: Any) -> Any:
    return x[0] * math.log(own.rate[k]) - own.rate[k] - math.lgamma(x[0] + 1.0)


@kernel
def _clear(sums: Any) -> None:
    counted = sums.counted
    counted[:] = 0.0


@kernel
def _gather(x: Any, weight: Any, k: Any, own: Any, sums: Any) -> None:
    sums.counted[k] += weight * x[0]


@kernel
def _update(total: Any, sums: Any, own: Any, floor: Any) -> None:
    rate = own.rate
    for k in range(total.size):
        rate[k] = max(sums.counted[k] / total[k], floor)


def _new_sums(params: PoissonParams) -> Sums:
    return Sums(np.empty_like(params.rate))


POISSON = Emission(_log_density, _clear, _gather, _update, _new_sums, least=lambda _: 1.0)
# ---------------------------------------------------------------------------------------------------------------------


def _moments(params: PoissonParams) -> Moments:
    return Moments(params.rate[:, None], params.rate[:, None])


HINDSIGHT = (partial(smooth, POISSON), partial(decode, POISSON))
COUNTS = Family(f"{__name__}:COUNTS", PoissonParams, init, chain_step(POISSON), _moments, *HINDSIGHT)


def _params(K: int, seed: int) -> PoissonParams:
    random = np.random.default_rng(seed)
    return PoissonParams(random.dirichlet(np.ones(K)), random.dirichlet(np.ones(K), K), random.uniform(0.5, 9.0, K))


def _rows(T: int, seed: int, holes: int = 0) -> Any:
    X = np.random.default_rng(seed).poisson(np.where(np.arange(T) // 7 % 2, 1.0, 8.0)).astype(float)[:, None]
    X[seed % 3 : seed % 3 + holes] = np.nan
    return X


def _sample(X: Any) -> Sample:
    observed = ~np.isnan(X[:, 0])
    return Sample(np.where(observed[:, None], X, 0.0), observed, np.zeros(1), np.ones(1))


def _densities(params: PoissonParams, X: Any) -> Any:
    return np.where(np.isnan(X), 1.0, stats.poisson(params.rate).pmf(X))


def _paths(params: PoissonParams, X: Any) -> tuple[Any, Any]:
    """Every path of regimes (K**T, T) and its joint likelihood with the rows."""
    paths = np.array(list(itertools.product(range(len(params.start)), repeat=len(X))))
    steps = params.transition[paths[:, :-1], paths[:, 1:]].prod(axis=1)
    return paths, params.start[paths[:, 0]] * steps * _densities(params, X)[np.arange(len(X)), paths].prod(axis=1)


@given(K=st.integers(1, 3), T=st.integers(1, 6), holes=st.integers(0, 2), seed=st.integers(0, 99))
def test_likelihood_smoothing_and_viterbi_equal_the_sum_over_all_paths(K: int, T: int, holes: int, seed: int) -> None:
    params, X = _params(K, seed), _rows(T, seed, holes)
    paths, joint = _paths(params, X)
    path = filter_path(Filter(init, COUNTS.step, params, K, "counts"), X)
    assert path.logpdf.sum() == pytest.approx(math.log(joint.sum()), abs=1e-12)
    assert ascend(POISSON, _sample(X), params, 1, 0.0, 1e-9).path == pytest.approx(math.log(joint.sum()), abs=1e-12)
    wanted = np.array([[joint[paths[:, t] == k].sum() for k in range(K)] for t in range(T)]) / joint.sum()
    np.testing.assert_allclose(smooth(POISSON, params, X), wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(path.probs[-1], wanted[-1], rtol=0, atol=1e-12)
    labels, likelihood = viterbi(POISSON, params, X)
    assert likelihood == pytest.approx(math.log(joint.max()), abs=1e-12)
    assert joint[(paths == labels).all(axis=1)].item() == pytest.approx(joint.max(), rel=1e-12)


@pytest.mark.parametrize("holes", [0, 2])
def test_one_iteration_sets_the_parameters_to_the_expectations_over_all_paths(holes: int) -> None:
    params, X = _params(2, 4), _rows(9, 0, holes)
    paths, joint = _paths(params, X)
    weight = joint / joint.sum()
    found = ascend(POISSON, _sample(X), params, 2, -math.inf, 1e-9).params
    seen = ~np.isnan(X[:, 0])
    for k in range(2):
        posterior = weight @ (paths == k)
        assert found.start[k] == pytest.approx(posterior[0], abs=1e-12)
        assert found.rate[k] == pytest.approx(posterior[seen] @ X[seen, 0] / posterior[seen].sum(), rel=1e-12)
        moves = [weight @ ((paths[:, :-1] == k) & (paths[:, 1:] == j)).sum(axis=1) for j in range(2)]
        np.testing.assert_allclose(found.transition[k], np.array(moves) / sum(moves), atol=1e-12)


@pytest.mark.parametrize("climb", [ascend, mixture.ascend])
@pytest.mark.parametrize("seed", range(4))
def test_likelihood_never_falls(climb: Any, seed: int) -> None:
    params, X = _params(3, seed), _rows(120, seed, 5)
    before = [a.copy() for a in params]
    ascent = climb(POISSON, _sample(X), params, 60, -math.inf, 1e-9)
    assert np.diff(ascent.path).min() >= -1e-9 * abs(ascent.path[-1])
    assert ascent.path[-1] > ascent.path[0] + 1.0
    assert all((a == b).all() for a, b in zip(params, before, strict=True))


def test_a_mixtures_iteration_weighs_each_row_by_bayes_rule_alone() -> None:
    params, X = _params(2, 1), _rows(40, 1, 3)
    seen = ~np.isnan(X[:, 0])
    joint = (params.start * _densities(params, X))[seen]
    posterior = joint / joint.sum(axis=1, keepdims=True)
    ascent = mixture.ascend(POISSON, _sample(X), params, 2, -math.inf, 1e-9)
    assert ascent.path[0] == pytest.approx(np.log(joint.sum(axis=1)).sum(), rel=1e-13)
    np.testing.assert_allclose(ascent.params.start, posterior.mean(axis=0), atol=1e-13)
    np.testing.assert_allclose(ascent.params.rate, posterior.T @ X[seen, 0] / posterior.sum(axis=0), rtol=1e-12)
    online = Filter(init, mixture.mixture_step(POISSON), params, 2, "counts")
    np.testing.assert_allclose(filter_path(online, X).probs[seen], posterior, atol=1e-13)


def test_the_emission_says_when_a_regime_has_died() -> None:
    params = PoissonParams(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2.0, 9.0]))
    assert ascend(POISSON, _sample(_rows(30, 0)), params, 9, 1e-9, 1e-9).verdict == DIED


def test_a_model_of_it_is_searched_for_kept_and_begun_from_again(tmp_path: Path) -> None:
    def answer(data: Sample, ascent: Ascent) -> Answer:
        return Answer(ascent.params, 5, viterbi(POISSON, ascent.params, data.with_nan())[1])

    pieces = Pieces(
        family=COUNTS,
        begin=lambda _, random, __: _params(2, int(random.integers(99))),
        resume=lambda _, params: params,
        climb=partial(ascend, POISSON, iterations=200, tolerance=1e-9, given=1e-9),
        answer=answer,
    )
    X = _rows(210, 0)
    model = from_many_starts("counts", pieces, states=2, starts=4, seed=0, jobs=1, scale=False)
    with pytest.raises(FitError, match="counts: 2 of 2 rows are observed, 2 states need at least 4"):
        model.fit(X[:2])
    fitted = model.fit(X)
    assert fitted.params.rate == pytest.approx([1.0, 8.0], rel=0.15)
    fitted.save(tmp_path / "counts.fit")
    assert Fitted.load(tmp_path / "counts.fit").summary() == fitted.summary()
    assert model.fit(window(X, previous=fitted)).log_likelihood[-1] >= fitted.log_likelihood[-1] - 1e-9
