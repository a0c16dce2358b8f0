"""BOCPD and CUSUM: laws, a second reading of their papers, tables of run lengths, and what they take for a change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import barograph as bg
from barograph import features
from barograph.data.synthetic import SCENARIOS, simulate
from barograph.errors import ConfigError, FitError, PartError
from barograph.jit.views import frozen
from barograph.loop.run import replay, scan
from barograph.regimes.filtering import filter_path, filter_rows
from barograph.regimes.fitted import Model
from barograph.regimes.matching import match
from barograph.regimes.outlook import outlook
from barograph.testing import check_model
from barograph.types import Filter
from barograph_models.bocpd import BOCPD, bocpd, bocpd_params
from barograph_models.cusum import cusum
from barograph_models.jump_model import jump_model
from barograph_strategies.regime_filter import regime_filter


def rows(d: int = 1, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    X = random.standard_normal((240, d)) * np.repeat([0.01, 0.04, 0.01], 80)[:, None]
    X[31, 0] = np.nan
    return X


MODELS: dict[str, tuple[Model, int]] = {
    "bocpd": (bocpd(longest=60), 1),
    "bocpd of two": (bocpd(longest=60), 2),
    "cusum": (cusum(), 1),
    "cusum of two": (cusum(watch="level"), 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_they_obey_the_laws_of_models(name: str) -> None:
    model, d = MODELS[name]
    found = check_model(model, rows(d))
    assert {"future", "steps", "saving", "missing bars", "scale", "shapes", "degeneracies"} <= set(found.held)
    if name == "bocpd":
        assert {"density", "mixture", "unseen bars"} <= set(found.held)


@pytest.mark.parametrize("model", [jump_model(penalty=10.0, compare_return=False), bocpd(longest=60), cusum()])
def test_a_machine_that_refits_them_says_the_same_bar_by_bar(model: Model) -> None:
    history = simulate(SCENARIOS["daily2"], 700, seed=3).history
    inputs = [features.log_return(), features.ewm_volatility(10.0)]
    fit = bg.Fit(window=400, every=63)
    machine = bg.Machine(strategy=regime_filter(), model=model, features=inputs, fit=fit)
    one, other = scan(machine, history), replay(machine, history)
    assert one.arrays.equity.tobytes() == other.arrays.equity.tobytes()
    assert one.arrays.beliefs.tobytes() == other.arrays.beliefs.tobytes()
    assert len(np.unique(one.arrays.beliefs[:, 0])) > 1


def online(d: int = 1, **settings: Any) -> Filter:
    """BOCPD with its prior in the data's own units."""
    params = bocpd_params(np.zeros(d), np.ones(d), **settings)
    return Filter(BOCPD.init, BOCPD.step, params, 2, "bocpd")


def second_reading(X: Any, hazard: float, prior: tuple[float, float, float]) -> tuple[Any, Any, list[Any]]:
    """Algorithm 1 of Adams & MacKay (2007) with growing lists: P(run lengths) after each row, log predictive."""
    bars, shape, rate = prior
    P, mean = np.ones(1), np.zeros((1, X.shape[1]))
    k, a, b = np.array([bars]), np.array([shape]), np.full((1, X.shape[1]), rate)
    logs, all_of_them, parts = [], [], []
    for x in X:
        scale = np.sqrt(b * (k + 1.0)[:, None] / (a * k)[:, None])
        pdf = stats.t.pdf(x, 2.0 * a[:, None], mean, scale).prod(axis=1)
        logs.append(math.log(P @ pdf))
        P = np.concatenate([[hazard * (P @ pdf)], (1.0 - hazard) * P * pdf])
        P /= P.sum()
        away = x - mean
        grown = b + 0.5 * (k / (k + 1.0))[:, None] * away**2
        mean = np.vstack([np.zeros((1, X.shape[1])), mean + away / (k + 1.0)[:, None]])
        b, k, a = np.vstack([np.full((1, X.shape[1]), rate), grown]), np.r_[bars, k + 1.0], np.r_[shape, a + 0.5]
        all_of_them.append(P)
        parts.append((mean, k, a, b))
    return all_of_them, np.array(logs), parts


@pytest.mark.parametrize(("d", "prior"), [(1, (1.0, 1.0, 1.0)), (2, (0.5, 2.0, 1.5))])
def test_run_lengths_are_those_of_the_paper(d: int, prior: tuple[float, float, float]) -> None:
    random = np.random.default_rng(0)
    X = random.standard_normal((160, d)) * np.repeat([1.0, 3.0], 80)[:, None]
    bars, shape, rate = prior
    own = online(d, expected_run=50.0, recent=5, longest=200, prune=0.0, mean_bars=bars, shape=shape, rate=rate)
    wanted, logs, _ = second_reading(X, 0.02, prior)
    found = filter_path(own, X)
    np.testing.assert_allclose(found.logpdf, logs, atol=1e-10)
    # The first run begins older than `recent`: from then on the two count alike.
    np.testing.assert_allclose(found.probs[6:, 1], [P[:6].sum() for P in wanted[6:]], atol=1e-12)
    state = filter_rows(own, X)[0]
    M = len(state.weights)
    runs = state.weights[(state.head + np.arange(M)) % M]
    np.testing.assert_allclose(runs[:150], wanted[-1][:150], atol=1e-12)


def test_the_forecast_is_the_papers_predictive() -> None:
    X = rows()[:30]
    fitted = bocpd(longest=40, recent=3, prune=0.0).fit(X)
    of = fitted.predict(fitted.state_after(X), 1)
    P, _, parts = second_reading((X - fitted.params.centre) * fitted.params.shrink, 1.0 / 250.0, (1.0, 2.0, 1.0))
    mean, _k, _a, _b = parts[-1]
    assert of.weights @ of.mean == pytest.approx(
        float(P[-1] @ mean[:, 0]) / fitted.params.shrink[0] + fitted.params.centre[0], rel=1e-9
    )
    x = np.linspace(-0.1, 0.1, 2001)
    scale = np.sqrt(of.variance * (of.degrees_of_freedom - 2.0) / of.degrees_of_freedom)
    density = (of.weights * stats.t.pdf(x[:, None], of.degrees_of_freedom, of.mean, scale)).sum(axis=1)
    assert density.sum() * (x[1] - x[0]) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(PartError, match="bocpd forecasts one bar ahead, not 5"):
        fitted.predict(fitted.state_after(X), 5)


def test_a_watcher_is_told_nothing_of_a_horizon_that_it_does_not_forecast() -> None:
    fitted = bocpd(longest=40).fit(rows())
    seen = outlook(fitted, horizon=5)
    assert seen.then is None
    assert seen.names == ("steady", "changed")
    assert seen.quantile(np.array([1.0, 0.0]), 0.05, fitted.state_after(rows())) < 0.0


def test_how_soon_a_tripled_volatility_is_seen() -> None:
    """Deviation 1 to 3 at bar 500, H = 1/250, P(run <= 5): above two thirds within three bars, in the median.

    A single world says little: at the first bar of the new noise it is .03 in the median and above .5 in a fifth.
    """
    own, found = online(expected_run=250.0, recent=5, longest=600, prune=1e-6, shape=1.0), []
    for seed in range(120):
        random = np.random.default_rng(seed)
        X = np.r_[random.standard_normal(500), 3.0 * random.standard_normal(8)][:, None]
        found.append(filter_path(own, X).probs[499:, 1])
    path = np.array(found)
    assert np.median(path[:, 0]) < 0.02
    assert np.median(path[:, 1:4].max(axis=1)) == pytest.approx(0.69, abs=0.12)
    assert np.median(path[:, 1:].max(axis=1)) > 0.75
    assert 0.1 < (path[:, 1] > 0.5).mean() < 0.35


# ruptures 1.1.10, Pelt(model="normal", min_size=20, jump=1) with penalties 20 and 30, and Dynp with three changes.
OFFLINE = [300, 499, 749]


def test_hindsights_change_points_are_found_again() -> None:
    random = np.random.default_rng(0)
    parts = ((0.0, 1.0, 300), (0.0, 3.0, 200), (2.0, 3.0, 250), (0.0, 0.7, 250))
    x = np.concatenate([random.normal(mean, deviation, bars) for mean, deviation, bars in parts])
    changed = bocpd(recent=40).fit(x).filter_path(x).probs[:, 1] > 0.5
    rings = np.flatnonzero(changed[1:] & ~changed[:-1]) + 1
    for at in OFFLINE:
        assert min(abs(rings - at)) <= 20
    assert changed[100:300].sum() == 0
    # A calmer market is recognised too late for a short memory.
    short = bocpd(recent=5).fit(x).filter_path(x).probs[750:, 1]
    assert short.max() < 0.5


def test_runs_beyond_the_longest_are_a_sliding_window() -> None:
    """The weight of run R is that of R and more, and its mean that of the last R rows."""
    random = np.random.default_rng(0)
    X = random.standard_normal((400, 1)) + np.linspace(0.0, 1.0, 400)[:, None]
    own = online(expected_run=1e6, recent=3, longest=50, prune=0.0)
    state = filter_rows(own, X)[0]
    oldest = (state.head + 50) % 51
    assert state.counts[oldest] == 50.0
    assert state.means[oldest, 0] == pytest.approx(X[-50:].sum() / 51.0, rel=1e-12)
    assert state.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert state.weights[oldest] > 0.9


def test_dropping_unlikely_runs_changes_little() -> None:
    X = rows()
    one, other = bocpd(longest=200, prune=0.0).fit(X), bocpd(longest=200).fit(X)
    np.testing.assert_allclose(one.filter_path(X).probs, other.filter_path(X).probs, atol=2e-3)
    assert (other.state_after(X).weights == 0.0).sum() > (one.state_after(X).weights == 0.0).sum()


def test_missing_rows_only_age_the_runs() -> None:
    X = rows()[:30]
    fitted = bocpd(longest=60, recent=3, prune=0.0, expected_run=10.0).fit(X)
    probs = fitted.filter_path(np.vstack([X, np.full((50, 1), np.nan)])).probs
    # A chain of run lengths with nothing seen: the hazard alone decides.
    assert probs[-1, 1] == pytest.approx(1.0 - 0.9**4, abs=1e-12)


def test_it_resumes_from_any_bar() -> None:
    X = rows(2)
    fitted = bocpd(longest=40).fit(X)
    own, whole = fitted.filter(), fitted.filter_path(X)
    state = fitted.state_after(X[:150])
    for t in range(150, 170):
        state, belief = own.step(state, frozen(X[t]), own.params)
        assert belief.probs.tobytes() == whole.probs[t].tobytes()
        assert belief.logpdf == whole.logpdf[t]


def test_its_likelihood_is_what_it_foresaw_and_regimes_keep_their_names() -> None:
    X = rows()
    fitted = bocpd(longest=100).fit(X)
    assert fitted.score(X) == pytest.approx(fitted.log_likelihood[-1], rel=1e-12)
    assert (fitted.transition, fitted.stays(), fitted.stationary(), fitted.moments()) == (None, None, None, None)
    assert fitted.labels == ("steady", "changed")
    assert match(fitted, bocpd(longest=100).fit(X[20:]))[1].permutation == (0, 1)


@pytest.mark.parametrize("model", [bocpd(), cusum()])
def test_that_changes_are_rare_is_no_fault_of_a_fit(model: Model) -> None:
    noise = np.random.default_rng(1).standard_normal(800)
    fitted = model.fit(noise)
    assert fitted.filter_path(noise).probs[:, 1].mean() < 0.1
    assert fitted.degeneracies == ()


@pytest.mark.parametrize("model", [bocpd(longest=60), cusum(), cusum(watch="level")])
def test_an_absurd_row_poisons_nothing(model: Model) -> None:
    X = rows()
    fitted = model.fit(X)
    path = fitted.filter_path(np.vstack([X[:50], [[1e300]], [[-1e300]], X]))
    np.testing.assert_allclose(path.probs.sum(axis=1), 1.0)
    assert path.probs[-1, 1] < 0.5


def test_a_filter_that_has_just_begun_raises_no_alarm() -> None:
    X = rows()
    probs = bocpd(longest=60).fit(X).filter_path(X[:20]).probs
    assert probs[:, 1].max() < 0.5
    assert probs[0, 1] < 0.02


def chart(z: Any, allowance: float, limit: float) -> list[int]:
    """Page's two-sided chart as textbooks have it, begun again after a signal: the bars at which it rings."""
    high = low = 0.0
    found = []
    for t, value in enumerate(z):
        high, low = max(0.0, high + value - allowance), max(0.0, low - value - allowance)
        if max(high, low) >= limit:
            found.append(t)
            high = low = 0.0
    return found


@pytest.mark.parametrize(("shift", "limit"), [(1.0, 4.0), (2.0, 2.0)])
def test_the_level_is_watched_by_pages_chart(shift: float, limit: float) -> None:
    x = np.random.default_rng(0).standard_normal(2_000)
    fitted = cusum(watch="level", shift=shift, threshold=limit * shift, recent=1).fit(x)
    z = (x - x.mean()) / x.std()
    changed = fitted.filter_path(x).probs[:, 1]
    rings = np.zeros(2_000, dtype=bool)
    rings[chart(z, 0.5 * shift, limit)] = True
    np.testing.assert_array_equal(changed == 1.0, rings | np.r_[False, rings[:-1]])
    assert rings.sum() > 3


# Two-sided, allowance 1/2. D. Montgomery, Introduction to Statistical Quality Control, table of average run lengths.
@pytest.mark.parametrize(("limit", "moved", "bars"), [(4.0, 0.0, 168.0), (4.0, 1.0, 8.38), (5.0, 1.0, 10.4)])
def test_published_average_run_lengths(limit: float, moved: float, bars: float) -> None:
    x = np.random.default_rng(0).standard_normal(200_000)
    fitted = cusum(watch="level", threshold=limit, recent=1).fit(x)
    changed = fitted.filter_path(x + moved * x.std()).probs[:, 1] == 1.0
    # A ring is two bars of "changed", and no two rings touch: the least run is longer than that.
    rings = np.count_nonzero(changed[1:] & ~changed[:-1])
    assert 200_000 / rings == pytest.approx(bars, rel=0.06)


def test_volatility_is_watched_by_its_likelihood_ratio() -> None:
    x = np.random.default_rng(0).standard_normal(900) * np.repeat([1.0, 2.0, 0.4], 300)
    fitted = cusum(watch="volatility", ratio=2.0, threshold=6.0, recent=1).fit(x[:300])
    z = (x - x[:300].mean()) / x[:300].std()
    up = stats.norm.logpdf(z, 0.0, 2.0) - stats.norm.logpdf(z)
    down = stats.norm.logpdf(z, 0.0, 0.5) - stats.norm.logpdf(z)
    sums, wanted, since = np.zeros(2), [], -10
    for t in range(900):
        sums = np.maximum(0.0, sums + np.array([up[t], down[t]]))
        if sums.max() >= 6.0:
            sums, since = np.zeros(2), t
        wanted.append(t - since <= 1)
    np.testing.assert_array_equal(fitted.filter_path(x).probs[:, 1] == 1.0, wanted)
    assert np.mean(wanted[:300]) < 0.02
    assert np.mean(wanted[310:600]) > 0.15
    assert np.mean(wanted[620:]) > 0.03


def test_nothing_rings_by_chance_more_often_than_lorden_says() -> None:
    x = np.random.default_rng(0).standard_normal(100_000)
    for watch in ("level", "volatility"):
        fitted = cusum(watch=watch, threshold=4.0, recent=1).fit(x)
        probs = fitted.filter_path(x).probs[:, 1]
        rings = np.count_nonzero((probs[1:] == 1.0) & (probs[:-1] == 0.0))
        assert rings / 100_000 < 2.0 * math.exp(-4.0)


def test_what_cusum_has_not_got_is_none() -> None:
    fitted = cusum().fit(rows())
    assert (fitted.bic, fitted.log_likelihood, fitted.transition, fitted.moments()) == (None, None, None, None)
    assert np.isnan(fitted.filter_path(rows()).logpdf[0])
    with pytest.raises(PartError, match="cusum has no forecast"):
        fitted.predict(np.array([1.0, 0.0]))


@pytest.mark.parametrize("model", [bocpd(), cusum()], ids=["bocpd", "cusum"])
@pytest.mark.parametrize(
    ("X", "told"),
    [
        (rows()[:3], "3 of 3 rows are observed, 2 states need at least 4"),
        (np.ones((60, 1)), "feature 0 is constant over the 60 observed rows; drop it"),
        (np.where(rows() > 0.03, np.inf, rows()), "feature 0 is infinite in row"),
    ],
    ids=["few", "constant", "infinite"],
)
def test_hopeless_data_are_one_clear_line(model: Model, X: Any, told: str) -> None:
    with pytest.raises(FitError, match=f"{model.name}: {told}") as found:
        model.fit(X)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("model", [bocpd(), cusum()], ids=["bocpd", "cusum"])
def test_the_wrong_number_of_features_is_refused(model: Model) -> None:
    with pytest.raises(PartError, match=f"{model.name}: X has 2 columns, the model was fitted on 1"):
        model.fit(rows()).filter_path(rows(2))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: bocpd(expected_run=1.0), "bocpd: expected_run = 1.0, a number of bars above 1"),
        (lambda: bocpd(recent=0), "bocpd: recent = 0, a whole number of at least 1"),
        (lambda: bocpd(longest=20), "bocpd: longest = 20, at least 22 is wanted, two more than recent"),
        (lambda: bocpd(prune=0.7), "bocpd: prune = 0.7, a probability"),
        (lambda: bocpd(shape=1.0), "bocpd: shape = 1.0, a number above 1 is wanted"),
        (lambda: bocpd(rate=0.0), "bocpd: rate = 0.0, a number above 0"),
        (lambda: cusum(watch="vol"), "cusum: watch = 'vol', one of level, volatility, both"),
        (lambda: cusum(ratio=1.0), "cusum: ratio = 1.0, a number above 1"),
        (lambda: cusum(threshold=-1.0), "cusum: threshold = -1.0, a number above 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(make: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make()
