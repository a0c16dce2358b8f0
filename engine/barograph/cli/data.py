"""The commands that look at data and at configs: `data check`, `config schema`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from barograph.cli.console import print_json
from barograph.cli.shared import Json
from barograph.errors import ConfigError

__all__ = ["config_app", "config_schema", "data_app", "data_check"]

data_app = typer.Typer(help="Look at data before trusting them.", no_args_is_help=True)
config_app = typer.Typer(help="Help with configs.", no_args_is_help=True)


@data_app.command("check")
def data_check(
    file: Path,
    calendar: Annotated[str, typer.Option(help="Exchange code such as XNYS, or 24/7.")] = "XNYS",
    column: Annotated[list[str] | None, typer.Option(metavar="FIELD=NAME", help="The file's name of a field.")] = None,
    use: Annotated[str, typer.Option(help="The loader of the file.")] = "",
    as_json: Json = False,
) -> None:
    """Check a CSV or Parquet file of bars and print every finding; exit code 3 if one is an error."""
    from barograph.config.parts import Part, make
    from barograph.data.findings import CODES, Finding
    from barograph.data.stamped import beyond

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
    late = beyond(history.source, history.ts, time.time_ns())
    if late:
        told = Finding("beyond_clock", "warning", history.source, -1, int(history.ts[-1]), "time", "", late)
        findings = (*findings, told)
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
    from barograph.config.load import schema

    print(json.dumps(schema(), indent=2))
