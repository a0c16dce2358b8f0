"""Barograph: backtests and paper trading for strategies that depend on the market's regime.

>>> import barograph as bg
>>> bg.HOLD
inf
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from barograph import validation as validation
    from barograph.data.history import History as History
    from barograph.data.rates import Rate as Rate
    from barograph.errors import BarographError as BarographError
    from barograph.errors import ConfigError as ConfigError
    from barograph.errors import DataError as DataError
    from barograph.errors import FitError as FitError
    from barograph.errors import PartError as PartError
    from barograph.errors import StrategyError as StrategyError
    from barograph.execution.terms import Guard as Guard
    from barograph.execution.terms import Terms as Terms
    from barograph.jit.kernel import compiled as compiled
    from barograph.jit.kernel import kernel as kernel
    from barograph.jit.views import frozen as frozen
    from barograph.loop.choosing.choice import choose as choose
    from barograph.loop.fit import Fit as Fit
    from barograph.loop.machine import Choose as Choose
    from barograph.loop.machine import Machine as Machine
    from barograph.loop.machine import strategy as strategy
    from barograph.loop.result import Result as Result
    from barograph.loop.run import Online as Online
    from barograph.loop.run import replay as replay
    from barograph.loop.run import scan as scan
    from barograph.loop.world import World as World
    from barograph.regimes.window import Window as Window
    from barograph.regimes.window import window as window
    from barograph.sweeps.run import sweep as sweep
    from barograph.trials.entering import run as run
    from barograph.types import HOLD as HOLD
    from barograph.types import Asset as Asset
    from barograph.types import Bars as Bars
    from barograph.types import Belief as Belief
    from barograph.types import Feature as Feature
    from barograph.types import Filter as Filter
    from barograph.types import Filtered as Filtered
    from barograph.types import Forecast as Forecast
    from barograph.types import Orders as Orders
    from barograph.types import Portfolio as Portfolio
    from barograph.types import Protected as Protected
    from barograph.types import Smoothed as Smoothed
    from barograph.types import Strategy as Strategy
    from barograph.types import Target as Target

# Names are looked up at first use: the compiler alone costs half a second, which `barograph --help` need not pay.
_WHERE = {
    "BarographError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "FitError": "errors",
    "PartError": "errors",
    "StrategyError": "errors",
    "History": "data.history",
    "compiled": "jit.kernel",
    "frozen": "jit.views",
    "kernel": "jit.kernel",
    "Online": "loop.run",
    "replay": "loop.run",
    "run": "trials.entering",
    "sweep": "sweeps.run",
    "scan": "loop.run",
    "choose": "loop.choosing.choice",
    "Choose": "loop.machine",
    "Fit": "loop.fit",
    "Machine": "loop.machine",
    "strategy": "loop.machine",
    "Result": "loop.result",
    "Guard": "execution.terms",
    "Terms": "execution.terms",
    "Rate": "data.rates",
    "Window": "regimes.window",
    "window": "regimes.window",
    "HOLD": "types",
    "Asset": "types",
    "Bars": "types",
    "Belief": "types",
    "Entering": "types",
    "Feature": "types",
    "Filter": "types",
    "Filtered": "types",
    "Forecast": "types",
    "Orders": "types",
    "Portfolio": "types",
    "Protected": "types",
    "Smoothed": "types",
    "Strategy": "types",
    "Target": "types",
    "World": "loop.world",
}
# Wings that are asked by their own name, and imported only then.
_WINGS = ("validation",)

__all__ = [  # noqa: PLE0604
    *_WHERE,
    *_WINGS,
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("barograph")
    if name in _WINGS:
        return _import_module(f"barograph.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'barograph' has no attribute {name!r}")
    found = getattr(_import_module(f"barograph.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Name what can be asked for."""
    return sorted((*_WHERE, *_WINGS))
