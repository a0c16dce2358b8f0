"""A sweep: every point through the engine, on all cores; what comes out is one row of figures a point."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError
from barograph.execution.book import FAULTS
from barograph.loop.machine import Machine
from barograph.loop.result import benchmark_of
from barograph.loop.run import scan
from barograph.metrics import formulas
from barograph.metrics.assembly import Beside, assembled
from barograph.sweep.figures import FIGURES, Market
from barograph.sweep.lanes import Lane
from barograph.sweep.plan import Plan, Point, point_of
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

    from barograph.data.history import History
    from barograph.loop.result import Result

__all__ = ["Counters", "Sweep", "Told", "grid", "run_plan", "sweep"]

Progress = Callable[[int, int], None]
# Points that a thread takes at a time: enough that taking them costs nothing, few enough that all threads end together.
_CHUNK: Final = 32


class Counters(NamedTuple):
    """What was computed: points, how often features and beliefs were seen and fits made, strategies and terms laid out."""

    points: int
    seen: int
    fits: int
    strategies: int
    terms: int
    runs: int


class Told(NamedTuple):
    """Rows of `barograph.sweep.figures.FIGURES`, (M, figures), and why a point has none, "" where it has."""

    rows: Floats
    failed: list[str]


def grid(keys: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Return every combination of the values, the last key changing fastest.

    >>> grid({"threshold": [0.5, 0.6], "fee": [0.0, 0.001]})
    [(0.5, 0.0), (0.5, 0.001), (0.6, 0.0), (0.6, 0.001)]
    """
    return list(itertools.product(*keys.values()))


def sweep(make: Callable[..., Machine], keys: Mapping[str, Sequence[Any]], history: History, *, threads: int = 0,
          progress: Progress | None = None) -> Sweep:  # fmt: skip
    """Run every combination of `keys` through the engine: ``make(**combination)`` returns its machine.

    What combinations share is computed once: features, fits and beliefs, then strategies, then terms. Every row of the
    result is that of ``bg.run(make(**combination), history)``, to the bit. `threads` are as many as there are cores.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> from barograph_strategies.buy_and_hold import buy_and_hold
    >>> found = sweep(lambda fee: bg.Machine(strategy=buy_and_hold(), terms=bg.Terms(fee=fee)),
    ...               {"fee": [0.0, 0.01]}, some_bars(50))
    >>> found.table["fees"].round().tolist()
    [0.0, 990.0]
    """
    values = grid(keys)
    machines = (make(**dict(zip(keys, of, strict=True))) for of in values)
    plan = Plan(point_of(machine, history) for machine in machines)
    told = run_plan(plan, threads, progress)

    def machine(number: int) -> tuple[Machine, History]:
        return make(**dict(zip(keys, values[number], strict=True))), history

    return Sweep(tuple(keys), values, plan, told, machine)


def run_plan(plan: Plan, threads: int = 0, progress: Progress | None = None, points: Iterable[int] = ()) -> Told:
    """Run all points of a plan, or those told, in the order of what they share; the answer does not depend on it."""
    chosen = np.arange(len(plan.rows)) if not points else np.array(list(points), dtype=np.int64)
    order = chosen[np.argsort(plan.rows[chosen, 2], kind="stable")]
    told = Told(np.full((len(plan.rows), len(FIGURES)), np.nan), [""] * len(plan.rows))
    chunks = iter([order[k : k + _CHUNK] for k in range(0, len(order), _CHUNK)])
    count = threads or os.cpu_count() or 1
    done = itertools.count(1)
    markets = _Markets(plan)

    def work() -> None:
        lanes: dict[int, Lane] = {}
        for chunk in chunks:
            for number in chunk.tolist():
                _run_point(plan, lanes, markets, number, told)
            if progress is not None:
                progress(min(len(order), next(done) * _CHUNK), len(order))

    if count == 1 or len(order) <= _CHUNK:
        work()
        return told
    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(work) for _ in range(count)]:
            future.result()
    return told


class _Markets:
    """What runs are measured beside: of every history seen and every starting cash."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: dict[tuple[int, float], tuple[Market, Beside]] = {}

    def of(self, seen: int, cash: float) -> tuple[Market, Beside]:
        """Return the benchmark's returns less their mean, and all that figures are assembled with."""
        found = self._known.get((seen, cash))
        if found is None:
            of = self._plan.seen[seen]
            equity = benchmark_of(of.history, of.first, cash)[of.steps.rows]
            returns = formulas.simple_returns(equity)
            beside = Beside(len(of.B) - 1, of.steps, len(of.history.calendars), of.switches, equity, returns)
            found = self._known[seen, cash] = (_market(returns), beside)
        return found


def _market(returns: Floats) -> Market:
    risky = returns.size > 1 and float(np.std(returns)) > formulas.ROUNDING
    centred = returns - np.mean(returns) if returns.size else returns
    return Market(centred, float(np.mean(centred**2)) if risky else 0.0)


def _run_point(plan: Plan, lanes: dict[int, Lane], markets: _Markets, number: int, told: Told) -> None:
    decider, account, group = plan.rows[number].tolist()
    lane = lanes.get(group)
    if lane is None:
        lane = lanes[group] = plan.lane(group)
    terms = plan.accounts[account]
    try:
        bar, fault = lane.run(plan.deciders[decider], terms)
    # A part may raise what it likes; whoever asks for this point's own run is told it with part and bar.
    except Exception as error:
        told.failed[number] = f"{type(error).__name__}: {error}"
        return
    if fault:
        when = lane.seen.history.when(bar - 1)
        told.failed[number] = f"{FAULTS[fault]} at {when}"
        return
    lane.measure(markets.of(plan.groups[group].seen, terms.cash)[0], told.rows[number])


class Sweep:
    """What a sweep found: one row a point, in the order of `points`.

    `keys` name what was varied, `points` are its values. `table` is a DataFrame of both and of every figure of
    `Result.metrics` but the bootstrap's; where a run failed its figures are missing and `failed` says why.
    """

    def __init__(self, keys: tuple[str, ...], points: list[tuple[Any, ...]], plan: Plan, told: Told,
                 machine: Callable[[int], tuple[Machine, History]]) -> None:  # fmt: skip
        self.keys, self.points, self.told, self._plan, self._machine = keys, points, told, plan, machine
        self._markets = _Markets(plan)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def counters(self) -> Counters:
        """What was computed, and how often."""
        plan = self._plan
        fits = sum(len(seen.learned) for seen in plan.seen)
        return Counters(len(self), len(plan.seen), fits, len(plan.deciders), len(plan.accounts), len(plan.rows))

    def metrics(self, number: int) -> dict[str, float | None]:
        """Return the figures of a point, named and ordered as in metrics.json; none of a run that failed."""
        if self.told.failed[number]:
            return {}
        return {key: value if math.isfinite(value) else None for key, value in self._figures(number).items()}

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a point: its keys, its figures, and why it failed."""
        import pandas as pd

        keys = pd.DataFrame(self.points, columns=list(self.keys))
        figures = pd.DataFrame.from_records([self.metrics(n) for n in range(len(self))])
        return pd.concat([keys, figures.astype("float64"), pd.Series(self.told.failed, name="failed")], axis=1)

    def best(self, figure: str = "sharpe", count: int = 1) -> list[int]:
        """Return the numbers of the points with the highest figure, the first of equals first."""
        if figure not in self.table.columns:
            known = ", ".join(c for c in self.table.columns if c not in (*self.keys, "failed"))
            raise ConfigError(f"sweep: no figure {figure!r}; wanted one of {known}")
        ranked = self.table[figure].sort_values(ascending=False, kind="stable").dropna()
        return [int(n) for n in ranked.index[:count]]

    def run(self, number: int) -> Result:
        """Run one point again as `bg.run` does, with its tables and its report."""
        machine, history = self._machine(number)
        return scan(machine, history)

    def _figures(self, number: int) -> dict[str, float]:
        _, account, group = self._plan.rows[number].tolist()
        _, beside = self._markets.of(self._plan.groups[group].seen, self._plan.accounts[account].cash)
        row: dict[str, float] = dict(zip(FIGURES, self.told.rows[number].tolist(), strict=True))
        row["cagr"] = formulas.growth(row["first"], row["last"], beside.steps.rows.size - 1, beside.steps.bars)
        return assembled(row, beside)
