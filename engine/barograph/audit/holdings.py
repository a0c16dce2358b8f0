"""What the parts of a machine reach and do not remember as state: by part, object and line.

A rerun on other bars says nothing of knowledge that did not come through the bars. So the walk starts at every part's
functions and params and follows globals, modules, closures, defaults, attributes, partials and caches, as far as
people's own code goes; of ours and of libraries' only what was handed to them counts. A table found there is told:
nobody can know what made it. Constants are not: up to `SMALL` numbers, or one an asset, in one object.
"""

from __future__ import annotations

import builtins
import datetime
import dis
import functools
import gc
import hashlib
import importlib.util
import io
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set, Sized
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.data.history import History
from barograph.errors import PRIVATE, as_written
from barograph.loop.machine import Machine
from barograph.loop.result import Result
from barograph.loop.wiring import features_of
from barograph.loop.world import World
from barograph.regimes.fitted import Fitted
from barograph.types import Filtered, Smoothed

__all__ = ["SMALL", "Held", "Holdings", "held", "is_peoples"]

SMALL: Final = 16
"""So many numbers in one object are constants; more are a table."""
_LONG: Final = 200
_DEEP: Final = 8
# What a run left, or was made from a whole sample: told whatever its size.
_KNOWING: Final = (History, Fitted, Result, World, Smoothed, Filtered)
_NUMBER: Final = (bool, int, float, complex, np.generic, type(None))
_TEXT: Final = (str, bytes)
# As library subclass them: a pandas Timestamp is a datetime.
_SCALARS: Final = (datetime.date, datetime.timedelta, np.dtype)
_TABLES: Final = (list, tuple, Set, Mapping, deque, bytearray, memoryview)
_DYNAMIC: Final = {"globals", "vars", "eval", "exec", "modules", "import_module", "__import__", "__dict__"}
# Objects that hold no numbers of a market: moments, patterns, paths, locks, what a compiler knows.
_HARMLESS: Final = ("datetime", "decimal", "fractions", "re", "pathlib", "zoneinfo", "_thread", "threading", "logging",
                    "enum", "typing", "types", "numba", "ctypes", "_ctypes", "builtins", "abc", "weakref")  # fmt: skip
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# Of another environment on the path, or of the system.
_INSTALLED: Final = {"site-packages", "dist-packages"}
_OURS: Final = ("barograph", "barograph_models", "barograph_strategies", "barograph_adapters")


class Held(NamedTuple):
    """An object that a part reaches: what it is, and where in people's code; `mark` tells its content in short.

    `table` says that it is more than a constant; "" as a mark says that its content cannot be told.
    """

    part: str
    name: str
    what: str
    where: str
    table: bool
    mark: str


class Holdings(NamedTuple):
    """All that a machine's parts hold, and the code of each: whoever opens a file is known by it."""

    objects: tuple[Held, ...]
    codes: dict[str, set[types.CodeType]]


def held(machine: Machine, assets: int = 1, rows: int | None = None) -> Holdings:
    """Walk through every part of a machine; marks are of the first `rows` rows of a table, or of all.

    >>> import barograph as bg
    >>> table = list(range(100))
    >>> def rule(state, bars, belief, portfolio, params):
    ...     return state, bg.Target(table[int(params)])
    >>> found = held(bg.Machine(strategy=bg.strategy(rule, 3)))
    >>> [(one.part, one.what) for one in found.objects if one.table]
    [('strategy rule', 'list of 100')]
    """
    walks, gone = [], set[int]()
    for part, functions, params in _parts(machine):
        walk = _Walk(part, max(SMALL, assets), rows)
        # Candidates of a choice share their code: it is gone through once.
        for function in (one for one in functions if id(one) not in gone):
            walk.follow(function, getattr(function, "__name__", part), "")
        walk.follow(params, "itself" if isinstance(params, Fitted) else "params", _begins(functions))
        walks.append(walk)
        gone |= set(map(id, functions)) if machine.choose is not None else set()
    objects = tuple(one for walk in walks for one in walk.found.values())
    return Holdings(objects, {walk.part: walk.codes for walk in walks})


@functools.cache
def is_peoples(file: str) -> bool:
    """Tell whether a file of code is somebody's own: not ours, not Python's, not installed.

    >>> is_peoples(np.__file__), is_peoples(__file__), is_peoples("mine.py")
    (False, False, True)
    """
    path, inside = Path(file), (*_LIBRARIES, *_roots())
    installed = any(path.is_relative_to(root) for root in inside) or bool(_INSTALLED & set(path.parts))
    return not file.startswith("<frozen") and not installed


@functools.cache
def _roots() -> tuple[str, ...]:
    specs = (importlib.util.find_spec(name) for name in _OURS)
    return tuple(place for spec in specs if spec is not None for place in spec.submodule_search_locations or ())


def _parts(machine: Machine) -> Iterator[tuple[str, Sequence[Any], Any]]:
    """Give each part's name, functions and params; of a machine that chooses those of every candidate."""
    if machine.choose is not None:
        for number, candidate in enumerate(machine.choose.candidates):
            for part, functions, params in _parts(candidate):
                yield f"{part} ({machine.choose.told(number)})", functions, params
        return
    for feature in (*features_of(machine), *machine.strategy.features):
        yield f"feature {feature.name}", (feature.step, feature.init), feature.params
    model, chosen, plan = machine.model, machine.filter, machine.strategy
    if isinstance(model, Fitted):
        yield f"model {model.name}", (model.family.step, model.family.init), model
    elif model is not None:
        yield f"model {model.name}", [model.learn], ()
    if chosen is not None:
        yield f"filter {chosen.name}", (chosen.step, chosen.init), chosen.params
    yield f"strategy {plan.name}", (plan.step, plan.init, *((plan.bind,) if plan.bind else ())), plan.params


def _begins(functions: Sequence[Any]) -> str:
    """Return where a part's step stands; of ours it is enough to know its name."""
    code = getattr(getattr(functions[0], "py_func", functions[0]), "__code__", None)
    return _spot(code, code.co_firstlineno) if code is not None and is_peoples(code.co_filename) else ""


def _spot(code: types.CodeType, line: int | None) -> str:
    return f"{Path(code.co_filename).name}, line {line or code.co_firstlineno}"


class _Walk:
    """What one part reaches."""

    def __init__(self, part: str, limit: int, rows: int | None) -> None:
        self.part, self.limit, self.rows = part, limit, rows
        self.found: dict[str, Held] = {}
        self.codes: set[types.CodeType] = set()
        self._seen: dict[int, Any] = {}

    def follow(self, value: Any, name: str, where: str, depth: int = 0) -> None:
        """Tell a value, or go on to what it is made of; what cannot even be looked at is told as such."""
        if isinstance(value, _NUMBER):
            self._note(value, name, where, isinstance(value, int) and value.bit_length() > 64 * self.limit)
        elif isinstance(value, _TEXT):
            self._note(value, name, where, len(value) > _LONG)
        elif id(value) not in self._seen:
            self._seen[id(value)] = value
            try:
                self._into(value, name, where, depth)
            except Exception as error:
                what = f"{type(value).__name__}, at which {type(error).__name__} is raised"
                self.found[as_written(name)] = Held(self.part, as_written(name), what, where, True, "")

    def _into(self, value: Any, name: str, where: str, depth: int) -> None:
        if isinstance(value, types.FunctionType):
            self._function(value, where)
        elif isinstance(value, types.ModuleType):
            self._module(value, where)
        elif isinstance(value, type):
            self._class(value, where)
        elif callable(value) and self._callable(value, name, where, depth):
            pass
        elif isinstance(value, _KNOWING):
            self._note(value, name, where, True)
        elif hasattr(value, "__array__"):
            self._note(value, name, where, np.size(value) > self.limit)
        elif isinstance(value, _TABLES):
            self._table(value, name, where, depth)
        else:
            self._object(value, name, where, depth)

    def _note(self, value: Any, name: str, where: str, table: bool) -> None:
        one = Held(self.part, as_written(name), _what(value), where, table, _mark(value, self.rows))
        # Two closures of one factory have variables of one name.
        known, again = self.found.setdefault(one.name, one), 2
        while known.mark != one.mark:
            one = one._replace(name=f"{as_written(name)} ({again})")
            known, again = self.found.setdefault(one.name, one), again + 1

    def _callable(self, value: Any, name: str, where: str, depth: int) -> bool:
        """Go through what wraps a function; an object that can be called is left to others."""
        inner = getattr(value, "py_func", None)
        if inner is not None:
            self.follow(inner, name, where, depth)
        elif isinstance(value, functools.partial):
            self.follow(value.func, name, where, depth)
            named = [*enumerate(value.args), *value.keywords.items()]
            for key, given in named:
                self.follow(given, f"argument {key} of {_called(value.func)}", where, depth + 1)
        elif hasattr(value, "cache_info") and hasattr(value, "__wrapped__"):
            self.follow(value.__wrapped__, name, where, depth)
            self.follow(_remembered(value), f"the cache of {_called(value)}", where, depth + 1)
        elif hasattr(value, "__self__"):
            # A method: of an object, or of a table such as `LABELS.__getitem__`.
            if hasattr(value, "__func__"):
                self.follow(value.__func__, name, where, depth)
            if not isinstance(value.__self__, types.ModuleType):
                self.follow(value.__self__, f"what {_called(value)} belongs to", where, depth + 1)
        else:
            return False
        return True

    def _function(self, function: types.FunctionType, where: str) -> None:
        code, own = function.__code__, is_peoples(function.__code__.co_filename)
        if own:
            self.codes.add(code)
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            place = _spot(code, _line_of(code, variable)) if own else where
            with_content = _content(cell)
            if with_content:
                self.follow(with_content[0], f"{variable} in the closure of {function.__qualname__}", place)
        for variable, value in _defaults(function):
            place = _spot(code, None) if own else where
            self.follow(value, f"default {variable} of {function.__qualname__}", place)
        if own:
            self._body(function, code)

    def _body(self, function: types.FunctionType, code: types.CodeType) -> None:
        """Follow what the code of a function, and of those inside it, reads by name."""
        self.codes.add(code)
        home = str(function.__globals__.get("__name__"))
        for names, line in _reads(code):
            self._named(function.__globals__, home, names, _spot(code, line))
        for names, line in _imports(code, function.__globals__):
            module = sys.modules.get(names[0])
            if module is not None:
                self._attributes(module, names[0], names[1:], _spot(code, line))
        if _DYNAMIC & set(code.co_names):
            self._anything(function, code)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._body(function, constant)
            elif isinstance(constant, tuple | frozenset) or _is_long(constant, code):
                self.follow(constant, f"a constant in {code.co_qualname}", _spot(code, None))

    def _named(self, space: dict[str, Any], home: str, names: tuple[str, ...], where: str) -> None:
        home = home if names[0] in space else "builtins"
        value = space.get(names[0], getattr(builtins, names[0], None))
        if value is not None:
            self._attributes(value, f"{home}.{names[0]}", names[1:], where)

    def _attributes(self, value: Any, name: str, names: tuple[str, ...], where: str) -> None:
        """Follow attributes as long as they are those of modules."""
        for attribute in names:
            if not isinstance(value, types.ModuleType):
                break
            name = f"{value.__name__}.{attribute}"
            value = getattr(value, attribute, None)
        self.follow(value, name, where)

    def _anything(self, function: types.FunctionType, code: types.CodeType) -> None:
        """Follow all that a function may find by a name made at run time: its module, and those that it names."""
        where = _spot(code, None)
        homes = {str(function.__globals__.get("__name__")), *(c for c in code.co_consts if isinstance(c, str))}
        for name in homes:
            module = sys.modules.get(_private(name, function.__globals__))
            if isinstance(module, types.ModuleType) and _peoples_module(module):
                self._seen.pop(id(module), None)
                self._module(module, where)

    def _module(self, module: types.ModuleType, where: str) -> None:
        if _peoples_module(module):
            for name, value in list(vars(module).items()):
                if not name.startswith("__"):
                    self.follow(value, f"{module.__name__}.{name}", where)

    def _class(self, kind: type, where: str) -> None:
        for base in kind.__mro__:
            home = sys.modules.get(base.__module__)
            if home is None or not _peoples_module(home):
                continue
            for name, value in vars(base).items():
                inner = getattr(value, "fget", None) or getattr(value, "__func__", value)
                if not name.startswith("__") or callable(inner):
                    self.follow(inner, f"{base.__module__}.{base.__qualname__}.{name}", where)

    def _table(self, value: Any, name: str, where: str, depth: int) -> None:
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            if "transition" in value._fields:
                # The shape of a fitted model's parameters, whatever their number.
                self._note(value, name, where, True)
                return
            for field, inner in zip(value._fields, value, strict=True):
                self.follow(inner, f"{name}.{field}", where, depth + 1)
            return
        large = _count(value, self.limit) > self.limit
        self._note(value, name, where, large)
        if not large and depth < _DEEP and isinstance(value, Mapping | Sequence | Set | deque):
            for key, inner in _items(value):
                if not isinstance(inner, (*_NUMBER, *_TEXT)):
                    self.follow(inner, f"{name}[{key!r}]", where, depth + 1)

    def _object(self, value: Any, name: str, where: str, depth: int) -> None:
        kind = type(value)
        if isinstance(value, io.IOBase) or hasattr(value, "__next__"):
            self._note(value, name, where, True)
        elif kind.__module__.partition(".")[0] in _HARMLESS or isinstance(value, _SCALARS):
            return
        elif isinstance(value, Sized) and len(value) > self.limit:
            self._note(value, name, where, True)
        elif _fields(value) is not None:
            self.follow(kind, kind.__qualname__, where, depth)
            for field, inner in (_fields(value) or {}).items() if depth < _DEEP else ():
                self.follow(inner, f"{name}.{field}", where, depth + 1)
        elif kind.__module__.partition(".")[0] not in _OURS:
            self._note(value, name, where, True)


def _peoples_module(module: types.ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return module.__name__ == "__main__" or (file is not None and is_peoples(file))


def _called(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _content(cell: Any) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code, given = function.__code__, function.__defaults__ or ()
    yield from zip(code.co_varnames[code.co_argcount - len(given) : code.co_argcount], given, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _reads(code: types.CodeType) -> Iterator[tuple[tuple[str, ...], int | None]]:
    """Give each global that is read, with the attributes that are read of it at once, and the line."""
    chain: tuple[str, ...] = ()
    line = None
    for step in dis.get_instructions(code):
        begins = step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        if chain and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chain += (step.argval,)
            continue
        if chain:
            yield chain, line
        chain = (step.argval,) if begins else ()
        line = step.positions.lineno if step.positions is not None else None
    if chain:
        yield chain, line


def _imports(code: types.CodeType, space: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], int | None]]:
    """Give each module that is imported inside a function, with what is taken of it; by all its names where as a whole.

    Where the module goes under a name of the function's own, any name of the code may be one of the module's.
    """
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for k, step in enumerate(steps):
        if step.opname != "IMPORT_NAME":
            continue
        line = step.positions.lineno if step.positions is not None else None
        level = _constant(steps[k - 2], code)
        name = _private(_absolute(str(step.argval), int(level) if isinstance(level, int) else 0, space), space)
        names = [s.argval for s in steps[k + 1 :] if s.opname in ("IMPORT_FROM", "LOAD_ATTR", "LOAD_METHOD")]
        yield from (((name, found), line) for found in names if hasattr(sys.modules.get(name), found))


def _constant(step: Any, code: types.CodeType) -> Any:
    return code.co_consts[step.arg] if step.opcode in dis.hasconst else None


def _absolute(name: str, level: int, space: dict[str, Any]) -> str:
    if not level:
        return name
    try:
        return importlib.util.resolve_name("." * level + name, space.get("__package__"))
    except ImportError:
        return name


def _private(name: str, space: dict[str, Any]) -> str:
    """Return the name that a module of the same folder has to the process."""
    home = str(space.get("__name__"))
    if home.startswith(PRIVATE):
        beside = f"{PRIVATE}{home.removeprefix(PRIVATE).partition('.')[0]}.{name}"
        return beside if beside in sys.modules else name
    return name


def _line_of(code: types.CodeType, variable: str) -> int | None:
    """Return the first line that reads a closure's variable, in the function or in one inside it."""
    for step in dis.get_instructions(code):
        if step.argval == variable and step.opname.startswith(("LOAD_DEREF", "LOAD_CLASSDEREF")):
            return step.positions.lineno if step.positions is not None else None
    inner = (
        _line_of(c, variable) for c in code.co_consts if isinstance(c, types.CodeType) and variable in c.co_freevars
    )
    return next(inner, None)


def _is_long(constant: Any, code: types.CodeType) -> bool:
    """Whether a text or number in a function is a table; what stands first may be its docstring."""
    if isinstance(constant, _TEXT):
        return len(constant) > _LONG and constant is not code.co_consts[0]
    return isinstance(constant, int) and constant.bit_length() > 64 * SMALL


def _remembered(cached: Any) -> list[Any]:
    """Return the answers that a function's cache holds."""
    if cached.cache_info().currsize == 0:
        return []
    # A bounded cache visits its keys and answers itself; of an unbounded one they are those of its dictionary.
    own = (vars(cached), cached.__wrapped__)
    reached = [ref for ref in gc.get_referents(cached) if not any(ref is one for one in own)]
    store = next(ref for ref in reached if type(ref) is dict)
    found = [*store.values(), *(ref for ref in reached if ref is not store)]
    return [value for value in found if type(value).__name__ not in ("type", "_lru_list_elem")]


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items() if isinstance(value, Mapping) else enumerate(value))


def _fields(value: Any) -> dict[str, Any] | None:
    """Return an object's attributes, or None where it has no place for any."""
    slots = [s for kind in type(value).__mro__ for s in _slots(kind) if hasattr(value, s)]
    if not slots and not hasattr(value, "__dict__"):
        return None
    return {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}


def _slots(kind: type) -> tuple[str, ...]:
    found = kind.__dict__.get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


def _count(value: Any, limit: int, depth: int = 0) -> int:
    """Count the numbers and words of a plain table, as far as the limit."""
    if isinstance(value, bytearray | memoryview):
        return len(value)
    if depth > _DEEP:
        return 0
    n = 0
    for inner in value.values() if isinstance(value, Mapping) else value:
        if isinstance(inner, _TABLES) and not hasattr(inner, "_fields"):
            n += _count(inner, limit, depth + 1)
        elif isinstance(inner, (*_NUMBER, *_TEXT)):
            n += 1
        elif hasattr(inner, "__array__"):
            n += int(np.size(inner))
        if n > limit:
            break
    return n


def _what(value: Any) -> str:
    """Say in words what an object is."""
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if isinstance(value, Fitted):
        return "a fitted model"
    if isinstance(value, tuple) and "transition" in getattr(value, "_fields", ()):
        return f"{kind}, the parameters of a fitted model"
    if isinstance(value, np.memmap | io.IOBase):
        name = getattr(value, "filename", None) or getattr(value, "name", "")
        return f"{'memory map of' if shape else 'open file'} {Path(str(name)).name}"
    if shape is not None and not isinstance(value, np.generic):
        of = f" of {value.dtype}" if hasattr(value, "dtype") else ""
        return f"{'array' if type(value) is np.ndarray else kind} {tuple(shape)}{of}"
    return f"{kind} of {len(value)}" if isinstance(value, Sized) and not isinstance(value, str) else kind


def _mark(value: Any, rows: int | None) -> str:
    """Digest the first rows of a value, or nothing where its content cannot be told."""
    try:
        return hashlib.sha256(repr(_told(value, rows, 0)).encode()).hexdigest()[:16]
    except Exception:
        return ""


def _told(value: Any, rows: int | None, depth: int) -> object:
    if isinstance(value, (*_NUMBER, *_TEXT)):
        return repr(value)
    if isinstance(value, Fitted | History):
        return _told(tuple(value.params) if isinstance(value, Fitted) else value.close, rows, depth)
    if hasattr(value, "__array__"):
        array = np.asarray(value)[:rows] if np.ndim(value) else np.asarray(value)
        return array.tolist() if array.dtype.hasobject else (str(array.dtype), array.shape[1:], array.tobytes())
    if isinstance(value, Set):
        return sorted(repr(v) for v in value)
    if isinstance(value, Mapping | Sequence | deque) and depth < _DEEP:
        return [(repr(k), _told(v, rows, depth + 1)) for k, v in _items(value)[:rows]]
    return type(value).__qualname__
