"""What was explained as JSON: the numbers of explain.json, and of a classifier's entry in fits.json."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.audit.explaining.cells import Map
from barograph.audit.explaining.explained import Asked, Explained, Scores
from barograph.report.words import regime_names
from barograph.validation.classification import Calibrated, Classified

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted

__all__ = ["content", "names_of", "plain_numbers", "score_content"]


def plain_numbers(value: Any) -> Any:
    """Return arrays as lists and what is no finite number as None, at any depth: JSON has neither.

    >>> plain_numbers({"a": np.array([1.0, np.nan]), "b": (2, float("inf"))})
    {'a': [1.0, None], 'b': [2, None]}
    """
    if isinstance(value, dict):
        return {key: plain_numbers(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain_numbers(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_numbers(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def names_of(fitted: Fitted) -> list[str]:
    """Return what the classes of a fit are called."""
    return list(fitted.labels) or regime_names(fitted.regimes)


def content(found: Explained, name: str) -> dict[str, Any]:
    """Return one explained fit as an entry of explain.json."""
    fitted = found.fitted
    told = {
        "name": name,
        "model": fitted.name,
        "classes": names_of(fitted),
        "features": list(fitted.features),
        "observations": fitted.observations,
        "seed": fitted.seed,
        "notes": list(fitted.notes),
        "missing": list(found.missing),
        "scores": None if found.scores is None else score_content(found.scores),
        "curve": [] if fitted.judged is None else fitted.judged.curve,
        "asked": None if found.asked is None else _asked(found.asked, fitted),
    }
    return dict(plain_numbers(told))


def score_content(scores: Scores) -> dict[str, Any]:
    """Return the scores of held-out answers; `majority` is who always says the classes' shares."""
    answers, always = scores.answers, scores.always
    told = {
        "rows": answers.rows,
        "first_ts": scores.periods[0],
        "last_ts": scores.periods[1],
        "confusion": answers.confusion,
        "support": answers.support,
        "precision": answers.precision,
        "recall": answers.recall,
        "f1": answers.f1,
        **_overall(answers),
        "majority": _overall(always),
        "reliability_before": _reliability(scores.raw),
        "reliability_after": _reliability(scores.calibrated),
    }
    return dict(plain_numbers(told))


def _overall(of: Classified) -> dict[str, float]:
    names = ("accuracy", "macro_f1", "balanced_accuracy", "brier", "log_score")
    return {name: getattr(of, name) for name in names}


def _reliability(of: Calibrated) -> dict[str, Any]:
    return {"expected_calibration_error": of.error, "answered": of.table, "by_class": of.by_class}


def _asked(asked: Asked, fitted: Fitted) -> dict[str, Any]:
    profile = asked.profile
    return {
        "length": asked.length,
        "stretches": asked.stretches,
        "occlusion": _map(asked.occlusion, fitted),
        "saliency": _map(asked.saliency, fitted),
        "permutation": [worth._asdict() for worth in asked.permutation],
        "profile": {"learned": profile.learned, "answered": profile.answered, "share": profile.share},
    }


def _map(of: Map, fitted: Fitted) -> dict[str, Any]:
    named = [{"feature": fitted.features[j], "lag": lag} for j, lag in of.named]
    return {"size": of.size, "worth": of.worth, "limit": of.limit, "named": named}
