"""Kernels made of kernels."""

from __future__ import annotations

from barograph.jit.kernel import compiled, kernel


@kernel
def half(x):
    """Divide."""
    return x / 2.0


@kernel
def third(x):
    """Divide."""
    return x / 3.0


def chain(inner, outer):
    """One after the other."""

    @kernel
    def both(x):
        """Call both."""
        return outer(inner(x))

    return both


def plus(amount):
    """Add a number that sits in a closure's cell."""

    @kernel
    def add(x):
        return x + amount

    return add


def twin(amount):
    """Make a door over a kernel, both closures of one factory."""
    add = plus(amount)

    @compiled
    def door(x):
        return add(x) * 2.0

    return door


def couple(first, second):
    """Make a door that calls two doors."""

    @compiled
    def door(x):
        return first(x) * 1000.0 + second(x)

    return door


PARTS = (half, 5.0)
CHAINED = chain(plus(2.0), half)
ADDED = plus(5.0)
