"""The factorial hidden Markov model: several chains at once, whose effects on mean and variance are put together."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.ordered import exponentials, logarithms, product, total
from barograph.regimes.family import Moments, long_run
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.window import Window
from barograph.types import Floats
from barograph_models._chain.starts import start_params
from barograph_models._fit.data import Sample, check_choice, check_counts, check_positive, emitted, sample
from barograph_models._fit.restarts import Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked
from barograph_models._product import chains as side_by_side
from barograph_models._product import effects
from barograph_models._product.ahead import ahead, components_ahead, plan
from barograph_models._product.chains import check_size, digits, product_step, shown_moments, size
from barograph_models._product.chains import shows as which
from barograph_models._product.effects import EFFECTS, Asked, FactorialParams, factorial_params

__all__ = ["FACTORIAL", "FactorialParams", "chain_probabilities", "factorial_hmm", "factorial_params"]

NAME: Final = "factorial_hmm"


def _decode(params: FactorialParams, X: Floats) -> NDArray[np.int64]:
    return params.shown.astype(np.int64)[side_by_side.viterbi(EFFECTS, params, X)[0]]


def _share(params: FactorialParams) -> Floats:
    """Return the share of the time spent in each product state, (S,): the product of the chains'."""
    own = [long_run(moves) for moves in params.moves]
    share = np.ones(len(params.shown))
    for c, of_chain in enumerate(digits(*params.start.shape).T):
        share = share * own[c][of_chain]
    return share


def _stationary(params: FactorialParams) -> Floats:
    return np.asarray(product(which(params.shown), _share(params)))


def _stays(params: FactorialParams) -> Floats:
    """Return the expected stays (R,): of all chains where each product state shows, else of the slowest."""
    stay = np.array([np.diag(moves) for moves in params.moves])
    label, of = params.shown.astype(np.int64), digits(*params.start.shape)
    found = np.ones(len(label))
    for c in range(len(stay) if label.max() + 1 == len(label) else 1):
        found = found * stay[c][of[:, c]]
    kept = np.empty(int(label.max()) + 1)
    kept[label] = found
    return np.where(kept < 1.0, 1.0 / np.where(kept < 1.0, 1.0 - kept, 1.0), np.inf)


def _moments(params: FactorialParams) -> Moments:
    return shown_moments(params.shown, _share(params), params.means, params.covariances)


FACTORIAL = Family(
    f"{__name__}:FACTORIAL",
    FactorialParams,
    side_by_side.init,
    product_step(EFFECTS),
    _moments,
    partial(side_by_side.smooth, EFFECTS),
    _decode,
    shown="shown",
    stays=_stays,
    stationary=_stationary,
    forecast=ahead,
    plan=plan,
    components=components_ahead,
    draw=effects.draw,
)


@checked
def factorial_hmm(
    chains: int = 2,
    states: int = 2,
    effect: Literal["variance", "mean", "both"] = "both",
    shows: Literal["all", "slowest"] = "all",
    starts: int = 8,
    iterations: int = 1000,
    tolerance: float = 1e-7,
    seed: int = 0,
    variance_floor: float = 1e-6,
    jobs: int | None = None,
) -> Model:
    """Hidden Markov model of several independent chains that act on the features together.

    Each of `chains` chains has `states` states and moves by itself. A bar's features are Gaussian and independent, with
    mean centre + sum_c shift_c(s_c) and variance spread * prod_c factor_c(s_c): a slow chain may set the level of
    volatility, and a quick one double it for days. With `effect` "variance" chains only scale the variance, with "mean"
    they only shift the mean. All is exact on the product of the chains; more than 4,096 product states are refused.

    `shows` says what the regimes are: "all" product states, or the states of the "slowest" chain, whose moves have the
    largest trace, with all others summed out. In the params chains stand from the slowest to the quickest, their states
    from the calmest to the wildest (of "mean": from the lowest). `chain_probabilities` tells each chain's own.

    Fitted by ECM from `starts` k-means++ starts a chain, the likeliest kept; all else means what it means in
    `gaussian_hmm`. ``fit(window)`` takes rows (T, d); a cell that is missing is left out of its row, exactly. It raises
    `FitError` when every start fails or the data are too few, constant or infinite, `ConfigError` for settings that
    cannot be meant.

    Z. Ghahramani & M. Jordan, *Factorial hidden Markov models*, Machine Learning 29 (1997), with means that add; with
    variances that multiply, L. Calvet & A. Fisher, *How to forecast long-run volatility: regime switching and the
    estimation of multifractal processes*, J. Financial Econometrics 2 (2004), whose chains are tied to each other.

    >>> noise = np.random.default_rng(0).standard_normal(1200)
    >>> slow, quick = np.repeat([0.5, 2.0], 600), np.tile(np.repeat([1.0, 4.0], 30), 20)
    >>> fitted = factorial_hmm(starts=2, effect="variance").fit(noise * slow * quick)
    >>> np.sqrt(fitted.params.factors.ravel()).round()
    array([1., 4., 1., 4.])
    """
    check_counts(NAME, chains=chains, states=states, starts=starts, iterations=iterations)
    check_choice(NAME, "effect", effect, ("variance", "mean", "both"))
    check_choice(NAME, "shows", shows, ("all", "slowest"))
    check_positive(NAME, tolerance=tolerance, variance_floor=variance_floor)
    check_size(NAME, f"{chains} chains of {states} states", size(chains, states))
    given = Asked(variance_floor, effect != "variance", effect != "mean")
    begin = partial(_begin, chains, states, given)
    climb = partial(side_by_side.ascend, EFFECTS, iterations=iterations, tolerance=tolerance, given=given)
    pieces = Pieces(FACTORIAL, begin, partial(_resume, begin), climb, partial(_answer, given, shows))
    regimes = states if shows == "slowest" else size(chains, states)
    read = partial(_read, chains * states)
    return from_many_starts(NAME, pieces, regimes, starts, seed, jobs, partial_rows=True, read=read)


def _read(states: int, window: Window) -> Sample:
    return sample(emitted(window, NAME), states, NAME, partial=True)


def _begin(
    chains: int, states: int, given: Asked, data: Sample, random: np.random.Generator, index: int
) -> FactorialParams:
    """Begin with a chain of its own seeds and persistence each, which together make what one alone would."""
    each = [start_params(states, "diagonal", data, random, index + c) for c in range(chains)]
    single = np.stack([p.covariances for p in each])
    factors = exponentials(logarithms(single) / chains) if given.scale else np.ones(single.shape)
    shifts = np.stack([p.means for p in each]) / chains if given.shift else np.zeros(single.shape)
    d = data.Z.shape[1]
    law = (np.stack([p.start for p in each]), np.stack([p.transition for p in each]))
    return factorial_params(*law, np.zeros(d), np.ones(d), shifts, factors)


def _resume(begin: Any, data: Sample, params: FactorialParams) -> FactorialParams:
    """Go on from a previous fit, if it has as many chains and states; else this is one more start."""
    fresh: FactorialParams = begin(data, np.random.default_rng(params.start.shape[0]), 0)
    return effects.standardised(data, params) if params.start.shape == fresh.start.shape else fresh


def _answer(given: Asked, shows: str, data: Sample, ascent: Ascent) -> Answer:
    params: FactorialParams = ascent.params
    C, K, d = params.shifts.shape
    leading = params.factors if given.scale else params.shifts
    completed = side_by_side.viterbi(EFFECTS, params, data.with_nan())[1] - data.log_volume
    found = effects.in_units(data, effects.ordered(params, leading[:, :, 0]))
    if shows == "slowest":
        found = found._replace(shown=digits(C, K)[:, 0].astype(np.float64))
    free = C * (K - 1) * (1 + K + d * (given.shift + given.scale)) + 2 * d
    return Answer(found, free, completed)


def chain_probabilities(fitted: Fitted, beliefs: Floats) -> Floats:
    """Return P(state of each chain), (T, C, K), of the beliefs (T, R) of a fit that shows all product states.

    Raises `PartError` for a fit that shows another thing, or beliefs of another width.

    >>> X = np.random.default_rng(0).standard_normal(300) * np.tile(np.repeat([1.0, 4.0], 50), 3)
    >>> fitted = factorial_hmm(starts=1).fit(X)
    >>> chain_probabilities(fitted, fitted.filter_path(X).probs).sum(axis=2).round(6).min()
    np.float64(1.0)
    """
    label, (C, K) = fitted.params.shown.astype(np.int64), fitted.params.start.shape
    if np.shape(beliefs)[1:] != (len(label),) or fitted.regimes != len(label):
        told = f"beliefs of all {len(label)} product states are wanted, found shape {np.shape(beliefs)}"
        raise PartError(f'{NAME}: {told}; fit with shows = "all"')
    of_state, of = np.asarray(beliefs)[:, label], digits(C, K)
    found = np.zeros((len(of_state), C, K))
    for c in range(C):
        for k in range(K):
            found[:, c, k] = total(of_state[:, of[:, c] == k], axis=1)
    return found
