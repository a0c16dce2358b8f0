"""A result that shows itself: its page without a run folder, and its pictures as one figure for a notebook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.errors import ConfigError, PartError
from barograph.report import page_of
from barograph.report.figures import Figure, colours, run_figures, timeline
from barograph.report.folder import Run
from barograph.report.prices import price_chart
from barograph.report.run import learned, manifest, plain
from barograph.report.words import regime_names
from barograph.types import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from barograph.loop.result import Result
    from barograph.regimes.fitted import Fitted

__all__ = ["plot", "regimes", "report", "run_of"]

TITLES: Final = {
    "equity": "Growth of 1, turbulent times shaded",
    "drawdown": "Drawdown",
    "prices": "Prices and trades",
    "exposure": "Exposure, share of equity",
    "probabilities": "Regime probabilities",
}
HEIGHTS: Final = {"equity": 3.0, "drawdown": 1.3, "prices": 3.0, "exposure": 1.2, "probabilities": 1.3}
_GAP: Final = 0.045


def run_of(result: Result) -> Run:
    """Return a result as what a report is made from; there is no config that would run it again."""
    name = result.machine.name or result.machine.strategy.name
    # What would stand in a file is read as from one.
    told = {"manifest": manifest(result, name), "fits": [learned(fit, result) for fit in result.fits]}
    told = json.loads(json.dumps(told, default=plain))
    return Run(Path(), result.tables, dict(result.metrics), told["manifest"], told["fits"], config="")


def report(result: Result, path: str | Path) -> Path:
    """Write the page of a result to `path`, one file that needs nothing else; return its path.

    Raises `ConfigError` for a path that is no .html file in a folder that is there.
    """
    out = Path(path)
    if out.suffix.lower() not in (".html", ".htm") or not out.absolute().parent.is_dir() or out.is_dir():
        raise ConfigError(f"report: {out} cannot be written; wanted a file .html in a folder that is there")
    return page_of(run_of(result), out)


def plot(result: Result) -> go.Figure:
    """Return one plotly figure over one axis of time: growth, drawdown, prices with trades, exposure, regimes."""
    import plotly.graph_objects as go

    run = run_of(result)
    line = timeline(run)
    found = run_figures(run, line)
    prices = price_chart(run, line)
    parts = found | ({} if prices is None else {"prices": prices})
    data, layout = stacked({name: parts[name] for name in TITLES if name in parts}, line.labels)
    layout["title"] = {"text": run.name, "x": 0.01, "font": {"size": 16}}
    layout["xaxis1"]["range"] = [line.labels[0], line.labels[-1]]
    return go.Figure({"data": data, "layout": layout})


def stacked(parts: dict[str, Figure], labels: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the traces and the layout of figures one below the other, with the dates `labels` in common."""
    whole = sum(HEIGHTS[name] for name in parts)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "annotations": [], "updatemenus": [], "height": round(110 * whole) + 60, "hovermode": "x", "showlegend": False,
        "template": "plotly_white", "margin": {"l": 55, "r": 55, "t": 60, "b": 30},
    }  # fmt: skip
    top = 1.0
    for number, (name, figure) in enumerate(parts.items()):
        bottom = max(0.0, top - (1.0 - _GAP * (len(parts) - 1)) * HEIGHTS[name] / whole)
        _place(figure, TITLES[name], (bottom, top), number, labels, data, layout)
        top = bottom - _GAP
    return data, layout


def _place(
    figure: Figure, title: str, domain: tuple[float, float], number: int, labels: list[str],
    data: list[dict[str, Any]], layout: dict[str, Any],
) -> None:  # fmt: skip
    """Put a figure between two heights: its axes get numbers of their own, and its time is that of the first."""
    names = {"x": f"x{number + 1}", "y": f"y{2 * number + 1}", "y2": f"y{2 * number + 2}"}
    first = len(data)
    for trace in figure["data"]:
        axes = {"xaxis": names["x"], "yaxis": names[trace.get("yaxis", "y")]}
        data.append(trace | axes | ({"x": labels} if isinstance(trace["x"], str) else {}))
    own = figure["layout"]
    layout[f"xaxis{number + 1}"] = {"anchor": names["y"], "matches": None if number == 0 else "x1", "type": "date"}
    for short in ("y", "y2"):
        if (axis := own.get(short.replace("y", "yaxis"))) is not None:
            over = {"overlaying": names["y"]} if short == "y2" else {}
            placed = axis | over | {"domain": list(domain), "anchor": names["x"]}
            layout[names[short].replace("y", "yaxis")] = placed
    for told in own.get("annotations", []):
        layout["annotations"].append(told | {"yref": names[told["yref"]]})
    heading = {"text": title, "x": 0, "xref": "paper", "xanchor": "left", "y": domain[1], "yref": "paper"}
    layout["annotations"].append(heading | {"yanchor": "bottom", "showarrow": False, "font": {"size": 13}})
    for menu in own.get("updatemenus", []):
        rows = list(range(first, len(data)))
        buttons = [button | {"args": [*button["args"], rows]} for button in menu["buttons"]]
        layout["updatemenus"].append(menu | {"buttons": buttons, "y": domain[1]})


def regimes(fitted: Fitted, X: Any, prices: Any = None) -> go.Figure:
    """Return prices shaded by the regime believed at each row of `X`, and the probabilities below them.

    Raises `PartError` where there is not a price a row.
    """
    import plotly.graph_objects as go

    probs = fitted.filter_path(X).probs
    when = list(X.index) if hasattr(X, "index") else list(range(len(probs)))
    path = _path(fitted, X, prices, len(probs))
    names, tints = fitted.labels or tuple(regime_names(fitted.regimes)), colours(fitted.regimes)
    believed = np.argmax(probs, axis=1)
    data: list[dict[str, Any]] = []
    for k in range(fitted.regimes):
        shown = [value if regime == k else None for value, regime in zip(path.tolist(), believed.tolist(), strict=True)]
        dots = {"mode": "markers", "marker": {"color": tints[k], "size": 4}, "legendgroup": names[k]}
        data.append({"type": "scatter", "x": when, "y": shown, "name": names[k], **dots})
        area = {"mode": "lines", "stackgroup": "p", "line": {"width": 0, "color": tints[k]}, "fillcolor": tints[k]}
        below = {"xaxis": "x", "yaxis": "y2", "legendgroup": names[k], "showlegend": False}
        data.append({"type": "scatter", "x": when, "y": probs[:, k].tolist(), "name": names[k], **area, **below})
    axes = {"yaxis": {"domain": [0.36, 1.0]}, "yaxis2": {"domain": [0.0, 0.3], "range": [0, 1], "tickformat": ".0%"}}
    title = {"text": f"{fitted.name}: the regime believed at each close", "x": 0.01}
    form: dict[str, Any] = {"template": "plotly_white", "height": 520, "title": title, "xaxis": {"anchor": "y2"}}
    return go.Figure({"data": data, "layout": axes | form})


def _path(fitted: Fitted, X: Any, prices: Any, rows: int) -> Floats:
    if prices is None:
        first = np.asarray(X, dtype=np.float64).reshape(rows, -1)[:, 0]
        return np.cumsum(np.nan_to_num(first))
    found = np.asarray(prices, dtype=np.float64).ravel()
    if len(found) != rows:
        raise PartError(f"{fitted.name}: plot has {len(found)} prices for {rows} rows of X; wanted one a row")
    return found
