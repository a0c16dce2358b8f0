"""Compile what carries `@kernel`, and remember the result in a cache that cannot go stale.

Two decorators. `kernel` marks a part (a step, a helper): called from Python it *is* the plain Python function, called
from compiled code it is pasted in. `compiled` marks a door from Python into machine code; only doors are compiled,
and only doors are cached.

Why not numba's own ``cache=True``: it looks at one file's date, so that a helper edited two files away, a constant or
a reordered NamedTuple leaves yesterday's answer in place (4 stale results in 9 edits, measured), and it never hits
for closures over other kernels. Here the key is a fingerprint of everything the code can reach: bytecode and
constants, and recursively every global, closure cell, kernel and tuple field, plus versions, flags and the processor.
Comments and blank lines do not count. What cannot be fingerprinted is compiled again, never guessed
(`tests/test_cache.py` edits all of these in fresh processes).

The fingerprint is also part of the symbol's name: two closures of one factory, cached by two processes, would
otherwise be linked as one function.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
import tempfile
import types as python_types
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast

import llvmlite
import numba
import numpy as np
from numba.core import caching, cgutils, compiler, config, serialize, types
from numba.extending import intrinsic, overload

__all__ = ["Kernel", "borrow", "cache_folder", "compiled", "frozen", "kernel", "spread", "whole"]

P = ParamSpec("P")
R = TypeVar("R")

# The standard library and the compiler's own packages change with their version, which is in the key.
_BY_VERSION = ("numpy", "numba", "llvmlite", "scipy", *sys.stdlib_module_names)
# What stands behind an `@overload` stub: the walk cannot see it through the stub, so it is named here.
_BEHIND: dict[Callable[..., Any], tuple[Callable[..., Any], ...]] = {}


class Unfingerprintable(Exception):
    """A value reached by a kernel whose content cannot be told, so that nothing may be cached."""


class Kernel(Generic[P, R]):
    """A function that runs as Python when Python calls it and as machine code when compiled code does."""

    def __init__(self, function: Callable[P, R], door: bool) -> None:
        self.py_func = function
        self.door = door
        self._dispatcher: Any = None
        self._walking = False
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.door and not config.DISABLE_JIT:
            return cast(R, self.dispatcher(*args, **kwargs))
        return self.py_func(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__qualname__}>"

    @property
    def dispatcher(self) -> Any:
        """The numba dispatcher, made at first use: only then is everything the code reaches defined."""
        if self._dispatcher is None:
            self._dispatcher = _dispatcher(self)
        return self._dispatcher

    @property
    def _numba_type_(self) -> Any:
        return self.dispatcher._numba_type_


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Mark a step or a helper: plain Python to Python, pasted machine code to compiled code.

    Inside, keep to numbers, tuples, arrays, `math` and other kernels; guard divisions by zero.

    >>> @kernel
    ... def double(x):
    ...     return 2.0 * x
    >>> double(21.0)
    42.0
    """
    return Kernel(function, door=False)


def compiled(function: Callable[P, R]) -> Kernel[P, R]:
    """Mark a door from Python into compiled code; compiled at first call, then cached on disk."""
    return Kernel(function, door=True)


def cache_folder() -> Path:
    """Where compiled code is kept: ``BAROGRAPH_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("BAROGRAPH_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barograph"


def _dispatcher(owner: Kernel[P, R]) -> Any:
    function = owner.py_func
    try:
        mark = fingerprint(owner)
    except Unfingerprintable:
        mark = None
    copy = python_types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = function.__module__
    copy.__qualname__ = f"{function.__qualname__}_{mark or f'uncached{id(owner):x}'}"
    # No fastmath: reassociated sums differ in the last bit from the same code in plain Python.
    dispatcher = numba.njit(error_model="numpy", nogil=True, forceinline=not owner.door)(copy)
    if owner.door and mark is not None:
        dispatcher._cache = _Cache(mark, function.__name__)
    return dispatcher


class _Cache(caching._Cache):
    """One file a (fingerprint, argument types) pair, written whole or not at all."""

    def __init__(self, mark: str, name: str) -> None:
        self._stem = f"{name}-{mark}"

    @property
    def cache_path(self) -> str:
        return str(cache_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        try:
            data = self._file(sig).read_bytes()
        except OSError:
            return None
        # A file cut short by a full disk or a crash is compiled again, not trusted: its digest does not fit.
        digest, body = data[:32], data[32:]
        if hashlib.sha256(body).digest() != digest:
            return None
        return compiler.CompileResult._rebuild(target_context, *pickle.loads(body))

    def save_overload(self, sig: Any, data: Any) -> None:
        if data.library.has_dynamic_globals or data.lifted:
            return
        body = serialize.dumps(data._reduce())
        # A read-only home must not stop a run; the price is compiling again next time.
        with contextlib.suppress(OSError):
            cache_folder().mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=cache_folder(), prefix=".new-")
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).digest() + body)
            os.replace(name, self._file(sig))

    def _file(self, sig: Any) -> Path:
        args = sig if isinstance(sig, tuple) else sig.args
        return cache_folder() / f"{self._stem}-{_digest(repr(tuple(_layout(a) for a in args)))}.kernel"

    def enable(self) -> None:
        """Nothing to switch on."""

    def disable(self) -> None:
        """Nothing to switch off."""

    def flush(self) -> None:
        """Nothing to forget: the key holds all that matters."""


def _layout(kind: Any) -> Any:
    """An argument's type with its fields in order: numba holds two NamedTuples equal whose fields were swapped."""
    if isinstance(kind, types.BaseTuple):
        fields = getattr(kind, "fields", ())
        return (str(kind), tuple(fields), tuple(_layout(t) for t in kind.types))
    return str(kind)


def fingerprint(subject: Kernel[..., Any]) -> str:
    """Digest everything the kernel can reach, and the environment it is compiled for.

    Raises `Unfingerprintable` when something it reaches has no content that can be told.
    """
    return _digest(repr((_environment(), subject.door, _of_function(subject.py_func, {}))))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _environment() -> tuple[object, ...]:
    target = numba.core.registry.cpu_target.target_context.codegen().magic_tuple()
    flags = (config.BOUNDSCHECK, config.OPT.__repr__(), config.LOOP_VECTORIZE, config.SLP_VECTORIZE)
    return (sys.version, numba.__version__, llvmlite.__version__, np.__version__, version("scipy"), target, flags)


def _of_function(function: Any, seen: dict[int, int]) -> object:
    if id(function) in seen:
        return ("again", seen[id(function)])
    seen[id(function)] = len(seen)
    code = function.__code__
    inside = function.__globals__
    reached = [(name, _of(inside[name], names, seen)) for name, names in _globals(code, inside)]
    cells = [_of(cell.cell_contents, _names(code), seen) for cell in function.__closure__ or ()]
    defaults = [_of(value, (), seen) for value in function.__defaults__ or ()]
    behind = [_of_function(f, seen) for f in _BEHIND.get(function, ())]
    # The module by name: compiled code that is loaded again looks its globals up there.
    return (function.__module__, function.__name__, _of_code(code), reached, cells, defaults, behind)


def _of_code(code: Any) -> object:
    # A docstring is the first constant when there is one; it changes no answer, but a constant might.
    constants = [_of_code(c) if isinstance(c, python_types.CodeType) else repr(c) for c in code.co_consts]
    if code.co_flags & 0x08000000 or (constants and isinstance(code.co_consts[0], str)):
        constants = constants[1:]
    return (code.co_code.hex(), constants, code.co_names, code.co_varnames, code.co_freevars, code.co_argcount)


def _names(code: Any) -> tuple[str, ...]:
    inner = [n for c in code.co_consts if isinstance(c, python_types.CodeType) for n in _names(c)]
    return tuple(dict.fromkeys([*code.co_names, *inner]))


def _globals(code: Any, inside: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    names = _names(code)
    return [(name, names) for name in names if name in inside]


def _of(value: Any, names: tuple[str, ...], seen: dict[int, int]) -> object:  # noqa: PLR0911
    if isinstance(value, Kernel):
        return ("kernel", value.door, _of_function(value.py_func, seen))
    if isinstance(value, python_types.ModuleType):
        if value.__name__.split(".")[0] in _BY_VERSION:
            return ("module", value.__name__)
        return ("module", [(n, _of(getattr(value, n), names, seen)) for n in names if hasattr(value, n)])
    if isinstance(value, bool | int | float | complex | str | bytes | type(None) | np.generic):
        return repr(value)
    if isinstance(value, type):
        return _of_class(value)
    if isinstance(value, tuple):
        return (type(value).__name__, getattr(value, "_fields", ()), [_of(v, names, seen) for v in value])
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest())
    if isinstance(value, python_types.FunctionType):
        if value.__module__.split(".")[0] in _BY_VERSION:
            return (value.__module__, value.__qualname__)
        return _of_function(value, seen)
    if getattr(value, "__module__", None) and str(value.__module__).split(".")[0] in (*_BY_VERSION, "builtins"):
        return (value.__module__, getattr(value, "__qualname__", type(value).__qualname__))
    raise Unfingerprintable(repr(value))


def _of_class(value: type) -> object:
    if value.__module__.split(".")[0] in (*_BY_VERSION, "builtins"):
        return (value.__module__, value.__qualname__)
    if issubclass(value, tuple) and hasattr(value, "_fields"):
        return (value.__qualname__, value._fields)
    raise Unfingerprintable(repr(value))


def _stripped(readonly: bool) -> Any:
    def typed(_context: Any, array: Any) -> Any:
        if not isinstance(array, types.Array):
            return None
        result = types.Array(array.dtype, array.ndim, array.layout, readonly=readonly or not array.mutable)

        def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            source = context.make_array(array)(context, builder, value=args[0])
            target = context.make_array(result)(context, builder)
            for name in ("nitems", "itemsize", "data", "shape", "strides"):
                setattr(target, name, getattr(source, name))
            target.meminfo = cgutils.get_null_value(target.meminfo.type)
            target.parent = cgutils.get_null_value(target.parent.type)
            return target._getvalue()

        return result(array), generate

    return typed


_borrow = intrinsic(_stripped(readonly=False))
_freeze = intrinsic(_stripped(readonly=True))


def borrow(array: Any) -> Any:
    """Use an array without owning it: the caller keeps it alive, so nothing is counted.

    Reference counts, not allocations, were the price of passing tuples of arrays: 331 ns a bar with them, 60 without
    (regime filter, one asset). Plain Python has no such price and gets the array back.
    """
    return array


def frozen(array: Any) -> Any:
    """Lend an array for reading only: writing to it is a compile error, and an exception in plain Python."""
    view = array.view()
    view.flags.writeable = False
    return view


def whole(value: Any) -> Any:
    """Refuse a float where the state began as an int: it would be cut short in silence."""
    if not isinstance(value, bool | int | np.integer):
        raise TypeError("a state that starts as int became float; start it as float")
    return value


def spread(weights: Any, out: Any, traded: Any) -> None:
    """Write a strategy's answer into one weight an asset: a number is shared equally by the traded assets."""
    if isinstance(weights, np.ndarray):
        _spread_array(weights, out, traded)
    else:
        _spread_number(weights, out, traded)


def _spread_array(weights, out, traded):  # type: ignore[no-untyped-def]
    for a in range(out.size):
        out[a] = weights[a] if traded[a] > 0 else 0.0


def _spread_number(weights, out, traded):  # type: ignore[no-untyped-def]
    count = 0
    for a in range(out.size):
        count += 1 if traded[a] > 0 else 0
    for a in range(out.size):
        out[a] = weights / count if traded[a] > 0 else 0.0


# Annotations would be compared with the implementation's, so the overloads below carry none.
@overload(borrow)
def _overload_borrow(array):  # type: ignore[no-untyped-def]
    return lambda array: _borrow(array)


@overload(frozen)
def _overload_frozen(array):  # type: ignore[no-untyped-def]
    return lambda array: _freeze(array)


@overload(whole)
def _overload_whole(value):  # type: ignore[no-untyped-def]
    if not isinstance(value, types.Integer | types.Boolean):
        raise numba.TypingError("a state that starts as int became float; start it as float")
    return lambda value: value


@overload(spread, jit_options={"forceinline": True, "error_model": "numpy"})
def _overload_spread(weights, out, traded):  # type: ignore[no-untyped-def]
    return _spread_array if isinstance(weights, types.Array) else _spread_number


_BEHIND[spread] = (_spread_array, _spread_number)
