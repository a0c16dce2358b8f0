"""The words that a config chooses from, and the numbers that kernels know them by; nothing here needs the compiler."""

from __future__ import annotations

from typing import Final

__all__ = ["ACCOUNTS", "FILLS", "GUARDED", "MINIMUMS", "MODES", "PATHS"]

FILLS: Final = ("next_open", "next_close", "same_close")
NEXT_OPEN, NEXT_CLOSE, SAME_CLOSE = range(3)

PATHS: Final = ("pessimistic", "optimistic", "nearest")
PESSIMISTIC, OPTIMISTIC, NEAREST = range(3)

ACCOUNTS: Final = ("margin", "cash")

MINIMUMS: Final = ("order", "fill")

GUARDED: Final = ("drawdown", "daily_loss", "gross", "net", "position", "turnover", "stop_out", "kill")
"""What a guard may watch; `guards.GUARDS` gives each the reason that it stops orders for."""

# A guard's event tells its mode by these numbers: they stand in journals that exist, and never change.
FREE: Final = 0
NO_NEW_RISK: Final = 1
REDUCE_ONLY: Final = 2
FLATTEN: Final = 3

MODES: Final = {FREE: "free", NO_NEW_RISK: "no_new_risk", REDUCE_ONLY: "reduce_only", FLATTEN: "flatten"}
