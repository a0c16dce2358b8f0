"""What every command prints alike: progress on long work, and JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from barograph.data.history import History

__all__ = ["print_json", "progress", "tell_findings"]

VERSION: Final = 1
"""What programs may rely on: a key that goes or means something else raises it, one that is added does not."""
_TOLD: Final = 5
_WIDTH: Final = 300


def print_json(content: Any) -> None:
    """Print one JSON document, with the version of what it looks like; rows alone stand under `rows`."""
    told = content if isinstance(content, dict) else {"rows": content}
    print(json.dumps(_finite({"version": VERSION, **told}), indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return the same with null for what is no number, or endless: JSON has no word for either (RFC 8259)."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def tell_findings(history: History, now: int) -> None:
    """Print on the error stream what is doubtful about the bars of a run: a line each, the first few."""
    from barograph.data.stamped import beyond

    late = beyond(history.source, history.ts, now)
    lines = [f"{finding.severity}: {finding.message}" for finding in history.findings] + (
        [f"warning: {late}"] if late else []
    )
    for line in lines[:_TOLD]:
        print(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}...", file=sys.stderr)
    if len(lines) > _TOLD:
        print(f"{len(lines) - _TOLD} more are in the report", file=sys.stderr)


@contextmanager
def progress(name: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield ``tell(done, total)``, which draws a bar on the error stream, or None when it shall be quiet."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<18}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        with compiling(lambda what: bar.update(task, description=f"compiling {what}, once" if what else name)):
            yield tell


@contextmanager
def compiling(tell: Callable[[str], None]) -> Iterator[None]:
    """Call ``tell(what)`` when something begins to be compiled, and with nothing when that is done."""
    from numba.core import event

    class Told(event.Listener):  # type: ignore[misc]
        """Hears of kernels inside kernels too; who waits is told of the outermost."""

        depth = 0

        def on_start(self, heard: event.Event) -> None:
            self.depth += 1
            if self.depth == 1:
                dispatcher = heard.data["dispatcher"]
                tell(getattr(dispatcher, "waited_for", dispatcher.py_func.__name__))

        def on_end(self, heard: event.Event) -> None:
            self.depth -= 1
            if self.depth == 0:
                tell("")

    with event.install_listener("numba:compile", Told()):
        yield
