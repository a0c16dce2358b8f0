"""Blocks of a window that are held out: what was learned outside of them is judged inside."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "Block", "blocks"]

Mask = NDArray[np.bool_]

FEWEST: Final = 20
"""Rows of a class without which it cannot be learned: measured on windows of 1,000 bars of a calm and a wild regime, a
floor of 50 would refuse a quarter of the honest ones."""


class Block(NamedTuple):
    """What may be learned outside of a block, and what is held out in it, both (T,)."""

    learn: Mask
    held: Mask


def blocks(classes: Any, usable: Mask, K: int, count: int, purge: int) -> list[Block]:
    """Return the blocks of `count` that can be held out, the rows of `usable` (T,) shared evenly, in their order.

    Outside of such a block, `purge` rows to each side left out, there are `FEWEST` rows of each class. That a block
    holds one class alone is no harm: blocks are judged together.
    """
    rows = np.flatnonzero(usable)
    found = []
    for part in np.array_split(rows, count):
        if len(part) == 0:
            continue
        held = np.zeros(len(usable), dtype=bool)
        held[part] = True
        learn = usable.copy()
        learn[max(0, int(part[0]) - purge) : int(part[-1]) + 1 + purge] = False
        if np.bincount(classes[learn], minlength=K).min() >= FEWEST:
            found.append(Block(learn, held))
    return found
