"""A sweep on one page: the verdict first, then the best, then what the figure does as the keys change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.report.figures import OURS, Figure, layout, packed
from barograph.report.tables import Row, Table
from barograph.report.words import number, percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["swept"]

# Of more points than this a line each is a blot: the best and as many others as fit are drawn.
_LINES: Final = 1500
_CELLS: Final = 250_000
_TICKS: Final = 12
_MARGIN: Final = {"l": 52, "r": 14, "t": 10, "b": 54}
_SCALE: Final = [[0, "#d36034"], [0.5, "#f4f1e8"], [1, "#173f5f"]]
_COLUMNS: Final = (("growth", "cagr", percent), ("volatility", "volatility", percent),
                   ("drawdown", "max_drawdown", percent), ("turnover", "turnover", number),
                   ("costs", "cost_rate", percent), ("Sharpe", "sharpe", number))  # fmt: skip


def swept(folder: Path) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Return the figures and words of a sweep's page, from the files of its folder."""
    import pandas as pd

    told = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    points = pd.read_parquet(folder / "points.parquet")
    keys, figure = told["keys"], told["figure"]
    drawn = [_keys_alone(points, keys, figure), _heat(points, keys, figure), _lines(points, keys, figure)]
    charts = [chart for chart in drawn if chart is not None]
    words = {
        "title": f"{told['name']}: {len(points):,} points",
        "period": f"{', '.join(told['symbols'])} · {told['first']} to {told['last']} · {told['bars']:,} bars · "
        f"over {', '.join(keys)}",
        "verdict": told["verdict"]["words"],
        "best": _best(told),
        "charts": [(name, heading, about) for name, heading, about, _ in charts],
        "computed": _computed(told),
    }
    return {name: chart for name, _, _, chart in charts}, words


def _best(told: dict[str, Any]) -> Table:
    keys = told["keys"]
    columns = ("point", *keys, *(title for title, _, _ in _COLUMNS), "95 %")
    rows = []
    for one in told["best"]:
        m = one["metrics"]
        cells = (*(str(one["keys"][key]) for key in keys), *(form(m.get(key)) for _, key, form in _COLUMNS))
        between = f"{number(m.get('sharpe_low'))} to {number(m.get('sharpe_high'))}"
        rows.append(Row((str(one["point"]), *cells, between), link=f"../{one['folder']}/report.html"))
    return Table(columns, rows)


def _computed(told: dict[str, Any]) -> str:
    c, failed = told["counters"], told["failed"]
    times = "once" if c["seen"] == 1 else f"{c['seen']:,} times"
    ends = f" {failed:,} points have no figures: their runs ended early, and points.parquet says why." if failed else ""
    return (
        f"{c['points']:,} points; features and model saw the bars {times}, with {c['fits']:,} fits in all; "
        f"{c['strategies']:,} strategies and {c['terms']:,} sets of terms; {c['runs']:,} accounts were run now, in "
        f"{told['seconds']:,.1f} s.{ends}"
    )


Chart = tuple[str, str, str, Figure]


def _keys_alone(points: pd.DataFrame, keys: list[str], figure: str) -> Chart | None:
    """Draw for each value of each key the best, the middle and the worst of all points that have it."""
    about = f"The {_spoken(figure)} against the keys one by one: the middle of all points of a value, worst to best."
    shown = [key for key in keys if points[key].nunique() > 1]
    if not shown:
        return None
    traces, axes = [], {}
    for n, key in enumerate(shown[:6], start=1):
        groups = points.groupby(key, sort=True)[figure]
        x, low, mid, high = list(groups.groups), groups.min(), groups.median(), groups.max()
        suffix = "" if n == 1 else str(n)
        of = {"x": [_plain(v) for v in x], "xaxis": f"x{suffix}", "yaxis": "y", "type": "scatter", "mode": "lines"}
        traces.append(of | {"y": packed(high.to_numpy()), "line": {"width": 0}, "hoverinfo": "skip"})
        traces.append(of | {"y": packed(low.to_numpy()), "fill": "tonexty", "fillcolor": "rgba(74,130,166,0.2)",
                            "line": {"width": 0}, "hoverinfo": "skip"})  # fmt: skip
        traces.append(of | {"y": packed(mid.to_numpy()), "mode": "lines+markers", "line": {"color": OURS, "width": 1.5},
                            "marker": {"size": 4}, "name": key, "hovertemplate": "%{x}: %{y:.3f}"})  # fmt: skip
        width = 1.0 / len(shown[:6])
        ticks = {"tickvals": of["x"]} if len(of["x"]) <= _TICKS else {}
        place = {"domain": [(n - 1) * width, n * width - 0.03], "anchor": "y", "automargin": False,
                 "tickformat": "~g"}  # fmt: skip
        axes[f"xaxis{suffix}"] = place | {"title": {"text": key}} | ticks
    return (
        "alone",
        "Key by key",
        about,
        {
            "data": traces,
            "layout": layout(320, **axes, hovermode="closest", margin={"l": 52, "r": 14, "t": 10, "b": 54}),
        },
    )


def _heat(points: pd.DataFrame, keys: list[str], figure: str) -> Chart | None:
    """Draw the figure over the two keys with most values, the best over all others."""
    most = sorted((key for key in keys if points[key].nunique() > 1), key=lambda k: -points[k].nunique())[:2]
    if len(most) < 2 or points[most[0]].nunique() * points[most[1]].nunique() > _CELLS:
        return None
    across, up = most
    table = points.pivot_table(index=up, columns=across, values=figure, aggfunc="max", sort=True)
    values = table.to_numpy(np.float64)
    trace = {
        "type": "heatmap",
        "x": [str(_plain(v)) for v in table.columns],
        "y": [str(_plain(v)) for v in table.index],
        "z": [[None if np.isnan(v) else float(v) for v in row] for row in values],
        "colorscale": _SCALE,
        "hovertemplate": f"{across} %{{x}}<br>{up} %{{y}}<br>{figure} %{{z:.3f}}<extra></extra>",
    }
    axes = {name: {"title": {"text": key}, "type": "category"} for name, key in (("xaxis", across), ("yaxis", up))}
    about = f"The best {_spoken(figure)} at each {across} and {up}. A lone blue cell is luck, a blue field may be more."
    return "heat", "Two keys together", about, {"data": [trace], "layout": layout(420, **axes, hovermode="closest")}


def _lines(points: pd.DataFrame, keys: list[str], figure: str) -> Chart | None:
    """Draw every point as a line through its keys to its figure."""
    shown = [key for key in keys if points[key].nunique() > 1]
    known = points.dropna(subset=[figure])
    if len(shown) < 2 or known.empty:
        return None
    ranked = known.sort_values(figure, ascending=False, kind="stable")
    best, rest = ranked.iloc[: _LINES // 3], ranked.iloc[_LINES // 3 :]
    step = max(1, -(-len(rest) // (_LINES - len(best))))
    drawn, dimensions = ranked.loc[[*best.index, *rest.index[::step]]], []
    for key in shown:
        values = drawn[key]
        if not np.issubdtype(values.to_numpy().dtype, np.number):
            names = sorted(map(str, values.unique()))
            codes = values.map(lambda v, of=tuple(names): of.index(str(v))).to_numpy(np.float64)
            dimensions.append(
                {"label": key, "values": packed(codes), "tickvals": list(range(len(names))), "ticktext": names}
            )
        else:
            told = sorted({float(v) for v in values})
            ticks: dict[str, Any] = (
                {"tickvals": told, "ticktext": [f"{v:g}" for v in told]} if len(told) <= _TICKS else {}
            )
            dimensions.append({"label": key, "values": packed(values.to_numpy(np.float64)), **ticks})
    dimensions.append({"label": figure, "values": packed(drawn[figure].to_numpy(np.float64))})
    colour = {"color": packed(drawn[figure].to_numpy(np.float64)), "colorscale": _SCALE}
    trace = {"type": "parcoords", "dimensions": dimensions, "line": colour}
    about = f"A line a point, through its keys to its {_spoken(figure)}. Drag along an axis to keep what passes there."
    if len(drawn) < len(known):
        about += f" {len(drawn):,} of {len(known):,} are drawn: the best third of them, and every {step}th other."
    return (
        "lines",
        "All keys together",
        about,
        {"data": [trace], "layout": layout(420, margin={"l": 80, "r": 60, "t": 40, "b": 30})},
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _spoken(figure: str) -> str:
    return "Sharpe ratio" if figure == "sharpe" else figure.replace("_", " ")
