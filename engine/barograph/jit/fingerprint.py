"""Tell what compiled code depends on: the content of everything it can reach, in one short mark.

The walk starts at a kernel's bytecode and follows every global, module attribute, closure cell, default, kernel, class
and `@overload`, however far away, by content: no dates, no file names. Comments, blank lines and docstrings do not
count. Python's, numpy's and numba's own parts are told by their versions. What has no content that can be told (a
dictionary, a class's method, a plain `njit` function) raises `Unfingerprintable`: then nothing is cached, and a run
pays with time, never with yesterday's answer.
"""

from __future__ import annotations

import ast
import builtins
import dis
import enum
import functools
import hashlib
import sys
import sysconfig
import types as python_types
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import llvmlite
import numba
import numpy as np
from numba.core import config
from numba.core.imputils import builtin_registry as lowered
from numba.core.typing.templates import builtin_registry as typed

from barograph.jit import frame, reach, views
from barograph.jit.views import ByAddress

__all__ = ["Marked", "Unfingerprintable", "bindings", "digest", "fingerprint", "layout", "unchanged"]

types: Any = numba.types
# These change with their version, which is in the mark.
_BY_VERSION = ("numpy", "numba", "llvmlite", "scipy")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
_LIBRARY = sysconfig.get_path("stdlib")
# Told by `repr`. No subclasses: a user's float may print what it likes.
_PLAIN = (bool, int, float, complex, str, bytes, slice, type(None), type(...))
# Argument types whose text says all; that of others holds a memory address, or hides a field.
_TOLD = (types.Number, types.Boolean, types.Record, types.UnicodeType, types.NoneType, types.Literal)


class Unfingerprintable(Exception):
    """A value reached by a kernel whose content cannot be told, so that nothing may be cached."""


class Marked:
    """A function that is compiled under a name of its own: the mark is part of its symbol."""

    options: ClassVar[dict[str, Any]]
    py_func: Callable[..., Any]
    door: bool
    mark: str | None = None
    __name__: str


def fingerprint(subject: Marked, seen: dict[Any, int] | None = None) -> str:
    """Digest everything the kernel can reach, and the environment it is compiled for; `seen` receives what it reached.

    Raises `Unfingerprintable` when something it reaches has no content that can be told.
    """
    found = _of_function(subject.py_func, {} if seen is None else seen)
    return digest(repr((_environment(), subject.options, subject.door, found)))


def unchanged(subject: Marked) -> bool:
    """Tell whether what was compiled is still what its mark says: a global may have been set since, in a notebook."""
    seen: dict[Any, int] = {}
    try:
        if fingerprint(subject, seen) != subject.mark:
            return False
        return all(fingerprint(part) == part.mark for part in seen if isinstance(part, Marked) and part.mark)
    except Unfingerprintable:
        return False


def bindings(subject: Marked) -> list[tuple[dict[str, Any], str, Any]]:
    """Return the names that people's own code reaches, as (namespace, name, value): a notebook binds them anew."""
    found: list[tuple[dict[str, Any], str, Any]] = []
    waiting, seen = [subject.py_func], set()
    while waiting:
        function: Any = waiting.pop()
        seen.add(function)
        for kind, name, *attributes in _read(function.__code__)[1]:
            value = _root(function, kind, name)
            if name in function.__globals__ and kind == "LOAD_GLOBAL":
                found.append((function.__globals__, name, value))
            for attribute in attributes:
                if not isinstance(value, python_types.ModuleType):
                    break
                found.append((vars(value), attribute, _part(value, attribute)))
                value = found[-1][2]
            if isinstance(value, Marked) and value.py_func not in seen:
                waiting.append(value.py_func)
    return [(space, name, value) for space, name, value in found if not _house(space)]


def _house(namespace: dict[str, Any]) -> bool:
    """Whether these names are bound once: ours, and those that change with a version only."""
    home = str(namespace.get("__name__", ""))
    return home.partition(".")[0].startswith("barograph") or (home != "__main__" and _by_version(home))


def digest(text: str) -> str:
    """Shorten a text to 24 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def layout(kind: Any) -> object:
    """Tell an argument's type whole: numba holds two NamedTuples equal whose fields were swapped."""
    if isinstance(kind, types.BaseTuple):
        bearer = getattr(kind, "instance_class", tuple)
        # A class that cannot be imported would be stored by value, and come back as another class.
        if bearer is not tuple and (bearer.__module__ == "__main__" or not _leads_home(bearer)):
            raise Unfingerprintable(str(kind))
        names = getattr(kind, "fields", ())
        return (bearer.__module__, bearer.__qualname__, tuple(names), [layout(inner) for inner in kind.types])
    if isinstance(kind, ByAddress):
        return ("lent", layout(kind.of))
    if isinstance(kind, types.Omitted):
        return ("omitted", _of(kind.value, {}))
    if isinstance(kind, types.Array):
        return (str(kind), layout(kind.dtype))
    if isinstance(kind, _TOLD):
        return str(kind)
    raise Unfingerprintable(str(kind))


def _environment() -> tuple[object, ...]:
    target = numba.core.registry.cpu_target.target_context.codegen().magic_tuple()
    switches = (config.BOUNDSCHECK, repr(config.OPT), config.LOOP_VECTORIZE, config.SLP_VECTORIZE, config.USING_SVML)
    return (*_versions(), target, switches, config.DEBUGINFO_DEFAULT)


@functools.cache
def _versions() -> tuple[str, ...]:
    # How the compiler reads what is lent hangs on types, not on names that a walk would meet: the whole modules count;
    # and the frame's, by which doors and parts that are compiled apart agree.
    libraries = (numba.__version__, llvmlite.__version__, np.__version__, version("scipy"))
    return (sys.version, *libraries, *map(_told, (views, reach, frame)))


def _told(module: Any) -> str:
    """Tell all that a module says, but for comments and docstrings."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _of_function(function: Any, seen: dict[Any, int]) -> object:
    if function in seen:
        return ("again", seen[function])
    seen[function] = len(seen)
    home = function.__globals__.get("__name__")
    if home is not None and home not in sys.modules:
        raise Unfingerprintable(f"{function!r}: compiled code that is loaded again imports {home}")
    does, reached, names = _read(function.__code__)
    found = [_follow(_root(function, kind, name), attributes, seen) for kind, name, *attributes in reached]
    given = _of((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()), seen)
    return (home, function.__qualname__, does, found, given, [_behind(name, seen) for name in names])


@functools.cache
def _read(code: Any) -> tuple[str, list[tuple[str, ...]], tuple[str, ...]]:
    """What a function does, without docstring and line numbers; what it reaches for (kind, name, parts); its names."""
    does: list[object] = [code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars, code.co_flags & 0x2F]
    does += [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_exceptiontable.hex()]
    reached: list[tuple[str, ...]] = []
    names, open_ended = code.co_names, False
    for step in dis.get_instructions(code):
        if step.opname == "EXTENDED_ARG":
            continue
        if step.opname == "IMPORT_NAME":
            raise Unfingerprintable(f"{code.co_name} imports {step.argval}")
        if isinstance(step.argval, python_types.CodeType):
            _, inner, more = _read(step.argval)
            reached += [r for r in inner if r[0] == "LOAD_GLOBAL" or r[1] in code.co_freevars]
            names = tuple(dict.fromkeys(names + more))
        begins = step.opname == "LOAD_GLOBAL" or (step.opname == "LOAD_DEREF" and step.argval in code.co_freevars)
        open_ended = begins or (open_ended and step.opname in ("LOAD_ATTR", "LOAD_METHOD"))
        if begins:
            reached.append((step.opname, step.argval))
        elif open_ended:
            reached[-1] += (step.argval,)
        # Constants by content, not by number: a docstring is the first of them.
        does.append((step.opname, _of(code.co_consts[step.arg], {}) if step.opcode in dis.hasconst else step.arg))
    return digest(repr(does)), reached, names


def _root(function: Any, kind: str, name: str) -> Any:
    try:
        if kind == "LOAD_DEREF":
            return function.__closure__[function.__code__.co_freevars.index(name)].cell_contents
        return function.__globals__[name] if name in function.__globals__ else getattr(builtins, name)
    except (AttributeError, ValueError) as missing:
        raise Unfingerprintable(f"{function!r}: {name} is not defined") from missing


def _follow(value: Any, attributes: list[str], seen: dict[Any, int]) -> object:
    """Tell a value by content; what hangs on a module, part by part; what hangs on a versioned one, by its path."""
    for k, attribute in enumerate(attributes):
        if not isinstance(value, python_types.ModuleType):
            break
        if _by_version(value.__name__):
            return (value.__name__, _behind(functools.reduce(_part, attributes[k:], value), seen))
        value = _part(value, attribute)
    return _of(value, seen)


def _part(value: Any, attribute: str) -> Any:
    return getattr(value, attribute, None) if isinstance(value, python_types.ModuleType) else value


def _of(value: Any, seen: dict[Any, int]) -> object:  # noqa: PLR0911
    if isinstance(value, Marked):
        seen.setdefault(value, len(seen))
        return ("kernel", value.door, _of_function(value.py_func, seen))
    if type(value) in _PLAIN:
        return repr(value)
    if isinstance(value, python_types.CodeType):
        return (value.co_name, _read(value)[0])
    if type(value) is frozenset:
        return sorted(repr(_of(item, seen)) for item in value)
    if isinstance(value, tuple):
        return (_of_class(type(value), seen), [_of(item, seen) for item in value])
    if isinstance(value, enum.Enum):
        return (_of_class(type(value), seen), value.name)
    if type(value) is np.ndarray or isinstance(value, np.generic | np.dtype):
        return _of_numpy(value)
    if isinstance(value, types.Type):
        return layout(value)
    return _of_named(value, seen)


def _of_numpy(value: Any) -> object:
    kind = value if isinstance(value, np.dtype) else value.dtype
    if kind.hasobject:
        raise Unfingerprintable(repr(kind))
    if kind is value:
        return ("dtype", repr(kind))
    return (repr(kind), value.shape, value.strides, value.flags.aligned, hashlib.sha256(value.tobytes()).hexdigest())


def _of_named(value: Any, seen: dict[Any, int]) -> object:
    if isinstance(value, python_types.ModuleType) and _by_version(value.__name__):
        return ("module", value.__name__)
    if _leads_home(value) and _by_version(value.__module__):
        return (value.__module__, value.__qualname__, _behind(value, seen))
    if isinstance(value, type):
        return _of_class(value, seen)
    # The symbol of a plain function carries no fingerprint, so that a namesake could be linked in its place.
    if isinstance(value, python_types.FunctionType) and _leads_home(value):
        begun = value in seen
        return (_of_function(value, seen), [] if begun else _behind(value, seen))
    behind = _behind(value, seen)
    if not behind:
        raise Unfingerprintable(repr(value))
    return behind


def _of_class(value: Any, seen: dict[Any, int]) -> object:
    if value in (tuple, ByAddress):
        return value.__qualname__
    bears = (value.__module__, value.__qualname__)
    if issubclass(value, tuple) and hasattr(value, "_fields"):
        return (bears, value._fields, _of(tuple(value._field_defaults.items()), seen))
    if issubclass(value, enum.Enum):
        return (bears, [(name, _of(member.value, seen)) for name, member in value.__members__.items()])
    if issubclass(value, BaseException) and value.__module__ != "__main__" and _leads_home(value):
        return bears
    raise Unfingerprintable(repr(value))


def _leads_home(value: Any) -> bool:
    """Whether the name that a value bears leads back to it: no closure, no copy, no namesake."""
    home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(home, str) or not isinstance(name, str) or home not in sys.modules:
        return False
    found: Any = sys.modules[home]
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _by_version(name: str) -> bool:
    """Whether a module changes only with a version that is in the key: a user's own `statistics.py` does not."""
    top = name.partition(".")[0]
    # What memory is reached by is told as a whole (`_versions`): a walk would meet the table of plain Python's parts.
    if name == reach.__name__ or top in _BY_VERSION or top in sys.builtin_module_names:
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    return top in sys.stdlib_module_names and file is not None and file.startswith(_LIBRARY)


def _behind(name: Any, seen: dict[Any, int]) -> list[object]:
    """What numba's extensions put behind a function, or a method's name: a stub's own body says nothing of it."""
    known = _extensions(len(typed.globals), len(typed.attributes), len(lowered.functions))
    found = [rest for key, *rest in known if key is name or (type(name) is str and key == name)]
    return [_of_function(taught, seen) if inline else _of(taught, seen) for taught, inline in found]


@functools.cache
def _extensions(*known: int) -> list[tuple[Any, Any, bool]]:
    found = [(key, *_taught(template)) for key, kind in typed.globals for template in getattr(kind, "templates", ())]
    found += [(template._attr, *_taught(template)) for template in typed.attributes if hasattr(template, "_attr")]
    found += [(key, code, isinstance(code, python_types.FunctionType)) for code, key, _ in lowered.functions]
    return [entry for entry in found if not (_by_version(_home(entry[0])) and _by_version(_home(entry[1])))]


def _taught(template: Any) -> tuple[Any, bool]:
    """What a template knows, and whether it is written into its caller; an overload is a function of its own."""
    generic: Any = getattr(template, "generic", None)
    if hasattr(template, "_overload_func"):
        # `register_jitable` wraps a function in an overload of the compiler's own.
        return template._overload_func, _by_version(_home(template._overload_func))
    if hasattr(template, "_definition_func"):
        return template._definition_func, True
    if getattr(getattr(generic, "__code__", None), "co_freevars", ()) in (("typer",), ("typing_func",)):
        return generic.__closure__[0].cell_contents, True
    return template, False


def _home(value: Any) -> str:
    # By the globals: `functools.wraps` and generated code put what they like into `__module__`.
    home = getattr(value, "__globals__", {}).get("__name__") or getattr(value, "__module__", None)
    return home if isinstance(home, str) else "builtins"
