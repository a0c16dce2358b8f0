"""The command that compiles beforehand: `warm`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barograph.cli.console import print_json, progress
from barograph.cli.shared import Json
from barograph.errors import BarographError, ConfigError

if TYPE_CHECKING:
    from barograph.config.shipped import Shipped

__all__ = ["warm"]


def warm(
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="How many processes compile; 0 is one a core.")] = 0,
    as_json: Json = False,
) -> None:
    """Compile the engine and every part that ships into your cache, on all cores: no run waits for them later."""
    from barograph.config.shipped import engine, shipped
    from barograph.jit.cache import cache_folder, cache_limit

    folder, started = cache_folder(), time.perf_counter()
    _check(folder)
    doors, parts = engine(), [part for part in shipped() if part not in engine()]
    before, total = _files(folder), len(doors) + len(parts)
    with progress("warm", quiet=as_json) as tell:
        for done, _ in enumerate(_compiled(doors, parts, jobs or os.cpu_count() or 1), 1):
            if tell is not None:
                tell(done, 2 * total)
    files = _files(folder)
    size, new, seconds = sum(files.values()), len(files.keys() - before.keys()), time.perf_counter() - started
    if size > 0.8 * cache_limit():
        raise ConfigError(f"warm: {size / 1e6:.1f} MB leave no room for more; raise BAROGRAPH_CACHE_LIMIT")
    if as_json:
        print_json({"folder": folder, "parts": total, "new_files": new, "files": len(files), "bytes": size})
        return
    print(f"{total} parts in {seconds:.0f} s: {new} new files; {len(files)} files, {size / 1e6:.0f} MB in {folder}")


def _check(folder: Path) -> None:
    from numba.core import config

    from barograph.jit.cache import cache_limit

    cache_limit()
    if config.DISABLE_JIT:
        raise ConfigError("warm: NUMBA_DISABLE_JIT is set, so nothing is compiled; unset it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"warm: {folder} cannot be made ({error.strerror}); set BAROGRAPH_CACHE to a folder"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"warm: {folder} cannot be written to; set BAROGRAPH_CACHE to a folder that can")


def _files(folder: Path) -> dict[str, int]:
    """Map the files there to their sizes; another process may delete one meanwhile."""
    found = {}
    for path in folder.glob("*.kernel"):
        with contextlib.suppress(FileNotFoundError):
            found[path.name] = path.stat().st_size
    return found


def _compiled(doors: list[Shipped], parts: list[Shipped], jobs: int) -> Iterator[None]:
    """Compile in as many processes, and tell after each: the doors first, which every part would compile otherwise.

    Where two processes compiled one kernel at once, what calls it may know it by the symbol of the one that wrote
    first: so a last process goes through everything alone, and compiles what it cannot load.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    for stage, processes in ((doors, jobs), (parts, jobs), ([*doors, *parts], 1)):
        with _by_themselves(), ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            try:
                for one in as_completed([pool.submit(_compile, part) for part in stage]):
                    yield one.result()
            except BrokenProcessPool:
                told = "warm: a process was killed; is there memory for it? try --jobs 1"
                raise BarographError(told) from None
            except BaseException:
                # Whoever stops it does not wait for what nobody has begun.
                pool.shutdown(wait=False, cancel_futures=True)
                raise


@contextlib.contextmanager
def _by_themselves() -> Iterator[None]:
    """Let processes begin without the current folder: Python looks there first, for a `struct.py` too."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        os.environ.pop("PYTHONSAFEPATH") if before is None else os.environ.update(PYTHONSAFEPATH=before)


def _compile(part: Shipped) -> None:
    from barograph.config.shipped import bars, machine
    from barograph.loop.run import scan
    from barograph.regimes.outlook import outlook

    run = scan(machine(part), bars())
    # Doors too: what reads the log, and what a watcher asks of a fit.
    _ = run.arrays.events
    if run.fits:
        fitted, state, probs = run.fits[-1].fitted, run.world.filter, run.filtered.probs[-1]
        if fitted.panel:
            fitted, state, probs = fitted.of_asset(0), state[0], probs[0]
        outlook(fitted, 1).quantile(probs, 0.05, state)
