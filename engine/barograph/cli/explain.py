"""The command that explains: `explain`, what a run's or a saved fit's answers hang on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barograph.cli.console import print_json, progress
from barograph.cli.shared import Json, Runs, naming, read
from barograph.errors import ConfigError

if TYPE_CHECKING:
    from barograph.regimes.saving import Modules
    from barograph.report.explaining.kept import Seen
    from barograph.report.explaining.runs import Told

__all__ = ["explain"]


def explain(
    names: Annotated[list[str], typer.Argument(metavar="RUN|FIT", help="A run's folder or name, or a saved fit.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="CONFIG", help="Whose bars and features a fit is asked on.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Where explain.json and .html go.")
    ] = None,
    fit: Annotated[int | None, typer.Option("--fit", help="Which fit of a run, by its number; else the last.")] = None,
    stretches: Annotated[int, typer.Option(min=2, help="At how many bars cells are taken away.")] = 100,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Tell what a fitted model looks at, how good and how honest it is: explain.json and one page, nothing trained."""
    from barograph.report import explain_report

    if output is not None and not output.is_dir():
        raise ConfigError(f"-o {output}: there is no such folder; make it first")
    places = [_place(name, runs) for name in names]
    seen, modules = (None, None) if data is None else _seen(data)
    told = []
    for place in places:
        with progress(f"explain {place.name[:24]}", quiet=as_json) as tell:
            told.append(_told(place, seen, fit, stretches, modules, tell))
    folder = output or (places[0] if len(places) == 1 and places[0].is_dir() else Path())
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{folder}: cannot be written to; say where to: -o FOLDER")
    numbers, page = explain_report(told, folder)
    if as_json:
        print_json({"json": str(numbers), "report": str(page), "models": _content(told)})
        return
    _print(told)
    print(page)


def _place(name: str, runs: Path) -> Path:
    """Return the run folder, or the file of a saved fit, that a name means."""
    from barograph.cli.named import named

    if Path(name).is_file():
        return Path(name)
    found = Path(named(name, runs, None))
    if not (found / "manifest.json").is_file():
        raise ConfigError(f"{name}: neither a run folder nor a saved fit; give one that `run` or `fit` has written")
    return found


def _seen(config: Path) -> tuple[Seen, Modules]:
    """Return the features of a config's machine at its bars, and what finds the modules beside it."""
    from barograph.config.modules import load
    from barograph.loop.run import features_seen
    from barograph.report.explaining.kept import Seen

    one = read(config, [])
    if one.machine.choose is not None:
        raise ConfigError(f"{config}: its machine chooses among several; wanted one that does not: leave [choose] out")
    with naming(config):
        X, names = features_seen(one.machine, one.history)
    return Seen(one.history.ts, X, names), lambda name: load(name, config.parent)


def _told(
    place: Path, seen: Seen | None, fit: int | None, stretches: int, modules: Modules | None,
    tell: Callable[[int, int], None] | None,
) -> Told:  # fmt: skip
    from barograph.report.explaining.runs import explain_file, explain_run

    run = place.absolute().parent.parent
    if place.is_file() and seen is None and fit is None and (run / "fits.json").is_file() and place.stem.isdecimal():
        return explain_run(run, None, int(place.stem), stretches, modules, tell)
    if place.is_file() and fit is not None:
        raise ConfigError(f"{place}: is one fit, and --fit {fit} picks one of a run: leave it out, or name the run")
    if place.is_file():
        return explain_file(place, seen, stretches, modules, tell)
    return explain_run(place, seen, fit, stretches, modules, tell)


def _content(told: list[Told]) -> list[dict[str, object]]:
    from barograph.report.explaining.contents import content

    return [content(one.found, one.name) | {"fits": list(one.fits)} for one in told]


def _print(told: list[Told]) -> None:
    from barograph.report.explaining.pages import brief

    for one in told:
        print("\n".join(brief(one)))
