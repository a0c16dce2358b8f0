"""The command line. Thin: it reads, calls and prints; a user's mistake is one line and an exit code."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from barograph.console import print_json, progress
from barograph.errors import BarographError, ConfigError
from barograph.paper.commands import Url, check_record, recorded, register

if TYPE_CHECKING:
    from barograph.bounds import Bounds
    from barograph.config import Config
    from barograph.history import History
    from barograph.machine import Machine
    from barograph.result import Result

__all__ = ["app", "main"]

app = typer.Typer(
    name="barograph",
    help="Backtests and paper trading for strategies that depend on the market's regime.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at data before trusting them.", no_args_is_help=True)
config_app = typer.Typer(help="Help with configs.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value of the config.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Runs = Annotated[Path, typer.Option("--runs", help="Where run folders go.")]

ENGINES = ("backtesting", "backtrader", "vectorbt", "bt")

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


def main() -> None:
    """Run the command line; the entry point of the `barograph` script."""
    try:
        app()
    except BarographError as error:
        print(f"barograph: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"barograph {version('barograph')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Backtests and paper trading for strategies that depend on the market's regime."""


@app.command()
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
    one = _prepared(config, set or [], runs)
    if record is not None:
        check_record(store, record, one.config)
    done = _finished(one, runs, as_json, bounds)
    if record is not None:
        with progress(record, quiet=as_json) as tell:
            recorded(store, record, one.config, config.parent, one.machine, done.result, tell)
    metrics = done.result.metrics
    if as_json:
        told = {} if done.bounds is None else {"bounds": done.bounds._asdict()}
        print_json({"folder": str(done.folder), "metrics": metrics, **told})
        return
    _print_table({done.result.machine.name: metrics})
    if done.bounds is not None:
        _print_bounds(done.bounds)
    _say(metrics, done.folder)


@app.command()
def compare(configs: list[Path], set: Set = None, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Run several configs and lay them side by side over the period they share."""
    from barograph.report import compare_report

    prepared = [_prepared(config, set or [], runs) for config in configs]
    results = [_finished(one, runs, quiet=as_json)[:2] for one in prepared]
    periods = {(int(r.ts[0]), int(r.ts[-1])) for r, _ in results}
    if len(periods) > 1:
        spans = [(r.history.when(r.first), r.history.when(len(r.history) - 1), r.machine.name) for r, _ in results]
        told = ", ".join(f"{name} {first} .. {last}" for first, last, name in spans)
        cure = f"--set run.start={max(s[0] for s in spans)} --set run.end={min(s[1] for s in spans)}"
        raise ConfigError(f"compare: the runs cover different periods ({told}); add {cure}")
    named = {f.name: (r, f) for r, f in results}
    page = compare_report([f for _, f in results], runs / "compare.html")
    metrics = {r.machine.name: r.metrics for r, _ in named.values()}
    if as_json:
        print_json({"folders": list(named), "metrics": metrics, "report": str(page)})
        return
    _print_table(metrics)
    _verdict(metrics, page)


@app.command()
def audit(
    config: Path,
    set: Set = None,
    cuts: Annotated[int, typer.Option(min=1, help="Random bars, and as many fits, to cut at.")] = 8,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Rerun a config on cut and on changed futures, and report anything before the cut that moved."""
    from barograph.audit import audit as run_audit

    one = _read(config, set or [])
    with _of(config), progress(f"audit {one.config.name}", quiet=as_json) as tell:
        found = run_audit(one.machine, one.history, cuts, seed, tell)
    if as_json:
        print_json({**found.__dict__, "clean": found.clean, "leaks": [leak._asdict() for leak in found.leaks]})
    else:
        _print_audit(found)
    if not found.clean:
        raise typer.Exit(7)


@app.command()
def crosscheck(
    config: Path,
    against: Annotated[str, typer.Option(help="Other engines, separated by commas.")] = ",".join(ENGINES),
    python: Annotated[
        Path | None,
        typer.Option(
            help="The Python of the environment they are installed in; the one Barograph runs on if left out."
        ),
    ] = None,
    set: Set = None,
    as_json: Json = False,
) -> None:
    """Carry out a config's decisions in other engines, and name the first bar, order and number that differ.

    The exit status is 0 when all agree, 8 when one differs, 2 when one could not be compared: it is not installed, or
    the run did something it has no word for; each is said by name, with the cure.
    """
    from barograph.crosscheck import crosscheck as run_crosscheck
    from barograph.crosscheck import exit_status, named
    from barograph.loops import scan

    names = named([name.strip() for name in against.split(",") if name.strip()])
    one = _read(config, set or [])
    with progress(one.config.name, quiet=as_json) as tell:
        result = scan(one.machine, one.history, progress=tell)
    found = run_crosscheck(result, names, None if python is None else str(python))
    if as_json:
        print_json([_agreement(a) for a in found])
    else:
        print("\n".join(map(str, found)))
    if exit_status(found) != 0:
        raise typer.Exit(exit_status(found))


@app.command()
def report(folder: Path) -> None:
    """Write the report of a run folder again."""
    from barograph.report import write_report

    print(write_report(folder))


@data_app.command("check")
def data_check(
    file: Path,
    calendar: Annotated[str, typer.Option(help="Exchange code such as XNYS, or 24/7.")] = "XNYS",
    column: Annotated[list[str] | None, typer.Option(metavar="FIELD=NAME", help="The file's name of a field.")] = None,
    use: Annotated[str, typer.Option(help="The loader of the file.")] = "",
    as_json: Json = False,
) -> None:
    """Check a CSV or Parquet file of bars and print every finding; exit code 3 if one is an error."""
    from barograph.checks import CODES
    from barograph.config import Part, make

    loader = use or f"barograph_adapters.files:{'parquet' if file.suffix == '.parquet' else 'csv'}"
    wrong = [item for item in column or [] if "=" not in item]
    if wrong:
        raise ConfigError(f"--column {wrong[0]}: wanted FIELD=NAME, as in --column close=Last")
    pairs = dict(item.split("=", 1) for item in column or [])
    extra = {"columns": pairs} if pairs else {}
    part = Part.model_validate(
        {"use": loader, "path": str(file.resolve()), "calendar": calendar, "accept": list(CODES), **extra}
    )
    history = make(part, "data", Path())
    findings = history.findings
    if as_json:
        print_json({"bars": len(history), "findings": [f._asdict() for f in findings]})
    else:
        for finding in findings:
            print(f"{finding.severity:<8}{finding.code:<20}{finding.message}")
        print(f"{file.name}: {len(history)} bars, {len(findings)} findings")
    if any(f.severity == "error" for f in findings):
        raise typer.Exit(3)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of a config."""
    from barograph.config import schema

    print_json(schema())


register(app)


class _Prepared(NamedTuple):
    config: Config
    machine: Machine
    history: History
    seconds: float
    path: Path


class _Done(NamedTuple):
    result: Result
    folder: Path
    bounds: Bounds | None


def _prepared(path: Path, overrides: list[str], runs: Path) -> _Prepared:
    from barograph.runs import check_root

    check_root(runs)
    return _read(path, overrides)


def _read(path: Path, overrides: list[str]) -> _Prepared:
    """Read, load and build: all that a user's mistake can stop, before anything is run or written."""
    started = time.perf_counter()
    from barograph.config import build, load, load_history

    config = load(path, overrides)
    with _of(path):
        history = load_history(config, path.parent)
        machine = build(config, path.parent)
    return _Prepared(config, machine, history, time.perf_counter() - started, path)


@contextmanager
def _of(path: Path) -> Iterator[None]:
    """Let every error name the config it belongs to: `compare` has several."""
    try:
        yield
    except BarographError as error:
        raise type(error)(f"{path}: {error}") from error


def _finished(one: _Prepared, runs: Path, quiet: bool, bounded: bool = False) -> _Done:
    from barograph.loops import scan
    from barograph.runs import write_run

    started = time.perf_counter()
    with _of(one.path), progress(one.config.name, quiet) as tell:
        result = scan(one.machine, one.history, progress=tell)
    times = {"load": round(one.seconds, 3), "run": round(time.perf_counter() - started, 3)}
    found = _bounds(result, quiet) if bounded else None
    return _Done(result, write_run(result, one.config, runs, times, one.path.resolve().parent, found), found)


def _bounds(result: Result, quiet: bool) -> Bounds:
    from barograph.bounds import bounds

    with progress("other paths", quiet) as tell:
        return bounds(result, tell)


def _agreement(found: Any) -> dict[str, Any]:
    """Return what one engine made of a run; what only one side has is infinitely far, which JSON has no word for."""
    first = found.first and _finite(found.first._asdict())
    return {**_finite(found._asdict()), "agrees": found.agrees, "first": first}


def _finite(content: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in content.items()}


def _print_table(runs: dict[str, dict[str, float | None]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for name, metrics in runs.items():
        table.add_row(name, *(_cell(key, metrics) for key in COLUMNS))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _cell(key: str, metrics: dict[str, float | None]) -> str:
    value = metrics.get(key)
    if value is None:
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


def _print_audit(found: Any) -> None:
    print(f"{len(found.cuts)} cuts; largest change before a cut (must be 0):")
    for answer, change in found.changes.items():
        print(f"  {answer:<14}{change:g}")
    for leak in found.leaks[:10]:
        print(f"  LEAK  {leak.answer} changed by {leak.change:g} up to {leak.when} when the future was {leak.how}")
    print(f"{found.fits} fits: {found.switched} relabelled, {found.unconvincing} not convincingly matched")
    print("Sharpe by decoding: " + ", ".join(f"{name} {value:.2f}" for name, value in found.sharpe.items()))
    if len(found.sharpe) > 1:
        print("Only the filtered one can be traded; the others have seen the future.")
    print("clean: no answer has seen the future" if found.clean else "NOT CLEAN: see the leaks above")
