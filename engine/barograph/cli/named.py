"""What a name on the command line means: a path that is there, else a deployment, else a run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from barograph.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from barograph.paper.store import Store

__all__ = ["RULE", "Told", "changed", "deployed_or_none", "named", "run_folders"]

RULE = "a path that is there, else a deployment, else a run's name or the beginning of its folder's"
# What says where and not what; a run elsewhere of the same thing has not changed.
_PLACES = ("name", "registry")


class Told(NamedTuple):
    """One run folder: when it was made, its name, its resolved config and its figures."""

    folder: Path
    name: str
    config: dict[str, Any]
    metrics: dict[str, float | None]


def run_folders(runs: Path) -> Iterator[Path]:
    """Yield the run folders in `runs`, the newest first."""
    # One that is being written has a dot before its name.
    whole = ("manifest.json", "metrics.json", "config.toml")
    found = [folder for folder in runs.glob("[!.]*") if all((folder / name).is_file() for name in whole)]
    yield from sorted(found, key=lambda folder: folder.name, reverse=True)


def told(folder: Path) -> Told:
    """Read what a list says of a run folder. Raises `DataError` for one that is damaged."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
        metrics.pop("bounds", None)
        return Told(folder, str(manifest["name"]), config, metrics)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{folder}: its manifest.json, metrics.json or config.toml is damaged ({error}); move it away "
                        "or run its config again") from error  # fmt: skip


def named(name: str, runs: Path, store: Store | None) -> Path | str:
    """Return the folder that a name means, or the deployment's name.

    Raises `ConfigError` with the rule where it means nothing.
    """
    if (Path(name) / "manifest.json").is_file():
        return Path(name)
    folders = list(run_folders(runs))
    names = {folder: told(folder).name for folder in folders}
    run = next((folder for folder in folders if name == names[folder] or folder.name.startswith(name)), None)
    if Path(name).exists():
        if run is not None:
            raise ConfigError(
                f"{name}: is a path that is there, and no run; it goes before the run {run}: give that one"
            )
        return Path(name)
    if store is not None and store.find(name) is not None:
        return name
    if run is not None:
        return run
    known = {*names.values(), *([] if store is None else [one.name for one in store.deployments()])}
    places = f"{runs}{'' if store is None else ' and the store'}"
    raise ConfigError(f"{name}: found nothing of that name in {places}; wanted {RULE}{nearest(name, known)}")


def deployed_or_none(url: str | None) -> Store | None:
    """Return the store of paper trading where there is one, and never make one."""
    from barograph.cli.paper import looked_into

    return looked_into(url)


def changed(one: Told, before: Told | None) -> list[str]:
    """Return the keys in which a run's config differs from that of the run of the same name before it.

    >>> a = Told(Path(), "x", {"name": "x", "strategy": {"calm": 1.0}}, {})
    >>> changed(a._replace(config={"name": "x", "strategy": {"calm": 1.5}}), a)
    ['strategy.calm=1.5']
    """
    if before is None:
        return []
    now, was = dict(_flat(one.config)), dict(_flat(before.config))
    kept = [key for key in {**was, **now} if now.get(key) != was.get(key) and key.partition(".")[0] not in _PLACES]
    return [f"{key}={now[key]}" if key in now else f"no {key}" for key in kept]


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if _tables(tree) else None
    if branches is None:
        yield path, tree
        return
    for key, branch in branches:
        yield from _flat(branch, f"{path}.{key}" if path else str(key))


def _tables(tree: Any) -> bool:
    return isinstance(tree, list) and bool(tree) and all(isinstance(one, dict) for one in tree)
