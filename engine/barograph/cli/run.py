"""The commands that run configs: `run`, `compare`, `report`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from barograph.cli.console import print_json, progress, tell_findings
from barograph.cli.paper import Url, check_record, recorded
from barograph.cli.shared import Json, Prepared, Runs, Set, naming, prepared, varied
from barograph.errors import ConfigError

if TYPE_CHECKING:
    from barograph.audit.bounds import Bounds
    from barograph.loop.result import Result
    from barograph.paper.store import Store

__all__ = ["COLUMNS", "cell", "compare", "print_figures", "report", "run"]

COLUMNS = {
    "cagr": "CAGR",
    "volatility": "Volatility",
    "sharpe": "Sharpe [95 %]",
    "max_drawdown": "Max drawdown",
    "turnover": "Turnover/y",
    "exposure": "Exposure",
    "regime_switch_rate": "Switches/y",
    "cost_rate": "Costs/y",
}


def run(
    config: Path,
    set: Set = None,
    runs: Runs = Path("runs"),
    bounds: Annotated[
        bool, typer.Option("--bounds", help="Also run the pessimistic, nearest and optimistic path through the bars.")
    ] = False,
    record: Annotated[
        str | None, typer.Option("--record", metavar="NAME", help="Also write it into the store of paper trading.")
    ] = None,
    store: Url = None,
    as_json: Json = False,
) -> None:
    """Run one config and leave a run folder with its report."""
    one = prepared(config, set or [], runs)
    if record is not None:
        check_record(store, record, one.config)
    done = _finished(one, runs, "run", as_json, bounds)
    from barograph.report.words import verdict

    if record is not None:
        with progress(record, quiet=as_json) as tell:
            recorded(store, record, one.config, config.parent, one.machine, done.result, tell)
    metrics = done.result.metrics
    tell_findings(one.history, time.time_ns())
    if as_json:
        told = {} if done.bounds is None else {"bounds": done.bounds._asdict()}
        print_json({"folder": str(done.folder), "metrics": metrics, "verdict": verdict(metrics), **told})
        return
    _print_table({done.result.machine.name: metrics})
    if done.bounds is not None:
        _print_bounds(done.bounds)
    _say(metrics, done.folder)


def compare(
    configs: list[Path],
    set: Set = None,
    vary: Annotated[
        list[str] | None, typer.Option("--vary", metavar="KEY=VALUE,VALUE", help="Run each config with each value.")
    ] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Run several configs and lay them side by side over the period they share."""
    from barograph.report import compare_report, read_run
    from barograph.report.explaining.variants import variants
    from barograph.report.words import comparison

    ways = varied(vary or [])
    ready = [prepared(config, [*(set or []), *way], runs) for config in configs for way in ways]
    names = _named(ready, [", ".join(way) for _ in configs for way in ways], len(configs))
    results = [_finished(one, runs, "compare", as_json)[:2] for one in ready]
    periods = {(int(r.arrays.ts[0]), int(r.arrays.ts[-1])) for r, _ in results}
    if len(periods) > 1:
        spans = [(r.history.when(r.first), r.history.when(len(r.history) - 1)) for r, _ in results]
        told = ", ".join(f"{name} {first} .. {last}" for name, (first, last) in zip(names, spans, strict=True))
        cure = f"--set run.start={max(s[0] for s in spans)} --set run.end={min(s[1] for s in spans)}"
        raise ConfigError(f"compare: the runs cover different periods ({told}); add {cure}")
    page = compare_report([f for _, f in results], runs / "compare.html", names)
    metrics = {name: r.metrics for name, (r, _) in zip(names, results, strict=True)}
    for source in {one.history.source: one.history for one in ready}.values():
        tell_findings(source, time.time_ns())
    if as_json:
        said = {"metrics": metrics, "verdict": comparison(metrics), "report": str(page)}
        classifiers = variants([read_run(f) for _, f in results], names)
        print_json({"folders": [f.name for _, f in results], **said, "variants": classifiers})
        return
    _print_table(metrics)
    _verdict(metrics, page)


def _named(ready: list[Prepared], ways: list[str], configs: int) -> list[str]:
    """Name the runs by their configs, those of `--vary` by what is varied, too."""
    from barograph.report.words import told_apart

    each = ready[:: len(ready) // configs]
    names = told_apart([one.config.name for one in each], [one.path.absolute().with_suffix("") for one in each])
    every = [name for name in names for _ in range(len(ready) // configs)]
    return [f"{name} {way}".rstrip() for name, way in zip(every, ways, strict=True)]


def report(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or name, or a deployment.")],
    runs: Runs = Path("runs"),
    store: Url = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FOLDER", help="Also its pictures, by an installed browser."),
    ] = None,
) -> None:
    """Write the report of a run again, or that of a deployment as it stands."""
    from barograph.cli.browser import pictures
    from barograph.cli.named import deployed_or_none, named
    from barograph.report import write_report

    # The report of a folder wants no store.
    opened = None if (Path(name) / "manifest.json").is_file() else deployed_or_none(store)
    found = named(name, runs, opened)
    page = _deployed_report(opened, found) if isinstance(found, str) and opened else write_report(Path(found))
    print(page)
    for picture in [] if png is None else pictures(page, png):
        print(picture)


def _deployed_report(store: Store, name: str) -> Path:
    from barograph.paper.record import rebuilt, recorded

    deployed = store.find(name)
    assert deployed is not None
    return recorded(store, deployed, rebuilt(deployed)).report(f"{name}.html")


class _Done(NamedTuple):
    result: Result
    folder: Path
    bounds: Bounds | None


def _finished(one: Prepared, runs: Path, kind: str, quiet: bool, bounded: bool = False) -> _Done:
    from barograph.config.provenance import config_hash
    from barograph.loop.run import scan
    from barograph.report.run import write_run
    from barograph.trials.entering import enter

    _tell_what_is_waited_for(one)
    started = time.perf_counter()
    with naming(one.path), progress(one.config.name, quiet) as tell:
        result = scan(one.machine, one.history, progress=tell)
    times = {"load": round(one.seconds, 3), "run": round(time.perf_counter() - started, 3)}
    found = _bounds(result, quiet) if bounded else None
    source = one.path.parent.resolve()
    folder = write_run(result, one.config, runs, times, source, found)
    enter(result, kind, one.config.name, config_hash(one.config), source, one.config.registry.store)
    return _Done(result, folder, found)


def _tell_what_is_waited_for(one: Prepared) -> None:
    from barograph.loop.foreseen import LONG, foreseen

    with naming(one.path):
        found = foreseen(one.machine, one.history)
    if found is not None and found.seconds > LONG:
        print(f"{one.config.name}: {found}", file=sys.stderr)


def _bounds(result: Result, quiet: bool) -> Bounds:
    from barograph.audit.bounds import bounds

    with progress("other paths", quiet) as tell:
        return bounds(result, tell)


def _print_table(runs: dict[str, dict[str, float | None]]) -> None:
    rows = {name: [cell(key, metrics) for key in COLUMNS] for name, metrics in runs.items()}
    print_figures("", rows, 140)


def print_figures(head: str, rows: dict[str, list[str]], usual: int) -> None:
    """Print the cells of `COLUMNS` of several rows; one below the other where the terminal is too narrow."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(head)
    for title in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console = Console(width=None if sys.stdout.isatty() else usual)
    if table.__rich_measure__(console, console.options.update(max_width=10_000)).maximum <= console.width:
        console.print(table)
        return
    for name, cells in rows.items():
        print(name)
        for title, value in zip(COLUMNS.values(), cells, strict=True):
            print(f"  {title:<16}{value:>22}")


def cell(key: str, metrics: dict[str, float | None]) -> str:
    """Return a figure as the table shows it."""
    from barograph.report.words import a_year

    value = metrics.get(key)
    if value is None or (key == "cagr" and not a_year(metrics)):
        return "-"
    if key == "sharpe":
        low, high = metrics.get("sharpe_low"), metrics.get("sharpe_high")
        interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
        return f"{value:.2f}{interval}"
    return f"{value:.1f}" if key in ("turnover", "regime_switch_rate") else f"{value:.1%}".replace("%", " %")


def _say(metrics: dict[str, float | None], folder: Path) -> None:
    from barograph.report.words import verdict

    print(f"\n{verdict(metrics)}\n{folder / 'report.html'}")


def _verdict(metrics: dict[str, dict[str, float | None]], page: Path) -> None:
    from barograph.report.words import comparison

    print(f"\n{comparison(metrics)}\n{page}")


def _print_bounds(found: Bounds) -> None:
    from barograph.report.words import bound_rows, bound_words

    content = found._asdict()
    print()
    for name, between, nearest in bound_rows(content) if found.resting else []:
        print(f"{name:<14}{between:<24}nearest {nearest}")
    print(bound_words(content))
