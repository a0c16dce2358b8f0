"""A forest that says how restless the next bars will be: sixteen classes in the leaves, shown as six regimes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import barograph as bg
from barograph.regimes.family import Family, Moments
from barograph.regimes.fitted import Fitted, Model

CLASSES, SHOWN, NODES, AHEAD = 16, 6, 64, 5


class Params(NamedTuple):
    variances: Any  # (16, 1)
    shows: Any  # (16,): the regime that a class is shown as
    column: Any  # (trees, NODES): which feature a node asks for, -1 in a leaf
    threshold: Any
    left: Any
    right: Any
    votes: Any  # (trees, NODES, 16)
    centre: Any  # (d,)
    scale: Any


class State(NamedTuple):
    votes: Any
    probs: Any


@bg.kernel
def init(p: Any) -> Any:
    return State(np.full(CLASSES, 1.0 / CLASSES), np.full(SHOWN, 1.0 / SHOWN))


@bg.kernel
def step(s: Any, x: Any, p: Any) -> Any:
    there = True
    for j in range(x.size):
        there = there and x[j] == x[j]
    if there:
        trees = p.column.shape[0]
        for c in range(CLASSES):
            s.votes[c] = 0.0
        for n in range(trees):
            node = 0
            while p.column[n, node] >= 0.0:
                j = int(p.column[n, node])
                z = (x[j] - p.centre[j]) / p.scale[j]
                node = int(p.left[n, node]) if z <= p.threshold[n, node] else int(p.right[n, node])
            for c in range(CLASSES):
                s.votes[c] += p.votes[n, node, c] / trees
        for k in range(SHOWN):
            s.probs[k] = 0.0
        for c in range(CLASSES):
            s.probs[int(p.shows[c])] += s.votes[c]
    return State(s.votes, s.probs), bg.Belief(bg.frozen(s.probs), np.nan if there else 0.0)


def moments(p: Any) -> Moments:
    return Moments(np.zeros_like(p.variances), p.variances)


FOREST = Family(f"{__name__}:FOREST", Params, init, step, moments=moments, shown="shows")


def forest(trees: int = 5, seed: int = 0) -> Model:
    def fit(window: Any) -> Fitted:
        from sklearn.ensemble import RandomForestClassifier

        rows = window.rows
        seen = np.isfinite(rows).all(axis=1)
        centre, scale = rows[seen].mean(axis=0), rows[seen].std(axis=0)
        Z = (rows[seen] - centre) / scale
        # Labels look ahead, inside the window: its last rows have none.
        ahead = np.array([Z[t + 1 : t + 1 + AHEAD, 0].std() for t in range(len(Z) - AHEAD)])
        labels = np.searchsorted(np.quantile(ahead, np.arange(1, CLASSES) / CLASSES), ahead)
        found = RandomForestClassifier(trees, max_leaf_nodes=NODES // 2, random_state=seed).fit(Z[:-AHEAD], labels)
        spread = [[np.mean(ahead[labels == c] ** 2) * scale[0] ** 2] for c in range(CLASSES)]
        shows = np.arange(CLASSES) * SHOWN // CLASSES
        params = Params(np.array(spread), shows.astype(float), *_flat(found), centre, scale)
        return Fitted(FOREST, params, None, int(seen.sum()), None, None, True, seed, window.names)

    return Model(fit, SHOWN, "forest")


def _flat(found: Any) -> Any:
    """Lay the trees out in arrays of one shape, whatever a refit grows."""
    trees = len(found.estimators_)
    column, threshold, left, right = (np.full((trees, NODES), fill) for fill in (-1.0, 0.0, 0.0, 0.0))
    votes = np.zeros((trees, NODES, CLASSES))
    for n, one in enumerate(found.estimators_):
        tree, size = one.tree_, one.tree_.node_count
        column[n, :size] = np.where(tree.feature >= 0, tree.feature, -1)
        threshold[n, :size] = tree.threshold
        left[n, :size], right[n, :size] = tree.children_left, tree.children_right
        votes[n, :size][:, found.classes_.astype(int)] = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
    return column, threshold, left, right, votes
