"""The Gaussian hidden Markov model: regimes follow a Markov chain, features are Gaussian given the regime."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import numpy as np

from barograph.errors import ConfigError, FitError
from barograph.jit.ordered import mean
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.types import Floats
from barograph_models._chain import gaussian
from barograph_models._chain.batches import stochastic, thinned
from barograph_models._chain.filter import chain_step, init, observed, partly_observed
from barograph_models._chain.gaussian import CELLS, EMISSIONS, GaussianParams, gaussian_params
from barograph_models._chain.inference import any_observed, ascend, complete, decode, smooth, viterbi
from barograph_models._chain.starts import start_params
from barograph_models._fit.data import Sample, check_choice, check_counts, check_positive, sample
from barograph_models._fit.restarts import DIED, Answer, Ascent, Pieces, assembled, from_many_starts, reason
from barograph_models._fit.settings import checked

__all__ = ["DIAGONAL", "FULL", "TIED", "GaussianParams", "fit_from", "gaussian_hmm", "gaussian_params"]


# What each kind emits, and which rows say anything of it: to the filter, and to what looks at all rows.
_EMITS = {
    "diagonal": (CELLS, partly_observed, any_observed),
    "full": (gaussian.FULL, observed, complete),
    "tied": (gaussian.FULL, observed, complete),
}


def _family(name: str, kind: str) -> Family:
    emission, says, seen = _EMITS[kind]
    hindsight = (partial(smooth, emission, seen=seen), partial(decode, emission, seen=seen))
    step = chain_step(emission, says)
    online = (GaussianParams, init, step, gaussian.moments, *hindsight)
    together = None if kind == "diagonal" else gaussian.covariances
    return Family(f"{__name__}:{name}", *online, draw=gaussian.draw, covariances=together)


DIAGONAL = _family("DIAGONAL", "diagonal")
FULL = _family("FULL", "full")
TIED = _family("TIED", "tied")
_FAMILIES = {"diagonal": DIAGONAL, "full": FULL, "tied": TIED}


@checked
def gaussian_hmm(
    states: int = 2,
    covariance: Literal["diagonal", "full", "tied"] = "diagonal",
    starts: int = 8,
    iterations: int = 1000,
    tolerance: float = 1e-8,
    seed: int = 0,
    variance_floor: float = 1e-6,
    lasso: float = 0.0,
    ridge: float = 0.0,
    batch: int = 0,
    passes: int = 3,
    jobs: int | None = None,
) -> Model:
    """Hidden Markov model with Gaussian features, fitted by EM from `starts` k-means++ starts, the likeliest kept.

    A start converges when an iteration gains at most `tolerance` log-likelihood per observed row; one that needs more
    than `iterations`, or loses a regime (fewer than d+1 expected observations), is dropped and named in
    ``Fitted.dropped``. No variance falls below `variance_floor` times the feature's own. The previous fit, when
    given, is one more start. `jobs` threads run the starts; the result does not depend on their number.

    `covariance` is "diagonal" (features independent within a regime), "full", or "tied": full, and the same in every
    regime, which leaves the means to tell them apart. A "full" one over the returns of several assets is the joint
    model of them: ``fitted.correlations()`` and ``fitted.spillover()`` say how they move together in each regime.

    With a diagonal one, `lasso` and `ridge` draw the regimes' means to that of all rows: what EM climbs is the
    log-likelihood less lasso |m| + ridge m^2 / 2 over all means m in standardised units. A lasso sets the means of
    features that tell no regimes apart to that of all rows exactly (Pan & Shen, J. Mach. Learn. Res. 8, 2007).
    ``log_likelihood`` is without them, and may then fall on its way.

    For millions of rows, with a diagonal covariance: a `batch` of rows, if not 0, is what stochastic EM looks at before
    the parameters move, in `passes` over all rows in pieces of random order (`seed`), from where plain EM comes on a
    sample. It needs room for one piece beside the rows; there is no `icl`, and a row with any NaN is no observation.

    ``fit(window)`` takes rows (T, d), NaN where missing. With a diagonal covariance a cell that is missing is left out
    of its row, exactly, and only a row without any is no observation; with a full one a row with any NaN is none. It
    raises `FitError` when every start fails or the data are too few, constant or infinite.

    L. Rabiner, *A tutorial on hidden Markov models*, Proc. IEEE 77 (1989), equations 19-41 and 53-54.

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((400, 1))
    >>> calm_then_wild = noise * np.repeat([[0.5], [3.0]], 200, axis=0)
    >>> fitted = gaussian_hmm(states=2, starts=2).fit(calm_then_wild)
    >>> fitted.filter_path(calm_then_wild).probs[[100, 300]].round(2)
    array([[1., 0.],
           [0., 1.]])
    """
    name = "gaussian_hmm"
    check_counts(name, states=states, starts=starts, iterations=iterations)
    check_choice(name, "covariance", covariance, tuple(_FAMILIES))
    check_positive(name, tolerance=tolerance, variance_floor=variance_floor)
    _check_penalties(name, covariance, lasso=lasso, ridge=ridge)
    given = gaussian.Given(variance_floor, float(lasso), float(ridge))
    pieces = _pieces(states, covariance, iterations, tolerance, given)
    if batch:
        _check_batches(name, covariance, given, batch=batch, passes=passes)
        climb = partial(_climb_batches, pieces.climb, batch, passes, given, seed)
        begin = partial(_begin_batches, pieces.begin, batch)
        pieces = pieces._replace(begin=begin, climb=climb, answer=_answer_batches)
    return from_many_starts(
        name, pieces, states, starts, seed, jobs, partial_rows=covariance == "diagonal" and not batch
    )


def _check_penalties(name: str, covariance: str, **values: float) -> None:
    for key, value in values.items():
        if not 0.0 <= value < math.inf:
            raise ConfigError(f"{name}: {key} = {value!r}, a number of at least 0 is wanted")
        if value and covariance != "diagonal":
            told = "draws means to the whole feature by feature"
            raise ConfigError(f'{name}: {key} {told}: covariance = "diagonal" is wanted, found {covariance!r}')


def _check_batches(name: str, covariance: str, given: gaussian.Given, **counts: int) -> None:
    check_counts(name, **counts)
    if covariance != "diagonal" or given.lasso or given.ridge:
        told = f"found covariance = {covariance!r}, lasso = {given.lasso:g}, ridge = {given.ridge:g}"
        raise ConfigError(f'{name}: a batch wants covariance = "diagonal" and no penalties; {told}')


def _begin_batches(begin: Any, batch: int, data: Sample, random: np.random.Generator, index: int) -> GaussianParams:
    found: GaussianParams = begin(thinned(data, batch), random, index)
    return found


def _climb_batches(
    climb: Any, batch: int, passes: int, given: gaussian.Given, seed: int, data: Sample, params: GaussianParams
) -> Ascent:
    """Climb plainly on a sample of the rows, and from there by pieces of all of them."""
    first: Ascent = climb(thinned(data, batch), params)
    return first if first.verdict == DIED else stochastic(data, first.params, batch, passes, given, seed)


def _answer_batches(data: Sample, ascent: Ascent) -> Answer:
    params = gaussian.in_units(data, ascent.params)
    K = len(params.start)
    return Answer(params, (K - 1) + K * (K - 1) + gaussian.free_parameters(params), None)


def _pieces(states: int, covariance: str, iterations: int, tolerance: float, given: gaussian.Given) -> Pieces:
    climb = partial(_ascend, covariance, iterations=iterations, tolerance=tolerance, given=given)
    return Pieces(
        family=_FAMILIES[covariance],
        begin=partial(_begin, states, covariance),
        resume=gaussian.standardised,
        climb=climb,
        answer=partial(_answer, covariance),
    )


def _begin(states: int, covariance: str, data: Sample, random: np.random.Generator, index: int) -> GaussianParams:
    params = start_params(states, covariance, data, random, index)
    if covariance != "tied":
        return params
    pooled = np.repeat(mean(params.covariances)[None], states, axis=0)
    return gaussian_params(params.start, params.transition, params.means, pooled)


def _ascend(covariance: str, data: Sample, params: GaussianParams, **limits: Any) -> Ascent:
    """Climb; where no cell is missing by the quicker sums, to the same bits."""
    return ascend(CELLS if data.partial else EMISSIONS[covariance], data, params, **limits)


def fit_from(
    X: Floats, params: GaussianParams, iterations: int = 1000, tolerance: float = 1e-8, variance_floor: float = 1e-6
) -> Fitted:
    """Run EM once from given parameters in the data's units, and return where it came, converged or not.

    For warm starts and studies: the regimes keep their order, and a negative `tolerance` runs all `iterations`. The
    last entry of ``log_likelihood`` belongs to the parameters returned. Raises `FitError` when a regime dies.
    """
    name, states = "gaussian_hmm", len(params.start)
    covariance = gaussian.kind(params)
    pieces = _pieces(states, covariance, iterations, tolerance, gaussian.Given(variance_floor))
    data = sample(X, states, name, partial=covariance == "diagonal")
    ascent = pieces.climb(data, pieces.resume(data, params))
    if ascent.verdict == DIED:
        raise FitError(f"{name}: {reason(ascent)}; take fewer states, or more data")
    return assembled(pieces, data, ascent)


def _answer(covariance: str, data: Sample, ascent: Ascent) -> Answer:
    params = gaussian.in_units(data, ascent.params)
    K = len(params.start)
    # Means that a lasso holds at that of all rows are not free (Pan & Shen 2007, section 2.4).
    held = int(np.count_nonzero(ascent.params.means == 0.0))
    free = (K - 1) + K * (K - 1) + gaussian.free_parameters(params, tied=covariance == "tied") - held
    emission, _, seen = _EMITS[covariance]
    completed = viterbi(emission, ascent.params, data.with_nan(), seen)[1]
    return Answer(params, free, completed - data.log_volume)
