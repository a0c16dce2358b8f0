"""The command line. Thin: it reads, calls and prints; a user's mistake is one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, cast

import typer

from barograph.cli import audit, data, explain, fit, new, paper, run, sweep, trials, warm
from barograph.cli.console import print_json
from barograph.cli.deployed import listing
from barograph.errors import BarographError, as_written

__all__ = ["app", "main"]

app = typer.Typer(
    name="barograph",
    help="Backtests and paper trading for strategies that depend on the market's regime.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; the entry point of the `barograph` script."""
    for_programs = "--json" in sys.argv[1:]
    try:
        # Left alone, what is wrong with the command line itself is printed for people.
        ended = app(standalone_mode=not for_programs)
    except BarographError as error:
        said = " ".join(as_written(str(error)).split())
        if for_programs:
            _print_error(type(error).__name__, said, error.exit_code)
        else:
            print(f"barograph: {said}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        usage, code = getattr(error, "format_message", None), getattr(error, "exit_code", 2)
        if not for_programs or usage is None:
            raise
        _print_error("UsageError", " ".join(usage().split()), code)
        raise SystemExit(code) from None
    raise SystemExit(ended if isinstance(ended, int) else 0)


def _print_error(kind: str, said: str, code: int) -> None:
    print_json({"error": {"kind": kind, "message": said, "exit_code": code}})


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
    [
        run.run,
        run.compare,
        sweep.sweep,
        fit.fit,
        fit.states,
        explain.explain,
        audit.audit,
        audit.crosscheck,
        run.report,
        trials.trials,
        warm.warm,
    ],
):
    app.command()(command)
app.command()(new.new)
app.command("list")(new.listed)
app.add_typer(data.data_app, name="data")
app.add_typer(data.config_app, name="config")
_PAPER = [paper.paper, paper.status, paper.halt, paper.resume, paper.flatten, paper.end, paper.confirm, paper.parity,
          listing.orders, listing.trades]  # fmt: skip
for command in cast("list[Callable[..., None]]", _PAPER):
    app.command()(command)
app.add_typer(paper.alerts_app, name="alerts")
app.add_typer(paper.store_app, name="store")
