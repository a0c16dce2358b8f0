"""A run folder as one HTML page that needs nothing else: no network, no server, no other file.

The page holds plotly.js once (about 4.8 MB of it) and the figures as JSON; the rest is text a browser has always
been able to show.

It computes nothing that is not in the folder: a figure that has a formula belongs to `barograph.metrics`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barograph.report import orders, returns, tables, trading
from barograph.report.annotations import annotated, chart_annotations
from barograph.report.choices import choice_figures, choice_table, choice_words
from barograph.report.compare import compared
from barograph.report.explaining.contents import content
from barograph.report.explaining.pages import explained_page
from barograph.report.explaining.section import classifier_figures, classifier_words
from barograph.report.figures import exposure_words, linked, run_figures, timeline
from barograph.report.folder import Run, read_run
from barograph.report.prices import chart_words, price_chart
from barograph.report.returns import return_figures, spread_words
from barograph.report.swept import swept
from barograph.report.words import a_year, number, verdict

if TYPE_CHECKING:
    from barograph.report.explaining.runs import Told

__all__ = ["Run", "compare_report", "explain_report", "page_of", "read_run", "sweep_report", "write_report"]


def write_report(folder: Path) -> Path:
    """Write report.html into a run folder from the files in it; return its path.

    Raises `DataError` when a file of the folder is absent or cannot be read.
    """
    run = read_run(Path(folder))
    return page_of(run, run.folder / "report.html")


def page_of(run: Run, out: Path) -> Path:
    """Write the page of a run to `out`, whole or not at all; return its path."""
    line = timeline(run)
    figures = run_figures(run, line) | return_figures(run, line) | choice_figures(run)
    figures |= classifier_figures(run)
    figures["equity"]["data"] += chart_annotations(run, run.equity / run.equity[0])
    prices = price_chart(run, line)
    if prices is not None:
        figures |= linked({"prices": prices}, line)
    words = _run_words(run) | _run_tables(run)
    words |= {"choice_words": choice_words(run), "choices": choice_table(run)}
    words["classifier"] = classifier_words(run)
    words["annotated"] = annotated(run)
    words["thinned"] = "" if line.whole else _thinned(len(line.rows), len(run.ts))
    return _write(out, "run.html.j2", {"ts": line.labels, "figures": figures}, words)


def compare_report(folders: Sequence[Path], out: Path, names: Sequence[str] | None = None) -> Path:
    """Write one page that lays several runs side by side, with links to their own reports; return its path.

    `names` are what to call them; left out, they are called as in their configs, namesakes by their folders. Raises
    `DataError` when a file is absent or cannot be read, or no folder is given.
    """
    figures, words = compared([read_run(Path(folder)) for folder in folders], Path(out).parent, names)
    return _write(Path(out), "compare.html.j2", {"ts": [], "figures": figures}, words)


def sweep_report(folder: Path) -> Path:
    """Write report.html into the folder of a sweep from the files in it; return its path."""
    figures, words = swept(Path(folder))
    return _write(Path(folder) / "report.html", "sweep.html.j2", {"ts": [], "figures": figures}, words)


def explain_report(told: Sequence[Told], folder: Path) -> tuple[Path, Path]:
    """Write explain.json and explain.html, of fits and what to call each, into a folder; return their paths."""
    written = {"models": [content(one.found, one.name) | {"fits": list(one.fits)} for one in told]}
    numbers = Path(folder) / "explain.json"
    fresh = numbers.with_name(f".{numbers.name}.new")
    fresh.write_text(json.dumps(written, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(fresh, numbers)
    figures, words = explained_page(told)
    page = _write(Path(folder) / "explain.html", "explain.html.j2", {"ts": [], "figures": figures}, words)
    return numbers, page


def _thinned(drawn: int, bars: int) -> str:
    return f"{drawn:,} of {bars:,} closes are drawn: the ends, and the highest and lowest equity of each stretch."


def _run_words(run: Run) -> dict[str, Any]:
    data, taken = run.manifest["data"], run.steps
    first, last = (f"{run.ts.iloc[row]:%Y-%m-%d}" for row in (0, -1))
    traded = ", ".join(data.get("traded") or data["symbols"])
    return {
        "title": run.name,
        "each": run.each,
        "period": f"{traded} · {first} to {last} · {len(run.ts):,} bars, {number(taken.bars, 0)} a year{_money(run)}",
        "verdict": verdict(run.metrics),
        "fall": tables.fall(run),
        "price_words": chart_words(run),
        "exposure_words": exposure_words(run),
        "spread_words": spread_words(run),
        "annual": a_year(run.metrics),
        "fit_words": f"{len(run.fits)} fits, each on bars up to its own close. "
        "A regime keeps its number while it is recognised; see match.",
        "data_words": f"{', '.join(data['symbols'])} from {data['source']}; calendar {data['calendar']}.{_by_day(run)}",
        "command": "barograph run config.toml",
        "config": run.config,
        "manifest": json.dumps(run.manifest, indent=2, ensure_ascii=False),
        "last_fit": json.dumps(run.fits[-1], indent=2, ensure_ascii=False) if run.fits else "",
        "month_names": tables.MONTHS,
    }


def _money(run: Run) -> str:
    currency = run.manifest["data"].get("currency")
    return f" · in {currency}" if currency else ""


def _by_day(run: Run) -> str:
    return f" Returns are compounded by day, {number(run.steps.periods, 0)} days a year." if run.by_day else ""


def _run_tables(run: Run) -> dict[str, Any]:
    makers = {
        tables: ("cards", "notes", "months", "regimes", "costs", "fits", "together", "findings", "metrics"),
        returns: ("beside", "falls", "quantiles"),
        trading: ("by_symbol", "trade_words", "trades"),
        orders: ("kinds", "unfilled", "intent_words", "events", "bound_table", "bound_verdict"),
    }
    return {name: getattr(module, name)(run) for module, names in makers.items() for name in names}


def _write(out: Path, template: str, data: dict[str, Any], words: dict[str, Any]) -> Path:
    fresh = out.with_name(f".{out.name}.new")
    fresh.write_text(_page(template, data, words), encoding="utf-8")
    os.replace(fresh, out)
    return out


def _page(template: str, data: dict[str, Any], words: dict[str, Any]) -> str:
    import jinja2
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    here = files(__package__)
    loader = jinja2.FunctionLoader(lambda name: (here / name).read_text(encoding="utf-8"))
    room = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    # A "<" inside the JSON could end its script element; as an escape it is the same string to a parser.
    sent = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    raw = {name: Markup((here / file).read_text(encoding="utf-8")) for name, file in _FILES}
    ready = {"data": Markup(sent), "plotly": Markup(get_plotlyjs()), "figures": data["figures"]}
    return room.get_template(template).render(**words, **raw, **ready)


_FILES = (("style", "style.css"), ("script", "page.js"))
