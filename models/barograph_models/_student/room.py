"""Room for more regimes than a fit has: they are never begun in and never entered, and the arrays keep their shapes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from barograph.types import Floats

__all__ = ["used", "with_room"]


def used(params: Any) -> int:
    """Return how many regimes are in use: those that are begun in or entered, and they come first.

    >>> from typing import NamedTuple
    >>> class P(NamedTuple):
    ...     start: Floats
    ...     transition: Floats
    >>> used(with_room(P(np.array([1.0]), np.array([[1.0]])), 3))
    1
    """
    entered = params.transition[: len(params.start)].max(axis=0) > 0.0
    return int(np.count_nonzero((params.start > 0.0) | entered))


def with_room(params: Any, most: int, shared: Collection[str] = ()) -> Any:
    """Return the params with room for `most` regimes: what is beyond is like the last, and out of reach."""
    K = len(params.start)
    grown = {name: _grown(leaf, most) for name, leaf in params._asdict().items() if name not in shared}
    for name in ("start", "ended"):
        if name in grown:
            grown[name][K:] = 0.0
    moves = np.zeros((most, most))
    moves[:, :K] = _grown(params.transition, most)
    return params._replace(**grown | {"transition": moves})


def _grown(leaf: Floats, most: int) -> Floats:
    return np.concatenate([leaf, np.repeat(leaf[-1:], most - len(leaf), axis=0)])
