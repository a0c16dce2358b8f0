"""Parts are compiled apart and called by their address: what a door is told in place of a function."""

from __future__ import annotations

from typing import Any

from numba.core import config

from barograph.jit.kernel import Kernel, compiled
from barograph.jit.reach import FOUR, call_part, stand_in

__all__ = ["address", "call_alone"]

# Compiled parts, by their number, and where their machine code lies; what was replaced may be running still.
_machine: dict[int, tuple[Any, int]] = {}
_kept: list[Any] = []


def address(part: Kernel[..., Any], interpret: bool) -> int:
    """Return by what a part of four int64 is called: the address of its machine code, or a number for plain Python."""
    if interpret or config.DISABLE_JIT:
        return stand_in(part.py_func)
    if id(part) not in _machine or not part.current():
        dispatcher = part.dispatcher
        dispatcher.compile(FOUR)
        result = dispatcher.overloads[FOUR]
        where = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
        _machine[id(part)] = (part, where)
        _kept.append(result)
    return _machine[id(part)][1]


@compiled
def call_alone(code: int, frame: int, own: int, first: int, last: int) -> None:
    """Call one part alone."""
    call_part(code, frame, own, first, last)


call_alone.name("the engine")
