"""Which regimes a fold has seen: its bars, turns, and the share and spells of each.

A fold that tests one spell of a regime tests one episode, however many bars that has. Nothing in an error bar over bars
says so.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ENOUGH", "Coverage", "coverage", "describe"]

ENOUGH: Final = 2
"""Spells of a regime below which a fold says nothing about it."""


class Coverage(NamedTuple):
    """One part of one fold: bars, turns from one regime to another, and share and spells of each regime, (R,)."""

    fold: int
    part: str
    bars: int
    turns: int
    shares: tuple[float, ...]
    spells: tuple[int, ...]

    @property
    def thin(self) -> list[int]:
        """The regimes that have fewer than two spells here."""
        return [regime for regime, count in enumerate(self.spells) if count < ENOUGH]


def coverage(splitter: Any, regimes: Any, X: Any = None) -> list[Coverage]:
    """Return what each fold trains and tests on, two rows a fold.

    `regimes` is the regime of every bar (T,), −1 where none is known, or beliefs (T, R), of which the likeliest counts.
    `splitter` is anything with scikit-learn's `split`; it is given `X`, or the regimes where there is none.

    >>> from barograph.validation.splitters import WalkForward
    >>> coverage(WalkForward(window=4, test=4), [0, 0, 1, 0, 1, 1, 0, 0])[1]
    Coverage(fold=0, part='test', bars=4, turns=1, shares=(0.5, 0.5), spells=(1, 1))
    """
    path = _path(regimes)
    count = int(path.max(initial=-1)) + 1
    found = []
    for fold, parts in enumerate(splitter.split(path if X is None else X)):
        found += [_covered(fold, part, rows, path, count) for part, rows in zip(("train", "test"), parts, strict=True)]
    return found


def describe(splitter: Any, regimes: Any, X: Any = None) -> str:
    """Return the same as text: a line a part of a fold, and a warning where a regime has less than two spells.

    >>> from barograph.validation.splitters import WalkForward
    >>> print(describe(WalkForward(window=6, test=4), [0, 1, 0, 1, 0, 0, 1, 0, 1, 1]))
    fold 0 train     6 bars    4 turns  regime 0  66.7 % in 3 spells, 1  33.3 % in 2
    fold 0 test      4 bars    2 turns  regime 0  25.0 % in 1 spells, 1  75.0 % in 2
      warning: fold 0 test has 1 spell of regime 0: what it says of it is one episode
    """
    lines = []
    for row in coverage(splitter, regimes, X):
        told = [
            f"{r} {100 * share:5.1f} % in {n}" for r, (share, n) in enumerate(zip(row.shares, row.spells, strict=True))
        ]
        first = f"{told[0]} spells" if told else "unknown"
        regime = ", ".join([first, *told[1:]])
        lines.append(f"fold {row.fold} {row.part:<5} {row.bars:5d} bars {row.turns:4d} turns  regime {regime}")
        lines += [_warning(row, regime) for regime in row.thin]
    return "\n".join(lines)


def _warning(row: Coverage, regime: int) -> str:
    spells = row.spells[regime]
    episode = "what it says of it is one episode" if spells else "it says nothing of it"
    return f"  warning: fold {row.fold} {row.part} has {spells or 'no'} spell of regime {regime}: {episode}"


def _path(regimes: Any) -> NDArray[np.int64]:
    given = np.asarray(regimes)
    if given.ndim == 1:
        return given.astype(np.int64)
    known = ~np.isnan(given).any(axis=1)
    return np.where(known, np.argmax(np.where(np.isnan(given), 0.0, given), axis=1), -1).astype(np.int64)


def _covered(fold: int, part: str, rows: NDArray[np.intp], path: NDArray[np.int64], count: int) -> Coverage:
    here = path[rows]
    # A hole between two stretches ends a spell, and is no turn.
    joined = np.diff(rows) == 1
    changed = here[1:] != here[:-1]
    begins = np.concatenate(([True], changed | ~joined))[: len(here)]
    known = (here[1:] >= 0) & (here[:-1] >= 0)
    shares = tuple(float(np.mean(here == k)) if len(here) else 0.0 for k in range(count))
    spells = tuple(int(np.count_nonzero(begins & (here == k))) for k in range(count))
    return Coverage(fold, part, len(here), int(np.count_nonzero(changed & joined & known)), shares, spells)
