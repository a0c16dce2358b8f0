"""The tables and constants of `arithmetic`: computed at import from their formulas with 50 digits, and rounded once.

Nothing here is looked up from anybody's listing, so everything can be computed again (`tests/jit/test_arithmetic.py`
does, another way).
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Final

import numpy as np

__all__ = ["FIRST", "FIRST_REST", "HALF_LOG", "HILLS", "LOG2", "LOG2_REST", "LOGS", "PART", "PARTS", "PART_REST",
           "PERIOD", "ROOTS", "ROOT_PI", "ROOT_PI_REST", "SECOND", "SECOND_REST", "SLOPE", "SLOPE_REST", "STIRLING",
           "WAVES", "ZETAS"]  # fmt: skip

_DIGITS: Final = 50
_PI: Final = Decimal("3.14159265358979323846264338327950288419716939937510582")
_EULER: Final = Decimal("0.57721566490153286060651209008240243104215933593992360")


def _pair(value: Decimal, step: float = 0.0) -> tuple[float, float]:
    """Split a number in two floats: the first rounded (to a whole multiple of the step, if given), then the rest."""
    first = float(value) if step == 0.0 else round(value / Decimal(step)) * step
    return first, float(value - Decimal(first))


def _frozen(rows: list[Any]) -> Any:
    """Return a table that the compiler embeds as a constant, as columns that are contiguous each."""
    table = np.array(rows, np.float64).T.copy()
    table.flags.writeable = False
    return table


def _roots() -> Any:
    """Return 2**(j / 128) in two parts."""
    root, power, rows = (Decimal(2).ln() / 128).exp(), Decimal(1), []
    for _ in range(128):
        rows.append(_pair(power))
        power *= root
    return _frozen(rows)


def _logarithms() -> Any:
    """Return for each of 128 cells n / 512, near 1 / (the cell's middle), and -log(n / 512) in two parts.

    Cell i begins at 0.6875 + i / 256, those from 1 on at twice the width. The two that touch 1 take n = 512, so that
    the logarithm of what is near 1 is the Taylor sum alone. From n to n + 1 a logarithm grows by 2 artanh(1/(2 n + 1)).
    """
    logs = {512: Decimal(0)}
    for n in range(512, 760):
        logs[n + 1] = logs[n] + _step(n)
    for n in range(511, 360, -1):
        logs[n] = logs[n + 1] - _step(n)
    rows = []
    for i in range(128):
        middle = (353 + 2 * i) / 512 if i < 80 else (512 + 2 + 4 * (i - 80)) / 512
        n = 512 if i in (79, 80) else round(512 / middle)
        rows.append((n / 512, *_pair(-logs[n], _GRAIN)))
    return _frozen(rows)


def _step(n: int) -> Decimal:
    """Return log((n + 1) / n) to 40 digits."""
    odd = 2 * n + 1
    term, square = 2 * 10**40 // odd, odd * odd
    total = term
    for j in range(3, 15, 2):
        term //= square
        total += term // j
    return Decimal(total).scaleb(-40)


def _zetas(count: int) -> list[Decimal]:
    """Return zeta(k) - 1 for k = 2, 3, ... to 29 digits: Borwein's second algorithm (2000), error below 5.8**-size."""
    size, sums, term = 40, [0], Fraction(1)
    for i in range(size + 1):
        sums.append(sums[-1] + int(term))
        term *= Fraction(4 * (size + i) * (size - i), (2 * i + 1) * (2 * i + 2))
    whole, found = sums[-1], []
    parts = [10**_DIGITS * (whole - sums[j + 1]) * (-1) ** j // (j + 1) for j in range(size)]
    for k in range(2, count + 2):
        # Part j of eta(k) is part j of eta(k - 1), once more divided by j + 1; zeta = eta / (1 - 2**(1 - k)).
        parts = [part // (j + 1) for j, part in enumerate(parts)]
        eta = Decimal(sum(parts) * 2 ** (k - 1)).scaleb(-_DIGITS)
        found.append(eta / (whole * (2 ** (k - 1) - 1)) - 1)
    return found


def _hills() -> Any:
    """Return for erfc n * n / 4 and exp(-n * n / 4) * n * n / 4 / sqrt(pi), n = 1 to 12: step 1/2, error 2**-57."""
    root = _PI.sqrt()
    return _frozen([(float(s), float((-s).exp() * s / root)) for s in (Decimal(n * n) / 4 for n in range(1, 13))])


def _waves() -> Any:
    """Return for erf around 0 its Taylor coefficients without the first, 2 / sqrt(pi) (-1)**n / (n! (2 n + 1))."""
    root, factor = _PI.sqrt(), [Decimal((-1) ** n * math.factorial(n) * (2 * n + 1)) for n in range(1, 17)]
    return np.array([float(2 / (root * f)) for f in factor])


# The first part of ln 2, and of the table's logarithms, is a whole multiple of 2**-42: whatever sum of them occurs
# (below 2**10) is exact.
_GRAIN: Final = 2.0**-42

with localcontext() as _context:
    _context.prec = _DIGITS
    _TWO: Final = Decimal(2).ln()
    LOG2, LOG2_REST = _pair(_TWO, _GRAIN)
    # A 128th of it: the first part has 35 bits, so that 137 600 times it is exact.
    PART, PART_REST = _pair(_TWO / 128, 2.0**-42)
    PARTS: Final = float(128 / _TWO)
    ROOTS: Final = _roots()
    LOGS: Final = _logarithms()
    HILLS: Final = _hills()
    WAVES: Final = _waves()
    SLOPE, SLOPE_REST = _pair(2 / _PI.sqrt())
    ROOT_PI, ROOT_PI_REST = _pair(_PI.sqrt())
    PERIOD: Final = float(4 * _PI)
    FIRST, FIRST_REST = _pair(1 - _EULER)
    # lgamma(2 + z) = (1 - Euler's constant) z + sum of (-1)**k (zeta(k) - 1) / k z**k.
    _SERIES: Final = [(-1) ** k * zeta / k for k, zeta in enumerate(_zetas(32), 2)]
    ZETAS: Final = np.array([float(coefficient) for coefficient in _SERIES])
    SECOND, SECOND_REST = _pair(_SERIES[0])
    HALF_LOG: Final = float((2 * _PI).ln() / 2)

# Bernoulli's numbers, B(2 k) / (2 k (2 k - 1)), of Stirling's series.
STIRLING: Final = np.array(
    [
        1 / 12,
        -1 / 360,
        1 / 1260,
        -1 / 1680,
        1 / 1188,
        -691 / 360360,
        1 / 156,
        -3617 / 122400,
        43867 / 244188,
        -174611 / 125400,
    ]
)
for _table in (WAVES, ZETAS, STIRLING):
    _table.flags.writeable = False
