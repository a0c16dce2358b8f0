"""The terms of trade in words people use, turned into the numbers the step wants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.book import FILLS, PATHS, Rules
from barograph.calendars import moments
from barograph.errors import ConfigError, DataError, nearest
from barograph.guards import GUARDS, MODES
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

    from barograph.machine import Machine

__all__ = ["ACCOUNTS", "Guard", "Rate", "Switch", "check_terms", "plain", "rates_on", "rules_of"]

ACCOUNTS: Final = ("margin", "cash")
_AT_LEAST_NOTHING: Final = (
    "fee", "unit_fee", "fixed_fee", "minimum_fee", "slippage", "spread", "volatility_slippage", "impact", "lot", "tick",
    "min_notional", "participation", "maintenance", "warning", "short_rate", "band",
)  # fmt: skip


@dataclass(frozen=True)
class Guard:
    """One limit: `on` what, the `limit`, what happens beyond it, and for how many bars it holds on afterwards.

    `on` is drawdown or daily_loss (fractions of the high-water mark, of the last day's equity), gross, net or position
    (fractions of equity), turnover (value traded this calendar month over equity), stop_out (stop-losses filled in one
    bar) or kill (`limit` is then a date). A drawdown guard holds for good, or with `cool_down` for so many bars, after
    which the high-water mark begins anew.

    >>> Guard("drawdown", 0.2, "flatten").row()
    (19.0, 0.2, 3.0, 0.0)

    Raises `ConfigError` naming what cannot be meant.
    """

    on: str
    limit: float | str
    mode: str = "no_new_risk"
    cool_down: int = 0

    def __post_init__(self) -> None:
        """Refuse a limit that cannot be kept."""
        if self.on not in GUARDS:
            raise ConfigError(f"guard on {self.on!r}; wanted one of {', '.join(GUARDS)}{nearest(self.on, GUARDS)}")
        if self.mode not in MODES[1:]:
            wanted = ", ".join(MODES[1:])
            raise ConfigError(f"guard on {self.on}: mode is {self.mode!r}; wanted one of {wanted}")
        if isinstance(self.limit, str) != (self.on == "kill"):
            wanted = "a date, as in '2024-07-01'" if self.on == "kill" else "a number"
            raise ConfigError(f"guard on {self.on}: limit is {self.limit!r}; wanted {wanted}")
        most = 1.0 if self.on in ("drawdown", "daily_loss") else math.inf
        if not isinstance(self.limit, str) and not 0.0 < self.limit < most:
            wanted = "a fraction between 0 and 1 (20 % is 0.2)" if most == 1.0 else "a number above 0"
            raise ConfigError(f"guard on {self.on}: limit is {self.limit}; wanted {wanted}")
        if self.cool_down < 0:
            raise ConfigError(f"guard on {self.on}: cool_down is {self.cool_down}; wanted a number of bars, at least 0")
        try:
            self.row()
        except DataError:
            raise ConfigError(f"guard on kill: limit is {self.limit!r}; wanted a date, as in '2024-07-01'") from None

    def row(self) -> tuple[float, float, float, float]:
        """Return the guard as the compiled step wants it."""
        limit = float(moments(self.limit, None)[0]) if isinstance(self.limit, str) else float(self.limit)
        return float(GUARDS[self.on]), limit, float(MODES.index(self.mode)), float(self.cool_down)


@dataclass(frozen=True)
class Switch:
    """A guard that somebody outside turns on and off: nothing that is measured ever does.

    `reason` is the number, in `barograph.book.REASONS`, that orders it stops are given.
    """

    reason: int
    mode: str

    def row(self) -> tuple[float, float, float, float]:
        """Return the switch as the compiled step wants a guard: one whose limit is never reached."""
        return float(self.reason), math.inf, float(MODES.index(self.mode)), 0.0


@dataclass(frozen=True, eq=False)
class Rate:
    """A yearly rate that changes: moments (int64 ns UTC, increasing) from which each value (a fraction) holds.

    >>> import pandas as pd
    >>> bills = Rate.of(pd.Series([0.05, 0.04], index=pd.to_datetime(["2024-01-02", "2024-07-01"])))
    >>> float(bills.values[1])
    0.04

    Raises `DataError` when time does not increase or a rate is not a number.
    """

    ts: Any
    values: Floats

    @classmethod
    def of(cls, series: pd.Series) -> Rate:
        """Make a rate of a series with a time index."""
        from barograph.calendars import nanoseconds

        return cls(nanoseconds(series.index), np.array(series, dtype=np.float64))

    def __post_init__(self) -> None:
        """Refuse what is no rate."""
        if len(self.ts) == 0 or len(self.ts) != len(self.values):
            found = f"{len(self.ts)} moments and {len(self.values)} values"
            raise DataError(f"a rate wants moments and as many values; found {found}")
        back = np.diff(self.ts) <= 0
        if back.any():
            row = int(np.argmax(back)) + 1
            now, before = (
                np.datetime64(int(t), "ns").astype("datetime64[s]") for t in (self.ts[row], self.ts[row - 1])
            )
            raise DataError(f"a rate wants increasing moments; row {row} is {now}, after {before}: sort them")
        if not np.isfinite(self.values).all():
            raise DataError(f"a rate of {len(self.values)} values holds one that is not a number; remove the row")
        if np.any(np.abs(self.values) >= 2.0):
            most = self.values[np.argmax(np.abs(self.values))]
            raise DataError(f"a rate holds {most:g}, which is {most:.0%} a year; wanted fractions (or percent = true)")

    def on(self, ts: Any) -> Floats:
        """Return the rate in force before each bar: known at the close of the one before."""
        before = np.concatenate([ts[:1], ts[:-1]])
        at = np.searchsorted(self.ts, before, side="right") - 1
        if at[0] < 0:
            first, wanted = (np.datetime64(int(t), "ns").astype("datetime64[D]") for t in (self.ts[0], ts[0]))
            raise DataError(f"the rate begins on {first}, the history on {wanted}; begin the rate there or earlier")
        return np.asarray(self.values[at], dtype=np.float64)


def rates_on(ts: Any, borrow: float | Rate, cash: float | Rate) -> Floats:
    """Return the rates on negative and positive cash, (T, 2), or (1, 2) when neither changes."""
    if not isinstance(borrow, Rate) and not isinstance(cash, Rate):
        return np.array([[float(borrow), float(cash)]])
    columns = []
    for key, rate in (("borrow_rate", borrow), ("cash_rate", cash)):
        try:
            columns.append(rate.on(ts) if isinstance(rate, Rate) else np.full(len(ts), float(rate)))
        except DataError as error:
            raise DataError(f"execution.{key}: {error}") from None
    return np.ascontiguousarray(np.column_stack(columns))


def check_terms(machine: Machine) -> None:
    """Raise `ConfigError` naming the first term that cannot be meant."""
    for key in _AT_LEAST_NOTHING:
        if not 0.0 <= getattr(machine, key) < np.inf:
            raise ConfigError(f"{key} is {getattr(machine, key)}; wanted a number of at least 0")
    for key in ("cash", "leverage"):
        if not 0.0 < getattr(machine, key) < np.inf:
            raise ConfigError(f"{key} is {getattr(machine, key)}; wanted a number above 0")
    if not isinstance(machine.borrow_rate, Rate) and not 0.0 <= machine.borrow_rate < np.inf:
        raise ConfigError(f"borrow_rate is {machine.borrow_rate}; wanted a number of at least 0, or a series")
    if not isinstance(machine.cash_rate, Rate) and not np.isfinite(machine.cash_rate):
        raise ConfigError(f"cash_rate is {machine.cash_rate}; wanted a number, or a series")
    if machine.maker_fee is not None and not -0.01 <= machine.maker_fee < 0.5:
        raise ConfigError(f"maker_fee is {machine.maker_fee}; wanted a fraction from -0.01 (a rebate) to 0.5")
    if machine.participation > 1.0 or machine.maintenance > 1.0:
        raise ConfigError("participation and maintenance are fractions; wanted numbers up to 1")
    if machine.account == "cash" and machine.leverage > 1.0:
        raise ConfigError(
            f"a cash account has no leverage of {machine.leverage}; set account = 'margin' or leverage = 1"
        )
    if machine.maintenance * machine.leverage > 1.0:
        needed = f"maintenance {machine.maintenance} asks for at most {1.0 / machine.maintenance:g} times equity"
        raise ConfigError(f"leverage is {machine.leverage}, but {needed}; lower one of them")
    if not 1 <= machine.resting <= 64:
        raise ConfigError(f"resting is {machine.resting}; wanted 1 to 64 orders an asset")
    if sum(isinstance(guard, Guard) for guard in machine.guards) > 16:
        raise ConfigError(f"there are {len(machine.guards)} guards; wanted at most 16")
    _tiers(machine.tiers)


def _tiers(tiers: Sequence[Sequence[float]]) -> Floats:
    """Return the fee tiers as (J, 3), or refuse them."""
    rows = np.zeros((0, 3)) if len(tiers) == 0 else np.array([list(row) for row in tiers], dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != 3 or not np.isfinite(rows).all() or np.any(np.diff(rows[:, 0]) <= 0.0):
        raise ConfigError("tiers wants rows [from_value, fee, maker_fee], values rising, as in [[0, 0.001, 0.0005]]")
    if np.any(rows[:, 1] < 0.0) or np.any(rows[:, 2] < -0.01) or np.any(rows[:, 1:] >= 0.5):
        raise ConfigError("tiers wants fees as fractions: from 0 (a maker's from -0.01, a rebate) to 0.5")
    return rows


def plain(machine: Machine) -> bool:
    """Tell whether the light book knows these terms: fee, fixed fee, slippage, lot, leverage, rates, band, guards."""
    special = (machine.unit_fee, machine.minimum_fee, machine.volatility_slippage, machine.impact, machine.tick)
    more = (machine.min_notional, machine.participation)
    return not any(special) and not any(more) and len(machine.tiers) == 0 and machine.account == "margin"


def rules_of(machine: Machine, traded: Sequence[bool]) -> Rules:
    """Return a machine's terms as the compiled step wants them."""
    return Rules(
        fee=float(machine.fee),
        maker_fee=float(machine.fee if machine.maker_fee is None else machine.maker_fee),
        unit_fee=float(machine.unit_fee),
        fixed_fee=float(machine.fixed_fee),
        minimum_fee=float(machine.minimum_fee),
        tiers=_tiers(machine.tiers),
        slippage=float(machine.slippage) + 0.5 * float(machine.spread),
        volatility_slippage=float(machine.volatility_slippage),
        impact=float(machine.impact),
        lot=float(machine.lot),
        tick=float(machine.tick),
        min_notional=float(machine.min_notional),
        leverage=float(machine.leverage),
        shorts=1 if machine.account == "margin" else 0,
        maintenance=float(machine.maintenance),
        warning=max(float(machine.warning), float(machine.maintenance)),
        short_rate=float(machine.short_rate),
        participation=float(machine.participation),
        path=PATHS.index(machine.path),
        band=float(machine.band),
        fill=FILLS.index(machine.fill),
        traded=np.array(traded, dtype=np.int64),
        guards=np.array([guard.row() for guard in machine.guards]).reshape(len(machine.guards), 4),
    )
