"""One door for everything that may be edited; each depends on nothing else. A door answers with a number."""

from __future__ import annotations

import statistics

import numpy as np

from barograph.execution.answers import spread
from barograph.execution.sizes import base_of
from barograph.jit.kernel import compiled
from barograph.jit.memory import whole
from barograph.jit.periods import period_of
from barograph.jit.views import by_address, frozen, unowned

from . import one
from .combine import ADDED, CHAINED, PARTS
from .extend import bend, foreign, grow, seven, shrink
from .one import LIMITS, SHORT, TABLE, WIDTH, Pair, Side, countdown, near, near_far, near_middle, scaled, steady, yearly


@compiled
def body(x):
    """Nothing reached."""
    return x + 1.0


@compiled
def untouched(x):
    """Never edited: it must never be compiled again."""
    return steady(x)


@compiled
def one_away(x):
    return near(x)


@compiled
def two_away(x):
    return near_middle(x)


@compiled
def three_away(x):
    return near_far(x)


@compiled
def constant(x):
    return yearly(x)


@compiled
def through_module(x):
    return one.steady(x) + one.AGE


@compiled
def fields(x):
    return Pair(x, -x).first


@compiled
def named_constant(x):
    return x * LIMITS.second


@compiled
def combinator(x):
    return CHAINED(x)


@compiled
def cell(x):
    return ADDED(x)


@compiled
def tuple_of_kernels(x):
    return PARTS[0](x)


@compiled
def default(x):
    return scaled(x)


@compiled
def own_default(x, by=9.0):
    return x * by


@compiled
def array(x):
    return x + TABLE[1]


@compiled
def record(x):
    return np.zeros(3, SHORT).itemsize + x


@compiled
def number_type(x):
    return float(np.full(1, x / 3.0, WIDTH)[0])


@compiled
def enumeration(x):
    return x + Side.SELL.value


@compiled
def nested(x):
    add = lambda y: y + 19.0  # noqa: E731
    return add(x)


@compiled
def recursion(x):
    return countdown(3) + x


@compiled
def shadow(x):
    """Use a builtin that a later edit hides."""
    return abs(-x)


@compiled
def like_the_library(x):
    """Use a module of the user's that bears a name of the standard library."""
    return statistics.middle_of(x)


@compiled
def overloaded(x):
    return grow(x)


@compiled
def method(x):
    return np.full(1, x).twice()


@compiled
def written_in(x):
    return x + seven()


@compiled
def lowered(x):
    return bend(x)


@compiled
def jitable(x):
    return shrink(x)


@compiled
def beyond(x):
    """Reach what has no fingerprint: never cached, always right."""
    return foreign(x)


@compiled
def engine_kernel(x):
    return base_of(-x - 0.5, 1.0)


@compiled
def engine_constant(x):
    return period_of(int(x) * 3_600_000_000_000, 0)


@compiled
def engine_overload(x):
    out = np.empty(2)
    spread(x, out, np.ones(2))
    return out[0]


@compiled
def engine_views(x):
    table = np.full(4, x)
    return unowned(table)[0] + frozen(table[1:]).size + whole(3)


@compiled
def called(x):
    return one.apart(x)


@compiled
def below_called(x):
    return one.apart_above(x)


@compiled
def lent(x):
    return one.read_lent(by_address(Pair(x, -x)))


DOORS = {name: value for name, value in vars().items() if getattr(value, "door", False)}
