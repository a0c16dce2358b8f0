"""The horizon mixture against enumeration and simulation; its quantiles against scipy and a fine grid."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from barograph.errors import PartError
from barograph.jit.kernel import compiled
from barograph.regimes.mixture import (
    blend,
    horizon_mixture,
    mixture_cdf,
    mixture_expected_shortfall,
    mixture_quantile,
    mixture_value_at_risk,
)
from barograph.regimes.outlook import outlook
from barograph_models.gaussian_hmm import gaussian_hmm


@compiled
def _each(levels: Any, weights: Any, mean: Any, variance: Any, freedom: Any, out: Any) -> None:
    for i in range(levels.size):
        out[i, 0] = mixture_quantile(levels[i], weights[i], mean[i], variance[i], freedom[i])
        out[i, 1] = mixture_expected_shortfall(levels[i], weights[i], mean[i], variance[i], freedom[i])
        out[i, 2] = mixture_cdf(out[i, 0], weights[i], mean[i], variance[i], freedom[i])
        out[i, 3] = mixture_value_at_risk(levels[i], weights[i], mean[i], variance[i], freedom[i])


@compiled
def _erfc(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = math.erfc(x[i])


def _normal(like: Any) -> Any:
    return np.full_like(like, np.inf)


def _mixtures(count: int, size: int, students: bool = False) -> tuple[Any, ...]:
    random = np.random.default_rng(3)
    weights = random.dirichlet(np.full(size, 0.3), count)
    mean = random.normal(0.0, 0.02, (count, size))
    variance = np.exp(random.uniform(-14.0, -3.0, (count, size)))
    freedom = np.where(random.random(mean.shape) < 0.6 * students, 2.01 + random.exponential(8.0, mean.shape), np.inf)
    return 10 ** random.uniform(-6.0, -0.001, count), weights, mean, variance, freedom


def _chain(K: int, seed: int) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(K), K), random.normal(0.0, 0.1, K), random.uniform(0.1, 1.0, K)


def test_erfc_has_the_same_bits_compiled_and_in_python() -> None:
    x = np.random.default_rng(0).uniform(-8.0, 30.0, 20_000)
    out = np.empty_like(x)
    _erfc(x, out)
    assert out.tolist() == [math.erfc(v) for v in x]


@pytest.mark.parametrize("students", [False, True])
def test_compiled_and_python_kernels_give_the_same_bits(students: bool) -> None:
    # A Student-t tail is integrated over hundreds of slices, which plain Python takes half a second for.
    count = 6 if students else 60
    cases = _mixtures(count, 11, students)
    out = np.empty((count, 4))
    _each(*cases, out)
    for i, case in enumerate(zip(*cases, strict=True)):
        q = mixture_quantile(*case)
        wanted = (q, mixture_expected_shortfall(*case), mixture_cdf(q, *case[1:]), mixture_value_at_risk(*case))
        assert out[i].tolist() == [float(w) for w in wanted]


def test_quantiles_invert_scipys_distribution() -> None:
    cases = _mixtures(300, 7)
    out = np.empty((300, 4))
    _each(*cases, out)
    for i, (level, weights, mean, variance, _) in enumerate(zip(*cases, strict=True)):
        root = brentq(lambda x: weights @ stats.norm.cdf(x, mean, np.sqrt(variance)) - level, -50, 50, xtol=1e-14)  # noqa: B023
        assert out[i, 0] == pytest.approx(root, abs=1e-11)
        assert out[i, 2] == pytest.approx(level, rel=1e-12)


def test_expected_shortfall_is_the_mean_simple_loss_of_the_tail() -> None:
    level, weights, mean, variance = 0.05, np.array([0.8, 0.2]), np.array([0.001, -0.03]), np.array([0.01**2, 0.06**2])

    def loss(r: float) -> float:
        return float(-np.expm1(r) * (weights @ stats.norm.pdf(r, mean, np.sqrt(variance))))

    q = mixture_quantile(level, weights, mean, variance, _normal(mean))
    wanted = quad(loss, -1.0, q, points=[-0.1, -0.03], epsabs=1e-13)[0] / level
    mixture = (weights, mean, variance, _normal(mean))
    assert mixture_expected_shortfall(level, *mixture) == pytest.approx(wanted, rel=1e-8)
    assert mixture_value_at_risk(level, *mixture) == pytest.approx(-math.expm1(q), rel=1e-14)


def test_student_parts_have_scipys_distribution() -> None:
    cases = _mixtures(200, 5, students=True)
    out = np.empty((200, 4))
    _each(*cases, out)
    for i, (level, weights, mean, variance, nu) in enumerate(zip(*cases, strict=True)):
        scale = np.sqrt(variance * np.where(nu < np.inf, (nu - 2.0) / np.where(nu < np.inf, nu, 4.0), 1.0))
        below = weights @ stats.t.cdf((out[i, 0] - mean) / scale, nu)
        assert below == pytest.approx(level, rel=1e-9)
        assert out[i, 2] == pytest.approx(level, rel=1e-11)


@pytest.mark.parametrize(("nu", "level", "deviation"), [(2.1, 0.001, 0.01), (4.0, 0.05, 0.3), (30.0, 0.01, 0.02)])
def test_a_student_tail_is_integrated(nu: float, level: float, deviation: float) -> None:
    scale = deviation * math.sqrt((nu - 2.0) / nu)

    def loss(v: float) -> float:
        # The tail in a variable in which it is smooth at its end.
        return -math.expm1(stats.t.ppf(v**6, nu, 0.001, scale)) * 6.0 * v**5

    wanted = quad(loss, 0.0, level ** (1 / 6), epsabs=0.0, epsrel=1e-10, limit=500)[0] / level
    mixture = (np.ones(1), np.array([0.001]), np.array([deviation**2]), np.array([nu]))
    assert mixture_expected_shortfall(level, *mixture) == pytest.approx(wanted, rel=1e-5)


def test_a_point_mass_has_its_own_quantile() -> None:
    weights, mean, variance = np.array([0.5, 0.5]), np.array([-0.1, 0.2]), np.zeros(2)
    assert mixture_quantile(0.25, weights, mean, variance, _normal(mean)) == pytest.approx(-0.1, abs=1e-12)
    assert mixture_cdf(0.0, weights, mean, variance, _normal(mean)) == 0.5


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, math.nan])
def test_a_level_that_is_no_probability_gives_nan(level: float) -> None:
    assert math.isnan(mixture_quantile(level, np.ones(1), np.zeros(1), np.ones(1), np.full(1, np.inf)))


@pytest.mark.parametrize(("K", "horizon"), [(1, 5), (2, 1), (2, 6), (3, 4), (4, 3)])
def test_horizon_mixture_equals_the_sum_over_all_paths(K: int, horizon: int) -> None:
    transition, mean, variance = _chain(K, K)
    weights, total_mean, total_variance = horizon_mixture(transition, mean, variance, horizon)
    assert weights.shape == (K, math.comb(horizon + K - 1, K - 1))
    for start in range(K):
        by_visits: dict[tuple[int, ...], float] = {}
        for path in itertools.product(range(K), repeat=horizon):
            mass = math.prod(transition[i, j] for i, j in itertools.pairwise((start, *path)))
            visits = tuple(path.count(k) for k in range(K))
            by_visits[visits] = by_visits.get(visits, 0.0) + mass
        found = sorted(zip(total_mean, total_variance, weights[start], strict=True))
        wanted = sorted((np.dot(v, mean), np.dot(v, variance), w) for v, w in by_visits.items())
        np.testing.assert_allclose(np.array(found), np.array(wanted), rtol=1e-12, atol=1e-14)


def test_one_bar_ahead_has_one_component_a_regime_in_order() -> None:
    transition, mean, variance = _chain(3, 1)
    weights, total_mean, total_variance = horizon_mixture(transition, mean, variance, 1)
    np.testing.assert_array_equal(weights, transition)
    np.testing.assert_array_equal(total_mean, mean)
    np.testing.assert_array_equal(total_variance, variance)


@given(st.integers(1, 4), st.integers(1, 8), st.integers(0, 99))
def test_mean_and_variance_of_the_mixture_follow_the_laws_of_total_expectation(K: int, horizon: int, seed: int) -> None:
    transition, mean, variance = _chain(K, seed)
    weights, total_mean, _ = horizon_mixture(transition, mean, variance, horizon)
    powers = [np.linalg.matrix_power(transition, h + 1) for h in range(horizon)]
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-13)
    np.testing.assert_allclose(weights @ total_mean, sum(p @ mean for p in powers), rtol=1e-10, atol=1e-13)


def test_simulated_sums_have_the_mixtures_quantiles() -> None:
    transition = np.array([[0.95, 0.05], [0.2, 0.8]])
    mean, variance = np.array([0.001, -0.002]), np.array([0.01**2, 0.03**2])
    weights, total_mean, total_variance = horizon_mixture(transition, mean, variance, 10)
    probs, mixed = np.array([0.7, 0.3]), np.empty(weights.shape[1])
    blend(probs, weights, mixed)
    random = np.random.default_rng(0)
    regime = (random.random(200_000) > 0.7).astype(int)
    total = np.zeros(200_000)
    for _ in range(10):
        regime = (random.random(200_000) > transition[regime, 0]).astype(int)
        total += mean[regime] + np.sqrt(variance[regime]) * random.standard_normal(200_000)
    for level in (0.01, 0.05, 0.5):
        q = mixture_quantile(level, mixed, total_mean, total_variance, _normal(mixed))
        # Four standard errors of a binomial share.
        assert abs((total <= q).mean() - level) < 4.0 * math.sqrt(level * (1.0 - level) / 200_000)


@pytest.mark.parametrize("horizon", [0, -1, 2.5])
def test_a_horizon_must_be_a_positive_whole_number(horizon: Any) -> None:
    with pytest.raises(PartError, match=r"whole number of bars"):
        horizon_mixture(np.ones((1, 1)), np.zeros(1), np.ones(1), horizon)


def test_a_mixture_too_large_is_refused_by_name() -> None:
    with pytest.raises(PartError, match=r"horizon = 60 with 6 regimes .* shorter horizon"):
        horizon_mixture(np.full((6, 6), 1 / 6), np.zeros(6), np.ones(6), 60)


def test_what_a_watcher_asks_for_is_the_quantile_to_the_last_bit() -> None:
    rng = np.random.default_rng(3)
    fitted = gaussian_hmm(states=3, starts=2, seed=1).fit(rng.standard_normal((400, 1)) * [[0.01]])
    seen = outlook(fitted, 5)
    for level in (0.01, 0.05, 0.5):
        belief = rng.dirichlet(np.ones(3))
        of = fitted.predict(belief)
        assert of.probs.tobytes() == seen.next(belief).tobytes()
        wanted = mixture_quantile(level, of.weights, of.mean, of.variance, of.degrees_of_freedom)
        assert seen.quantile(belief, level).hex() == float(wanted).hex()
