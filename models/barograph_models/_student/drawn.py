"""M draws of all parameters filtered side by side: what a filter believes that is not sure of its own parameters.

Each draw runs its own chain, and is weighed by how well it foresaw the rows. A little of the weight is shared out
evenly at every bar: another draw may be right tomorrow, and a loop filters the window that the draws were made from
once more, though its rows have had their say.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import kernel
from barograph.jit.ordered import logarithms, product, total
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.transitions import expected, passages
from barograph.types import Belief, Floats
from barograph_models._chain.filter import share
from barograph_models._student.data import Cells
from barograph_models._student.emission import FIT, StudentParams, count_cells, density_norms
from barograph_models._student.fit import long_run
from barograph_models._student.gibbs import Draws

__all__ = ["DrawnParams", "drawn_init", "drawn_params", "drawn_step", "draws_ahead", "never_left", "remaining",
           "renumbered", "until"]  # fmt: skip

FADE: Final = 1e-4  # of the weight, at a bar: what is shared out evenly (Herbster & Warmuth's fixed share, 1998)


class DrawnParams(NamedTuple):
    """`StudentParams`, which is what generic parts read and the next fit begins with; then the draws, M of each.

    The first axis of every draw counts regimes, the second draws; `drawn_transition` is (K, M, K), rows from.
    """

    start: Floats
    transition: Floats
    means: Floats
    scales: Floats
    whitening: Floats
    log_scales: Floats
    degrees_of_freedom: Floats
    norms: Floats
    peak: Floats
    strength: Floats
    bars: Floats
    shape: Floats
    rate: Floats
    dof_precision: Floats
    ended: Floats
    until: Floats
    tail: Floats
    evidence: Floats
    drawn_start: Floats
    drawn_transition: Floats
    drawn_means: Floats
    drawn_whitening: Floats
    drawn_log_scales: Floats
    drawn_dof: Floats
    drawn_norms: Floats
    drawn_peak: Floats


class DrawnState(NamedTuple):
    """The mean belief (K,), each draw's (M, K), weights (M,), bars filtered; room for a step (K,) twice and (M,)."""

    probs: Floats
    each: Floats
    ahead: Floats
    logs: Floats
    weights: Floats
    gains: Floats
    seen: int


@kernel
def drawn_init(params: Any) -> DrawnState:
    """Begin with every draw at its long run, all as likely as each other."""
    K, M = params.drawn_start.shape
    weights = np.full(M, 1.0 / M)
    return DrawnState(params.start.copy(), np.zeros((M, K)), np.zeros(K), np.zeros(K), weights, np.zeros(M), 0)


@kernel
def _ahead(m: Any, seen: Any, each: Any, ahead: Any, params: Any) -> None:
    """Fill `ahead` (K,) with draw m's P(regime now | earlier bars)."""
    start, transition = params.drawn_start, params.drawn_transition
    for k in range(ahead.size):
        if seen == 0:
            ahead[k] = start[k, m]
        else:
            whole = 0.0
            for i in range(ahead.size):
                whole += each[m, i] * transition[i, m, k]
            ahead[k] = whole


@kernel
def _density(x: Any, whole: Any, k: Any, m: Any, params: Any) -> Any:
    """Return the log density of a row in regime k by draw m."""
    means, whitening, log_scales = params.drawn_means, params.drawn_whitening, params.drawn_log_scales
    seen, excess, volume = 0, 0.0, 0.0
    for j in range(x.size):
        if whole or math.isfinite(x[j]):
            z = (x[j] - means[k, m, j]) * whitening[k, m, j]
            excess += z * z
            seen += 1
            if not whole:
                volume += log_scales[k, m, j]
    norm = params.drawn_peak[k, m] if whole else params.drawn_norms[k, m, seen] - volume
    return norm - 0.5 * (params.drawn_dof[k, m] + seen) * log(1.0 + excess)


@kernel
def drawn_step(state: Any, x: Any, params: Any) -> tuple[DrawnState, Belief]:
    """Let every draw predict and weigh; the belief is their mean, weighted by what they foresaw."""
    probs, each, weights = unowned(state.probs), unowned(state.each), unowned(state.weights)
    ahead, logs, gains, own = unowned(state.ahead), unowned(state.logs), unowned(state.gains), by_address(params)
    count = count_cells(x)
    largest = -math.inf
    for m in range(weights.size):
        gains[m] = 0.0
        _ahead(m, state.seen, each, ahead, own)
        if count > 0:
            for k in range(logs.size):
                logs[k] = _density(x, count == x.size, k, m, own)
            gains[m], whole = share(ahead, logs, each[m])
            # One logarithm a bar and not one a draw: sums stay sums, only the largest logs are taken from each other.
            weights[m] *= whole
        else:
            for k in range(logs.size):
                each[m, k] = ahead[k]
        largest = max(largest, gains[m])
    logpdf = largest + _reweigh(largest, gains, weights) if count > 0 else 0.0
    _average(each, weights, probs)
    if count > 0:
        for m in range(weights.size):
            weights[m] = (1.0 - FADE) * weights[m] + FADE / weights.size
    following = DrawnState(state.probs, state.each, state.ahead, state.logs, state.weights, state.gains, state.seen + 1)
    return following, Belief(frozen(state.probs), logpdf)


@kernel
def _reweigh(largest: Any, gains: Any, weights: Any) -> Any:
    """Weigh the draws by what they foresaw; return the logarithm of the mean, less `largest`."""
    whole = 0.0
    for m in range(weights.size):
        weights[m] *= exp(gains[m] - largest)
        whole += weights[m]
    for m in range(weights.size):
        weights[m] /= whole
    return log(whole)


@kernel
def _average(each: Any, weights: Any, probs: Any) -> None:
    whole = 0.0
    for k in range(probs.size):
        probs[k] = 0.0
        for m in range(weights.size):
            probs[k] += weights[m] * each[m, k]
        whole += probs[k]
    for k in range(probs.size):
        probs[k] /= whole


def drawn_params(params: StudentParams, data: Cells, out: Draws) -> DrawnParams:
    """Put draws in robust units beside the posterior they were made from, in the data's units."""
    M, K, d = out.means.shape
    scales = data.unit / np.sqrt(out.precision)
    norms = density_norms(scales.reshape(M * K, d), out.dof.ravel())
    drawn = {
        "start": np.array([long_run(t) for t in out.transition]),
        "transition": out.transition,
        "means": out.means * data.unit + data.centre,
        "whitening": norms["whitening"].reshape(M, K, d),
        "log_scales": logarithms(scales),
        "dof": out.dof,
        "norms": norms["norms"].reshape(M, K, d + 1),
        "peak": norms["peak"].reshape(M, K),
    }
    return DrawnParams(*params, **{f"drawn_{name}": a.swapaxes(0, 1).copy() for name, a in drawn.items()})


def renumbered(params: DrawnParams, order: NDArray[np.int64]) -> DrawnParams:
    """Return the params with regime ``order[i]`` as regime i: rows of every draw's transition matrix, and columns."""
    moved = {name: array[order] for name, array in params._asdict().items() if name not in FIT}
    moved["transition"] = moved["transition"][:, order]
    moved["drawn_transition"] = moved["drawn_transition"][:, :, order]
    return params._replace(**moved)


def never_left(params: DrawnParams, states: NDArray[np.int64]) -> DrawnParams:
    """Return the params in which these states are never left, in every draw."""
    K, M = params.drawn_start.shape
    moves, drawn = params.transition.copy(), params.drawn_transition.copy()
    moves[states] = np.eye(K)[states]
    drawn[states] = np.repeat(np.eye(K)[states][:, None], M, axis=1)
    return params._replace(transition=moves, drawn_transition=drawn)


def until(params: DrawnParams, state: DrawnState, states: NDArray[np.int64]) -> float:
    """Return the bars until one of these states is entered that the draws expect on average."""
    moves = [passages(np.ascontiguousarray(m), states) for m in params.drawn_transition.swapaxes(0, 1)]
    return expected((state.each * state.weights[:, None]).ravel(), np.array(moves).ravel())


def remaining(params: DrawnParams, state: DrawnState) -> Floats:
    """Return the bars that each regime still lasts, if it is the one now, on average over the draws, (K,)."""
    leaves = 1.0 - np.array([np.diag(m) for m in params.drawn_transition.swapaxes(0, 1)])
    left = np.where(leaves > 0.0, (1.0 - leaves) / np.where(leaves > 0.0, leaves, 1.0), np.inf)
    share = np.asarray(state.each) * np.asarray(state.weights)[:, None]
    share = share / np.maximum(total(share), 1e-300)
    return np.array([expected(*of) for of in zip(share.T, left.T, strict=True)])


def draws_ahead(params: DrawnParams, state: DrawnState, horizon: int) -> tuple[Floats, Floats]:
    """Return what each draw expects of the regimes so many bars ahead, (M, K), and its weight (M,)."""
    found = []
    for each, moves in zip(np.asarray(state.each), params.drawn_transition.swapaxes(0, 1), strict=True):
        now = each
        for _ in range(horizon):
            now = product(now[None], moves)[0]
        found.append(now)
    return np.array(found), np.asarray(state.weights)
