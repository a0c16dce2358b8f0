"""The points of a sweep enter the registry of trials, and are told how many count beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from barograph.config.provenance import config_hash, hashed
from barograph.errors import StoreError
from barograph.trials.nouns import Study
from barograph.trials.registry import open_registry, say_once

if TYPE_CHECKING:
    from barograph.config.varied import Varied
    from barograph.sweeps.run import Sweep

__all__ = ["Tried", "entered"]


class Tried(NamedTuple):
    """How many trials count for the verdict, and how many of them are this sweep's own."""

    counted: int
    own: int


def entered(found: Sweep, varied: Varied) -> Tried:
    """Enter a sweep's points that have figures; return how many trials count for a verdict on them.

    What cannot be written is said once, and counts nothing: the sweep's own points always do, but for those without
    figures.
    """
    there = np.flatnonzero(found.harvest.ended[:, 0] == 0)
    own = sum(found.tried(int(number)) for number in there)
    registry = open_registry(varied.folder, varied.config.registry.store)
    if registry is None:
        return Tried(own, own)
    try:
        counted = 0
        for study, rows in _studies(found, varied):
            names = [varied.told(n) for n in rows]
            values = [float(v) for v in found.table[varied.plan.figure].to_numpy(np.float64)[rows]]
            registry.append_many(
                study, names, np.asarray(found.harvest.sums[rows]), values, [found.tried(n) for n in rows]
            )
            counted = max(counted, registry.counted(study.symbols, study.first, study.last).tried)
        return Tried(max(counted, own), own)
    except (StoreError, OSError) as error:
        say_once(error)
        return Tried(own, own)


def _studies(found: Sweep, varied: Varied) -> Iterator[tuple[Study, list[int]]]:
    """Yield what points have in common that see one history, and which points they are."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number in range(len(found)):
        if found.harvest.ended[number, 0] == 0:
            seen = found.seen(number)
            groups.setdefault((id(seen.history), seen.first), []).append(number)
    mark = hashed([config_hash(varied.config), str(varied.config.sweep)])
    for rows in groups.values():
        seen = found.seen(rows[0])
        history = seen.history
        traded = tuple(s for s, t in zip(history.symbols, history.traded, strict=True) if t)
        span = int(history.ts[seen.first]), int(history.ts[-1])
        work = hashed([varied.mark(), str(rows[0])])
        yield Study("sweep", varied.config.name, mark, traded, *span, history.digest(), varied.plan.figure, work), rows
