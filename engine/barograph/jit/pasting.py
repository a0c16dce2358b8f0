"""Machine code that is only ever pasted into its callers is not made by itself.

numba optimises every function as a module of its own and turns it into machine code, also where all that is wanted of
it is the copy in its callers, which are optimised with the copy in them: a quarter of the time to compile went there.
So what is pasted stops at the functions' own passes. Bits and speed are its callers', and those stay what they were.
"""

from __future__ import annotations

import contextlib
from typing import Any

from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.errors import TypingError

__all__ = ["Emitted", "Pasted", "take_constants_for_numbers"]


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """Code that has no address: what it calls is linked in, and neither optimised as a whole nor emitted."""

    def finalize(self) -> None:
        """Link in what it calls."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Tell that no function of it can be called by address."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        """Where its environment is set: nowhere yet, as it will lie in its callers (`Emitted`)."""
        return _Nowhere


class _Nowhere:
    @staticmethod
    def set_env(_name: str, _environment: Any) -> None:
        """Leave it to the callers."""


class Pasted(Compiler):  # type: ignore[misc]
    """Compiles what stands in its callers only."""

    def compile_extra(self, func: Any) -> Any:
        """Compile a function into code without an address."""
        self.state.library = _Library(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)


class Emitted(Compiler):  # type: ignore[misc]
    """Compiles what becomes machine code, with all that is pasted into it."""

    def compile_extra(self, func: Any) -> Any:
        """Compile a function, and set the environments of what was pasted into it: a `print` asks for its own."""
        result = super().compile_extra(func)
        for environment in result._find_referenced_environments():
            result.library.codegen.set_env(environment.env_name, environment)
        return result


def take_constants_for_numbers(dispatcher: Any) -> None:
    """Let a kernel that is given constants, as in ``fill(book, True)``, be the one that is given numbers.

    numba compiles one for every constant. What only types with the constant, such as an index into a tuple of several
    types, is compiled for it still.
    """
    template = dispatcher.get_call_template

    def for_numbers(args: Any, kws: Any) -> Any:
        numbers, named = tuple(map(_number, args)), {name: _number(given) for name, given in kws.items()}
        if (numbers, named) != (tuple(args), dict(kws)):
            with contextlib.suppress(TypingError):
                return template(numbers, named)
        return template(args, kws)

    dispatcher.get_call_template = for_numbers


def _number(kind: Any) -> Any:
    return kind.literal_type if isinstance(kind, types.IntegerLiteral | types.BooleanLiteral) else kind
