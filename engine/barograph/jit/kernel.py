"""Compile what carries `@kernel`, and remember the result in a cache that cannot go stale.

Two decorators. `kernel` marks a part (a step, a helper): called from Python it *is* the plain Python function, called
from compiled code it is pasted in. `compiled` marks a door from Python into machine code; only doors are compiled,
and only doors are cached.

Why not numba's own ``cache=True``: it looks at one file's date, so that a helper edited two files away, a constant or
a reordered NamedTuple leaves yesterday's answer in place (4 stale results in 9 edits, measured), and it never hits
for closures over other kernels. Here the key is a fingerprint of everything the code can reach (`fingerprint`): a
change however far away is compiled, a comment is not (`tests/jit/test_cache.py` edits both in fresh processes).

The fingerprint is also part of the symbol's name: two closures of one factory, cached by two processes, would
otherwise be linked as one function.
"""

from __future__ import annotations

import contextlib
import types as python_types
from collections.abc import Callable
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, cast

import numba
from numba.core import config

from barograph.jit.cache import Cache, keep_apart
from barograph.jit.fingerprint import Marked, Unfingerprintable, bindings, fingerprint, unchanged
from barograph.jit.pasting import Emitted, Pasted, take_constants_for_numbers

__all__ = ["Kernel", "compiled", "kernel", "shared"]

P = ParamSpec("P")
R = TypeVar("R")


class Kernel(Marked, Generic[P, R]):
    """A function that runs as Python when Python calls it and as machine code when compiled code does."""

    # No fastmath: reassociated sums differ in the last bit from the same code in plain Python.
    options: ClassVar[dict[str, Any]] = {"error_model": "numpy", "nogil": True}
    # Python never calls what is pasted: its wrappers would be an eighth of the compile time.
    called: ClassVar[dict[str, Any]] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    pasted: ClassVar[dict[str, Any]] = {"forceinline": True, "pipeline_class": Pasted, **called}

    def __init__(self, function: Callable[P, R], door: bool, paste: bool = True) -> None:
        self.py_func: Callable[P, R] = function
        self.door = door
        self.paste = paste
        self._dispatcher: Any = None
        self._bindings: list[tuple[dict[str, Any], str, Any]] = []
        self.waited_for = function.__name__
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

    def current(self) -> bool:
        """Tell whether what was compiled is what Python would run now; if it is not, let it be compiled anew.

        In a notebook the cell of a helper is edited and run again, and not the cell of what calls it.
        """
        if all(space.get(name) is value for space, name, value in self._bindings):
            return True
        seen: dict[Any, int] = {self: 0}
        with contextlib.suppress(Unfingerprintable):
            fingerprint(self, seen)
        for found in seen:
            if isinstance(found, Kernel) and found._dispatcher is not None and not unchanged(found):
                found._dispatcher = None
        return False

    def name(self, waited_for: str) -> None:
        """Give it the name under which whoever waits while it is compiled knows it."""
        self.waited_for = waited_for
        if self._dispatcher is not None:
            self._dispatcher.waited_for = waited_for

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__qualname__}>"

    @property
    def dispatcher(self) -> Any:
        """The numba dispatcher, made at first use: only then is everything the code reaches defined."""
        if self._dispatcher is None:
            self._dispatcher = _dispatcher(self)
            with contextlib.suppress(Unfingerprintable):
                self._bindings = bindings(self)
            self._dispatcher.waited_for = self.waited_for
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
    dispatcher = numba.njit(**{"pipeline_class": Emitted, **owner.options, **how})(copy)
    if not owner.door:
        take_constants_for_numbers(dispatcher)
    if not owner.door and not owner.paste:
        keep_apart(dispatcher)
    if (owner.door or not owner.paste) and owner.mark is not None:
        dispatcher._cache = Cache(owner)
    return dispatcher
