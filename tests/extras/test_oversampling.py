"""SMOTE sees training rows alone, makes up whole windows, and is no more than an argument of imbalanced-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from barograph_models._classify.examples import smote
from barograph_models.forest import forest
from barograph_models.logistic import logistic
from tests.models.test_classifiers import given, world

pytest.importorskip("imblearn")


def test_made_up_windows_lie_between_two_of_their_class() -> None:
    random = np.random.default_rng(0)
    inputs = random.standard_normal((300, 8))
    classes = (np.arange(300) % 10 == 0).astype(np.int64)
    found, of = smote("logistic", inputs, classes, 0)
    assert np.bincount(of).tolist() == [270, 270]
    assert (found[:300] == inputs).all()
    rare = inputs[classes == 1]
    for made in found[300:330]:
        # Its whole window lies on one line between two neighbours, at one share.
        ways = [((made - a) @ (b - a) / ((b - a) @ (b - a)), a, b) for a in rare for b in rare if (a != b).any()]
        assert min(np.abs(a + share * (b - a) - made).max() for share, a, b in ways) < 1e-6
        assert (of[300:] == 1).all()


def test_rows_that_are_held_out_and_purged_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    X, truth = world()
    given_rows: list[Any] = []

    def watched(name: str, inputs: Any, classes: Any, seed: int) -> Any:
        given_rows.append(inputs)
        return smote(name, inputs, classes, seed)

    monkeypatch.setattr("barograph_models.logistic.smote", watched)
    fitted = logistic(given(truth, purge=5), oversample="smote").fit(X)
    assert fitted.judged is not None
    assert len(given_rows) == 11
    # Of 995 known rows a tenth is held out, and five on each side of it are left out.
    assert {len(rows) for rows in given_rows[:10]} <= {995 - 100 - 10, 995 - 99 - 10, 995 - 100 - 5, 995 - 99 - 5}
    assert len(given_rows[10]) == 995


@pytest.mark.parametrize("make", [logistic, forest])
def test_what_is_rare_is_answered_more_often(make: Any) -> None:
    X, truth = world()
    plain, more = (make(given(truth), oversample=how, calibrate="none").fit(X) for how in ("none", "smote"))
    assert more.filter_path(X).probs[:, 1].mean() > plain.filter_path(X).probs[:, 1].mean()
    assert (more.params.start == plain.params.start).all()
