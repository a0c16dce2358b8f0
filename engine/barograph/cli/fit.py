"""The commands that fit once: `fit`, for a model that trains seldom and scores daily; `states`, how many regimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from barograph.cli.console import print_json
from barograph.cli.shared import Json, Set, naming, read
from barograph.errors import ConfigError, FitError

if TYPE_CHECKING:
    from barograph.regimes.answers.counting import Choice, Counted
    from barograph.regimes.fitted import Model
    from barograph.regimes.window import Window

__all__ = ["fit", "states"]

CRITERIA: Final = (
    "BIC and ICL are not asked: on returns from one t with five degrees of freedom BIC prefers two Gaussian regimes."
)
ALONE: Final = "The baselines are of the return alone, and left out: the model sees {} features."


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


def states(
    config: Path,
    most: Annotated[int, typer.Option(min=1, help="The largest number of regimes.")] = 5,
    set: Set = None,
    as_json: Json = False,
) -> None:
    """Tell how many regimes a config's model should have: what so many foresaw of later bars, and the baselines."""
    overrides = set or []
    one = read(config, [*overrides, f"model.states={most}"])
    from barograph.loop.run import last_window
    from barograph.regimes.answers.counting import choose_states

    with naming(config):
        seen = last_window(one.machine, one.history)
        choice = choose_states(_maker(config, overrides), seen, most)
        baselines = _baselines(seen)
    if as_json:
        rows = [row._asdict() for row in choice.table]
        print_json({"states": choice.states, "reason": choice.reason, "table": rows, "baselines": baselines})
        return
    _print(choice, baselines, seen.rows.shape[1])


def _maker(config: Path, overrides: list[str]) -> Callable[[int], Model]:
    """Return what makes the config's model with so many states; one that cannot have so many fails at its fit."""
    from barograph.config.build import build
    from barograph.config.load import load
    from barograph.regimes.fitted import Model

    def make(states: int) -> Any:
        try:
            return build(load(config, [*overrides, f"model.states={states}"]), config.parent).model
        except ConfigError as error:
            told = str(error)

        def refused(_: Any) -> NoReturn:
            raise FitError(told)

        return Model(refused, states, "states")

    return make


def _baselines(seen: Window) -> dict[str, float]:
    """Return the mean log scores of what has no regimes, on the same rows; they are of one feature alone."""
    from barograph.regimes.answers.garch import garch_score, student_score

    return {} if seen.rows.shape[1] > 1 else {"one t": student_score(seen), "GARCH-t": garch_score(seen)}


def _print(choice: Choice, baselines: dict[str, float], features: int) -> None:
    print(f"{'states':>8} {'nats a row':>11} {'gain':>8} {'error':>8} {'BIC':>11} {'ICL':>11}")
    for row in choice.table:
        print(_line(row) + ("  <" if row.states == choice.states else ""))
    for name, score in baselines.items():
        print(f"{name:>8} {score:11.4f}")
    print(choice.reason)
    better = [name for name, score in baselines.items() if score > choice.table[choice.states - 1].score]
    if better:
        print(f"{' and '.join(better)} foresaw better without regimes.")
    print(CRITERIA if baselines else f"{CRITERIA} {ALONE.format(features)}")


def _line(row: Counted) -> str:
    if row.score != row.score:
        return f"{row.states:8d} {row.failed}"
    said = [f"{there:11.1f}" if there is not None else f"{'-':>11}" for there in (row.bic, row.icl)]
    return f"{row.states:8d} {row.score:11.4f} {row.gain:8.4f} {row.error:8.4f} {' '.join(said)}"
