"""What a run leaves: frames for people, arrays as the loop wrote them, a picture and a page."""

from __future__ import annotations

import html
import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from barograph.execution import book as col
from barograph.loop.tables import Arrays, Tables, path_of
from barograph.regimes.forecasts import Layout, forecasts_in
from barograph.types import Filtered, Forecast

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from barograph.data.history import History
    from barograph.loop.choosing.choice import Choice
    from barograph.loop.machine import Machine
    from barograph.loop.world import World
    from barograph.regimes.fitted import Fitted
    from barograph.regimes.matching import Match

__all__ = ["Learned", "Result"]

_MAIN = ("total_return", "cagr", "volatility", "sharpe", "max_drawdown", "turnover")


class Learned(NamedTuple):
    """One fit: at the close of `bar`, on rows [first, last), and how its regimes were matched to the last fit's.

    `asked` says who asked for it: "schedule", "trigger" or, of a model that came into force with another candidate,
    "choice". Where `refused` says why there is no new model, `fitted` is the one that stayed in force.
    """

    bar: int
    first: int
    last: int
    fitted: Fitted
    match: Match | None
    asked: str = "schedule"
    refused: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A run from bar `first` of the history on: frames for people, and the bits as they were written in `arrays`.

    The frames have the closes as their index, UTC, to the microsecond. `choices` are those of a machine that chooses.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> from barograph_strategies.buy_and_hold import buy_and_hold
    >>> result = bg.scan(bg.Machine(strategy=buy_and_hold()), some_bars(100))
    >>> result.equity.name, len(result.equity), list(result.weights.columns)
    ('equity', 100, ['A0'])
    >>> bool(result.equity.iloc[-1] / result.equity.iloc[0] - 1 == result.metrics["total_return"])
    True
    """

    machine: Machine
    history: History
    first: int
    arrays: Arrays
    fits: tuple[Learned, ...]
    world: World
    layout: Layout
    choices: tuple[Choice, ...] = ()

    @property
    def equity(self) -> pd.Series[float]:
        """Money at each close, before its decision; the first is the starting point."""
        return _by_time(self.tables["equity"])["equity"]

    @property
    def benchmark(self) -> pd.Series[float]:
        """The money of who buys all traded assets in equal parts at the first close and holds, free of costs."""
        return _by_time(self.tables["benchmark"])["equity"].rename("buy and hold")

    @property
    def weights(self) -> pd.DataFrame:
        """The share of equity held in each traded asset at each close, before its decision; a column an asset."""
        table = _by_time(self.tables["equity"])
        own = [name for name in table.columns if name.startswith("weight_")]
        return table[own].rename(columns=lambda name: name.removeprefix("weight_"))

    @property
    def beliefs(self) -> pd.DataFrame:
        """P(regime | bars so far), the likeliest regime and the log-density; with a belief an asset by `symbol` too."""
        table = self.tables["beliefs"]
        return table.set_index(["ts", "symbol"]) if "symbol" in table.columns else _by_time(table)

    @property
    def fills(self) -> pd.DataFrame:
        """A row a fill, by the close of its bar (docs/results.md)."""
        return _by_time(self.tables["fills"])

    @property
    def trades(self) -> pd.DataFrame:
        """A row a round trip, by the close of the bar that it began in (docs/results.md)."""
        return self.tables["trades"].set_index("entry_ts")

    @property
    def filtered(self) -> Filtered:
        """The beliefs as a path, arrays (n, K), or with a belief an asset (n, N, K)."""
        return path_of(self.arrays.beliefs, self.layout)

    def forecasts(self, bar: int) -> tuple[Forecast, ...]:
        """Return what the strategy was told at the close of `bar` (an index of the history), a horizon each."""
        return forecasts_in(self.arrays.ahead[bar - self.first], self.layout)

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of the run folder: equity, beliefs, orders, fills, events, trades, benchmark.

        There is one of forecasts too, where the strategy read any, and one of choices, where the machine chooses.
        """
        told = (self.history, self.first, self.arrays, self.layout, self.machine.choose, self.choices)
        return Tables(*told, self.world.book.rows[col.PRICE]).all()

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """The figures of the run by name, defined in `barograph.metrics.formulas`."""
        from barograph.metrics.measure import measure

        own = self.history
        return measure(self.tables, own.periods, by_day=own.by_day, calendars=len(own.calendars))

    def plot(self) -> go.Figure:
        """Return one plotly figure: growth, drawdown, prices with every trade, exposure and regimes, over one time.

        In a notebook it shows itself; anywhere else ``.show()`` opens a browser.
        """
        # A floor above, known by name only.
        found: go.Figure = importlib.import_module("barograph.report.plot").plot(self)
        return found

    def report(self, path: str | Path) -> Path:
        """Write the page of this run to `path`, one .html file that needs nothing else; return its path.

        Raises `ConfigError` where it cannot be written.
        """
        written: Path = importlib.import_module("barograph.report.plot").report(self, path)
        return written

    def to_vectorbt(self) -> Any:
        """Return the run as a `vectorbt.Portfolio`: its fills, in order, worth its equity to 1e-9 at every bar.

        It wants the extra ``vectorbt``, which users install themselves (docs/sweeps.md). Raises `ConfigError` where it
        is missing, and for a run with loans, interest, dividends or splits, which vectorbt cannot hold.
        """
        # An adapter, known by name only.
        return importlib.import_module("barograph_adapters.sweeps.to_vectorbt").portfolio(self)

    def __str__(self) -> str:
        """Say the main figures in a few lines."""
        rows = [f"{name:<16}{value:>12}" for name, value in self._main()]
        return "\n".join([self._period(), *rows])

    def __repr__(self) -> str:
        """Say in one line what it is: the figures are a `print` away, and nothing is computed for this."""
        name = self.machine.name or self.machine.strategy.name
        return f"<Result {name}: {', '.join(self._traded())}, {self._period()}, {len(self.arrays.ts):,} bars>"

    def _repr_html_(self) -> str:
        """Show the main figures, in a notebook."""
        rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in self._main())
        named = html.escape(f"{self.machine.name or self.machine.strategy.name} · {', '.join(self._traded())}")
        return f"<table><caption>{named}<br>{self._period()}</caption>{rows}</table>"

    def _main(self) -> list[tuple[str, str]]:
        # Less than a year is no sample for a growth a year.
        short = (self.metrics["years"] or 0.0) < 1.0
        found = {key: None if short and key == "cagr" else self.metrics.get(key) for key in _MAIN}
        return [(key.replace("_", " "), _figure(key, value)) for key, value in found.items()]

    def _period(self) -> str:
        return f"{self.history.when(self.first)} .. {self.history.when(len(self.history) - 1)}"

    def _traded(self) -> list[str]:
        traded = [s for s, t in zip(self.history.symbols, self.history.traded, strict=True) if t]
        return traded if len(traded) < 5 else [*traded[:3], f"{len(traded) - 3} more"]


def _by_time(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("ts")


def _figure(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if key in ("sharpe", "turnover") else f"{value:.2%}"
