"""The nouns: what a bar, a belief and a target are, and what a part is.

All are immutable tuples of numbers and arrays, so that compiled code and a notebook carry the same thing. Time is
int64 nanoseconds UTC and always a bar's *close*. NaN in a price means: this asset has no bar now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["HOLD", "Asset", "Bars", "Belief", "Feature", "Feed", "Filter", "Filtered", "Floats", "Orders",
           "Portfolio", "Predicted", "Protected", "Smoothed", "Step", "Strategy", "Target"]  # fmt: skip

Floats = NDArray[np.float64]

HOLD: Final = float("inf")
"""The weight that means: leave this position as it is. (NaN is not an answer and stops the run.)"""


class Bars(NamedTuple):
    """One instant of N assets: `ts` and six arrays of shape (N,), lent for reading only.

    A price times `factor` compares with earlier ones across splits and dividends; it is 1 where there were none, and in
    the bars that features see, whose prices are multiplied already.
    """

    ts: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    factor: Floats


class Belief(NamedTuple):
    """What a filter knows at a close: P(regime | bars so far), shape (K,), and log p(this bar | earlier bars)."""

    probs: Floats
    logpdf: float


class Portfolio(NamedTuple):
    """The account as a strategy may see it: money, units held (N,), and the last known prices (N,)."""

    equity: float
    cash: float
    quantity: Floats
    price: Floats


class Target(NamedTuple):
    """A strategy's answer: wanted weight of equity, signed, per asset (N,); a number is shared by the traded assets."""

    weights: Any


class Protected(NamedTuple):
    """A strategy's answer: target weights, and for each position stop and take-profit prices and a trailing fraction.

    Each is a number or an array (N,); NaN is none. The legs carry minus the position, and one cancels the other.
    """

    weights: Any
    stop: Any
    take: Any
    trail: Any


class Orders(NamedTuple):
    """A strategy's answer: explicit orders, written on a slip with the kernels of `barograph.orders`."""

    rows: Any


class Filtered(NamedTuple):
    """A path of beliefs, each from the bars up to its own: probabilities (T, K) and log-densities (T,)."""

    probs: Floats
    logpdf: Floats


class Predicted(NamedTuple):
    """Probabilities `horizon` bars ahead, shape (K,), and the mixture of the return summed over those bars."""

    probs: Floats
    horizon: int
    weights: Floats
    mean: Floats
    variance: Floats


class Smoothed(NamedTuple):
    """A path of probabilities that has seen *all* bars, shape (T, K): for plots, never for a strategy."""

    hindsight: Floats


class Asset(NamedTuple):
    """An asset by its symbol, where a parameter wants its column: the machine looks it up in the history."""

    symbol: str


class Feature(NamedTuple):
    """One number a bar: ``init(params) -> state`` and ``step(state, bars, params) -> (state, float)``."""

    init: Callable[..., Any]
    step: Callable[..., Any]
    params: Any
    name: str


class Feed(NamedTuple):
    """Where bars come from: ``fetch(after, until)`` returns the final bars that closed in (after, until], ns UTC.

    It returns a `History`, or None when there are none; a bar that is not final is not returned. `History.source` says
    where the bars are from. A `fetch` that holds a connection has a method `close`, which is called at the end. What
    fails for now (no network, a web page instead of data) raises `FeedError`, one line.
    """

    name: str
    fetch: Callable[[int, int], Any]


class Filter(NamedTuple):
    """A model at work: ``init(params) -> state`` and ``step(state, x, params) -> (state, Belief)``, x of shape (d,)."""

    init: Callable[..., Any]
    step: Callable[..., Any]
    params: Any
    regimes: int
    name: str


class Strategy(NamedTuple):
    """A sizing rule: ``init(params) -> state``, ``step(state, bars, belief, portfolio, params) -> (state, Target)``.

    `bind`, when given, is called at every fit as ``bind(params, fitted) -> params``: for a rule that needs the
    model's own parameters. It must keep the shapes. `labels` says what each regime is called, or is empty.
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    params: Any
    name: str
    bind: Callable[[Any, Any], Any] | None = None


class Step(NamedTuple):
    """What one bar did: its row of `Result.table` (6,), weights (N,), belief (K + 1,) and rows of the order log.

    `positions` (2, N) are the units held and the last prices after it.
    """

    bar: int
    ts: int
    equity: Floats
    weights: Floats
    belief: Floats
    events: Floats
    positions: Floats
