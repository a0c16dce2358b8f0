"""The Markov-switching autoregression: a regime has a level, a volatility, and a share that a bar keeps of the last."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from barograph.regimes.fitted import Family, Model
from barograph.types import Floats
from barograph_models._chain import lagged
from barograph_models._chain.ahead import one_a_regime
from barograph_models._chain.inference import ascend, decode, smooth, viterbi
from barograph_models._chain.lagged import LAGGED, LaggedParams, lagged_params, paired, pairs
from barograph_models._chain.starts import start_params
from barograph_models._fit.data import Sample, check_counts, check_positive
from barograph_models._fit.restarts import Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked

__all__ = ["AUTOREGRESSIVE", "LaggedParams", "autoregressive_hmm", "lagged_params"]


def _smooth(params: LaggedParams, X: Floats) -> Floats:
    return smooth(LAGGED, params, pairs(X))


def _decode(params: LaggedParams, X: Floats) -> NDArray[np.int64]:
    return decode(LAGGED, params, pairs(X))


def _never_left(params: LaggedParams, states: NDArray[np.int64]) -> LaggedParams:
    moves = params.transition.copy()
    moves[states] = np.eye(len(moves))[states]
    return params._replace(transition=moves)


AUTOREGRESSIVE = Family(
    f"{__name__}:AUTOREGRESSIVE",
    LaggedParams,
    lagged.init,
    lagged.lagged_step(LAGGED),
    lagged.moments,
    _smooth,
    _decode,
    forecast=lagged.ahead,
    components=one_a_regime,
    draw=lagged.draw,
    never_left=_never_left,
)


@checked
def autoregressive_hmm(
    states: int = 2,
    starts: int = 8,
    iterations: int = 2000,
    tolerance: float = 1e-8,
    seed: int = 0,
    variance_floor: float = 1e-6,
    jobs: int | None = None,
) -> Model:
    """Hidden Markov model whose features follow a first-order autoregression that switches with the regime.

    x_t = intercept_k + slope_k x_{t-1} + noise of variance_k, each feature on its own last value; slopes stay within
    0.99. The intercept switches at once (Hamilton's other form, in which the *mean* does, has K^2 states). Fitted by EM
    from `starts` k-means++ starts, the likeliest kept; the parameters mean what they mean in `gaussian_hmm`.

    The likelihood is that of every bar given the one before: the first bar, and each after a missing one, is no
    observation. Forecasts are exact one bar ahead; further ahead each part of the mixture has the exact mean and
    variance, as a normal.

    ``fit(window)`` takes rows (T, d); a row with any NaN is missing. It raises `FitError` when every start fails or
    the data are too few, constant or infinite.

    J. Hamilton, *A new approach to the economic analysis of nonstationary time series and the business cycle*,
    Econometrica 57 (1989); the intercept form as in H.-M. Krolzig, *Markov-Switching Vector Autoregressions* (1997),
    MSIAH-AR, EM in its section 6.

    >>> noise = np.random.default_rng(0).standard_normal(800)
    >>> x = np.zeros(800)
    >>> for t in range(1, 800):  # it clings, then it swings
    ...     x[t] = (0.8 if t < 400 else -0.8) * x[t - 1] + (1.0 if t < 400 else 2.0) * noise[t]
    >>> fitted = autoregressive_hmm(states=2, starts=4).fit(x)
    >>> fitted.params.slopes.ravel().round(1)
    array([ 0.8, -0.8])
    """
    name = "autoregressive_hmm"
    check_counts(name, states=states, starts=starts, iterations=iterations)
    check_positive(name, tolerance=tolerance, variance_floor=variance_floor)
    climb = partial(_ascend, iterations=iterations, tolerance=tolerance, given=variance_floor)
    pieces = Pieces(AUTOREGRESSIVE, partial(_begin, states), lagged.standardised, climb, _answer)
    return from_many_starts(name, pieces, states, starts, seed, jobs)


def _ascend(data: Sample, params: LaggedParams, iterations: int, tolerance: float, given: float) -> Ascent:
    return ascend(LAGGED, paired(data), params, iterations, tolerance, given)


def _begin(states: int, data: Sample, random: np.random.Generator, index: int) -> LaggedParams:
    """Begin where the HMM without memory does, with a slope drawn for every regime."""
    single = start_params(states, "diagonal", data, random, index)
    slopes = random.uniform(-0.5, 0.5, single.means.shape)
    rest = 1.0 - slopes
    variances = single.covariances * (rest * (1.0 + slopes))
    return lagged_params(single.start, single.transition, single.means * rest, slopes, variances)


def _answer(data: Sample, ascent: Ascent) -> Answer:
    params: LaggedParams = ascent.params
    K, d = params.intercepts.shape
    two = paired(data)
    completed = viterbi(LAGGED, params, two.with_nan())[1]
    free = (K - 1) + K * (K - 1) + 3 * K * d
    return Answer(lagged.in_units(data, params), free, completed - two.log_volume, two.rows)
