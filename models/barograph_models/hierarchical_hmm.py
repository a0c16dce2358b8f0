"""The hierarchical hidden Markov model: a slow chain picks which quick chain, and which emissions, are in force."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from barograph.jit.ordered import product
from barograph.regimes.family import Moments, lasting, long_run
from barograph.regimes.fitted import Family, Model
from barograph.regimes.window import Window
from barograph.types import Floats
from barograph_models._chain.gaussian import CELLS, Given
from barograph_models._chain.starts import start_params
from barograph_models._fit.data import Sample, check_choice, check_counts, check_positive, emitted, sample
from barograph_models._fit.restarts import Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked
from barograph_models._product import chains, nested
from barograph_models._product.ahead import ahead, components_ahead, plan
from barograph_models._product.chains import check_size, product_step, shown_moments
from barograph_models._product.chains import shows as which
from barograph_models._product.nested import HierarchicalParams, hierarchical_params

__all__ = ["HIERARCHICAL", "HierarchicalParams", "hierarchical_hmm", "hierarchical_params"]

NAME: Final = "hierarchical_hmm"
SLOW = (0.98, 0.998)  # a macro state's first guess at persistence: fifty to five hundred bars


def _decode(params: HierarchicalParams, X: Floats) -> NDArray[np.int64]:
    return params.shown.astype(np.int64)[chains.viterbi(CELLS, params, X)[0]]


def _stationary(params: HierarchicalParams) -> Floats:
    return np.asarray(product(which(params.shown), long_run(params.moves[0])))


def _stays(params: HierarchicalParams) -> Floats:
    """Return the expected stays (R,): every product state that shows as a regime leaves it at the same rate."""
    label = params.shown.astype(np.int64)
    same = label[:, None] == label[None, :]
    leaves = np.empty(int(label.max()) + 1)
    leaves[label] = product(np.where(same, 0.0, params.moves[0]), np.ones(len(label)))
    return lasting(leaves)


def _moments(params: HierarchicalParams) -> Moments:
    return shown_moments(params.shown, long_run(params.moves[0]), params.means, params.covariances)


HIERARCHICAL = Family(
    f"{__name__}:HIERARCHICAL",
    HierarchicalParams,
    chains.init,
    product_step(CELLS),
    _moments,
    partial(chains.smooth, CELLS),
    _decode,
    shown="shown",
    stays=_stays,
    stationary=_stationary,
    forecast=ahead,
    plan=plan,
    components=components_ahead,
    draw=nested.draw,
)


@checked
def hierarchical_hmm(
    macro_states: int = 2,
    states: int = 2,
    shows: Literal["macro", "all"] = "macro",
    starts: int = 8,
    iterations: int = 2000,
    tolerance: float = 1e-7,
    seed: int = 0,
    variance_floor: float = 1e-6,
    jobs: int | None = None,
) -> Model:
    """Hidden Markov model of two levels: a macro chain picks which of several quick chains is in force.

    Each of `macro_states` macro states has `states` states of its own, with their own moves and Gaussian emissions,
    features independent. At every bar the macro chain moves first; while it stays the state moves by that macro state's
    own chain, and where it has moved the state is drawn from where the new one begins. A bear market may so hold calm
    weeks that differ from a bull market's. All is exact on the product; more than 4,096 product states are refused.

    `shows` says what the regimes are: the "macro" states, or "all" product states. In the params both levels stand from
    the calmest to the wildest. Fitted by EM from `starts` k-means++ starts, the likeliest kept; all else means what it
    means in `gaussian_hmm`.

    ``fit(window)`` takes rows (T, d); a cell that is missing is left out of its row, exactly. It raises `FitError` when
    every start fails or the data are too few, constant or infinite, `ConfigError` for settings that cannot be meant.

    L. Oelschlaeger & T. Adam, *Detecting bearish and bullish markets in financial time series using hierarchical hidden
    Markov models*, Statistical Modelling 23 (2023; online 2021), whose macro chain moves every so many bars, and emits;
    that ours may move at any bar is the form, with two levels, of S. Fine, Y. Singer & N. Tishby, *The hierarchical
    hidden Markov model: analysis and applications*, Machine Learning 32 (1998).

    >>> noise = np.random.default_rng(0).standard_normal(1200)
    >>> bull, bear = np.tile(np.repeat([0.5, 1.0], 30), 10), np.tile(np.repeat([2.0, 5.0], 10), 30)
    >>> returns = noise * np.concatenate([bull, bear])
    >>> fitted = hierarchical_hmm(starts=4).fit(returns)
    >>> fitted.filter_path(returns).probs[[500, 1000]].round(1)
    array([[1., 0.],
           [0., 1.]])
    """
    check_counts(NAME, macro_states=macro_states, states=states, starts=starts, iterations=iterations)
    check_choice(NAME, "shows", shows, ("macro", "all"))
    check_positive(NAME, tolerance=tolerance, variance_floor=variance_floor)
    check_size(NAME, f"{macro_states} macro states of {states} states", macro_states * states)
    begin, given = partial(_begin, macro_states, states), Given(variance_floor)
    climb = partial(chains.ascend, CELLS, iterations=iterations, tolerance=tolerance, given=given, move=nested.move)
    pieces = Pieces(HIERARCHICAL, begin, partial(_resume, begin), climb, partial(_answer, shows))
    regimes = macro_states if shows == "macro" else macro_states * states
    read = partial(_read, macro_states * states)
    return from_many_starts(NAME, pieces, regimes, starts, seed, jobs, partial_rows=True, read=read)


def _read(states: int, window: Window) -> Sample:
    return sample(emitted(window, NAME), states, NAME, partial=True)


def _begin(M: int, K: int, data: Sample, random: np.random.Generator, index: int) -> HierarchicalParams:
    """Begin with the seeds of a plain chain, dealt out to the macro states: the first time by volatility."""
    single = start_params(M * K, "diagonal", data, random, index)
    dealt = random.permutation(M * K) if index else np.argsort(single.covariances[:, 0], kind="stable")
    slow, quick = random.uniform(*SLOW), float(single.transition[0, 0])
    even = np.full((M, K), 1.0 / K)
    within = np.stack([_staying(K, quick)] * M)
    emits = (single.means[dealt], single.covariances[dealt])
    return hierarchical_params(np.full(M * K, 1.0 / (M * K)), _staying(M, slow), even, within, *emits)


def _staying(states: int, stay: float) -> Floats:
    """Return the moves of a chain that stays so often, and goes to all others alike."""
    if states == 1:
        return np.ones((1, 1))
    leave = (1.0 - stay) / (states - 1)
    return np.full((states, states), leave) + np.eye(states) * (stay - leave)


def _resume(begin: Any, data: Sample, params: HierarchicalParams) -> HierarchicalParams:
    """Go on from a previous fit, if it has as many states on both levels; else this is one more start."""
    fresh: HierarchicalParams = begin(data, np.random.default_rng(len(params.entry)), 0)
    return nested.standardised(data, params) if params.entry.shape == fresh.entry.shape else fresh


def _answer(shows: str, data: Sample, ascent: Ascent) -> Answer:
    params: HierarchicalParams = ascent.params
    (M, K), d = params.entry.shape, params.means.shape[1]
    completed = chains.viterbi(CELLS, params, data.with_nan())[1] - data.log_volume
    found = nested.in_units(data, nested.ordered(params))
    if shows == "all":
        found = found._replace(shown=np.arange(M * K, dtype=np.float64))
    # One macro state is never entered.
    entries = M * (K - 1) if M > 1 else 0
    free = (M * K - 1) + M * (M - 1) + entries + M * K * (K - 1) + 2 * M * K * d
    return Answer(found, free, completed)
