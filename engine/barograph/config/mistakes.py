"""What is told to the person who wrote a config that cannot be meant: key, found, wanted."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from barograph.config.secrets import redacted
from barograph.errors import nearest

__all__ = ["shown", "told", "wish"]


def told(error: ValidationError, model: type[BaseModel]) -> str:
    """Tell, in one line, the mistake that is most likely meant: its key, what was found, what was wanted."""
    # An unknown key is the likelier mistake than the missing one it was meant to be.
    # A table is meant as a part, and a number is not what is missing there.
    found = [e for e in error.errors() if not (e["type"] == "float_type" and isinstance(e["input"], dict))]
    errors = sorted(found or error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    first = errors[0]
    where = ".".join(str(p) for p in first["loc"] if p != "Part")
    if first["type"] == "extra_forbidden":
        known = _keys(model, first["loc"][:-1])
        wanted = nearest(str(first["loc"][-1]), known) or f"; known keys: {', '.join(sorted(known))}"
        return f"unknown key {where!r}{wanted}"
    if first["type"] == "missing":
        return f"key {where!r} is missing; wanted {_about(model, first['loc'])}"
    # Where several types would do, each has its own complaint, and its name stands last in the place.
    several = first["loc"][-1] not in _keys(model, first["loc"][:-1]) and not isinstance(first["loc"][-1], int)
    same = [e for e in errors if e["loc"][:-1] == first["loc"][:-1]] if several else [first]
    where = ".".join(str(p) for p in first["loc"][:-1]) if several else where
    wishes = " or ".join(wish(e) for e in same)
    return f"{where} is {shown(first['input'], where)}; {wishes}"


def wish(error: Any) -> str:
    """Return what was wanted, in words."""
    if error["type"] == "model_type":
        return 'input should be a table with use = "module:factory"'
    if error["type"] == "list_type" and isinstance(error["input"], dict):
        return f"input should be a list of tables, each headed [[{error['loc'][-1]}]]"
    if error["type"] == "is_instance_of":
        return f"input should be a {'list' if error['ctx']['class'] == 'Sequence' else 'table'}"
    # What has a small upper bound is a fraction, and what breaks it is usually a percentage.
    percent = error["type"] in ("less_than", "less_than_equal") and next(iter(error["ctx"].values())) <= 5
    return str(error["msg"][0].lower() + error["msg"][1:]) + (" (a fraction: 5 % is 0.05)" if percent else "")


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    return list(_table(model, path).model_fields)


def _table(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    for step in path:
        kind = model.model_fields[str(step)].annotation if str(step) in model.model_fields else None
        options = [kind, *typing.get_args(kind)]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), model)
    return model


def _about(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    name = str(path[-1])
    if name == "use":
        return 'use = "module:factory"'
    if len(path) == 1 and name in ("data", "strategy"):
        return f"a [{name}] table"
    return _table(model, path[:-1]).model_fields[name].description or f"a value for {name}"


def shown(value: Any, where: str) -> str:
    """Return a value as it may be shown: cut short, its secrets masked."""
    unreadable_url = f"a {type(value).__name__} (not shown)" if where.endswith((".url", ".store")) else ""
    text = unreadable_url or repr(redacted(value, where.rpartition(".")[2]))
    return text if len(text) < 60 else f"{text[:57]}..."
