"""The commands that look at data and at configs: `data look`, `data check`, `config schema`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barograph.cli.console import print_json
from barograph.cli.shared import Json
from barograph.errors import ConfigError

if TYPE_CHECKING:
    from barograph.config.parts import Part
    from barograph.data.findings import Finding
    from barograph.data.history import History
    from barograph.data.shapes.looking import Look

__all__ = ["config_app", "config_schema", "data_app", "data_check", "data_look", "looked_at", "table_of"]

data_app = typer.Typer(help="Look at data before trusting them.", no_args_is_help=True)
config_app = typer.Typer(help="Help with configs.", no_args_is_help=True)

_BARS = "barograph_adapters.files:bars"
_LOOK = "barograph_adapters.files:look"

Calendar = Annotated[str | None, typer.Option(help="Exchange code such as XNYS, or 24/7.")]
Column = Annotated[list[str] | None, typer.Option(metavar="FIELD=NAME", help="The file's name of a field.")]
Word = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any word of [data].")]


@data_app.command("look")
def data_look(
    file: Path, calendar: Calendar = None, column: Column = None, word: Word = None, as_json: Json = False
) -> None:
    """Show what is understood of a file of bars, and print its [data] table; exit code 3 if it cannot be loaded."""
    seen = looked_at(file, **_words(calendar, column, word))
    if as_json:
        words = {key: value for key, value, _ in seen.words}
        told = {"use": _BARS, "path": str(file), **words}
        lines, findings = dict(seen.lines), [one._asdict() for one in seen.findings]
        print_json({"seen": lines, "data": told, "findings": findings, "problem": seen.problem, "ways": seen.ways})
    else:
        _show(file, seen)
    if seen.problem or any(one.severity == "error" for one in seen.findings):
        raise typer.Exit(3)


def _show(file: Path, seen: Look) -> None:
    for name, text in seen.lines:
        print(f"{name:<10}{text}")
    for one in seen.findings:
        print(f"{one.severity:<10}{one.message}")
    if seen.problem:
        print(f"{'refused':<10}{seen.problem}")
    print("\n[data]", *table_of(str(file), seen), sep="\n")


def looked_at(file: Path, **words: Any) -> Look:
    """Look at a file as the loader of files does; raises `DataError` for what holds no table."""
    from barograph.config.parts import attribute

    seen: Look = attribute(_LOOK, "data", Path())(file, **words)
    return seen


def table_of(path: str, seen: Look) -> list[str]:
    """Return the lines of the [data] table that loads a file as it was understood; of ways to say one, as remarks."""
    words = (("use", _BARS, ""), ("path", path, ""), *seen.words)
    lines = [_toml(key, value) + (f"  # {remark}" if remark else "") for key, value, remark in words]
    for meaning, way in seen.ways.items():
        lines.append(f"# {', '.join(_toml(key, value) for key, value in way.items())}  # {meaning}")
    return lines


def _toml(key: str, value: Any) -> str:
    import tomli_w

    if isinstance(value, dict):
        inside = ", ".join(_toml(name, inner) for name, inner in value.items())
        return f"{key} = {{ {inside} }}"
    return tomli_w.dumps({key: value}).strip()


@data_app.command("check")
def data_check(
    file: Path,
    calendar: Calendar = None,
    column: Column = None,
    word: Word = None,
    use: Annotated[str, typer.Option(help="The loader of the file.")] = _BARS,
    as_json: Json = False,
) -> None:
    """Check a file of bars, or the data of a config, and print every finding; exit code 3 if one is an error."""
    from barograph.config.load import load
    from barograph.config.parts import Part

    if file.suffix == ".toml":
        config = load(file, word or [])
        histories = [_loaded(part, file.parent) for part in (config.data, *config.observed)]
    else:
        words = {"use": use, "path": str(file.resolve()), **_words(calendar, column, word)}
        histories = [_loaded(Part.model_validate(words), Path())]
    found = [one for history in histories for one in _findings(history)]
    bars = sum(map(len, histories))
    if as_json:
        print_json({"bars": bars, "findings": [one._asdict() for one in found]})
    else:
        for one in found:
            print(f"{one.severity:<8}{one.code:<20}{one.message}")
        print(f"{file.name}: {bars} bars, {len(found)} findings")
    if any(one.severity == "error" for one in found):
        raise typer.Exit(3)


def _words(calendar: str | None, column: list[str] | None, word: list[str] | None) -> dict[str, Any]:
    """Return the words of [data] that stand on the command line."""
    from barograph.config.load import overridden

    wrong = [item for item in column or [] if "=" not in item]
    if wrong:
        raise ConfigError(f"--column {wrong[0]}: wanted FIELD=NAME, as in --column close=Last")
    words: dict[str, Any] = {"columns": dict(item.split("=", 1) for item in column)} if column else {}
    return overridden(words | ({"calendar": calendar} if calendar else {}), word or [])


def _loaded(part: Part, folder: Path) -> History:
    """Load with every error accepted, where the loader can be told to."""
    from inspect import signature

    from barograph.config.build import load_part
    from barograph.config.parts import attribute
    from barograph.data.findings import CODES

    takes = "accept" in signature(attribute(part.use, "data", folder)).parameters
    return load_part(part.model_copy(update={"accept": list(CODES)}) if takes else part, "data", folder)


def _findings(history: History) -> list[Finding]:
    from barograph.data.findings import Finding
    from barograph.data.gate import gated
    from barograph.data.stamped import beyond

    late = beyond(history.source, history.ts, time.time_ns())
    told = Finding("beyond_clock", "warning", history.source, -1, int(history.ts[-1]), "time", "", late)
    return [*gated(history).findings, *([told] if late else [])]


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of a config."""
    from barograph.config.load import schema

    print(json.dumps(schema(), indent=2))
