"""What several commands take and do: their options, and a config read, loaded and built."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from barograph.errors import BarographError, ConfigError

if TYPE_CHECKING:
    from barograph.config.schema import Config
    from barograph.data.history import History
    from barograph.loop.machine import Machine

__all__ = ["Json", "Prepared", "Runs", "Set", "naming", "prepared", "read", "varied"]

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value of the config.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Runs = Annotated[Path, typer.Option("--runs", help="Where run folders go.")]


class Prepared(NamedTuple):
    """A config that a user's mistake cannot stop any more, and the seconds that took."""

    config: Config
    machine: Machine
    history: History
    seconds: float
    path: Path


def prepared(path: Path, overrides: list[str], runs: Path) -> Prepared:
    """Return what `read` does, once it is known that run folders can be written."""
    from barograph.report.run import check_root

    check_root(runs)
    return read(path, overrides)


def read(path: Path, overrides: list[str]) -> Prepared:
    """Read, load and build: all that a user's mistake can stop, before anything is run or written."""
    started = time.perf_counter()
    from barograph.config.build import build, load_history
    from barograph.config.load import load

    config = load(path, overrides)
    with naming(path):
        history = load_history(config, path.parent)
        machine = build(config, path.parent)
    return Prepared(config, machine, history, time.perf_counter() - started, path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let every error name the config it belongs to: `compare` has several."""
    try:
        yield
    except BarographError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise type(error)(f"{path}: {error}") from error


def varied(texts: list[str]) -> list[list[str]]:
    """Return the overrides of each variant of `--vary`, as `--set` takes them; the last key changes fastest.

    >>> varied(["model.weights=none,balanced", "model.seed=0,1"])[1]
    ['model.weights=none', 'model.seed=1']
    >>> varied([])
    [[]]

    Raises `ConfigError` for what is no key with two values or more, each another, and for a key that is there twice.
    """
    keys = [text.partition("=")[0].strip() for text in texts]
    if again := sorted({key for key in keys if keys.count(key) > 1}):
        raise ConfigError(f"--vary {again[0]} is there {keys.count(again[0])} times: give its values once, with commas")
    return [list(one) for one in itertools.product(*map(_values, texts))]


def _values(text: str) -> list[str]:
    key, _, values = text.partition("=")
    found = [value.strip() for value in values.split(",")]
    if not key.strip() or not all(found) or not 2 <= len(set(found)) == len(found):
        wanted = "KEY=VALUE,VALUE, two or more and each another, as in --vary model.weights=none,balanced"
        raise ConfigError(f"--vary {text}: wanted {wanted}")
    return [f"{key.strip()}={value}" for value in found]
