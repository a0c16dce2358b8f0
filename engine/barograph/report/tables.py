"""The report's tables and cards: rows of text, ready for the template."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barograph.metrics.attribution import attribute
from barograph.metrics.drawdown import deepest_drawdown
from barograph.metrics.formulas import believed, by_asset, switches, total_return
from barograph.report.figures import colours, persistences, volatilities
from barograph.report.folder import Run
from barograph.report.words import a_year, bound_words, money, number, percent, regime_names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MONTHS", "Row", "Table", "by_month", "cards", "compound", "costs", "day", "fall", "findings", "fits",
           "metrics", "months", "notes", "regimes", "together"]  # fmt: skip

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MOST_FINDINGS = 40


class Row(NamedTuple):
    """Cells, and how the row is marked: a CSS class, a colour key before the first cell, a link on it."""

    cells: tuple[str, ...]
    mark: str = ""
    colour: str = ""
    link: str = ""


class Table(NamedTuple):
    """Columns and rows; `texts` are set flush left, `longs` may break lines, a `sortable` one follows its heads."""

    columns: tuple[str, ...]
    rows: list[Row]
    texts: tuple[str, ...] = ()
    longs: tuple[str, ...] = ()
    sortable: bool = False


def cards(run: Run) -> list[dict[str, str]]:
    """Return the figures that stand at the top, each with what to hold it against."""
    m, hold = run.metrics, "buy and hold "
    between = f"95 %: {number(m.get('sharpe_low'))} to {number(m.get('sharpe_high'))}"
    rows = [
        ("Growth a year", percent(m.get("cagr")), hold + percent(m.get("benchmark_cagr")))
        if a_year(m)
        else ("Growth", percent(m.get("total_return")), hold + percent(m.get("benchmark_total_return"))),
        ("Sharpe ratio", number(m.get("sharpe")), f"{between}; hold {number(m.get('benchmark_sharpe'))}"),
        ("Largest drawdown", percent(m.get("max_drawdown")), hold + percent(m.get("benchmark_max_drawdown"))),
        ("Volatility", percent(m.get("volatility")), hold + percent(m.get("benchmark_volatility"))),
        ("Mean exposure", percent(m.get("exposure"), 0), f"invested on {percent(m.get('invested'), 0)} of bars"),
        ("Turnover a year", number(m.get("turnover"), 1) + " ×", "of equity, bought and sold"),
        ("Costs a year", percent(m.get("cost_rate"), 2), f"{money(m.get('costs'))} in all"),
        ("Alpha a year", percent(m.get("alpha") if a_year(m) else None), f"beta {number(m.get('beta'))}"),
    ]
    if run.states > 1:
        rows[-1] = ("Regime switches a year", number(m.get("regime_switch_rate"), 1), _switched(run))
    return [{"name": name, "value": value, "beside": beside} for name, value, beside in rows]


def _switched(run: Run) -> str:
    m = run.metrics
    return (
        f"{number(m.get('regime_switches'), 0)} in {number(m.get('years'), 1)} years{', an asset' if run.each else ''}"
    )


def fall(run: Run) -> str:
    """Say when the deepest drawdown was, and how long it lasted."""
    deepest = deepest_drawdown(run.equity)
    if deepest.depth == 0:
        return "The equity never closed below its peak. Grey is buy and hold."
    peak, trough, end = (day(run.ts.iloc[row]) for row in (deepest.peak, deepest.trough, deepest.end))
    over = f"recovered on {end}" if deepest.recovered else f"not recovered by {end}"
    when = f"from {peak} to {trough}, {over} ({deepest.bars:,} bars)"
    return f"Deepest: {percent(deepest.depth)}, {when}. Grey is buy and hold."


def day(moment: Any) -> str:
    """Return a moment as its date."""
    import pandas as pd

    return "–" if pd.isna(moment) else f"{moment:%Y-%m-%d}"


def notes(run: Run) -> list[str]:
    """Return what a reader must know before believing the rest, one line each."""
    doubtful = sum(_doubtful(fit) for fit in run.fits)
    made = [fit for fit in run.fits if not fit["refused"]]
    stuck = sum(not fit["converged"] for fit in made)
    degenerate = sum(bool(fit["summary"]["degeneracies"]) for fit in made)
    kept = len(run.fits) - len(made)
    warned = run.manifest.get("findings", [])
    said = [
        (doubtful, f"{doubtful} of {len(run.fits)} refits could not be matched convincingly to the regimes before."),
        (stuck, f"{stuck} of {len(run.fits)} fits did not converge."),
        (kept, f"{kept} of {len(run.fits)} refits failed or were turned down: the model before stayed in force."),
        (degenerate, f"{degenerate} of {len(run.fits)} fits are degenerate; see the fits."),
        (
            len(warned),
            f"The quality checks found {len(warned)} thing{'s' * (len(warned) != 1)} in the data; see below.",
        ),
        (int(np.any(run.equity <= 0)), "The account was ruined: equity fell to zero or below."),
        (_count(run, "margin_call"), f"The margin was called {_times(_count(run, 'margin_call'))}."),
        (_count(run, "guard"), f"Guards began to hold {_times(_count(run, 'guard'))}; see what befell the account."),
    ]
    return [text for found, text in said if found] + _flipped(run)


def _flipped(run: Run) -> list[str]:
    found = run.bounds
    return [bound_words(found)] if found is not None and (found["flips"] or found["stopped"]) else []


def _count(run: Run, event: str) -> int:
    return int((run.tables["events"]["event"] == event).sum())


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _doubtful(fit: dict[str, Any]) -> bool:
    return bool(fit["match"]) and not fit["match"]["convincing"]


def months(run: Run) -> list[dict[str, Any]]:
    """Return one row a year: twelve monthly returns, the year's, and buy and hold's, tinted by size."""
    ours, theirs = by_month(run, "equity"), by_month(run, "benchmark")
    if ours.empty:
        return []
    years = sorted({year for year, _ in ours.index})
    rows = []
    for year in years:
        cells = [_tinted(ours.get((year, month)), 0.08) for month in range(1, 13)]
        yearly = [_tinted(compound(path, year), 0.3) for path in (ours, theirs)]
        rows.append({"year": year, "cells": [*cells, *yearly]})
    return rows


def by_month(run: Run, name: str) -> pd.Series[float]:
    """Return returns by (year, month); a close at midnight belongs to the day that it ends."""
    import pandas as pd

    table = run.tables[name]
    day = (table["ts"] - pd.Timedelta(1, "us")).dt
    last = table["equity"].groupby([day.year.rename("year"), day.month.rename("month")]).last()
    start = pd.concat([pd.Series([table["equity"].iloc[0]]), last.iloc[:-1]]).to_numpy()
    return (last / start - 1).where(start > 0) if len(table) > 1 else last.iloc[:0]


def compound(path: pd.Series[float], year: int) -> float:
    """Return the return of a year from those of its months."""
    return math.prod(1 + path[[key for key in path.index if key[0] == year]]) - 1


def _tinted(value: float | None, full: float) -> dict[str, str]:
    if value is None or not math.isfinite(value):
        return {"text": "", "tint": ""}
    strength = min(abs(value) / full, 1) * 0.55
    tint = "74,130,166" if value > 0 else "211,96,52"
    return {"text": number(value * 100, 1), "tint": f"rgba({tint},{strength:.2f})" if strength > 0.01 else ""}


def regimes(run: Run) -> Table | None:
    """Return the attribution to regimes with its total; None where there is no model.

    With a belief an asset a bar's profit belongs to no one regime: what is told is the time that each asset spent.
    """
    if run.states < 2:
        return None
    if run.each:
        return _spent(run)
    parts = attribute(run.tables["equity"], run.tables["beliefs"], run.tables["fills"], run.steps.periods, run.by_day)
    names = dict(enumerate(run.regime_names)) | {-1: "no model yet"}
    tints = dict(enumerate(colours(run.states)))
    rows = [_regime(part, names[part["regime"]], tints.get(part["regime"], "")) for part in parts.to_dict("records")]
    whole = math.fsum(parts["profit"])
    m = run.metrics
    mean = None if m.get("mean_return") is None else (m["mean_return"] or 0.0) * run.steps.periods
    shown = (
        money(whole),
        percent(total_return(run.equity)),
        percent(mean),
        percent(m.get("volatility")),
        number(m.get("sharpe")),
    )
    rest = (percent(m.get("max_drawdown")), percent(m.get("hit_rate"), 0), money(math.fsum(parts["costs"])))
    rows.append(Row(("all", "100 %", number(parts["bars"].sum(), 0), *shown, *rest), mark="total"))
    columns = (
        "regime",
        "time",
        "bars",
        "profit",
        "of start",
        "mean a year",
        "volatility",
        "Sharpe",
        "drawdown",
        "hit",
        "costs",
    )
    return Table(columns, rows, texts=("regime",))


def _spent(run: Run) -> Table:
    """Return the share of closes at which each regime was each asset's likeliest, and how often that changed."""
    rows = []
    for symbol, table in by_asset(run.tables["beliefs"]).items():
        found = believed(table)
        shares = [percent(float(np.mean(found == k))) for k in range(run.states)]
        rows.append(Row((symbol, *shares, number(switches(found), 0))))
    return Table(("asset", *run.regime_names, "switches"), rows, texts=("asset",))


def _regime(part: dict[Any, Any], name: str, tint: str) -> Row:
    cells = (
        name,
        percent(part["share"]),
        number(part["bars"], 0),
        money(part["profit"]),
        percent(part["contribution"]),
        percent(part["mean"]),
        percent(part["volatility"]),
        number(part["sharpe"]),
        percent(part["max_drawdown"]),
        percent(part["hit_rate"], 0),
        money(part["costs"]),
    )
    return Row(cells, colour=tint)


def costs(run: Run) -> Table:
    """Return fees, slippage and financing, in money and a year."""
    m = run.metrics
    kinds = [("fees", "fees", "fee_rate"), ("slippage", "slippage", "slippage_rate")]
    kinds += [("financing", "financing", "financing_rate"), ("all", "costs", "cost_rate")]
    rows = [
        Row((name, money(m.get(total)), percent(m.get(rate), 3)), mark="total" if name == "all" else "")
        for name, total, rate in kinds
    ]
    return Table(("", "money", "a year, of equity"), rows, texts=("",))


def fits(run: Run) -> Table:
    """Return one row a fit: its window, its likelihood, each regime's volatility and persistence, its match."""
    if not run.fits:
        return Table((), [])
    first = run.fits[0]["summary"]
    spread = tuple(f"σ {k}" for k in range(len(volatilities(first))))
    stay = tuple(f"stay {k}" for k in range(len(persistences(first))))
    columns = ("at", "trained from", "bars", "log-likelihood", *spread, *stay, "note")
    return Table(columns, [_fit(fit) for fit in run.fits], texts=("at", "trained from", "note"), longs=("note",))


def _fit(fit: dict[str, Any]) -> Row:
    said = [fit["match"]["message"]] if _doubtful(fit) else []
    said += [] if fit["converged"] else ["did not converge"]
    said += [*fit["summary"]["degeneracies"], *fit["summary"].get("notes", [])]
    # Of a refit that failed only that is said: its numbers are those of the model in force.
    said = [f"stays in force: {fit['refused']}"] if fit["refused"] else said
    told = [*said, "comes into force with another candidate"] if fit["asked"] == "choice" else said
    numbers = [f"{value:.4g}" for value in volatilities(fit["summary"])]
    numbers += [f"{value:.4f}" for value in persistences(fit["summary"])]
    window = (str(fit["ts"])[:10], str(fit["first"])[:10], number(fit["observations"], 0))
    cells = (*window, _likelihood(fit), *numbers, "; ".join(told))
    return Row(cells, mark="flag" if said else "")


def together(run: Run) -> Table | None:
    """Return how features move together in each regime of the last fit: correlations by pair, and spillover.

    None where the model does not say.
    """
    summary = run.fits[-1]["summary"] if run.fits else {}
    found = summary.get("correlations") or []
    names = summary.get("features") or []
    if len(names) < 2 or not found:
        return None
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    rows = [Row((f"{names[j]} with {names[i]}", *(number(r[i][j]) for r in found))) for i, j in pairs]
    shares = summary["spillover_shares"]
    rows += [
        Row((f"of {name}, by way of others", *(percent(1.0 - r[i][i]) for r in shares))) for i, name in enumerate(names)
    ]
    rows.append(Row(("spillover", *map(percent, summary["spillover"])), mark="total"))
    return Table(("", *(summary["labels"] or regime_names(len(found)))), rows, texts=("",))


def _likelihood(fit: dict[str, Any]) -> str:
    return "–" if fit["log_likelihood"] is None else number(fit["log_likelihood"], 1)


def findings(run: Run) -> Table:
    """Return what the quality checks found, the first of them in full."""
    found = run.manifest.get("findings", [])
    columns = ("finding", "severity", "where", "value", "message")
    rows = [
        Row((f["code"], f["severity"], _where(f), _text(f.get("value")), f["message"])) for f in found[:MOST_FINDINGS]
    ]
    if len(found) > MOST_FINDINGS:
        rows.append(Row(("", "", "", "", f"and {len(found) - MOST_FINDINGS:,} more in manifest.json")))
    return Table(columns, rows, texts=("finding", "severity", "where", "message"), longs=("message",))


def _where(finding: dict[str, Any]) -> str:
    file = str(finding.get("file") or "").rpartition("/")[2]
    row = "" if finding.get("row") is None else f"row {finding['row']}"
    return " · ".join(part for part in (file, row, str(finding.get("column") or "")) if part)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def metrics(run: Run) -> Table:
    """Return metrics.json as it is."""
    rows = [Row((name, "–" if value is None else f"{value:.10g}")) for name, value in run.metrics.items()]
    return Table(("metric", "value"), rows, texts=("metric",))
