"""How a run enters the registry by itself: from the command line, and from a notebook."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from barograph.errors import StoreError
from barograph.loop.run import scan
from barograph.metrics.formulas import sharpe, simple_returns
from barograph.metrics.steps import steps
from barograph.trials.block_sums import block_sums
from barograph.trials.nouns import Study, Trial
from barograph.trials.registry import registry_of, say_once

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.machine import Machine
    from barograph.loop.result import Result
    from barograph.loop.session import Progress
    from barograph.loop.world import World

__all__ = ["enter", "mark", "run", "trial_of"]


def run(
    machine: Machine,
    history: History,
    world: World | None = None,
    progress: Progress | None = None,
    *,
    registry: bool = True,
) -> Result:
    """Run the machine over the history as `scan` does, and enter it into the trials of the project one is in.

    That is the `trials.db` in the nearest folder upwards with a `barograph.toml` or a `.git`, else in the current one.
    With `registry` False nothing is entered, nor of a run that goes on from a `world`, nor under pytest.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> from barograph_strategies.buy_and_hold import buy_and_hold
    >>> len(bg.run(bg.Machine(strategy=buy_and_hold()), some_bars(100), registry=False).equity)
    100

    Raises what `scan` does; where the file cannot be written the run goes on, and that is said once.
    """
    result = scan(machine, history, world, progress)
    if registry and world is None:
        enter(result, "run", machine.name or machine.strategy.name, mark(machine), Path(), stay=True)
    return result


def enter(
    result: Result,
    kind: str,
    name: str,
    config_hash: str,
    folder: Path,
    store: str | Literal[False] | None = None,
    stay: bool = False,
) -> int | None:
    """Enter a finished run; return its sequence, or None where there is no registry.

    With `stay` the file is kept open until the process ends, for whoever runs many.
    """
    try:
        registry = registry_of(folder, store)
        if registry is None:
            return None
        sequence = registry.append(trial_of(result, kind, name, config_hash))
        if stay:
            registry.stay()
        return sequence
    except (StoreError, OSError) as error:
        say_once(error)
        return None


def trial_of(result: Result, kind: str, name: str, config_hash: str) -> Trial:
    """Return a run as a trial: its Sharpe ratio a year, and the block sums of the returns that it is made of.

    That of a machine that chooses is of the kind "choose", and stands for all candidates that it chose from.
    """
    own, plan = result.history, result.machine.choose
    kind, tried = (kind, 1) if plan is None else ("choose", len(plan.candidates))
    taken = steps(result.arrays.ts, own.periods, own.by_day)
    returns = simple_returns(result.arrays.equity[taken.rows])
    traded = tuple(symbol for symbol, t in zip(own.symbols, own.traded, strict=True) if t)
    study = Study(kind, name, config_hash, traded, int(result.arrays.ts[0]), int(result.arrays.ts[-1]), own.digest())
    return Trial(study, sharpe(returns, taken.periods), block_sums(returns), tried)


def mark(machine: Machine) -> str:
    """Return what stands for the hash of a config where there is none: that of a machine's parts as they print.

    The strategy's own code counts. It tells trials apart for people; how many there are does not hang on it.
    """
    step = getattr(machine.strategy.step, "py_func", machine.strategy.step)
    code = getattr(step, "__code__", None)
    told = repr((machine, code and (code.co_code, code.co_names, code.co_consts)))
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", told).encode()).hexdigest()
