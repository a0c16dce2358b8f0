"""Folds that do not leak, with scikit-learn's interface: `split(X, y, groups)` yields rows to train on and to test on.

Rows are bars in their order. A label that looks `horizon` bars ahead (the return of the next five, say) is known only
then, so bars whose labels overlap the tested ones are left out (*purged*); an `embargo` leaves out more behind them,
for what lingers. scikit-learn itself is not needed.

López de Prado 2018, "Advances in Financial Machine Learning", chapters 7 and 12.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.types import Floats

__all__ = ["CombinatorialPurged", "PurgedKFold", "Streams", "WalkForward"]

Rows = NDArray[np.intp]


class WalkForward(NamedTuple):
    """Train on `window` bars, test on the `test` bars after them, move on by `test`: what a machine that refits does.

    `gap` bars between the two are left out: the horizon of the labels, at least. `anchored` windows begin at the first
    bar and grow. A last stretch that is shorter than `test` is tested too.

    >>> [(train.tolist(), test.tolist()) for train, test in WalkForward(window=3, test=2, gap=1).split(range(8))]
    [([0, 1, 2], [4, 5]), ([2, 3, 4], [6, 7])]
    """

    window: int
    test: int
    gap: int = 0
    anchored: bool = False

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:
        """Yield (train, test) row numbers, in the order of time.

        Raises `ValueError` when the bars do not suffice for one fold.
        """
        bars = _bars(X)
        _at_least("WalkForward", 1, window=self.window, test=self.test)
        _at_least("WalkForward", 0, gap=self.gap)
        first = self.window + self.gap
        if bars <= first:
            raise ValueError(f"WalkForward: found {bars} bars, wanted more than window + gap = {first}")
        for begin in range(first, bars, self.test):
            end = begin - self.gap
            yield (
                np.arange(0 if self.anchored else end - self.window, end),
                np.arange(begin, min(begin + self.test, bars)),
            )

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return how many folds there are for these bars."""
        return math.ceil(max(0, _bars(X) - self.window - self.gap) / self.test)


class PurgedKFold(NamedTuple):
    """Test each of `folds` stretches, train on the bars whose labels do not overlap it, before and behind.

    It trains on bars *after* those it tests: good for how a model errs, of no use for what it would have earned.

    >>> train, test = list(PurgedKFold(folds=3, horizon=1, embargo=1).split(range(9)))[1]
    >>> train.tolist(), test.tolist()
    ([0, 1, 8], [3, 4, 5])
    """

    folds: int = 5
    horizon: int = 0
    embargo: int = 0

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:
        """Yield (train, test) row numbers, one pair a fold.

        Raises `ValueError` for fewer bars than folds, or when purging leaves nothing to train on.
        """
        bars = _bars(X)
        _at_least("PurgedKFold", 2, folds=self.folds)
        for test in _stretches("PurgedKFold", bars, self.folds):
            yield _purged("PurgedKFold", bars, [test], self.horizon, self.embargo), test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return how many folds there are."""
        return self.folds


class Streams(NamedTuple):
    """Return streams that are there already, (T, trials): what machines earned that saw no bar of their future."""

    returns: Floats

    def __len__(self) -> int:
        """Say how many bars there are."""
        return len(self.returns)


class CombinatorialPurged(NamedTuple):
    """Test every choice of `tested` out of `groups` stretches, train on the rest: CPCV, for choosing among `Streams`.

    Its folds train on bars behind those they test. Choosing one of a few finished streams by them is a question of
    statistics; a model that is fitted on them has seen the future, and what it then earns nobody could have earned. So
    it takes `Streams` and refuses all else.

    >>> folds = CombinatorialPurged(groups=6, tested=2)
    >>> folds.get_n_splits(), folds.count_paths()
    (15, 5)
    """

    groups: int = 10
    tested: int = 2
    horizon: int = 0
    embargo: int = 0

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:
        """Yield (train, test) row numbers, one pair a choice of tested stretches.

        Raises `PartError` for anything but `Streams` without labels.
        """
        if not isinstance(X, Streams) or y is not None:
            found = "labels to fit to" if isinstance(X, Streams) else type(X).__name__
            raise PartError(
                f"CPCV: found {found}, wanted Streams(returns): it trains on bars after those it tests, so what is "
                "fitted in its folds has seen the future; use WalkForward, or hand it streams that are there already"
            )
        bars = len(X)
        self._check()
        parts = _stretches("CPCV", bars, self.groups)
        for chosen in itertools.combinations(parts, self.tested):
            yield _purged("CPCV", bars, list(chosen), self.horizon, self.embargo), np.concatenate(chosen)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return how many choices there are, groups! / (tested! (groups − tested)!)."""
        return math.comb(self.groups, self.tested)

    def count_paths(self) -> int:
        """Return how many whole paths the tested stretches make up: each stretch is tested once a path."""
        return math.comb(self.groups - 1, self.tested - 1)

    def paths(self, streams: Streams) -> Floats:
        """Return the paths (paths, T) that choosing the best Sharpe ratio of each training part would have earned.

        Raises `PartError` as `split` does.
        """
        sizes = np.array([0] + [len(part) for part in _stretches("CPCV", len(streams), self.groups)])
        edges = np.cumsum(sizes)
        found = np.empty((self.count_paths(), len(streams)))
        seen = np.zeros(self.groups, dtype=int)
        choices = itertools.combinations(range(self.groups), self.tested)
        for chosen, (train, _) in zip(choices, self.split(streams), strict=True):
            best = _best(streams.returns[train])
            for part in chosen:
                at = slice(edges[part], edges[part + 1])
                found[seen[part], at] = streams.returns[at, best]
                seen[part] += 1
        return found

    def _check(self) -> None:
        _at_least("CPCV", 2, groups=self.groups)
        if not 1 <= self.tested < self.groups:
            raise ValueError(f"CPCV: tested = {self.tested} of {self.groups} groups; wanted 1 to {self.groups - 1}")


def _best(returns: Floats) -> int:
    mean, deviation = returns.mean(axis=0), returns.std(axis=0, ddof=1)
    return int(np.argmax(np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 0.0)))


def _bars(X: Any) -> int:
    if X is None:
        raise ValueError("splitter: found no bars, wanted X: how many folds there are depends on them")
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def _at_least(name: str, least: int, **given: int) -> None:
    for key, value in given.items():
        if value < least:
            raise ValueError(f"{name}: {key} = {value}; wanted at least {least}")


def _stretches(name: str, bars: int, count: int) -> list[Rows]:
    """Cut the bars into stretches of nearly one length, the first ones longer by a bar."""
    if bars < count:
        raise ValueError(f"{name}: found {bars} bars for {count} stretches, wanted a bar each at least")
    return np.array_split(np.arange(bars), count)


def _purged(name: str, bars: int, tested: list[Rows], horizon: int, embargo: int) -> Rows:
    """Rows to train on: not tested, with no label that overlaps a tested one, not under embargo."""
    _at_least(name, 0, horizon=horizon, embargo=embargo)
    kept = np.ones(bars, dtype=bool)
    for rows in tested:
        kept[max(0, int(rows[0]) - horizon) : int(rows[-1]) + horizon + embargo + 1] = False
    if not kept.any():
        raise ValueError(f"{name}: horizon = {horizon} and embargo = {embargo} leave none of {bars} bars to train on")
    return np.flatnonzero(kept)
