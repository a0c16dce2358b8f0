"""Any rule for one asset, with a stop-loss, a take-profit and a trailing stop around its position."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from barograph.errors import ConfigError
from barograph.jit.kernel import Kernel, kernel
from barograph.types import HOLD, Asset, Protected, Strategy

__all__ = ["protected"]


class Params(NamedTuple):
    """The rule's own params, the traded asset's column, and the factory's fractions; NaN = none."""

    rule: Any
    column: Any
    stop: float
    take: float
    trail: float
    pause: int


class Guarded(NamedTuple):
    """What the rule remembers; the side wanted and whether it was held (1) at the last close; the side a leg has closed
    and for how many bars; the two levels, in prices that compare across splits and dividends.
    """

    rule: Any
    side: float
    held: int
    closed: float
    bars: int
    stop: float
    take: float


@kernel
def _sign(weight: float) -> float:
    return 1.0 if weight > 0.0 else (-1.0 if weight < 0.0 else 0.0)


@functools.cache
def _kernels(begin: Callable[..., Any], decide: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        return Guarded(begin(params.rule), 0.0, 0, 0.0, 0, math.nan, math.nan)

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        rule, target = decide(state.rule, bars, belief, portfolio, params.rule)
        a, weight = params.column, target.weights
        held, factor = portfolio.quantity[a], bars.factor[a]
        p = bars.close[a] * factor
        wanted = state.side if weight == HOLD else _sign(weight)
        closed, waited = state.closed, state.bars
        # Held at the last close, still wanted, and gone: a leg has closed it.
        if state.held == 1 and held == 0.0 and state.side != 0.0:
            closed, waited = state.side, 0
        if closed != 0.0:
            waited += 1
            if wanted != closed or (params.pause > 0 and waited > params.pause):
                closed = 0.0
        stop, take = state.stop, state.take
        if closed != 0.0:
            weight = 0.0
        elif held * wanted <= 0.0 and wanted != 0.0 and not math.isnan(p):
            # Not in yet: the levels are a fraction away from the close that is decided on.
            stop, take = p * (1.0 - wanted * params.stop), p * (1.0 + wanted * params.take)
        state = Guarded(rule, wanted, 1 if held != 0.0 else 0, closed, waited, stop, take)
        return state, Protected(weight, stop / factor, take / factor, params.trail)

    if isinstance(begin, Kernel) and isinstance(decide, Kernel):
        return kernel(init), kernel(step)
    return init, step


def protected(
    of: Strategy,
    stop: float | None = None,
    take: float | None = None,
    trail: float | None = None,
    pause: int = 0,
    asset: str = "",
) -> Strategy:
    """Follow the rule `of`, and give its position a stop-loss, a take-profit and a trailing stop.

    `stop` and `take` are fractions of the close before the entry (0.05: 5 % below it for a long position, above it for
    a short one); `trail` is the distance that a stop keeps from the best price since, a fraction too. Once a leg has
    closed the position it stays closed until the rule asks for something else, or with `pause` for so many bars; an
    exit inside the entry's own bar is not seen, and is entered again. The rule answers with one number and trades one
    asset, in the first column unless `asset` names it; with a belief an asset every one has its own rule and legs.

    Raises `ConfigError` when there is nothing to protect with, and for fractions that cannot be meant.

    >>> from barograph_strategies.regime_filter import regime_filter
    >>> protected(regime_filter(), stop=0.05, trail=0.1).name
    'protected'
    """
    given = {"stop": stop, "take": take, "trail": trail}
    if all(value is None for value in given.values()):
        raise ConfigError("protected: none of stop, take, trail is given; wanted at least one, as in stop = 0.05")
    for key, value in given.items():
        if value is not None and not (0.0 < value < math.inf and (key == "take" or value < 1.0)):
            wanted = "a fraction above 0" if key == "take" else "a fraction between 0 and 1"
            raise ConfigError(f"protected: {key}={value}; wanted {wanted}")
    if pause < 0:
        raise ConfigError(f"protected: pause={pause}; wanted a number of bars, or 0 to wait for the rule")
    init, step = _kernels(of.init, of.step)
    far = {key: math.nan if value is None else float(value) for key, value in given.items()}
    params = Params(rule=of.params, column=Asset(asset), pause=int(pause), **far)
    return Strategy(init, step, params, "protected", _bind(of), of.horizons, of.reads, of.features)


def _bind(of: Strategy) -> Callable[[Any, Any], Any] | None:
    """Let the rule look at every fit, where it wants to."""
    look = of.bind
    if look is None:
        return None
    return lambda params, fitted: params._replace(rule=look(params.rule, fitted))
