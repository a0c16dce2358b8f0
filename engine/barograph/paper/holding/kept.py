"""What a deployment remembers of bars that are held: it lies with the watch's state, in every snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["HELD", "Keeping", "held_of", "kept"]

HELD: Final = "held"
"""Under which key it lies there."""


class Keeping(NamedTuple):
    """A bar that is held: its asset, its close (ns UTC), and why."""

    symbol: str
    ts: int
    why: str


def held_of(remembered: Mapping[str, Any]) -> list[Keeping]:
    """Return the bars that are held, oldest first."""
    return [Keeping(*one) for one in remembered.get(HELD, [])]


def kept(remembered: Mapping[str, Any], more: Iterable[Keeping] = (), less: Iterable[tuple[str, int]] = ()) -> Any:
    """Return what is remembered with more bars that are held, and less those that are no longer."""
    over = set(less)
    found = [*held_of(remembered), *more]
    return {**remembered, HELD: sorted([list(one) for one in found if one[:2] not in over], key=lambda one: one[1])}
