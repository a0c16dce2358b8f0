"""Marks on the equity curve where something befell the account that is no fill."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from barograph.report.figures import CALM, SAND, WARM, dates, packed
from barograph.report.folder import Run
from barograph.types import Floats

__all__ = ["annotated", "chart_annotations"]

MOST_MARKS: Final = 400


class _Annotation(NamedTuple):
    events: tuple[str, ...]
    colour: tuple[int, int, int]
    symbol: str


MARKS: Final = {
    "margin": _Annotation(("margin_warning", "margin_call"), WARM, "triangle-down"),
    "guards": _Annotation(("guard", "released"), SAND, "diamond"),
    "actions": _Annotation(("dividend", "split", "delisted"), CALM, "circle"),
}


def chart_annotations(run: Run, growth: Floats) -> list[dict[str, Any]]:
    """Return one trace of markers for margin, guards and corporate actions, on the curve `growth` (T + 1,)."""
    return [_trace(run, growth, name, mark) for name, mark in MARKS.items() if len(_moments(run, mark))]


def annotated(run: Run) -> str:
    """Say what the annotations are, and how many of them are not drawn."""
    found = {name: len(_moments(run, mark)) for name, mark in MARKS.items()}
    told = [name if n <= MOST_MARKS else f"{name} (about {MOST_MARKS} of {n:,})" for name, n in found.items() if n]
    return f"Marks: {', '.join(told)}." if told else ""


def _moments(run: Run, mark: _Annotation) -> Any:
    """Return what happened at each moment, as text by its close."""
    table = run.tables["events"]
    chosen = table[table["event"].isin(mark.events)]
    why = chosen["reason"].where(~chosen["event"].str.startswith("margin"), "")
    said = chosen["event"].str.replace("_", " ") + " " + chosen["asset"] + " " + why
    said = said.str.split().str.join(" ")
    return said.groupby(chosen["ts"]).agg(lambda lines: "; ".join(dict.fromkeys(lines)))


def _trace(run: Run, growth: Floats, name: str, mark: _Annotation) -> dict[str, Any]:
    found = _moments(run, mark)
    found = found.iloc[:: math.ceil(len(found) / MOST_MARKS)]
    rows = run.ts.searchsorted(found.index)
    colour = "rgb({},{},{})".format(*mark.colour)
    shape = {"symbol": mark.symbol, "size": 8, "color": colour, "line": {"width": 1, "color": "#ffffff"}}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": dates(run.ts.iloc[rows], like=run.ts),
        "y": packed(growth[rows]),
        "yaxis": "y2",
        "marker": shape,
        "text": [text[:200] for text in found],
        "hovertemplate": "%{text}",
    }
