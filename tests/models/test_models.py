"""What every model owes: one list of checks, each model's name in it once. Then what is peculiar to two of them."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from barograph.errors import ConfigError, FitError
from barograph.jit.views import frozen
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import window
from barograph_models.autoregressive_hmm import autoregressive_hmm
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.gaussian_hsmm import gaussian_hsmm
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_models.kmeans import kmeans
from barograph_models.mixture_hmm import mixture_hmm
from tests import ROOT

MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "hmm diagonal": (gaussian_hmm, {"states": 2, "starts": 3}),
    "hmm full": (gaussian_hmm, {"states": 2, "covariance": "full", "starts": 3}),
    "hsmm diagonal": (gaussian_hsmm, {"states": 2, "starts": 3, "longest": 40}),
    "hsmm full": (gaussian_hsmm, {"states": 2, "starts": 3, "longest": 40, "covariance": "full"}),
    "mixture diagonal": (gaussian_mixture, {"states": 2, "covariance": "diagonal", "starts": 3}),
    "mixture full": (gaussian_mixture, {"states": 2, "starts": 3}),
    "two components": (mixture_hmm, {"states": 2, "components": 2, "starts": 3}),
    "autoregression": (autoregressive_hmm, {"states": 2, "starts": 3}),
    "kmeans": (kmeans, {"states": 2, "starts": 3}),
    "kmeans unscaled": (kmeans, {"states": 2, "starts": 3, "scale": False}),
}


def _rows(seed: int = 0, d: int = 2) -> Any:
    """Two calm stretches around a wild one, with an echo of it in the other features."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((300, d)) * np.repeat([0.5, 2.0, 0.5], 100)[:, None]
    X[:, 1:] += np.repeat([0.0, 6.0, 0.0], 100)[:, None]
    return X


@pytest.fixture(params=MODELS)
def model(request: Any) -> Model:
    factory, settings = MODELS[request.param]
    return factory(**settings)  # type: ignore[no-any-return]


@pytest.fixture
def fitted(model: Model) -> Fitted:
    return model.fit(_rows())


@pytest.mark.parametrize(
    "factory", sorted({factory for factory, _ in MODELS.values()}, key=lambda factory: factory.__name__)
)
def test_a_factorys_signature_is_its_schema(factory: Any) -> None:
    for parameter in inspect.signature(factory).parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.default is not inspect.Parameter.empty
    made = factory()
    assert (made.name, made.regimes) == (factory.__name__, inspect.signature(factory).parameters["states"].default)


def test_beliefs_are_probabilities_and_the_wild_stretch_is_regime_one(fitted: Fitted) -> None:
    probs = fitted.filter_path(_rows()).probs
    np.testing.assert_allclose(probs.sum(axis=1), 1.0, atol=1e-12)
    assert probs.min() >= 0.0
    assert probs[110:200, 1].mean() > 0.9
    assert probs[10:100, 1].mean() < 0.1
    assert fitted.viterbi(_rows())[[50, 150, 250]].tolist() == [0, 1, 0]
    np.testing.assert_allclose(fitted.smooth(_rows()).hindsight.sum(axis=1), 1.0, atol=1e-12)


def test_the_future_changes_nothing_in_the_past(fitted: Fitted) -> None:
    X = _rows()
    whole = fitted.filter_path(X).probs
    X[150:] = -99.0
    assert fitted.filter_path(X).probs[:150].tobytes() == whole[:150].tobytes()
    assert fitted.filter_path(X[:150]).probs.tobytes() == whole[:150].tobytes()


def test_the_online_filter_is_the_path_row_by_row(fitted: Fitted) -> None:
    X = _rows()
    X[30] = np.nan
    online = fitted.filter()
    state, path = online.init(online.params), fitted.filter_path(X)
    for t, row in enumerate(X):
        state, belief = online.step(state, frozen(row), online.params)
        assert belief.probs.tobytes() == path.probs[t].tobytes()
        np.testing.assert_array_equal(belief.logpdf, path.logpdf[t])


def test_a_refit_changes_numbers_never_shapes_or_types(model: Model) -> None:
    one, other = model.fit(_rows(0)).filter(), model.fit(_rows(1)[:200]).filter()
    assert one.step is other.step
    assert one.init is other.init
    for a, b in zip(one.params, other.params, strict=True):
        assert (a.shape, a.dtype, a.flags.c_contiguous) == (b.shape, b.dtype, True)


def test_a_row_with_a_missing_cell_is_an_observation_to_models_that_say_so_and_to_no_other(model: Model) -> None:
    X = _rows()
    X[20:40:3, 0] = np.nan
    X[41:60:5, 1] = np.nan
    X[70:80] = np.nan
    fitted = model.fit(X)
    gone = np.isnan(X).all(axis=1) if model.partial_rows else np.isnan(X).any(axis=1)
    if model.name == "autoregressive_hmm":  # a bar is measured from the one before, which the first has not
        gone |= np.concatenate([[True], gone[:-1]])
    assert fitted.observations == (~gone).sum()
    path = fitted.filter_path(X)
    np.testing.assert_array_equal(path.logpdf[gone], 0.0)
    for t in np.flatnonzero(gone[1:]) + 1:
        np.testing.assert_allclose(path.probs[t], fitted.predict(fitted.state_after(X[:t])).probs, atol=1e-15)
    X[np.isnan(X).any(axis=1)] = np.nan
    again = model.fit(X)
    same = all(a.tobytes() == b.tobytes() for a, b in zip(fitted.params, again.params, strict=True))
    assert same != model.partial_rows


def test_the_first_row_may_be_missing_and_so_may_all(fitted: Fitted) -> None:
    path = fitted.filter_path(np.full((3, 2), np.nan))
    np.testing.assert_allclose(path.probs[0], fitted.params.start, atol=1e-15)
    ahead = fitted.predict(fitted.state_after(np.full((2, 2), np.nan)))
    np.testing.assert_allclose(path.probs[2], ahead.probs, atol=1e-15)
    assert fitted.filter_path(np.empty((0, 2))).probs.shape == (0, 2)
    assert fitted.smooth(np.empty((0, 2))).hindsight.shape == (0, 2)


def test_likelihood_rises_and_the_last_is_the_fits(fitted: Fitted) -> None:
    path = fitted.log_likelihood
    assert np.diff(path).min(initial=0.0) >= -1e-9 * abs(path[-1])
    assert fitted.converged
    total = fitted.filter_path(_rows()).logpdf.sum()
    assert np.isnan(total) or total == pytest.approx(path[-1], rel=1e-11)


def test_other_units_change_no_belief(model: Model, request: pytest.FixtureRequest) -> None:
    if "unscaled" in request.node.name:
        pytest.skip("unscaled distances depend on the units: that is what the setting is for")
    scale, shift = np.array([0.01, 300.0]), np.array([0.0, 40.0])
    one, other = model.fit(_rows()), model.fit(_rows() * scale + shift)
    np.testing.assert_allclose(
        other.filter_path(_rows() * scale + shift).probs, one.filter_path(_rows()).probs, atol=1e-5
    )
    np.testing.assert_allclose(other.moments().mean, one.moments().mean * scale + shift, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(other.moments().variance, one.moments().variance * scale**2, rtol=1e-4)


def test_the_same_seed_gives_the_same_bits(model: Model) -> None:
    one, other = model.fit(_rows()), model.fit(_rows())
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one.params, other.params, strict=True))


def test_the_previous_fit_helps_and_never_harms(model: Model) -> None:
    one = model.fit(_rows())
    again = model.fit(window(_rows(), previous=one))
    assert again.log_likelihood[-1] >= one.log_likelihood[-1] - 1e-9
    other = gaussian_hmm(3, starts=2).fit(_rows(3, d=1))
    assert model.fit(window(_rows(), previous=other)).log_likelihood[-1] == one.log_likelihood[-1]


def test_data_are_left_as_they_were(model: Model) -> None:
    X = _rows()
    X[4] = np.nan
    X.flags.writeable = False
    before = X.tobytes()
    model.fit(X).smooth(X)
    assert X.tobytes() == before


@pytest.mark.parametrize("X", [np.full((80, 2), np.nan), _rows()[:4], np.ones((80, 2)), _rows() * np.inf])
def test_hopeless_data_are_an_error(model: Model, X: Any) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(FitError, match=model.name):
        model.fit(X)


def test_kmeans_believes_in_the_nearest_centre_of_scaled_features() -> None:
    X = _rows()
    fitted = kmeans(states=3, starts=4).fit(X)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    distance = ((Z[:, None, :] - fitted.params.centres) ** 2).sum(axis=2)
    labels = distance.argmin(axis=1)
    np.testing.assert_array_equal(fitted.filter_path(X).probs, np.eye(3)[labels])
    assert np.isnan(fitted.filter_path(X).logpdf).all()
    for k in range(3):
        np.testing.assert_allclose(fitted.params.centres[k], Z[labels == k].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(fitted.moments().variance[k], X[labels == k].var(axis=0), rtol=1e-10)
    assert np.diff(fitted.moments().variance[:, 0]).min() > 0.0
    counts = np.zeros((3, 3))
    np.add.at(counts, (labels[:-1], labels[1:]), 1.0)
    np.testing.assert_allclose(fitted.transition, counts / counts.sum(axis=1, keepdims=True), atol=1e-15)


def test_kmeans_scaling_belongs_to_the_training_window() -> None:
    fitted = kmeans(states=2, starts=2).fit(_rows()[:200])
    np.testing.assert_allclose(fitted.params.centre, _rows()[:200].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(1.0 / fitted.params.shrink, _rows()[:200].std(axis=0), rtol=1e-12)


def test_kmeans_finds_the_tightest_of_all_partitions() -> None:
    x = np.array([0.0, 0.2, 0.3, 5.0, 5.5, 9.0, 9.9, 10.0, 10.1])
    best = min(
        sum(((part - part.mean()) ** 2).sum() for part in np.split(x, [i, j]))
        for i in range(1, 8)
        for j in range(i + 1, 9)
    )
    fitted = kmeans(states=3, scale=False, starts=20).fit(x)
    labels = fitted.viterbi(x)
    assert sum(((x[labels == k] - x[labels == k].mean()) ** 2).sum() for k in range(3)) == pytest.approx(best)


def test_a_cluster_that_starves_is_an_error() -> None:
    X = np.vstack([_rows(d=1)[:30], [[500.0]]])
    with pytest.raises(FitError, match=r"kmeans: every start failed; .*a regime died"):
        kmeans(states=2).fit(X)


def test_kmeans_begins_at_the_previous_centres_too() -> None:
    previous = kmeans(states=3, starts=4).fit(_rows())
    X = _rows() * 7.0 + 100.0
    moved = previous.family.params(*(a.copy() for a in previous.params))
    moved.centre[:], moved.shrink[:] = moved.centre * 7.0 + 100.0, moved.shrink / 7.0
    hasty = kmeans(states=3, starts=2, iterations=2)
    assert not hasty.fit(X).converged
    assert hasty.fit(window(X, previous=replace(previous, params=moved))).converged


def test_labels_that_never_settle_are_told() -> None:
    assert not kmeans(states=3, iterations=1).fit(_rows()).converged


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_mixture_judges_each_row_by_bayes_rule_alone(covariance: Any) -> None:
    X = _rows()
    fitted = gaussian_mixture(2, covariance, starts=3).fit(X)
    joint = np.empty((len(X), 2))
    for k in range(2):
        matrix = fitted.params.covariances[k] if covariance == "full" else np.diag(fitted.params.covariances[k])
        joint[:, k] = fitted.params.start[k] * stats.multivariate_normal(fitted.params.means[k], matrix).pdf(X)
    path = fitted.filter_path(X)
    np.testing.assert_allclose(path.probs, joint / joint.sum(axis=1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(path.logpdf, np.log(joint.sum(axis=1)), atol=1e-10)
    posterior = path.probs
    moves = posterior[:-1].T @ posterior[1:]
    np.testing.assert_allclose(fitted.transition, moves / moves.sum(axis=1, keepdims=True), atol=1e-8)
    labels = posterior.argmax(axis=1)
    assert fitted.completed == pytest.approx(np.log(joint[np.arange(len(X)), labels]).sum(), rel=1e-9)


def test_mixture_counts_no_moves_across_a_missing_row() -> None:
    X = _rows()
    X[[50, 120, 121, 250]] = np.nan
    fitted = gaussian_mixture(2, starts=3).fit(X)
    posterior, seen = fitted.filter_path(X).probs, ~np.isnan(X).any(axis=1)
    pairs = [t for t in range(len(X) - 1) if seen[t] and seen[t + 1]]
    moves = sum(np.outer(posterior[t], posterior[t + 1]) for t in pairs)
    np.testing.assert_allclose(fitted.transition, moves / moves.sum(axis=1, keepdims=True), atol=1e-8)


def test_mixture_em_stands_still_at_its_own_answer() -> None:
    X = _rows()
    fitted = gaussian_mixture(2, starts=3, tolerance=1e-12).fit(X)
    posterior = fitted.filter_path(X).probs
    np.testing.assert_allclose(fitted.params.start, posterior.mean(axis=0), atol=1e-5)
    for k in range(2):
        np.testing.assert_allclose(fitted.params.means[k], np.average(X, axis=0, weights=posterior[:, k]), atol=1e-4)
        wanted = np.cov(X.T, aweights=posterior[:, k], bias=True)
        np.testing.assert_allclose(fitted.params.covariances[k], wanted, atol=1e-3)


@pytest.mark.parametrize(
    "factory", sorted({factory for factory, _ in MODELS.values()}, key=lambda factory: factory.__name__)
)
def test_settings_that_cannot_be_meant_are_refused_by_name(factory: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{factory.__name__}: states = -1, a whole number"):
        factory(states=-1)


def test_the_guides_own_model_runs_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    (tmp_path / "guide_shock.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    fitted = importlib.import_module("guide_shock").fitted
    fitted.save(tmp_path / "shock.npz")
    assert Fitted.load(tmp_path / "shock.npz").summary() == fitted.summary()


def test_moves_across_a_missing_bar_are_not_counted() -> None:
    X = np.array([0.0, 0.1, 9.0, np.nan, 0.2, 0.1, 9.1, 9.2, 9.3, 0.0])
    fitted = kmeans(states=2, starts=4).fit(X)
    calm, wild = (int(fitted.viterbi(X)[t]) for t in (0, 2))
    wanted = np.zeros((2, 2))
    for i, j in [(calm, calm), (calm, wild), (calm, calm), (calm, wild), (wild, wild), (wild, wild), (wild, calm)]:
        wanted[i, j] += 1.0
    np.testing.assert_allclose(fitted.transition, wanted / wanted.sum(axis=1, keepdims=True), atol=1e-15)
