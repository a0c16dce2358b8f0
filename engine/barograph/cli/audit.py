"""The commands that doubt a result: `audit`, `crosscheck`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from barograph.cli.console import print_json, progress
from barograph.cli.shared import Json, Set, naming, read

__all__ = ["ENGINES", "audit", "crosscheck"]

ENGINES = ("backtesting", "backtrader", "vectorbt", "bt")


def audit(
    config: Path,
    set: Set = None,
    cuts: Annotated[int, typer.Option(min=1, help="Random bars, and as many fits, to cut at.")] = 8,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Rerun a config on cut and on changed futures, and report anything before the cut that moved."""
    from barograph.audit.lookahead import audit as run_audit

    one = read(config, set or [])
    with naming(config), progress(f"audit {one.config.name}", quiet=as_json) as tell:
        found = run_audit(one.machine, one.history, cuts, seed, tell)
    if as_json:
        print_json({**found.__dict__, "clean": found.clean, "leaks": [leak._asdict() for leak in found.leaks]})
    else:
        _print_audit(found)
    if not found.clean:
        raise typer.Exit(7)


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
    from barograph.audit.crosscheck import crosscheck as run_crosscheck
    from barograph.audit.crosscheck import exit_status, named
    from barograph.loop.run import scan

    names = named([name.strip() for name in against.split(",") if name.strip()])
    one = read(config, set or [])
    with progress(one.config.name, quiet=as_json) as tell:
        result = scan(one.machine, one.history, progress=tell)
    found = run_crosscheck(result, names, None if python is None else str(python))
    if as_json:
        print_json([_agreement(a) for a in found])
    else:
        print("\n".join(map(str, found)))
    if exit_status(found) != 0:
        raise typer.Exit(exit_status(found))


def _agreement(found: Any) -> dict[str, Any]:
    """Return what one engine made of a run; what only one side has is infinitely far, which JSON has no word for."""
    first = found.first and _finite(found.first._asdict())
    return {**_finite(found._asdict()), "agrees": found.agrees, "first": first}


def _finite(content: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in content.items()}


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
