"""The chart of prices: where positions were entered, added to and left, where stops lay, which regime was believed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.report.figures import INK, Figure, Timeline, dates, growth_axis, layout, packed, shading, thin
from barograph.report.folder import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["chart_words", "charted", "price_chart"]

MOST_ASSETS: Final = 12
MOST_MARKS: Final = 1500
MOST_STOPS: Final = 600


class _Mark(NamedTuple):
    symbol: str
    colour: str


MARKS: Final = {
    "bought": _Mark("triangle-up", "#2e8b57"),
    "sold": _Mark("triangle-down", "#b5463c"),
    "closed": _Mark("circle-open", "#1d2b36"),
    "stopped": _Mark("x", "#b5463c"),
}
_STOPS: Final = ("stop_loss", "trailing_stop")


def charted(run: Run) -> list[str]:
    """Return the assets whose prices are drawn: those with the most fills, in the order of the table."""
    named = [name.removeprefix("close_") for name in run.tables["prices"].columns if name.startswith("close_")]
    counts = run.tables["fills"]["asset"].value_counts()
    most = sorted(named, key=lambda symbol: -int(counts.get(symbol, 0)))[:MOST_ASSETS]
    return [symbol for symbol in named if symbol in most]


def chart_words(run: Run) -> str:
    """Say what the chart leaves out."""
    drawn, fills = charted(run), run.tables["fills"]
    there = len(run.tables["prices"].columns) - 1
    said = [f"The {len(drawn)} of {there:,} assets with the most fills are drawn."] if len(drawn) < there else []
    many = [symbol for symbol in drawn if int((fills["asset"] == symbol).sum()) > MOST_MARKS]
    if many:
        said.append(f"Of {', '.join(many)} about {MOST_MARKS:,} fills are marked, evenly through the run.")
    return " ".join(said)


def price_chart(run: Run, line: Timeline) -> Figure | None:
    """Return the closes with every fill marked, stops and regimes; a menu chooses among several assets."""
    assets = charted(run)
    if not assets:
        return None
    shade = shading(run, line)
    parts = {asset: _asset(run, asset, asset == assets[0]) for asset in assets}
    data = [*shade, *(one for part in parts.values() for one in part)]
    closes = run.tables["prices"][[f"close_{asset}" for asset in assets]].to_numpy(np.float64)
    kind = growth_axis(closes[np.isfinite(closes)]) if len(assets) == 1 else {"type": "log", "tickformat": "~g"}
    hidden = {"range": [0, 1], "visible": False, "fixedrange": True, "side": "right"}
    menu = {} if len(assets) == 1 else {"updatemenus": [_menu(parts, len(shade))]}
    drawn = layout(380, yaxis=hidden, yaxis2=kind | {"overlaying": "y", "side": "left"}, showlegend=True,
                   hovermode="closest", **menu)  # fmt: skip
    return {"data": data, "layout": drawn}


def _menu(parts: dict[str, list[dict[str, Any]]], shades: int) -> dict[str, Any]:
    """Return the menu that shows one asset at a time."""
    buttons = [
        {"label": chosen, "method": "restyle",
         "args": [{"visible": [True] * shades + [asset == chosen for asset, part in parts.items() for _ in part]}]}
        for chosen in parts
    ]  # fmt: skip
    place = {"x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom", "pad": {"t": 0, "b": 0}}
    return {"buttons": buttons, "direction": "down", "showactive": True, **place}


def _asset(run: Run, asset: str, shown: bool) -> list[dict[str, Any]]:
    """Return an asset's closes, its stops and its marks."""
    table = run.tables["prices"]
    closes = table[f"close_{asset}"].to_numpy(np.float64)
    there = np.flatnonzero(np.isfinite(closes))
    rows = there[thin(closes[there], 6000)] if there.size else there
    when = dates(table["ts"].iloc[rows], like=table["ts"])
    common = {"type": "scatter", "yaxis": "y2", "visible": shown}
    path = common | {"mode": "lines", "name": asset, "x": when, "y": packed(closes[rows]),
                     "line": {"color": INK, "width": 1.2}, "hovertemplate": "%{y:.6g}"}  # fmt: skip
    return [common | one for one in (path, *_stops(run, asset), *_marks(run, asset))]


def _stops(run: Run, asset: str) -> list[dict[str, Any]]:
    """Return the levels of stops as one broken line, each from its order to its end; trailing ones as they began."""
    orders = run.tables["orders"]
    mine = orders[(orders["asset"] == asset) & orders["stop"].notna()]
    if mine.empty:
        return []
    mine = mine.iloc[:: math.ceil(len(mine) / MOST_STOPS)]
    begin = dates(mine["ts"], like=run.ts)
    end = dates(mine["end_ts"].fillna(run.ts.iloc[-1]), like=run.ts)
    levels = mine["stop"].astype(float).tolist()
    x = [at for first, last in zip(begin, end, strict=True) for at in (first, last, None)]
    y = [at for level in levels for at in (level, level, None)]
    form = {"mode": "lines", "line": {"color": MARKS["stopped"].colour, "width": 1, "dash": "dot"}}
    return [form | {"name": "stops", "x": x, "y": y, "hovertemplate": "stop %{y:.6g}"}]


def _marks(run: Run, asset: str) -> list[dict[str, Any]]:
    """Return the fills of an asset by what they did."""
    fills = run.tables["fills"]
    mine = fills[fills["asset"] == asset]
    if mine.empty:
        return []
    kinds = what_fills_did(run, mine)
    kept = np.zeros(len(mine), dtype=bool)
    kept[:: math.ceil(len(mine) / MOST_MARKS)] = True
    return [_trace(run, mine[kept & (kinds == kind)], kind) for kind in MARKS if (kept & (kinds == kind)).any()]


def what_fills_did(run: Run, fills: pd.DataFrame) -> Any:
    """Return for each fill of one asset whether it bought, sold, closed a position, or was a stop that was hit."""
    trades = run.tables["trades"]
    mine = trades[trades["asset"] == fills["asset"].iloc[0]]
    # What was taken off a position that is still held has an end too, and closed nothing.
    finished = mine[~mine["open"] & ~mine["entry_ts"].isin(mine.loc[mine["open"], "entry_ts"])]
    sides = dict(zip(finished["exit_ts"], np.sign(finished["quantity"]), strict=True))
    quantity = np.sign(fills["quantity"].to_numpy(np.float64))
    closing = quantity == -fills["ts"].map(sides).fillna(0.0).to_numpy(np.float64)
    turned = fills["ts"].isin(mine["entry_ts"]).to_numpy()
    kinds = np.where(quantity > 0, "bought", "sold").astype(object)
    kinds[closing & ~turned] = "closed"
    roles = fills["order_id"].map(run.tables["orders"].set_index("id")["role"])
    kinds[roles.isin(_STOPS).to_numpy()] = "stopped"
    return kinds


def _trace(run: Run, fills: pd.DataFrame, kind: str) -> dict[str, Any]:
    mark = MARKS[kind]
    told = [f"{kind} {abs(units):,.6g} at {price:,.6g}<br>{why}" for units, price, why in
            zip(fills["quantity"], fills["price"], fills["reason"], strict=True)]  # fmt: skip
    return {
        "mode": "markers",
        "name": kind,
        "x": dates(fills["ts"], like=run.ts),
        "y": packed(fills["price"].to_numpy(np.float64)),
        "marker": {"symbol": mark.symbol, "size": 8, "color": mark.colour, "line": {"width": 1}},
        "text": told,
        "hovertemplate": "%{x}<br>%{text}<extra></extra>",
    }
