"""The command `sweep`: every point of a config's [sweep], what they were worth together, and the best of them again."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barograph.cli.console import print_json, progress
from barograph.cli.shared import Json, Runs, Set, naming
from barograph.errors import BarographError, ConfigError

if TYPE_CHECKING:
    from barograph.config.varied import Varied
    from barograph.sweeps.backends import Search
    from barograph.sweeps.run import Sweep

__all__ = ["sweep"]


def sweep(
    config: Path,
    set: Set = None,
    runs: Runs = Path("runs"),
    explain: Annotated[bool, typer.Option("--explain", help="Say what would be computed how often, and stop.")] = False,
    best: Annotated[int, typer.Option("--best", min=0, help="So many of the best are run again, with reports.")] = 3,
    threads: Annotated[int, typer.Option("--threads", min=0, help="How many at a time; 0: one a core.")] = 0,
    backend: Annotated[
        str | None, typer.Option("--backend", help="What runs the points, instead of [sweep]'s.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run every point of a config's [sweep], and say what the best is worth after so many were tried."""
    from barograph.config.varied import Varied
    from barograph.report.run import check_root

    check_root(runs)
    with naming(config):
        varied = Varied(config, [*(set or []), *([f"sweep.backend={backend}"] if backend else [])])
    if explain:
        return _explain(varied, as_json)
    started = time.perf_counter()
    found, work = _swept(varied, runs, threads, as_json)
    seconds = time.perf_counter() - started
    return _told(varied, found, work, runs, best, seconds, as_json)


def _swept(varied: Varied, runs: Path, threads: int, quiet: bool) -> tuple[Sweep, Path]:
    """Run what is missing; a sweep that was killed goes on where its files in the folder of work say."""
    from barograph.sweeps.backends import Job
    from barograph.sweeps.harvest import Harvest
    from barograph.sweeps.run import check_figure, opened, run_all

    asked = varied.plan
    with naming(varied.path), progress(varied.config.name, quiet) as tell:
        # A figure that there is not is told before anything is run.
        check_figure(asked.figure)
        search = _search(varied)
        job = Job(varied.keys, varied, threads, tell and _of_all(varied, tell), asked.scheduler)
        with opened(asked.backend, job) as backend:
            plan = backend.look()
            work = runs / f".sweep-{varied.mark()}"
            work.mkdir(parents=True, exist_ok=True)
            harvest = Harvest(len(varied), work)
            found = run_all(backend, plan, harvest, varied.keys, varied, search, asked.figure)
    return found, work


def _search(varied: Varied) -> Search | None:
    """Return what asks for points, asked for the first of them; None where all are known."""
    from barograph.sweeps.backends import BATCH, search_over

    plan = varied.plan
    if plan.how != "optuna":
        return None
    search = search_over(plan.keys, plan.seed, plan.sampler)
    varied.values.extend(search.ask(min(BATCH, len(varied))))
    return search


def _of_all(varied: Varied, tell: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """Count from the first point: what was found, or came in a batch before, is done."""
    return lambda done, total: tell(len(varied.values) - total + done, len(varied))


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
    differs = [key for key, value in row.items() if not _same(metrics[key], value, found.backend["name"])]
    if differs:
        told = f"{differs[0]} is {row[differs[0]]} in the sweep, {metrics[differs[0]]} in a run; please report this"
        raise BarographError(f"point {number} ({varied.told(number)}): {told}")
    times = {"run": round(time.perf_counter() - started, 3)}
    folder = write_run(result, varied.config_at(number), runs, times, varied.folder.resolve())
    return {"point": number, "folder": folder.name, "metrics": metrics}


def _same(ours: float | None, theirs: float | None, backend: str) -> bool:
    """To the bit, but of another engine's account: that is equal to 1e-9, and its figures to a little more."""
    if backend != "vectorbt" or ours is None or theirs is None:
        return ours == theirs
    return math.isclose(ours, theirs, rel_tol=1e-7, abs_tol=1e-9)


def _explain(varied: Varied, as_json: bool) -> None:
    from barograph.sweeps.explain import explained

    with naming(varied.path):
        if varied.plan.how == "optuna":
            raise ConfigError("--explain: a search asks for its points as it goes; explain a grid over the same keys")
        told = explained(varied.points(), len(varied))
    if as_json:
        return print_json(told._asdict())
    for line in told.lines():
        print(line)
    return None


def _print(told: dict[str, Any]) -> None:
    from barograph.cli.run import COLUMNS, cell, print_figures

    rows = {}
    for one in told["best"]:
        spelled = ", ".join(f"{key}={value}" for key, value in one["keys"].items())
        rows[f"{one['point']}: {spelled}"] = [cell(key, one["metrics"]) for key in COLUMNS]
    print_figures("the best, run again", rows, 160)
