"""The section of a run's report where its model is a classifier: is it good and honest, and whose labels are they."""

from __future__ import annotations

from typing import Any

import numpy as np

from barograph.report.explaining.figures import reliability
from barograph.report.explaining.pages import judged_table
from barograph.report.figures import Figure
from barograph.report.folder import Run
from barograph.report.words import percent
from barograph.types import Floats

__all__ = ["classifier_figures", "classifier_words", "pooled"]


def _judged(run: Run) -> list[dict[str, Any]]:
    return [fit for fit in run.fits if fit.get("judged")]


def classifier_words(run: Run) -> dict[str, Any] | None:
    """Return the words and the table of the section; None of a run whose model was never judged on held-out rows."""
    found = _judged(run)
    if not found:
        return None
    ours, always = (_mean(found, *keys) for keys in (("balanced_accuracy",), ("majority", "balanced_accuracy")))
    errors = (_mean(found, f"reliability_{when}", "expected_calibration_error") for when in ("before", "after"))
    told = f"On rows held out of {len(found)} fits the mean balanced accuracy is {percent(ours)}"
    words = f"{told}; who always says the most frequent class has {percent(always)}"
    before, after = map(percent, errors)
    return {
        "words": f"{words}. Expected calibration error: {before} before calibration, {after} after.",
        "table": judged_table([{"ts": fit["ts"], "scores": fit["judged"]} for fit in found]),
        "notes": [*found[-1]["summary"].get("notes", []), _seed(found)],
    }


def _seed(found: list[dict[str, Any]]) -> str:
    seeds = sorted({fit["summary"]["seed"] for fit in found})
    told = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    return f"{told}, {', '.join(map(str, seeds))}: what is drawn at random wants three that agree to be believed"


def _mean(found: list[dict[str, Any]], *keys: str) -> float | None:
    values = []
    for fit in found:
        value = fit["judged"]
        for key in keys:
            value = value[key]
        values += [] if value is None else [value]
    return float(np.mean(values)) if values else None


def classifier_figures(run: Run) -> dict[str, Figure]:
    """Return what all fits said of held-out rows against what was right, before and after calibration."""
    found = _judged(run)
    if not found:
        return {}
    tables = ([fit["judged"][f"reliability_{when}"]["answered"] for fit in found] for when in ("before", "after"))
    return {"reliability": reliability(*map(pooled, tables))}


def pooled(tables: list[list[list[float]]], bins: int = 10) -> Floats:
    """Return reliability tables of several fits as one: a bin's means are over the rows of all.

    >>> pooled([[[0.62, 0.5, 10.0]], [[0.66, 0.9, 30.0]]]).round(3).tolist()
    [[0.65, 0.8, 40.0]]
    """
    rows = np.array([row for table in tables for row in table], dtype=np.float64).reshape(-1, 3)
    where, count = np.minimum((rows[:, 0] * bins).astype(np.int64), bins - 1), rows[:, 2]
    whole = np.bincount(where, weights=count, minlength=bins)
    full = whole > 0.0
    said, seen = (np.bincount(where, weights=rows[:, j] * count, minlength=bins)[full] / whole[full] for j in (0, 1))
    return np.column_stack([said, seen, whole[full]])
