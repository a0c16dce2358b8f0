"""What a deployment did, as a `Result`: the same tables, figures and report as a backtest's, made from the journal."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.config.modules import load
from barograph.execution.events import log_columns
from barograph.loop.choosing.choice import Choice, candidate_of
from barograph.loop.result import Learned, Result
from barograph.loop.tables import Arrays
from barograph.loop.wiring import wire
from barograph.loop.world import World
from barograph.paper.deployment import switchable
from barograph.paper.journal import Entry, fit_of, floats
from barograph.regimes.fitted import Fitted, Modules
from barograph.regimes.matching import Match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barograph.data.history import History
    from barograph.loop.machine import Machine
    from barograph.paper.store import Deployed, Store

__all__ = ["rebuilt", "recorded"]


def rebuilt(deployed: Deployed, folder: Path | None = None) -> Machine:
    """Return the machine of a deployment, from the config that was recorded; its switches are off."""
    from barograph.config.build import build
    from barograph.config.schema import Config

    config = Config.model_validate(deployed.config)
    return switchable(build(config, Path(deployed.folder) if folder is None else folder))


def recorded(store: Store, deployed: Deployed, machine: Machine, folder: Path | None = None) -> Result:
    """Return what the journal says that the machine did, bar for bar."""
    modules = partial(load, folder=Path(deployed.folder) if folder is None else folder)
    history = store.bars(deployed.name)
    entries = list(store.entries(deployed.name))
    cycles = [entry.content for entry in entries if entry.kind == "cycle"]
    _, snapshot = store.snapshot(deployed.name)
    world = World.from_bytes(snapshot.world, f"the snapshot of {deployed.name}", modules)
    fits = _fits(entries, store.models(deployed.name), history, modules)
    choices = tuple(_choice(entry.content) for entry in entries if entry.kind == "choice")
    in_use = machine if world.in_use is None else candidate_of(machine, world.in_use.candidate)
    wired = wire(in_use, history, world.fitted)
    # The layout of the memory stands in the machine, not in the file.
    world = replace(world, memory=world.into(wired.memory), seen=history)
    E, W, B = (np.array([floats(one[key]) for one in cycles]) for key in ("equity", "weights", "belief"))
    width = log_columns(wired.resting)
    logs = np.concatenate([floats(one["events"]).reshape(-1, width) for one in cycles])
    X, blank = np.full((len(history), len(wired.names)), np.nan), np.full(wired.layout.width, np.nan)
    F = np.array([floats(one["forecasts"]) if "forecasts" in one else blank for one in cycles])
    arrays = Arrays(history.ts[deployed.start :], X, E, W, B, F, logs)
    return Result(machine, history, deployed.start, arrays, fits, world, wired.layout, choices)


def _fits(
    entries: Sequence[Entry], models: dict[int, bytes], history: History, modules: Modules
) -> tuple[Learned, ...]:
    made: list[Learned] = []
    for told in (fit_of(entry.kind, entry.content) for entry in entries):
        if told is None:
            continue
        first, last = (int(np.searchsorted(history.ts, told[key])) for key in ("first", "last"))
        asked, refused = told.get("asked", "schedule"), told.get("refused", "")
        where = f"the fit of {history.when(told['bar'])}"
        # The model that stayed in force is that of the fit before.
        fitted = made[-1].fitted if refused else Fitted.from_bytes(models[told["ts"]], where, modules, kept=True)
        made.append(Learned(told["bar"], first, last + 1, fitted, _match(told["match"]), asked, refused))
    return tuple(made)


def _choice(told: Any) -> Choice:
    numbers = {key: tuple(floats(told[key]).tolist()) for key in ("scores", "figures")}
    return Choice(bar=told["bar"], candidate=told["candidate"], changed=told["changed"], **numbers)


def _match(told: Any) -> Match | None:
    if told is None:
        return None
    numbers = {key: float(told[key]) for key in ("cost", "margin")}
    return Match(**{**told, **numbers, "permutation": tuple(told["permutation"])})
