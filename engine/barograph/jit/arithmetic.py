"""Elementary functions whose last bit is the same on every processor: the arithmetic of every kernel.

`math.exp` is the C library's, and the C library picks another routine on another processor: with and without fused
multiply-add its last bits differ, and a filter that sums logarithms over a thousand bars carries the difference into
the weights. Here is only what IEEE 754 fixes to the bit: + - * / with one rounding each, comparisons, whole numbers,
look-ups in tables. Compiled code may not fuse or reorder them (no fastmath), so that it says what plain Python says.
`tests/jit/test_arithmetic.py` pins the bits of every function by one hash, on several instruction sets.

Largest error in units of the last place, measured against 45 digits over 200 000 arguments each (normal results):
exp, log, expm1, power and tanh 0.51, log1p 0.66, lgamma 1.5, erfc 1.8; below 2**-1022, 0.8 of 2**-1074.

The methods are the textbooks': tables and a short Taylor sum for exp and log (Tang 1989, 1990), splitting and exact
sums and products (Dekker 1971), erfc by the trapezoidal rule (Chiarella and Reichel 1968), lgamma by Stirling's series
and the series with zeta(k) - 1 (Abramowitz and Stegun 6.1.33, 6.1.41). All tables are computed at import from their
formulas with 50 decimal digits and rounded once.

An edge case (infinity, zero, too large) gets C's answer and never an exception or a warning: every function begins
with `float(x)`, because what plain Python takes from an array is numpy's scalar, which warns where a product is too
large. Not a number is always `math.nan`: which bits it has would else be the processor's choice.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final

from llvmlite import ir
from numba.core import types
from numba.extending import lower_builtin, type_callable

from barograph.jit.arithmetic_tables import (
    FIRST,
    FIRST_REST,
    HALF_LOG,
    HILLS,
    LOG2,
    LOG2_REST,
    LOGS,
    PART,
    PART_REST,
    PARTS,
    PERIOD,
    ROOT_PI,
    ROOT_PI_REST,
    ROOTS,
    SECOND,
    SECOND_REST,
    SLOPE,
    SLOPE_REST,
    STIRLING,
    WAVES,
    ZETAS,
)
from barograph.jit.kernel import kernel, shared

__all__ = ["ARITHMETIC", "erfc", "exp", "expm1", "lgamma", "log", "log1p", "power", "tanh"]

ARITHMETIC: Final = 2
"""The number of the arithmetic that made a result; 1 was the processor's own library.

Recorded in manifests, saved fits and stores; it grows whenever the last bit of any function here changes.
"""

# Adding and subtracting it rounds to a whole number; the second, to a whole multiple of 2**-26.
_ROUND: Final = 1.5 * 2.0**52
_SHORT: Final = 1.5 * 2.0**26
# Splits a float in two halves of 26 bits (Dekker, Veltkamp).
_HALVES: Final = 2.0**27 + 1.0
# Below it, expm1(x) and log1p(x) round to x.
_TINY: Final = 2.0**-54
_SMALLEST: Final = 2.0**-1022
_LARGEST: Final = (2.0 - 2.0**-52) * 2.0**1023
_BEGIN: Final = struct.unpack("<q", struct.pack("<d", 0.6875))[0]


def _bits(x: float) -> int:
    """Return the 64 bits of a float, as a whole number."""
    found: int = struct.unpack("<q", struct.pack("<d", x))[0]
    return found


def _number(bits: int) -> float:
    """Return the float that has these bits."""
    found: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return found


@type_callable(_bits)  # type: ignore[untyped-decorator]
def _type_bits(context: Any) -> Any:
    def typer(x: Any) -> Any:
        return types.int64 if x == types.float64 else None

    return typer


@type_callable(_number)  # type: ignore[untyped-decorator]
def _type_number(context: Any) -> Any:
    def typer(bits: Any) -> Any:
        return types.float64 if bits == types.int64 else None

    return typer


@lower_builtin(_bits, types.float64)  # type: ignore[untyped-decorator]
def _lower_bits(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.bitcast(values[0], ir.IntType(64))


@lower_builtin(_number, types.int64)  # type: ignore[untyped-decorator]
def _lower_number(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.bitcast(values[0], ir.DoubleType())


@kernel
def _product(a: float, b: float) -> tuple[float, float]:
    """Multiply exactly: the product rounded, and what the rounding took (Dekker 1971)."""
    high, other = a * _HALVES, b * _HALVES
    high, other = high - (high - a), other - (other - b)
    low, rest = a - high, b - other
    product = a * b
    return product, low * rest - (((product - high * other) - low * other) - high * rest)


@kernel
def _quotient(above: float, above_rest: float, below: float, below_rest: float) -> float:
    """Divide one sum of two by another, with hardly more than the last rounding."""
    found = above / below
    back, back_rest = _product(found, below)
    return found + (((above - back) - back_rest) + (above_rest - found * below_rest)) / below


@kernel
def _scaled(y: float, m: int) -> float:
    """Return y * 2**m, rounded once; y is near 1 and m between -1100 and 1024."""
    if -1022 <= m < 1024:
        return y * _number((m + 1023) << 52)
    if m < 0:
        return y * _number((m + 1223) << 52) * 2.0**-200
    return y * _number((m + 1022) << 52) * 2.0


@kernel
def _grown(x: float, less: float) -> tuple[float, float, int]:
    """Return exp(x - less) as (y + low) * 2**m; `less` is what was rounded off from x."""
    count = (x * PARTS + _ROUND) - _ROUND
    # x = count / 128 ln 2 + r, so that exp x = 2**(count / 128) exp r; r is below 0.0028.
    r = (x - count * PART) - (count * PART_REST + less)
    k = int(count)
    square = r * r
    p = r + (square * (0.5 + r * (1 / 6)) + square * square * (1 / 24 + r * (1 / 120)))
    root = float(ROOTS[0, k & 127])
    return root, float(ROOTS[1, k & 127]) + root * p, k >> 7


@kernel
def exp(x: float) -> float:
    """Return e to the power of x.

    >>> exp(1.0), exp(-math.inf), exp(1000.0)
    (2.718281828459045, 0.0, inf)
    """
    x = float(x)
    if not -746.0 < x < 710.0:
        return math.inf if x > 0.0 else 0.0 if x < 0.0 else math.nan
    y, low, m = _grown(x, 0.0)
    return _scaled(y + low, m)


@kernel
def _drawn(x: float, shift: float) -> tuple[float, float, float, float, float]:
    """Split x = 2**k z, z in a cell with known log c: exact parts of k ln 2 + log c, and of r = z / c - 1."""
    bits = _bits(x)
    above = bits - _BEGIN
    i = (above >> 45) & 127
    k = above >> 52
    z = _number(bits - (k << 52))
    inverse = float(LOGS[0, i])
    # z in two short parts, and the inverse has 10 bits: no product is rounded.
    short = (z + _SHORT) - _SHORT
    first, rest = short * inverse - 1.0, (z - short) * inverse
    power = float(k) - shift
    return power * LOG2 + float(LOGS[1, i]), power * LOG2_REST + float(LOGS[2, i]), first, rest, first + rest


@kernel
def _log_parts(x: float, shift: float) -> tuple[float, float]:
    """Return log(x / 2**shift) as a sum of two: the second is small and rounded, so that their sum is right."""
    known, known_rest, first, rest, r = _drawn(x, shift)
    # 0, or larger than r.
    total = known + r
    lost = ((known - total) + first) + rest
    square = r * r
    low, high = 1 / 3 - r * (1 / 4), 1 / 5 - r * (1 / 6)
    tail = (low + square * (high + square * (1 / 7 - r * (1 / 8)))) * r - 0.5
    return total, square * tail + (lost + known_rest)


@kernel
def log(x: float) -> float:
    """Return the natural logarithm of x.

    >>> log(10.0), log(0.0), log(-1.0)
    (2.302585092994046, -inf, nan)
    """
    x = float(x)
    shift = 0.0
    if not _SMALLEST <= x <= _LARGEST:
        if not 0.0 < x < math.inf:
            return x if x > 0.0 else -math.inf if x == 0.0 else math.nan
        x *= 2.0**54
        shift = 54.0
    total, low = _log_parts(x, shift)
    return total + low


@kernel
def log1p(x: float) -> float:
    """Return log(1 + x), also where 1 + x would be rounded.

    >>> log1p(1e-20), log1p(-1.0)
    (1e-20, -inf)
    """
    x = float(x)
    if not -1.0 < x < math.inf:
        return x if x > 0.0 else -math.inf if x == -1.0 else math.nan
    if -_TINY < x < _TINY:
        return x
    total, low = _log1p_parts(x)
    return total + low


@kernel
def _log1p_parts(x: float) -> tuple[float, float]:
    near = 1.0 + x
    lost = 1.0 - (near - x) if x > 1.0 else x - (near - 1.0)
    total, low = _log_parts(near, 0.0)
    return total, low + lost / near


@kernel
def expm1(x: float) -> float:
    """Return exp(x) - 1, also where exp(x) is near 1.

    >>> expm1(1e-20), expm1(-100.0)
    (1e-20, -1.0)
    """
    x = float(x)
    if not -40.0 < x < 60.0:
        return exp(x) if x > 0.0 else -1.0 if x < 0.0 else math.nan
    if -_TINY < x < _TINY:
        return x
    total, low = _expm1_parts(x)
    return total + low


@kernel
def _expm1_parts(x: float) -> tuple[float, float]:
    """Return exp(x) - 1 as a sum of two; the second is small."""
    count = (x * PARTS + _ROUND) - _ROUND
    reduced, rest = x - count * PART, count * PART_REST
    r = reduced - rest
    k = int(count)
    scale = _number(((k >> 7) + 1023) << 52)
    root, root_rest = float(ROOTS[0, k & 127]) * scale, float(ROOTS[1, k & 127]) * scale
    # root - 1 exactly, as two floats (Knuth), plus r, exactly again; the rest is small.
    above = root - 1.0
    back = above - root
    total = above + r
    lost = (root - (above - back)) - (1.0 + back) + ((above - total) + r) + ((reduced - r) - rest)
    square = r * r
    curve = square * (0.5 + r * (1 / 6)) + square * square * (1 / 24 + r * (1 / 120 + r * (1 / 720)))
    return total, lost + (root_rest + root_rest * r + (above * r + root * curve))


@kernel
def _log_long(x: float, shift: float) -> tuple[float, float]:
    """Return log(x / 2**shift) as a sum of two floats, right to 2**-66 of it: a power multiplies the error by 700."""
    known, known_rest, first, rest, r = _drawn(x, shift)
    total = known + r
    lost, gone = (known - total) + r, (first - r) + rest
    square, square_rest = _product(r, r)
    high = total - 0.5 * square
    bent = (total - high) - 0.5 * square
    low, more = 1 / 3 - r * (1 / 4), 1 / 5 - r * (1 / 6)
    last = 1 / 7 - r * (1 / 8) + square * (1 / 9 - r * (1 / 10))
    curve = square * r * (low + square * (more + square * last))
    bent += lost + (gone - gone * r + known_rest - 0.5 * square_rest + curve)
    # A cubic term is no rest: added, so that what remains is below the last place.
    total = high + bent
    return total, (high - total) + bent


@shared
def power(x: float, y: float) -> float:
    """Return x to the power of y, with C's answers for zeros, infinities and negative x.

    >>> power(2.0, 0.5), power(-2.0, 3.0), power(0.0, -1.0), power(-1.0, 0.5)
    (1.4142135623730951, -8.0, inf, nan)
    """
    x, y = float(x), float(y)
    if y == 0.0 or x == 1.0:
        return 1.0
    if x != x or y != y:
        return math.nan
    if y == 1.0:
        return x
    if y == 2.0:
        return x * x
    even = abs(y) >= 2.0**53
    whole = even or float(int(y)) == y
    even = even or not whole or int(y) & 1 == 0
    if x < 0.0 and not whole and x != -math.inf:
        return math.nan
    size = _power_of_size(abs(x), y)
    return -size if _bits(x) < 0 and not even else size


@kernel
def _power_of_size(x: float, y: float) -> float:
    if x == 1.0:
        return 1.0
    if not 0.0 < x < math.inf or abs(y) >= 2.0**64:
        return math.inf if (x > 1.0) == (y > 0.0) else 0.0
    shift = 54.0 if x < _SMALLEST else 0.0
    high, low = _log_long(x * 2.0**54 if shift > 0.0 else x, shift)
    exponent, lost = _product(y, high)
    if not -746.0 < exponent < 710.0:
        return math.inf if exponent > 0.0 else 0.0
    grown, more, m = _grown(exponent, -(lost + y * low))
    return _scaled(grown + more, m)


@shared
def tanh(x: float) -> float:
    """Return the hyperbolic tangent of x.

    >>> tanh(0.5), tanh(100.0)
    (0.46211715726000974, 1.0)
    """
    x = float(x)
    size = abs(x)
    if not 2.0**-28 <= size < 22.0:
        return x if size < 1.0 else 1.0 if x > 0.0 else -1.0 if x < 0.0 else math.nan
    # With g = expm1(2 x) it is g / (g + 2), and what the sum and the quotient lose is put back.
    total, low = _expm1_parts(2.0 * size)
    above = total + low
    above_rest = (total - above) + low
    below = above + 2.0
    below_rest = (above - (below - 2.0) if above < 2.0 else 2.0 - (below - above)) + above_rest
    found = _quotient(above, above_rest, below, below_rest)
    return found if x > 0.0 else -found


@shared
def erfc(x: float) -> float:
    """Return 1 - erf(x), also where erf(x) is near 1.

    >>> erfc(0.0), erfc(10.0)
    (1.0, 2.088487583762545e-45)
    """
    x = float(x)
    size = abs(x)
    if size < 0.75:
        return _near_erfc(x)
    if size < 28.0:
        far = _far_erfc(size)
        return far if x > 0.0 else 2.0 - far
    return 0.0 if x > 0.0 else 2.0 if x < 0.0 else math.nan


@kernel
def _near_erfc(x: float) -> float:
    square, total = x * x, 0.0
    for n in range(15, -1, -1):
        total = (total + float(WAVES[n])) * square
    erf, rest = _product(x, SLOPE)
    found = 1.0 - erf
    return found + (((1.0 - found) - erf) - (rest + x * (SLOPE_REST + total)))


@kernel
def _far_erfc(x: float) -> float:
    """Return erfc by the trapezoidal rule for exp(-x * x) / pi times the integral of x exp(-t * t) / (x * x + t * t).

    Divided by its leading part, 1 / (x sqrt(pi)), it is 1 minus a sum below a half, whose errors count less. The
    pole at t = i x adds 2 / (1 - exp(2 pi x / h)), which matters while x is small.
    """
    square, lost = _product(x, x)
    total = 0.0
    for n in range(11, -1, -1):
        total += float(HILLS[1, n]) / (float(HILLS[0, n]) + square)
    share = 1.0 - total
    y, low, m = _grown(-square, lost)
    # (y + low) (1 - total) / (x sqrt(pi)), all but the sum with twice the digits.
    above, above_rest = _product(y, share)
    above_rest += y * ((1.0 - share) - total) + low * share
    below, below_rest = _product(x, ROOT_PI)
    far = _scaled(_quotient(above, above_rest, below, below_rest + x * ROOT_PI_REST), m)
    return far - 2.0 / expm1(PERIOD * x) if x < 6.0 else far


@shared
def lgamma(x: float) -> float:
    """Return the logarithm of the gamma function for x > 0; nan otherwise.

    >>> lgamma(1.0), lgamma(2.0), lgamma(0.5)
    (0.0, 0.0, 0.5723649429247001)
    """
    x = float(x)
    if not 0.0 < x < math.inf:
        return x if x > 0.0 else math.nan
    if x < 0.5:
        return _gamma_near_one(x) - log(x)
    if x < 1.375:
        return _gamma_near_one(x - 1.0)
    if x < 8.0:
        return _gamma_near(x)
    return _gamma_far(x)


@kernel
def _gamma_near_one(z: float) -> float:
    """Return lgamma(1 + z) = lgamma(2 + z) - log(1 + z), z between -0.5 and 0.5."""
    total, low = _log1p_parts(z)
    main, rest = _gamma_series(z)
    found = main - total
    return found + ((main - (found + total)) + (rest - low))


@kernel
def _gamma_near(x: float) -> float:
    factor = 1.0
    while x >= 2.5:
        x -= 1.0
        factor *= x
    total, low = _log_parts(factor, 0.0)
    main, rest = _gamma_series(x - 2.0)
    return (total + main) + (low + rest) if total == 0.0 else total + (low + (main + rest))


@kernel
def _gamma_series(z: float) -> tuple[float, float]:
    """Return lgamma(2 + z) as a sum of two, z between -0.63 and 0.5: right near its zero."""
    bend = 0.0
    for k in range(31, 0, -1):
        bend = (bend + float(ZETAS[k])) * z
    # The two leading terms are large and of unlike sign for z < 0: added with twice the digits.
    turn = SECOND + bend
    slope, slope_rest = _product(z, turn)
    slope_rest += z * ((SECOND - turn) + bend + SECOND_REST)
    total = FIRST + slope
    main, rest = _product(z, total)
    return main, rest + z * ((FIRST - total) + slope + (FIRST_REST + slope_rest))


@kernel
def _gamma_far(x: float) -> float:
    total, low = _log_parts(x, 0.0)
    if x > 2.0**58:
        return x * ((total - 1.0) + low)
    inverse = 1.0 / x
    square, series = inverse * inverse, 0.0
    for k in range(9, 0, -1):
        series = (series + float(STIRLING[k])) * square
    series = (series + float(STIRLING[0])) * inverse
    product, lost = _product(x, total)
    main = product - x
    lost += (product - main) - x
    return main + (lost + (x * low - 0.5 * (total + low) + (HALF_LOG + series)))
