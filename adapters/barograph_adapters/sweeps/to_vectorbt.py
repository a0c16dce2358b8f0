"""A run as a vectorbt portfolio: every fill of ours, in order, at its price and its fee.

vectorbt is under the Apache License with the Commons Clause: users install it themselves, and a service that sells what
this makes must not offer it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.errors import ConfigError, DataError, with_extra
from barograph.execution import events

if TYPE_CHECKING:
    from barograph.loop.result import Result

__all__ = ["library", "portfolio"]

GAP: Final = 1e-9
# A share of equity that is rounding: what is left of cash when all of it was spent.
_CRUMB: Final = 1e-9


def library() -> Any:
    """Return vectorbt. Raises `ConfigError` where it is not installed."""
    try:
        return importlib.import_module("vectorbt")
    except ModuleNotFoundError as error:
        if error.name != "vectorbt":
            raise
        raise ConfigError(f"vectorbt is not installed; {with_extra('vectorbt')}") from error


def portfolio(result: Result) -> Any:
    """Return the run as a `vectorbt.Portfolio`, one group of all assets, its value our equity to 1e-9.

    Raises `ConfigError` for what vectorbt cannot hold, and `DataError` where its value is not our equity.
    """
    _refuse(result)
    vbt = library()
    import pandas as pd

    close, fills = _marks(result), _fills(result)
    starts = np.searchsorted(fills[0], np.arange(len(close) + 1))
    made = vbt.Portfolio.from_order_func(
        pd.DataFrame(
            close, index=pd.DatetimeIndex(result.arrays.ts).tz_localize("UTC"), columns=list(result.history.symbols)
        ),
        _order(vbt),
        starts.astype(np.int64),
        *fills[1:],
        flexible=True,
        use_numba=False,
        init_cash=float(result.arrays.table[0, 1]),
        cash_sharing=True,
        group_by=True,
        max_orders=max(1, len(fills[0])),
        # So many of them are the year of vectorbt's own figures.
        freq=pd.Timedelta(days=365) / result.history.periods,
    )
    _hold(result, made)
    return made


def _order(vbt: Any) -> Callable[..., Any]:
    """Return the order function: the next fill of this bar, until there is none.

    It is plain Python, as is the loop around it: compiled they would take half a minute of every process.
    """
    order, nothing = vbt.portfolio.nb.order_nb.py_func, vbt.portfolio.nb.order_nothing_nb.py_func
    amount = vbt.portfolio.enums.SizeType.Amount

    def next_fill(c: Any, starts: Any, asset: Any, quantity: Any, price: Any, fee: Any) -> Any:
        k = starts[c.i] + c.call_idx
        if k >= starts[c.i + 1]:
            return -1, nothing()
        return asset[k], order(size=quantity[k], price=price[k], size_type=amount, fixed_fees=fee[k])

    return next_fill


def _fills(result: Result) -> tuple[Any, ...]:
    """Return bar (from the first decision), asset, quantity, price and fee of every fill, in order."""
    told = events.fills(result.arrays.events)
    bar = told.bar - result.first
    order = np.argsort(bar, kind="stable")
    return tuple(np.ascontiguousarray(of[order]) for of in (bar, told.asset, told.quantity, told.price, told.fee))


def _marks(result: Result) -> Any:
    """Return what positions are valued at (n, N): the last close; before any, the first there will be."""
    import pandas as pd

    # Nothing is held before a price, and what is multiplied must be a number.
    known = pd.DataFrame(result.history.close).ffill().bfill().to_numpy(np.float64)
    return known[result.first :]


def _refuse(result: Result) -> None:
    """Raise `ConfigError` for a run that vectorbt cannot hold: what, and what to do instead."""
    money, terms = result.arrays.table, result.machine.terms
    happened = set(result.tables["events"].event)
    acted = sorted(happened & {"dividend", "split", "delisted"})
    why = ""
    if money[0, 1] != terms.cash:
        why = "a run that goes on from a world; hand over the whole run"
    elif acted:
        why = f"a {acted[0]}: its account knows no such thing; load adjusted prices"
    elif bool((money[:, 1] < -_CRUMB * money[:, 0]).any()):
        why = "borrowed money: it lends none; keep weights within 1, or execution.leverage = 1"
    elif float(np.abs(money[:, 5]).sum()) > _CRUMB * float(money[:, 0].min()):
        why = "interest; set execution.cash_rate, borrow_rate and short_rate to 0"
    elif terms.fill == "same_close" and len(result.tables["fills"]):
        why = "fills at the close they were decided at, which come after that bar's equity; set execution.fill"
    elif bool((result.history.close[result.first :] <= 0.0).any()):
        why = "prices of zero and less; there is no other way to show them in it"
    if why:
        raise ConfigError(f"to_vectorbt: vectorbt cannot hold {why}")


def _hold(result: Result, made: Any) -> None:
    """Raise `DataError` at the first bar whose value is not our equity."""
    value = np.asarray(made.value(), dtype=np.float64).ravel()
    apart = np.abs(value - result.arrays.equity) / result.arrays.equity
    if not (apart <= GAP).all():
        bar = int(np.argmax(~(apart <= GAP)))
        when = result.history.when(result.first + bar)
        told = f"vectorbt is worth {value[bar]!r}, the run {float(result.arrays.equity[bar])!r}"
        raise DataError(f"to_vectorbt: at {when} {told}; please report this")
