"""What made a result: the versions, the commit, and hashes of the config and of the code."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barograph.config.modules import PACKAGES
from barograph.config.reached import reached

if TYPE_CHECKING:
    from barograph.config.schema import Config

__all__ = ["code_hash", "commit", "config_hash", "hashed", "versions"]

_PACKAGES = ("barograph", "numpy", "pandas", "numba", "scipy", "pyarrow", "exchange-calendars")


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


def code_hash(config: Config, folder: Path) -> str:
    """Hash the sources of Barograph, and every file of the user's that the parts of a config in this folder reach."""
    files = reached({use.partition(":")[0] for use in _uses(config.resolved())}, folder)
    # A model that is a file is code of the user's as much as one that is a module.
    for file in map(Path, _saved(config)):
        files |= {f"model {file.name}": (folder / file).read_bytes()} if (folder / file).is_file() else {}
    for name in PACKAGES:
        package = Path(str(importlib.import_module(name).__path__[0]))
        files |= {path.relative_to(package.parent).as_posix(): path.read_bytes() for path in package.rglob("*.py")}
    return hashed(text for name in sorted(files) for text in (name, _text(name, files[name])))


def _saved(config: Config) -> list[str]:
    """Return the files that a saved model, or one of a choice, is read from."""
    if config.model is None or config.model.use != "barograph.regimes:saved":
        return []
    chosen = [] if config.choose is None else config.choose.keys.get("model.file", [])
    return [str(config.model.arguments.get("file", "")), *map(str, chosen if isinstance(chosen, list) else [])]


def _uses(value: Any) -> Iterator[str]:
    """Give what every part in a config says it uses, parts of parts included."""
    if isinstance(value, dict):
        named = (inner for key, inner in value.items() if key.rpartition(".")[2] == "use")
        # A key that is chosen has a list of values.
        found = itertools.chain.from_iterable(of if isinstance(of, list) else [of] for of in named)
        yield from (inner for inner in found if isinstance(inner, str))
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _uses(inner)


def _text(name: str, content: bytes) -> str:
    """Return a source by its lines, however a checkout ends them; of anything else its bytes."""
    return "\n".join(content.decode("latin-1").splitlines()) if name.endswith(".py") else content.hex()


def hashed(texts: Iterable[str]) -> str:
    """Return the SHA-256 of texts, each closed by a zero."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.hexdigest()
