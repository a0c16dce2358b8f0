"""The commands `new` and `list`: a project to begin with, and what there is already."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from barograph.cli.console import print_json
from barograph.cli.data import looked_at, table_of
from barograph.cli.named import Told, changed, deployed_or_none, run_folders, told
from barograph.cli.paper import Url
from barograph.cli.run import COLUMNS, cell
from barograph.cli.shared import Json, Runs
from barograph.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["listed", "new"]

CONFIG: Final = """\
# What is traded, believed and done about it. `barograph run {name}.toml` runs it; every key is in docs/configs.md.
name = "{name}"

[data]
{data}

[model]
use = "barograph_models.gaussian_hmm:gaussian_hmm"
states = 2

# The model learns again every quarter, on the last 1,000 bars before it: never on a bar that comes later.
[fit]
window = 1000
every = "quarter"

[strategy]
use = "{module}:calm_only"
threshold = 0.5
"""
STRATEGY: Final = '''\
"""Invested while the calm regime is likelier than a threshold, in cash otherwise."""

from typing import NamedTuple

import barograph as bg


class Params(NamedTuple):
    """What is tuned."""

    threshold: float


@bg.kernel
def decide(state, bars, belief, portfolio, params):
    """Return what is remembered, and the share of equity to hold from the next bar's open on."""
    return state, bg.Target(1.0 if belief.probs[0] > params.threshold else 0.0)


def calm_only(threshold: float = 0.5) -> bg.Strategy:
    """Make the strategy; these arguments are the keys of [strategy]."""
    return bg.strategy(decide, params=Params(threshold), name="calm_only")
'''
TEST: Final = '''\
"""The laws that every strategy is held to: no future, the same after a restart, the same compiled and plain."""

from barograph.testing import check_strategy

from {module} import calm_only


def test_calm_only_keeps_the_laws() -> None:
    check_strategy(calm_only())
'''
_SAMPLE: Final = (
    "# The S&P 500 as it comes along; `barograph data look SPY.csv` prints the table of a file of your own\n"
    'use = "barograph_adapters.sample:sp500"'
)


def new(
    name: Annotated[str, typer.Argument(help="What it is called; a folder of that name is made.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="Its bars: a file that `data look` reads.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Also write a test of the strategy.")] = False,
) -> None:
    """Begin a project: a folder with a config and a strategy of your own, ready to run."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ConfigError(f"new {name}: wanted small letters, digits and dashes, as in calm-only")
    folder, module = Path(name), f"{name.replace('-', '_')}_strategy"
    if folder.exists():
        raise ConfigError(f"new {name}: {folder} is there already; nothing of it is overwritten, give another name")
    lines, unsaid = ([_SAMPLE], []) if data is None else _data(data)
    files = {f"{name}.toml": CONFIG.format(name=name, module=module, data="\n".join(lines)), f"{module}.py": STRATEGY}
    if test:
        files[f"test_{module}.py"] = TEST.format(module=module)
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
        print(folder / file)
    if unsaid:
        print(
            "\nbefore it runs, [data] has to say what no file tells; take the # away where it is true:",
            *unsaid,
            sep="\n",
        )
    print(f"\nbarograph run {folder / f'{name}.toml'}")


def _data(file: Path) -> tuple[list[str], list[str]]:
    """Return the [data] table of a file as it is understood, and what has to be said of it before it loads."""
    if not file.is_file():
        raise ConfigError(
            f"--data {file}: {'is a folder; wanted a file' if file.is_dir() else 'there is no such file'}"
        )
    seen = looked_at(file)
    if seen.problem and not seen.ways:
        raise ConfigError(f"--data {file}: {seen.problem} (barograph data look {file} shows what is understood)")
    # A path in a config counts from the config.
    lines = table_of(file.absolute().as_posix(), seen)
    return lines, [line for line in lines if line.startswith("#")]


def listed(runs: Runs = Path("runs"), store: Url = None, as_json: Json = False) -> None:
    """List the runs, newest first, with what changed since the one before of that name; and what is deployed."""
    from barograph.paper.status import listed as deployments

    rows = [told(folder) for folder in run_folders(runs)]
    opened = deployed_or_none(store)
    live = [] if opened is None else deployments(opened)
    if as_json:
        print_json({"runs": [_row(rows, n) for n in range(len(rows))], "deployments": live})
        return
    _print(rows, live)


def _before(rows: list[Told], n: int) -> Told | None:
    return next((one for one in rows[n + 1 :] if one.name == rows[n].name), None)


def _row(rows: list[Told], n: int) -> dict[str, Any]:
    one = rows[n]
    return {
        "name": one.name,
        "folder": str(one.folder),
        "changed": changed(one, _before(rows, n)),
        "metrics": one.metrics,
    }


def _print(rows: list[Told], live: list[dict[str, Any]]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    if not rows and not live:
        print("no run and no deployment is here; `barograph run CONFIG` leaves a run in ./runs")
    if rows:
        console.print(_runs(rows))
    for one in live:
        print("  ".join(str(value) for value in one.values()))


def _runs(rows: list[Told]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", "at"):
        table.add_column(title, no_wrap=True)
    shown = ("cagr", "sharpe", "max_drawdown")
    for key in shown:
        table.add_column(COLUMNS[key].replace(" [95 %]", ""), justify="right", no_wrap=True)
    table.add_column("changed")
    for n, one in enumerate(rows):
        stamp = one.folder.name[:13]
        figures = (cell(key, one.metrics | {"sharpe_low": None}) for key in shown)
        table.add_row(one.name, stamp, *figures, ", ".join(changed(one, _before(rows, n))))
    return table
