"""What the service asks of a store, in words that know no database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from barograph.paper.journal import Entry
from barograph.paper.ports import Alert, Casebook, Intent, Ledger, Outbox
from barograph.paper.projection import Rows

if TYPE_CHECKING:
    from barograph.data.history import History

__all__ = ["COMMANDS", "Batch", "Command", "Deployed", "Lease", "Note", "Snapshot", "Store"]

COMMANDS: Final = ("halt", "resume", "flatten")


class Deployed(NamedTuple):
    """A deployment: its name, whether it is "paper", "replay" or "backtest", its config, and the bars it began with.

    `config` is the resolved config, `folder` where its relative paths begin; `start` is the first decided bar.
    """

    name: str
    kind: str
    config: dict[str, Any]
    folder: str
    code_hash: str
    symbols: tuple[str, ...]
    traded: tuple[bool, ...]
    calendar: str
    currency: str
    periods: float
    start: int


class Lease(NamedTuple):
    """The right to run a deployment; a newer token takes it away."""

    deployment: str
    holder: str
    token: int


class Command(NamedTuple):
    """What an operator has asked for and no cycle has obeyed yet."""

    number: int
    command: str


class Snapshot(NamedTuple):
    """The state after an entry: the world as bytes, what the watcher remembers, and the bar of the last fit."""

    world: bytes
    watch: dict[str, Any]
    learned: int


class Batch(NamedTuple):
    """What one transaction writes: an entry, its projections, the state after it, and which commands it obeyed.

    `arrived` is when its bar came, and `next_look` when the next one is looked for, ns UTC by the clock on the wall.
    """

    entry: Entry
    rows: Rows
    snapshot: Snapshot | None
    commands: tuple[int, ...] = ()
    intents: tuple[Intent, ...] = ()
    model: bytes = b""
    arrived: int = 0
    next_look: int = 0


class Note(NamedTuple):
    """Something of the running itself: a start, a feed that failed. It is not part of the journal."""

    at: int
    kind: str
    text: str


class Store(Outbox, Ledger, Casebook, Protocol):
    """Where deployments are kept. Every method that writes does so in one transaction, all or nothing.

    All raise `StoreError` when the database cannot be used.
    """

    def find(self, name: str) -> Deployed | None:
        """Return a deployment, or None."""

    def moment(self) -> AbstractContextManager[None]:
        """Let all that this thread reads inside be of one moment, while others write."""

    def deployments(self) -> list[Deployed]:
        """Return all deployments, by name."""

    def create(self, lease: Lease, deployed: Deployed, history: History | None, batches: Sequence[Batch]) -> None:
        """Begin a deployment with the bars that came before its first decision, and its first batches."""

    def acquire(self, name: str, patience: float) -> Lease:
        """Take the lease of a deployment; raises `LeaseError` when a live process holds it."""

    def holders(self) -> dict[str, str]:
        """Return who runs what: the holder of every lease that is held, and whether it is alive."""

    def beat(self, lease: Lease) -> None:
        """Say that the holder lives; raises `LeaseError` when the lease is lost."""

    def release(self, lease: Lease) -> None:
        """Give the lease back."""

    def commit(self, lease: Lease, batch: Batch) -> None:
        """Write one entry and all that hangs on it; raises `LeaseError` when the lease is lost."""

    def bars(self, name: str) -> History:
        """Return the recorded bars of a deployment."""

    def snapshot(self, name: str) -> tuple[Entry, Snapshot]:
        """Return the last entry and the state after it."""

    def entries(self, name: str) -> Iterator[Entry]:
        """Return the journal, oldest first."""

    def models(self, name: str) -> dict[int, bytes]:
        """Return the fitted models by the close they were fitted at."""

    def rows(self, table: str, name: str) -> list[dict[str, Any]]:
        """Return a projection as it stands, in the order of its key."""

    def newest(self, table: str, name: str, most: int, until: int | None = None, **equal: str) -> list[dict[str, Any]]:
        """Return at most so many rows, the last by key, in its order: those up to a close, equal in these columns."""

    def counted(self, table: str, name: str, column: str) -> dict[str, int]:
        """Return how many rows there are of each value of a column."""

    def last(self, name: str, kind: str) -> Entry | None:
        """Return the last entry of a kind, or None."""

    def ask(self, name: str, command: str, at: int) -> None:
        """Put an operator's command where the next cycle finds it."""

    def asked(self, name: str) -> list[Command]:
        """Return the commands that were not obeyed yet, oldest first."""

    def tell(self, name: str, alerts: Sequence[Alert]) -> None:
        """Put alerts of the running itself into the outbox; one whose key is there already is left out."""

    def note(self, name: str, note: Note) -> None:
        """Write down something of the running itself."""

    def notes(self, name: str, most: int) -> list[Note]:
        """Return the newest notes, newest first."""
