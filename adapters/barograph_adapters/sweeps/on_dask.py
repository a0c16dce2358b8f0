"""The backend `dask`: workers of this machine, or of a cluster that runs already, take points a chunk at a time.

What makes the points (a config's text and data, or a notebook's function and history) goes once to each worker, those
that replace lost ones too; modules beside a config are found there by the same loader. A chunk that comes back is
written at once and never run again; one whose worker was lost is run by another.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from barograph.errors import BarographError
from barograph.sweeps.harvest import NOT_YET, Harvest
from barograph.sweeps.outline import Outline
from barograph_adapters.sweeps import working

if TYPE_CHECKING:
    from barograph.sweeps.backends import Job
    from barograph.sweeps.stages import Seen

__all__ = ["NEEDS", "open_backend"]

NEEDS: Final = ("distributed", "cloudpickle")
# Points a chunk: what a lost worker makes another do again.
_CHUNK: Final = 64
# A chunk that so many workers died of is what kills them.
_DEATHS: Final = 20
_NOTES: Final = "chunks.jsonl"
# Seconds between glances at what has come back, and at the workers; without any of them until the sweep ends.
_GLANCE: Final = 0.01
_TEND: Final = 2.0
_ALONE: Final = 300.0
# A worker that has not come back by itself after so long is started anew.
_LOST: Final = "10s"


def open_backend(job: Job) -> OnDask:
    """Return the backend."""
    return OnDask(job)


class _Chunk(NamedTuple):
    """Points that see the same: the number of the look, theirs, and whether they are to be run or only looked at."""

    look: int
    numbers: NDArray[np.intp]
    runs: bool


class OnDask:
    """Points by dask's workers; what comes back is the harvest of one process, bit for bit."""

    exact = True

    def __init__(self, job: Job) -> None:
        self.job, self.plan = job, Outline([])
        self._mark = f"barograph-{uuid.uuid4().hex}"
        self._open, self._cluster = ExitStack(), None
        self._counts = {"workers": 0, "workers_lost": 0, "chunks_before": 0, "chunks_run": 0, "chunks_again": 0}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        self._open.close()

    def look(self) -> Outline:
        """Take the points in; workers see what they see."""
        source = self.job.source
        self.plan = Outline(map(source.point, range(len(source.values))))
        return self.plan

    def run(self, harvest: Harvest) -> None:
        """Hand out what is missing, and write every chunk as it comes back."""
        looks = _Kept(harvest.folder, self.plan)
        chunks = list(_chunks(self.plan, harvest))
        if not self._counts["chunks_run"]:
            self._counts["chunks_before"] = _noted(harvest.folder)
        if not chunks:
            return
        done, total = 0, sum(len(chunk.numbers) for chunk in chunks if chunk.runs)
        for chunk, (part, seen) in self._back(chunks):
            looks.keep(chunk.look, seen)
            if not chunk.runs:
                continue
            self._counts["chunks_again"] += int((harvest.ended[chunk.numbers, 0] != NOT_YET).any())
            harvest.take(chunk.numbers, part)
            _note(harvest.folder, chunk)
            self._counts["chunks_run"] += 1
            done += len(chunk.numbers)
            if self.job.progress is not None:
                self.job.progress(done, total)

    def told(self) -> dict[str, Any]:
        """Say how many workers there were and were lost, and chunks: written before, run now, run though written."""
        return {"name": "dask", **self._counts}

    @functools.cached_property
    def _client(self) -> Any:
        """The client, its workers told what makes the points."""
        import distributed

        if self.job.scheduler is None:
            self._cluster = self._open.enter_context(_local(self.job.threads, self._open))
        client = self._open.enter_context(distributed.Client(self._cluster or self.job.scheduler))
        client.register_plugin(_plugin(self._mark, _packed(self.job.source)))
        self._open.callback(client.unregister_worker_plugin, self._mark)
        self._counts["workers"] = len(client.scheduler_info(n_workers=-1)["workers"])
        return client

    def _back(self, chunks: list[_Chunk]) -> Iterator[tuple[_Chunk, tuple[Harvest, Seen]]]:
        """Yield chunks as they come back."""
        import distributed

        client, values = self._client, self.job.source.values
        known = set(client.scheduler_info(n_workers=-1)["workers"])
        sent = {}
        for chunk in chunks:
            own = {int(n): values[n] for n in chunk.numbers}
            sent[client.submit(working.run_chunk, self._mark, own, chunk.runs, pure=False)] = chunk
        waited = distributed.as_completed(list(sent))
        while not waited.is_empty():
            self._tended(waited)
            future = next(waited)
            try:
                yield sent[future], future.result()
            except distributed.scheduler.KilledWorker as error:
                raise BarographError(f"sweep: {_deadly(sent[future])}") from error
            # Its result is written; nobody shall make it anew when a worker that holds it is lost.
            future.release()
            now = set(client.scheduler_info(n_workers=-1)["workers"])
            self._counts["workers_lost"] += len(known - now)
            known = now

    def _tended(self, waited: Any) -> None:
        """Wait for a chunk to come back; a worker of this machine that was killed as it started is started again.

        Raises `BarographError` where there is no worker for long.
        """
        seen = looked = time.monotonic()
        while not waited.has_ready():
            time.sleep(_GLANCE)
            now = time.monotonic()
            if now - looked < _TEND:
                continue
            looked = now
            if self._cluster is not None:
                self._cluster.scale(self._counts["workers"])
            if self._client.scheduler_info(n_workers=-1)["workers"]:
                seen = now
            elif now - seen > _ALONE:
                raise BarographError(f"sweep: no worker for {_ALONE:.0f} s; start it again, what came back is kept")


def _local(threads: int, until: ExitStack) -> Any:
    """Return workers of this machine, that nobody outside of it reaches."""
    import dask
    import distributed

    told = {"distributed.scheduler.allowed-failures": _DEATHS, "distributed.deploy.lost-worker-timeout": _LOST}
    until.enter_context(dask.config.set(told))
    scratch = until.enter_context(tempfile.TemporaryDirectory(prefix="barograph-", ignore_cleanup_errors=True))
    return distributed.LocalCluster(
        n_workers=threads or os.cpu_count() or 1,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=scratch,
        silence_logs="CRITICAL",
    )


def _packed(source: Any) -> bytes:
    """Return what makes the points, by value where no module has it; the values travel with the chunks."""
    import cloudpickle

    values, source.values = source.values, {}
    try:
        return cloudpickle.dumps(source)  # type: ignore[no-any-return]
    finally:
        source.values = values


def _plugin(mark: str, packed: bytes) -> Any:
    """Return what every worker is given as it starts; the class travels by value, what it calls by name."""
    from distributed import WorkerPlugin

    class Keep(WorkerPlugin):  # type: ignore[misc]
        name = mark

        def setup(self, worker: Any) -> None:
            working.given[mark] = packed

        def teardown(self, worker: Any) -> None:
            working.given.pop(mark, None)

    return Keep()


def _chunks(plan: Outline, harvest: Harvest) -> Iterator[_Chunk]:
    """Yield what is to be sent, look by look; of a look whose points are all finished one only to be looked at."""
    missing = harvest.missing[harvest.missing < len(plan.rows)]
    wanted = set(plan.wants())
    for look in range(len(plan.groups)):
        own = missing[plan.rows[missing, 2] == look]
        for at in range(0, len(own), _CHUNK):
            yield _Chunk(look, own[at : at + _CHUNK], True)
        if not len(own) and look in wanted:
            yield _Chunk(look, np.array(plan.firsts[look : look + 1]), False)


def _note(folder: Path | None, chunk: _Chunk) -> None:
    """Note a chunk that is written: what a sweep has run can be counted, whoever was killed."""
    if folder is not None:
        with (folder / _NOTES).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(chunk.numbers.tolist()) + "\n")


def _noted(folder: Path | None) -> int:
    """Return how many chunks were written before."""
    path = None if folder is None else folder / _NOTES
    return 0 if path is None or not path.exists() else path.read_text(encoding="utf-8").count("]\n")


def _deadly(chunk: _Chunk) -> str:
    first, last = int(chunk.numbers[0]), int(chunk.numbers[-1])
    return f"every worker that ran points {first} to {last} died; run one of them with `barograph run` to see why"


class _Kept:
    """Looks that came back, in the folder of work: a sweep that goes on need not look again."""

    def __init__(self, folder: Path | None, plan: Outline) -> None:
        self.folder, self.plan = folder, plan
        for look in plan.wants():
            path = self._path(look)
            if path is not None and path.exists():
                plan.know(look, pickle.loads(path.read_bytes()))

    def keep(self, look: int, seen: Seen) -> None:
        """Take a look in, whole or not at all."""
        path = self._path(look)
        self.plan.know(look, seen)
        if path is not None and not path.exists():
            fresh = path.with_suffix(".new")
            fresh.write_bytes(pickle.dumps(seen))
            fresh.rename(path)

    def _path(self, look: int) -> Path | None:
        return None if self.folder is None else self.folder / f"look-{look}.pickle"
