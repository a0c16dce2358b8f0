"""Where the points of a sweep are run, and what asks for more of them: adapters, known here by name only."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

from barograph.errors import ConfigError, nearest, with_extra

if TYPE_CHECKING:
    from barograph.sweeps.harvest import Harvest
    from barograph.sweeps.outline import Outline
    from barograph.sweeps.plan import Plan
    from barograph.sweeps.stages import Point

__all__ = ["BACKENDS", "BATCH", "Backend", "Job", "Search", "Source", "backend_elsewhere", "search_over"]

BACKENDS: Final = ("compiled", "vectorbt", "dask")

# Points that a search is asked for at once: it learns from them before it is asked for the next. Nothing of the machine
# is in it, so that a search asks for the same points wherever it runs.
BATCH: Final = 16


class Source(Protocol):
    """What makes points of their values, by number; another process may be handed it, and other values."""

    values: Any

    def point(self, number: int) -> Point:
        """Return a point."""


class Job(NamedTuple):
    """What is to be run: named keys, what makes points of their values, how many at a time, and who is told.

    `scheduler` is the address of a cluster that runs already.
    """

    keys: tuple[str, ...]
    source: Source
    threads: int = 0
    progress: Callable[[int, int], None] | None = None
    scheduler: str | None = None


class Search(Protocol):
    """What asks for points one batch after another, and is told how good they were."""

    def ask(self, count: int) -> list[tuple[Any, ...]]:
        """Return the values of the next points."""

    def tell(self, figures: Sequence[float | None]) -> None:
        """Take the figures of the points asked for last, None where there are none."""


class Backend(Protocol):
    """What runs points; used in a ``with``, and asked again where a search has more of them.

    `exact` says that its figures are those of a run to the last bit.
    """

    exact: bool

    def __enter__(self) -> Self: ...

    def __exit__(self, *how: object) -> None: ...

    def look(self) -> Plan | Outline:
        """Take in the points that there are now; return what they share."""

    def run(self, harvest: Harvest) -> None:
        """Run those that are missing."""

    def told(self) -> dict[str, Any]:
        """Say what it is, and what it did, as sweep.json does."""


def backend_elsewhere(name: str, job: Job) -> Backend:
    """Return a backend that is an adapter. Raises `ConfigError` for none that there is, or whose extra is missing."""
    if name not in BACKENDS:
        raise ConfigError(f"backend is {name!r}; wanted one of {', '.join(BACKENDS)}{nearest(name, BACKENDS)}")
    opened: Backend = _adapter(f"on_{name}", f"backend = {name!r}", name).open_backend(job)
    return opened


def search_over(keys: Any, seed: int, sampler: str) -> Search:
    """Return a search over these keys. Raises `ConfigError` where its extra is not installed."""
    found: Search = _adapter("by_optuna", "how = 'optuna'", "optuna").open_search(keys, seed, sampler)
    return found


def _adapter(module: str, asked: str, extra: str) -> Any:
    adapter = importlib.import_module(f"barograph_adapters.sweeps.{module}")
    for needed in adapter.NEEDS:
        try:
            importlib.import_module(needed)
        except ModuleNotFoundError as error:
            if error.name != needed:
                raise
            raise ConfigError(f"{asked} needs {needed}, which is not installed; {with_extra(extra)}") from error
    return adapter
