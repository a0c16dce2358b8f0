"""Several runs on one page: their curves over each other, and the table that a person would ask for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from barograph.errors import DataError
from barograph.metrics.drawdown import drawdowns
from barograph.report.explaining.variants import variants, variants_table
from barograph.report.figures import LINES, THEIRS, Figure, dates, growth_axis, layout, packed, thin
from barograph.report.folder import Run
from barograph.report.tables import Row, Table
from barograph.report.words import a_year, comparison, number, one_market, percent, told_apart
from barograph.types import Floats

__all__ = ["compared"]

COLUMNS = (
    ("growth", "cagr", percent),
    ("volatility", "volatility", percent),
    ("drawdown", "max_drawdown", percent),
    ("turnover", "turnover", number),
    ("exposure", "exposure", percent),
    ("switches", "regime_switch_rate", number),
    ("costs", "cost_rate", percent),
    ("Sharpe", "sharpe", number),
)


def compared(
    runs: Sequence[Run], beside: Path, names: Sequence[str] | None = None
) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Return the figures and words of a page that stands in the folder `beside`; `names` are what to call the runs.

    Raises `DataError` when there is no run.
    """
    if not runs:
        raise DataError("compare: found no run folder, wanted at least one")
    first, last = min(run.ts.iloc[0] for run in runs), max(run.ts.iloc[-1] for run in runs)
    names = names or told_apart([run.name for run in runs], [run.folder.resolve() for run in runs])
    words = {
        "title": " · ".join(names) if len(runs) < 4 else f"{len(runs)} runs compared",
        "period": f"{first:%Y-%m-%d} to {last:%Y-%m-%d}",
        "verdict": comparison({name: run.metrics for name, run in zip(names, runs, strict=True)}),
        "table": _table(runs, names, beside),
        "classifiers": variants_table(variants(runs, names)),
    }
    return {"equity": _equity(runs, names), "drawdown": _drawdown(runs, names)}, words


def _hold(runs: Sequence[Run], names: Sequence[str]) -> str:
    """Name the grey line: where the runs trade different markets it is the first one's."""
    return "buy and hold" if one_market(run.metrics for run in runs) else f"buy and hold, as for {names[0]}"


def _table(runs: Sequence[Run], names: Sequence[str], beside: Path) -> Table:
    columns = ("run", *(title for title, _, _ in COLUMNS), "95 %", "less hold’s, 95 %")
    rows = [
        _row(run, name, LINES[i % len(LINES)], beside) for i, (run, name) in enumerate(zip(runs, names, strict=True))
    ]
    keys = ("cagr", "volatility", "sharpe", "max_drawdown")
    market = {key: runs[0].metrics.get(f"benchmark_{key}") for key in keys}
    cells = tuple(form(market[key]) if key in market else "" for _, key, form in COLUMNS)
    rows.append(Row((_hold(runs, names), *cells, "", ""), colour=THEIRS))
    return Table(columns, rows, texts=("run",))


def _row(run: Run, name: str, tint: str, beside: Path) -> Row:
    m = run.metrics
    cells = tuple(form(None if key == "cagr" and not a_year(m) else m.get(key)) for _, key, form in COLUMNS)
    link = Path(os.path.relpath(run.folder / "report.html", beside)).as_posix()
    return Row((name, *cells, _between(m, "sharpe"), _between(m, "sharpe_difference")), colour=tint, link=link)


def _between(m: dict[str, float | None], key: str) -> str:
    return f"{number(m.get(f'{key}_low'))} to {number(m.get(f'{key}_high'))}"


def _equity(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    curves = [(run, name, run.equity / run.equity[0]) for run, name in zip(runs, names, strict=True)]
    market = runs[0].benchmark / runs[0].benchmark[0]
    lines = [_line(runs[0], _hold(runs, names), market, THEIRS, ".2f")]
    lines += [_line(run, name, path, LINES[i % len(LINES)], ".2f") for i, (run, name, path) in enumerate(curves)]
    axis = growth_axis(np.concatenate([market, *(path for _, _, path in curves)]))
    return {"data": lines, "layout": layout(420, yaxis=axis, showlegend=True), "linked": True}


def _drawdown(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    lines = [_line(runs[0], _hold(runs, names), drawdowns(runs[0].benchmark), THEIRS, ".1%")]
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        lines.append(_line(run, name, drawdowns(run.equity), LINES[i % len(LINES)], ".1%"))
    return {"data": lines, "layout": layout(260, yaxis={"tickformat": ".0%"}), "linked": True}


def _line(run: Run, name: str, values: Floats, tint: str, shape: str) -> dict[str, Any]:
    rows = thin(values, 3000)
    form = {"type": "scatter", "mode": "lines", "line": {"color": tint, "width": 1.5}}
    x = dates(run.ts.iloc[rows])
    return form | {"x": x, "y": packed(values[rows]), "name": name, "hovertemplate": f"%{{y:{shape}}}"}
