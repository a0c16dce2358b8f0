"""The terms of trade in words people use, turned into the numbers the step wants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from barograph.data.calendars import moments
from barograph.data.rates import Rate
from barograph.errors import ConfigError, DataError, nearest
from barograph.execution.book import FILLS, PATHS, Rules
from barograph.execution.guards import GUARDS, MODES
from barograph.types import Floats

__all__ = ["ACCOUNTS", "Guard", "Switch", "check_terms", "plain", "rules_of"]

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

    `reason` is the number, in `barograph.execution.events.REASONS`, that orders it stops are given.
    """

    reason: int
    mode: str

    def row(self) -> tuple[float, float, float, float]:
        """Return the switch as the compiled step wants a guard: one whose limit is never reached."""
        return float(self.reason), math.inf, float(MODES.index(self.mode)), 0.0


def check_terms(machine: Any) -> None:
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


def plain(machine: Any) -> bool:
    """Tell whether the light book knows these terms: fee, fixed fee, slippage, lot, leverage, rates, band, guards."""
    special = (machine.unit_fee, machine.minimum_fee, machine.volatility_slippage, machine.impact, machine.tick)
    more = (machine.min_notional, machine.participation)
    return not any(special) and not any(more) and len(machine.tiers) == 0 and machine.account == "margin"


def rules_of(machine: Any, traded: Sequence[bool]) -> Rules:
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
