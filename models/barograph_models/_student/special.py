"""Digamma and trigamma of numbers above zero, of ordinary arithmetic, so that every processor says the same."""

from __future__ import annotations

from barograph.jit.arithmetic import log
from barograph.jit.kernel import kernel

__all__ = ["digamma", "trigamma"]

# Abramowitz & Stegun 6.3.18 and 6.4.12 from here on: the first term left out is below 1e-13 of the answer.
FAR = 8.0


@kernel
def digamma(x: float) -> float:
    """Return the derivative of lgamma, for x > 0.

    >>> round(digamma(1.0), 12), round(digamma(0.5), 12)
    (-0.577215664902, -1.963510026021)
    """
    less = 0.0
    while x < FAR:
        less += 1.0 / x
        x += 1.0
    f = 1.0 / (x * x)
    far = 1.0 / 240.0 - f * (1.0 / 132.0 - f * (691.0 / 32760.0))
    series = f * (1.0 / 12.0 - f * (1.0 / 120.0 - f * (1.0 / 252.0 - f * far)))
    return log(x) - 0.5 / x - series - less


@kernel
def trigamma(x: float) -> float:
    """Return the derivative of digamma, for x > 0.

    >>> round(trigamma(1.0), 10)
    1.6449340668
    """
    more = 0.0
    while x < FAR:
        more += 1.0 / (x * x)
        x += 1.0
    f = 1.0 / (x * x)
    far = 1.0 / 30.0 - f * (5.0 / 66.0 - f * (691.0 / 2730.0))
    series = f / x * (1.0 / 6.0 - f * (1.0 / 30.0 - f * (1.0 / 42.0 - f * far)))
    return more + 1.0 / x + 0.5 * f + series
