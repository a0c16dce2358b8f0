"""Logistic regression: the logarithm of the odds of a regime is linear in the last rows."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel
from barograph.jit.views import unowned
from barograph.regimes.fitted import Family, Model
from barograph.types import Floats
from barograph_models._classify.examples import examples, needed, smote
from barograph_models._classify.labels import Labels
from barograph_models._classify.learning import Classifier, Learned, Task, classifier
from barograph_models._classify.scoring import moments, softmax, window_filter
from barograph_models._classify.settings import check_shared
from barograph_models._fit.data import check_positive
from barograph_models._fit.settings import checked

__all__ = ["LOGISTIC", "LogisticParams", "logistic"]


class LogisticParams(NamedTuple):
    """The common ones (`barograph_models._classify.scoring.COMMON`), the weights (n, d, K) and the intercepts (K,)."""

    start: Floats
    transition: Floats
    means: Floats
    variances: Floats
    centre: Floats
    shrink: Floats
    temperature: Floats
    knots: Floats
    weights: Floats
    intercepts: Floats


@kernel
def _rows(params: Any) -> int:
    return int(params.weights.shape[0])


@kernel
def _score(state: Any, params: Any) -> None:
    rows, probs = unowned(state.rows), unowned(state.probs)
    weights, intercepts = params.weights, params.intercepts
    n, d = rows.shape
    for k in range(probs.size):
        probs[k] = intercepts[k]
    for i in range(n):
        for j in range(d):
            x = rows[(state.seen + i) % n, j]
            for k in range(probs.size):
                probs[k] += x * weights[i, j, k]
    softmax(probs)


LOGISTIC: Final = Family(
    f"{__name__}:LOGISTIC", LogisticParams, *window_filter(_rows, _score), moments,
    shared=("centre", "shrink", "temperature", "knots", "weights", "intercepts"),
)  # fmt: skip


@checked
def logistic(
    labels: Labels,
    window: int = 1,
    penalty: float = 1.0,
    calibrate: Literal["temperature", "isotonic", "none"] = "temperature",
    weights: Literal["none", "root", "balanced"] = "none",
    oversample: Literal["none", "smote"] = "none",
    seed: int = 0,
) -> Model:
    """Logistic regression on the last `window` rows, scaled: P(regime k) in proportion to exp(b_k + sum of w_k x).

    Learned by scikit-learn (extra `classifiers`) as the weights under which the labels are likeliest, less `penalty`
    times half their sum of squares; scored without it. What all classifiers share stands in docs/classifiers.md.

    ``fit(window)`` takes rows (T, d), NaN where missing. It raises `FitError` for too few labelled rows, 200 or 20 of a
    class, and where what was learned tells nothing of rows that were held out.

    D. R. Cox, *The Regression Analysis of Binary Sequences*, J. R. Stat. Soc. B 20 (1958).

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_models.labels import labels_of
    >>> random = np.random.default_rng(0)
    >>> volatility = np.tile(np.repeat([1.0, 3.0], 100), 4)
    >>> X = np.column_stack([volatility * random.standard_normal(800), volatility + 0.3 * random.standard_normal(800)])
    >>> fitted = logistic(labels_of(gaussian_hmm(states=2, starts=2))).fit(X)
    >>> fitted.filter_path(X).probs[[50, 150], 1].round(1)
    array([0., 1.])
    """
    name = "logistic"
    check_shared(name, labels, window, calibrate, weights, oversample, seed)
    check_positive(name, penalty=penalty)
    what = Classifier(name, LOGISTIC, partial(_train, window, penalty, oversample), partial(_blank, window), window,
                      least=200, calibrate=calibrate, weights=weights, seed=seed)  # fmt: skip
    return classifier(what, labels)


def _blank(window: int, d: int, K: int) -> tuple[Any, ...]:
    return np.random.default_rng(0).random((window, d, K)) - 0.5, np.zeros(K)


def _train(window: int, penalty: float, oversample: str, task: Task) -> Learned:
    inputs, classes = examples(task, window, task.learn)
    flat = inputs.reshape(len(inputs), -1)
    if oversample == "smote":
        flat, classes = smote("logistic", flat, classes, task.seed)
    made = needed("sklearn.linear_model", "logistic", "classifiers").LogisticRegression(C=1.0 / penalty, max_iter=1000)
    made.fit(flat, classes, sample_weight=task.weights[classes])
    of_each, at = np.asarray(made.coef_), np.asarray(made.intercept_)
    if task.K == 2:
        # Of two classes the log odds of the second are told: those of the first are none.
        of_each, at = np.vstack([np.zeros_like(of_each), of_each]), np.concatenate([np.zeros(1), at])
    own = np.ascontiguousarray(of_each.T.reshape(window, -1, task.K)), at
    return Learned(own, np.zeros((0, 2)))
