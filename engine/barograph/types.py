"""The nouns: what a bar, a belief and a target are, and what a part is.

All are immutable tuples of numbers and arrays, so that compiled code and a notebook carry the same thing. Time is
int64 nanoseconds UTC and always a bar's *close*. NaN in a price means: this asset has no bar now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["HOLD", "Asset", "Bars", "Belief", "Entering", "Feature", "Feed", "Filter", "Filtered", "Floats", "Forecast",
           "Orders", "Portfolio", "Protected", "Smoothed", "Step", "Strategy", "Target"]  # fmt: skip

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


class Forecast(NamedTuple):
    """What a filter expects `horizon` bars ahead: a mixture of the return summed over those bars, and P(regime then).

    The mixture has M parts: `weights`, `mean`, `variance` and `degrees_of_freedom` (M,), infinite where a part is
    normal, else above 2, of a Student-t with that mean and variance. `probs` has shape (R,). In a belief an asset every
    array has the assets before: (N, M) and (N, R).
    """

    horizon: int
    weights: Floats
    mean: Floats
    variance: Floats
    degrees_of_freedom: Floats
    probs: Floats


class Entering(NamedTuple):
    """What a strategy may declare among its horizons: will any of these regimes be entered within so many bars?

    Its `Forecast` is that of a market which stays in them once it is there: ``sum(probs[regimes])`` is P(entered by
    then), what is there already counted. Its mixture is that of such a market too, and of no use.
    """

    horizon: int
    regimes: tuple[int, ...]


class Belief(NamedTuple):
    """What a filter knows at a close: P(regime | bars so far), shape (R,), and log p(this bar | earlier bars).

    `forecasts` holds a `Forecast` for each of the horizons that the strategy declares, in its order. With a belief an
    asset `probs` is (N, R) and `logpdf` (N,), a row for every column of the bars, NaN for one that is not traded.
    `features` (F,) are the numbers of this bar that the strategy declares, in its order; the model does not see them.
    """

    probs: Floats
    logpdf: Any
    forecasts: Any = ()
    features: Any = ()


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
    """A path of beliefs, each from the bars up to its own: probabilities (T, K) and log-densities (T,).

    With a belief an asset they are (T, N, K) and (T, N).
    """

    probs: Floats
    logpdf: Floats


class Smoothed(NamedTuple):
    """A path of probabilities that has seen *all* bars, shape (T, K): for plots, never for a strategy."""

    hindsight: Floats


class Asset(NamedTuple):
    """An asset by its symbol, where a parameter wants its column: the machine looks it up in the history."""

    symbol: str


class Feature(NamedTuple):
    """One number a bar: ``init(params) -> state`` and ``step(state, bars, params) -> (state, float)``.

    `role` says what a model may make of it (`barograph.regimes.window`); empty is the return for the first feature of
    a machine, and a feature for the others.
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    params: Any
    name: str
    role: str = ""


class Feed(NamedTuple):
    """Where bars come from: ``fetch(after, until)`` returns the final bars that closed in (after, until], ns UTC.

    It returns a `History`, or None when there are none; a bar that is not final is not returned. `History.source` says
    where the bars are from. A `fetch` that holds a connection has a method `close`, which is called at the end. What
    fails for now (no network, a web page instead of data) raises `FeedError`, one line; an answer that lacks some of
    the assets raises `IncompleteError` with the rest. `host` is who answers: a ban that it tells one feed is kept by
    all of that host.
    """

    name: str
    fetch: Callable[[int, int], Any]
    host: str = ""


class Filter(NamedTuple):
    """A model at work: ``init(params) -> state`` and ``step(state, x, params) -> (state, Belief)``, x of shape (d,).

    ``forecast(state, plan, horizon, out)`` writes into `out`, a `Forecast` whose mixture has ``components(params,
    horizon)`` parts, what is expected from a state; `plan` is what ``plan(params, horizon)`` made of the parameters
    once a fit. Without a `forecast` a strategy that declares horizons is refused. ``never_left(params, regimes)`` gives
    params of which a plan tells whether regimes are entered (`Entering`).
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    params: Any
    regimes: int
    name: str
    forecast: Callable[..., Any] | None = None
    plan: Callable[[Any, int], Any] | None = None
    components: Callable[[Any, int], int] | None = None
    never_left: Callable[[Any, Any], Any] | None = None


class Strategy(NamedTuple):
    """A sizing rule: ``init(params) -> state``, ``step(state, bars, belief, portfolio, params) -> (state, Target)``.

    `bind`, when given, is called at every fit as ``bind(params, fitted) -> params``: for a rule that needs the
    model's own parameters. It must keep the shapes. `horizons` are the numbers of bars ahead, each at least one, for
    which the rule wants a `Forecast` in every belief; or each an `Entering`.

    `reads` says which beliefs the rule can look at: "one" (R,); "all", those of a machine with a belief an asset,
    (N, R); "none"; or "own": a rule for one asset, which looks at one belief, and of which a machine with a belief an
    asset runs one for each. Such a rule answers with numbers, names its asset in its params (`Asset("")`), and the
    number of each is shared as that of one would be: divided by how many assets are traded.

    `features` are numbers of every bar that the rule wants to see, in its order, as `belief.features` (F,): no model
    learns from them. A rule for one asset sees its own asset's.
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    params: Any
    name: str
    bind: Callable[[Any, Any], Any] | None = None
    horizons: tuple[int | Entering, ...] = ()
    reads: str = "one"
    features: tuple[Feature, ...] = ()


class Step(NamedTuple):
    """What one bar did: its row of `Result.table` (6,), weights (N,), belief and rows of the order log.

    `belief` is a row of `Result.beliefs`; `positions` (2, N) are the units held and the last prices after it;
    `forecasts` (width,) what the strategy read.
    """

    bar: int
    ts: int
    equity: Floats
    weights: Floats
    belief: Floats
    events: Floats
    positions: Floats
    forecasts: Floats = np.empty(0)
