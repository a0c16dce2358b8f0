"""Two convolutions over the window, each rectified and pooled in pairs, their mean over time, and a linear layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel, shared
from barograph.jit.views import unowned
from barograph.types import Floats
from barograph_models._classify.scoring import softmax, window_filter
from barograph_models._nets.layers import accumulate_two, add, affine

__all__ = ["CNN_STEPS", "CNNParams", "cnn_score"]


class CNNParams(NamedTuple):
    """What all classifiers have (`barograph_models._classify.scoring.COMMON`), then the weights, input-major.

    `window` (1,) is how many rows are looked at. `first` (width * d, F) and `second` (width * F, F) are the
    convolutions, oldest row first, `out` (F, K) the linear layer; each has its `_bias`.
    """

    start: Floats
    transition: Floats
    means: Floats
    variances: Floats
    centre: Floats
    shrink: Floats
    temperature: Floats
    knots: Floats
    window: Floats
    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    out: Floats
    out_bias: Floats


@kernel
def _rows(params: Any) -> Any:
    return int(params.window[0])


@shared
def _pooled(padded: Any, pairs: Any, inputs: Any, w: Any, b: Any, out: Any, before: Any) -> None:
    """Convolve, rectify, and write the larger of each two times to `out`, `before` zeros from its beginning.

    With zeros before and after, the inputs of one time lie one behind the other in `padded`.
    """
    filters, spans, row = b.size, w.shape[0], np.empty(b.size)
    for s in range(pairs):
        kept, at = unowned(out[(before + s) * filters : (before + s + 1) * filters]), 2 * s * inputs
        for j in range(filters):
            kept[j] = row[j] = b[j]
        one, two = unowned(padded[at : at + spans]), unowned(padded[at + inputs : at + inputs + spans])
        accumulate_two(one, two, w, kept, unowned(row))
        for j in range(filters):
            larger = kept[j] if kept[j] > row[j] else row[j]
            kept[j] = larger if larger > 0.0 else 0.0


@shared
def cnn_score(state: Any, params: Any) -> None:
    """Write the probabilities of the classes from the whole window."""
    n, d, filters, half = state.rows.shape[0], state.rows.shape[1], params.first_bias.size, params.first.shape[0]
    half = half // d // 2
    rows = np.zeros((n + 2 * half) * d)
    one, two = np.zeros((n // 2 + 2 * half) * filters), np.empty(n // 4 * filters)
    for t in range(n):
        for j in range(d):
            rows[(half + t) * d + j] = state.rows[(state.seen + t) % n, j]
    _pooled(unowned(rows), n // 2, d, params.first, params.first_bias, unowned(one), half)
    _pooled(unowned(one), n // 4, filters, params.second, params.second_bias, unowned(two), 0)
    average = np.zeros(filters)
    for s in range(n // 4):
        add(unowned(two[s * filters : (s + 1) * filters]), unowned(average))
    for j in range(filters):
        average[j] /= n // 4
    affine(unowned(average), params.out, params.out_bias, unowned(state.probs))
    softmax(unowned(state.probs))


CNN_STEPS = window_filter(_rows, cnn_score)
