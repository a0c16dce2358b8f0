"""The report's figures, as the plain JSON that plotly.js draws.

Built as dicts, not through `plotly.graph_objects`: the page needs nothing else, and validation would cost more than
everything here. Arrays travel as base64 float32; the dates of all time figures are sent once, as `"ts"`.
"""

from __future__ import annotations

import base64
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.metrics.drawdown import drawdowns
from barograph.metrics.formulas import by_asset
from barograph.report.folder import Run
from barograph.report.words import regime_names
from barograph.types import Floats

__all__ = ["CALM", "INK", "LINES", "OURS", "SAND", "THEIRS", "WARM", "Figure", "Timeline", "colours", "dates",
           "exposure_words", "faded", "growth_axis", "layout", "linked", "packed", "persistences", "run_figures",
           "shading", "spans", "thin", "timeline", "trace", "volatilities"]  # fmt: skip

Figure = dict[str, Any]

INK, OURS, THEIRS, GRID = "#1d2b36", "#173f5f", "#8b98a3", "#e8ecef"
CALM, SAND, WARM = (74, 130, 166), (217, 178, 92), (211, 96, 52)
LINES = ("#173f5f", "#d36034", "#3b9188", "#c99a2e", "#7d5ba6", "#5f7482")

# Room on the right for the names of ends, on every chart alike: what lies below each other has one axis of time.
MARGIN = {"l": 52, "r": 56, "t": 10, "b": 30}

MOST_POINTS = 6000
MOST_SPANS = 800
MOST_ASSETS = 6
# Of more closes than these a step line is a solid block.
MOST_STEPS = 1500
MOST_STRETCHES = 500


class Timeline(NamedTuple):
    """The rows that are drawn and their dates; `whole` says whether they are all of them."""

    rows: NDArray[np.intp]
    labels: list[str]
    whole: bool


def timeline(run: Run) -> Timeline:
    """Choose what is drawn of a run, and say when it was."""
    rows = thin(run.equity, MOST_POINTS)
    return Timeline(rows, dates(run.ts.iloc[rows]), rows.size == len(run.ts))


def thin(values: Floats, most: int) -> NDArray[np.intp]:
    """Return at most `most` rows that keep the shape of a path: the ends, and each stretch's lowest and highest.

    >>> thin(np.array([1.0, 9.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]), 6).tolist()
    [0, 1, 4, 5, 7]
    """
    if values.size <= most:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, (most - 2) // 2 + 1).astype(np.intp)
    pairs = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    kept = {0, values.size - 1}
    for begin, end in pairs:
        part = values[begin:end]
        kept |= {begin + int(np.argmin(part)), begin + int(np.argmax(part))}
    return np.array(sorted(kept), dtype=np.intp)


def dates(ts: Any, like: Any = None) -> list[str]:
    """Return closes as plotly wants them: days for one bar a day, where midnight is the end of the day before.

    A few closes of a run are written `like` all of them.
    """
    import pandas as pd

    every = ts if like is None else like
    spacing = every.diff().median()
    alone = (every - pd.Timedelta(1, "us")).dt.floor("D").is_unique
    if alone and (pd.isna(spacing) or spacing.total_seconds() > 0.8 * 86400):
        return [str(day) for day in (ts - pd.Timedelta(1, "us")).dt.strftime("%Y-%m-%d")]
    return [str(moment) for moment in ts.dt.strftime("%Y-%m-%d %H:%M:%S")]


def packed(values: Floats) -> dict[str, str]:
    """Return numbers as plotly.js's typed array: float32, base64."""
    return {"dtype": "f4", "bdata": base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()}


def colours(states: int) -> list[str]:
    """Return a colour a regime, from calm blue to warm red.

    >>> colours(2)
    ['rgb(74,130,166)', 'rgb(211,96,52)']
    """
    places = np.linspace(0, 1, max(states, 2))[:states]
    mixed = [[np.interp(x, [0, 0.5, 1], stops) for stops in zip(CALM, SAND, WARM, strict=True)] for x in places]
    return [f"rgb({round(r)},{round(g)},{round(b)})" for r, g, b in mixed]


def spans(regimes: NDArray[np.int64], most: int) -> list[tuple[int, int, int]]:
    """Return contiguous (regime, first, end) with rows first ≤ t < end; the shortest join the one before past `most`.

    >>> spans(np.array([0, 0, 1, 0, 0]), most=9)
    [(0, 0, 2), (1, 2, 3), (0, 3, 5)]
    >>> spans(np.array([0, 0, 1, 0, 0]), most=2)
    [(0, 0, 5)]
    """
    edges = np.flatnonzero(np.diff(regimes)) + 1
    firsts = np.concatenate(([0], edges)) if regimes.size else edges
    found = [(int(regimes[a]), int(a), int(b)) for a, b in zip(firsts, [*edges, regimes.size], strict=False)]
    shortest = 1
    while len(found) > most:
        found = _joined(found, shortest)
        shortest *= 2
    return found


def _joined(found: list[tuple[int, int, int]], shortest: int) -> list[tuple[int, int, int]]:
    kept: list[tuple[int, int, int]] = []
    for regime, first, end in found:
        if kept and (end - first <= shortest or kept[-1][0] == regime):
            kept[-1] = (kept[-1][0], kept[-1][1], end)
        else:
            kept.append((regime, first, end))
    return kept


def run_figures(run: Run, line: Timeline) -> dict[str, Figure]:
    """Return the figures over time and of the refits, by the id of their place; what is empty is absent."""
    found = {"equity": _equity(run, line), "drawdown": _drawdown(run, line), "exposure": _exposure(run, line)}
    if run.states > 1:
        found["probabilities"] = _probabilities(run, line)
    return linked(found, line) | _refits(run)


def linked(figures: dict[str, Figure], line: Timeline) -> dict[str, Figure]:
    """Return figures over the run's time so that they begin and end together, and are zoomed together."""
    for figure in figures.values() if len(line.labels) > 1 else ():
        # Left to itself an axis makes room for marks at its ends, and the charts no longer stand below each other.
        figure["layout"]["xaxis"]["range"] = [line.labels[0], line.labels[-1]]
    return {place: figure | {"linked": True} for place, figure in figures.items()}


def layout(height: int, **more: Any) -> dict[str, Any]:
    """Return what all figures share; a dict given for an axis is added to the common one."""
    axis = {"gridcolor": GRID, "zeroline": False, "tickcolor": GRID, "linecolor": GRID, "automargin": True}
    common: dict[str, Any] = {
        "height": height,
        "margin": MARGIN,
        "font": {"family": "inherit", "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "showlegend": False,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
    named = {"xaxis", "yaxis", *(name for name in more if name.startswith(("xaxis", "yaxis")))}
    axes = {name: axis | more.pop(name, {}) for name in sorted(named)}
    return common | more | axes


def trace(values: Floats, name: str, colour: str, **more: Any) -> dict[str, Any]:
    """Return one line over the common dates."""
    form = more.pop("form", {})
    common = {"type": "scatter", "mode": "lines", "x": "ts", "y": packed(values), "name": name}
    return common | {"line": {"color": colour, "width": 1.4} | form} | more


def growth_axis(values: Floats) -> dict[str, Any]:
    """Return a logarithmic axis for growth, linear where money ran out; ticks as dense as the range allows."""
    lowest, highest = float(values.min()), float(values.max())
    if lowest <= 0:
        return {"type": "linear", "tickformat": "~g", "tickmode": "auto"}
    ratio = highest / lowest
    ticks = {"dtick": "D2" if ratio > 10 else "D1"} if ratio > 2 else {"tickmode": "auto", "nticks": 6}
    return {"type": "log", "tickformat": "~g"} | ticks


def ends(lines: list[tuple[float, str]], log: bool) -> list[dict[str, Any]]:
    """Return labels ×growth at the last points of two lines, given as (growth, colour); the higher one above."""
    highest = max(growth for growth, _ in lines)
    font = {"showarrow": False, "x": 1, "xref": "paper", "xanchor": "left", "xshift": 3, "yref": "y2"}
    return [
        font
        | {"y": math.log10(value) if log else value, "yshift": 7 if value == highest else -7}
        | {"text": f"×{value:.3g}", "font": {"color": colour}}
        for value, colour in lines
    ]


def _equity(run: Run, line: Timeline) -> Figure:
    ours, theirs = (money[line.rows] / money[0] for money in (run.equity, run.benchmark))
    log = bool(min(ours.min(), theirs.min()) > 0)
    lines = [
        trace(theirs, "buy and hold", THEIRS, yaxis="y2", hovertemplate="×%{y:.3f}"),
        trace(ours, run.name, OURS, yaxis="y2", form={"width": 1.8}, hovertemplate="×%{y:.3f}"),
    ]
    shade = shading(run, line)
    growth = growth_axis(np.concatenate((ours, theirs))) | {"overlaying": "y", "side": "left"}
    hidden = {"range": [0, 1], "visible": False, "fixedrange": True, "side": "right"}
    room = {"annotations": ends([(ours[-1], OURS), (theirs[-1], THEIRS)], log)}
    return {"data": [*shade, *lines], "layout": layout(380, yaxis=hidden, yaxis2=growth, showlegend=True, **room)}


def shading(run: Run, line: Timeline) -> list[dict[str, Any]]:
    """One filled step line a regime but the calmest: exact, and light however many the spans are."""
    if run.states < 2:
        return []
    found = spans(run.regimes[line.rows], MOST_SPANS)
    last = len(line.labels) - 1
    names, tints = run.regime_names, colours(run.states)
    shades = []
    for k in range(1, run.states):
        mine = [(line.labels[first], line.labels[min(end, last)]) for regime, first, end in found if regime == k]
        x = [edge for first, end in mine for edge in (first, first, end, end)]
        fill = tints[k].replace("rgb", "rgba").replace(")", ",0.22)")
        shape = {"mode": "lines", "line": {"width": 0, "color": tints[k]}, "fill": "tozeroy", "fillcolor": fill}
        shades.append({"type": "scatter", "x": x, "y": [0, 1, 1, 0] * len(mine), "name": names[k], **shape})
        shades[-1] |= {"hoverinfo": "skip"}
    return shades


def _drawdown(run: Run, line: Timeline) -> Figure:
    percent = {"tickformat": ".0%", "rangemode": "tozero"}
    ours, theirs = drawdowns(run.equity)[line.rows], drawdowns(run.benchmark)[line.rows]
    area = {"fill": "tozeroy", "fillcolor": "rgba(23,63,95,0.16)", "hovertemplate": "%{y:.1%}"}
    lines = [trace(theirs, "buy and hold", THEIRS, hovertemplate="%{y:.1%}"), trace(ours, run.name, OURS, **area)]
    return {"data": lines, "layout": layout(220, yaxis=percent)}


def _exposure(run: Run, line: Timeline) -> Figure:
    parts = _held(run)
    flat = {"tickformat": ".0%", "rangemode": "tozero"}
    if len(run.ts) > MOST_STEPS:
        return {"data": _banded(run, parts), "layout": layout(220, yaxis=flat, showlegend=True)}
    data = [one for i, (name, path) in enumerate(parts.items()) for one in _stacked(name, path[line.rows], i)]
    return {"data": data, "layout": layout(220, yaxis=flat, showlegend=len(parts) > 1)}


def _held(run: Run) -> dict[str, Floats]:
    """Return the weights of each asset, of many only the largest and the rest together."""
    table = run.tables["equity"]
    names = [name for name in table.columns if name.startswith("weight_")]
    paths = {name.removeprefix("weight_"): table[name].to_numpy(np.float64) for name in names}
    if len(paths) <= MOST_ASSETS:
        return paths
    sizes = {name: float(np.abs(path).mean()) for name, path in paths.items()}
    most = sorted(paths, key=lambda name: -sizes[name])[: MOST_ASSETS - 1]
    rest = [path for name, path in paths.items() if name not in most]
    return {name: paths[name] for name in paths if name in most} | {f"{len(rest)} others": np.sum(rest, axis=0)}


def _stacked(name: str, path: Floats, i: int) -> list[dict[str, Any]]:
    """Return an area upon the others, long above zero and short below it."""
    tint = LINES[i % len(LINES)]
    sides = {"long": np.maximum(path, 0.0), "short": np.minimum(path, 0.0)}
    shown = [side for side in sides if side == "long" or (path < 0).any()]
    form = {"form": {"shape": "hv", "width": 0.6}, "fillcolor": faded(tint, 0.55), "legendgroup": name}
    return [
        trace(sides[side], name, tint, stackgroup=side, showlegend=side == "long", hovertemplate="%{y:.1%}", **form)
        for side in shown
    ]


def _banded(run: Run, parts: dict[str, Floats]) -> list[dict[str, Any]]:
    """Return each stretch's mean as a line, in the band from its lowest to its highest: steps would be a block."""
    edges = np.linspace(0, len(run.ts), MOST_STRETCHES + 1).astype(np.intp)
    when = dates(run.ts.iloc[edges[:-1]], like=run.ts)
    found = []
    for i, (name, path) in enumerate(parts.items()):
        tint = LINES[i % len(LINES)]
        low, high = (of.reduceat(path, edges[:-1]) for of in (np.minimum, np.maximum))
        mean = np.add.reduceat(path, edges[:-1]) / np.diff(edges)
        quiet = {"legendgroup": name, "showlegend": False, "hoverinfo": "skip", "form": {"width": 0}}
        found += [
            trace(low, name, tint, **quiet) | {"x": when},
            trace(high, name, tint, fill="tonexty", fillcolor=faded(tint, 0.16), **quiet) | {"x": when},
            trace(mean, name, tint, legendgroup=name, hovertemplate="%{y:.1%} on average") | {"x": when},
        ]
    return found


def exposure_words(run: Run) -> str:
    """Say what is drawn where steps would be too dense to see."""
    if len(run.ts) <= MOST_STEPS:
        return ""
    each = len(run.ts) // MOST_STRETCHES
    return f"The line is the mean of about {each:,} closes, the band lies between their lowest and highest."


def faded(colour: str, share: float) -> str:
    """Return a colour #rrggbb as one that shines through.

    >>> faded("#173f5f", 0.5)
    'rgba(23,63,95,0.5)'
    """
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def _probabilities(run: Run, line: Timeline) -> Figure:
    whole = {"range": [0, 1], "tickformat": ".0%", "fixedrange": True}
    if run.each:
        return {"data": _wildest(run, line), "layout": layout(210, yaxis=whole, showlegend=True)}
    table = run.tables["beliefs"].iloc[line.rows]
    named = enumerate(zip(run.regime_names, colours(run.states), strict=True))
    areas = [
        trace(table[f"p_{k}"].to_numpy(), name, tint, stackgroup="p", form={"width": 0}, hovertemplate="%{y:.1%}")
        | {"fillcolor": tint.replace("rgb", "rgba").replace(")", ",0.75)")}
        for k, (name, tint) in named
    ]
    return {"data": areas, "layout": layout(210, yaxis=whole, showlegend=True)}


def _wildest(run: Run, line: Timeline) -> list[dict[str, Any]]:
    """Return P(last regime) of each asset as a line, or of many assets the mean."""
    last = f"p_{run.states - 1}"
    paths = {name: table[last].to_numpy()[line.rows] for name, table in by_asset(run.tables["beliefs"]).items()}
    if len(paths) > MOST_ASSETS:
        paths = {f"mean of {len(paths)} assets": np.mean(list(paths.values()), axis=0)}
    shown = enumerate(paths.items())
    return [trace(path, name, LINES[i % len(LINES)], hovertemplate="%{y:.1%}") for i, (name, path) in shown]


def volatilities(summary: dict[str, Any]) -> list[float]:
    """Return each regime's volatility of the first feature, or nothing where the model has none."""
    return [row[0] if isinstance(row, list) else row for row in summary.get("volatilities") or []]


def persistences(summary: dict[str, Any]) -> list[float]:
    """Return each regime's probability of staying one more bar, or nothing where the model has none."""
    return [row[k] for k, row in enumerate(summary.get("transition") or [])]


def _refits(run: Run) -> dict[str, Figure]:
    """Through the refits: each regime's volatility and persistence, where the model has them and was fitted twice."""
    if len(run.fits) < 2:
        return {}
    import pandas as pd

    when = dates(pd.Series(pd.to_datetime([fit["ts"] for fit in run.fits], utc=True)))
    found = {}
    for place, read, shape in (
        ("volatilities", volatilities, ".2%"),
        ("persistences", persistences, ".4f"),
    ):
        paths = [read(fit["summary"]) for fit in run.fits]
        if len(paths[0]) and all(len(path) == len(paths[0]) for path in paths):
            names = run.regime_names if len(paths[0]) == run.states else tuple(regime_names(len(paths[0])))
            found[place] = _paths(when, np.array(paths, dtype=np.float64), names, shape, place == "volatilities")
    return found


def _paths(when: list[str], paths: Floats, names: tuple[str, ...], shape: str, from_zero: bool) -> Figure:
    named = enumerate(zip(names, colours(len(names)), strict=True))
    form = {"mode": "lines+markers", "marker": {"size": 4}, "hovertemplate": f"%{{y:{shape}}}"}
    lines = [trace(paths[:, k], name, tint, form={"shape": "hv"}, **form) | {"x": when} for k, (name, tint) in named]
    axis = {"tickformat": "~%" if from_zero else "", "rangemode": "tozero" if from_zero else "normal"}
    return {"data": lines, "layout": layout(220, yaxis=axis, showlegend=True)}
