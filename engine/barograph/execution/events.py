"""The log of all that happens to the account and its orders: its words, its columns, its rows."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel

__all__ = [
    "AS_WANTED",
    "BORN",
    "CALLED_IN",
    "CANCELLED",
    "DAILY_LOSS",
    "DATE_PASSED",
    "DAY_OVER",
    "DELISTED",
    "DELISTING",
    "DIVIDEND",
    "DRAWDOWN",
    "ENTRY",
    "EVENTS",
    "EXPIRED",
    "FILLED",
    "FLATTENED",
    "GUARD",
    "HALTED",
    "KILL",
    "LIQUIDATION",
    "LOG_COLUMNS",
    "MARGIN_CALL",
    "MARGIN_WARNING",
    "NEWER",
    "NO_LOT",
    "NO_REDUCTION",
    "NO_ROOM",
    "NO_SHORTS",
    "NO_VOLUME",
    "OTHER_FILLED",
    "OVER_GROSS",
    "OVER_NET",
    "OVER_POSITION",
    "PARTIAL",
    "REASONS",
    "REJECTED",
    "RELEASED",
    "REPLACED",
    "ROLES",
    "SHRUNK",
    "SPELLED",
    "SPLIT",
    "STOP_LOSS",
    "STOP_OUT",
    "TAKE_PROFIT",
    "THERE",
    "TOO_SMALL",
    "TRAIL_LOSS",
    "TRIGGERED",
    "TURNOVER",
    "UNHEALTHY",
    "UNPROTECTED",
    "UNTRADED",
    "WITHDRAWN",
    "log_columns",
    "spell",
    "write",
]

EVENTS: Final = (
    "born",
    "filled",
    "cancelled",
    "rejected",
    "partial",
    "expired",
    "triggered",
    "dividend",
    "split",
    "delisted",
    "margin_warning",
    "margin_call",
    "guard",
    "released",
)
(BORN, FILLED, CANCELLED, REJECTED, PARTIAL, EXPIRED, TRIGGERED, DIVIDEND, SPLIT, DELISTED, MARGIN_WARNING,
 MARGIN_CALL, GUARD, RELEASED) = range(14)  # fmt: skip
REASONS: Final = (
    "as wanted",
    "shrunk: no room under the leverage limit",
    "no room under the leverage limit",
    "replaced by a newer target",
    "less than one lot",
    "already at the target",
    "participation: the rest waits for more volume",
    "below the smallest order value",
    "cash account: nothing to sell",
    "reduce only: nothing to reduce",
    "the other order of the pair filled",
    "nothing left to protect",
    "replaced by a newer order",
    "cancelled by the strategy",
    "its day is over",
    "its date has passed",
    "the asset is delisted",
    "the asset is not traded",
    "margin call",
    "drawdown limit",
    "daily loss limit",
    "gross exposure limit",
    "net exposure limit",
    "position limit",
    "turnover limit",
    "cool-down after a stop-out",
    "kill switch",
    "halted by the operator",
    "flattened by the operator",
    "the model is unhealthy or the data are stale",
)
(AS_WANTED, SHRUNK, NO_ROOM, REPLACED, NO_LOT, THERE, NO_VOLUME, TOO_SMALL, NO_SHORTS, NO_REDUCTION, OTHER_FILLED,
 UNPROTECTED, NEWER, WITHDRAWN, DAY_OVER, DATE_PASSED, DELISTING, UNTRADED, CALLED_IN, DRAWDOWN, DAILY_LOSS, OVER_GROSS,
 OVER_NET, OVER_POSITION, TURNOVER, STOP_OUT, KILL, HALTED, FLATTENED, UNHEALTHY) = range(30)  # fmt: skip
ROLES: Final = ("entry", "stop_loss", "take_profit", "trailing_stop", "liquidation")
ENTRY, STOP_LOSS, TAKE_PROFIT, TRAIL_LOSS, LIQUIDATION = range(5)
# One row an event: what, order, bar, asset, weight, quantity, price, fee, slippage, reason. Where an order of the full
# book is born, the last five are its terms: asked, limit, stop, trail, and a number that spells kind, life and role;
# the row then goes on: until, parent, group, tag. A narrow row is a fast one: the memory it is written to is new.
LOG_COLUMNS: Final = 10
_BORN_COLUMNS: Final = 4
SPELLED: Final = 100


def log_columns(resting: int) -> int:
    """Return the width of the log."""
    return LOG_COLUMNS + (_BORN_COLUMNS if resting else 0)


@kernel
def spell(kind: int, life: int, role: int) -> int:
    """Put three small numbers into one that no reason has.

    >>> from barograph.orders import FOR_DAY, STOP
    >>> spell(STOP, FOR_DAY, STOP_LOSS)
    142
    """
    return SPELLED + kind + 8 * life + 32 * role


@kernel
def write(log: Any, row: int, event: int, order: int, t: int, a: int, weight: float, q: float, price: float,
          fee: float, slip: float, reason: int) -> None:  # fmt: skip
    """Write one event into the log."""
    log[row, 0] = event
    log[row, 1] = order
    log[row, 2] = t
    log[row, 3] = a
    log[row, 4] = weight
    log[row, 5] = q
    log[row, 6] = price
    log[row, 7] = fee
    log[row, 8] = slip
    log[row, 9] = reason


_STATUS = {FILLED: "filled", CANCELLED: "cancelled", REJECTED: "rejected", EXPIRED: "expired"}


class _Terms(NamedTuple):
    """What orders were born as, one value an order; targets have a weight and no terms."""

    kind: Any
    asked: Any
    limit: Any
    stop: Any
    trail: Any
    life: Any
    until: Any
    role: Any
    parent: Any
    group: Any
    tag: Any

    @classmethod
    def of(cls, born: Any) -> _Terms:
        """Read them from the log; a row of the light book, or of a target, says nothing."""
        none, zero = np.full(len(born), np.nan), np.zeros(len(born))
        role = np.where(born[:, 9] == CALLED_IN, float(ROLES.index("liquidation")), 0.0)
        blank = cls(zero, none, none, none, none, zero, np.full(len(born), np.inf), role, zero, zero, zero)
        if born.shape[1] == LOG_COLUMNS:
            return blank
        told = born[:, 9] >= SPELLED
        spelled = np.where(told, born[:, 9], SPELLED).astype(np.int64) - SPELLED
        (asked, limit, stop, trail), (until, parent, group, tag) = born[:, 5:9].T, born[:, LOG_COLUMNS:].T
        life, role = spelled // 8 % 4, spelled // 32
        rows = cls(spelled % 8, asked, limit, stop, trail, life, until, role, parent, group, tag)
        return cls(*(np.where(told, row, empty) for row, empty in zip(rows, blank, strict=True)))


def _words(names: tuple[str, ...], codes: Any) -> Any:
    return np.array(names, dtype=object)[np.asarray(codes, dtype=np.int64)]


def _reason(event: Any) -> str:
    return "waiting at the end of the data" if event is None else REASONS[int(event[9])]
