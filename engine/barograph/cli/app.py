"""The command line. Thin: it reads, calls and prints; a user's mistake is one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, cast

import typer

from barograph.cli import audit, data, fit, paper, run, sweep, trials, warm
from barograph.cli.deployed import listing
from barograph.errors import BarographError, as_written

__all__ = ["app", "main"]

app = typer.Typer(
    name="barograph",
    help="Backtests and paper trading for strategies that depend on the market's regime.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main() -> None:
    """Run the command line; the entry point of the `barograph` script."""
    try:
        app()
    except BarographError as error:
        print(f"barograph: {' '.join(as_written(str(error)).split())}", file=sys.stderr)
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


for command in cast(
    "list[Callable[..., None]]",
    [run.run, run.compare, sweep.sweep, fit.fit, audit.audit, audit.crosscheck, run.report, trials.trials, warm.warm],
):
    app.command()(command)
app.add_typer(data.data_app, name="data")
app.add_typer(data.config_app, name="config")
_PAPER = [paper.paper, paper.status, paper.halt, paper.resume, paper.flatten, paper.end, paper.confirm, paper.parity,
          listing.orders]  # fmt: skip
for command in cast("list[Callable[..., None]]", _PAPER):
    app.command()(command)
app.add_typer(paper.alerts_app, name="alerts")
app.add_typer(paper.store_app, name="store")
