"""Kernels made of kernels."""

from __future__ import annotations

from barograph.compiling import compiled, kernel

from .one import near, scaled


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


PARTS = (near, scaled)
CHAINED = chain(near, scaled)
ADDED = plus(5.0)
