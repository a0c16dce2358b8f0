"""The fresh process of an audit: `python -P -m barograph.cli.again question answer`, two files in a folder of its own.

It reads, builds and runs a config as the audit did, but for files that end earlier, and leaves what it found. Numpy and
what needs it are imported later: see `barograph.audit.redirect`.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barograph.audit.redirect import redirect, stand_in
from barograph.errors import as_written

if TYPE_CHECKING:
    from barograph.audit.source import Again

__all__ = ["main"]


def main(question: Path, answer: Path) -> None:
    """Answer one question of `barograph.audit.source`; what stops it is told as the answer."""
    task = json.loads(question.read_text(encoding="utf-8"))
    redirect(task["copies"])
    from barograph.audit.source import Again

    try:
        found = _found(task)
    except Exception as error:
        found = Again(problem=f"{type(error).__name__}: {' '.join(as_written(str(error)).split())}")
    answer.write_bytes(pickle.dumps(found))


def _found(task: dict[str, Any]) -> Again:
    import numpy as np

    from barograph.audit.holdings import held
    from barograph.audit.lookahead import answers, columns
    from barograph.audit.opened import parquet_through
    from barograph.audit.source import Again
    from barograph.cli.shared import read
    from barograph.loop.run import scan

    parquet_through(lambda file: stand_in(file, task["copies"]))
    one = read(Path(task["config"]), task["overrides"])
    rows = int(np.searchsorted(one.history.ts, task["moment"], side="right"))
    history = one.history.head(rows)
    if rows == 0 or int(history.ts[-1]) != task["moment"]:
        return Again(problem="the bars end before the cut when their file does")
    run = scan(one.machine, history)
    objects = held(one.machine, len(history.symbols), rows).objects
    return Again(bars=columns(history), answers=answers(run), objects=objects)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
