"""One close as every rule sees it, and the few words that all rules share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from barograph.config.paper import KINDS, WatchPlan
from barograph.paper.ports import About, Alert
from barograph.regimes.outlook import Outlook, outlook
from barograph.types import Floats, Step

__all__ = ["Found", "Look", "State", "alert", "look_at", "moment", "named", "number_or_none"]

State = dict[str, Any]
Found = tuple[State, list[Alert]]
"""What a rule answers: what it changes in the memory, and its alerts."""


class Look(NamedTuple):
    """The plan, the close, and what may be known of it; `belief` is None when unknown, `seen` without a model.

    With a belief an asset both are None, and `each` holds a look at every asset, by its symbol; `symbol` is that of a
    look at one of them.
    """

    plan: WatchPlan
    step: Step
    about: About
    belief: Floats | None
    seen: Outlook | None
    each: dict[str, Any] = {}  # noqa: RUF012  nobody writes to it
    symbol: str = ""

    @property
    def asset(self) -> int:
        """The column whose price is shown beside the belief."""
        return self.about.symbols.index(self.symbol) if self.symbol else 0

    @property
    def ts(self) -> int:
        """The close, ns UTC."""
        return int(self.step.ts)

    @property
    def equity(self) -> float | None:
        """Equity at the close, or None if it is no number."""
        return number_or_none(self.step.equity[0])

    @property
    def net(self) -> float:
        """The net exposure at the close, as a fraction of equity."""
        return number_or_none(self.step.equity[3]) or 0.0

    @property
    def holdings(self) -> dict[str, float]:
        """The weights held at the close, by symbol, without the zeros."""
        held = zip(self.about.symbols, self.step.weights.tolist(), strict=True)
        return {symbol: weight for symbol, weight in held if weight != 0.0 and math.isfinite(weight)}


def look_at(plan: WatchPlan, step: Step, about: About) -> Look:
    """Lay out one close; a model whose regimes are not those of the belief tells nothing about it."""
    if about.believed:
        each = {symbol: _look_at(plan, *of, symbol) for symbol, of in _alone(step, about)}
        return Look(plan, step, about, None, None, each)
    return _look_at(plan, step, about)


def _alone(step: Step, about: About) -> Iterator[tuple[str, tuple[Step, About]]]:
    """Yield for each asset that is believed about its own row of the belief, and its filter's state."""
    n = len(about.symbols)
    regimes = len(step.belief) // n - 1
    probs, logpdf = step.belief[: n * regimes].reshape(n, regimes), step.belief[n * regimes :]
    for symbol, state in zip(about.believed, about.state, strict=True):
        a = about.symbols.index(symbol)
        own = np.array([*probs[a], logpdf[a]])
        yield symbol, (step._replace(belief=own), about._replace(state=state, believed=()))


def _look_at(plan: WatchPlan, step: Step, about: About, symbol: str = "") -> Look:
    probs = np.asarray(step.belief[:-1], dtype=np.float64)
    known = about.fitted is not None and about.fitted.regimes == len(probs)
    seen = outlook(about.fitted, plan.horizon, symbol) if known and about.fitted is not None else None
    return Look(plan, step, about, probs if bool(np.isfinite(probs).all()) else None, seen, symbol=symbol)


def alert(kind: str, look: Look, facts: State, severity: str | None = None, key: str | None = None) -> Alert:
    """Return an alert whose key is its kind and the bar's close, unless it has another."""
    return Alert(f"{kind}:{key or moment(look.ts)}", kind, severity or KINDS[kind], look.ts, facts)


def moment(ts: int) -> str:
    """Return a moment as keys spell it, to the second where that is all of it.

    >>> moment(1_719_864_000_000_000_000), moment(5_000)
    ('2024-07-01T20:00:00Z', '1970-01-01T00:00:00.000005000Z')
    """
    whole = ts % 1_000_000_000 == 0
    return f"{np.datetime64(int(ts), 'ns').astype('datetime64[s]' if whole else 'datetime64[ns]')}Z"


def named(look: Look, regime: int) -> str:
    """Return what a regime is called."""
    return look.seen.names[regime] if look.seen is not None else f"regime {regime}"


def number_or_none(value: Any) -> float | None:
    """Return a number that JSON can hold, or None."""
    number = float(value)
    return number if math.isfinite(number) else None
