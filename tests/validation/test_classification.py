"""Scores of classifiers: known answers by hand, and laws that no arrangement of rows may break."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph.errors import PartError
from barograph.validation.classification import balanced, calibrated, classified, confusion, losses, majority
from barograph.validation.event_forecasts import event_forecast

random = np.random.default_rng(8)


def _answers(rows: int, regimes: int, seed: int = 0) -> Any:
    draws = np.random.default_rng(seed)
    return draws.dirichlet(np.ones(regimes), rows), draws.integers(0, regimes, rows)


@pytest.mark.parametrize("share", [0.5, 0.6, 0.85, 0.99])
def test_a_constant_answer_has_the_macro_f1_of_its_share(share: float) -> None:
    classes = np.repeat([0, 1], [round(1000 * share), round(1000 * (1 - share))])
    found = classified(np.tile([1.0, 0.0], (1000, 1)), classes)
    assert found.macro_f1 == pytest.approx(share / (1 + share), abs=1e-12)
    assert (found.balanced_accuracy, found.accuracy) == (0.5, pytest.approx(share))
    assert math.isnan(found.precision[1])
    assert (found.f1[1], found.recall[1], found.log_score) == (0.0, 0.0, math.inf)
    assert majority(classes, 2).macro_f1 == found.macro_f1


def test_three_classes_by_hand() -> None:
    # True 0 0 0 1 1 2, answered 0 0 1 1 2 0.
    answers, classes = [0, 0, 1, 1, 2, 0], [0, 0, 0, 1, 1, 2]
    probs = np.eye(3)[answers] * 0.7 + 0.1
    found = classified(probs, classes)
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert found.support.tolist() == [3, 2, 1]
    assert found.precision.tolist() == pytest.approx([2 / 3, 1 / 2, 0.0])
    assert found.recall.tolist() == pytest.approx([2 / 3, 1 / 2, 0.0])
    assert found.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert found.accuracy == 0.5
    # A right row costs ((.2)^2 + 2 (.1)^2) / 2 = .03, a wrong one ((.9)^2 + (.8)^2 + (.1)^2) / 2 = .73.
    assert found.brier == pytest.approx((0.03 + 0.73) / 2)
    assert found.log_score == pytest.approx(-(math.log(0.8) + math.log(0.1)) / 2)


def test_of_two_classes_brier_is_that_of_an_event() -> None:
    p, y = _answers(300, 2)
    assert classified(p, y).brier == pytest.approx(event_forecast(p[:, 1], y).brier, abs=1e-14)
    assert calibrated(p, y).by_class[1].tolist() == event_forecast(p[:, 1], y).table.tolist()


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 60))
def test_scores_do_not_hang_on_the_order_of_rows_or_classes(seed: int, regimes: int, rows: int) -> None:
    p, y = _answers(rows, regimes, seed)
    order, names = np.random.default_rng(seed).permutation(rows), np.random.default_rng(seed).permutation(regimes)
    one, other = classified(p, y), classified(p[order][:, names], np.argsort(names)[y[order]])
    for name in ("accuracy", "macro_f1", "balanced_accuracy", "brier", "log_score"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12), name
    assert one.confusion[np.ix_(names, names)].tolist() == other.confusion.tolist()
    assert one.confusion.sum() == rows
    assert 0.0 <= one.balanced_accuracy <= 1.0
    assert one.brier == pytest.approx(losses(p, y)[0].mean(), abs=1e-14)


def test_the_majority_says_the_shares_and_is_not_beaten_by_noise() -> None:
    y = (random.random(4000) < 0.2).astype(int)
    always = majority(y, 2)
    share = y.mean()
    assert always.brier == pytest.approx(share * (1 - share), abs=1e-12)
    assert always.balanced_accuracy == 0.5
    assert classified(_answers(4000, 2)[0], y).brier > always.brier


def test_honest_probabilities_have_a_small_calibration_error_and_loud_ones_a_large() -> None:
    p = random.dirichlet([2.0, 2.0, 2.0], 20_000)
    y = (random.random((20_000, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    loud = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert calibrated(p, y).error < 0.02
    assert calibrated(loud, y).error > 0.1
    assert calibrated(p, y).table[:, 2].sum() == 20_000


def test_a_class_that_was_never_there_is_left_out_of_the_means() -> None:
    found = classified([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], [0, 1])
    assert math.isnan(found.recall[2])
    assert (found.balanced_accuracy, found.macro_f1) == (1.0, 1.0)
    assert balanced(confusion([0, 1], [0, 1], 3)) == 1.0


def test_no_rows_are_no_score() -> None:
    found = classified(np.empty((0, 2)), np.empty(0, dtype=int))
    assert found.rows == 0
    assert all(math.isnan(value) for value in (found.accuracy, found.macro_f1, found.brier, found.log_score))
    assert math.isnan(calibrated(np.empty((0, 2)), np.empty(0, dtype=int)).error)


@pytest.mark.parametrize(
    ("probs", "classes", "wanted"),
    [
        ([[0.5, 0.5]], [0, 1], "wanted (M, K) and (M,)"),
        ([[0.5, 0.5]], [2], "wanted whole numbers 0..1"),
        ([[0.5, 0.6]], [0], "row 0 is [0.5, 0.6]; wanted probabilities that sum to one"),
        ([[math.nan, 0.6]], [0], "wanted probabilities that sum to one"),
    ],
)
def test_what_is_no_answer_is_refused_in_one_line(probs: Any, classes: Any, wanted: str) -> None:
    for score in (classified, calibrated, losses):
        with pytest.raises(PartError) as caught:
            score(probs, classes)
        assert wanted in str(caught.value)
        assert "\n" not in str(caught.value)
