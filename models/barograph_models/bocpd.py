"""Bayesian online change points: how long ago did the law of the bars change, given the bars so far?"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError, PartError
from barograph.jit.arithmetic import exp, lgamma, log
from barograph.jit.kernel import kernel
from barograph.jit.ordered import logarithms, total
from barograph.jit.views import frozen, unowned
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.window import Window
from barograph.types import Belief, Floats, Forecast
from barograph_models._chain.filter import observed
from barograph_models._fit.data import check_counts, check_positive, emitted, sample
from barograph_models._fit.settings import checked

__all__ = ["BOCPD", "LABELS", "BocpdParams", "bocpd", "bocpd_params"]

NAME: Final = "bocpd"
LABELS: Final = ("steady", "changed")
FAR: Final = 1e100  # units; the square of more could be no number


class BocpdParams(NamedTuple):
    """What the filter reads; ``z = (x - centre) * shrink``, all else in units of z, one number each but `norms`.

    A run's mean is normal around 0 as if seen on `bars` bars, its precision gamma of `shape` and `rate`; `log_rate` is
    the latter's logarithm. A change comes with chance `hazard` a bar; one not longer than `recent` bars ago counts as
    changed; run lengths less likely than `least` are dropped. `norms` (R + 1,) is what a run of so many rows has in its
    log density beside its rate; `volume` is what the units add to it.
    """

    centre: Floats
    shrink: Floats
    bars: Floats
    shape: Floats
    rate: Floats
    log_rate: Floats
    hazard: Floats
    recent: Floats
    least: Floats
    volume: Floats
    norms: Floats


class BocpdState(NamedTuple):
    """P(steady), P(changed), and a slot for each of R + 1 runs: run r is in slot ``(head + r) % (R + 1)``.

    `weights` (R + 1,) are P(run length | rows so far), `counts` the rows of each, `means`, `rates` and their logarithms
    `logs` (R + 1, d) its posterior; `joint` is room for a step.
    """

    probs: Floats
    weights: Floats
    counts: Floats
    means: Floats
    rates: Floats
    logs: Floats
    joint: Floats
    head: int


@kernel
def init(params: Any) -> BocpdState:
    """Begin with one run that has seen nothing and is no news: older than what counts as changed."""
    M, d = params.norms.size, params.centre.size
    weights, probs = np.zeros(M), np.zeros(2)
    weights[int(params.recent[0]) + 1] = probs[0] = 1.0
    rates, logs = np.full((M, d), params.rate[0]), np.full((M, d), params.log_rate[0])
    return BocpdState(probs, weights, np.zeros(M), np.zeros((M, d)), rates, logs, np.zeros(M), 0)


@kernel
def _see(s: Any, x: Any, state: Any, params: Any) -> Any:
    """Let the run in slot s see a row; return the log density, in units of z, that it had foreseen for it.

    The predictive is Student's t. With b the rate before and b' after, its log is a log b - (a + 1/2) log b' and what
    the number of rows says: one logarithm a run, kept for the next row.
    """
    means, rates, logs = unowned(state.means), unowned(state.rates), unowned(state.logs)
    centre, shrink, norms = unowned(params.centre), unowned(params.shrink), unowned(params.norms)
    n = state.counts[s]
    bars, shape = params.bars[0] + n, params.shape[0] + 0.5 * n
    density = 0.0
    for j in range(centre.size):
        away = min(max((x[j] - centre[j]) * shrink[j], -FAR), FAR) - means[s, j]
        rate = rates[s, j] + 0.5 * bars / (bars + 1.0) * (away * away)
        narrow = log(rate)
        density += norms[int(n)] + shape * logs[s, j] - (shape + 0.5) * narrow
        means[s, j] += away / (bars + 1.0)
        rates[s, j], logs[s, j] = rate, narrow
    return density


@kernel
def _weigh(x: Any, state: Any, params: Any) -> Any:
    """Weigh every run by what it had foreseen, and let it learn; return the log density of the row."""
    weights, counts, joint = unowned(state.weights), unowned(state.counts), unowned(state.joint)
    largest, whole = -math.inf, 0.0
    for s in range(weights.size):
        if weights[s] > 0.0:
            joint[s] = _see(s, x, state, params)
            counts[s] += 1.0
            largest = max(largest, joint[s])
    for s in range(weights.size):
        if weights[s] > 0.0:
            weights[s] *= exp(joint[s] - largest)
            whole += weights[s]
    kept, least = 0.0, params.least[0] * whole
    for s in range(weights.size):
        weights[s] = weights[s] if weights[s] >= least else 0.0
        kept += weights[s]
    for s in range(weights.size):
        weights[s] /= kept
    return largest + log(whole) + params.volume[0]


@kernel
def _age(state: Any, params: Any) -> Any:
    """Let every run grow by a bar or end with the hazard, and a new one begin; return the slot of the new one.

    The longest cannot grow: its weight goes to the one that takes its place, which has seen the last R rows.
    """
    weights, M, hazard = unowned(state.weights), state.weights.size, params.hazard[0]
    new = (state.head + M - 1) % M
    weights[(new + M - 1) % M] += weights[new]
    for s in range(M):
        weights[s] *= 1.0 - hazard
    weights[new] = hazard
    state.counts[new] = 0.0
    for j in range(params.centre.size):
        state.means[new, j] = 0.0
        state.rates[new, j], state.logs[new, j] = params.rate[0], params.log_rate[0]
    return new


@kernel
def _young(weights: Any, head: Any, runs: Any) -> Any:
    """Return the probability of the `runs` shortest run lengths."""
    young = 0.0
    for r in range(runs):
        young += weights[(head + r) % weights.size]
    return min(young, 1.0)


@kernel
def step(state: Any, x: Any, params: Any) -> tuple[BocpdState, Belief]:
    """Weigh the runs by how well they foresaw the row, let them grow, and say how likely a recent change is.

    Over a row with any NaN runs only grow or end.
    """
    logpdf = _weigh(x, state, params) if observed(x) else 0.0
    head, probs = _age(state, params), unowned(state.probs)
    probs[1] = _young(state.weights, head, int(params.recent[0]) + 1)
    probs[0] = 1.0 - probs[1]
    told = BocpdState(state.probs, state.weights, state.counts, state.means, state.rates, state.logs, state.joint, head)
    return told, Belief(frozen(state.probs), logpdf)


@kernel
def forecast(state: Any, plan: Any, horizon: int, out: Forecast) -> None:
    """Write the predictive of the next bar's feature 0: a Student-t for each run length."""
    for s in range(state.weights.size):
        bars, shape = plan.bars[0] + state.counts[s], plan.shape[0] + 0.5 * state.counts[s]
        unit = plan.shrink[0]
        out.weights[s] = state.weights[s]
        out.mean[s] = plan.centre[0] + state.means[s, 0] / unit
        out.variance[s] = state.rates[s, 0] * (bars + 1.0) / ((shape - 1.0) * bars) / (unit * unit)
        out.degrees_of_freedom[s] = 2.0 * shape
    hazard = plan.hazard[0]
    out.probs[1] = hazard + (1.0 - hazard) * _young(state.weights, state.head, int(plan.recent[0]))
    out.probs[0] = 1.0 - out.probs[1]


def _one_bar(horizon: int) -> None:
    if horizon != 1:
        told = "a sum of bars of a run that may end has no closed form"
        raise PartError(f"{NAME} forecasts one bar ahead, not {horizon}: {told}; take horizon = 1")


def _plan(params: BocpdParams, horizon: int) -> BocpdParams:
    _one_bar(horizon)
    return params


def _components(params: BocpdParams, horizon: int) -> int:
    _one_bar(horizon)
    return params.norms.size


BOCPD = Family(f"{__name__}:BOCPD", BocpdParams, init, step, forecast=forecast, plan=_plan, components=_components,
               events=True)  # fmt: skip


def bocpd_params(
    centre: Floats,
    scale: Floats,
    expected_run: float = 250.0,
    recent: int = 20,
    longest: int = 500,
    prune: float = 1e-6,
    mean_bars: float = 1.0,
    shape: float = 2.0,
    rate: float = 1.0,
) -> BocpdParams:
    """Return params around a `centre` (d,) in units of `scale` (d,), both in the data's own units."""
    n = np.arange(longest + 1, dtype=np.float64)
    gammas = [lgamma(shape + 0.5 * i + 0.5) - lgamma(shape + 0.5 * i) for i in n.tolist()]
    bars = mean_bars + n
    norms = np.array(gammas) + 0.5 * logarithms(bars / (bars + 1.0) / (2.0 * math.pi))
    one = {"bars": mean_bars, "shape": shape, "rate": rate, "log_rate": log(rate), "hazard": 1.0 / expected_run}
    one |= {"recent": float(recent), "least": prune, "volume": -float(total(logarithms(scale)))}
    return BocpdParams(np.array(centre), 1.0 / scale, norms=norms, **{key: np.array([of]) for key, of in one.items()})


@checked
def bocpd(
    expected_run: float = 250.0,
    recent: int = 20,
    longest: int = 500,
    prune: float = 1e-6,
    mean_bars: float = 1.0,
    shape: float = 2.0,
    rate: float = 1.0,
) -> Model:
    """Bayesian online change point detection: bars are normal, and mean and variance change at unknown times.

    The filter holds P(run length | bars so far), the run being the bars since the last change, which comes with chance
    1 / `expected_run` a bar. Its two regimes, which are never renumbered, are no states of a market: "changed" is
    P(run <= `recent`), "steady" the rest. (P(run = 0) is the hazard whatever happens.) A change that takes longer than
    `recent` bars to be recognised, such as to a calmer market, never shows: so it has to be long enough. Runs longer
    than `longest` bars are taken for that long, those less likely than `prune` are dropped.

    A run's mean and precision are normal-gamma, in units of the training rows' mean and deviation, which are all that
    is learned: the mean as if seen on `mean_bars` bars, the precision of `shape`, above 1, and `rate`. Features are
    independent within a run and change together. `logpdf` is the log predictive, a mixture of Student-t's by run
    length; the forecast is the same mixture, for one bar ahead.

    ``fit(window)`` takes rows (T, d), NaN where missing; a row with any NaN is none. It raises `FitError` for rows that
    are too few, constant or infinite.

    R. Adams & D. MacKay, *Bayesian online changepoint detection* (2007): P(r_t = r + 1) ~ P(r_{t-1} = r) p_r(x_t) (1 -
    H), P(r_t = 0) ~ sum_r P(r_{t-1} = r) p_r(x_t) H; K. Murphy, *Conjugate Bayesian analysis of the Gaussian
    distribution* (2007), for p_r.

    >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0], 300)
    >>> changed = bocpd().fit(noise).filter_path(noise).probs[:, 1]
    >>> bool(changed[100:300].max() < 0.5), bool(changed[302:317].min() > 0.9)
    (True, True)
    """
    check_counts(NAME, recent=recent, longest=longest)
    check_positive(NAME, mean_bars=mean_bars, rate=rate)
    _check(expected_run, recent, longest, prune, shape)
    settings = (expected_run, recent, longest, prune, mean_bars, shape, rate)
    return Model(partial(_fit, settings), len(LABELS), NAME, labels=LABELS, settings=settings, hindsight=False)


def _check(expected_run: float, recent: int, longest: int, prune: float, shape: float) -> None:
    if not 1.0 < expected_run < math.inf:
        raise ConfigError(f"{NAME}: expected_run = {expected_run!r}, a number of bars above 1 is wanted")
    if longest < recent + 2:
        raise ConfigError(f"{NAME}: longest = {longest}, at least {recent + 2} is wanted, two more than recent")
    if not 0.0 <= prune < 0.5:
        raise ConfigError(f"{NAME}: prune = {prune!r}, a probability from 0 to below 0.5 is wanted")
    if not 1.0 < shape < math.inf:
        raise ConfigError(f"{NAME}: shape = {shape!r}, a number above 1 is wanted: below, a bar has no variance")


def _fit(settings: tuple[Any, ...], window: Window) -> Fitted:
    rows = emitted(window, NAME)
    data = sample(rows, len(LABELS), NAME)
    params = bocpd_params(data.centre, data.scale, *settings)
    names = tuple(f"x{j}" for j in range(rows.shape[1]))
    found = Fitted(BOCPD, params, None, data.rows, 2 * rows.shape[1], None, True, 0, names, labels=LABELS)
    return replace(found, log_likelihood=np.array([total(found.filter_path(rows).logpdf)]))
