"""Sums, products, logarithms of whole arrays with the same last bit on every processor.

numpy's own differ: `exp` and `log` have other routines for other instruction sets, `@` is BLAS, `einsum` and `sum` add
in an order that goes by the width of the vector unit. Running sums go from front to back, and element by element + - *
/ and the square root are fixed by IEEE 754; so a fit is made of these.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import compiled
from barograph.types import Floats

__all__ = ["exponentials", "logarithms", "mean", "moment", "product", "total", "variance"]


def total(x: Any, axis: int = 0) -> Any:
    """Return the sum along an axis, added from the first to the last; of nothing it is 0.

    >>> float(total(np.array([1e16, 1.0, -1e16])))
    0.0
    """
    x = np.asarray(x, dtype=np.float64)
    if x.shape[axis] == 0:
        return np.zeros(np.delete(x.shape, axis))
    return np.take(np.cumsum(x, axis=axis), -1, axis=axis)


def mean(x: Any, axis: int = 0) -> Any:
    """Return the mean along an axis.

    >>> mean(np.array([[1.0, 2.0], [3.0, 5.0]]))
    array([2. , 3.5])
    """
    return total(x, axis) / np.shape(x)[axis]


def variance(x: Any, axis: int = 0) -> Any:
    """Return the mean squared distance from the mean along an axis.

    >>> float(variance(np.array([1.0, 3.0])))
    1.0
    """
    away = x - np.expand_dims(mean(x, axis), axis)
    return mean(away * away, axis)


def product(a: Any, b: Any) -> Any:
    """Return the matrix product of (..., i, j) and (j, k), or of (..., j) and (j,).

    >>> product(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [1.0, 2.0]]))
    array([[3., 4.]])
    """
    if np.ndim(b) == 1:
        return total(a * b, axis=-1)
    found = np.zeros((*np.shape(a)[:-1], np.shape(b)[1]))
    for j in range(np.shape(b)[0]):
        found += a[..., j, None] * b[j]
    return found


def moment(a: Floats, b: Floats) -> Floats:
    """Return the sum over rows of the products of columns, (i, j), of (T, i) and (T, j).

    >>> moment(np.array([[1.0], [2.0]]), np.array([[1.0, 0.0], [1.0, 2.0]]))
    array([[3., 4.]])
    """
    return np.array([[total(column * other) for other in b.T] for column in a.T])


def logarithms(x: Any) -> Floats:
    """Return the natural logarithm of every element.

    >>> logarithms([1.0, 0.0])
    array([  0., -inf])
    """
    return _each(_logarithms, x)


def exponentials(x: Any) -> Floats:
    """Return e to the power of every element.

    >>> exponentials([0.0, -np.inf])
    array([1., 0.])
    """
    return _each(_exponentials, x)


def _each(fill: Any, x: Any) -> Floats:
    values = np.ascontiguousarray(x, dtype=np.float64)
    out = np.empty_like(values)
    fill(values.ravel(), out.ravel())
    return out


@compiled
def _logarithms(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = log(x[i])


@compiled
def _exponentials(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = exp(x[i])
