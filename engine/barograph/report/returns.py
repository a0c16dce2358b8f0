"""Returns as pictures and tables: year by year, how they are spread, how they changed, and beside buy and hold's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from barograph.metrics import formulas
from barograph.metrics.drawdown import all_drawdowns, deepest_drawdown
from barograph.report.figures import OURS, THEIRS, Figure, Timeline, layout, linked, trace
from barograph.report.folder import Run
from barograph.report.tables import Row, Table, by_month, compound, day
from barograph.report.words import a_year, number, percent
from barograph.types import Floats

__all__ = ["beside", "falls", "quantiles", "return_figures", "rolled", "rolling_beta", "rolling_sharpe",
           "rolling_volatility", "spread_words"]  # fmt: skip

FEWEST: Final = 20
MOST_FALLS: Final = 8
BINS: Final = 61
SHARES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

Rolled = Callable[[Floats, Floats], Floats]


def return_figures(run: Run, line: Timeline) -> dict[str, Figure]:
    """Return the figures of returns by the id of their place; those for which there are too few are absent."""
    found = {} if len(_ours(run)) <= round(run.steps.periods) else linked(_rolling(run, line), line)
    return found | _yearly(run) | _spread(run)


def _ours(run: Run) -> Floats:
    return formulas.simple_returns(run.equity[run.steps.rows])


def _theirs(run: Run) -> Floats:
    return formulas.simple_returns(run.benchmark[run.steps.rows])


def _rolling(run: Run, line: Timeline) -> dict[str, Figure]:
    """Return a year's Sharpe ratio, volatility and beta, at each close that is drawn."""
    taken = run.steps
    # A close inside a day shows what was known at the end of the day before.
    rows, window = np.searchsorted(taken.rows, line.rows, side="right") - 1, round(taken.periods)
    ours, theirs = _ours(run), _theirs(run)
    pairs = (("buy and hold", THEIRS, theirs), (run.name, OURS, ours))
    zero = {"zeroline": True, "zerolinecolor": "#c9d1d6"}

    def drawn(of: Rolled, shape: str, axis: dict[str, Any]) -> Figure:
        lines = [trace(rolled(own, theirs, rows, window, of), name, tint, hovertemplate=f"%{{y:{shape}}}")
                 for name, tint, own in pairs]  # fmt: skip
        return {"data": lines, "layout": layout(220, yaxis=axis)}

    # Buy and hold's own beta is 1: it says nothing.
    beta = trace(rolled(ours, theirs, rows, window, rolling_beta), run.name, OURS, hovertemplate="%{y:.2f}")
    return {
        "rolling": drawn(rolling_sharpe, ".2f", zero),
        "rolling_volatility": drawn(rolling_volatility, ".1%", {"tickformat": ".0%", "rangemode": "tozero"}),
        "rolling_beta": {"data": [beta], "layout": layout(220, yaxis=zero | {"rangemode": "tozero"})},
    }


def rolled(ours: Floats, theirs: Floats, rows: NDArray[np.intp], window: int, of: Rolled) -> Floats:
    """Return ``of(windows, windows of theirs)`` of the `window` returns up to each row, (rows,); NaN before there are.

    Only the rows that are drawn are computed, and each from its own returns: a running sum would leave its rounding
    behind where the account was idle.
    """
    size = min(ours.size, theirs.size)
    answer = np.full(rows.size, np.nan)
    ready = np.flatnonzero((rows >= window) & (rows <= size))
    mine, other = (np.lib.stride_tricks.sliding_window_view(one[:size], window) for one in (ours, theirs))
    for begin in range(0, ready.size, 512):
        chosen = ready[begin : begin + 512]
        answer[chosen] = of(mine[rows[chosen] - window], other[rows[chosen] - window])
    return answer


def rolling_sharpe(part: Floats, _theirs: Floats) -> Floats:
    """Return the Sharpe ratio of each window (m, w), annual where it is a year; NaN without any risk."""
    spread = part.std(axis=1, ddof=1)
    safe = np.where(spread > formulas.ROUNDING, spread, np.nan)
    found: Floats = part.mean(axis=1) / safe * math.sqrt(part.shape[1])
    return found


def rolling_volatility(part: Floats, _theirs: Floats) -> Floats:
    """Return the volatility of each window (m, w), annual where it is a year."""
    found: Floats = part.std(axis=1, ddof=1) * math.sqrt(part.shape[1])
    return found


def rolling_beta(part: Floats, theirs: Floats) -> Floats:
    """Return cov(r, b) / var(b) of each window (m, w); NaN where the benchmark did not move."""
    mine, other = (of - of.mean(axis=1, keepdims=True) for of in (part, theirs))
    moved = (other * other).sum(axis=1)
    found: Floats = (mine * other).sum(axis=1) / np.where(moved > formulas.ROUNDING**2, moved, np.nan)
    return found


def _yearly(run: Run) -> dict[str, Figure]:
    """Return a bar a calendar year beside buy and hold's; the first and the last may be parts of one."""
    ours, theirs = by_month(run, "equity"), by_month(run, "benchmark")
    years = sorted({year for year, _ in ours.index})
    if len(years) < 2:
        return {}
    pairs = (("buy and hold", THEIRS, theirs), (run.name, OURS, ours))
    data = [
        {"type": "bar", "name": name, "x": [str(year) for year in years], "marker": {"color": tint},
         "y": [_known(compound(path, year)) for year in years], "hovertemplate": "%{y:.1%}"}
        for name, tint, path in pairs
    ]  # fmt: skip
    axes = {"xaxis": {"type": "category"}, "yaxis": {"tickformat": ".0%", "zeroline": True}}
    return {"yearly": {"data": data, "layout": layout(260, **axes, showlegend=True, barmode="group", bargap=0.25)}}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _spread(run: Run) -> dict[str, Figure]:
    """Return how often returns of each size were, for both; returns of 0 are no bar of the strategy's market."""
    ours, theirs = (path[path != 0] for path in (_ours(run), _theirs(run)))
    both = np.concatenate((ours, theirs))
    if len(ours) < FEWEST or len(theirs) < FEWEST:
        return {}
    reach = float(np.quantile(np.abs(both), 0.995))
    edges = np.linspace(-reach, reach, BINS + 1)
    middles = ((edges[1:] + edges[:-1]) / 2).tolist()
    data = [
        {"type": "bar", "name": name, "x": middles, "marker": {"color": tint}, "opacity": 0.6,
         "y": (np.histogram(np.clip(path, -reach, reach), edges)[0] / len(path)).tolist(),
         "hovertemplate": "around %{x:.2%}: %{y:.1%}"}
        for name, tint, path in (("buy and hold", THEIRS, theirs), (run.name, OURS, ours))
    ]  # fmt: skip
    axes = {"xaxis": {"tickformat": ".1%"}, "yaxis": {"tickformat": ".0%"}}
    drawn = layout(260, **axes, showlegend=True, barmode="overlay", bargap=0.05, hovermode="closest")
    return {"spread": {"data": data, "layout": drawn}}


def spread_words(run: Run) -> str:
    """Say what the picture of returns leaves out."""
    ours = _ours(run)
    still = int((ours == 0).sum())
    each = "day" if run.by_day else "bar"
    idle = f" The {still:,} of {len(ours):,} {each}s on which the account did not move are left out." if still else ""
    return f"Returns of one {each}, as a share of all; the outermost columns hold what lies beyond them.{idle}"


def quantiles(run: Run) -> Table:
    """Return the quantiles of all returns, the account's and buy and hold's."""
    ours, theirs = _ours(run), _theirs(run)
    if len(ours) < FEWEST:
        return Table((), [])
    ends = [("worst", 0.0), *((f"{100 * share:.0f} %", share) for share in SHARES), ("best", 1.0)]
    rows = [Row((name, *(percent(float(np.quantile(of, share)), 2) for of in (ours, theirs)))) for name, share in ends]
    return Table(("quantile", run.name, "buy and hold"), rows, texts=("quantile",))


def beside(run: Run) -> Table:
    """Return the figures of the run and of buy and hold side by side; those of a year only where there is one."""
    own, annual = (_figures(run, run.equity), _figures(run, run.benchmark)), a_year(run.metrics)
    forms = {"Sharpe ratio": number, "Sortino ratio": number, "Skew": number, "Bars under water, longest": _whole}
    names = [name for name in own[0] if annual or name != "Growth a year"]
    rows = [Row((name, *(forms.get(name, percent)(of[name]) for of in own))) for name in names]
    return Table(("", run.name, "buy and hold"), rows, texts=("",))


def _figures(run: Run, equity: Floats) -> dict[str, float]:
    taken = run.steps
    money, periods = equity[taken.rows], taken.periods
    r = formulas.simple_returns(money)
    if not r.size:
        return {}
    return {
        "Total return": formulas.total_return(equity),
        "Growth a year": formulas.cagr(money, periods),
        "Volatility a year": formulas.volatility(r, periods),
        "Sharpe ratio": formulas.sharpe(r, periods),
        "Sortino ratio": formulas.sortino(r, periods),
        "Largest drawdown": deepest_drawdown(equity).depth,
        "Bars under water, longest": float(max((fall.bars for fall in all_drawdowns(equity)), default=0)),
        "Value at risk, 95 %": formulas.value_at_risk(r),
        "Expected shortfall, 95 %": formulas.expected_shortfall(r),
        "Rising, of those that moved": formulas.hit_rate(r),
        "Skew": formulas.skew(r),
        "Best": float(r.max()),
        "Worst": float(r.min()),
    }


def _whole(value: float) -> str:
    return number(value, 0)


def falls(run: Run) -> Table:
    """Return the deepest drawdowns, each with its peak, its trough, its recovery, and how long it lasted."""
    rows = []
    for fall in all_drawdowns(run.equity)[:MOST_FALLS]:
        peak, trough, end = (day(run.ts.iloc[row]) for row in (fall.peak, fall.trough, fall.end))
        down, up = (number(bars, 0) for bars in (fall.trough - fall.peak, fall.end - fall.trough))
        market = formulas.total_return(run.benchmark[[fall.peak, fall.trough]])
        cells = (percent(fall.depth), peak, trough, end if fall.recovered else "not yet", down, up, percent(market))
        rows.append(Row(cells))
    columns = ("depth", "peak", "trough", "recovered", "bars down", "bars up", "buy and hold, peak to trough")
    return Table(columns, rows, texts=("peak", "trough", "recovered"))
