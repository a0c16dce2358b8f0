"""What a user may teach the compiler."""

from __future__ import annotations

import numba
from numba.core import types
from numba.extending import intrinsic, lower_builtin, overload, overload_method, register_jitable, type_callable


def grow(x):
    """Stand in for the overload below."""
    return x


@overload(grow)
def _overload_grow(x):
    return lambda x: x + 11.0


@overload_method(types.Array, "twice")
def _overload_twice(array):
    return lambda array: array[0] * 2.0


@intrinsic
def seven(_context):
    """Write a number into the caller."""

    def generate(context, builder, signature, args):
        return context.get_constant(types.int64, 7)

    return types.int64(), generate


def bend(x):
    """Stand in for what is written below."""
    return x


@type_callable(bend)
def _type_bend(_context):
    def typed(x):
        return types.float64

    return typed


@lower_builtin(bend, types.Float)
def _lower_bend(context, builder, signature, args):
    return builder.fadd(args[0], context.get_constant(types.float64, 23.0))


@register_jitable
def shrink(x):
    """Subtract, as Python and as machine code."""
    return x - 13.0


@numba.njit
def foreign(x):
    """Compiled by numba on its own terms."""
    return x + 17.0
