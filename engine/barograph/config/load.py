"""Configs: TOML in, a `Machine` and a `History` out, every mistake named with its file, key and remedy.

A part is a table with ``use = "module:factory"``; its other keys are the factory's own arguments, so the factory's
signature is the schema and there is no registry. A value may be a part itself (``of = { use = ... }``).
"""

from __future__ import annotations

import copy
import datetime
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from barograph.config.mistakes import told
from barograph.config.modules import beside
from barograph.config.parts import Part
from barograph.config.schema import Config, Execution
from barograph.config.values import check_choice
from barograph.errors import BarographError, ConfigError

__all__ = ["checked", "guards_of", "load", "overridden", "schema", "tree_of", "with_value"]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a config, for editors."""
    return Config.model_json_schema()


def load(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read and check a config; `overrides` are ``key.path=value``, the value as TOML or plain text.

    Modules beside it that were edited since are read again, as by `build`.
    Raises `ConfigError` naming file, key, what was found and what was wanted.
    """
    path = Path(path)
    return checked(tree_of(path, overrides), path)


def tree_of(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a config as the tables that stand in it, overridden, not checked."""
    beside(path.parent).refresh()
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    return overridden(tree, overrides)


def overridden(tree: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return tables with values put in their place, each told as ``key.path=value``."""
    for text in overrides:
        _override(tree, text)
    return cast("dict[str, Any]", _dates_as_text(tree))


def checked(tree: Any, path: Path) -> Config:
    """Check the tables of a config."""
    try:
        config = Config.model_validate(tree)
        check_terms(config)
        check_choice(config, () if config.sweep is None else config.sweep.keys)
    except ValidationError as error:
        raise ConfigError(f"{path}: {told(error, Config)}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def guards_of(config: Config) -> list[Any]:
    """Make the guards of a config. Raises `ConfigError` naming the one that cannot be kept."""
    from barograph.execution.terms import Guard

    made = []
    for n, plan in enumerate(config.guards):
        try:
            made.append(Guard(**plan.model_dump()))
        except BarographError as error:
            raise ConfigError(f"guards.{n}: {error}") from error
    return made


def check_terms(config: Config) -> None:
    """Judge the terms together, before any data are loaded; rates that are parts come later."""
    from barograph.execution.terms import Terms

    terms = {key: value for key, value in dict(config.execution).items() if not isinstance(value, Part)}
    guards = guards_of(config)
    try:
        Terms(guards=guards, **terms)
    except ConfigError as error:
        named = str(error).partition(" ")[0] in Execution.model_fields
        raise ConfigError(f"execution{'.' if named else ': '}{error}") from error


def _override(tree: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text}: wanted key=value, as in --set strategy.calm=1.5")
    _put(tree, key.strip(), _value(value), f"--set {text}")


def with_value(tree: dict[str, Any], key: str, value: Any, where: str) -> dict[str, Any]:
    """Return the tables with another value at ``key.path``; `where` names who asks for it, in an error."""
    head, dot, _ = key.partition(".")
    # Only the tables on the way are copied: a sweep asks for thousands.
    changed = dict(tree)
    if dot:
        changed[head] = copy.deepcopy(tree.get(head, {}))
    _put(changed, key, value, where)
    return changed


def _put(tree: dict[str, Any], key: str, value: Any, where: str) -> None:
    *path, last = key.split(".")
    node: Any = tree
    for step in path:
        node = _inside(node, step, where)
    if not isinstance(node, dict):
        _inside(node, last, where)
        node[int(last)] = value
    else:
        node[last] = value


def _dates_as_text(value: Any) -> Any:
    """TOML knows dates without quotes; here a date is text, so that one spelling goes into hashes and folders."""
    if isinstance(value, dict):
        return {key: _dates_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _inside(node: Any, step: str, where: str) -> Any:
    if isinstance(node, list):
        if not step.isdigit() or int(step) >= len(node):
            raise ConfigError(f"{where}: {step!r} is no item of a list of {len(node)} (the first is 0)")
        return node[int(step)]
    if not isinstance(node, dict):
        raise ConfigError(f"{where}: {step!r} is inside a value, not a table")
    return node.setdefault(step, {})


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
