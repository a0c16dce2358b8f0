"""The command that fits once: `fit`, for a model that trains seldom and scores daily."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from barograph.cli.console import print_json
from barograph.cli.shared import Json, Set, naming, read
from barograph.errors import FitError

__all__ = ["fit"]


def fit(
    config: Path,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the fitted model goes.")],
    set: Set = None,
    as_json: Json = False,
) -> None:
    """Fit a config's model at its last bar, as [fit] says, and keep it in a file for `barograph.regimes:saved`."""
    if not output.parent.is_dir():
        raise FitError(f"{output}: there is no folder {output.parent}; make it first")
    one = read(config, set or [])
    from barograph.loop.run import learn

    with naming(config):
        fitted = learn(one.machine, one.history)
    try:
        fitted.save(output)
    except OSError as error:
        raise FitError(f"{output}: cannot be written: {error.strerror or error}") from error
    summary, last = fitted.summary(), one.history.when(len(one.history) - 1)
    if as_json:
        print_json({"file": str(output), "digest": fitted.digest, "until": last, "summary": summary})
        return
    print(f"{fitted.name} with {fitted.regimes} regimes, on {fitted.observations} rows up to {last}: {output}")
    for told in fitted.degeneracies:
        print(f"  {told}")
    print(f'Use it with [model] use = "barograph.regimes:saved", file = "{output.name}", and no [fit].')
