"""Classifiers' runs side by side: how right each was on held-out rows beside what it earned, over its seeds."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

import numpy as np

from barograph.report.folder import Run
from barograph.report.tables import Row, Table
from barograph.report.words import number, percent

__all__ = ["variants", "variants_table"]

HELD_OUT = ("balanced_accuracy", "macro_f1", "brier")
COLUMNS = (
    ("balanced accuracy", "balanced_accuracy", percent),
    ("macro-F1", "macro_f1", lambda value: number(value, 3)),
    ("Brier", "brier", lambda value: number(value, 4)),
    ("Sharpe, net", "sharpe", number),
    ("return, net", "total_return", percent),
    ("drawdown", "max_drawdown", percent),
    ("turnover", "turnover", number),
)


def variants(runs: Sequence[Run], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return of each classifier its name, its seeds in words, how many runs, and the mean, min and max of each figure.

    Runs whose models differ in their seeds alone are one variant. Runs of models that hold nothing out are left out.
    """
    kin: dict[str, list[tuple[Run, str]]] = {}
    for run, name in zip(runs, names, strict=True):
        if any(fit.get("judged") for fit in run.fits):
            kin.setdefault(_but_seeds(run), []).append((run, name))
    return [_variant([run for run, _ in group], group[0][1]) for group in kin.values()]


def _variant(runs: list[Run], name: str) -> dict[str, Any]:
    seeds = sorted({fit["summary"]["seed"] for run in runs for fit in run.fits if fit.get("judged")})
    figures = {key: _spread([_figure(run, key) for run in runs]) for _, key, _ in COLUMNS}
    told = "one seed" if len(seeds) == 1 else "two seeds, too few" if len(seeds) == 2 else f"{len(seeds)} seeds"
    shown = re.sub(r"[\w.]*\bseed=[^, ]+(, )?", "", name) if len(runs) > 1 else name
    return {"name": shown.strip(", ") or name, "seeds": told, "runs": len(runs), "figures": figures}


def _figure(run: Run, key: str) -> float | None:
    """Return a run's figure: of what is held out the mean over its fits."""
    if key not in HELD_OUT:
        return run.metrics.get(key)
    values = [fit["judged"][key] for fit in run.fits if fit.get("judged") and fit["judged"][key] is not None]
    return float(np.mean(values)) if values else None


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    there = [value for value in values if value is not None]
    return {"mean": float(np.mean(there)), "min": min(there), "max": max(there)} if there else None


def _but_seeds(run: Run) -> str:
    """Return what stands for a run's config, without its name and the seeds of its model."""
    tree = tomllib.loads(run.config)
    return repr(tree | {"name": "", "model": _without_seed(tree.get("model"))})


def _without_seed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seed(inner) for key, inner in value.items() if key != "seed"}
    return value


def variants_table(found: Sequence[dict[str, Any]]) -> Table | None:
    """Return a row a variant, the least and the most over its seeds behind the mean; None where there is none."""
    if not found:
        return None
    rows = []
    for one in found:
        cells = (_cell(one["figures"][key], form) for _, key, form in COLUMNS)
        rows.append(Row((one["name"], one["seeds"], *cells)))
    return Table(("classifier", "seeds", *(title for title, _, _ in COLUMNS)), rows, texts=("classifier", "seeds"))


def _cell(figure: dict[str, float] | None, form: Any) -> str:
    if figure is None:
        return "–"
    between = f" ({form(figure['min'])} to {form(figure['max'])})" if figure["min"] < figure["max"] else ""
    return f"{form(figure['mean'])}{between}"
