"""What a machine chose as it went: the path, what each choice was made for and what it made then, what changes cost."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.report.figures import OURS, THEIRS, Figure, dates, layout, trace
from barograph.report.folder import Run
from barograph.report.tables import Row, Table, day
from barograph.report.words import counted, money, number, percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["choice_figures", "choice_table", "choice_words"]


def _choices(run: Run) -> pd.DataFrame | None:
    table = run.tables.get("choices")
    return None if table is None or table.empty else table


def _figure_of(run: Run) -> str:
    return str(tomllib.loads(run.config)["choose"]["figure"])


def choice_words(run: Run) -> str:
    """Say how often it chose and changed, how far the blocks fell short of the windows, and what changing cost."""
    table = _choices(run)
    if table is None:
        return ""
    figure, changed = _figure_of(run).replace("_", " "), table[table["changed"]].iloc[1:]
    both = table[["in_sample", "out_of_sample"]].dropna()
    before, after = both["in_sample"].mean(), both["out_of_sample"].mean()
    fills = run.tables["fills"]
    all_traded = float((fills["quantity"] * fills["price"]).abs().sum())
    share = changed["traded"].sum() / all_traded if all_traded > 0 else float("nan")
    return (
        f"{len(table):,} choices, {len(changed):,} of them of another candidate than before. By what each was chosen "
        f"for, the {figure} over its window, they promised {number(before)} on average; over the blocks after them "
        f"the account made {number(after)}: a gap of {number(after - before, sign=True)}. The first decisions after a "
        f"change brought {counted(int(changed['fills'].sum()), 'fill')}, {percent(share)} of all that was traded, at a "
        f"cost of {money(changed['costs'].sum())}; some of them the candidate before would have made too."
    )


def choice_table(run: Run) -> Table:
    """Return one row a choice."""
    table = _choices(run)
    if table is None:
        return Table((), [])
    columns = ("at", "chosen", "in sample", "out of sample", "fills", "costs")
    rows = [_row(one, n > 0 and one["changed"]) for n, one in enumerate(table.to_dict("records"))]
    return Table(columns, rows, texts=("at", "chosen"), longs=("chosen",))


def _row(one: dict[Any, Any], changed: bool) -> Row:
    paid = (number(one["fills"], 0), money(one["costs"])) if changed else ("", "")
    numbers = (number(one["in_sample"]), number(one["out_of_sample"]))
    return Row((day(one["ts"]), one["chosen"], *numbers, *paid), mark="flag" if changed else "")


def choice_figures(run: Run) -> dict[str, Figure]:
    """Return the path of the candidates, and the figure in sample and out of sample, choice for choice."""
    table = _choices(run)
    if table is None:
        return {}
    when, numbers = dates(table["ts"]), table["candidate"].to_numpy(np.int64)
    used = sorted(dict(zip(numbers.tolist(), table["chosen"], strict=True)).items())
    form: dict[str, Any] = {"mode": "lines+markers", "marker": {"size": 4}}
    path = trace(numbers, "chosen", OURS, form={"shape": "hv"}, text=list(table["chosen"]),
                 hovertemplate="%{text}", **form) | {"x": when}  # fmt: skip
    ticks = {"tickvals": [n for n, _ in used], "ticktext": [told.rpartition("=")[2] if ", " not in told else str(n)
                                                            for n, told in used]}  # fmt: skip
    names = (("in sample", THEIRS, "in_sample"), ("out of sample", OURS, "out_of_sample"))
    lines = [
        trace(table[column].to_numpy(np.float64), name, tint, hovertemplate="%{y:.2f}", **form) | {"x": when}
        for name, tint, column in names
    ]
    gap = {"data": lines, "layout": layout(220, yaxis={"zeroline": True, "zerolinecolor": "#c9d1d6"}, showlegend=True)}
    return {"chosen": {"data": [path], "layout": layout(220, yaxis=ticks)}, "gap": gap}
