"""A sweep: every point through the engine, on all cores; what comes out is one row of figures a point."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np

from barograph.errors import ConfigError
from barograph.loop.machine import Machine
from barograph.loop.run import scan
from barograph.loop.tables import benchmark_of
from barograph.metrics import formulas
from barograph.metrics.assembly import Beside, assembled, names
from barograph.sweeps.backends import BATCH, Backend, Job, Search, backend_elsewhere
from barograph.sweeps.figures import FIGURES, Market
from barograph.sweeps.harvest import Harvest
from barograph.sweeps.lanes import Lane
from barograph.sweeps.plan import Plan
from barograph.sweeps.points import Made, Parted
from barograph.sweeps.stages import Looks
from barograph.types import Floats, Strategy

if TYPE_CHECKING:
    import pandas as pd

    from barograph.data.history import History
    from barograph.execution.terms import Terms
    from barograph.loop.result import Result
    from barograph.sweeps.outline import Outline
    from barograph.sweeps.stages import Point, Seen

__all__ = ["Compiled", "Counters", "Sweep", "check_figure", "opened", "run_all", "run_plan", "sweep"]

Progress = Callable[[int, int], None]
# Points that a thread takes at a time: enough that taking them costs nothing, few enough that all threads end together.
_CHUNK: Final = 32


class Counters(NamedTuple):
    """What was computed: how often bars were seen and models fitted, what was laid out, and how many accounts ran.

    `columns` are the features that strategies declare, each computed once. Of machines that choose, `fits` and
    `shadows` count those of all their candidates, which ran beside each.
    """

    points: int
    seen: int
    fits: int
    strategies: int
    terms: int
    runs: int
    columns: int
    shadows: int = 0


def sweep(make: Callable[..., Machine] | Machine, keys: Mapping[str, Sequence[Any]], history: History, *,
          strategy: Callable[..., Strategy] | None = None, terms: Callable[..., Terms] | None = None, threads: int = 0,
          progress: Progress | None = None, backend: str = "compiled",
          scheduler: str | None = None) -> Sweep:  # fmt: skip
    """Run every combination of `keys` through the engine: ``make(**combination)`` returns its machine.

    Or `make` is a machine, and `strategy` and `terms` are functions of the keys that their parameters name: each is
    called once for all points with the same values, which costs a tenth of making every machine.

    What combinations share is computed once: features, fits and beliefs, then strategies, then terms. Every row of the
    result is that of ``bg.run`` of the same machine, to the bit. `threads` are as many as there are cores. `backend`
    says who runs them: "compiled", "vectorbt" (to 1e-9) or "dask", on a cluster's `scheduler` where there is one, as in
    docs/sweeps.md.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> from barograph_strategies.buy_and_hold import buy_and_hold
    >>> found = sweep(lambda fee: bg.Machine(strategy=buy_and_hold(), terms=bg.Terms(fee=fee)),
    ...               {"fee": [0.0, 0.01]}, some_bars(50))
    >>> found.table["fees"].round().tolist()
    [0.0, 9901.0]
    >>> again = sweep(bg.Machine(strategy=buy_and_hold()), {"fee": [0.0, 0.01]}, some_bars(50),
    ...               terms=lambda fee: bg.Terms(fee=fee))
    >>> again.table.equals(found.table)
    True

    Raises `ConfigError` for a key that nothing is made of, and a parameter that is no key.
    """
    if isinstance(make, Machine):
        source: Made | Parted = Parted(make, keys, history, strategy, terms)
    elif strategy is None and terms is None:
        source = Made(make, keys, history)
    else:
        raise ConfigError("sweep: strategy= and terms= go with a machine, not with a function that makes machines")
    with opened(backend, Job(source.keys, source, threads, progress, scheduler)) as running:
        return run_all(running, running.look(), Harvest(len(source.values)), source.keys, source)


def check_figure(figure: str) -> None:
    """Raise `ConfigError` for a figure that there is not."""
    if figure not in names():
        raise ConfigError(f"sweep: no figure {figure!r}; wanted one of {', '.join(names())}")


def opened(backend: str, job: Job) -> Backend:
    """Return what runs a job. Raises `ConfigError` for no backend, and where its extra is not installed."""
    return Compiled(job) if backend == "compiled" else backend_elsewhere(backend, job)


def run_all(backend: Backend, plan: Plan | Outline, harvest: Harvest, keys: tuple[str, ...], source: Any,
            search: Search | None = None, figure: str = "sharpe") -> Sweep:  # fmt: skip
    """Run all points of the harvest; a `search` is asked for more, batch after batch, until there are so many."""
    known = 0
    while True:
        backend.run(harvest)
        found = Sweep(keys, list(source.values), plan, harvest, source.point, backend.told())
        left = len(harvest.ended) - len(source.values)
        if search is None or left == 0:
            return found
        search.tell([found.metrics(n).get(figure) for n in range(known, len(found))])
        known = len(found)
        source.values.extend(search.ask(min(BATCH, left)))
        plan = backend.look()


class Compiled:
    """The backend that needs nobody: threads of this process, through the loops of every run."""

    exact = True

    def __init__(self, job: Job) -> None:
        self.job, self.looks, self.plan = job, Looks(), Plan([])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        """Nothing is held open."""

    def look(self) -> Plan:
        """Lay the points out; what was seen before is not looked at again."""
        source = self.job.source
        self.plan = Plan(map(source.point, range(len(source.values))), self.looks)
        return self.plan

    def run(self, harvest: Harvest) -> None:
        """Run those that are missing, in threads."""
        run_plan(self.plan, self.job.source.point, harvest, self.job.threads, self.job.progress)

    def told(self) -> dict[str, Any]:
        """Say that it is this one."""
        return {"name": "compiled"}


def run_plan(plan: Plan, point: Callable[[int], Point], harvest: Harvest, threads: int = 0,
             progress: Progress | None = None) -> None:  # fmt: skip
    """Run the points of a plan that were not run yet, in the order of what they share; no answer depends on it."""
    # A search has not asked for all of them yet.
    missing = harvest.missing[harvest.missing < len(plan.rows)]
    order = missing[np.argsort(plan.rows[missing, 2], kind="stable")]
    chunks = iter([order[k : k + _CHUNK] for k in range(0, len(order), _CHUNK)])
    count = threads or os.cpu_count() or 1
    done, markets = itertools.count(1), _Markets(plan)
    stopped: list[bool] = []

    def work() -> None:
        lanes: dict[int, Lane] = {}
        for chunk in chunks:
            if stopped:
                return
            for number in chunk.tolist():
                _run_point(plan, lanes, markets, number, point, harvest)
            if progress is not None:
                progress(min(len(order), next(done) * _CHUNK), len(order))

    if count == 1 or len(order) <= _CHUNK:
        return work()
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(work) for _ in range(count)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            # The other threads take nothing more.
            stopped.append(True)
            raise
    return None


class _Markets:
    """What runs are measured beside: of every history seen and every starting cash."""

    def __init__(self, plan: Plan | Outline) -> None:
        self.plan = plan
        self._known: dict[tuple[int, float], tuple[Market, Beside]] = {}

    def of(self, seen: int, cash: float) -> tuple[Market, Beside]:
        """Return the benchmark's returns less their mean, and all that figures are assembled with."""
        found = self._known.get((seen, cash))
        if found is None:
            of = self.plan.seen[seen]
            equity = benchmark_of(of.history, of.first, cash)
            returns = formulas.simple_returns(equity[of.steps.rows])
            beside = Beside(len(of.B) - 1, of.steps, len(of.history.calendars), of.switches, equity, returns)
            found = self._known[seen, cash] = (_market(returns), beside)
        return found


def _market(returns: Floats) -> Market:
    risky = returns.size > 1 and float(np.std(returns)) > formulas.ROUNDING
    centred = returns - np.mean(returns) if returns.size else returns
    return Market(returns, centred, float(np.mean(centred**2)) if risky else 0.0)


def _run_point(plan: Plan, lanes: dict[int, Lane], markets: _Markets, number: int, point: Callable[[int], Point],
               harvest: Harvest) -> None:  # fmt: skip
    decider, account, group = plan.rows[number].tolist()
    if (whole := plan.seen[plan.groups[group].seen].whole) is not None:
        whole.into(harvest, number)
        return
    lane = lanes.get(group)
    if lane is None:
        # Points come group by group: a thread needs one lane at a time.
        lanes.clear()
        lane = lanes[group] = plan.lane(group)
    terms = plan.accounts[account]
    try:
        deciding = plan.deciders[decider]
        bar, fault = lane.run_in_python(point(number), deciding) if lane.in_python else lane.run(deciding, terms)
    # A part may raise what it likes; who asks for this point's own run is told it with part and bar.
    except Exception as error:
        harvest.raised(number, error)
        return
    if not fault:
        market, _ = markets.of(plan.groups[group].seen, terms.cash)
        lane.measure(market, harvest.rows[number], harvest.sums[number], harvest.beyond[number])
    harvest.finish(number, bar - 1, fault)


class Sweep:
    """What a sweep found: one row a point, in the order of `points`.

    `keys` name what was varied, `points` are its values. `table` is a DataFrame of both and of every figure of
    `Result.metrics` but the bootstrap's; where a run failed its figures are missing and `failed` says why.
    """

    def __init__(self, keys: tuple[str, ...], points: list[tuple[Any, ...]], plan: Plan | Outline, harvest: Harvest,
                 point: Callable[[int], Point], backend: Mapping[str, Any] | None = None) -> None:  # fmt: skip
        self.backend = dict(backend or {"name": "compiled"})
        self.keys, self.points, self.harvest, self.plan, self.point = keys, points, harvest, plan, point
        self._markets = _Markets(plan)
        taken = sorted({*self.figures, "failed"} & set(keys))
        if taken:
            raise ConfigError(f"sweep: {taken[0]!r} is the name of a figure; call the key something else")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def counters(self) -> Counters:
        """What was computed, and how often."""
        plan = self.plan
        fits = sum(len(seen.learned) if seen.whole is None else seen.whole.fits for seen in plan.seen)
        shadows = sum(seen.whole.shadows for seen in plan.seen if seen.whole is not None)
        return Counters(len(self), len(plan.seen), fits, len(plan.deciders), len(plan.accounts),
                        len(self) - self.harvest.found, len(plan.columns), shadows)  # fmt: skip

    def metrics(self, number: int) -> dict[str, float | None]:
        """Return the figures of a point, named and ordered as in metrics.json; none of a run that failed."""
        if self.harvest.ended[number, 0] != 0:
            return {}
        return {key: value if math.isfinite(value) else None for key, value in self._figures(number).items()}

    @cached_property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures."""
        return names()

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a point: its keys, its figures, and why it failed."""
        import pandas as pd

        keys = pd.DataFrame(self.points, columns=list(self.keys))
        told = [[of.get(name) for name in self.figures] for of in map(self.metrics, range(len(self)))]
        figures = pd.DataFrame(told, columns=list(self.figures), dtype="float64")
        return pd.concat([keys, figures, pd.Series(self.failed, name="failed", dtype=object)], axis=1)

    @cached_property
    def failed(self) -> list[str]:
        """Why a point has no figures, "" where it has."""
        return [self.harvest.failed(n, self.seen(n).history.when) for n in range(len(self))]

    def tried(self, number: int) -> int:
        """Return how many trials a point stands for: of a machine that chooses, all that it chose from."""
        whole = self.seen(number).whole
        return 1 if whole is None else whole.shadows

    def seen(self, number: int) -> Seen:
        """Return what features and filter made of a point's history."""
        return self.plan.seen[self.plan.groups[int(self.plan.rows[number, 2])].seen]

    def best(self, figure: str = "sharpe", count: int = 1) -> list[int]:
        """Return the numbers of the points with the highest figure, the first of equals first."""
        check_figure(figure)
        ranked = self.table[figure].sort_values(ascending=False, kind="stable").dropna()
        return [int(n) for n in ranked.index[:count]]

    def run(self, number: int) -> Result:
        """Run one point again as `bg.run` does, with its tables and its report."""
        point = self.point(number)
        return scan(point.whole, point.history)

    def _figures(self, number: int) -> dict[str, float]:
        _, account, group = self.plan.rows[number].tolist()
        _, beside = self._markets.of(self.plan.groups[group].seen, self.plan.accounts[account].cash)
        row: dict[str, float] = dict(zip(FIGURES, self.harvest.rows[number].tolist(), strict=True))
        grew = (row["first"], row["last"], beside.bars, beside.steps.bars)
        row["cagr"] = formulas.growth(*grew) if beside.bars > 0 else math.nan
        return assembled(row, beside)
