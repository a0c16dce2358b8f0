"""What a sweep that is run elsewhere knows of its points: what they share, and what was seen once somebody tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.loop.wiring import declared_by
from barograph.sweeps.plan import Numbers
from barograph.sweeps.stages import Point, Seen, content, point_of

if TYPE_CHECKING:
    from barograph.data.history import History

__all__ = ["Outline", "outlined"]


class _Group(NamedTuple):
    """Points that see the same."""

    seen: int


class _Account(NamedTuple):
    """What accounts begin with."""

    cash: float


def outlined(seen: Seen) -> Seen:
    """Return what figures want of a look: no model, no features, no history; it can be sent to another process."""
    learned = tuple(one._replace(fitted=None, match=None) for one in seen.learned)  # type: ignore[arg-type]
    return seen._replace(history=None, columns=None, X=seen.X[:0], F=seen.F[:0], learned=learned,  # type: ignore[arg-type]
                         fits=())  # fmt: skip


class Outline:
    """All points of a sweep, by what they share, as `Plan` has them; nothing is looked at or laid out here."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._sees, self._decides, self._trades, self._observes = Numbers(), Numbers(), Numbers(), Numbers()
        self._known: list[Seen | None] = []
        self._histories: list[History] = []
        self.groups: list[_Group] = []
        self.deciders: list[int] = []
        self.accounts: list[_Account] = []
        self.columns: list[int] = []
        self.firsts: list[int] = []
        rows = [self._row(number, point) for number, point in enumerate(points)]
        self.rows = np.array(rows, dtype=np.int64).reshape(-1, 3)

    def _row(self, number: int, point: Point) -> tuple[int, int, int]:
        if point.machine.choose is not None:
            raise ConfigError(f"point {number}: a machine that chooses runs whole, here; wanted backend = 'compiled'")
        sees, decides, trades = point.keys or point_of(point.whole, point.history).keys  # type: ignore[misc]
        for feature in declared_by(point.whole, point.history) if point.strategy.features else ():
            column, new = self._observes((content((feature.init, feature.step, feature.params)), id(point.history)))
            self.columns += [column] if new else []
        seen, new = self._sees((sees, point.strategy.horizons, id(point.history)))
        if new:
            self._known.append(None)
            self._histories.append(point.history)
            self.groups.append(_Group(seen))
            self.firsts.append(number)
        decider, new = self._decides((seen, decides))
        if new:
            self.deciders.append(decider)
        account, new = self._trades((trades, id(point.history)))
        if new:
            self.accounts.append(_Account(float(point.terms.cash)))
        return decider, account, seen

    @property
    def seen(self) -> list[Seen]:
        """What was seen. Raises `ConfigError` where somebody still has to tell."""
        found = [seen for seen in self._known if seen is not None]
        if len(found) < len(self._known):
            raise ConfigError(f"sweep: {len(self._known) - len(found)} looks at the bars have not come back")
        return found

    def wants(self) -> list[int]:
        """Return the numbers of the looks that nobody has told of yet."""
        return [k for k, seen in enumerate(self._known) if seen is None]

    def know(self, number: int, seen: Seen) -> None:
        """Take in a look as `outlined` leaves it."""
        self._known[number] = seen._replace(history=self._histories[number])
