"""A random forest: many trees, each of its own draw of the rows, ask the last rows yes-or-no questions."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.kernel import kernel
from barograph.jit.ordered import total
from barograph.jit.views import unowned
from barograph.regimes.fitted import Family, Model
from barograph.types import Floats
from barograph_models._classify.examples import examples, needed, smote
from barograph_models._classify.labels import Labels
from barograph_models._classify.learning import Classifier, Learned, Task, classifier
from barograph_models._classify.scoring import moments, window_filter
from barograph_models._classify.settings import check_shared
from barograph_models._fit.data import check_counts
from barograph_models._fit.settings import checked

__all__ = ["FOREST", "ForestParams", "forest"]


class ForestParams(NamedTuple):
    """The common ones (`barograph_models._classify.scoring.COMMON`), and the trees, node by node, one behind the other.

    `roots` (trees,) are their first nodes, `rows` (1,) how many rows are looked at; of each node: the `cell` that is
    asked for, row by row, the oldest first, or -1 at a leaf; its `threshold`; the nodes to go to, `left` where the cell
    is not above it, and `right`; and `shares` (K, nodes), those of the classes at it.
    """

    start: Floats
    transition: Floats
    means: Floats
    variances: Floats
    centre: Floats
    shrink: Floats
    temperature: Floats
    knots: Floats
    rows: Floats
    roots: Floats
    cell: Floats
    threshold: Floats
    left: Floats
    right: Floats
    shares: Floats


@kernel
def _rows(params: Any) -> int:
    return int(params.rows[0])


@kernel
def _score(state: Any, params: Any) -> None:
    rows, probs = unowned(state.rows), unowned(state.probs)
    cell, threshold, left, right = params.cell, params.threshold, params.left, params.right
    n, d = rows.shape
    for k in range(probs.size):
        probs[k] = 0.0
    for root in params.roots:
        node = int(root)
        while cell[node] >= 0.0:
            at = int(cell[node])
            # scikit-learn compares the number rounded to 32 bits with a threshold of 64.
            x = np.float64(np.float32(rows[(state.seen + at // d) % n, at % d]))
            node = int(left[node]) if x <= threshold[node] else int(right[node])
        for k in range(probs.size):
            probs[k] += params.shares[k, node]
    for k in range(probs.size):
        probs[k] /= params.roots.size


FOREST: Final = Family(
    f"{__name__}:FOREST", ForestParams, *window_filter(_rows, _score), moments,
    shared=("centre", "shrink", "temperature", "knots", "rows", "roots", "cell", "threshold", "left", "right"),
)  # fmt: skip


@checked
def forest(
    labels: Labels,
    window: int = 1,
    trees: int = 100,
    depth: int = 8,
    leaves: int = 64,
    leaf: int = 5,
    calibrate: Literal["temperature", "isotonic", "none"] = "temperature",
    weights: Literal["none", "root", "balanced"] = "none",
    oversample: Literal["none", "smote"] = "none",
    seed: int = 0,
) -> Model:
    """A random forest on the last `window` rows, scaled: the mean of its trees' shares of the regimes.

    `trees` trees of at most `depth` questions and `leaves` leaves, each of at least `leaf` rows, learned by
    scikit-learn (extra `classifiers`); scored without it. What all classifiers share stands in docs/classifiers.md.

    ``fit(window)`` takes rows (T, d), NaN where missing. It raises `FitError` for too few labelled rows, 200 or 20 of a
    class, and where what was learned tells nothing of rows that were held out.

    L. Breiman, *Random Forests*, Machine Learning 45 (2001).

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_models.labels import labels_of
    >>> random = np.random.default_rng(0)
    >>> volatility = np.tile(np.repeat([1.0, 3.0], 100), 4)
    >>> X = np.column_stack([volatility * random.standard_normal(800), volatility + 0.3 * random.standard_normal(800)])
    >>> fitted = forest(labels_of(gaussian_hmm(states=2, starts=2)), trees=10).fit(X)
    >>> fitted.filter_path(X).probs[[50, 150], 1].round(1)
    array([0., 1.])
    """
    name = "forest"
    check_shared(name, labels, window, calibrate, weights, oversample, seed)
    check_counts(name, trees=trees, depth=depth, leaves=leaves, leaf=leaf)
    if leaves < 2:
        raise ConfigError(f"{name}: leaves = {leaves}: a tree of one leaf asks nothing; wanted 2 at least")
    train = partial(_train, window, trees, depth, leaves, leaf, oversample)
    blank = partial(_blank, window, trees, leaves)
    what = Classifier(name, FOREST, train, blank, window, least=200, calibrate=calibrate, weights=weights, seed=seed)
    return classifier(what, labels)


def _blank(window: int, trees: int, leaves: int, d: int, K: int) -> tuple[Any, ...]:
    """Return trees of one question each, about a cell drawn by chance."""
    random = np.random.default_rng(0)
    stride = 2 * leaves - 1
    first = float(stride) * np.arange(trees)
    cell, left, right = np.full((trees, stride), -1.0), np.zeros((trees, stride)), np.zeros((trees, stride))
    cell[:, 0], left[:, 0], right[:, 0] = random.integers(0, window * d, trees), first + 1.0, first + 2.0
    drawn = random.random((K, trees * stride))
    shares = drawn / total(drawn)
    return np.array([float(window)]), first, cell.ravel(), np.zeros(cell.size), left.ravel(), right.ravel(), shares


def _train(window: int, trees: int, depth: int, leaves: int, leaf: int, oversample: str, task: Task) -> Learned:
    inputs, classes = examples(task, window, task.learn)
    flat = inputs.reshape(len(inputs), -1)
    if oversample == "smote":
        flat, classes = smote("forest", flat, classes, task.seed)
    bounds = {"max_depth": depth, "max_leaf_nodes": leaves, "min_samples_leaf": leaf}
    library = needed("sklearn.ensemble", "forest", "classifiers")
    made = library.RandomForestClassifier(n_estimators=trees, random_state=task.seed, n_jobs=1, **bounds)
    made.fit(flat, classes, sample_weight=task.weights[classes])
    flattened = _flattened([one.tree_ for one in made.estimators_], 2 * leaves - 1, task.K)
    return Learned((np.array([float(window)]), *flattened), np.zeros((0, 2)))


def _flattened(trees: list[Any], stride: int, K: int) -> tuple[Floats, ...]:
    """Return the nodes of all trees, each in room for `stride` of them: a refit keeps every shape."""
    cell, left, right, threshold = (np.full((len(trees), stride), blank) for blank in (-1.0, 0.0, 0.0, 0.0))
    shares = np.zeros((K, len(trees), stride))
    for t, tree in enumerate(trees):
        n, asks = tree.node_count, tree.children_left >= 0
        cell[t, :n] = np.where(asks, tree.feature, -1)
        threshold[t, :n] = tree.threshold
        left[t, :n], right[t, :n] = (
            np.where(asks, t * stride + side, 0) for side in (tree.children_left, tree.children_right)
        )
        counts = tree.value[:, 0, :]
        shares[:, t, :n] = (counts / total(counts, axis=1)[:, None]).T
    first: Floats = np.arange(len(trees), dtype=np.float64) * stride
    flat: list[Floats] = [first, *(nodes.ravel() for nodes in (cell, threshold, left, right)), shares.reshape(K, -1)]
    return tuple(flat)
