"""The commands that doubt a result: `audit`, `crosscheck`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from barograph.cli.console import print_json, progress
from barograph.cli.shared import Json, Set, naming, read

__all__ = ["ENGINES", "audit", "crosscheck"]

NOTHING_ELSE = "no table, file or kept state was found beside them"
FALLS = (
    "high, and half of it gone within five bars. A rule that lives on what happens within days may be so, and so is "
    "one that looks at tomorrow, as in a label merged into the bars: find out which. No proof of either."
)
ENGINES = ("backtesting", "backtrader", "vectorbt", "bt")


def audit(
    config: Path,
    set: Set = None,
    cuts: Annotated[int, typer.Option(min=1, help="Random bars, and as many fits, to cut at.")] = 8,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Rerun a config on cut and on changed futures, and report what moved before a cut, and what cannot be known.

    The exit status is 7 when anything before a cut moved. What the audit could not look into is told, and is no error.
    """
    from barograph.audit.lookahead import audit as run_audit
    from barograph.audit.opened import watching
    from barograph.audit.source import again

    with watching() as opened:
        one = read(config, set or [])
    rerun = partial(again, config, set or [], opened, one.history)
    with naming(config), progress(f"audit {one.config.name}", quiet=as_json) as tell:
        found = run_audit(one.machine, one.history, cuts, seed, tell, opened, rerun)
    if as_json:
        print_json(_as_json(found))
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


def _as_json(found: Any) -> dict[str, Any]:
    """Return all that an audit found; of the rerun on a cut source only what it is about."""
    again = found.again and {"cut": found.again.cut, "problem": found.again.problem or None}
    if found.again is not None:
        again["whole"] = [Path(one.path).name for one in found.again.whole]
    told = {name: [one._asdict() for one in getattr(found, name)] for name in ("leaks", "unvouched", "rests")}
    lags = _finite({str(lag): value for lag, value in found.lags.items()})
    return {**found.__dict__, **told, "clean": found.clean, "again": again, "lags": lags}


def _print_audit(found: Any) -> None:
    print(f"{len(found.cuts)} cuts; largest change before a cut (must be 0):")
    for answer, change in found.changes.items():
        print(f"  {answer:<14}{change:g}")
    for leak in found.leaks[:10]:
        print(f"  LEAK  {leak.answer} changed by {leak.change:g} up to {leak.when} when the future was {leak.how}")
    _print_source(found)
    print(f"{found.fits} fits: {found.switched} relabelled, {found.unconvincing} not convincingly matched")
    print("Sharpe by decoding: " + ", ".join(f"{name} {value:.2f}" for name, value in found.sharpe.items()))
    if len(found.sharpe) > 1:
        print("Only the filtered one can be traded; the others have seen the future.")
    print("Sharpe when decisions come late: " + ", ".join(f"{n} bars {value:.2f}" for n, value in found.lags.items()))
    things = _things(found)
    known = "nothing that came through the bars leaked" if found.clean else "NOT CLEAN: see the leaks above"
    many = f"{len(things)} thing{'s' if len(things) > 1 else ''} it could not look into:"
    print(f"{known}; {many if things else NOTHING_ELSE}")
    for thing in things:
        print(f"  {thing}")


def _print_source(found: Any) -> None:
    """Tell of the rerun in a fresh process, where there was one."""
    if found.again is None:
        return
    cut = ", ".join(found.again.cut)
    if found.again.problem:
        print(f"Not rerun on a cut source: {found.again.problem}")
    else:
        print(f"Rerun in a fresh process, its files cut: {cut}")
    for one in found.rests if _moved(found) else ():
        print(f"  RESTS ON THE WHOLE SOURCE  {one}")


def _things(found: Any) -> list[str]:
    """Return what the audit could not look into, a line each; what has moved an answer stands with the leaks."""
    things = [*map(str, found.unvouched), *map(str, () if _moved(found) else found.rests)]
    if found.falls:
        things.append(f"{', '.join(found.falls)}: STANDS OUT, {FALLS}")
    again = found.again
    # Where nothing was read from a file there was no source to cut.
    if again is not None and again.problem and (again.cut or again.whole):
        things.append(f"the source: not rerun on a cut one: {again.problem}")
    left = again.whole if again is not None else ()
    return [*things, *(f"the source: {Path(one.path).name} could not be cut ({one.where})" for one in left)]


def _moved(found: Any) -> bool:
    return any(leak.how == "cut at its source" for leak in found.leaks)
