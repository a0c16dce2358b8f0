"""The pictures of an explained fit, as the JSON that plotly.js draws."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from barograph.audit.explaining.cells import Map
from barograph.audit.explaining.explained import Explained, Path, Profile
from barograph.audit.explaining.permuting import Worth
from barograph.regimes.judged import Judged
from barograph.report.explaining.contents import names_of, plain_numbers
from barograph.report.figures import OURS, THEIRS, Figure, colours, dates, layout, thin
from barograph.types import Floats

__all__ = ["explained_figures", "reliability"]

# Deep where an answer hangs on a cell; as a colour of the page it turns with its dark side.
SCALE: Final = [[0.0, "rgba(23,63,95,0.03)"], [1.0, "rgba(23,63,95,1.0)"]]
MOST_MARKS: Final = 3000


def explained_figures(found: Explained, number: int) -> dict[str, Figure]:
    """Return the figures of one explained fit by the id of their place, which ends in its number."""
    fitted, judged, made = found.fitted, found.fitted.judged, {}
    if found.scores is not None:
        made["confusion"] = _confusion(found.scores.answers.confusion, names_of(fitted))
        made["reliability"] = reliability(found.scores.raw.table, found.scores.calibrated.table)
    if judged is not None and len(judged.curve):
        made["curve"] = _curve(judged.curve)
    if found.asked is not None:
        asked = found.asked
        made["occlusion"] = _cells(asked.occlusion, fitted.features)
        made["saliency"] = _cells(asked.saliency, fitted.features)
        made["permutation"] = _permutation(asked.permutation)
        made["profile"] = _profile(asked.profile, fitted.features, names_of(fitted))
        made["path"] = _path(asked.path, judged, names_of(fitted))
    return {f"{name}_{number}": figure for name, figure in made.items()}


def _numbers(values: Any) -> Any:
    """Return numbers as JSON has them: what is none is absent."""
    return plain_numbers(np.asarray(values, dtype=np.float64))


def _cells(of: Map, features: tuple[str, ...]) -> Figure:
    d, n = of.size.shape
    lags = list(range(n))
    heat = {"type": "heatmap", "x": lags, "y": list(features), "z": _numbers(of.size), "colorscale": SCALE, "zmin": 0.0,
            "xgap": 1, "ygap": 1, "hovertemplate": "%{y}, %{x} bars ago: %{z:.4f}<extra></extra>",
            "colorbar": {"thickness": 10, "outlinewidth": 0, "tickformat": ".2~g"}}  # fmt: skip
    marks = {"type": "scatter", "mode": "markers", "x": [lag for _, lag in of.named], "hoverinfo": "skip",
             "y": [features[j] for j, _ in of.named],
             "marker": {"symbol": "square-open", "size": 15, "color": "#d36034", "line": {"width": 2}}}  # fmt: skip
    across = {"title": {"text": "bars ago"}, "autorange": "reversed", "showgrid": False}
    if n < 12:
        across |= {"tickmode": "array", "tickvals": lags}
    axes = {"xaxis": across, "yaxis": {"autorange": "reversed", "showgrid": False, "type": "category"}}
    return {"data": [heat, marks] if of.named else [heat], "layout": layout(90 + 26 * d, hovermode="closest", **axes)}


def _permutation(worth: list[Worth]) -> Figure:
    lost = [of.balanced_accuracy for of in worth]
    known = bool(np.isfinite(lost).all())
    values = lost if known else [of.change for of in worth]
    spread = {"type": "data", "array": _numbers([of.spread for of in worth]), "color": THEIRS, "thickness": 1}
    bars = {"type": "bar", "orientation": "h", "x": _numbers(values), "y": [of.feature for of in worth],
            "error_x": spread, "marker": {"color": OURS}, "hovertemplate": "%{y}: %{x:.4f}<extra></extra>"}  # fmt: skip
    told = "balanced accuracy lost" if known else "mean change of the answer’s probability"
    axes = {
        "xaxis": {"title": {"text": told}, "zeroline": True},
        "yaxis": {"autorange": "reversed", "type": "category"},
    }
    return {"data": [bars], "layout": layout(90 + 26 * len(worth), hovermode="closest", bargap=0.35, **axes)}


def _profile(of: Profile, features: tuple[str, ...], names: list[str]) -> Figure:
    rows = of.answered if of.learned is None else of.learned
    each = zip(names, colours(len(names)), rows, strict=True)
    bars = [{"type": "bar", "name": name, "x": list(features), "y": _numbers(row), "marker": {"color": tint},
             "hovertemplate": "%{y:+.2f}"} for name, tint, row in each]  # fmt: skip
    across = {"type": "category", "tickangle": 30 if len(features) > 6 else 0}
    axes = {"yaxis": {"title": {"text": "deviations", "standoff": 8}, "zeroline": True}, "xaxis": across}
    return {
        "data": bars,
        "layout": layout(360 if len(features) > 6 else 280, barmode="group", bargap=0.3, showlegend=True, **axes),
    }


def _confusion(table: NDArray[np.int64], names: list[str]) -> Figure:
    whole = np.maximum(table.sum(axis=1, keepdims=True), 1)
    heat = {"type": "heatmap", "x": names, "y": names, "z": (table / whole).tolist(), "colorscale": SCALE, "zmin": 0.0,
            "zmax": 1.0, "xgap": 2, "ygap": 2, "showscale": False, "hoverinfo": "skip"}  # fmt: skip
    notes = []
    for i, true in enumerate(names):
        for j, said in enumerate(names):
            deep = {"color": "#ffffff"} if table[i, j] > 0.55 * whole[i, 0] else {}
            told = f"{table[i, j]:,}<br>{table[i, j] / whole[i, 0]:.0%}"
            notes.append({"x": said, "y": true, "text": told, "showarrow": False, "font": {"size": 13} | deep})
    axes = {"xaxis": {"title": {"text": "answered"}, "type": "category", "showgrid": False},
            "yaxis": {"title": {"text": "true", "standoff": 14}, "type": "category", "autorange": "reversed",
                      "showgrid": False}}  # fmt: skip
    return {"data": [heat], "layout": layout(120 + 60 * len(names), annotations=notes, hovermode=False, **axes)}


def reliability(before: Floats, after: Floats) -> Figure:
    """Return what was said against what happened, (bins, 3) tables, before and after calibration."""
    honest = {"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "name": "honest", "hoverinfo": "skip",
              "line": {"color": "#c9d1d6", "width": 1, "dash": "dot"}}  # fmt: skip
    lines = [honest, *(_said(*of) for of in (("before", THEIRS, before), ("after", OURS, after)))]
    low = min([1.0, *(float(table[:, :2].min()) for table in (before, after) if len(table))])
    span = {"range": [max(0.0, low - 0.05), 1.02], "tickformat": ".0%"}
    axes = {"xaxis": span | {"title": {"text": "said"}}, "yaxis": span | {"title": {"text": "right", "standoff": 10}}}
    return {"data": lines, "layout": layout(320, hovermode="closest", showlegend=True, **axes)}


def _said(name: str, tint: str, table: Floats) -> dict[str, Any]:
    sizes = 5.0 + 13.0 * np.sqrt(table[:, 2] / max(float(table[:, 2].max(initial=1.0)), 1.0))
    return {"type": "scatter", "mode": "lines+markers", "x": _numbers(table[:, 0]), "y": _numbers(table[:, 1]),
            "name": name, "line": {"color": tint, "width": 1.4}, "marker": {"size": sizes.tolist(), "color": tint},
            "customdata": table[:, 2].tolist(),
            "hovertemplate": "said %{x:.1%}, right %{y:.1%}, %{customdata:,} rows<extra></extra>"}  # fmt: skip


def _curve(curve: Floats) -> Figure:
    epochs = list(range(1, len(curve) + 1))
    both = (("training", THEIRS, curve[:, 0]), ("held out", OURS, curve[:, 1]))
    lines = [{"type": "scatter", "mode": "lines", "x": epochs, "y": _numbers(values), "name": name,
              "line": {"color": tint, "width": 1.5}, "hovertemplate": "%{y:.4f}"}
             for name, tint, values in both if np.isfinite(values).any()]  # fmt: skip
    axes = {"xaxis": {"title": {"text": "epoch"}}, "yaxis": {"title": {"text": "loss"}}}
    return {"data": lines, "layout": layout(280, showlegend=True, **axes)}


def _path(path: Path, judged: Judged | None, names: list[str]) -> Figure:
    """Probabilities over time, and above them what the held-out rows truly were."""
    rows = thin(path.probs[:, -1], 2 * MOST_MARKS)
    x, tints = _when(path.ts[rows], rows), colours(len(names))
    fills = [tint.replace("rgb", "rgba").replace(")", ",0.7)") for tint in tints]
    areas = [{"type": "scatter", "mode": "lines", "stackgroup": "p", "x": x, "y": _numbers(path.probs[rows, k]),
              "name": name, "line": {"width": 0, "color": tints[k]}, "fillcolor": fills[k],
              "hovertemplate": "%{y:.1%}"} for k, name in enumerate(names)]  # fmt: skip
    marks = [] if judged is None else _truth(judged, path, names, tints)
    whole = {"range": [0, 1.09 if marks else 1.0], "tickformat": ".0%", "tickvals": [0, 0.25, 0.5, 0.75, 1]}
    return {"data": areas + marks, "layout": layout(280, yaxis=whole, showlegend=True)}


def _truth(judged: Judged, path: Path, names: list[str], tints: list[str]) -> list[dict[str, Any]]:
    at = np.arange(0, len(judged.bars), max(1, -(-len(judged.bars) // MOST_MARKS)))
    x = _when(judged.ts[at], judged.bars[at], path.ts)
    found = []
    for k, name in enumerate(names):
        mine = [when for when, true in zip(x, judged.classes[at] == k, strict=True) if true]
        marker = {"symbol": "line-ns-open", "size": 9, "color": tints[k], "line": {"width": 2, "color": tints[k]}}
        told = {"name": f"truly {name}", "showlegend": False, "hovertemplate": f"truly {name}<extra></extra>"}
        place = {"type": "scatter", "mode": "markers", "x": mine, "y": [1.05] * len(mine)}
        found.append(place | told | {"marker": marker})
    return found


def _when(ts: NDArray[np.int64], rows: NDArray[Any], like: NDArray[np.int64] | None = None) -> list[Any]:
    """Return closes as dates; where nobody knows them the numbers of the rows."""
    if not ts.any():
        return list(rows.tolist())
    import pandas as pd

    every = ts if like is None or not like.any() else like
    both = [pd.Series(pd.to_datetime(of, utc=True)) for of in (ts, every)]
    return list(dates(*both))
