"""A clock that is set, and a service whose history is fed to it: everything else is what runs live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.config.build import load_history
from barograph.data.gate import gated
from barograph.epoch import FIRST
from barograph.errors import RefusalError
from barograph.paper.feeds import Chain, between, replaying
from barograph.paper.service import Plan, Service

if TYPE_CHECKING:
    from barograph.config.schema import Config
    from barograph.data.history import History
    from barograph.paper.store import Store

__all__ = ["SetClock", "replayed"]


class SetClock:
    """A clock that stands where it was set; waiting moves it on.

    >>> clock = SetClock(0)
    >>> clock.sleep(2.0)
    >>> clock.now()
    2000000000
    """

    def __init__(self, moment: int) -> None:
        self.moment = moment

    def now(self) -> int:
        """Return the moment, ns UTC."""
        return self.moment

    def set(self, moment: int) -> None:
        """Set it."""
        self.moment = moment

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.moment += int(seconds * 1_000_000_000)


def replayed(config: Config, folder: Path, store: Store, name: str, first: Any) -> tuple[Service, Any, SetClock]:
    """Return a service over the config's [data], the closes it is to look at, and its clock.

    The first decided bar is that of `first`; what comes before warms up features and model. Raises `RefusalError` when
    the deployment is there and was begun at another bar.
    """
    history = load_history(config, folder, raw=True)
    shown = gated(history) if config.data.gate == "on" else history
    start = shown.index(first)
    # A late row is known by the next one that decides.
    begins = int(shown.ts[start + int(np.argmax(shown.deciding[start:]))])
    deployed = store.find(name)
    if deployed is not None and deployed.kind == "replay" and start != deployed.start:
        begun = shown.when(min(deployed.start, len(shown) - 1))
        raise RefusalError(f"deployment {name} was begun at {begun}; replay it from there, or under another --name")

    def seed(until: int) -> tuple[History, int]:
        seen = between(history, FIRST, until)
        assert seen is not None
        return gated(seen) if config.data.gate == "on" else seen, start

    clock = SetClock(begins)
    service = Service(store, Plan(config, folder, name, "replay", seed), Chain([replaying(history)]), clock)
    return service, history.ts[history.ts >= begins], clock
