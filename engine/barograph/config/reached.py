"""Which files of a user's a config reaches: by what they say they import, whether that has run yet or not.

What has run so far is no measure: an import inside a function runs later, and the hash of a deployment is taken before
its first bar and again after its last. What was imported by a name that only a run knows is added.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

from barograph.config.modules import PACKAGES, Beside, Source, beside, found

__all__ = ["reached"]

# Each file by its place: the package that its own imports begin at, and what is in it.
_Files = dict[str, tuple[str, bytes]]
_LIBRARIES: Final = ("site-packages", "dist-packages")


def reached(modules: Iterable[str], folder: Path) -> dict[str, bytes]:
    """Map every file that these modules reach, themselves included, to what is in it; keys are paths from its root.

    That is what lies beside the config, and code on `sys.path` that is neither Python's own nor installed; of a module
    that is named here all of its package. What was imported already counts as it was when it ran.
    """
    place, files, waiting, seen = beside(folder), dict[str, bytes](), list(modules), set[str]()
    named = {name.partition(".")[0] for name in waiting}
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        # Of what lies elsewhere a package is taken as a whole, so that its first name says enough.
        own = place.holds(top)
        name = name if own else top
        if not all(name.split(".")) or name in seen:
            continue
        seen.add(name)
        for path, (package, content) in (_beside(name, place) if own else _elsewhere(top, top in named)).items():
            if path not in files:
                files[path] = content
                waiting += _imported(content, package) if path.endswith(".py") else ()
        # Who imports `pkg.sub` has run `pkg`, and what that asked for.
        waiting.append(name.rpartition(".")[0])
        waiting += (place.plain(known) for known in place.imports.get(place.called(name), ()))
    return files


def _beside(name: str, place: Beside) -> _Files:
    """Return a module of the folder and the packages it is in, each with the package that its own imports begin at."""
    files: _Files = {}
    places, whole = [str(place.path)], ""
    for step in name.split("."):
        whole = f"{whole}.{step}" if whole else step
        spec = found(step, *places)
        if spec is None:
            break
        places = list(spec.submodule_search_locations or ())
        if spec.origin is not None:
            package = whole if places else whole.rpartition(".")[0]
            files[Path(spec.origin).relative_to(place.path).as_posix()] = (package, _content(spec, whole, place))
    return files


def _content(spec: ModuleSpec, name: str, place: Beside) -> bytes:
    loader = getattr(getattr(sys.modules.get(f"{place.root}.{name}"), "__spec__", None), "loader", None)
    if isinstance(loader, Source) and loader.ran is not None:
        return loader.ran
    return Path(str(spec.origin)).read_bytes()


def _elsewhere(top: str, named: bool) -> _Files:
    """Return the files of a package on `sys.path`; of an installed one only where a config names it."""
    if top in PACKAGES or top in sys.builtin_module_names:
        return {}
    spec = getattr(sys.modules[top], "__spec__", None) if top in sys.modules else importlib.util.find_spec(top)
    if spec is None or (not named and _installed(spec)):
        return {}
    if spec.submodule_search_locations is None:
        origin = Path(str(spec.origin))
        return {origin.name: ("", origin.read_bytes())} if origin.is_file() else {}
    files: _Files = {}
    for root in map(Path, spec.submodule_search_locations):
        for path in sorted(root.rglob("*.py")):
            label = path.relative_to(root.parent)
            files[label.as_posix()] = (".".join(label.parent.parts), path.read_bytes())
    return files


def _installed(spec: ModuleSpec) -> bool:
    origin = Path(str(spec.origin or next(iter(spec.submodule_search_locations or ()), "")))
    library = any(origin.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
    return library or spec.origin in ("built-in", "frozen") or any(part in _LIBRARIES for part in origin.parts)


@functools.lru_cache(maxsize=10_000)
def _imported(source: bytes, package: str) -> tuple[str, ...]:
    """Return the names that a source says it imports, anywhere in it; what is no module among them is never found.

    Parsing the 300 files of a package takes a second, and a service asks again whenever it reads its state back.
    """
    with warnings.catch_warnings():
        # Whoever imports it is warned of an invalid escape; nobody needs to be twice.
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return ()
    return tuple(name for node in ast.walk(tree) for name in _named(node, package))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    """Give the names that one node of a source imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node.module or "", package, node.level)
        yield from (base, *(f"{base}.{alias.name}" for alias in node.names)) if base else ()
    elif isinstance(node, ast.Call):
        yield from _called(node, package)


def _called(node: ast.Call, package: str) -> Iterator[str]:
    """Give the name that a call imports, where it stands there."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = [a.value if isinstance(a, ast.Constant) else None for a in node.args]
    if name in ("import_module", "__import__") and given and isinstance(given[0], str):
        plain = given[0].lstrip(".")
        within = given[1] if len(given) > 1 and isinstance(given[1], str) else package
        yield _absolute(plain, within, len(given[0]) - len(plain))


def _absolute(module: str, package: str, level: int) -> str:
    """Return a whole name, or nothing for one that leads out of its package."""
    steps = package.split(".") if package else []
    if level > len(steps):
        return ""
    above = steps[: len(steps) - level + 1] if level else []
    return ".".join([*above, *filter(None, [module])])
