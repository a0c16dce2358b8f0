"""Barograph: backtests and paper trading for strategies that depend on the market's regime.

>>> import barograph as bg
>>> bg.HOLD
inf
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from barograph.compiling import compiled as compiled
    from barograph.compiling import kernel as kernel
    from barograph.errors import BarographError as BarographError
    from barograph.errors import ConfigError as ConfigError
    from barograph.errors import DataError as DataError
    from barograph.errors import FitError as FitError
    from barograph.errors import PartError as PartError
    from barograph.errors import StrategyError as StrategyError
    from barograph.history import History as History
    from barograph.lending import frozen as frozen
    from barograph.loops import Online as Online
    from barograph.loops import replay as replay
    from barograph.loops import run as run
    from barograph.loops import scan as scan
    from barograph.machine import Fit as Fit
    from barograph.machine import Machine as Machine
    from barograph.machine import strategy as strategy
    from barograph.result import Result as Result
    from barograph.terms import Guard as Guard
    from barograph.terms import Rate as Rate
    from barograph.types import HOLD as HOLD
    from barograph.types import Asset as Asset
    from barograph.types import Bars as Bars
    from barograph.types import Belief as Belief
    from barograph.types import Feature as Feature
    from barograph.types import Filter as Filter
    from barograph.types import Filtered as Filtered
    from barograph.types import Orders as Orders
    from barograph.types import Portfolio as Portfolio
    from barograph.types import Predicted as Predicted
    from barograph.types import Protected as Protected
    from barograph.types import Smoothed as Smoothed
    from barograph.types import Strategy as Strategy
    from barograph.types import Target as Target
    from barograph.world import World as World

# Names are looked up at first use: the compiler alone costs half a second, which `barograph --help` need not pay.
_WHERE = {
    "BarographError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "FitError": "errors",
    "PartError": "errors",
    "StrategyError": "errors",
    "History": "history",
    "compiled": "compiling",
    "frozen": "lending",
    "kernel": "compiling",
    "Online": "loops",
    "replay": "loops",
    "run": "loops",
    "scan": "loops",
    "Fit": "machine",
    "Machine": "machine",
    "strategy": "machine",
    "Result": "result",
    "Guard": "terms",
    "Rate": "terms",
    "HOLD": "types",
    "Asset": "types",
    "Bars": "types",
    "Belief": "types",
    "Feature": "types",
    "Filter": "types",
    "Filtered": "types",
    "Orders": "types",
    "Portfolio": "types",
    "Predicted": "types",
    "Protected": "types",
    "Smoothed": "types",
    "Strategy": "types",
    "Target": "types",
    "World": "world",
}

__all__ = [  # noqa: PLE0604
    *_WHERE,
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("barograph")
    if name not in _WHERE:
        raise AttributeError(f"module 'barograph' has no attribute {name!r}")
    found = getattr(_import_module(f"barograph.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Name what can be asked for."""
    return sorted(_WHERE)
