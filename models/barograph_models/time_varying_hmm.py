"""The hidden Markov model with time-varying transition probabilities: covariates drive the moves between regimes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError, FitError
from barograph.jit.arithmetic import log
from barograph.jit.kernel import kernel
from barograph.jit.ordered import logarithms, mean, total, variance
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.family import Moments, lasting
from barograph.regimes.fitted import Family, Model
from barograph.regimes.window import COVARIATE, TARGET, Window
from barograph.types import Belief, Floats, Forecast
from barograph_models._chain import driven, gaussian
from barograph_models._chain.ahead import one_a_regime
from barograph_models._chain.filter import observed, stand, weigh
from barograph_models._chain.gaussian import DIAGONAL, GaussianParams, gaussian_params
from barograph_models._chain.inference import complete
from barograph_models._chain.starts import start_params
from barograph_models._fit.data import Sample, check_counts, check_positive, sample
from barograph_models._fit.restarts import Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked

_log_density = DIAGONAL.log_density

__all__ = ["TIME_VARYING", "DrivenParams", "DrivenState", "driven_params", "time_varying_hmm"]


class DrivenParams(NamedTuple):
    """K regimes of e features, and p covariates.

    `start` (K,); `logits` (K, K, 1 + p): of a move from i to j against staying, an intercept and a slope a covariate.
    `means`, `covariances` (variances), `whitening` (K, e) and `peak` (K,) as in `gaussian_hmm`. Shared: `emitted` (e,)
    and `driving` (p,) are the numbers of the columns, `usual` (p,) the covariates' means over the training rows.
    """

    start: Floats
    logits: Floats
    means: Floats
    covariances: Floats
    whitening: Floats
    peak: Floats
    emitted: Floats
    driving: Floats
    usual: Floats


class DrivenState(NamedTuple):
    """P(regime | bars so far) (K,), room (K,) thrice and (e,), the covariates last known (p,), and a count."""

    probs: Floats
    ahead: Floats
    logs: Floats
    chance: Floats
    row: Floats
    drive: Floats
    seen: int


@kernel
def _init(params: Any) -> DrivenState:
    """Begin at the start probabilities, with covariates as they usually are."""
    K = params.start.size
    room = (np.zeros(K), np.zeros(K), np.zeros(K), np.zeros(params.emitted.size))
    return DrivenState(params.start.copy(), room[0], room[1], room[2], room[3], params.usual.copy(), 0)


@kernel
def _step(state: Any, x: Any, params: Any) -> tuple[DrivenState, Belief]:
    """Move as the covariates of the bar before say, weigh by the densities, and keep this bar's covariates."""
    probs, ahead, logs = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
    row, drive, own = unowned(state.row), unowned(state.drive), by_address(params)
    emitted, driving = own.emitted, own.driving
    for j in range(row.size):
        row[j] = x[int(emitted[j])]
    _predict(state.seen, probs, drive, own, unowned(state.chance), ahead)
    logpdf = 0.0
    if observed(row):
        for k in range(logs.size):
            logs[k] = _log_density(row, k, own)
        logpdf = weigh(ahead, logs, probs)
    else:
        stand(ahead, probs)
    for c in range(drive.size):
        if math.isfinite(x[int(driving[c])]):  # a missing covariate is what it last was
            drive[c] = x[int(driving[c])]
    after = (state.probs, state.ahead, state.logs, state.chance, state.row, state.drive, state.seen + 1)
    return DrivenState(*after), Belief(frozen(state.probs), logpdf)


@kernel
def _predict(seen: Any, probs: Any, drive: Any, own: Any, chance: Any, ahead: Any) -> None:
    if seen > 0:
        driven.predict(own.logits, drive, probs, chance, ahead)
    else:
        for k in range(probs.size):
            ahead[k] = own.start[k]


@kernel
def _ahead(state: Any, params: Any, horizon: int, out: Forecast) -> None:
    own, drive, probs = by_address(params), unowned(state.drive), unowned(state.probs)
    driven.foresee(own.logits, drive, probs, own.means, own.covariances, horizon, out)


def _moves(params: DrivenParams, X: Floats) -> Floats:
    drives = driven.followed(X[:, params.driving.astype(np.int64)], params.usual)
    moves = np.empty((len(X), len(params.start), len(params.start)))
    driven.fill_moves(params.logits, drives, moves)
    return moves


def _smooth(params: DrivenParams, X: Floats) -> Floats:
    rows, (T, K) = _rows(params, X), (len(X), len(params.start))
    alpha = np.empty((T, K))
    if T:
        room = (alpha, np.empty((T, K)), np.ones(K), np.empty(K))
        driven.smoother(DIAGONAL)(rows, complete(rows), params, _moves(params, X), *room)
    return alpha


def _decode(params: DrivenParams, X: Floats) -> NDArray[np.int64]:
    return _likeliest(params, X)[0]


def _likeliest(params: DrivenParams, X: Floats) -> tuple[NDArray[np.int64], float]:
    rows = _rows(params, X)
    each = np.zeros((len(X), len(params.start)))
    driven.log_densities(DIAGONAL)(rows, complete(rows), params, each)
    return driven.viterbi(logarithms(params.start), logarithms(_moves(params, X)), each)


def _rows(params: DrivenParams, X: Floats) -> Floats:
    return np.ascontiguousarray(X[:, params.emitted.astype(np.int64)])


def _moments(params: DrivenParams) -> Moments:
    """Return means and variances of the emitted features, (K, e)."""
    return Moments(params.means, params.covariances)


def _stays(params: DrivenParams) -> Floats:
    """Return the expected stays (K,) were the covariates what they usually are."""
    return lasting(1.0 - np.diag(driven.moves_at(params.logits, params.usual)))


def _renumber(params: DrivenParams, order: NDArray[np.int64]) -> DrivenParams:
    kept = {name: getattr(params, name)[order] for name in ("start", "means", "covariances", "whitening", "peak")}
    return params._replace(logits=params.logits[order][:, order], **kept)


TIME_VARYING = Family(
    f"{__name__}:TIME_VARYING",
    DrivenParams,
    _init,
    _step,
    _moments,
    _smooth,
    _decode,
    renumber=_renumber,
    stays=_stays,
    forecast=_ahead,
    components=one_a_regime,
)


class DrivenSample(NamedTuple):
    """The table `Z` (T, d) as it is, its emitted columns standardised, and what each row is reached by, (T, p) too."""

    Z: Floats
    of: Sample
    drives: Floats
    centre: Floats
    scale: Floats
    emitted: Floats
    driving: Floats

    @property
    def rows(self) -> int:
        """How many rows are observed."""
        return self.of.rows


@checked
def time_varying_hmm(
    states: int = 2,
    covariates: int = 1,
    starts: int = 8,
    iterations: int = 1000,
    tolerance: float = 1e-8,
    seed: int = 0,
    variance_floor: float = 1e-6,
    ridge: float = 1.0,
    jobs: int | None = None,
) -> Model:
    """Hidden Markov model in which covariates drive the moves between regimes, and are not emitted.

    From regime i the chain moves to j with probability proportional to exp(a_ij + b_ij . z), against 1 for staying,
    where z are the covariates of the bar it leaves: known before the move. The last `covariates` columns are
    covariates, or, where the window tells roles, those with the role "covariate"; all others are emitted, Gaussian and
    independent given the regime. A covariate that is missing is what it last was; a row
    without an emitted cell is no observation, and its covariates are.

    Fitted by EM from `starts` k-means++ starts, the likeliest kept; the other parameters mean what they mean in
    `gaussian_hmm`. `ridge` is the penalty b^2 ridge / 2 of every slope, in units of the covariate's own deviation: few
    moves are seen in a window, and without it any covariate that parts them perfectly gets a slope without end.

    Forecasts hold the covariates where they are; exact one bar ahead, beyond it each part of the mixture has the exact
    mean and variance, as a normal. `stays` are those at the covariates' means.

    ``fit(window)`` takes rows (T, d). It raises `FitError` when every start fails, or the data are too few, constant or
    infinite, or leave nothing to emit.

    F. Diebold, J.-H. Lee & G. Weinbach, *Regime switching with time-varying transition probabilities*, in
    Nonstationary Time Series Analysis and Cointegration (Oxford, 1994).

    >>> random = np.random.default_rng(0)
    >>> fear, wild, X = 0.0, 0, []
    >>> for _ in range(3000):
    ...     wild = int(random.random() < 1 / (1 + np.exp(-3 * fear)) * 0.2) if not wild else int(random.random() < 0.9)
    ...     fear = 0.9 * fear + random.standard_normal()
    ...     X.append([random.standard_normal() * (3.0 if wild else 0.5), fear])
    >>> fitted = time_varying_hmm(states=2, starts=2).fit(X)
    >>> bool(fitted.params.logits[0, 1, 1] > 0.5)  # fear makes for the wild regime
    True
    """
    name = "time_varying_hmm"
    check_counts(name, states=states, starts=starts, iterations=iterations)
    check_positive(name, tolerance=tolerance, variance_floor=variance_floor, ridge=ridge)
    if isinstance(covariates, bool) or not isinstance(covariates, int | np.integer) or covariates < 0:
        raise ConfigError(f"{name}: covariates = {covariates!r}, a whole number of at least 0 is wanted")
    climb = partial(_ascend, iterations=iterations, tolerance=tolerance, floor=variance_floor, ridge=ridge)
    pieces = Pieces(TIME_VARYING, partial(_begin, states), partial(_resume, states), climb, _answer)
    read = partial(_read, name, states, covariates)
    return from_many_starts(name, pieces, states, starts, seed, jobs, partial_rows=True, read=read)


def _read(name: str, states: int, covariates: int, window: Window) -> DrivenSample:
    driving = np.array([role == COVARIATE for role in window.roles])
    if TARGET in window.roles:
        raise FitError(f"{name}: {window.names[window.roles.index(TARGET)]} is told to be a target, and it has none")
    if not driving.any() and covariates:
        driving[-covariates:] = True
    if driving[0]:
        told = f"{int(np.count_nonzero(driving))} of {len(driving)} columns are covariates, the first of them too"
        raise FitError(f"{name}: {told}; it emits the return, which comes first")
    rows, columns = window.rows, np.flatnonzero(driving)
    of = sample(rows[:, ~driving], states, name)
    if np.isinf(rows[:, columns]).any():
        t, j = np.argwhere(np.isinf(rows[:, columns]))[0].tolist()
        raise FitError(f"{name}: the covariate {window.names[columns[j]]} is infinite in row {t}; make it NaN")
    known = [column[np.isfinite(column)] for column in rows[:, columns].T]
    centre = np.array([float(mean(column)) if len(column) else np.nan for column in known])
    scale = np.array([float(np.sqrt(variance(column))) if len(column) else np.nan for column in known])
    for j, (column, deviation) in enumerate(zip(columns, scale, strict=True)):
        # A constant's computed deviation is rounding, not zero.
        if not (len(known[j]) and deviation > 1e-13 * float(np.abs(known[j]).max())):
            raise FitError(f"{name}: the covariate {window.names[column]} is constant or missing; drop it")
    drives = (driven.followed(rows[:, columns], centre) - centre) / scale
    each = (np.flatnonzero(~driving).astype(np.float64), columns.astype(np.float64))
    return DrivenSample(rows, of, np.ascontiguousarray(drives), centre, scale, *each)


def _begin(states: int, data: DrivenSample, random: np.random.Generator, index: int) -> DrivenParams:
    """Begin where the HMM of constant moves does."""
    single = start_params(states, "diagonal", data.of, random, index)
    logits = np.zeros((states, states, 1 + len(data.centre)))
    for i in range(states):
        for j in range(states):
            logits[i, j, 0] = log(single.transition[i, j]) - log(single.transition[i, i])
    return _made(data, single, logits)


def _resume(states: int, data: DrivenSample, params: DrivenParams) -> DrivenParams:
    """Go on from a previous fit of the same columns; else this is one more start."""
    if np.array_equal(params.emitted, data.emitted) and np.array_equal(params.driving, data.driving):
        return _standardised(data, params)
    return _begin(states, data, np.random.default_rng(states), 0)


def _made(data: DrivenSample, single: GaussianParams, logits: Floats) -> DrivenParams:
    emits = (single.means, single.covariances, single.whitening, single.peak)
    return DrivenParams(single.start, logits, *emits, data.emitted, data.driving, data.centre)


def _ascend(
    data: DrivenSample, params: DrivenParams, iterations: int, tolerance: float, floor: float, ridge: float
) -> Ascent:
    own, path = DrivenParams(*(a.copy() for a in params)), np.empty(iterations)
    (T, K), q = (len(data.Z), len(own.start)), own.logits.shape[2]
    counts, given = DIAGONAL.new_sums(own), gaussian.Given(floor)
    limits = (given, ridge, DIAGONAL.least(own), tolerance * data.rows)
    table = (data.of.Z, data.of.observed, data.drives)
    count, verdict = driven.climb(DIAGONAL)(*table, own, driven.work(T, K, q), counts, *limits, path)
    found = path[:count] - data.of.log_volume
    price = 0.5 * ridge * float(total((own.logits[:, :, 1:] * own.logits[:, :, 1:]).ravel()))
    return Ascent(own, found, verdict, float(found[-1]) - price)


def _answer(data: DrivenSample, ascent: Ascent) -> Answer:
    params = _in_units(data, ascent.params)
    K, e = params.means.shape
    free = (K - 1) + K * (K - 1) * params.logits.shape[2] + 2 * K * e
    return Answer(params, free, _likeliest(params, data.Z)[1])


def _in_units(data: DrivenSample, params: DrivenParams) -> DrivenParams:
    """Bring params of standardised data, and logits of standardised covariates, to the data's own units."""
    slopes = params.logits[:, :, 1:] / data.scale
    intercepts = params.logits[:, :, :1] - total(slopes * data.centre, axis=2)[:, :, None]
    return _made(data, gaussian.in_units(data.of, _single(params)), np.concatenate([intercepts, slopes], axis=2))


def _standardised(data: DrivenSample, params: DrivenParams) -> DrivenParams:
    """Bring params in the data's own units to standardised data and covariates."""
    slopes = params.logits[:, :, 1:]
    intercepts = params.logits[:, :, :1] + total(slopes * data.centre, axis=2)[:, :, None]
    logits = np.concatenate([intercepts, slopes * data.scale], axis=2)
    return _made(data, gaussian.standardised(data.of, _single(params)), logits)


def _single(params: DrivenParams) -> GaussianParams:
    blank = np.eye(len(params.start))
    return GaussianParams(params.start, blank, params.means, params.covariances, params.whitening, params.peak)


def driven_params(
    start: Any, logits: Any, means: Any, variances: Any, emitted: Any = (0,), driving: Any = (1,), usual: Any = (0.0,)
) -> DrivenParams:
    """Make params from what a person would write; the arrays are those of `DrivenParams`.

    >>> p = driven_params([0.5, 0.5], [[[0, 0], [-3, 1]], [[-2, 0], [0, 0]]], [[0.0], [0.0]], [[1.0], [4.0]])
    >>> p.whitening.ravel()
    array([1. , 0.5])
    """
    single = gaussian_params(start, np.eye(len(start)), means, variances)
    arrays = [np.array(a, dtype=np.float64) for a in (logits, emitted, driving, usual)]
    emits = (single.means, single.covariances, single.whitening, single.peak)
    return DrivenParams(single.start, arrays[0], *emits, *arrays[1:])
