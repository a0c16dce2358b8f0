"""The command that shows what was tried: `trials`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barograph.cli.console import print_json
from barograph.cli.shared import Json
from barograph.errors import ConfigError

if TYPE_CHECKING:
    from barograph.trials.nouns import Row
    from barograph.trials.registry import Registry

__all__ = ["trials"]

_COLUMNS = {
    "symbols": "Symbols",
    "rows": "Rows",
    "tried": "N",
    "overlapping": "N now",
    "figure": "Figure",
    "best": "Best",
    "name": "of",
    "window": "Windows",
}


def trials(
    place: Annotated[Path, typer.Argument(help="A folder of the project, a config of it, or the file.")] = Path(),
    rows: Annotated[bool, typer.Option("--list", help="Every row, with its notes.")] = False,
    row: Annotated[int | None, typer.Option("--row", metavar="ROW", help="One row and its trials.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="Count from this date on.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compute the chain of hashes again.")] = False,
    note: Annotated[tuple[int, str] | None, typer.Option("--note", metavar="ROW TEXT", help="Annotate a row.")] = None,
    prune: Annotated[
        str | None, typer.Option("--prune", metavar="DATE", help="Forget returns entered before; N and the best stay.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a project has tried: how many trials count, the best of them, and on which windows."""
    asked = [word for word, value in (("--note", note), ("--prune", prune), ("--row", row)) if value is not None]
    asked += ["--verify"] if verify else []
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)}: wanted one of them")
    registry = _registry(place)
    if note is not None:
        _say({"row": registry.note(*note)}, as_json)
    elif prune is not None:
        _say(registry.prune(prune)._asdict(), as_json)
    elif row is not None:
        _show_row(registry, row, as_json)
    elif verify:
        _verify(registry, as_json)
    else:
        _show(registry, since, rows, as_json)


def _registry(place: Path) -> Registry:
    from barograph.trials.registry import NAME, Registry, project_of

    if place.is_dir():
        return Registry(project_of(place) / NAME)
    if place.suffix != ".toml":
        return Registry(place)
    from barograph.config.load import load

    store = load(place).registry.store
    if store is False:
        raise ConfigError(f"{place}: registry.store is false, so its trials are entered nowhere")
    return Registry(project_of(place.parent) / NAME if store is None else place.parent / store)


def _say(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    for key, value in told.items():
        print(f"{key:<10}{value}")


def _verify(registry: Registry, as_json: bool) -> None:
    found = registry.verify()
    _say(found._asdict() if as_json else {**found._asdict(), "problem": found.problem or "none"}, as_json)
    if found.problem:
        raise typer.Exit(9)


def _show_row(registry: Registry, sequence: int, as_json: bool) -> None:
    rows = registry.rows()
    if not 0 < sequence <= len(rows):
        raise ConfigError(f"{registry.path}: there is no row {sequence}; `barograph trials --list` shows all")
    found = next(registry.streams([rows[sequence - 1]]), None)
    pairs = [] if found is None else list(zip(found.names, found.values.tolist(), strict=True))
    ranked = sorted(pairs, key=lambda pair: (pair[1] != pair[1], -pair[1]))
    told = {**_told(rows[sequence - 1], rows), "trials": [{"name": n, "value": _finite(v)} for n, v in ranked]}
    if as_json:
        print_json(told)
        return
    print(_line(told))
    for name, value in ranked:
        print(f"  {value:>8.3f}  {name}")


def _show(registry: Registry, since: str | None, listed: bool, as_json: bool) -> None:
    from barograph.trials.nouns import KINDS

    rows = registry.rows()
    groups: dict[tuple[tuple[str, ...], str], list[Row]] = {}
    for one in rows:
        if one.kind in KINDS:
            groups.setdefault((one.symbols, one.figure), []).append(one)
    told = [_group(registry, group, since) for group in groups.values()]
    lines = [_told(one, rows) for one in rows if listed and one.kind != "note"]
    if as_json:
        size = registry.path.stat().st_size
        print_json({"file": registry.path, "bytes": size, "symbols": told, **({"rows": lines} if listed else {})})
        return
    for line in lines:
        print(_line(line))
    _print_table(told)
    print(f"\nN now: trials whose windows overlap the last one's{'' if since is None else f', entered since {since}'}.")
    print(registry.path)


def _group(registry: Registry, rows: list[Row], since: str | None) -> dict[str, Any]:
    last = rows[-1]
    best = max(rows, key=lambda row: float("-inf") if row.best is None else row.best)
    found = registry.counted(last.symbols, last.first, last.last, since)
    return {
        "symbols": list(last.symbols),
        "rows": len(rows),
        "tried": sum(row.tried for row in rows),
        "overlapping": found.tried,
        "figure": last.figure,
        "best": best.best,
        "name": best.name,
        "row": best.sequence,
        "first": _date(min(row.first for row in rows)),
        "last": _date(max(row.last for row in rows)),
    }


def _told(row: Row, rows: Iterable[Row]) -> dict[str, Any]:
    told = row._asdict() | {"first": _date(row.first), "last": _date(row.last)}
    return told | {"notes": [one.text for one in rows if one.kind == "note" and one.about == row.sequence]}


def _line(told: dict[str, Any]) -> str:
    """Return a row as one line, and one more for each note."""
    if told["kind"] == "note":
        return f"{told['sequence']:>6}  {told['moment'][:19]}  note on row {told['about']}: {told['text']}"
    what = f"{told['sequence']:>6}  {told['moment'][:19]}  {told['kind']:<8}{','.join(told['symbols'])}"
    tried = f"{told['first']} .. {told['last']}  N {told['tried']:,}  {told['figure']} {_figure(told['best'])}"
    return "".join([f"{what}  {tried}  {told['name']}", *(f"\n        {text}" for text in told["notes"])])


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _print_table(groups: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for key, title in _COLUMNS.items():
        table.add_column(title, justify="right" if key in ("rows", "tried", "overlapping", "best") else "left")
    for group in groups:
        best, window = _figure(group["best"]), f"{group['first']} .. {group['last']}"
        told = {**group, "symbols": ", ".join(group["symbols"]), "best": best, "window": window}
        table.add_row(*(f"{told[key]:,}" if isinstance(told[key], int) else told[key] for key in _COLUMNS))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _date(ts: int) -> str:
    """Return the day of a close; one at midnight ends the day before."""
    import numpy as np

    return str(np.datetime64(ts - 1, "ns").astype("datetime64[D]"))


def _finite(value: float) -> float | None:
    return value if value == value else None
