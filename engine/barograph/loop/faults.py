"""What goes wrong in a run, told to the author of the part at fault."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barograph.errors import RuinError, StrategyError
from barograph.execution import book as col
from barograph.execution.book import requests_a_bar

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.machine import Machine

__all__ = ["failure", "gist", "line_of"]


def gist(error: Exception) -> str:
    """Return the first line of a compiler's page that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(("Failed in", "During", "File"))), type(error).__name__)


def line_of(error: Exception) -> str:
    """Return the file and line an exception came from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


def failure(fault: int, machine: Machine, history: History, bar: int, book: Any) -> StrategyError:
    """Return what is told of a fault that an account came to at a bar."""
    who, when = f"strategy {machine.strategy.name}", history.when(bar)
    culprit = int(book.counters[col.CULPRIT])
    symbol = history.symbols[culprit] if culprit >= 0 else "a column that does not exist"
    most = requests_a_bar(len(history.symbols), machine.terms.resting)
    told = {
        col.NOT_A_NUMBER: "returned NaN (or -inf, or a wrong number of weights) for "
        f"{symbol} at the close of {when}; wanted a weight, or HOLD to leave the position alone",
        col.NO_SLOT: f"has more than {machine.terms.resting} orders on {symbol} at {when}; cancel some, or "
        "raise execution.resting",
        col.NO_SLIP: f"wrote more requests than its slip has room for at the close of {when}; ask for a larger "
        "orders.slip(...)",
        col.BAD_ORDER: f"asked for an order nobody can mean on {symbol} at the close of {when}; wanted an asset's "
        "column, a quantity that is not 0, prices that are not 0 and tags above 0 (trailing fractions below 1)",
        col.BAD_PAIR: f"paired orders of two assets at the close of {when}; one_cancels_other wants two of one asset",
        col.TOO_MANY: f"wrote more than {most} requests on its slip at the close of {when}; ask for fewer, or "
        "raise execution.resting",
        col.LOG_FULL: f"caused more events at {when} than a bar can hold; please report this",
    }
    if fault in told:
        return StrategyError(f"{who} {told[fault]}")
    return RuinError(f"{who} ruined the account: equity is {float(book.money[col.EQUITY]):.2f} at {when}")
