"""A machine: features, model, strategy and rules, put together once and run by any loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.data.rates import Rate
from barograph.errors import ConfigError, nearest
from barograph.execution.book import FILLS, PATHS, Rules
from barograph.execution.terms import ACCOUNTS, Guard, Switch, check_terms, rules_of
from barograph.jit.kernel import kernel
from barograph.jit.views import frozen
from barograph.loop.fit import Fit
from barograph.types import Belief, Feature, Filter, Strategy

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted, Model

__all__ = ["Machine", "no_model", "strategy"]


@kernel
def _nothing_believed(state: Any, x: Any, params: Any) -> Any:
    return state, Belief(frozen(state), 0.0)


def no_model() -> Filter:
    """Return the filter of a machine without a model: one regime, and it is certain."""
    return Filter(init=lambda _: np.ones(1), step=_nothing_believed, params=(), regimes=1, name="none")


@kernel
def _no_memory(params: Any) -> Any:
    return ()


def strategy(
    step: Callable[..., Any], params: Any = (), init: Callable[..., Any] = _no_memory, name: str = ""
) -> Strategy:
    """Make a strategy of one function; without `init` it remembers nothing.

    >>> import barograph as bg
    >>> @bg.kernel
    ... def half(state, bars, belief, portfolio, params):
    ...     return state, bg.Target(0.5)
    >>> strategy(half).name
    'half'
    """
    return Strategy(init=init, step=step, params=params, name=name or step.__name__)


@dataclass(frozen=True)
class Machine:
    """Everything that decides: what is observed, believed and done about it, and on which terms it trades.

    `features` feed the model (the first should be the log return when a strategy sizes by risk); `model` learns as
    `fit` says, or is already fitted (then without `fit`); `filter` brings a hand-made filter; with neither there is one
    regime. The terms of trade are those of docs/execution.md: `fee`, `slippage` are fractions of the traded value,
    rates are a year, `lot` 0 trades any quantity, `leverage` caps gross exposure, `band` is how far a weight may drift
    from its target before it is traded back. `start` is the first bar that is decided (its index, a date, or None: as
    early as the model allows).
    """

    strategy: Strategy
    features: Sequence[Feature] = ()
    model: Model | Fitted | None = None
    filter: Filter | None = None
    fit: Fit | None = None
    start: int | str | None = None
    cash: float = 1_000_000.0
    fill: str = "next_open"
    fee: float = 0.0005
    maker_fee: float | None = None
    unit_fee: float = 0.0
    fixed_fee: float = 0.0
    minimum_fee: float = 0.0
    tiers: Sequence[Sequence[float]] = ()
    slippage: float = 0.0002
    spread: float = 0.0
    volatility_slippage: float = 0.0
    impact: float = 0.0
    lot: float = 0.0
    tick: float = 0.0
    min_notional: float = 0.0
    participation: float = 0.0
    path: str = "pessimistic"
    account: str = "margin"
    leverage: float = 1.0
    maintenance: float = 0.25
    warning: float = 0.30
    borrow_rate: float | Rate = 0.05
    cash_rate: float | Rate = 0.0
    short_rate: float = 0.005
    band: float = 0.0
    guards: Sequence[Guard | Switch] = ()
    resting: int = 8
    name: str = field(default="")

    def __post_init__(self) -> None:
        """Refuse terms that cannot be meant."""
        for key, known in (("fill", FILLS), ("path", PATHS), ("account", ACCOUNTS)):
            found = getattr(self, key)
            if found not in known:
                raise ConfigError(f"{key} is {found!r}; wanted one of {', '.join(known)}{nearest(found, known)}")
        check_terms(self)
        if self.learns != (self.fit is not None):
            found = "there is no fit (when to learn)" if self.fit is None else "there is no model that can still learn"
            raise ConfigError(f"a model and its fit schedule belong together; {found}")

    @property
    def learns(self) -> bool:
        """Whether the model is refitted as bars arrive; a model already fitted is not."""
        return self.model is not None and not hasattr(self.model, "filter")

    def rules(self, traded: Sequence[bool]) -> Rules:
        """Return the terms as the compiled step wants them."""
        return rules_of(self, traded)
