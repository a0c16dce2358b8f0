"""Layers of a network: plain loops in one order, so that their bits hang on nothing but weights and inputs.

Weights lie input-major, (inputs, outputs): the inner loop goes over outputs, which a processor takes several at a time
without adding in another order.
"""

from __future__ import annotations

import math
from typing import Any, Final

from barograph.jit.arithmetic import exp
from barograph.jit.kernel import kernel, shared

__all__ = ["NEAR_ZERO", "accumulate", "accumulate_two", "add", "affine", "bent", "layer_norm", "rectify", "sigmoid"]

NEAR_ZERO: Final = 1e-5
"""What a variance is raised by before a layer norm divides by its root, as torch has it."""


@kernel
def sigmoid(x: Any) -> Any:
    """Return ``1 / (1 + exp(-x))``.

    >>> sigmoid(0.0), sigmoid(-1000.0), sigmoid(1000.0)
    (0.5, 0.0, 1.0)
    """
    return 1.0 / (1.0 + exp(-x))


@kernel
def bent(x: Any) -> Any:
    """Return tanh(x), right to 2e-16 of one: a third of what the last bit of a small one costs.

    >>> bent(0.0), bent(-1000.0), bent(1000.0)
    (0.0, -1.0, 1.0)
    """
    return 1.0 - 2.0 / (1.0 + exp(2.0 * x))


@shared
def accumulate(x: Any, w: Any, out: Any) -> None:
    """Add ``x w`` to `out`: x (inputs,), w (inputs, outputs), out (outputs,); input after input."""
    whole = x.size - x.size % 4
    # Four at a time, each output in the order of one at a time: it is read and written a quarter as often.
    for i in range(0, whole, 4):
        first, second, third, fourth = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(out.size):
            sum_of_two = (out[j] + first * w[i, j]) + second * w[i + 1, j]
            out[j] = (sum_of_two + third * w[i + 2, j]) + fourth * w[i + 3, j]
    for i in range(whole, x.size):
        first = x[i]
        for j in range(out.size):
            out[j] += first * w[i, j]


@shared
def accumulate_two(x: Any, y: Any, w: Any, out: Any, other: Any) -> None:
    """Add ``x w`` to `out` and ``y w`` to `other`, each as `accumulate` does: weights are read once for both."""
    whole = x.size - x.size % 4
    for i in range(0, whole, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        e, f, g, h = y[i], y[i + 1], y[i + 2], y[i + 3]
        for j in range(out.size):
            first, second, third, fourth = w[i, j], w[i + 1, j], w[i + 2, j], w[i + 3, j]
            out[j] = (((out[j] + a * first) + b * second) + c * third) + d * fourth
            other[j] = (((other[j] + e * first) + f * second) + g * third) + h * fourth
    for i in range(whole, x.size):
        for j in range(out.size):
            out[j] += x[i] * w[i, j]
            other[j] += y[i] * w[i, j]


@kernel
def affine(x: Any, w: Any, b: Any, out: Any) -> None:
    """Write ``x w + b``: x (inputs,), w (inputs, outputs), b and out (outputs,)."""
    for j in range(out.size):
        out[j] = b[j]
    accumulate(x, w, out)


@kernel
def add(x: Any, out: Any) -> None:
    """Add `x` to `out`."""
    for j in range(out.size):
        out[j] += x[j]


@kernel
def rectify(x: Any) -> None:
    """Bring to zero what is below it, in its place."""
    for j in range(x.size):
        x[j] = x[j] if x[j] > 0.0 else 0.0


@kernel
def layer_norm(x: Any, w: Any, b: Any) -> None:
    """Bring a row to mean 0 and deviation 1, then to ``x w + b``, in its place (Ba et al. 2016)."""
    centre, spread = 0.0, 0.0
    for j in range(x.size):
        centre += x[j]
    centre /= x.size
    for j in range(x.size):
        spread += (x[j] - centre) * (x[j] - centre)
    shrink = 1.0 / math.sqrt(spread / x.size + NEAR_ZERO)
    for j in range(x.size):
        x[j] = (x[j] - centre) * shrink * w[j] + b[j]
