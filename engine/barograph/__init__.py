"""Barograph: backtests and paper trading for strategies that depend on the market's regime.

>>> import barograph as bg
>>> bg.HOLD
inf
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from barograph.errors import BarographError as BarographError, ConfigError as ConfigError, DataError as DataError, FitError as FitError, PartError as PartError, StrategyError as StrategyError
    from barograph.history import History as History
    from barograph.kernel import compiled as compiled, frozen as frozen, kernel as kernel
    from barograph.loops import Online as Online, replay as replay, run as run, scan as scan
    from barograph.machine import Fit as Fit, Machine as Machine, strategy as strategy
    from barograph.result import Result as Result
    from barograph.types import HOLD as HOLD, Asset as Asset, Bars as Bars, Belief as Belief, Feature as Feature, Filter as Filter, Filtered as Filtered, Portfolio as Portfolio, Predicted as Predicted, Smoothed as Smoothed, Strategy as Strategy, Target as Target
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
    "compiled": "kernel",
    "frozen": "kernel",
    "kernel": "kernel",
    "Online": "loops",
    "replay": "loops",
    "run": "loops",
    "scan": "loops",
    "Fit": "machine",
    "Machine": "machine",
    "strategy": "machine",
    "Result": "result",
    "HOLD": "types",
    "Asset": "types",
    "Bars": "types",
    "Belief": "types",
    "Feature": "types",
    "Filter": "types",
    "Filtered": "types",
    "Portfolio": "types",
    "Predicted": "types",
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
