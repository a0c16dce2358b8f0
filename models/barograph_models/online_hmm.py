"""The Gaussian hidden Markov model that never stops learning: its parameters move with every bar, in the filter."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError
from barograph.jit.ordered import mean, total
from barograph.regimes.family import Moments, long_run, renumbered, stationary_of
from barograph.regimes.filtering import filter_rows
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.matching import order_by_volatility
from barograph.regimes.window import Window
from barograph.types import Floats
from barograph_models._chain import forgetting
from barograph_models._chain.ahead import one_a_regime
from barograph_models._chain.forgetting import OnlineParams, OnlineState
from barograph_models._chain.gaussian import GaussianParams, gaussian_params
from barograph_models._fit.data import check_choice, check_counts, check_positive, emitted
from barograph_models._fit.settings import checked
from barograph_models._student.data import cells
from barograph_models._student.priors import Habits, habits, market
from barograph_models.gaussian_hmm import DIAGONAL as GAUSSIAN
from barograph_models.gaussian_hmm import gaussian_hmm

__all__ = ["ONLINE", "OnlineParams", "OnlineState", "online_hmm"]

NAME: Final = "online_hmm"
FIRMNESS: Final = 25.0
"""Of the variances that are usual, as if seen on twice as many bars: a twentieth of the usual memory."""


class Speeds(NamedTuple):
    """How many bars are remembered, of regimes and of the level, and the least variance relative to the window's."""

    memory: float
    level: float
    variance_floor: float


def _moments(params: OnlineParams) -> Moments:
    return Moments(params.means, params.covariances)


def _renumber(params: OnlineParams, order: NDArray[np.int64]) -> OnlineParams:
    plain: OnlineParams = renumbered(ONLINE._replace(renumber=None), params, order)
    return plain._replace(usual_moves=np.ascontiguousarray(plain.usual_moves[:, order]))


ONLINE = Family(
    f"{__name__}:ONLINE",
    OnlineParams,
    forgetting.init,
    forgetting.step,
    _moments,
    shared=("gain", "level_gain", "bars", "level", "floor", "centre"),
    renumber=_renumber,
    snapshot=forgetting.snapshot,
    forecast=forgetting.ahead,
    components=one_a_regime,
    never_left=forgetting.never_left,
    until=forgetting.until,
    remaining=forgetting.remaining,
)


@checked
def online_hmm(
    states: int = 2,
    memory: float = 1000.0,
    level: float = 200.0,
    prior: Literal["market", "none"] = "market",
    stays: list[float] | None = None,
    volatilities: list[float] | None = None,
    firmness: float = FIRMNESS,
    mean_bars: float = 20.0,
    starts: int = 8,
    iterations: int = 1000,
    tolerance: float = 1e-8,
    seed: int = 0,
    variance_floor: float = 1e-4,
    jobs: int | None = None,
) -> Model:
    """Gaussian HMM that learns from every bar, in its filter: online EM with forgetting, at two speeds.

    After each bar the parameters are those expected of the statistics of the bars so far, in which a bar weighs
    ``1 / memory`` when it comes and by so much less with each that follows; a bar is never looked at again. The
    parameters stand in the filter's state: forecasts read them there, and `Fitted.snapshot` gives them as a fit. So one
    fit, and no schedule of refits, follows a market that drifts, at the cost of a step.

    `level` is the second speed: the bars within which one number follows how volatile the market is in all regimes.
    Feature 0, the return, is learned from in units of it, so that a volatility that drifts is no other regime; 0: the
    level stands, and ``memory`` is all there is.

    The market prior is that of `student_hmm`: regimes last about `stays`, the return's deviations are to each other
    as `volatilities`, as if seen on 2 * `firmness` bars; means are drawn to the centre by `mean_bars` bars. A fit
    begins at it and goes once through the window, a bar at a time. With ``prior="none"`` it is that of `gaussian_hmm`
    (`starts`, `iterations`, `tolerance`, `seed`, `jobs`), and nothing is believed beforehand.

    Without a prior a regime that holds fewer than two of the bars remembered keeps its mean and variance. A chance to
    move never falls below a tenth of a move in the bars remembered, and a bar beyond twenty deviations in every regime
    teaches nothing. No variance falls below `variance_floor` times the feature's own in the window. A row with any NaN
    moves the chain and teaches nothing. Regimes keep their numbers. Smoothed paths there are none.

    ``fit(window)`` takes rows (T, d), and raises `FitError` for data that are too few, constant or infinite.

    O. Cappé, *Online EM algorithm for hidden Markov models*, J. Comput. Graph. Stat. 20 (2011), section 3, with a
    constant step size, which forgets.

    >>> random = np.random.default_rng(0)
    >>> x = random.standard_normal(6000) * np.tile(np.repeat([1.0, 4.0], 100), 30)
    >>> x[3000:] *= 2.0  # the market doubles its volatility
    >>> fitted = online_hmm(states=2, memory=500).fit(x[:2000])
    >>> later = fitted.snapshot(fitted.state_after(x))
    >>> bool(np.allclose(np.sqrt(later.moments().variance[:, 0]), [2.0, 8.0], rtol=0.15))
    True
    """
    if isinstance(memory, bool) or not 2.0 <= memory < math.inf:
        raise ConfigError(f"{NAME}: memory = {memory!r}, a number of at least 2 bars is wanted")
    if isinstance(level, bool) or not (level == 0.0 or 2.0 <= level < math.inf):
        raise ConfigError(f"{NAME}: level = {level!r}, a number of at least 2 bars is wanted, or 0 for one that stands")
    check_choice(NAME, "prior", prior, ("market", "none"))
    check_counts(NAME, states=states, starts=starts, iterations=iterations)
    check_positive(NAME, firmness=firmness, mean_bars=mean_bars, tolerance=tolerance, variance_floor=variance_floor)
    usual = gaussian_hmm(states, "diagonal", starts, iterations, tolerance, seed, variance_floor, jobs=jobs)
    own = habits(NAME, states, stays, volatilities, firmness, mean_bars, 5.0, 1.0) if prior == "market" else None
    speeds = Speeds(memory, level, variance_floor)
    learn = partial(_from_likelihood, usual, speeds) if own is None else partial(_from_market, own, speeds)
    return Model(learn, states, NAME, settings=(usual.settings, own, speeds), hindsight=False)


def _whole(window: Window) -> Floats:
    """Return the rows, those that lack a cell without any."""
    rows = emitted(window, NAME)
    holes = np.asarray(np.isnan(rows).any(axis=1))[:, None]
    return np.where(holes, np.nan, rows)


def _from_market(own: Habits, speeds: Speeds, window: Window) -> Fitted:
    """Begin at what is usual, and go once through the window."""
    rows = _whole(window)
    params = _usual(own, speeds, rows)
    K, d = params.means.shape
    seen = int(np.count_nonzero(~np.isnan(rows).any(axis=1)))
    free = K * (K - 1) + 2 * K * d + (1 if speeds.level else 0)
    begun = Fitted(ONLINE, params, None, seen, free, None, True, 0, tuple(f"x{j}" for j in range(d)))
    state, path = filter_rows(begun.filter(), rows)
    # A filter that runs over the window again begins at the level at which this one began.
    learned = forgetting.snapshot(params, state)._replace(start=params.start, level=1.0 / state.level)
    told = np.array([float(total(np.ascontiguousarray(path[:, -1])))])
    return order_by_volatility(replace(begun, params=learned, log_likelihood=told))


def _usual(own: Habits, speeds: Speeds, rows: Floats) -> OnlineParams:
    """Return what is usual in the window's own units, before any bar is learned from."""
    data = cells(rows, len(own.stays), NAME)
    known = market(own, rows.shape[1])
    variances = known.rate / known.shape * data.unit * data.unit
    transition = known.moves / total(known.moves, axis=1)[:, None]
    share = long_run(transition)
    chain = gaussian_params(share, transition, np.tile(data.centre, (len(share), 1)), variances)
    believed = (known.moves, variances, 2.0 * known.shape, known.bars)
    return _with(chain, share, believed, np.zeros(1), data.centre, speeds, rows)


def _from_likelihood(usual: Model, speeds: Speeds, window: Window) -> Fitted:
    """Begin at the likeliest parameters, believed as if seen on all the bars that are remembered."""
    rows, previous = _whole(window), _as_gaussian(window.previous)
    found = usual.learn(window._replace(rows=rows, previous=previous))
    gauss: GaussianParams = found.params
    share = np.asarray(stationary_of(found.family, gauss))
    none = np.zeros_like(gauss.means)
    believed = (np.zeros_like(gauss.transition), none, none, none)
    centre = np.asarray(mean(rows[np.isfinite(rows).all(axis=1)]))
    params = _with(gauss, share, believed, np.array([speeds.memory]), centre, speeds, rows)
    return replace(found, family=ONLINE, params=params)


def _as_gaussian(previous: Any) -> Any:
    """Return a previous fit, with what has moved since, as one that the EM can go on from."""
    if previous is None or previous.family is not ONLINE:
        return None
    return replace(previous, family=GAUSSIAN, params=GaussianParams(*previous.params[:6]))


def _with(
    chain: GaussianParams,
    share: Floats,
    believed: tuple[Floats, Floats, Floats, Floats],
    bars: Floats,
    centre: Floats,
    speeds: Speeds,
    rows: Floats,
) -> OnlineParams:
    """Put together a chain, what is believed beforehand, and how it learns."""
    complete = rows[np.isfinite(rows).all(axis=1)]
    away = complete - np.asarray(mean(complete))
    gains = np.array([1.0 / speeds.memory]), np.array([1.0 / speeds.level if speeds.level else 0.0])
    floor = speeds.variance_floor * np.asarray(mean(away * away))
    learned = (chain.start, chain.transition, chain.means, chain.covariances, chain.whitening, chain.peak)
    return OnlineParams(*learned, share, *believed, np.zeros(len(share)), *gains, bars, np.ones(1), floor, centre)
