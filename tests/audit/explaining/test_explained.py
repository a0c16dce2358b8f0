"""One fit explained: its scores, what each feature is worth, what its classes are like, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from barograph.audit.explaining.explained import explain, scores
from barograph.audit.explaining.permuting import blocks_shuffled, permutation
from barograph.errors import PartError
from barograph.regimes.fitted import Fitted
from barograph.regimes.judged import UNJUDGED, Judged
from barograph.validation.classification import classified
from barograph_models.amortised import amortised
from barograph_models.gaussian_hmm import gaussian_hmm
from tests.kit.windowed import learned_net

FEATURES, LAG, CAUSE = 3, 2, 1
random = np.random.default_rng(4)
X = random.standard_normal((1500, FEATURES))
X[:, 0] = np.roll(X[:, 0], 1) * 0.1 + X[:, 0]
Y = np.zeros(len(X), dtype=np.int64)
Y[LAG:] = X[:-LAG, CAUSE] > 0.3
TS = 10**9 * np.arange(1, len(X) + 1, dtype=np.int64)
HELD = np.arange(1000, 1500, dtype=np.int64)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    made = learned_net(X[:1000], Y[:1000])
    probs = made.filter_path(X).probs[HELD]
    told = Judged(HELD, TS[HELD], Y[HELD], probs**2 / (probs**2).sum(axis=1, keepdims=True), probs, np.empty((0, 2)))
    return replace(made, judged=told)


def test_all_is_told_of_a_classifier(fitted: Fitted) -> None:
    found = explain(fitted, X, TS, count=100)
    assert found.missing == ()
    assert found.scores is not None
    assert found.asked is not None
    assert found.scores.answers.balanced_accuracy > 0.85 > found.scores.always.balanced_accuracy == 0.5
    assert found.scores.raw.error != found.scores.calibrated.error
    assert found.scores.periods == (int(TS[1000]), int(TS[-1]))
    assert found.asked.occlusion.named == found.asked.saliency.named == ((CAUSE, LAG),)
    assert (found.asked.length, found.asked.stretches) == (20, 100)
    assert found.asked.path.probs.shape == (1500, 2)


def test_the_feature_that_matters_is_the_one_whose_shuffling_costs(fitted: Fitted) -> None:
    found = permutation(fitted, X, 20, HELD, Y[HELD])
    lost = [of.balanced_accuracy for of in found]
    assert [of.feature for of in found] == ["x0", "x1", "x2"]
    assert lost[CAUSE] > 0.3
    assert max(abs(lost[0]), abs(lost[2])) < 0.05
    assert int(np.argmax([of.change for of in found])) == int(np.argmax([of.brier for of in found])) == CAUSE
    # What is lost is all there was: without its feature the answer is a coin's.
    before = classified(fitted.filter_path(X).probs[HELD], Y[HELD]).balanced_accuracy
    assert before - lost[CAUSE] == pytest.approx(0.5, abs=0.08)


def test_shuffling_keeps_every_row_and_the_order_within_a_block() -> None:
    order = blocks_shuffled(103, 10, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(103))
    assert np.count_nonzero(np.diff(order) == 1) >= 103 - 2 * 11
    assert not np.array_equal(order, np.arange(103))


def test_a_model_without_labels_is_told_as_far_as_it_can_be() -> None:
    wild = X[:, :2] * np.repeat([1.0, 4.0, 1.0], 500)[:, None]
    wild[:, 1] = random.standard_normal(1500)
    found = explain(gaussian_hmm(2, starts=2).fit(wild), wild, count=50)
    assert found.scores is None
    assert "a model that learns no labels has none" in found.missing[0]
    assert found.asked is not None
    assert found.asked.occlusion.worth is None
    assert np.isnan(found.asked.permutation[0].balanced_accuracy)
    assert found.asked.permutation[0].change > 3 * found.asked.permutation[1].change
    # What is nearest matters most to what remembers.
    size = found.asked.occlusion.size[0]
    assert size[0] > size[10] > size[29] - 1e-12
    assert found.asked.profile.learned is not None


def test_held_out_rows_are_found_again_by_their_closes(fitted: Fitted) -> None:
    part = explain(fitted, X[900:], TS[900:], count=60)
    assert part.asked is not None
    assert part.asked.occlusion.named == ((CAUSE, LAG),)
    other = explain(fitted, X[:900], TS[:900], count=60)
    assert other.asked is not None
    assert other.asked.occlusion.worth is None
    assert "none of its held-out rows is among the rows given" in other.missing[0]


def test_without_rows_the_scores_alone_are_told(fitted: Fitted) -> None:
    found = explain(fitted, None)
    assert found.asked is None
    assert found.scores is not None
    assert "no rows were given" in found.missing[-1]
    assert explain(fitted, X[:5], TS[:5]).asked is None
    assert scores(None) is None


@pytest.mark.parametrize("rows", [np.zeros((5, 2)), np.zeros(5)])
def test_rows_of_other_features_are_refused(fitted: Fitted, rows: Any) -> None:
    with pytest.raises(PartError, match="wanted columns x0, x1, x2"):
        explain(fitted, rows)


def test_why_nothing_was_held_out_is_told_by_what_a_model_is() -> None:
    """Names of regimes are no labels: `amortised` has names and learns none."""
    told = explain(amortised().fit(X[:300, :1]), None).missing[0]
    assert told.endswith("a model that learns no labels has none")
    made = learned_net(X[:100], Y[:100])
    tried = replace(made, notes=(f"{UNJUDGED}: no part can be held out",))
    assert explain(tried, None).missing[0].endswith("it could not be judged; see its notes")
