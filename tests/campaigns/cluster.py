"""A sweep on a cluster whose workers, or which itself, is killed: the same bytes, and nothing is run twice for nothing.

    python -m tests.campaigns.cluster --workers 20 --sweeps 20

Two workers of this machine run 480 points of a rule in plain Python that leaves a line each time a run of it begins.
Workers are killed with SIGKILL at random, and while a chunk is being written; then the whole sweep is, and started
again. In the end the table must be, byte for byte, that of the engine's own threads, and no point may have been begun
after its chunk was written. It wants the extra ``dask``: `make extras-soak` runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import psutil

from barograph.cli.app import main
from tests.campaigns.crashes import Marks
from tests.cli.test_cli import barograph

COMPUTING, WRITING = range(2)
# How long the writing of a chunk is held open, between its figures and the word that it is finished.
HELD: Final = 0.1

MINE = '''
import time
from pathlib import Path

import barograph as bg

LOG = Path(__file__).with_name("begun.log")


def _init(params):
    with LOG.open("a") as lines:
        lines.write(f"{params!r} {time.time_ns()}\\n")
    return 0.0


def _step(state, bars, belief, portfolio, params):
    weight = 1.0 if bars.close[0] > (1.0 - params) * state else 0.0
    return max(state, bars.close[0]), bg.Target(weight)


def near_the_top(within: float) -> bg.Strategy:
    """Hold while the close is within so much of the highest."""
    return bg.strategy(_step, init=_init, params=within)
'''
CONFIG = """
name = "cluster"
[data]
use = "barograph_adapters.files:csv"
path = "bars.csv"
calendar = "24/7"
[strategy]
use = "mine:near_the_top"
within = 0.1
[sweep]
figure = "total_return"
keys = { "strategy.within" = { from = 0.01, to = 0.4, points = POINTS } }
"""


def made(folder: Path, points: int) -> Path:
    """Write a user's folder: bars, a module of their own, and a config that sweeps it."""
    rng = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(0.0005 + 0.01 * rng.standard_normal(600)))
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=600), "open": close, "high": close * 1.01})
    frame.assign(low=close * 0.99, close=close, volume=1.0).to_csv(folder / "bars.csv", index=False)
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    (folder / "cluster.toml").write_text(CONFIG.replace("POINTS", str(points)), encoding="utf-8")
    (folder / "marks").write_bytes(bytes(64))
    return folder


def child(folder: Path) -> None:
    """Run the sweep, telling the marks when a chunk is being written, and a file when it was."""
    from barograph.sweeps.harvest import Harvest
    from barograph_adapters.sweeps import on_dask

    marks, take, note = Marks(folder / "marks"), Harvest.take, on_dask._note

    def taken(self: Harvest, numbers: Any, part: Harvest) -> None:
        marks.phase = WRITING
        self.rows[numbers] = part.rows
        time.sleep(HELD)
        take(self, numbers, part)
        marks.phase = COMPUTING

    def noted(where: Path | None, chunk: Any) -> None:
        note(where, chunk)
        with (folder / "written.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([time.time_ns(), chunk.numbers.tolist()]) + "\n")
        marks.bars += 1

    Harvest.take, on_dask._note = taken, noted  # type: ignore[method-assign]
    marks.phase = COMPUTING
    sys.argv = ["barograph", *_words(folder, "dask")]
    main()


def _words(folder: Path, backend: str) -> list[str]:
    return ["sweep", str(folder / "cluster.toml"), "--runs", str(folder / "runs"), "--best", "0", "--json",
            "--threads", "2", "--backend", backend, "--set", "registry.store=false"]  # fmt: skip


class Campaign:
    """Kills, and judges what is left."""

    def __init__(self, folder: Path, points: int, seed: int) -> None:
        self.folder, self.points, self.chance = folder, points, random.Random(seed)
        self.wanted = self._undisturbed()
        self.kills = {"workers": 0, "workers while writing": 0, "sweeps": 0, "sweeps while writing": 0}
        self.sweeps, self.begun, self.lost = 0, 0, 0

    def one_of_each(self) -> None:
        """Kill a sweep while it writes a chunk, and then a worker of the one that goes on."""
        folder = self._place()
        running = self._kill_sweep(folder, self._started(folder))
        self._kill_worker(folder, running)
        self._judged(folder, running)

    def workers(self, kills: int) -> None:
        """Kill so many workers, every third while a chunk is being written; the sweep goes on by itself."""
        goal = self.kills["workers"] + kills
        while self.kills["workers"] < goal:
            folder = self._place()
            running = self._started(folder)
            while running.poll() is None and self.kills["workers"] < goal:
                self._kill_worker(folder, running)
            self._judged(folder, running)

    def whole(self, kills: int) -> None:
        """Kill so many sweeps, every third while a chunk is being written, and start each again."""
        goal = self.kills["sweeps"] + kills
        while self.kills["sweeps"] < goal:
            folder = self._place()
            running = self._started(folder)
            while running.poll() is None and self.kills["sweeps"] < goal:
                running = self._kill_sweep(folder, running)
            self._judged(folder, running)

    def _undisturbed(self) -> bytes:
        ran = barograph(*_words(self._place(), "compiled"))
        assert ran.returncode == 0, ran.stderr
        return (Path(json.loads(ran.stdout)["folder"]) / "points.parquet").read_bytes()

    def _place(self) -> Path:
        return made(Path(tempfile.mkdtemp(dir=self.folder)), self.points)

    def _started(self, folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.campaigns.cluster", "--child", str(folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _kill_worker(self, folder: Path, running: subprocess.Popen[str]) -> None:
        marks, aimed = Marks(folder / "marks"), self.kills["workers"] % 3 == 0
        until = time.monotonic() + self.chance.uniform(0.0, 1.5)
        # At random is when workers run; one that starts is killed too, if there is another.
        while running.poll() is None and not (
            marks.phase == WRITING if aimed else marks.bars > 0 and time.monotonic() > until
        ):
            time.sleep(0.002)
        found = _workers(running.pid)
        if running.poll() is None and found:
            os.kill(self.chance.choice(found), signal.SIGKILL)
            self.kills["workers"] += 1
            self.kills["workers while writing"] += marks.phase == WRITING
            # So that a new one has come before the next goes: with none nothing would get on.
            time.sleep(self.chance.uniform(0.5, 3.0))

    def _kill_sweep(self, folder: Path, running: subprocess.Popen[str]) -> subprocess.Popen[str]:
        marks, aimed, before = Marks(folder / "marks"), self.kills["sweeps"] % 3 == 0, Marks(folder / "marks").bars
        until = time.monotonic() + self.chance.uniform(1.0, 12.0)
        wanted = before + self.chance.randrange(3)
        while running.poll() is None and not (
            marks.phase == WRITING and marks.bars >= wanted if aimed else time.monotonic() > until
        ):
            time.sleep(0.002)
        family = psutil.Process(running.pid).children(recursive=True) if running.poll() is None else []
        if running.poll() is not None:
            return running
        running.kill()
        running.wait()
        running.communicate()
        self.kills["sweeps"] += 1
        self.kills["sweeps while writing"] += marks.phase == WRITING
        marks.phase = COMPUTING
        _, left = psutil.wait_procs(family, timeout=60)
        assert not left, f"workers outlive their sweep: {left}"
        return self._started(folder)

    def _judged(self, folder: Path, running: subprocess.Popen[str]) -> None:
        out, err = running.communicate()
        assert running.returncode == 0, err
        told = json.loads(out)
        table = (Path(told["folder"]) / "points.parquet").read_bytes()
        assert table == self.wanted, "the table is not that of an undisturbed sweep"
        assert told["backend"]["chunks_again"] == 0, told["backend"]
        assert not list((folder / "runs").glob(".*")), "work is left behind"
        self.lost += told["backend"]["workers_lost"]
        self._nothing_twice(folder)
        self.sweeps += 1
        print(f"sweep {self.sweeps} ended as it should; killed so far: {self.kills}", file=sys.stderr, flush=True)

    def _nothing_twice(self, folder: Path) -> None:
        """No point is in two chunks that were written, and none was begun after its chunk was."""
        from barograph.config.varied import Varied

        lines = [json.loads(line) for line in (folder / "written.jsonl").read_text(encoding="utf-8").splitlines()]
        written: dict[int, int] = {}
        for at, numbers in lines:
            assert not written.keys() & set(numbers), "a chunk that was written was run again"
            written |= dict.fromkeys(numbers, at)
        number = {repr(within): n for n, (within,) in enumerate(Varied(folder / "cluster.toml").values)}
        touched = [line.split() for line in (folder / "begun.log").read_text(encoding="utf-8").splitlines()]
        late = [within for within, at in touched if int(at) > written.get(number[within], int(at))]
        assert not late, f"begun after they were written: {late}"
        self.begun += len(touched)


def _workers(pid: int) -> list[int]:
    """Return the workers of a sweep: what it spawned, but for who keeps count of its semaphores."""
    try:
        family = psutil.Process(pid).children(recursive=True)
        return [one.pid for one in family if "spawn_main" in " ".join(one.cmdline())]
    except psutil.NoSuchProcess:
        return []


def campaign() -> None:
    """Take the numbers from the command line, and say what was shown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--points", type=int, default=480)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--child", type=Path)
    given = parser.parse_args()
    if given.child is not None:
        return child(given.child)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="barograph-") as folder:
        run = Campaign(Path(folder), given.points, given.seed)
        run.workers(given.workers)
        run.whole(given.sweeps)
    for name in ("workers while writing", "sweeps while writing"):
        assert run.kills[name] > 0, f"nothing was shown of {name}"
    told = ", ".join(f"{count} {name}" for name, count in run.kills.items())
    print(f"seed {given.seed}: killed {told}; {run.sweeps} sweeps ended, all with the same bytes; "
          f"no chunk was run after it was written ({time.monotonic() - began:.0f} s)")  # fmt: skip
    return None


if __name__ == "__main__":
    campaign()
