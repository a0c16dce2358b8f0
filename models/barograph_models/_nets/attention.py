"""A Transformer's encoder over the window: every row looks at every other, and the last one is read."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel, shared
from barograph.jit.views import unowned
from barograph.types import Floats
from barograph_models._classify.scoring import softmax, window_filter
from barograph_models._nets.layers import accumulate, add, affine, layer_norm, rectify

__all__ = ["TRANSFORMER_STEPS", "TransformerParams", "transformer_score"]


class TransformerParams(NamedTuple):
    """What all classifiers have (`barograph_models._classify.scoring.COMMON`), then the weights, input-major.

    `heads` (1,) is how many there are. A row of d features enters by `entry` (d, D), and `positions` (window, D) are
    added. Of L layers `look` (L, D, 3D) makes queries, keys and values, `merge` (L, D, D) puts the heads together,
    `widen` (L, D, F) and `narrow` (L, F, D) are the feed-forward net, `norms` (L, 4, D) weight and bias of the layer
    norms after each of the two. `out` (D, K) is the linear layer. Each has its `_bias`.
    """

    start: Floats
    transition: Floats
    means: Floats
    variances: Floats
    centre: Floats
    shrink: Floats
    temperature: Floats
    knots: Floats
    heads: Floats
    positions: Floats
    entry: Floats
    entry_bias: Floats
    look: Floats
    look_bias: Floats
    merge: Floats
    merge_bias: Floats
    widen: Floats
    widen_bias: Floats
    narrow: Floats
    narrow_bias: Floats
    norms: Floats
    out: Floats
    out_bias: Floats


@kernel
def _rows(params: Any) -> Any:
    return params.positions.shape[0]


@kernel
def _enter(state: Any, tokens: Any, params: Any) -> None:
    """Write what enters, (n, D): the rows, oldest first, and where they stand."""
    n = tokens.shape[0]
    for t in range(n):
        token = unowned(tokens[t])
        affine(unowned(state.rows[(state.seen + t) % n]), params.entry, params.entry_bias, token)
        add(unowned(params.positions[t]), token)


@shared
def _attend(query: Any, keys: Any, values: Any, weights: Any, out: Any) -> None:
    """Write to `out` (D,) what one token finds in all: keys (heads, D / heads, n), values (heads, n, D / heads).

    A head's weights are ``softmax(q k / sqrt(D / heads))`` (Vaswani et al. 2017, 3.2.1).
    """
    heads, n, size = values.shape
    shrink = 1.0 / math.sqrt(size)
    for j in range(out.size):
        query[j] *= shrink
        out[j] = 0.0
    for h in range(heads):
        for t in range(n):
            weights[t] = 0.0
        accumulate(unowned(query[h * size : (h + 1) * size]), unowned(keys[h]), weights)
        softmax(weights)
        accumulate(weights, unowned(values[h]), unowned(out[h * size : (h + 1) * size]))


@kernel
def _keep(made: Any, t: Any, keys: Any, values: Any) -> None:
    """Put a token's key and value where all look for them."""
    heads, size, _ = keys.shape
    for h in range(heads):
        for j in range(size):
            keys[h, j, t] = made[(heads + h) * size + j]
            values[h, t, j] = made[(2 * heads + h) * size + j]


@kernel
def _normed(token: Any, more: Any, w: Any, b: Any) -> None:
    """Add to a token, and bring the sum to one scale."""
    add(more, token)
    layer_norm(token, w, b)


@shared
def _layer(k: Any, first: Any, tokens: Any, params: Any) -> None:
    """Let the tokens (n, D) from `first` on pass layer k, in their place; they look at all."""
    n, D = tokens.shape
    heads, norms = int(params.heads[0]), unowned(params.norms[k])
    made, keys, values = np.empty((n, 3 * D)), np.empty((heads, D // heads, n)), np.empty((heads, n, D // heads))
    for t in range(n):
        affine(unowned(tokens[t]), unowned(params.look[k]), unowned(params.look_bias[k]), unowned(made[t]))
        _keep(unowned(made[t]), t, unowned(keys), unowned(values))
    weights, found, more, wide = np.empty(n), np.empty(D), np.empty(D), np.empty(params.widen.shape[2])
    for t in range(first, n):
        token = unowned(tokens[t])
        _attend(unowned(made[t]), unowned(keys), unowned(values), unowned(weights), unowned(found))
        affine(unowned(found), unowned(params.merge[k]), unowned(params.merge_bias[k]), unowned(more))
        _normed(token, unowned(more), unowned(norms[0]), unowned(norms[1]))
        affine(token, unowned(params.widen[k]), unowned(params.widen_bias[k]), unowned(wide))
        rectify(unowned(wide))
        affine(unowned(wide), unowned(params.narrow[k]), unowned(params.narrow_bias[k]), unowned(more))
        _normed(token, unowned(more), unowned(norms[2]), unowned(norms[3]))


@shared
def transformer_score(state: Any, params: Any) -> None:
    """Write the probabilities of the classes from the whole window."""
    n, D, L = params.positions.shape[0], params.positions.shape[1], params.look.shape[0]
    tokens = np.empty((n, D))
    _enter(state, unowned(tokens), params)
    for k in range(L):
        # Of the last layer nothing but the last token is read.
        _layer(k, n - 1 if k == L - 1 else 0, unowned(tokens), params)
    affine(unowned(tokens[n - 1]), params.out, params.out_bias, unowned(state.probs))
    softmax(unowned(state.probs))


TRANSFORMER_STEPS = window_filter(_rows, transformer_score)
