"""Models over models: held and late beliefs, the laws, saved files, and that `dwell` is one word everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.config.build import build
from barograph.config.load import load
from barograph.config.paper import WatchPlan
from barograph.errors import ConfigError, FitError
from barograph.loop.fit import Fit
from barograph.loop.machine import Machine
from barograph.loop.run import replay, scan
from barograph.paper.alerts.watch import begin, watch
from barograph.paper.ports import About
from barograph.regimes.dwelling import Choice, Waiting, seen_again, switch
from barograph.regimes.fitted import Fitted
from barograph.regimes.window import window
from barograph.testing import LAWS, check_model, same, some_bars
from barograph.types import Step
from barograph_models._over.blending import _joint, named_pair
from barograph_models.blend import blend
from barograph_models.delay import delay
from barograph_models.dwell import dwell
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.gaussian_hsmm import gaussian_hsmm
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_models.kmeans import kmeans
from barograph_models.online_hmm import online_hmm
from barograph_models.student_hmm import student_hmm
from barograph_models.student_panel import student_panel
from barograph_strategies.regime_leverage import regime_leverage
from tests.models.test_check_model import rows

MODELS: dict[str, Any] = {
    "a chain": lambda: gaussian_hmm(states=2, starts=3),
    "stays": lambda: gaussian_hsmm(starts=3, longest=40),
    "the nearest centre": lambda: kmeans(states=2, starts=3),
}
NAMES = ["a chain", *(pytest.param(name, marks=pytest.mark.long) for name in list(MODELS)[1:])]
# A belief that is held, or late, is not what a missing bar leaves, nor what was forecast for it.
APART = ("missing bars", "unseen bars")


def returns(bars: int = 400, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    return random.standard_normal((bars, 1)) * np.tile(np.repeat([[0.5], [1.5]], 50, axis=0), (bars // 100, 1))


@pytest.mark.parametrize("over", [dwell, delay])
@pytest.mark.parametrize("name", NAMES)
def test_models_over_models_obey_the_laws(name: str, over: Any) -> None:
    without = [*APART, *(["two bars", "density"] if name == "the nearest centre" else [])]
    found = check_model(over(MODELS[name]()), rows(), without=without)
    assert {"future", "steps", "saving", "renumbering", "scale", "shapes", "mixture"} <= set(found.held)
    assert len(found.held) + len(found.not_run) == len(LAWS)


# Of the same kind, so that it is compiled already, and of another opinion: the calm may not be as calm as it is.
DULL: dict[str, Any] = {"starts": 2, "variance_floor": 0.5}
BLENDS: dict[str, Any] = {
    "by score": lambda: blend(gaussian_hmm(starts=2), gaussian_hmm(**DULL), 0.7, keep=0.98),
    "with stays": lambda: blend(gaussian_hmm(starts=2), gaussian_hsmm(starts=2, longest=40), keep=0.98),
    "weighted": lambda: blend(gaussian_hmm(starts=2), gaussian_mixture(starts=2), 0.7),
}


@pytest.mark.parametrize("name", ["by score", *(pytest.param(n, marks=pytest.mark.long) for n in list(BLENDS)[1:])])
def test_a_blend_obeys_the_laws(name: str) -> None:
    # Weights that stand, and a mixture without memory, do not add up over two bars; neither does what is forgotten.
    without = ["two bars", *(["density"] if name == "weighted" else [])]
    found = check_model(BLENDS[name](), rows(), without=without)
    assert {"future", "steps", "saving", "missing bars", "unseen bars", "renumbering", "mixture"} <= set(found.held)
    assert ("density" in found.held) == (name != "weighted")


def test_a_blend_is_the_mean_by_hand_and_its_weights_are_bayes_rule() -> None:
    X, keep = returns(), 0.95
    one, two = gaussian_hmm(starts=2), gaussian_hmm(**DULL)
    fits = [model.fit(X[:150]) for model in (one, two)]
    both = blend(one, two, weight=0.6, keep=keep).fit(X[:150])
    path, (a, b) = both.filter_path(X), (fitted.filter_path(X) for fitted in fits)
    w = 0.6
    for t in range(len(X)):
        first, second = w * np.exp(a.logpdf[t]), (1.0 - w) * np.exp(b.logpdf[t])
        assert path.logpdf[t] == pytest.approx(np.log(first + second), abs=1e-12)
        after = first / (first + second)
        np.testing.assert_allclose(path.probs[t], after * a.probs[t] + (1.0 - after) * b.probs[t], atol=1e-12)
        w = keep * after + (1.0 - keep) * 0.6
    assert both.state_after(X).weights[0] == pytest.approx(w, abs=1e-12)
    assert np.abs(a.probs - b.probs).max() > 0.1
    assert abs(w - 0.6) > 0.01
    of, each = both.predict(both.state_after(X)), [f.predict(f.state_after(X)) for f in fits]
    np.testing.assert_allclose(of.weights, np.r_[w * each[0].weights, (1.0 - w) * each[1].weights], atol=1e-12)
    np.testing.assert_array_equal(of.variance, np.r_[each[0].variance, each[1].variance])
    told = both.entering(both.state_after(X), 1, 5).probability
    wanted = [of.entering(of.state_after(X), 1, 5).probability for of in fits]
    assert told == pytest.approx(w * wanted[0] + (1.0 - w) * wanted[1], abs=1e-12)


def test_a_blend_is_saved_refitted_and_refused(tmp_path: Path) -> None:
    X, model = returns(), BLENDS["by score"]()
    first = model.fit(X[:300])
    first.save(tmp_path / "blend.npz")
    assert Fitted.load(tmp_path / "blend.npz").digest == first.digest
    assert model.fit(window(X, previous=first)).family is first.family
    with pytest.raises(ConfigError, match=r"gaussian_hmm \(2 regimes\) and kmeans \(3\); wanted two with as many"):
        blend(gaussian_hmm(), kmeans(states=3))
    with pytest.raises(ConfigError, match=r"weight = 1\.0, keep = 0\.0; numbers above 0 and below 1"):
        blend(gaussian_hmm(), gaussian_hmm(), weight=1.0)


def test_a_blend_of_blends_is_refitted_and_loaded(tmp_path: Path) -> None:
    model = blend(blend(gaussian_hmm(starts=1), gaussian_hmm(**DULL)), dwell(gaussian_hmm(starts=1)), 0.67)
    X = returns()
    first = model.fit(X[:300])
    again = model.fit(window(X, previous=first))
    assert (again.family, again.digest == first.digest) == (first.family, False)
    first.save(tmp_path / "three.npz")
    assert Fitted.load(tmp_path / "three.npz").digest == first.digest


@pytest.mark.parametrize("name", ["", "a|b", "[]", "[a:B]", "[a:B|]", "[a:B|a:B|a:B]", "[a:B|a:B"])
def test_no_family_has_a_name_that_is_no_pair(name: str) -> None:
    with pytest.raises(AttributeError):
        named_pair(name)


@pytest.mark.parametrize("over", [dwell, pytest.param(delay, marks=pytest.mark.long)])
def test_a_model_over_a_blend_tells_what_the_blend_tells(over: Any) -> None:
    X, pair = returns(), blend(gaussian_hmm(starts=1), gaussian_hmm(**DULL), 0.7)
    inner, held = pair.fit(X), over(pair).fit(X)
    for told in ("stays", "stationary"):
        np.testing.assert_array_equal(getattr(held, told)(), getattr(inner, told)())
    np.testing.assert_array_equal(np.array(held.moments()), np.array(inner.moments()))
    np.testing.assert_array_equal(np.array(held.signature()), np.array(inner.signature()))
    state, theirs = held.state_after(X), inner.state_after(X)
    for a, b in zip(held.predict(state, 3)[1:], inner.predict(theirs, 3)[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    assert held.entering(state, 1, 5)[:2] == inner.entering(theirs, 1, 5)[:2]
    assert over(pair).fit(window(X, previous=held)).family is held.family
    # What is over another kind, in force before, is no start.
    assert over(gaussian_hmm(starts=1)).fit(window(X, previous=inner)).regimes == 2


@pytest.mark.parametrize("first", [True, False])
def test_weights_by_score_want_two_densities(first: bool) -> None:
    X, parts = returns(), [kmeans(states=2, starts=1), gaussian_hmm(starts=1)]
    one, two = parts if first else parts[::-1]
    with pytest.raises(FitError, match=r"^blend: kmeans has no density to be weighed by, and keep is above 0; take"):
        blend(one, two, keep=0.9).fit(X)
    assert np.isfinite(blend(one, two).fit(X).filter_path(X).probs).all()


@pytest.mark.parametrize("told", [(np.nan, -1.0), (-1.0, np.nan), (0.0, -1.0), (-1.0, 0.0)])
def test_a_bar_without_two_densities_leaves_the_weights(told: tuple[float, float]) -> None:
    a, b, logpdf = _joint(np.array([0.3, 0.7]), *told)
    np.testing.assert_array_equal([a, b, logpdf], [0.3, 0.7, np.nan if np.isnan(sum(told)) else 0.0])


def test_weights_do_not_hang_on_the_units_where_one_sees_a_cell_less() -> None:
    X = np.hstack([returns(), np.random.default_rng(1).standard_normal((400, 1))])
    model = blend(gaussian_hmm(starts=1), gaussian_hmm(starts=1, covariance="full"), keep=0.999)
    found = []
    for unit in (0.01, 1000.0):
        both = model.fit(X * [unit, 1.0])
        holed = X * [unit, 1.0]
        holed[300:310, 1] = np.nan
        path = both.filter_path(holed)
        assert (path.logpdf[300:310] == 0.0).all()
        found.append(both.state_after(holed).weights[0])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0] != 0.5


def in_python(fitted: Fitted, X: Any) -> Any:
    """Return the filter's state after these rows; nothing is compiled."""
    online = fitted.filter()
    state = online.init(online.params)
    for row in X:
        state, _ = online.step(state, row, online.params)
    return state


LEARNED = ("start", "transition", "means", "covariances", "whitening")


def test_what_an_online_model_has_learned_is_kept_by_one_over_it() -> None:
    X = np.concatenate([returns(), 3.0 * returns(100, seed=1)])
    online = online_hmm(memory=100, starts=1)
    alone, held = (model.fit(X[:400]) for model in (online, dwell(online)))
    moved, kept = (of.snapshot(in_python(of, X[400:])).params for of in (alone, held))
    assert np.abs(moved.covariances - alone.params.covariances).max() > 0.1
    for name in LEARNED:
        assert getattr(kept, name).tobytes() == getattr(moved, name).tobytes()


@pytest.mark.long  # the two compiled as one: 25 s
def test_what_an_online_model_has_learned_is_kept_beside_one_that_stands_still() -> None:
    X = np.concatenate([returns(), 3.0 * returns(100, seed=1)])
    online, still = online_hmm(memory=100, starts=1), gaussian_hmm(starts=1)
    alone, pair = online.fit(X[:400]), blend(still, online).fit(X[:400])
    moved, after = (of.snapshot(in_python(of, X[400:])).params for of in (alone, pair))
    for name in LEARNED:
        np.testing.assert_array_equal(getattr(after, f"other_{name}"), getattr(moved, name))
        np.testing.assert_array_equal(getattr(after, f"one_{name}"), getattr(pair.params, f"one_{name}"))


def by_hand(probs: Any, bars: int, closes: int, probability: float) -> list[int]:
    held, age, candidate, count, found = -1, 0, -1, 0, []
    for row in probs:
        best = int(np.argmax(row))
        wanted = best if best != held and (held < 0 or row[best] > probability) else -1
        count = 0 if wanted < 0 else count + 1 if wanted == candidate else 1
        candidate = wanted
        if held < 0 or (candidate >= 0 and count >= closes and age >= bars):
            held, age = candidate, 0
        age += 1
        found.append(held)
    return found


@pytest.mark.parametrize(("bars", "closes", "probability"), [(1, 1, 0.0), (7, 1, 0.0), (1, 3, 0.0), (4, 2, 0.8)])
def test_a_regime_is_held_as_the_rule_says(bars: int, closes: int, probability: float) -> None:
    X, model = returns(), gaussian_hmm(states=2, starts=2)
    path = dwell(model, bars, closes, probability).fit(X).filter_path(X)
    other = model.fit(X).filter_path(X)
    assert path.probs.argmax(axis=1).tolist() == by_hand(other.probs, bars, closes, probability)
    assert set(np.unique(path.probs)) == {0.0, 1.0}
    assert path.logpdf.tobytes() == other.logpdf.tobytes()


@pytest.mark.parametrize("bars", [1, 4])
def test_a_late_belief_is_the_one_of_so_many_bars_before(bars: int) -> None:
    X, model = returns(), gaussian_hmm(states=2, starts=2)
    late, prompt = (of.fit(X).filter_path(X).probs for of in (delay(model, bars), model))
    assert late[bars:].tobytes() == prompt[:-bars].tobytes()
    assert (late[:bars] == prompt[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_forecast_is_the_others(name: str) -> None:
    X = returns()
    inner, over = MODELS[name]().fit(X), dwell(delay(MODELS[name](), 2), 3).fit(X)
    state, theirs = over.state_after(X), inner.state_after(X)
    now = inner.filter_path(X).probs[-1] if inner.name == "kmeans" else theirs
    for a, b in zip(over.predict(state, 3)[1:], inner.predict(now, 3)[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    told = over.entering(state, 1, 5)
    assert told.probability == inner.entering(now, 1, 5).probability
    np.testing.assert_array_equal(over.stays(), inner.stays())


@pytest.mark.long
def test_draws_are_asked_through_a_model_over_them() -> None:
    X = returns()
    made = student_hmm(uncertainty=8, sweeps=40)
    inner, over = made.fit(X), dwell(made).fit(X)
    assert over.entering(over.state_after(X), 1, 5)[:4] == inner.entering(inner.state_after(X), 1, 5)[:4]


def test_a_saved_fit_is_found_by_the_name_of_the_other(tmp_path: Path) -> None:
    fitted = dwell(delay(gaussian_hmm(starts=2), 2), 3).fit(returns())
    fitted.save(tmp_path / "over.npz")
    again = Fitted.load(tmp_path / "over.npz")
    assert (again.digest, again.name, again.family) == (fitted.digest, "dwell", fitted.family)
    broken = (tmp_path / "over.npz").read_bytes().replace(b"gaussian_hmm:DIAGONAL", b"gaussian_hmm:DIAGONEL")
    (tmp_path / "odd.npz").write_bytes(broken)
    with pytest.raises(FitError):
        Fitted.load(tmp_path / "odd.npz")


def test_a_refit_goes_on_from_the_others_last_fit() -> None:
    X, model = returns(), gaussian_hmm(states=2, starts=2)
    first, over = model.fit(X[:300]), dwell(model).fit(X[:300])
    plain, held = model.fit(window(X, previous=first)), dwell(model).fit(window(X, previous=over))
    assert held.log_likelihood.tobytes() == plain.log_likelihood.tobytes()
    # One that is over nothing, in force before, is no start.
    assert dwell(model).fit(window(X, previous=first)).regimes == 2


BARS = some_bars(300, missing=0.02, seed=6)


def test_the_strategys_dwell_over_a_model_is_the_models_own() -> None:
    """The same choices from the strategy's argument and from the model's, to the last bit of the equity."""
    runs = []
    for rule, model in (
        (regime_leverage([1.0, 0.2], dwell=6), gaussian_hmm(states=2, starts=2)),
        (regime_leverage([1.0, 0.2]), dwell(gaussian_hmm(states=2, starts=2), bars=6)),
    ):
        of = Machine(strategy=rule, model=model, fit=Fit(window=100))
        runs.append(scan(of, BARS))
        assert same(runs[-1], replay(of, BARS))
    one, other = (run.arrays.equity for run in runs)
    # The strategy begins to dwell at its first decision, the model where its filter began: from the second change on.
    changes = np.flatnonzero(np.diff(one) != np.diff(other))
    assert len(changes) == 0 or changes[-1] < 20


def test_the_alerts_dwell_is_the_models_closes() -> None:
    X = returns(600)
    inner = gaussian_hmm(states=2, starts=2).fit(X)
    probs = inner.filter_path(X).probs
    held = dwell(gaussian_hmm(states=2, starts=2), bars=1, closes=3, probability=0.8).fit(X).filter_path(X).probs
    plan = WatchPlan(probability=0.8, dwell=3, early_warning=None, drawdown=[], var=None, weekly_summary=False)
    state, told = begin(plan), []
    for t, row in enumerate(probs):
        close = Step(t, t * 86_400_000_000_000, np.array([1e6, 1e6, 0.0, 0.0, 0.0, 0.0]), np.zeros(1),
                     np.array([*row, 0.0]), np.empty((0, 10)), np.zeros((2, 1)))  # fmt: skip
        state, alerts, _ = watch(plan, state, close, About("demo", ("SPY",), inner, 252.0, "XNYS"))
        told += [t for one in alerts if one.kind == "regime_change"]
    assert told == (np.flatnonzero(np.diff(held[:, 1])) + 1).tolist()
    assert len(told) > 5


def test_a_choice_that_is_young_stands_and_what_is_seen_anew_is_counted_anew() -> None:
    assert switch(Choice(0, 1), 1, 2) == (0, 2)
    assert switch(Choice(0, 2), 1, 2) == (1, 1)
    assert seen_again(seen_again(Waiting(-1, 0), 1), 0) == (0, 1)


def test_a_config_says_one_part_inside_the_other(tmp_path: Path) -> None:
    text = """
    name = "over"
    [data]
    use = "barograph_adapters.sample:sp500"
    [model]
    use = "barograph_models.dwell:dwell"
    bars = 5
    of = { use = "barograph_models.gaussian_hmm:gaussian_hmm", states = 3 }
    [fit]
    window = 500
    [strategy]
    use = "barograph_strategies.regime_filter:regime_filter"
    """
    (tmp_path / "over.toml").write_text(text, encoding="utf-8")
    made = build(load(tmp_path / "over.toml"), tmp_path).model
    assert (made.name, made.regimes) == ("dwell", 3)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: dwell(kmeans(), bars=0), "dwell: bars = 0, a whole number of at least 1 is wanted"),
        (lambda: dwell(kmeans(), closes=True), "dwell: closes = True, a whole number"),
        (lambda: dwell(kmeans(), probability=1.0), "dwell: probability = 1.0, a number from 0 and below 1"),
        (lambda: delay(kmeans(), bars=0), "delay: bars = 0, a whole number"),
        (lambda: dwell(student_panel()), "dwell: student_panel is a model for several assets; wanted one of a single"),
        (lambda: delay(student_panel()), "delay: student_panel is a model for several assets"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(make: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make()
