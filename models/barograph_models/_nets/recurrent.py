"""Long short-term memory, over a window anew at every row, or carried on from row to row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel, shared
from barograph.jit.views import by_address, frozen, unowned
from barograph.types import Belief, Floats
from barograph_models._chain.filter import observed
from barograph_models._classify.scoring import calibrate, softmax, window_filter
from barograph_models._nets.layers import accumulate, affine, bent, sigmoid

__all__ = ["CARRIED_STEPS", "LSTM_STEPS", "Carried", "LSTMParams", "advance", "lstm_score", "told"]


class LSTMParams(NamedTuple):
    """What all classifiers have (`barograph_models._classify.scoring.COMMON`), then the weights, input-major.

    `window` (1,) is how many rows are looked at. Of L layers of H cells `entry` (d, 4H) takes a row in, `between`
    (L - 1, H, 4H) what the layer below says, `recurrent` (L, H, 4H) what the layer itself said last; `bias` (L, 4H).
    The gates are input, forget, cell, output. `out` (H, K) and `out_bias` (K,) are the linear layer.
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
    entry: Floats
    between: Floats
    recurrent: Floats
    bias: Floats
    out: Floats
    out_bias: Floats


class Carried(NamedTuple):
    """What the layers said last and what their cells hold, both (L, H), and the belief (K,)."""

    said: Floats
    cells: Floats
    probs: Floats


@kernel
def _turn(gates: Any, said: Any, cells: Any) -> None:
    """Let the gates change a layer's cells, and what it says."""
    H = cells.size
    for j in range(H):
        kept, taken = sigmoid(gates[H + j]) * cells[j], sigmoid(gates[j]) * bent(gates[2 * H + j])
        cells[j] = kept + taken
        said[j] = sigmoid(gates[3 * H + j]) * bent(cells[j])


@shared
def advance(x: Any, said: Any, cells: Any, gates: Any, params: Any) -> None:
    """Let all layers see one row `x` (d,); `said` and `cells` (L, H) move on, `gates` (4H,) is room."""
    for k in range(cells.shape[0]):
        if k == 0:
            affine(x, params.entry, unowned(params.bias[0]), gates)
        else:
            affine(unowned(said[k - 1]), unowned(params.between[k - 1]), unowned(params.bias[k]), gates)
        accumulate(unowned(said[k]), unowned(params.recurrent[k]), gates)
        _turn(gates, unowned(said[k]), unowned(cells[k]))


@kernel
def told(said: Any, probs: Any, params: Any) -> None:
    """Write the probabilities of the classes from what the last layer said."""
    affine(unowned(said[said.shape[0] - 1]), params.out, params.out_bias, probs)
    softmax(probs)


@kernel
def _rows(params: Any) -> Any:
    return int(params.window[0])


@shared
def lstm_score(state: Any, params: Any) -> None:
    """Write the probabilities of the classes from the whole window, begun with empty cells."""
    n, L, H = state.rows.shape[0], params.recurrent.shape[0], params.recurrent.shape[1]
    said, cells, gates = np.zeros((L, H)), np.zeros((L, H)), np.empty(4 * H)
    for t in range(n):
        row = unowned(state.rows[(state.seen + t) % n])
        advance(row, unowned(said), unowned(cells), unowned(gates), params)
    told(unowned(said), unowned(state.probs), params)


LSTM_STEPS = window_filter(_rows, lstm_score)


@kernel
def _begin(params: Any) -> Carried:
    """Begin with empty cells and the classes' shares."""
    L, H = params.recurrent.shape[0], params.recurrent.shape[1]
    return Carried(np.zeros((L, H)), np.zeros((L, H)), params.start.copy())


@kernel
def _step(state: Any, x: Any, params: Any) -> tuple[Carried, Belief]:
    """See one row more; one with any NaN is not taken, and the belief stays. There is no density: `logpdf` is NaN."""
    if not observed(x):
        return state, Belief(frozen(state.probs), 0.0)
    own, said, probs = by_address(params), unowned(state.said), unowned(state.probs)
    centre, shrink = unowned(params.centre), unowned(params.shrink)
    scaled, gates = np.empty(x.size), np.empty(4 * said.shape[1])
    for j in range(x.size):
        scaled[j] = (x[j] - centre[j]) * shrink[j]
    advance(unowned(scaled), said, unowned(state.cells), unowned(gates), own)
    told(said, probs, own)
    calibrate(probs, own)
    return state, Belief(frozen(state.probs), np.nan)


CARRIED_STEPS = (_begin, _step)
