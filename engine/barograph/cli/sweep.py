"""The command `sweep`: every point of a config's [sweep], what they were worth together, and the best of them again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barograph.cli.console import print_json, progress
from barograph.cli.shared import Json, Runs, Set, naming
from barograph.errors import BarographError

if TYPE_CHECKING:
    from barograph.config.varied import Varied
    from barograph.sweeps.run import Sweep

__all__ = ["sweep"]


def sweep(
    config: Path,
    set: Set = None,
    runs: Runs = Path("runs"),
    explain: Annotated[bool, typer.Option("--explain", help="Say what would be computed how often, and stop.")] = False,
    best: Annotated[int, typer.Option("--best", min=0, help="So many of the best are run again, with reports.")] = 3,
    threads: Annotated[int, typer.Option("--threads", min=0, help="How many at a time; 0: one a core.")] = 0,
    as_json: Json = False,
) -> None:
    """Run every point of a config's [sweep], and say what the best is worth after so many were tried."""
    from barograph.config.varied import Varied
    from barograph.report.run import check_root

    check_root(runs)
    with naming(config):
        varied = Varied(config, set or [])
    if explain:
        return _explain(varied, as_json)
    started = time.perf_counter()
    found, work = _swept(varied, runs, threads, as_json)
    seconds = time.perf_counter() - started
    return _told(varied, found, work, runs, best, seconds, as_json)


def _swept(varied: Varied, runs: Path, threads: int, quiet: bool) -> tuple[Sweep, Path]:
    """Run what is missing; a sweep that was killed goes on where its files in the folder of work say."""
    from barograph.sweeps.harvest import Harvest
    from barograph.sweeps.plan import Plan
    from barograph.sweeps.run import Sweep, run_plan

    name = varied.config.name
    with naming(varied.path), progress(name, quiet) as tell:
        plan = Plan(varied.points())
        work = runs / f".sweep-{varied.mark()}"
        work.mkdir(parents=True, exist_ok=True)
        harvest = Harvest(len(varied), work)
        found = Sweep(varied.keys, varied.values, plan, harvest, varied.point)
        # A figure that there is not is told before anything is run.
        found.best(varied.plan.figure, 0)
        run_plan(plan, varied.point, harvest, threads, tell)
    return Sweep(varied.keys, varied.values, plan, harvest, varied.point), work


def _told(varied: Varied, found: Sweep, work: Path, runs: Path, best: int, seconds: float, as_json: bool) -> None:
    from barograph.report.sweeps import write_sweep
    from barograph.report.trials import entered

    with naming(varied.path):
        tried = entered(found, varied)
        again = [_again(varied, found, number, runs) for number in found.best(varied.plan.figure, best)]
        folder, told = write_sweep(found, varied, again, tried, seconds, runs)
    # What was finished is in the folder now; the next sweep of these points begins anew.
    del found
    shutil.rmtree(work, ignore_errors=True)
    if as_json:
        return print_json({"folder": str(folder), **told})
    _print(told)
    return print(f"\n{told['verdict']['words']}\n{folder / 'report.html'}")


def _again(varied: Varied, found: Sweep, number: int, runs: Path) -> dict[str, Any]:
    """Run a point as `barograph run` would, and hold it to its row."""
    from barograph.report.run import write_run

    started = time.perf_counter()
    result = found.run(number)
    metrics, row = result.metrics, found.metrics(number)
    differs = [key for key, value in row.items() if metrics[key] != value]
    if differs:
        told = f"{differs[0]} is {row[differs[0]]} in the sweep, {metrics[differs[0]]} in a run; please report this"
        raise BarographError(f"point {number} ({varied.told(number)}): {told}")
    times = {"run": round(time.perf_counter() - started, 3)}
    folder = write_run(result, varied.config_at(number), runs, times, varied.folder.resolve())
    return {"point": number, "folder": folder.name, "metrics": metrics}


def _explain(varied: Varied, as_json: bool) -> None:
    from barograph.sweeps.explain import explained

    with naming(varied.path):
        told = explained(varied.points(), len(varied))
    if as_json:
        return print_json(told._asdict())
    for line in told.lines():
        print(line)
    return None


def _print(told: dict[str, Any]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    from barograph.cli.run import COLUMNS, cell

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("the best, run again")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for one in told["best"]:
        spelled = ", ".join(f"{key}={value}" for key, value in one["keys"].items())
        table.add_row(spelled, *(cell(key, one["metrics"]) for key in COLUMNS))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
