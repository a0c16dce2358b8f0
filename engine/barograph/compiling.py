"""Compile what carries `@kernel`, and remember the result in a cache that cannot go stale.

Two decorators. `kernel` marks a part (a step, a helper): called from Python it *is* the plain Python function, called
from compiled code it is pasted in. `compiled` marks a door from Python into machine code; only doors are compiled,
and only doors are cached.

Why not numba's own ``cache=True``: it looks at one file's date, so that a helper edited two files away, a constant or
a reordered NamedTuple leaves yesterday's answer in place (4 stale results in 9 edits, measured), and it never hits
for closures over other kernels. Here the key is a fingerprint of everything the code can reach (`fingerprint`): a
change however far away is compiled, a comment is not (`tests/test_cache.py` edits both in fresh processes).

The fingerprint is also part of the symbol's name: two closures of one factory, cached by two processes, would
otherwise be linked as one function.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import pickle
import tempfile
import types as python_types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numba.core import caching, compiler, config, serialize, types
from numba.extending import overload

from barograph.fingerprint import Marked, Unfingerprintable, digest, fingerprint, layout, unchanged

__all__ = ["Kernel", "cache_folder", "compiled", "each", "kernel", "shared", "spread", "whole"]

P = ParamSpec("P")
R = TypeVar("R")


class Kernel(Marked, Generic[P, R]):
    """A function that runs as Python when Python calls it and as machine code when compiled code does."""

    # No fastmath: reassociated sums differ in the last bit from the same code in plain Python.
    options: ClassVar[dict[str, Any]] = {"error_model": "numpy", "nogil": True}
    # Python never calls what is pasted: its wrappers would be an eighth of the compile time.
    called: ClassVar[dict[str, Any]] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    pasted: ClassVar[dict[str, Any]] = {"forceinline": True, **called}

    def __init__(self, function: Callable[P, R], door: bool, paste: bool = True) -> None:
        self.py_func: Callable[P, R] = function
        self.door = door
        self.paste = paste
        self._dispatcher: Any = None
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it: a door as machine code, a part as Python."""
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


def shared(function: Callable[P, R]) -> Kernel[P, R]:
    """Mark a kernel that is called, not pasted: large, and used at several places or seldom.

    It is compiled once, cached in a file of its own, and found by its symbol. Pasted everywhere, the book of resting
    orders took 100 s to compile; so it takes 23 s, and an edited strategy on top of it 4 s.
    """
    return Kernel(function, door=False, paste=False)


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
    with contextlib.suppress(Unfingerprintable):
        owner.mark = fingerprint(owner)
    copy = python_types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = function.__module__
    copy.__qualname__ = f"{function.__qualname__}_{owner.mark or f'uncached{id(owner):x}'}"
    how = {} if owner.door else owner.pasted if owner.paste else owner.called
    dispatcher = numba.njit(**owner.options, **how)(copy)
    if not owner.door and not owner.paste:
        _keep_apart(dispatcher)
    if (owner.door or not owner.paste) and owner.mark is not None:
        dispatcher._cache = _Cache(owner)
    return dispatcher


class _Apart(NamedTuple):
    """A shared kernel's machine code: what it calls of its kind, its cache file, and the result that keeps it alive."""

    needs: tuple[str, ...]
    file: str
    result: Any


# Symbols of shared kernels that this process has, compiled or loaded.
_apart: dict[str, _Apart] = {}


def _keep_apart(dispatcher: Any) -> None:
    """Let callers find this function by its symbol, not by a copy of its code.

    numba copies what is called into every caller and optimises the copy, level upon level: with the table of orders
    three quarters of a minute were spent on optimising the same code again.
    """
    compile_one = dispatcher.compile

    def compile_apart(signature: Any) -> Any:
        entry = compile_one(signature)
        for _, implementation in dispatcher.targetctx._defns[entry].versions:
            implementation.libs = ()
        for result in dispatcher.overloads.values():
            _remember(result, "")
        return entry

    dispatcher.compile = compile_apart


def _remember(result: Any, file: str) -> None:
    symbol = result.fndesc.llvm_func_name
    if symbol not in _apart or file:
        _apart[symbol] = _Apart(_needs(result.library), file, result)


def _needs(library: Any) -> tuple[str, ...]:
    """Return the symbols of shared kernels that a library calls."""
    return tuple(f.name for f in library._get_module_for_linking().functions if f.is_declaration and f.name in _apart)


def _with_all(symbols: tuple[str, ...]) -> dict[str, str]:
    """Return these symbols and all that they need in turn, what is needed first, each with its file."""
    found: dict[str, str] = {}
    for symbol in symbols:
        found.update(_with_all(_apart[symbol].needs))
        found[symbol] = _apart[symbol].file
    return found


# What a cache file holds; another number, another file name.
_FORMAT = 3


class _Cache(caching._Cache):  # type: ignore[misc]
    """One file a (fingerprint, argument types) pair, written whole or not at all."""

    def __init__(self, owner: Kernel[..., Any]) -> None:
        self._owner = owner

    @property
    def cache_path(self) -> str:
        return str(cache_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        try:
            file = self._file(sig).name
        except Unfingerprintable:
            return None
        return self._loaded(file, target_context)

    def _loaded(self, file: str, target_context: Any) -> Any:
        """Load a result and, before it, the shared kernels it calls; None where any of it is not to be had."""
        kept = next((a.result for a in _apart.values() if a.file == file), None)
        if kept is not None:
            return kept
        try:
            data = (cache_folder() / file).read_bytes()
        except OSError:
            return None
        # A file cut short by a full disk or a crash is compiled again, not trusted: its digest does not fit.
        told, body = data[:32], data[32:]
        if hashlib.sha256(body).digest() != told:
            return None
        needs, apart, parts = pickle.loads(body)
        for symbol, where in needs.items():
            # Another process may have written that file anew, under a symbol of its own.
            if symbol not in _apart and (self._loaded(where, target_context) is None or symbol not in _apart):
                return None
        result = compiler.CompileResult._rebuild(target_context, *parts)
        if apart:
            _remember(result, file)
        return result

    def save_overload(self, sig: Any, data: Any) -> None:
        if data.lifted or not _stands_alone(data.library) or not unchanged(self._owner):
            return
        needs = _with_all(_needs(data.library))
        # A read-only home must not stop a run; the price is compiling again next time.
        with contextlib.suppress(OSError, Unfingerprintable):
            layout(data.signature.return_type)
            file, apart = self._file(sig), not self._owner.door
            if all(needs.values()):
                _write_whole(file, serialize.dumps((needs, apart, data._reduce())))
                if apart:
                    _remember(data, file.name)

    def _file(self, sig: Any) -> Path:
        args = sig if isinstance(sig, tuple) else sig.args
        told = digest(repr((_FORMAT, *(layout(a) for a in args))))
        return cache_folder() / f"{self._owner.__name__}-{self._owner.mark}-{told}.kernel"

    def enable(self) -> None:
        """Nothing to switch on."""

    def disable(self) -> None:
        """Nothing to switch off."""

    def flush(self) -> None:
        """Nothing to forget: the key holds all that matters."""


def _stands_alone(library: Any) -> bool:
    """Whether the code holds no address of this process, and no call left open (recursion): both crash the next one."""
    names = (g.name for g in library._final_module.global_variables)
    return not library.has_dynamic_globals and not any(name.startswith(".numba.unresolved$") for name in names)


def _write_whole(file: Path, body: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(hashlib.sha256(body).digest() + body)
        os.replace(name, file)
    except OSError:
        os.unlink(name)
        raise


def whole(value: Any) -> Any:
    """Refuse a float where the state began as an int: it would be cut short in silence."""
    if not isinstance(value, bool | int | np.integer):
        raise TypeError("a state that starts as int became float; start it as float")
    return value


def spread(weights: Any, out: Any, traded: Any) -> None:
    """Write a strategy's answer into one weight an asset: a number is shared equally by the traded assets."""
    if isinstance(weights, np.ndarray):
        _spread_array(weights, out, traded)  # type: ignore[no-untyped-call]
    else:
        _spread_number(weights, out, traded)  # type: ignore[no-untyped-call]


def _spread_array(weights, out, traded):  # type: ignore[no-untyped-def]
    # An answer of another size is no answer: compiled code would read beyond its end.
    fits = weights.size == out.size
    for a in range(out.size):
        out[a] = math.nan if not fits else weights[a] if traded[a] > 0 else 0.0


def _spread_number(weights, out, traded):  # type: ignore[no-untyped-def]
    count = 0
    for a in range(out.size):
        count += 1 if traded[a] > 0 else 0
    for a in range(out.size):
        out[a] = weights / count if traded[a] > 0 else 0.0


def each(value: Any, out: Any) -> None:
    """Write a number for every asset, or an array as it is; one of another size becomes -inf, which nobody can mean."""
    if isinstance(value, np.ndarray):
        _each_array(value, out)  # type: ignore[no-untyped-call]
    else:
        _each_number(value, out)  # type: ignore[no-untyped-call]


def _each_array(value, out):  # type: ignore[no-untyped-def]
    for a in range(out.size):
        out[a] = value[a] if value.size == out.size else -math.inf


def _each_number(value, out):  # type: ignore[no-untyped-def]
    for a in range(out.size):
        out[a] = value


# Annotations would be compared with the implementation's, so the overloads below carry none.
@overload(whole)
def _overload_whole(value):  # type: ignore[no-untyped-def]
    if not isinstance(value, types.Integer | types.Boolean):
        raise numba.TypingError("a state that starts as int became float; start it as float")
    return lambda value: value


@overload(spread, jit_options={**Kernel.options, **Kernel.pasted})
def _overload_spread(weights, out, traded):  # type: ignore[no-untyped-def]
    return _spread_array if isinstance(weights, types.Array) else _spread_number


@overload(each, jit_options={**Kernel.options, **Kernel.pasted})
def _overload_each(value, out):  # type: ignore[no-untyped-def]
    return _each_array if isinstance(value, types.Array) else _each_number
