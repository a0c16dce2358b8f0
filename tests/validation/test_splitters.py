"""Folds: no label that is trained on overlaps a tested one, every bar is where it belongs, and regimes are counted."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from barograph.errors import PartError
from barograph.validation.coverage import coverage, describe
from barograph.validation.splitters import CombinatorialPurged, PurgedKFold, Streams, WalkForward


def overlaps(train: np.ndarray, test: np.ndarray, horizon: int) -> bool:
    """Tell whether a label (bar t to t + horizon) of the one shares a bar with a label of the other."""
    seen = {int(t) + k for t in test for k in range(horizon + 1)}
    return any(int(t) + k in seen for t in train for k in range(horizon + 1))


@given(st.integers(10, 60), st.integers(2, 6), st.integers(0, 4), st.integers(0, 4))
def test_purged_folds_share_no_label(bars: int, folds: int, horizon: int, embargo: int) -> None:
    splitter = PurgedKFold(folds, horizon, embargo)
    try:
        found = list(splitter.split(np.zeros((bars, 2))))
    except ValueError as error:
        assume("leave none" not in str(error))
        raise
    assert len(found) == splitter.get_n_splits() == folds
    assert np.concatenate([test for _, test in found]).tolist() == list(range(bars))
    for train, test in found:
        assert not overlaps(train, test, horizon)
        behind = train[train > test[-1]]
        assert not behind.size or behind[0] > test[-1] + horizon + embargo
        # And no bar is left out without need.
        left = bars - len(train) - len(test)
        before = min(horizon, int(test[0]))
        after = min(horizon + embargo, bars - 1 - int(test[-1]))
        assert left == before + after


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 5), st.booleans(), st.integers(1, 50))
def test_walk_forward_never_trains_on_what_comes(window: int, test: int, gap: int, anchored: bool, more: int) -> None:
    bars = window + gap + more
    splitter = WalkForward(window, test, gap, anchored)
    found = list(splitter.split(range(bars)))
    assert len(found) == splitter.get_n_splits(range(bars)) == math.ceil(more / test)
    assert np.concatenate([tested for _, tested in found]).tolist() == list(range(window + gap, bars))
    for train, tested in found:
        assert train[-1] + gap + 1 == tested[0]
        assert len(train) == (tested[0] - gap if anchored else window)


@pytest.mark.parametrize(("groups", "tested", "paths"), [(6, 2, 5), (10, 2, 9), (10, 8, 36)])
def test_combinatorial_paths_are_counted(groups: int, tested: int, paths: int) -> None:
    splitter = CombinatorialPurged(groups, tested)
    assert splitter.count_paths() == paths
    streams = Streams(np.random.default_rng(0).standard_normal((groups * 4, 3)))
    assert len(list(splitter.split(streams))) == splitter.get_n_splits() == math.comb(groups, tested)
    found = splitter.paths(streams)
    assert found.shape == (paths, groups * 4)
    # Every bar of every path is some trial's return of that bar.
    assert (found[:, :, None] == streams.returns[None, :, :]).any(axis=2).all()


def test_combinatorial_paths_choose_on_the_training_part() -> None:
    rng = np.random.default_rng(1)
    returns = rng.standard_normal((12, 2))
    splitter = CombinatorialPurged(groups=3, tested=1)
    found = splitter.paths(Streams(returns))
    for part in range(3):
        at = slice(4 * part, 4 * part + 4)
        train = np.delete(returns, np.arange(12)[at], axis=0)
        best = np.argmax(train.mean(axis=0) / train.std(axis=0, ddof=1))
        assert found[0, at].tolist() == returns[at, best].tolist()


def test_combinatorial_folds_are_purged() -> None:
    streams = Streams(np.zeros((40, 1)))
    for train, test in CombinatorialPurged(5, 2, horizon=2, embargo=1).split(streams):
        assert not overlaps(train, test, 2)
        assert not set(train) & set(test)


@pytest.mark.parametrize(("X", "y"), [(np.zeros((40, 3)), None), (Streams(np.zeros((40, 3))), np.zeros(40))])
def test_what_would_fit_again_is_refused(X: object, y: object) -> None:
    with pytest.raises(PartError, match=r"wanted Streams\(returns\): it trains on bars after those it tests"):
        next(CombinatorialPurged().split(X, y))


def test_scikit_learn_takes_them() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    from sklearn.linear_model import Ridge

    X = np.random.default_rng(0).standard_normal((100, 2))
    for splitter in (WalkForward(50, 10), PurgedKFold(5, horizon=2)):
        scores = selection.cross_val_score(Ridge(), X, X @ [1.0, 2.0], cv=splitter)
        assert len(scores) == 5
        assert scores.min() > 0.9
    with pytest.raises(PartError):
        selection.cross_val_score(Ridge(), X, X[:, 0], cv=CombinatorialPurged(), error_score="raise")


@pytest.mark.parametrize(
    ("splitter", "bars", "told"),
    [
        (WalkForward(50, 10, gap=5), 55, "wanted more than window \\+ gap = 55"),
        (WalkForward(0, 10), 55, "window = 0"),
        (PurgedKFold(1), 55, "folds = 1"),
        (PurgedKFold(5), 4, "found 4 bars for 5 stretches"),
        (PurgedKFold(2, horizon=30), 55, "leave none of 55 bars"),
        (PurgedKFold(2, horizon=-1), 55, "horizon = -1"),
    ],
)
def test_what_cannot_be_split(splitter: object, bars: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        list(splitter.split(range(bars)))  # type: ignore[attr-defined]


def test_choices_that_are_none() -> None:
    for tested in (0, 6):
        with pytest.raises(ValueError, match="wanted 1 to 5"):
            list(CombinatorialPurged(6, tested).split(Streams(np.zeros((20, 2)))))


def test_spells_and_turns_by_hand() -> None:
    regimes = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0, -1, 0, 1])
    train, test = coverage(WalkForward(window=6, test=6), regimes)
    assert (train.turns, train.spells, train.bars) == (2, (2, 1), 6)
    # 0 | 1 | 0 | unknown | 0 | 1: a bar without a belief parts two spells and is no turn.
    assert (test.turns, test.spells) == (3, (3, 2))
    assert test.shares == (3 / 6, 2 / 6)
    assert train.thin == [1]
    assert test.thin == []


def test_a_hole_ends_a_spell() -> None:
    """The training part of a middle fold is two stretches: the same regime on both sides is two spells, and no turn."""
    train, test = coverage(PurgedKFold(3), [0] * 9)[2:4]
    assert (train.spells, train.turns) == ((2,), 0)
    assert (test.spells, test.turns) == ((1,), 0)


def test_beliefs_are_regimes() -> None:
    beliefs = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8], [0.6, 0.4]])
    found = coverage(WalkForward(2, 2), beliefs)
    assert found == coverage(WalkForward(2, 2), [0, -1, 1, 0])


def test_the_words_warn_of_single_episodes() -> None:
    regimes = np.repeat([0, 1, 0, 1, 0], [30, 5, 30, 5, 30])
    told = describe(PurgedKFold(2), regimes)
    assert told.count("\n") + 1 == 4 + told.count("warning")
    assert "warning: fold 0 test has 1 spell of regime 1" in told
    quiet = describe(WalkForward(4, 4), list(itertools.islice(itertools.cycle([0, 1]), 12)))
    assert "warning" not in quiet


def test_without_regimes_there_is_nothing_to_warn_of() -> None:
    assert "regime unknown" in describe(WalkForward(2, 2), [-1, -1, -1, -1])
