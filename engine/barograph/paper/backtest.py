"""A backtest in the store, in the schema of paper trading: one query compares what was with what would have been."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from barograph.errors import StoreError
from barograph.paper.deployment import Deployment, described
from barograph.paper.store import Batch, Store

if TYPE_CHECKING:
    from barograph.config.schema import Config
    from barograph.loop.machine import Machine
    from barograph.loop.result import Result

__all__ = ["record"]


def record(
    store: Store,
    name: str,
    config: Config,
    folder: Path,
    machine: Machine,
    result: Result,
    tell: Callable[[int, int], None] | None = None,
) -> None:
    """Write a run into the store under a name, all of it or nothing; it is stepped through bar by bar once more.

    Raises `StoreError` when the name is taken.
    """
    if store.find(name) is not None:
        raise StoreError(f"--record {name}: there is a deployment of that name; give it another one")
    history, start = result.history, result.first
    deployed = described(name, "backtest", config, folder, history, start)
    deployment, batches = Deployment.begin(deployed, config.paper, machine, history)
    batches += _rest(deployment, result, tell)
    last = batches.pop()
    kept = [batch._replace(snapshot=None) for batch in batches]
    lease = store.acquire(name, 0.0)
    try:
        store.create(lease, deployed, history.head(start) if start else None, [*kept, last])
    finally:
        store.release(lease)


def _rest(deployment: Deployment, result: Result, tell: Callable[[int, int], None] | None) -> list[Batch]:
    history, batches = result.history, list[Batch]()
    for t in range(result.first + 1, len(history)):
        batches += deployment.due()
        deployment.live.append(history.slice(t, t + 1))
        batches.append(deployment.cycle(history.source))
        if tell is not None and t % 50 == 0:
            tell(t, len(history))
    return batches
