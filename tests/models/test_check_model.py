"""The laws of models: every model that ships, three that somebody else wrote, and a planted fault for each law."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

import barograph as bg
from barograph.errors import PartError
from barograph.regimes.family import chain_forecast
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.matching import match
from barograph.regimes.mixture import mixture_value_at_risk
from barograph.testing import LAWS, check_model
from barograph_models._chain import filter, gaussian
from barograph_models.gaussian_hmm import DIAGONAL, gaussian_hmm
from barograph_models.student_hmm import student_hmm
from tests.models.test_models import MODELS
from tests.plugins.forest import forest
from tests.plugins.semi_markov import all_paths, semi_markov
from tests.plugins.student_draws import STUDENT_DRAWS, student_draws

HAZARD = np.array([np.linspace(0.001, 0.05, 12), np.linspace(0.3, 0.05, 12)])
# A mixture's density, and the nearest centre, know nothing of the moves that are counted for their forecasts.
APART = {"mixture": ("density", "two bars"), "kmeans unscaled": ("scale", "two bars"), "kmeans": ("two bars",)}


def rows(d: int = 1, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    X = random.standard_normal((240, d)) * np.repeat([0.01, 0.04, 0.01], 80)[:, None]
    X[31, 0] = np.nan
    return X


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_that_ships_obeys_the_laws(name: str, d: int) -> None:
    factory, settings = MODELS[name]
    without = next((laws for key, laws in APART.items() if name.startswith(key)), ())
    found = check_model(factory(**settings), rows(d), without=without)
    assert len(found.held) + len(found.not_run) == len(LAWS)
    assert {"future", "steps", "saving", "missing bars", "renumbering", "shapes"} <= set(found.held)


@pytest.mark.parametrize(
    "model",
    [
        student_hmm(states=3, degrees_of_freedom="own"),
        pytest.param(student_hmm(), marks=pytest.mark.long),
        pytest.param(student_hmm(uncertainty=4, sweeps=40), marks=pytest.mark.long),
    ],
)
def test_student_t_rows_that_lack_a_cell_are_marginals_too(model: Model) -> None:
    found = check_model(model, rows(3), without=[law for law in LAWS if law != "missing cells"])
    assert found.held == ("missing cells",)


PLUGINS: dict[str, tuple[Callable[[], Model], int, set[str]]] = {
    "semi-Markov": (lambda: semi_markov(HAZARD), 1, {"density", "two bars", "unseen bars"}),
    "draws": (student_draws, 1, {"density", "snapshot", "unseen bars"}),
    "forest": (forest, 2, {"renumbering", "missing bars"}),
}


@pytest.mark.parametrize("name", PLUGINS)
def test_models_that_somebody_else_wrote_obey_the_laws(name: str) -> None:
    make, d, held = PLUGINS[name]
    found = check_model(make(), rows(d))
    assert held <= set(found.held)
    assert all(re.match(r"[a-z -]+: ", why) for why in found.not_run)


def ages(fitted: Fitted, state: Any) -> tuple[Any, Any]:
    """The semi-Markov chain as a big Markov chain over (regime, age), and the state as its probabilities."""
    p = fitted.params
    K, D = p.hazard.shape
    big = np.zeros((K * D, K * D))
    for k in range(K):
        for a in range(D):
            big[k * D + a, k * D + min(a + 1, D - 1)] += 1.0 - p.hazard[k, a]
            for j in range(K):
                big[k * D + a, j * D] += p.hazard[k, a] * p.follows[k, j]
    return big, state.age.ravel()


def test_a_semi_markov_filter_gets_its_own_stays_forecasts_and_value_at_risk() -> None:
    X = rows()
    fitted = semi_markov(HAZARD).fit(X)
    state = fitted.state_after(X)
    big, now = ages(fitted, state)
    D = HAZARD.shape[1]
    inside = [big[k * D : (k + 1) * D, k * D : (k + 1) * D] for k in range(2)]
    wanted = [np.linalg.solve(np.eye(D) - part, np.ones(D))[0] for part in inside]
    assert fitted.stays() == pytest.approx(wanted, rel=1e-12)
    share = np.linalg.matrix_power(big, 4096)[0].reshape(2, D).sum(axis=1)
    assert fitted.stationary() == pytest.approx(share, abs=1e-12)
    for horizon in (1, 3, 5):
        found = fitted.predict(state, horizon)
        assert found.probs == pytest.approx(
            (now @ np.linalg.matrix_power(big, horizon)).reshape(2, D).sum(axis=1), abs=1e-12
        )
        mixture = brute_force(fitted, big, now, horizon)
        assert value_at_risk(found) == pytest.approx(1.0 - np.exp(quantile(*mixture)), rel=1e-12)


def brute_force(fitted: Fitted, big: Any, now: Any, horizon: int) -> tuple[Any, Any, Any]:
    """Weights, means and variances over all paths of regimes."""
    p, D, parts = fitted.params, HAZARD.shape[1], []
    for path in all_paths(2, horizon):
        mass = now
        for k in path:
            mass = mass @ big
            mass = np.where(np.arange(2 * D) // D == k, mass, 0.0)
        parts.append((mass.sum(), sum(p.means[k, 0] for k in path), sum(p.variances[k, 0] for k in path)))
    return tuple(np.array(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]


def quantile(weights: Any, mean: Any, variance: Any, level: float = 0.05) -> float:
    def beyond(x: float) -> float:
        return float(weights @ stats.norm.cdf((x - mean) / np.sqrt(variance))) - level

    return float(optimize.brentq(beyond, -1.0, 1.0, xtol=1e-16, rtol=1e-15))


def value_at_risk(of: Any, level: float = 0.05) -> float:
    return float(mixture_value_at_risk(level, of.weights, of.mean, of.variance, of.degrees_of_freedom))


def test_draws_have_the_value_at_risk_of_their_own_predictive() -> None:
    X = rows()
    fitted = student_draws().fit(X)
    state, p = fitted.state_after(X), fitted.params
    ahead = state.each[0] * (1.0 - p.leave[0]) + state.each[1] * p.leave[1]
    weights = state.weights * np.array([ahead, 1.0 - ahead])

    def beyond(x: float) -> float:
        return float((weights * stats.t.cdf((x - p.means) / p.scales, p.freedom)).sum()) - 0.001

    wanted = 1.0 - np.exp(optimize.brentq(beyond, -1.0, 0.0, xtol=1e-16))
    found = value_at_risk(fitted.predict(state), 0.001)
    assert found == pytest.approx(wanted, rel=1e-10)
    moments = fitted.moments()
    assert moments is not None
    normal = quantile(weights.sum(axis=1), moments.mean[:, 0], moments.variance[:, 0], 0.001)
    # What normal regimes of the same moments would say.
    assert found != pytest.approx(1.0 - np.exp(normal), rel=0.02)
    with pytest.raises(PartError, match="one bar ahead"):
        fitted.predict(state, 2)


def test_a_forest_is_matched_without_changing_what_it_believes() -> None:
    X = rows(2)
    fitted = forest().fit(X)
    assert (fitted.regimes, len(fitted.params.shows)) == (6, 16)
    before = fitted.filter_path(X).probs
    order = np.array([3, 0, 5, 1, 4, 2])
    moved, found = match(fitted, fitted.reordered(order))
    assert found.permutation == tuple(np.argsort(order).tolist())
    assert moved.filter_path(X).probs.tobytes() == before.tobytes()
    assert np.array_equal(fitted.reordered(order).filter_path(X).probs, before[:, order])
    # Of all its arrays the map alone has changed.
    same = [np.array_equal(a, b) for a, b in zip(fitted.params, fitted.reordered(order).params, strict=True)]
    assert [name for name, kept in zip(fitted.params._fields, same, strict=True) if not kept] == ["shows"]


def test_what_a_model_has_not_got_is_none() -> None:
    of = forest().fit(rows(2))
    absent = (of.transition, of.stays(), of.stationary(), of.aic, of.bic, of.icl, of.summary()["log_likelihood"])
    assert absent == (None,) * 7
    for ask, wanted in (
        (lambda: of.smooth(rows(2)), "does not smooth"),
        (lambda: of.predict(rows(2)), "has no forecast"),
    ):
        with pytest.raises(PartError, match=f"forest {wanted}"):
            ask()


# Planted faults: each breaks one law of a model that obeys them all.
chain_step, draws = DIAGONAL.step, STUDENT_DRAWS.forecast
WHOLE_ROWS = filter.chain_step(gaussian.DIAGONAL)


def spoilt(**changes: Any) -> Model:
    """The Gaussian HMM, with something wrong in its family or its fit."""
    whole = gaussian_hmm(states=2, starts=2)
    family = DIAGONAL._replace(**{key: value for key, value in changes.items() if key in DIAGONAL._fields})

    def fit(window: Any) -> Fitted:
        fitted = replace(whole.learn(window), family=family)
        return changes["fit"](fitted, window) if "fit" in changes else fitted  # type: ignore[no-any-return]

    return Model(fit, changes.get("regimes", 2), "spoilt", partial_rows="step" in changes)


def _looking(of: Callable[..., Any]) -> Callable[..., Any]:
    """A step that keeps something between runs: what it saw last time, in a place that is not its state."""
    seen: list[float] = []

    def step(state: Any, x: Any, p: Any) -> Any:
        seen.append(float(x[0]))
        state, belief = of(state, x, p)
        return state, bg.Belief(belief.probs, belief.logpdf + 1e-9 * len(seen))

    return step


@bg.kernel
def _half(state: Any, x: Any, p: Any) -> Any:
    state, belief = chain_step(state, x, p)
    state.probs[0] *= 0.5
    return state, bg.Belief(bg.frozen(state.probs), belief.logpdf)


@bg.kernel
def _forgetful(state: Any, x: Any, p: Any) -> Any:
    """A missing bar is believed to be calm."""
    state, belief = chain_step(state, x, p)
    if x[0] != x[0]:
        state.probs[0], state.probs[1] = 1.0, 0.0
    return state, bg.Belief(bg.frozen(state.probs), belief.logpdf)


@bg.kernel
def _absolute(state: Any, x: Any, p: Any) -> Any:
    """A move of more than two hundredths is wild, whatever the unit."""
    state, belief = chain_step(state, x, p)
    if abs(x[0]) > 0.02:
        state.probs[0], state.probs[1] = 0.0, 1.0
    return state, bg.Belief(bg.frozen(state.probs), belief.logpdf)


@bg.kernel
def _narrow(now: Any, plan: Any, horizon: int, out: Any) -> None:
    chain_forecast(now, plan, horizon, out)
    for m in range(out.variance.size):
        out.variance[m] *= 1.0 if horizon == 1 else 0.6


@bg.kernel
def _normal(state: Any, p: Any, horizon: int, out: Any) -> None:
    draws(state, p, horizon, out)
    for m in range(out.weights.size):
        out.degrees_of_freedom[m] = np.inf


@bg.kernel
def _unchanged(state: Any, p: Any, horizon: int, out: Any) -> None:
    draws(state, p, horizon, out)
    for k in range(out.probs.size):
        out.probs[k] = state.probs[k]


@bg.kernel
def _heavy(state: Any, p: Any, horizon: int, out: Any) -> None:
    draws(state, p, horizon, out)
    out.weights[0] += 0.01


def other_family(make: Callable[[], Model], **changes: Any) -> Model:
    """A plug-in with another family."""
    whole = make()

    def fit(window: Any) -> Fitted:
        fitted = whole.learn(window)
        return replace(fitted, family=fitted.family._replace(**changes))

    return Model(fit, whole.regimes, "spoilt")


def _two_more(window: Any) -> Fitted:
    """A fit whose leaf table grows with the rows."""
    fitted = forest().learn(window)
    return replace(fitted, params=fitted.params._replace(votes=np.zeros((5, len(window.rows), 16))))


def _drifting(*leaves: Any) -> Any:
    """Parameters that are a little larger each time that they are made."""
    return DIAGONAL.params(*leaves[:2], leaves[2] + 1e-6, *leaves[3:])


class _Quiet(Model):
    """A model that does not say what is wrong with its fits."""

    def __init__(self) -> None:
        super().__init__(gaussian_hmm(states=2, starts=2).learn, 2, "quiet")

    def fit(self, data: Any) -> Fitted:
        return self.learn(bg.window(data))


FAULTS: dict[str, tuple[str, Callable[[], Model], str]] = {
    "another number of regimes": ("width", lambda: spoilt(regimes=3), "says 3 regimes, its fit 2"),
    "no probabilities": ("probabilities", lambda: spoilt(step=_half), "are no probabilities"),
    "what it has seen before": ("future", lambda: spoilt(step=_looking(DIAGONAL.step)), "when the bars after 0 are"),
    "a missing bar": ("missing bars", lambda: spoilt(step=_forgetful), "a missing bar after .* is not predicted"),
    "a row that lacks a cell": ("missing cells", lambda: spoilt(step=WHOLE_ROWS), "bar 60 without column 0 is not"),
    "an absolute limit": ("scale", lambda: spoilt(step=_absolute), "percent returns give other probabilities"),
    "means that stay behind": (
        "renumbering",
        lambda: spoilt(shared=("means",)),
        "renumbered regimes believe otherwise",
    ),
    "stays that stay behind": (
        "renumbering",
        lambda: other_family(lambda: semi_markov(HAZARD), stays=lambda _: np.array([10.0, 5.0])),
        "stays: not renumbered",
    ),
    "a smoother of something else": (
        "batch",
        lambda: spoilt(smooth=lambda _, X: np.full((len(X), 2), 0.5)),
        "its last row is not the filter's at bar 0",
    ),
    "a leaf table that grows": ("shapes", lambda: Model(_two_more, 6, "grows"), "votes is"),
    "a snapshot of another shape": (
        "snapshot",
        lambda: other_family(student_draws, snapshot=lambda p, _: p._replace(weights=np.ones(2))),
        r"weights is \(6,\), in the state \(2,\)",
    ),
    "a weight too many": ("mixture", lambda: other_family(student_draws, forecast=_heavy), "weights at horizon 1 are"),
    "normal for Student-t": (
        "density",
        lambda: other_family(student_draws, forecast=_normal),
        "the log-density of bar",
    ),
    "no move at all": ("unseen bars", lambda: other_family(student_draws, forecast=_unchanged), "at horizon 1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_its_law(name: str) -> None:
    law, make, told = FAULTS[name]
    d = 2 if "leaf" in name or "cell" in name else 1
    with pytest.raises(AssertionError, match=rf"the law of {law} is broken: .*{told}"):
        check_model(make(), rows(d), without=[other for other in LAWS if other != law])


def test_a_law_that_is_none_is_refused() -> None:
    with pytest.raises(PartError, match="'causality' is no law; wanted some of width"):
        check_model(semi_markov(HAZARD), rows(), without=["causality"])
