"""What made a result: the versions, the commit, and hashes of the config and of the code."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from barograph.config.parts import Part

if TYPE_CHECKING:
    from barograph.config.schema import Config

__all__ = ["code_hash", "commit", "config_hash", "hashed", "versions"]

_PACKAGES = ("barograph", "numpy", "pandas", "numba", "scipy", "pyarrow", "exchange-calendars")
_SOURCES = ("barograph", "barograph_models", "barograph_strategies", "barograph_adapters")


def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit(folder: Path) -> str | None:
    """Return the commit the config's folder is at, with a plus when the tree differs, or None outside git."""
    git = shutil.which("git")
    if git is None:
        return None
    head = subprocess.run([git, "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return None
    status = subprocess.run(
        [git, "status", "--porcelain", "-uno"], cwd=folder, capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")


def config_hash(config: Config) -> str:
    """Hash every value of a config that can change a result, its secrets masked."""
    return hashed([json.dumps(config.redacted(), sort_keys=True, default=str)])


def code_hash(config: Config) -> str:
    """Hash the sources of Barograph and of every module a part of this config comes from."""
    import importlib

    rates = [config.execution.borrow_rate, config.execution.cash_rate]
    single = [part for part in (config.model, *rates) if isinstance(part, Part)]
    parts = [config.data, config.strategy, *config.features, *config.observed, *single]
    own = {part.use.partition(":")[0] for part in parts}
    files = {Path(str(importlib.import_module(name).__file__)) for name in own}
    for name in _SOURCES:
        package = Path(str(importlib.import_module(name).__path__[0]))
        files.update(package.rglob("*.py"))
    return hashed(path.read_text(encoding="utf-8") for path in sorted(files))


def hashed(texts: Iterable[str]) -> str:
    """Return the SHA-256 of texts, each closed by a zero."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.hexdigest()
