"""A classifier over a chain: Bayes' rule by hand, and what of the classifier stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import ConfigError
from barograph.regimes.fitted import Fitted
from barograph.testing import check_model
from barograph_models.amortised import amortised
from barograph_models.forest import forest
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.labels import labels_of
from barograph_models.logistic import logistic
from barograph_models.neural_hmm import neural_hmm
from tests.models.test_classifiers import given, world

LABELS = labels_of(gaussian_hmm(states=2, starts=2))


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_bayes_rule_by_hand(weight: float) -> None:
    X, truth = world()
    X[[40, 41, 700]] = np.nan
    alone, over = (make.fit(X) for make in (logistic(given(truth)), neural_hmm(logistic(given(truth)), weight)))
    said, p = alone.filter_path(X), alone.params
    belief, wanted = p.start, []
    for t, q in enumerate(said.probs):
        belief = belief @ p.transition
        if np.isfinite(X[t]).all():
            belief = belief * (q / p.start) ** weight
        belief = belief / belief.sum()
        wanted.append(belief)
    np.testing.assert_allclose(over.filter_path(X).probs, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [logistic, forest])
def test_the_laws_of_a_model(make: Any) -> None:
    small = {"trees": 10} if make is forest else {}
    held = check_model(neural_hmm(make(LABELS, window=2, **small)), world()[0]).held
    assert {"future", "steps", "saving", "missing bars", "scale", "shapes", "unseen bars"} <= set(held)


def driven_world(bars: int = 1500) -> tuple[Any, Any]:
    """Wild bars follow where the second feature was high; the first tells, dimly, which it is now."""
    random = np.random.default_rng(5)
    fear, wild, X, truth = 0.0, 0, [], []
    for _ in range(bars):
        chance = 1.0 / (1.0 + np.exp(4.0 - 3.0 * fear)) if not wild else 0.93
        wild = int(random.random() < chance)
        fear = 0.8 * fear + 0.6 * random.standard_normal()
        X.append([wild + 0.7 * random.standard_normal(), fear])
        truth.append(wild)
    return np.array(X), np.array(truth)


def test_driven_moves_by_hand() -> None:
    X, truth = driven_world()
    X[[40, 41, 700], [0, 1, 1]] = np.nan
    inner = logistic(given(truth))
    alone, over = inner.fit(X), neural_hmm(inner, 0.7, transition="driven").fit(X)
    said, p = alone.filter_path(X), over.params
    belief, drive, wanted = p.start, np.zeros(2), []
    for x, q in zip(X, said.probs, strict=True):
        logits = np.clip(p.logits[:, :, 0] + p.logits[:, :, 1:] @ drive, -30.0, 30.0)
        moves = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        belief = belief @ moves
        if np.isfinite(x).all():
            belief = belief * (q / p.start) ** 0.7
        belief = belief / belief.sum()
        wanted.append(belief)
        drive = np.where(np.isfinite(x), (x - p.centre) * p.shrink, drive)
    np.testing.assert_allclose(over.filter_path(X).probs, wanted, rtol=0, atol=1e-12)
    assert p.logits[0, 1, 2] > 1.0, "fear makes for the wild class"
    state = over.state_after(X)
    np.testing.assert_allclose(over.predict(state, 1).probs, belief @ _at(p, drive), rtol=0, atol=1e-12)
    np.testing.assert_allclose(over.entering(state, 1, 1).probability, belief[1] + (belief @ _at(p, drive) * 1)[1]
                               - belief[1] * _at(p, drive)[1, 1], rtol=0, atol=1e-9)  # fmt: skip


def _at(p: Any, drive: Any) -> Any:
    moves = np.exp(p.logits[:, :, 0] + p.logits[:, :, 1:] @ drive)
    return moves / moves.sum(axis=1, keepdims=True)


def test_driven_moves_foresee_the_next_bar_better_where_features_drive_them() -> None:
    X, truth = driven_world(4000)
    scores = {}
    for transition in ("counted", "driven"):
        fitted = neural_hmm(logistic(given(truth[:2000])), transition=transition).fit(X[:2000])
        foreseen = fitted.forecast_path(X, 1)[2000:-1, 1]
        scores[transition] = float(np.mean((foreseen - truth[2001:]) ** 2))
    assert scores["driven"] < 0.95 * scores["counted"], scores


def test_the_laws_of_driven_moves(tmp_path: Any) -> None:
    X, truth = driven_world(800)
    model = neural_hmm(logistic(LABELS, window=2), transition="driven")
    held = check_model(model, world()[0]).held
    assert {"future", "steps", "saving", "missing bars", "scale", "shapes", "unseen bars"} <= set(held)
    fitted = neural_hmm(logistic(given(truth)), transition="driven").fit(X)
    fitted.save(tmp_path / "driven.npz")
    assert Fitted.load(tmp_path / "driven.npz").filter_path(X).probs.tobytes() == fitted.filter_path(X).probs.tobytes()


def test_a_class_that_is_hardly_left_keeps_its_counted_moves() -> None:
    X, truth = world()
    truth = np.repeat([0, 1], [450, len(X) - 450])
    X = X + truth[:, None]
    fitted = neural_hmm(logistic(given(truth)), transition="driven").fit(X)
    assert any(note.startswith("calm is left 1 times in the window, too seldom") for note in fitted.notes), fitted.notes
    assert not fitted.params.logits[0, :, 1:].any()


def test_it_changes_its_mind_less_than_answers_that_jitter() -> None:
    X, truth = world()
    X = np.column_stack([X[:, 0], np.abs(X[:, 0])])
    hasty = logistic(given(truth))
    switches = [np.count_nonzero(np.diff(model.fit(X).filter_path(X).probs.argmax(axis=1)))
                for model in (hasty, neural_hmm(hasty))]  # fmt: skip
    assert switches[1] < 0.7 * switches[0]


def test_what_the_classifier_has_stays(tmp_path: Any) -> None:
    X, truth = world()
    fitted = neural_hmm(logistic(given(truth))).fit(bg.window(X, names=["r", "v"]))
    assert fitted.labels == ("calm", "wild")
    assert fitted.judged is None  # its own answers to held-out rows nobody has asked for
    assert "held-out rows judged logistic, within" in fitted.notes
    assert any("calibrated" in note for note in fitted.notes)
    fitted.save(tmp_path / "hybrid.npz")
    again = Fitted.load(tmp_path / "hybrid.npz")
    assert again.filter_path(X).probs.tobytes() == fitted.filter_path(X).probs.tobytes()


def test_a_model_that_is_no_classifier_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^neural_hmm: gaussian_hmm is no classifier; wanted one such as logistic"):
        neural_hmm(gaussian_hmm())
    with pytest.raises(ConfigError, match=r"^neural_hmm: weight = 0, a number above 0 is wanted"):
        neural_hmm(logistic(LABELS), weight=0)
    with pytest.raises(ConfigError, match=r"^neural_hmm: transition = 'free'"):
        neural_hmm(logistic(LABELS), transition="free")
    with pytest.raises(ConfigError, match=r"^neural_hmm: amortised learns no labels whose moves"):
        neural_hmm(amortised(), transition="driven")
