"""Memory reached by address: words, numbers and views at a place, and a part that is called by its address.

Parts and doors are compiled apart, so what they share goes from one to the other as addresses and sizes: an int64 in a
signature is the same for two assets and five hundred. In machine code a view is five stores that the optimiser removes
(slices and reshapes of the same arrays took seconds to compile), and a call costs 1.6 ns. Plain Python reaches the
same memory through `ctypes`. Whoever hands out an address holds what lies there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable
from numba.np.arrayobj import populate_array

__all__ = ["bits", "call_part", "floats1", "floats2", "floats3", "ints1", "ints2", "ints3", "move", "put_real",
           "put_word", "real", "spot", "stand_in", "word"]  # fmt: skip

types: Any = numba.types
_I8, _F8 = types.int64, types.float64
FOUR = (_I8, _I8, _I8, _I8)


def word(address: Any, k: Any) -> Any:
    """Read int64 number `k` at an address."""
    return ctypes.c_int64.from_address(address + 8 * k).value


def real(address: Any, k: Any) -> Any:
    """Read float64 number `k` at an address."""
    return ctypes.c_double.from_address(address + 8 * k).value


def put_word(address: Any, k: Any, value: Any) -> None:
    """Write int64 number `k`."""
    ctypes.c_int64.from_address(address + 8 * k).value = int(value)


def put_real(address: Any, k: Any, value: Any) -> None:
    """Write float64 number `k`."""
    ctypes.c_double.from_address(address + 8 * k).value = float(value)


def bits(number: Any) -> Any:
    """Return the int64 whose bits are those of a float64."""
    return int(np.float64(number).view(np.int64))


def floats1(address: Any, start: Any, n: Any) -> Any:
    """View (n,) of float64 from number `start` on."""
    return _seen(address, start, (n,), np.float64)


def floats2(address: Any, start: Any, n: Any, m: Any) -> Any:
    """View (n, m) of float64."""
    return _seen(address, start, (n, m), np.float64)


def floats3(address: Any, start: Any, n: Any, m: Any, k: Any) -> Any:
    """View (n, m, k) of float64."""
    return _seen(address, start, (n, m, k), np.float64)


def ints1(address: Any, start: Any, n: Any) -> Any:
    """View (n,) of int64."""
    return _seen(address, start, (n,), np.int64)


def ints2(address: Any, start: Any, n: Any, m: Any) -> Any:
    """View (n, m) of int64."""
    return _seen(address, start, (n, m), np.int64)


def ints3(address: Any, start: Any, n: Any, m: Any, k: Any) -> Any:
    """View (n, m, k) of int64."""
    return _seen(address, start, (n, m, k), np.int64)


def move(address: Any, start: Any, n: Any, source: Any) -> None:
    """Copy a C-contiguous array of n numbers to its place; nothing where it already is there."""
    if source.size != n:
        raise ValueError("a part's state changed the size of an array")
    target = _seen(address, start, (n,), source.dtype)
    if spot(source) != address + 8 * start:
        target[:] = source.reshape(n)


def call_part(code: Any, frame: Any, own: Any, first: Any, last: Any) -> None:
    """Call a part by its address; what it raises goes on to the caller."""
    _plain[code](frame, own, first, last)


def _seen(address: int, start: int, shape: tuple[int, ...], kind: Any) -> Any:
    size = 8
    for n in shape:
        size *= n
    if size == 0:
        return np.empty(shape, dtype=kind)
    there: Any = (ctypes.c_char * size).from_address(address + 8 * start)
    return np.frombuffer(there, dtype=kind).reshape(shape)


def spot(array: Any) -> int:
    """Return where an array's first number lies."""
    if not array.flags.c_contiguous:
        raise ValueError("an array that is reached by address must be contiguous")
    return int(array.__array_interface__["data"][0])


# The parts that plain Python calls, by a number that stands for the address.
_plain: dict[int, Callable[..., Any]] = {}


def stand_in(part: Callable[..., Any]) -> int:
    """Return a number by which plain Python calls a part."""
    _plain[id(part)] = part
    return id(part)


def _teach(function: Any, typing: Any, lower: Any) -> None:
    type_callable(function)(typing)
    lower_builtin(function, types.VarArg(types.Any))(lower)


def _at(context: Any, builder: Any, address: Any, k: Any, kind: Any) -> Any:
    element = context.get_data_type(kind)
    return builder.gep(builder.inttoptr(address, element.as_pointer()), [k])


def _reader(kind: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        k = context.cast(builder, args[1], signature.args[1], _I8)
        return builder.load(_at(context, builder, args[0], k, kind))

    return lower


def _writer(kind: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        k = context.cast(builder, args[1], signature.args[1], _I8)
        value = context.cast(builder, args[2], signature.args[2], kind)
        builder.store(value, _at(context, builder, args[0], k, kind))
        return context.get_dummy_value()

    return lower


def _view(kind: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        args = [context.cast(builder, a, t, _I8) for a, t in zip(args, signature.args, strict=True)]
        array = context.make_array(signature.return_type)(context, builder)
        eight = context.get_constant(types.intp, 8)
        strides = [eight]
        for size in args[:2:-1]:
            strides.insert(0, builder.mul(strides[0], size))
        populate_array(array, _at(context, builder, args[0], args[1], kind), args[2:], strides, eight, None)
        return array._getvalue()

    return lower


def _lower_bits(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    number = context.cast(builder, args[0], signature.args[0], _F8)
    return builder.bitcast(number, ir.IntType(64))


def _lower_move(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    source = context.make_array(signature.args[3])(context, builder, value=args[3])
    start = context.cast(builder, args[1], signature.args[1], _I8)
    n = context.cast(builder, args[2], signature.args[2], _I8)
    target = _at(context, builder, args[0], start, signature.args[3].dtype)
    with cgutils.if_unlikely(builder, builder.icmp_signed("!=", n, source.nitems)):
        context.call_conv.return_user_exc(builder, ValueError, ("a part's state changed the size of an array",))
    with cgutils.if_unlikely(builder, builder.icmp_unsigned("!=", target, source.data)):
        cgutils.raw_memmove(builder, target, source.data, n, ir.Constant(ir.IntType(64), 8))
    return context.get_dummy_value()


def _lower_call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    # numba's own convention, not C's: what a part raises comes back as a status and is passed on.
    convention = context.call_conv
    args = [context.cast(builder, a, t, _I8) for a, t in zip(args, signature.args, strict=True)]
    kind = convention.get_function_type(types.none, FOUR)
    code = builder.inttoptr(args[0], kind.as_pointer())
    excinfo = cgutils.alloca_once(builder, kind.args[1].pointee)
    result = cgutils.alloca_once(builder, kind.args[0].pointee)
    verdict = builder.call(code, [result, excinfo, *args[1:]])
    status = convention._get_return_status(builder, verdict, builder.load(excinfo))
    with cgutils.if_unlikely(builder, status.is_error):
        convention.return_status_propagate(builder, status)
    return context.get_dummy_value()


def _numbers(kinds: Any) -> bool:
    return all(isinstance(kind, types.Number | types.Boolean) for kind in kinds)


def _typing(result: Any, arity: int) -> Any:
    """Return a typing function: numbers in, `result` out. Spelled out, as numba reads the arguments' names."""

    def one(_context):  # type: ignore[no-untyped-def]
        def typed(a):  # type: ignore[no-untyped-def]
            return result if _numbers((a,)) else None

        return typed

    def two(_context):  # type: ignore[no-untyped-def]
        def typed(a, b):  # type: ignore[no-untyped-def]
            return result if _numbers((a, b)) else None

        return typed

    def three(_context):  # type: ignore[no-untyped-def]
        def typed(a, b, c):  # type: ignore[no-untyped-def]
            return result if _numbers((a, b, c)) else None

        return typed

    def four(_context):  # type: ignore[no-untyped-def]
        def typed(a, b, c, d):  # type: ignore[no-untyped-def]
            return result if _numbers((a, b, c, d)) else None

        return typed

    def five(_context):  # type: ignore[no-untyped-def]
        def typed(a, b, c, d, e):  # type: ignore[no-untyped-def]
            return result if _numbers((a, b, c, d, e)) else None

        return typed

    return (one, two, three, four, five)[arity - 1]


def _type_move(_context):  # type: ignore[no-untyped-def]
    def typed(address, start, n, source):  # type: ignore[no-untyped-def]
        known = isinstance(source, types.Array) and source.layout == "C" and source.dtype in (_I8, _F8)
        return types.none if known else None

    return typed


_teach(bits, _typing(_I8, 1), _lower_bits)
_teach(word, _typing(_I8, 2), _reader(_I8))
_teach(real, _typing(_F8, 2), _reader(_F8))
_teach(put_word, _typing(types.none, 3), _writer(_I8))
_teach(put_real, _typing(types.none, 3), _writer(_F8))
for _kind, _views in ((_F8, (floats1, floats2, floats3)), (_I8, (ints1, ints2, ints3))):
    for _d, _function in enumerate(_views, start=1):
        _teach(_function, _typing(types.Array(_kind, _d, "C"), 2 + _d), _view(_kind))
_teach(move, _type_move, _lower_move)
_teach(call_part, _typing(types.none, 5), _lower_call)
