"""A user's modules, loaded from the folder of their config under private names: one namespace a folder.

`mine.py` of `/a/b` is `barograph.config.modules.at_2fa_2fb.mine` to the process, so that two folders may both
have one, and a file called like a library is never what the engine, or anybody else, imports: `sys.path` stays as it
is. The name says where the file lies, so that another process (a worker that unpickles a function) finds it too.
Inside the folder names are as in Python with the folder at the front of `sys.path`. The `import` statement asks the
builtins of the module it stands in, wherever and whenever it runs; each module of a folder has builtins of its own,
in which `__import__` looks into the folder first.

Refused: one `builtins.__import__` for the process (every import of every library pays, and hooks of others clash);
rewriting `import` in the syntax tree (it binds other names, and does not see code that is made at run time); a finder
that looks at who imports (what stands in `sys.modules` never reaches a finder, and `pkg.sub` needs a `pkg` there).
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    BuiltinImporter,
    ExtensionFileLoader,
    FileFinder,
    FrozenImporter,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from barograph.errors import PRIVATE

__all__ = ["PACKAGES", "Beside", "Source", "beside", "found", "load"]

PACKAGES: Final = ("barograph", "barograph_models", "barograph_strategies", "barograph_adapters")
"""What ships: these names always mean what is installed."""


def load(name: str, folder: Path) -> ModuleType:
    """Import a module for a config: what lies beside it comes before what is installed.

    Raises what the import raises, with private names in it (`errors.as_written` takes them out).
    """
    place = beside(folder)
    place.look()
    return importlib.import_module(place.called(name))


def beside(folder: Path) -> Beside:
    """Return the namespace of a folder, the same one however the folder is spelled."""
    path = folder.resolve()
    root = PRIVATE + re.sub(rb"[^A-Za-z0-9]", lambda c: b"_%02x" % ord(c[0]), os.fsencode(path)).decode()
    return _places.setdefault(root, Beside(root, path))


def _named(name: str) -> Beside:
    """Return the namespace that a private name is in."""
    spelled = name.removeprefix(PRIVATE).partition(".")[0].encode()
    return beside(Path(os.fsdecode(re.sub(rb"_(..)", lambda c: bytes.fromhex(c[1].decode()), spelled))))


class Beside:
    """The modules of one folder: which there are, which of them are loaded, and who imported whom."""

    def __init__(self, root: str, path: Path) -> None:
        self.root, self.path = root, path
        self.imports: dict[str, set[str]] = {}
        self._elsewhere: set[str] = set()

    def plain(self, name: str) -> str:
        """Return what this folder calls a module; of any other the name that it has."""
        return name.removeprefix(f"{self.root}.")

    def called(self, name: str) -> str:
        """Return what the process calls a module that this folder calls `name`."""
        plain = self.plain(name)
        return f"{self.root}.{plain}" if self.holds(plain.partition(".")[0]) else name

    def holds(self, top: str) -> bool:
        """Whether a name without a dot is a module of this folder; built-in ones and those that ship never are."""
        if f"{self.root}.{top}" in sys.modules:
            return True
        if top not in self._elsewhere and not self._has(top):
            # An import inside a step runs at every bar: no look at the disk each time.
            self._elsewhere.add(top)
        return top not in self._elsewhere

    def _has(self, top: str) -> bool:
        if not top or top in PACKAGES or top in ("__future__", "__main__"):
            return False
        if BuiltinImporter.find_spec(top) is not None or FrozenImporter.find_spec(top) is not None:
            return False
        spec = found(top, str(self.path))
        # As in Python: a folder without `__init__.py` is a package where nothing else bears its name.
        return spec is not None and (spec.loader is not None or not _installed(top))

    def loaded(self) -> Iterator[tuple[str, ModuleType]]:
        """Give the modules that are loaded, by the names the folder calls them."""
        for name, module in list(sys.modules.items()):
            if self.plain(name) != name:
                yield self.plain(name), module

    def look(self) -> None:
        """See what lies in the folder by now."""
        self._elsewhere.clear()

    def refresh(self) -> None:
        """Forget all that is loaded, to be read again, when any file of it is not what it was.

        Called where a config is read or built, nowhere else: what runs keeps the code it began with.
        """
        if any(_edited(module) for _, module in self.loaded()):
            for name, _ in self.loaded():
                del sys.modules[f"{self.root}.{name}"]
            del sys.modules[self.root]
            self.imports.clear()

    def note(self, importer: str, name: str, items: tuple[str, ...]) -> None:
        """Remember that one module imported another, and those of its submodules that were asked for."""
        given = (*items, *getattr(sys.modules.get(name), "__all__", ())) if "*" in items else items
        below = {f"{name}.{item}" for item in given}
        self.imports.setdefault(importer, set()).update({name} | (below & sys.modules.keys()))


_places: Final[dict[str, Beside]] = {}

# A module with a path is a package to Python, which looks for its modules by the finder below.
__path__: list[str] = []


class Source(SourceFileLoader):
    """Runs a module with builtins of its own, and remembers what it ran.

    No `.pyc`: it goes by dates, and what is hashed into a manifest must be what was run.
    """

    ran: bytes | None = None

    def get_code(self, fullname: str) -> Any:
        """Compile the file as it lies there now."""
        self.ran = self.get_data(self.path)
        return self.source_to_code(self.ran, self.path)

    def exec_module(self, module: ModuleType) -> None:
        """Run it; its imports begin in its own folder."""
        begin = _Import(_named(module.__name__), module.__name__)
        vars(module)["__builtins__"] = vars(builtins) | {"__import__": begin}
        super().exec_module(module)


class _Import:
    """What `import` means in one module."""

    def __init__(self, place: Beside, importer: str) -> None:
        self.place, self.importer = place, importer

    def __call__(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> ModuleType:
        if level:
            return self._relative(name, globals, fromlist, level)
        wanted = self.place.called(name)
        module = builtins.__import__(wanted, globals, locals, fromlist or (), 0)
        inside = self.place.plain(wanted)
        if inside != wanted:
            self.place.note(self.importer, wanted, tuple(fromlist or ()))
            return module if fromlist else sys.modules[f"{self.place.root}.{inside.partition('.')[0]}"]
        return _Importlib(self) if module is importlib else module

    def _relative(self, name: str, globals: Any, fromlist: Any, level: int) -> ModuleType:
        """Import from the module's own package; the folder itself is none, as in Python."""
        package = str((globals or {}).get("__package__"))
        inside = [] if package == self.place.root else self.place.plain(package).split(".")
        if level > len(inside):
            known = "beyond top-level package" if inside else "with no known parent package"
            raise ImportError(f"attempted relative import {known}")
        module = builtins.__import__(name, globals, None, fromlist or (), level)
        above = ".".join([self.place.root, *inside[: len(inside) - level + 1]])
        self.place.note(self.importer, f"{above}.{name}" if name else above, tuple(fromlist or ()))
        return module

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module by a name that is made at run time."""
        if name.startswith(".") and package:
            name = importlib.util.resolve_name(name, "" if package == self.place.root else self.place.plain(package))
        wanted = self.place.called(name)
        module = importlib.import_module(wanted, package)
        if self.place.plain(wanted) != wanted:
            self.place.note(self.importer, wanted, ())
        return _Importlib(self) if module is importlib else module


class _Importlib(ModuleType):
    """Python's `importlib`, but that `import_module` begins in the folder of whoever imported it."""

    def __init__(self, begin: _Import) -> None:
        super().__init__("importlib")
        vars(self).update(vars(importlib) | {"import_module": begin.import_module, "__import__": begin})

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib, name)


class _Finder:
    """Finds what has a private name, and nothing else."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """Look where the package above says, or, for the first of these, where the name does."""
        if not name.startswith(PRIVATE):
            return None
        return found(name, *(path or ())) if "." in name.removeprefix(PRIVATE) else _namespace(_named(name))


def found(name: str, *places: str) -> ModuleSpec | None:
    """Return where a module lies, in the first of these folders that has it."""
    kinds = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (Source, SOURCE_SUFFIXES))
    # A finder of its own each time: one that is kept may not see a file that was written a moment ago.
    specs = (FileFinder(place, *kinds).find_spec(name) for place in places)
    return next((spec for spec in specs if spec is not None), None)


def _installed(top: str) -> bool:
    return top in sys.modules or importlib.util.find_spec(top) is not None


def _namespace(place: Beside) -> ModuleSpec:
    spec = ModuleSpec(place.root, None, is_package=True)
    spec.submodule_search_locations = [str(place.path)]
    return spec


def _edited(module: ModuleType) -> bool:
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    if not isinstance(loader, Source):
        return False
    try:
        return Path(loader.path).read_bytes() != loader.ran
    except OSError:
        return True


sys.meta_path.insert(0, _Finder())
