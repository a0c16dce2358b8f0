"""The fresh process of an audit: `python -P -m barograph.cli.again question answer`, both pickles in one's own folder.

It reads, builds and runs a config as the audit did, but for files that end earlier, and leaves what it found.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from barograph.audit.source import Again, Task, redirect

__all__ = ["main"]


def main(question: Path, answer: Path) -> None:
    """Answer one question of `barograph.audit.source`; what stops it is told as the answer."""
    task: Task = pickle.loads(question.read_bytes())
    redirect(task.copies)
    try:
        found = _found(task)
    except Exception as error:
        found = Again(problem=f"{type(error).__name__}: {' '.join(str(error).split())}")
    answer.write_bytes(pickle.dumps(found))


def _found(task: Task) -> Again:
    import numpy as np

    from barograph.audit.holdings import held
    from barograph.audit.lookahead import answers, columns
    from barograph.cli.shared import read
    from barograph.loop.run import scan

    one = read(Path(task.config), list(task.overrides))
    rows = int(np.searchsorted(one.history.ts, task.moment, side="right"))
    history = one.history.head(rows)
    if rows == 0 or int(history.ts[-1]) != task.moment:
        return Again(problem="the bars end before the cut when their file does")
    run = scan(one.machine, history)
    objects = held(one.machine, len(history.symbols), rows).objects
    return Again(bars=columns(history), answers=answers(run), objects=objects)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
