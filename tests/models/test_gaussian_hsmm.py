"""The semi-Markov model against sums over all paths, against the Markov chain that it becomes, and by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from barograph.errors import ConfigError, FitError, PartError
from barograph.regimes.fitted import Fitted
from barograph.regimes.matching import match
from barograph.regimes.window import window
from barograph_models._chain import gaussian
from barograph_models._chain.gaussian import gaussian_params
from barograph_models._durations import inference, law
from barograph_models._durations.params import ages, draw, duration_params, remaining
from barograph_models._fit.data import sample
from barograph_models._fit.restarts import DIED
from barograph_models.gaussian_hmm import DIAGONAL as CHAIN
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.gaussian_hsmm import DIAGONAL, FULL, DurationParams, gaussian_hsmm

SMALL = [(2, 3), (2, 2), (3, 3), (2, 9)]


def some(K: int, D: int, seed: int = 0) -> DurationParams:
    """Regimes whose hazards have no shape at all."""
    random = np.random.default_rng(seed)
    follows = random.dirichlet(np.ones(K), K) * (1.0 - np.eye(K))
    start, means = random.dirichlet(np.ones(K)), random.standard_normal((K, 1))
    hazard = random.uniform(0.1, 0.9, (K, D))
    return duration_params(start, follows / follows.sum(1)[:, None], means, 0.5 + random.random((K, 1)), hazard)


def fit_of(params: Any, family: Any = DIAGONAL) -> Fitted:
    return Fitted(family, params, None, 1, None, None, True, 0, ("x0",))


def chance_of(path: tuple[int, ...], p: DurationParams) -> float:
    """Return P(these regimes), the last stay unfinished: by the hazards, stay after stay."""
    found, age, D = float(p.start[path[0]]), 0, p.hazard.shape[1]
    for one, other in itertools.pairwise(path):
        h = float(p.hazard[one, min(age, D - 1)])
        found *= 1.0 - h if one == other else h * float(p.follows[one, other])
        age = age + 1 if one == other else 0
    return found


def all_paths(p: DurationParams, X: Any, beyond: int = 0) -> Any:
    """Return every path of regimes over the rows and so many bars beyond, and how likely rows and path are."""
    K = len(p.start)
    paths = np.array(list(itertools.product(range(K), repeat=len(X) + beyond)))
    deviation = np.sqrt(p.covariances[:, 0])
    density = np.where(np.isnan(X), 1.0, stats.norm.pdf(X, p.means[:, 0], deviation))
    seen = np.prod(np.take_along_axis(density[None], paths[:, : len(X), None], axis=2)[:, :, 0], axis=1)
    return paths, seen * np.array([chance_of(tuple(path), p) for path in paths.tolist()])


def rows(T: int, seed: int = 0) -> Any:
    X = np.random.default_rng(seed).standard_normal((T, 1))
    X[T // 2] = np.nan
    return X


@pytest.mark.parametrize(("K", "D"), SMALL)
def test_filter_smoother_and_viterbi_equal_the_sum_over_all_paths(K: int, D: int) -> None:
    p, X = some(K, D), rows(8 if K == 2 else 6)
    fitted = fit_of(p)
    path, whole = fitted.filter_path(X), 1.0
    for t in range(1, len(X) + 1):
        paths, joint = all_paths(p, X[:t])
        wanted = np.array([joint[paths[:, -1] == k].sum() for k in range(K)])
        np.testing.assert_allclose(path.probs[t - 1], wanted / wanted.sum(), atol=1e-13)
        assert path.logpdf[t - 1] == pytest.approx(math.log(wanted.sum() / whole), abs=1e-12)
        whole = wanted.sum()
    smoothed = np.array([[joint[paths[:, t] == k].sum() for k in range(K)] for t in range(len(X))])
    np.testing.assert_allclose(fitted.smooth(X).hindsight, smoothed / whole, atol=1e-13)
    assert fitted.viterbi(X).tolist() == paths[np.argmax(joint)].tolist()


@pytest.mark.parametrize(("K", "D"), SMALL)
def test_viterbi_finds_the_likeliest_path_of_many_worlds(K: int, D: int) -> None:
    for seed in range(20):
        p, X = some(K, D, seed), rows(7 if K == 2 else 5, seed)
        paths, joint = all_paths(p, X)
        assert fit_of(p).viterbi(X).tolist() == paths[np.argmax(joint)].tolist()


@pytest.mark.parametrize(("K", "D"), SMALL)
@pytest.mark.parametrize("horizon", [1, 3])
def test_a_forecast_equals_the_sum_over_all_paths_ahead(K: int, D: int, horizon: int) -> None:
    p, X = some(K, D), rows(6 if K == 2 else 4)
    fitted = fit_of(p)
    of = fitted.predict(fitted.state_after(X), horizon)
    paths, joint = all_paths(p, X, horizon)
    joint = joint / joint.sum()
    np.testing.assert_allclose(of.probs, [joint[paths[:, -1] == k].sum() for k in range(K)], atol=1e-13)
    # The return of a path is normal; that of the mixture has the same moments and the same parts.
    ahead = paths[:, len(X) :]
    mean, variance = p.means[ahead, 0].sum(1), p.covariances[ahead, 0].sum(1)
    for power in (1, 2):
        told = float(of.weights @ (of.mean**power + (power - 1) * of.variance))
        assert told == pytest.approx(float(joint @ (mean**power + (power - 1) * variance)), rel=1e-12)
    assert len(of.weights) == len(np.unique(np.round(mean, 9)))


@pytest.mark.parametrize(("K", "D"), SMALL)
def test_an_em_step_is_the_expected_counts_over_all_paths(K: int, D: int) -> None:
    """Emissions, first regimes, moves, and the life table of the ages: one iteration, every number."""
    # Seeds of which every regime holds two rows and more: less would be a regime that has died.
    p, X = some(K, D, K - 2), rows(11 if K == 2 else 8, K - 2)
    X = (X - np.nanmean(X)) / np.nanstd(X)
    given = inference.Given(1e-6, law.EMPIRICAL, law.Habits(1.0, 0.0))
    ascent = inference.ascend(gaussian.DIAGONAL, sample(X, 1, "test"), p, 2, -np.inf, given)
    assert ascent.verdict != DIED
    found = ascent.params
    paths, joint = all_paths(p, X)
    joint = joint / joint.sum()
    share = np.array([[joint[paths[:, t] == k].sum() for k in range(K)] for t in range(len(X))])
    np.testing.assert_allclose(found.start, share[0], atol=1e-12)
    there = np.isfinite(X[:, 0])
    for k in range(K):
        mean = np.average(X[there, 0], weights=share[there, k])
        np.testing.assert_allclose(found.means[k, 0], mean, atol=1e-12)
    moves, ends, risk = np.zeros((K, K)), np.zeros((K, D)), np.zeros((K, D))
    for path, weight in zip(paths.tolist(), joint.tolist(), strict=True):
        age = 0
        for one, other in itertools.pairwise(path):
            a = min(age, D - 1)
            risk[one, a] += weight
            ends[one, a] += weight * (one != other)
            moves[one, other] += weight * (one != other)
            age = age + 1 if one == other else 0
    np.testing.assert_allclose(found.follows, moves / moves.sum(1)[:, None], atol=1e-12)
    low = 0
    while low < D:
        band = slice(low, 2 * low if low else 1)
        if risk[:, band].sum() > 0.0:
            wanted = ends[:, band].sum(1) / np.maximum(risk[:, band].sum(1), 1e-300)
            reached = risk[:, band].sum(1) > 0.0
            np.testing.assert_allclose(found.hazard[reached, low], wanted[reached], atol=1e-11)
        low = 2 * low if low else 1


def geometric(D: int) -> tuple[DurationParams, Any]:
    """Return the same two regimes as stays of geometric length and as a chain."""
    stay = np.array([0.97, 0.9])
    chain = gaussian_params(
        [0.7, 0.3], [[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]], [[0.1], [-0.2]], [[1.0], [6.0]]
    )
    hazard = np.repeat(1.0 - stay[:, None], D, axis=1)
    return duration_params(chain.start, 1.0 - np.eye(2), chain.means, chain.covariances, hazard), chain


@pytest.mark.parametrize("D", [2, 3, 300])
def test_geometric_stays_are_the_markov_chain(D: int) -> None:
    ours, chain = geometric(D)
    X = gaussian_rows(chain, 1_500)
    X[100:140] = np.nan
    one, other = fit_of(ours), fit_of(chain, CHAIN)
    for name in ("probs", "logpdf"):
        near = getattr(one.filter_path(X), name)
        np.testing.assert_allclose(near, getattr(other.filter_path(X), name), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.smooth(X).hindsight, other.smooth(X).hindsight, atol=1e-10)
    np.testing.assert_array_equal(one.viterbi(X), other.viterbi(X))
    np.testing.assert_allclose(one.stays(), other.stays(), rtol=1e-12)
    np.testing.assert_allclose(one.stationary(), other.stationary(), rtol=1e-12)
    for horizon in (1, 10):
        ahead, wanted = (of.predict(of.state_after(X), horizon) for of in (one, other))
        for name in ("weights", "mean", "variance", "probs"):
            np.testing.assert_allclose(getattr(ahead, name), getattr(wanted, name), atol=1e-12)


def gaussian_rows(chain: Any, T: int, seed: int = 0) -> Any:
    return fit_of(chain, CHAIN).sample(T, seed)[0]


def test_geometric_durations_fit_as_the_markov_chain_does() -> None:
    X = gaussian_rows(geometric(2)[1], 800)
    settings: Any = {"starts": 3, "tolerance": 1e-11, "seed": 1}
    one = gaussian_hsmm(durations="geometric", longest=40, prior="none", **settings).fit(X)
    other = gaussian_hmm(iterations=3000, **settings).fit(X)
    assert one.log_likelihood[-1] == pytest.approx(other.log_likelihood[-1], abs=1e-6)
    np.testing.assert_allclose(one.stays(), other.stays(), rtol=1e-3)
    np.testing.assert_allclose(one.moments().variance, other.moments().variance, rtol=1e-3)


@pytest.mark.parametrize(("mean", "v"), [(9.0, 1.0), (40.0, 0.3), (40.0, 3.0), (20.0, 0.0)])
def test_hazards_are_those_of_the_negative_binomial_and_the_poisson(mean: float, v: float) -> None:
    longest = 60
    hazard = law.hazards([mean], [v], longest)[0]
    rest = stats.poisson(mean) if v == 0.0 else stats.nbinom(1.0 / v, 1.0 / (1.0 + mean * v))
    p = rest.pmf(np.arange(longest + 1))
    # The tail is geometric from the last age on.
    ratio = p[longest] / p[longest - 1]
    alive = np.cumsum(np.r_[p[: longest - 1], p[longest - 1] / (1.0 - ratio)][::-1])[::-1]
    np.testing.assert_allclose(hazard, p[:longest] / alive, rtol=1e-9)


@pytest.mark.parametrize(("kind", "v"), [("negative_binomial", 0.4), ("negative_binomial", 2.5), ("poisson", 0.0)])
def test_slopes_are_the_hazards_own(kind: str, v: float) -> None:
    mean, longest, step = 25.0, 50, 1e-6
    hazard, slopes = np.empty((1, longest)), np.empty((2, longest))
    law.fill(0, mean, v, hazard, slopes)
    moved = (law.hazards([mean * math.exp(s)], [v], longest)[0] for s in (step, -step))
    np.testing.assert_allclose(slopes[0], (next(moved) - next(moved)) / (2 * step), rtol=1e-5, atol=1e-9)
    if v > 0.0:
        moved = (law.hazards([mean], [v * math.exp(s)], longest)[0] for s in (step, -step))
        np.testing.assert_allclose(slopes[1], (next(moved) - next(moved)) / (2 * step), rtol=1e-5, atol=1e-9)


def test_a_law_is_learned_to_the_maximum_of_its_likelihood() -> None:
    """Ends and bars at risk of many stays, some unfinished: against a general optimiser, from afar."""
    random, longest = np.random.default_rng(4), 80
    lengths = 1 + random.negative_binomial(2.0, 2.0 / 32.0, 300)
    ended, lasted = np.zeros((1, longest)), np.zeros((1, longest))
    for length in lengths.tolist():
        for age in range(length):
            a = min(age, longest - 1)
            done = age == length - 1 and length % 7 != 0
            ended[0, a], lasted[0, a] = ended[0, a] + done, lasted[0, a] + (not done)

    def loss(theta: Any) -> float:
        hazard = law.hazards([math.exp(theta[0])], [math.exp(theta[1])], longest)
        return -float((ended * np.log(hazard) + lasted * np.log1p(-hazard)).sum())

    best = optimize.minimize(loss, [3.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x
    found, hazard, slopes = np.array([[60.0, 2.0]]), np.empty((1, longest)), np.empty((2, longest))
    for _ in range(2):
        law.learn(0, law.Habits(1.0, 0.0), found, hazard, slopes, ended, lasted)
    np.testing.assert_allclose(np.log(found[0]), best, atol=1e-5)


@pytest.mark.parametrize("durations", list(law.KINDS))
@pytest.mark.parametrize("prior", ["market", "none"])
def test_what_is_climbed_never_falls_and_ends_at_the_filters_likelihood(durations: Any, prior: Any) -> None:
    X = fit_of(world(0.5)).sample(500, 3)[0]
    fitted = gaussian_hsmm(durations=durations, prior=prior, longest=50, starts=2).fit(X)
    assert np.diff(fitted.log_likelihood).min() >= -1e-9 * abs(fitted.log_likelihood[-1])
    assert fitted.score(X) == pytest.approx(fitted.log_likelihood[-1], rel=1e-11)


def world(v: float, stay: tuple[float, float] = (40.0, 15.0), longest: int = 100) -> DurationParams:
    """Return a calm and a wild regime whose stays have these means and this dispersion."""
    hazard = law.hazards([stay[0] - 1.0, stay[1] - 1.0], [v, v], longest)
    return duration_params([0.6, 0.4], 1.0 - np.eye(2), [[0.05], [-0.1]], [[1.0], [9.0]], hazard)


def test_stays_stationary_and_remaining_life_are_those_of_a_long_path() -> None:
    p = world(0.2)
    fitted = fit_of(p)
    X, states = fitted.sample(40_000, 5)
    ends = np.flatnonzero(np.diff(states)) + 1
    lengths = np.diff(ends)
    for k in range(2):
        mine = lengths[states[ends[:-1]] == k]
        assert fitted.stays()[k] == pytest.approx(mine.mean(), abs=4.0 * mine.std() / math.sqrt(len(mine)))
    np.testing.assert_allclose(fitted.stationary(), [(states == k).mean() for k in range(2)], atol=0.02)
    hidden = ages(fitted.state_after(X[:300]), p.lasts)
    np.testing.assert_allclose(hidden.sum(1), fitted.filter_path(X[:300]).probs[-1], atol=1e-12)


def test_the_remaining_life_is_shorter_the_older_a_stay_of_usual_length_is() -> None:
    left = law.remaining(world(0.05).hazard)[0]
    assert left[0] == pytest.approx(39.0, rel=0.01)
    assert (np.diff(left[:60]) < 0.0).all()
    by_hand = sum(
        float(np.prod(1.0 - world(0.05).hazard[0, np.minimum(np.arange(9, 9 + n), 99)])) for n in range(1, 400)
    )
    assert left[9] == pytest.approx(by_hand, rel=1e-9)


def test_remaining_bars_are_told_from_the_state() -> None:
    p = world(0.05)
    fitted = fit_of(p)
    calm = np.random.default_rng(2).standard_normal((30, 1))
    state = fitted.state_after(calm)
    share = ages(state, p.lasts)[0]
    wanted = float(share @ law.remaining(p.hazard)[0] / share.sum())
    assert remaining(p, state)[0] == pytest.approx(wanted, rel=1e-12)
    assert remaining(p, state)[0] < 15.0


def test_an_outlier_beyond_every_density_and_ages_beyond_every_length_leave_probabilities() -> None:
    p = duration_params([0.5, 0.5], 1.0 - np.eye(2), [[0.0], [1e4]], [[1.0], [1.0]], law.hazards([3, 3], [0, 0], 80))
    X = np.r_[np.zeros(2_000), 1e7, np.zeros(3), np.full(500, 1e4)][:, None]
    path = fit_of(p).filter_path(X)
    np.testing.assert_allclose(path.probs.sum(1), 1.0, atol=1e-12)
    assert path.probs[1_999, 0] > 0.999
    assert path.probs[-1, 1] > 0.999
    assert np.isfinite(fit_of(p).smooth(X).hindsight).all()


def test_labels_keep_through_a_refit_and_the_previous_fit_is_one_more_start() -> None:
    X = fit_of(world(0.2)).sample(1_200, 4)[0]
    model = gaussian_hsmm(longest=60, starts=2)
    first = model.fit(X[:1_000])
    again = model.fit(window(X[:1_000], previous=first))
    assert again.log_likelihood[-1] >= first.log_likelihood[-1] - 1e-6
    later, how = match(first, model.fit(window(X[200:], previous=first)).reordered([1, 0]))
    assert how.convincing
    assert how.permutation == (1, 0)
    assert later.stays()[0] > later.stays()[1]


def test_a_previous_fit_of_other_ages_or_of_another_law_is_no_start() -> None:
    X = fit_of(world(0.2)).sample(600, 4)[0]
    alone = gaussian_hsmm(longest=60, starts=1).fit(X)
    for other in ({"longest": 30}, {"longest": 60, "durations": "poisson"}):
        before = gaussian_hsmm(starts=1, **other).fit(X)
        after = gaussian_hsmm(longest=60, starts=1).fit(window(X, previous=before))
        assert after.digest == alone.digest
    poisson = gaussian_hsmm(longest=60, durations="poisson", starts=1)
    assert (poisson.fit(window(X, previous=alone)).params.law[:, 1] == 0.0).all()


@pytest.mark.parametrize("D", [2, 20, 300])
@pytest.mark.parametrize("v", [0.0, 0.02, 0.5, 0.99, 1.0 - 1e-6])
def test_the_farthest_law_has_a_tail_of_ten_times_its_mean(v: float, D: int) -> None:
    m = law.farthest(v, D)
    w = (1.0 + (D - 1.0) * v) / D
    rho = w * m / (1.0 + m * v)
    assert (1.0 + m) * (1.0 - rho) == pytest.approx(1.0 / law.TAILS, rel=1e-5)
    assert law.farthest(1.0, D) == law.farthest(3.0, D) == math.inf


@pytest.mark.parametrize("durations", ["poisson", "negative_binomial"])
def test_a_law_of_fewer_ages_than_its_stays_has_bars_is_learned_and_told(durations: Any) -> None:
    random, calm, wild = np.random.default_rng(0), 200, 40
    lengths = np.column_stack([1 + random.poisson(calm, 8), 1 + random.poisson(wild, 8)]).ravel()
    X = random.standard_normal(lengths.sum()) * np.repeat(np.tile([1.0, 4.0], 8), lengths)
    fitted = gaussian_hsmm(durations=durations, longest=25, starts=1).fit(X)
    np.testing.assert_allclose(fitted.stays(), [calm, wild], rtol=0.25)
    assert any("regular ones, are longer than longest = 25: raise it" in line for line in fitted.degeneracies)
    assert not any("longest" in line for line in gaussian_hsmm(longest=300, starts=1).fit(X).degeneracies)


def test_two_stays_alone_never_make_an_endless_law() -> None:
    X = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0], 300)
    for durations in ("poisson", "negative_binomial"):
        assert gaussian_hsmm(durations=durations, longest=20, starts=1).fit(X).stays().max() < 2_000.0


@pytest.mark.parametrize("longest", [5, 64, 300])
def test_what_is_believed_of_a_life_table_is_one_stay(longest: int) -> None:
    """With nothing seen every hazard is one in a stay; with one end a band so many bands weigh one end together."""
    none, slopes = np.zeros((1, longest)), np.empty((2, longest))
    found, told, habits = np.ones((1, 2)), np.empty((1, longest)), law.Habits(99.0, 1.0)
    law.learn(law.EMPIRICAL, habits, found, told, slopes, none, none)
    np.testing.assert_allclose(told, 0.01, rtol=1e-12)
    ended = none.copy()
    first_of_bands = [0, *[2**i for i in range(longest.bit_length()) if 2**i < longest]]
    ended[0, first_of_bands] = 1.0
    law.learn(law.EMPIRICAL, habits, found, told, slopes, ended, none)
    firm = 1.0 / law.bands(longest)
    np.testing.assert_allclose(told, (1.0 + firm) / (1.0 + 100.0 * firm), rtol=1e-12)
    # Its density is highest there: beside it, it is less.
    best = np.full((1, longest), 0.01)
    around = [law.belief_in(law.EMPIRICAL, habits, found, best * s) for s in (0.9, 1.0, 1.1)]
    assert max(around) == around[1]
    assert law.belief_in(law.EMPIRICAL, habits, found, best) == pytest.approx(math.log(0.01) + 99 * math.log(0.99))


def test_the_law_that_is_told_of_a_life_table_is_its_own_stays() -> None:
    X = fit_of(world(0.2)).sample(600, 4)[0]
    for prior in ("market", "none"):
        fitted = gaussian_hsmm(durations="empirical", prior=prior, longest=30, starts=1).fit(X)  # type: ignore[arg-type]
        np.testing.assert_allclose(fitted.params.law[:, 0], np.minimum(fitted.stays() - 1.0, 1e5))


def test_what_is_never_entered_takes_for_ever() -> None:
    never = duration_params([1 / 3] * 3, [[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0]], np.zeros((3, 1)), np.ones((3, 1)),
                            np.full((3, 4), 0.2))  # fmt: skip
    fitted = fit_of(never)
    assert fitted.entering(fitted.state_after(np.zeros((3, 1))), 2, 5).bars == math.inf
    # A stay that never ends is the one now, or one that follows, or one that nothing leads to.
    hazard = np.array([[0.0] * 4, [0.5] * 4, [0.25] * 4])
    stuck = duration_params([0, 0.5, 0.5], [[0, 1, 0], [0, 0, 1], [0, 1, 0]], np.zeros((3, 1)), np.ones((3, 1)), hazard)
    fitted = fit_of(stuck)
    state = fitted.state_after(np.zeros((1, 1)))
    assert fitted.entering(state, 0, 5).bars == math.inf
    # Half of the chance is there, the other half is in a stay that has 1 / .5 bars.
    assert fitted.entering(state, 2, 5).bars == pytest.approx(1.0)
    # All starts alike: a third never ends, the rest is shared by stays of 2 and of 4 bars.
    np.testing.assert_allclose(fitted.stationary(), [1 / 3, 2 / 9, 4 / 9], atol=1e-12)
    ends = duration_params([0, 1], [[0, 1], [1, 0]], np.zeros((2, 1)), np.ones((2, 1)), [[0.0] * 4, [0.5] * 4])
    np.testing.assert_allclose(fit_of(ends).stationary(), [1.0, 0.0], atol=1e-12)
    assert fit_of(ends).entering(fit_of(ends).state_after(np.zeros((1, 1))), 0, 5).bars == pytest.approx(2.0)


def test_full_covariances_are_fitted_too() -> None:
    random = np.random.default_rng(0)
    X = random.standard_normal((400, 2)) * np.tile(np.repeat([[0.5], [2.0]], 40, axis=0), (5, 1))
    X[:, 1] += 0.8 * X[:, 0]
    fitted = gaussian_hsmm(covariance="full", longest=60, starts=2).fit(X)
    assert fitted.family is FULL
    assert fitted.params.covariances[1, 0, 1] > 1.0
    np.testing.assert_allclose(fitted.stays(), 40.0, rtol=0.15)


@pytest.mark.parametrize(
    ("X", "wanted"),
    [
        (np.zeros((3, 1)), "3 of 3 rows are observed, 2 states need at least 4"),
        (np.ones((80, 1)), "feature 0 is constant over the 80 observed rows; drop it"),
        (np.r_[rows(80), [[np.inf]]], "feature 0 is infinite in row 80; mend the data or make it NaN"),
    ],
)
def test_hopeless_data_are_refused_by_name(X: Any, wanted: str) -> None:
    with pytest.raises(FitError, match=f"gaussian_hsmm: {wanted}"):
        gaussian_hsmm().fit(X)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"states": 1}, "states = 1, longest = 300: at least 2 of both are wanted"),
        ({"longest": 1}, "states = 2, longest = 1: at least 2"),
        ({"stay": 1.0}, "stay = 1.0, a finite number of bars above 1 is wanted"),
        ({"stay": math.inf}, "stay = inf, a finite number of bars above 1 is wanted"),
        ({"durations": "poison"}, "durations = 'poison', one of negative_binomial, .*; did you mean 'poisson'"),
        ({"prior": "weak"}, "prior = 'weak', one of market, none"),
        ({"longest": 0}, "longest = 0, a whole number"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(settings: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"gaussian_hsmm: {wanted}"):
        gaussian_hsmm(**settings)


def test_a_forecast_that_would_not_fit_is_refused_by_its_size() -> None:
    fitted = fit_of(some(3, 400))
    with pytest.raises(PartError, match=r"horizon = 100 with 3 regimes of 400 ages makes 6181200 chances"):
        fitted.predict(fitted.state_after(rows(3)), 100)


def test_a_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(FitError, match=r"regime 1: its covariance is not positive definite"):
        duration_params([0.5, 0.5], 1 - np.eye(2), np.zeros((2, 1)), [[1.0], [0.0]], np.full((2, 3), 0.1))


def test_draws_are_the_models_own_law() -> None:
    X, states = draw(world(0.2), 20_000, 1)
    for k in range(2):
        assert X[states == k, 0].std() == pytest.approx([1.0, 3.0][k], rel=0.05)
