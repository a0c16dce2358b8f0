"""A small net over a window whose weights are written by hand: a classifier that nothing has to train."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from barograph.jit.arithmetic import tanh
from barograph.jit.kernel import kernel
from barograph.regimes.family import Family, Moments
from barograph.regimes.fitted import Fitted
from barograph_models._classify.scoring import softmax, window_filter

LENGTH, HIDDEN = 20, 16


class Params(NamedTuple):
    start: Any
    transition: Any
    means: Any
    variances: Any
    centre: Any
    shrink: Any
    temperature: Any
    knots: Any
    W: Any
    b: Any
    V: Any
    c: Any


@kernel
def _length(params):  # type: ignore[no-untyped-def]
    return LENGTH


@kernel
def _score(state, params):  # type: ignore[no-untyped-def]
    ring, W, V, h, z = state.rows, params.W, params.V, params.b.copy(), params.c.copy()
    n, d = ring.shape
    for i in range(n):
        at = (state.seen + i) % n
        for j in range(d):
            for u in range(h.size):
                h[u] += ring[at, j] * W[i * d + j, u]
    for u in range(h.size):
        answer = tanh(h[u])
        for k in range(z.size):
            z[k] += answer * V[u, k]
    softmax(z)
    for k in range(z.size):
        state.probs[k] = z[k]


init, step = window_filter(_length, _score)
NET = Family(f"{__name__}:NET", Params, init, step, moments=lambda p: Moments(p.means, p.variances))


def net(W: Any, V: Any, c: Any, d: int) -> Fitted:
    """Return a fit of two classes: softmax(c + V' tanh(W' window)), the window's rows oldest first."""
    common = (np.full(2, 0.5), np.full((2, 2), 0.5), np.zeros((2, d)), np.ones((2, d)), np.zeros(d), np.ones(d))
    params = Params(*common, np.ones(1), np.zeros((2, 2, 0)), W, np.zeros(HIDDEN), V, c)
    names = tuple(f"x{j}" for j in range(d))
    return Fitted(NET, params, None, 100, None, None, True, 0, names, labels=("calm", "wild"))


def random_net(seed: int, d: int) -> Fitted:
    """Return one of random weights, as a layer begins before it has learned anything."""
    random, cells = np.random.default_rng(seed), LENGTH * d
    W = random.normal(0.0, 1.0 / np.sqrt(cells), (cells, HIDDEN))
    return net(W, random.normal(0.0, 1.0 / np.sqrt(HIDDEN), (HIDDEN, 2)), np.zeros(2), d)


def learned_net(X: Any, y: Any, rounds: int = 300) -> Fitted:
    """Return one that learned the classes `y` (T,) of the rows `X` (T, d): a logistic of its cells, by descent."""
    T, d = X.shape
    cells = np.lib.stride_tricks.sliding_window_view(X, LENGTH, axis=0).transpose(0, 2, 1).reshape(T - LENGTH + 1, -1)
    true, w, c = y[LENGTH - 1 :], np.zeros(LENGTH * d), 0.0
    for _ in range(rounds):
        wrong = 1.0 / (1.0 + np.exp(-(cells @ w + c))) - true
        w, c = w - cells.T @ wrong / len(true) - 1e-3 * w, c - wrong.mean()
    W, V = np.zeros((LENGTH * d, HIDDEN)), np.zeros((HIDDEN, 2))
    # Small enough for tanh to be a straight line.
    W[:, 0], V[0, 1] = 0.1 * w, 10.0
    return net(W, V, np.array([0.0, c]), d)
