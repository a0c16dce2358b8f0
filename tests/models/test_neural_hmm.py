"""A classifier over a chain: Bayes' rule by hand, and what of the classifier stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import ConfigError
from barograph.regimes.fitted import Fitted
from barograph.testing import check_model
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
