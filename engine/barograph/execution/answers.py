"""A strategy's answer, a number or an array, written out for every asset."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from barograph.jit.kernel import Kernel

__all__ = ["each", "spread"]


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


@overload(spread, jit_options={**Kernel.options, **Kernel.pasted})
def _overload_spread(weights, out, traded):  # type: ignore[no-untyped-def]
    return _spread_array if isinstance(weights, types.Array) else _spread_number


@overload(each, jit_options={**Kernel.options, **Kernel.pasted})
def _overload_each(value, out):  # type: ignore[no-untyped-def]
    return _each_array if isinstance(value, types.Array) else _each_number
