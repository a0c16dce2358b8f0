"""When a model learns, and from which bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from barograph.regimes.fitted import Fitted
    from barograph.regimes.window import Window

__all__ = ["CALENDAR_RULES", "FAILED", "Close", "Fit", "check_every", "falls", "next_fall"]

CALENDAR_RULES: Final = ("week", "month", "quarter", "year")
FAILED: Final = ("keep", "stop")
# Closes that are looked at together for the next one in another period.
_AT_ONCE: Final = 128


class Close(NamedTuple):
    """What a trigger looks at: a close, how many bars after the last fit it is, and what the filter made of it.

    `probs` (R,) and `logpdf` are the belief, `features` (d,) what the filter saw; with a belief an asset `probs` is
    (N, R), `logpdf` (N,), and `features` holds those of each traded asset, one after another.
    """

    bar: int
    ts: int
    since_fit: int
    probs: Any
    logpdf: Any
    features: Any


@dataclass(frozen=True)
class Fit:
    """When the model learns, and from which bars: always from bars up to the decision bar, minus the embargo.

    `window` bars of training (the least, when `expanding`); `every` is a number of bars, one of week, month, quarter,
    year (the first bar of a new one), or "never"; `embargo` bars before the decision bar are left out.

    A refit that fails leaves the model in force, and is told; with ``failed="stop"`` it ends the run, as a first fit
    that fails always does. ``trigger(close)`` asks for a fit at a close beside the schedule, from a `Close` and nothing
    else, so that history and live agree; the run then goes bar by bar. ``check(fitted, window)`` may turn a refit down:
    it returns why, or "" to take it.

    >>> Fit(window=500, every="month").rows(999)
    (500, 1000)
    >>> Fit(window=500, every=21, expanding=True, embargo=5).rows(999)
    (0, 995)
    """

    window: int
    every: int | str = "year"
    expanding: bool = False
    embargo: int = 0
    failed: str = "keep"
    trigger: Callable[[Close], bool] | None = None
    check: Callable[[Fitted, Window], str] | None = None

    def __post_init__(self) -> None:
        """Refuse a schedule that cannot be kept."""
        if self.window < 2 or self.embargo < 0:
            raise ConfigError(f"fit.window is {self.window} and fit.embargo {self.embargo}; wanted >= 2 and >= 0")
        check_every(self.every, "fit.every")
        if self.failed not in FAILED:
            told = f"wanted {' or '.join(FAILED)}{nearest(str(self.failed), FAILED)}"
            raise ConfigError(f"fit.failed is {self.failed!r}; {told}")

    def rows(self, bar: int) -> tuple[int, int]:
        """Return the training rows [first, last) of a fit at the close of `bar`."""
        last = bar + 1 - self.embargo
        return (0 if self.expanding else max(0, last - self.window)), last

    def due(self, bar: int, start: int, ts: Any) -> bool:
        """Tell whether a fit falls on the close of `bar`; the first one is on the bar before `start`."""
        return falls(self.every, bar, start, ts)


def check_every(every: Any, key: str) -> None:
    """Raise `ConfigError` naming the key unless it says how often: a number of bars, or a word for a period."""
    known = (*CALENDAR_RULES, "never")
    if isinstance(every, str) and every not in known:
        hint = nearest(every, known)
        raise ConfigError(f"{key} is {every!r}; wanted a number of bars or one of {', '.join(known)}{hint}")
    if not isinstance(every, str) and (not isinstance(every, int) or every < 1):
        raise ConfigError(f"{key} is {every}; wanted a whole number of bars, at least 1, or 'never'")


def falls(every: int | str, bar: int, start: int, ts: Any) -> bool:
    """Tell whether what is done before `start`, and then ever so often, falls on the close of `bar`.

    >>> [bar for bar in range(20) if falls(5, bar, 8, None)]
    [7, 12, 17]
    """
    if bar == start - 1:
        return True
    if bar < start or every == "never":
        return False
    if isinstance(every, int):
        return (bar - start + 1) % every == 0
    return bool(_period(ts[bar], every) != _period(ts[bar - 1], every))


def next_fall(every: int | str, first: int, last: int, start: int, ts: Any) -> int:
    """Return the first bar of [first, last) on whose close it falls, or `last` where there is none.

    >>> next_fall(5, 9, 20, 8, None), next_fall(5, 9, 11, 8, None), next_fall("never", 3, 20, 8, None)
    (12, 11, 7)
    """
    if first < start <= last:
        return start - 1
    if every == "never" or first >= last:
        return last
    if isinstance(every, int):
        return min(last, first + -(first - start + 1) % every)
    for begin in range(first, last, _AT_ONCE):
        periods = _period(ts[begin - 1 : min(last, begin + _AT_ONCE)], every)
        fallen = np.flatnonzero(periods[1:] != periods[:-1])
        if fallen.size:
            return begin + int(fallen[0])
    return last


def _period(ts: Any, rule: str) -> Any:
    # A close at midnight belongs to the day that ends there.
    day = (ts - 1).astype("datetime64[ns]").astype("datetime64[D]")
    if rule == "week":
        return (day.astype(np.int64) + 3) // 7
    return day.astype("datetime64[M]").astype(np.int64) // {"month": 1, "quarter": 3, "year": 12}[rule]
