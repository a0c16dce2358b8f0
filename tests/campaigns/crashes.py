"""Killed and started again: whatever happens to the process, the store ends as if nothing had happened.

A replay of three assets (stops resting, refits, commands of an operator, alerts delivered) is killed with SIGKILL at
random moments and started again until it is through, and must leave what an undisturbed one leaves, row for row:

    python -m tests.campaigns.crashes --kills 500 --store sqlite
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import sqlalchemy as sa

from barograph.config.schema import Config
from barograph.errors import BarographError
from barograph.paper.alerts.outbox import dispatch
from barograph.paper.parity import parity
from barograph.paper.ports import Message
from barograph.paper.projection import TABLES
from barograph.paper.runner import replay
from barograph.paper.service import Service
from barograph.paper.simulated import SetClock, replayed
from barograph.paper.store import Store
from barograph.paper.verify import verify
from barograph_adapters.store.sql import SqlStore, open_store
from tests.kit.paper_machines import BEFORE, config

NAME: Final = "crashes"
COMMANDS: Final = {4: "halt", 9: "resume", 15: "flatten", 18: "resume", 150: "halt", 170: "resume"}
"""What the operator asks for before the bar of that number, counted from the first decision."""

SKIPPED: Final = ("cycles", "notes", "leases")
"""What the wall clock writes; all other tables must be equal."""

_OWN: Final = ("attempts", "first_try", "ended_at", "next_try", "message", "folder", "code_hash")

PHASES: Final = ("computing", "reading", "writing", "committing")
COMPUTING, READING, WRITING, COMMITTING = range(4)


class Marks:
    """A few integers that parent and child both see: where the child is, and where it shall kill itself."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.cells = memoryview(mmap.mmap(file.fileno(), 64)).cast("q")

    phase = property(lambda self: self.cells[0], lambda self, value: self.cells.__setitem__(0, value))
    started = property(lambda self: self.cells[1], lambda self, value: self.cells.__setitem__(1, value))
    bars = property(lambda self: self.cells[2], lambda self, value: self.cells.__setitem__(2, value))
    steps = property(lambda self: self.cells[3], lambda self, value: self.cells.__setitem__(3, value))
    die = property(lambda self: self.cells[4], lambda self, value: self.cells.__setitem__(4, value))

    def step(self, phase: int) -> None:
        """Note the next thing said to the database; die if it is the one to die at."""
        self.phase = phase
        self.steps += 1
        if self.steps == self.die:
            os.kill(os.getpid(), signal.SIGKILL)


def watched(engine: sa.Engine, marks: Marks) -> None:
    """Mark what the child says to its database: before each statement, before each commit, and after it."""

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        writes = statement.startswith(("INSERT", "UPDATE", "CREATE", "DELETE"))
        marks.step(WRITING if writes or marks.phase == WRITING else READING)

    @sa.event.listens_for(engine, "commit")
    def _commit(_: Any) -> None:
        marks.step(COMMITTING if marks.phase == WRITING else READING)

    @sa.event.listens_for(engine, "checkin")
    def _over(*_: Any) -> None:
        marks.step(COMPUTING)


class Letters:
    """A notifier whose messages are lines of a file: what went out stays out."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def send(self, url: str, message: Message) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(f"{message.key}\n".encode())


class Place(NamedTuple):
    """Where a run is kept: its folder, its database, how many bars it is to decide, and whether it chooses."""

    folder: Path
    url: str
    bars: int
    choose: bool = False

    @property
    def config(self) -> Config:
        return config(self.folder, self.bars, choose=self.choose)

    @property
    def marks(self) -> Marks:
        return Marks(self.folder / "marks")


def trade(place: Place) -> None:
    """Replay to the end, from wherever the store is: what the child does."""
    marks, plan = place.marks, place.config
    store = open_store(place.url)
    watched(store.engine, marks)
    service, closes, clock = replayed(plan, place.folder, store, NAME, BEFORE)
    service.start()
    marks.started = 1
    replay(service, operated(service, closes, clock, Letters(place.folder / "letters"), marks), clock, None)
    service.stop()
    store.close()


def operated(service: Service, closes: Any, clock: SetClock, letters: Letters, marks: Marks) -> Iterator[int]:
    """Yield the closes; in between an operator gives commands, and the outbox is emptied."""
    for n, ts in enumerate(closes.tolist()):
        if service.last < ts:
            if n in COMMANDS:
                asked(service.store, COMMANDS[n], ts)
            yield ts
            marks.bars = n + 1
        if n % 10 == 0:
            dispatch(service.store, letters, service.paper.alerts, NAME, clock)
    # What has no room in an hour goes out in the next one.
    while dispatch(service.store, letters, service.paper.alerts, NAME, clock).waiting:
        clock.sleep(3600.0)


def asked(store: Store, command: str, at: int) -> None:
    """Ask for something, unless it was asked for before the last kill."""
    if at not in [row["asked_at"] for row in store.rows("commands", NAME)]:
        store.ask(NAME, command, at)


# What is left in the end.


def kept(store: SqlStore) -> dict[str, list[tuple[Any, ...]]]:
    """Return all tables but those of the wall clock, as every database gives them back."""
    tables = [table for name, table in store.tables.items() if name not in (*SKIPPED, "alembic_version")]
    with store.transaction() as connection:
        rows = {t.name: connection.execute(sa.select(t).order_by(*t.primary_key.columns)).all() for t in tables}
    return {name: [tuple(map(plain, row._asdict().items())) for row in found] for name, found in rows.items()}


def plain(item: tuple[str, Any]) -> tuple[str, Any]:
    """Return a value to be compared to the bit; where it ran, and how often a message was tried, is each run's own."""
    key, value = item
    if isinstance(value, float):
        return key, "nan" if np.isnan(value) else (value + 0.0).hex()
    return key, None if key in _OWN else value


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Raise `AssertionError` naming the first row that was lost, doubled or changed."""
    assert one.keys() == other.keys(), one.keys() ^ other.keys()
    for table, rows in one.items():
        for n, (a, b) in enumerate(zip(rows, other[table], strict=False)):
            assert a == b, f"{table}, row {n}: undisturbed {a}, killed {b}"
        assert len(rows) == len(other[table]), f"{table}: undisturbed {len(rows)} rows, killed {len(other[table])}"


def judged(place: Place, undisturbed: dict[str, Any], kills: int) -> None:
    """Compare a store with the undisturbed one, with its own journal, and with the backtest."""
    store = open_store(place.url)
    try:
        same(undisturbed, kept(store))
        deployed = store.find(NAME)
        assert deployed is not None
        checked, compared = verify(store, deployed), parity(store, deployed)
        assert not checked.wrong, str(checked)
        assert compared.difference is None, str(compared)
        assert all(undisturbed[table] for table in TABLES), "a table is empty: nothing was shown of it"
        told_once(place, store, kills)
    finally:
        store.close()


def told_once(place: Place, store: SqlStore, kills: int) -> None:
    """Every message went out, and none more often than there were kills between its going out and its record."""
    sent = {row["message"] for row in store.rows("deliveries", NAME)}
    assert {row["state"] for row in store.rows("deliveries", NAME)} == {"sent"}
    went = Counter((place.folder / "letters").read_text(encoding="utf-8").split())
    assert sent <= went.keys(), sent - went.keys()
    people = Counter(message for message, _ in {(r["message"], r["recipient"]) for r in store.rows("deliveries", NAME)})
    again = sum(went[key] - people[key] for key in went)
    assert again <= kills, f"{again} messages went out twice, after {kills} kills"


# Killing.


class Killed(NamedTuple):
    """One kill: how it was aimed, what the child was doing, and how far it had come."""

    aim: str
    doing: str
    bars: int


class Campaign:
    """Kills one replay after the other until there were enough."""

    def __init__(self, folder: Path, bars: int, seed: int, fresh: Callable[[], str], choose: bool = False) -> None:
        self.folder, self.bars, self.fresh, self.choose = folder, bars, fresh, choose
        self.chance = random.Random(seed)
        self.kills: list[Killed] = []
        self.rounds = 0
        self.undisturbed, self.pace = self._undisturbed()

    def _undisturbed(self) -> tuple[dict[str, Any], float]:
        """Run once in peace; it also compiles everything, and measures the seconds that a bar takes."""
        place = self._place(f"sqlite:///{self.folder}/undisturbed.db")
        before = time.perf_counter()
        trade(place)
        store = open_store(place.url)
        found = kept(store)
        store.close()
        return found, (time.perf_counter() - before) / self.bars

    def _place(self, url: str) -> Place:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        (folder / "marks").write_bytes(bytes(8 * 8))
        return Place(folder, url, self.bars, self.choose)

    def run(self, kills: int) -> None:
        """Go on until so many kills were survived, on as many replays as it takes."""
        goal = len(self.kills) + kills
        while len(self.kills) < goal:
            place, before = self._place(self.fresh()), len(self.kills)
            while self._round(place, goal - len(self.kills)):
                pass
            self.rounds += 1
            judged(place, self.undisturbed, len(self.kills) - before)

    def stepped(self, steps: int) -> None:
        """Kill the n-th child at the n-th thing it says to its database."""
        place = self._place(self.fresh())
        for n in range(1, steps + 1):
            place.marks.die = n
            if not self._ended(place, begun(place), "step"):
                break
        place.marks.die = 0
        assert not self._ended(place, begun(place), "")
        self.rounds += 1
        judged(place, self.undisturbed, steps)

    def _round(self, place: Place, left: int) -> bool:
        """Start a child and kill it; return False when it came through."""
        spawned = self.chance.random() < 0.04
        child = (spawn if spawned else begun)(place)
        if left <= 0:
            return self._ended(place, child, "")
        # On average the kills fall evenly on all bars; never so late that there is nothing left to be killed.
        ahead = self.bars - place.marks.bars
        bars = self.chance.uniform(0.0, min(2.0 * ahead / (left + 1), ahead / 2.0))
        aim = self.chance.choices(("start", "time", "transaction", "commit"), (2, 4, 3, 1))[0]
        self._aimed(place, child, aim, bars, spawned)
        return self._ended(place, child, aim, kill=True)

    def _aimed(self, place: Place, child: int, aim: str, bars: float, spawned: bool) -> None:
        """Wait for the moment to kill."""
        marks = place.marks
        goal = marks.bars + int(bars)
        if aim == "start":
            time.sleep(self.chance.uniform(0.0, 2.5 if spawned else 0.15))
            return
        self._until(child, lambda: marks.started == 1)
        if aim == "time":
            over = time.monotonic() + bars * self.pace
            self._until(child, lambda: time.monotonic() > over)
            return
        self._until(child, lambda: marks.bars >= goal)
        wanted = WRITING if aim == "transaction" else COMMITTING
        self._until(child, lambda: marks.phase == wanted)
        if aim == "transaction":
            time.sleep(self.chance.uniform(0.0, 0.002))

    def _until(self, child: int, reached: Callable[[], bool]) -> None:
        while not reached() and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.00005)

    def _ended(self, place: Place, child: int, aim: str, kill: bool = False) -> bool:
        """Wait for the end of a child, killing it first if so wanted; return whether it was killed."""
        if kill:
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        marks = place.marks
        if status == -signal.SIGKILL:
            doing = PHASES[marks.phase] if marks.started else "starting"
            self.kills.append(Killed(aim, doing, marks.bars))
        assert status in (0, -signal.SIGKILL), f"a child ended with {status}"
        marks.phase = marks.started = marks.steps = 0
        return status != 0

    def summary(self) -> dict[str, Any]:
        """Return what was done, in figures."""
        doing, aims = (dict(Counter(getattr(one, key) for one in self.kills)) for key in ("doing", "aim"))
        inside = sum(doing.get(key, 0) for key in ("writing", "committing"))
        rows = sum(map(len, self.undisturbed.values()))
        return {
            "kills": len(self.kills), "inside_a_transaction": inside, "doing": doing, "aimed": aims,
            "replays": self.rounds, "bars": self.bars, "rows_compared": rows,
        }  # fmt: skip


def begun(place: Place) -> int:
    """Fork a child that trades: all is imported and compiled, so that it starts in a moment."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        trade(place)
        code = 0
    except BarographError as error:
        print(f"child: {error}", file=sys.stderr)
        code = error.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def spawn(place: Place) -> int:
    """Start a process of its own that trades."""
    words = [sys.executable, "-m", "tests.campaigns.crashes", "--child", str(place.folder), "--store", place.url]
    more = ["--bars", str(place.bars), *(["--choose"] if place.choose else [])]
    return os.posix_spawn(sys.executable, [*words, *more], dict(os.environ))


def databases(kind: str, folder: Path) -> Callable[[], str]:
    """Return what makes empty databases of a kind."""
    if kind == "postgresql":
        from tests.kit.postgres import server

        return server().fresh
    return lambda: f"sqlite:///{Path(tempfile.mkdtemp(dir=folder)) / 'paper.db'}"


def main() -> None:
    """Run a campaign and print what it did as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500, help="kills at random moments")
    parser.add_argument("--steps", type=int, default=0, help="kills one after the other: at the n-th statement")
    parser.add_argument("--bars", type=int, default=2000, help="bars to be decided")
    parser.add_argument("--store", default="sqlite", help="sqlite or postgresql")
    parser.add_argument("--choose", action="store_true", help="the machine chooses among candidates as it goes")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.child is not None:
        trade(Place(told.child, told.store, told.bars, told.choose))
        return
    before = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), told.bars, told.seed, databases(told.store, Path(folder)), told.choose)
        campaign.stepped(told.steps) if told.steps else None
        campaign.run(told.kills)
        seconds = round(time.perf_counter() - before, 1)
        print(json.dumps({"store": told.store, "seed": told.seed, "seconds": seconds, **campaign.summary()}))


if __name__ == "__main__":
    main()
