"""Crash equivalence, in short (`make soak` kills for longer); a full disk, a database gone, a clock that jumps."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from barograph.data.calendars import DAY
from barograph.paper.runner import Runner, replay
from barograph.paper.service import Service
from barograph.paper.simulated import SetClock, replayed
from barograph.paper.verify import verify
from barograph_adapters.store.sql import SqlStore, open_store
from tests import ROOT
from tests.campaigns.crashes import NAME, Letters, kept, same
from tests.kit.paper_machines import BEFORE, config, market, written
from tests.kit.postgres import Postgres

BARS = 50
# A bar that closes at midnight is that of the day that ends.
FIRST = str(np.datetime64(int(market(BEFORE + 1).ts[BEFORE]) - 1, "ns").astype("M8[D]"))
CLI = [sys.executable, "-c", "from barograph.cli import main; main()"]


@functools.cache
def undisturbed() -> dict[str, Any]:
    """Return all tables of a replay that nothing happened to."""
    folder = Path(tempfile.mkdtemp())
    service, closes, clock = made(folder, f"sqlite:///{folder}/paper.db")
    service.start()
    replay(service, closes, clock, None)
    service.stop()
    found = kept(service.store)
    shutil.rmtree(folder)
    return found


def made(folder: Path, url: str) -> tuple[Service, list[int], SetClock]:
    service, closes, clock = replayed(config(folder, BARS), folder, open_store(url), NAME, BEFORE)
    return service, closes.tolist(), clock


def as_undisturbed(store: SqlStore) -> None:
    same(undisturbed(), kept(store))
    found = verify(store, store.deployments()[0])
    assert not found.wrong, str(found)


# Kills.


@pytest.mark.parametrize(("kind", "kills", "steps"), [("sqlite", 7, 5), ("postgresql", 3, 0)])
def test_killed_again_and_again_nothing_is_lost_and_nothing_doubled(kind: str, kills: int, steps: int) -> None:
    words = f"-m tests.campaigns.crashes --store {kind} --kills {kills} --steps {steps} --bars {BARS} --seed 4"
    command = [sys.executable, "-W", "ignore", *words.split()]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["kills"] == kills + steps
    assert told["inside_a_transaction"] > 0
    assert told["rows_compared"] > 1000


# A disk that is full.


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    service, closes, clock = made(tmp_path, f"sqlite:///{tmp_path}/paper.db")
    store, pages = service.store, [0]

    @sa.event.listens_for(store.engine, "checkout")
    def _limit(connection: Any, *_: Any) -> None:
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + pages[0] if pages[0] else 10**9}")

    service.start()
    runner = Runner(service, Letters(tmp_path / "letters"), clock)
    chance, full = random.Random(3), 0
    for ts in closes:
        clock.set(ts)
        pages[0] = chance.choice([0, 1, 2, 4, 6])
        runner.look()
        if runner.failed:
            full += 1
            assert runner.service.deployment is None, "what is in memory may be ahead of what was written"
            pages[0] = 0
            runner.look()
        assert runner.failed == 0
    assert full > 5
    service.stop()
    as_undisturbed(store)


def test_a_full_disk_ends_a_replay_with_one_line(tmp_path: Path) -> None:
    undisturbed()
    url, size = f"sqlite:///{tmp_path}/paper.db", 600_000
    full = command(tmp_path, url, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    assert full.returncode == 9, full.stderr
    line = json.loads(full.stdout)["error"]["message"]
    assert re.fullmatch(r"sqlite:///paper.db: (database or disk is full|disk I/O error)", line), full
    store = open_store(url)
    assert not verify(store, store.deployments()[0]).wrong
    assert 0 < len(store.rows("equity", NAME)) < BARS
    store.close()
    through(tmp_path, url)


def through(folder: Path, url: str) -> None:
    """Go on to the end in peace, and compare."""
    service, closes, clock = made(folder, url)
    service.start()
    replay(service, closes, clock, None)
    service.stop()
    as_undisturbed(service.store)
    service.store.close()


def command(folder: Path, url: str, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    how: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120, "preexec_fn": before}
    return subprocess.run(words(folder, url), cwd=ROOT, env=environment(), **how)


def words(folder: Path, url: str) -> list[str]:
    path = written(folder, BARS)
    return [*CLI, "paper", str(path), "--replay", FIRST, "--store", url, "--name", NAME, "--json"]


def environment() -> dict[str, str]:
    """Return the environment of a child: it finds these tests, and does not begin threads for small matrices."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


# A database that is gone.


ENOUGH = 3
"""Looks that failed: from then on, and after a second outage, the server stays."""


def test_a_database_that_is_gone_for_a_while_is_waited_for(tmp_path: Path) -> None:
    server = Postgres().start()
    service, closes, clock = made(tmp_path, server.fresh())
    service.start()
    runner = Runner(service, Letters(tmp_path / "letters"), clock)
    chance, over, outages, failures = random.Random(1), threading.Event(), [], 0

    def enough() -> bool:
        return failures >= ENOUGH and len(outages) > 1

    def outage() -> None:
        while not enough() and not over.wait(chance.uniform(0.05, 0.4)):
            server.stop(chance.choice(["QUIT", "INT"]))
            outages.append(1)
            time.sleep(chance.uniform(0.0, 0.1))
            server.start()

    breaking = threading.Thread(target=outage)
    breaking.start()
    try:
        for ts in closes:
            clock.set(ts)
            # Bars take no time, and an outage does: until there were enough of them the next one is waited for.
            time.sleep(0.0 if enough() else 0.1)
            runner.look()
            while runner.failed:
                failures += 1
                time.sleep(0.02)
                runner.look()
    finally:
        over.set()
        breaking.join()
    assert (len(outages) > 1, failures > 1, runner.failure) == (True, True, None)
    service.stop()
    as_undisturbed(service.store)
    service.store.close()
    server.stop("")


# Two at once.


@contextlib.contextmanager
def running(folder: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    """Start a replay, and stop it where it stands once it has decided a bar, but not inside a transaction."""
    child = subprocess.Popen(words(folder, url), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    store, engine = open_store(url), sa.create_engine(url, connect_args={"timeout": 0.02})
    try:
        while not store.rows("equity", NAME):
            assert child.poll() is None
            time.sleep(0.002)
        while True:
            child.send_signal(signal.SIGSTOP)
            with contextlib.suppress(sa.exc.OperationalError), engine.begin() as connection:
                connection.execute(sa.text("UPDATE leases SET beat = beat"))
                break
            child.send_signal(signal.SIGCONT)
            time.sleep(0.002)
        yield child
    finally:
        child.kill()
        child.communicate()
        store.close()
        engine.dispose()


def test_of_two_processes_one_works_and_one_that_lost_its_lease_stops(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/paper.db"
    with running(tmp_path, url) as first:
        # Stopped, it is as alive as one that thinks for long.
        second = command(tmp_path, url)
        assert (second.returncode, second.stderr) == (11, "")
        told = json.loads(second.stdout)["error"]["message"]
        assert re.fullmatch(rf"deployment {NAME} is run by .*; stop that process first", told)
        store = open_store(url)
        with store.transaction() as connection:
            connection.execute(sa.text("UPDATE leases SET token = token + 1, holder = ''"))
        before = kept(store)
        first.send_signal(signal.SIGCONT)
        assert first.wait(120) == 11
        assert first.stdout is not None
        lost = f"deployment {NAME} was taken over by another process; this one stops"
        assert json.loads(first.stdout.read())["error"]["message"] == lost
        assert kept(store) == before, "it wrote after its lease was gone"
        store.close()
    through(tmp_path, url)


# A clock that is set.


@pytest.mark.parametrize("kind", ["replay", "paper"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_clock_that_jumps_decides_every_bar_once(tmp_path: Path, kind: str, seed: int) -> None:
    service, closes, clock = made(tmp_path, f"sqlite:///{tmp_path}/paper.db")
    service.plan = service.plan._replace(kind=kind)
    service.start()
    chance, reached, done = random.Random(seed), 0, 0
    while reached < len(closes):
        # Back by as much as a month, forth by as much as a week, by a summer's hour or by some seconds.
        jump = chance.choice([-30 * DAY, -DAY, -DAY // 24, -1, 0, 1, DAY // 24, DAY, 7 * DAY])
        clock.set(max(closes[0], closes[reached] + jump))
        seen = service.look()
        done += seen
        assert seen == 0 or clock.now() >= service.last
        reached = sum(ts <= service.last for ts in closes)
        if chance.random() < 0.2:
            service.stop()
            service.start()
        if jump >= DAY and seen == 0:
            reached += 1
    clock.set(closes[-1] + DAY)
    done += service.look()
    service.stop()
    both = undisturbed(), kept(service.store)
    assert done == len(closes) == len(both[1]["equity"])
    # What kind it is, and how late it was, is not the same.
    late = ("deployments", "alerts", "incidents")
    same(*({name: rows for name, rows in one.items() if name not in late} for one in both))
    assert not verify(service.store, service.store.deployments()[0]).wrong
