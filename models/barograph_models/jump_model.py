"""Statistical jump models: a bar belongs to the nearest centre, but changing regimes has a price."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError, FitError
from barograph.jit.ordered import mean, moment, total, variance
from barograph.regimes.fitted import Family, Fitted, Model, Moments
from barograph.regimes.window import Window
from barograph.types import Floats
from barograph_models._chain.inference import complete
from barograph_models._fit.clusters import lloyd, plus_plus
from barograph_models._fit.counts import soft_transition
from barograph_models._fit.data import Sample, check_choice, check_counts, check_positive, emitted
from barograph_models._fit.restarts import CONVERGED, DIED, UNFINISHED, Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked
from barograph_models._jump.filter import SHARED, JumpParams, greedy_step, init, value_step
from barograph_models._jump.path import cheapest_path, descend
from barograph_models._jump.sparse import between, sparse_weights
from barograph_models._jump.states import States, check_grid, continuous, discrete

__all__ = ["GREEDY", "VALUE", "JumpParams", "jump_model"]

NAME: Final = "jump_model"
ROUNDS: Final = 30  # most rounds of weights and path, each from where the last one ended
SETTLED: Final = 1e-4  # weights have settled when they move by less than this share of their sum
FEW: Final = 20  # iterations of k-means before every other start
FLAT: Final = 1e-6  # the least variance of a regime, relative to the feature's own


def _states(params: JumpParams) -> States:
    return States(params.shares, params.penalties)


def hindsight(params: JumpParams, X: Floats) -> NDArray[np.int64]:
    """Return the state of each row of `X` (T, d) on the cheapest path over all of them.

    A row with any NaN has that of the row before, a first one that of the first whole row; -1 where none is whole.
    """
    seen = complete(X)
    Z = (np.clip(X[seen], params.low, params.high) - params.centre) * params.shrink
    path = cheapest_path(np.ascontiguousarray(Z), params.centres, _states(params))
    at = np.maximum(np.cumsum(seen) - 1, 0)
    return path[at] if len(path) else np.full(len(X), -1, dtype=np.int64)


def _smooth(params: JumpParams, X: Floats) -> Floats:
    path = hindsight(params, X)
    return np.where(path[:, None] < 0, params.start, params.shares[path])


def _decode(params: JumpParams, X: Floats) -> NDArray[np.int64]:
    return np.asarray(np.argmax(_smooth(params, X), axis=1), dtype=np.int64)


def _moments(params: JumpParams) -> Moments:
    return Moments(params.means, params.variances)


_KINDS: Final = ("discrete", "continuous")
VALUE = Family(f"{__name__}:VALUE", JumpParams, init, value_step, _moments, _smooth, _decode, SHARED,
               blanks=("low", "high"))  # fmt: skip
# The greedy rule's last state is not that of the cheapest path: nothing smooths to what it filters.
GREEDY = VALUE._replace(name=f"{__name__}:GREEDY", step=greedy_step, smooth=None)
_FAMILIES: Final = {"value": VALUE, "greedy": GREEDY}


class _Plan(NamedTuple):
    """What was asked for; `parts` is None where states are regimes, `features` where all weigh the same."""

    states: int
    penalty: float
    parts: int | None
    mode_loss: bool
    features: float | None
    compare_return: bool
    iterations: int
    tolerance: float

    def compared(self, d: int) -> Floats:
        """Return which of d features are compared, (d,): 1, or 0 for a return that only names the regimes."""
        found = np.ones(d)
        found[0] = float(self.compare_return)
        return found

    def rows(self, data: Sample) -> Floats:
        """Return what is compared of the observed rows, (T, d)."""
        return np.ascontiguousarray(data.Z[data.observed] * self.compared(data.Z.shape[1]))

    def priced(self, d: int) -> States:
        """Return the states and the price of moves; weights of d features have length one, and so has the price."""
        penalty = self.penalty if self.features is None else self.penalty / math.sqrt(total(self.compared(d)))
        if self.parts is None:
            return discrete(self.states, penalty)
        return continuous(self.states, penalty, self.parts, self.mode_loss)


class _Place(NamedTuple):
    """Where an ascent is: centres (K, d) of unweighted features, weights (d,), the states (T,), the price of it all."""

    centres: Floats
    weights: Floats
    path: NDArray[np.int64]
    objective: float


@checked
def jump_model(
    states: int = 2,
    penalty: float = 50.0,
    kind: Literal["discrete", "continuous"] = "discrete",
    online: Literal["value", "greedy"] = "value",
    features: float | None = None,
    compare_return: bool = True,
    clip: float | None = None,
    grid: float = 0.05,
    mode_loss: bool = True,
    starts: int = 10,
    iterations: int = 1000,
    tolerance: float = 1e-8,
    seed: int = 0,
    jobs: int | None = None,
) -> Model:
    """Jump model: minimise sum_t |z_t - centre(s_t)|^2 / 2 + `penalty` * (number of changes), z standardised.

    Path and centres are found in turn, from `starts` k-means++ seedings, the cheapest kept. `kind` "continuous" lets
    s_t be shares of the regimes, in steps of `grid`: the loss is mixed by them, a move costs `penalty` * (half the sum
    of absolute differences)^2, and `mode_loss` makes these prices a transition kernel. With `features`, about so many
    of them are used (sparse; kappa^2 of the paper): weights of length one and of a sum up to its root go with the
    features that tell the regimes apart; the penalty is then divided by the root of d. Without `compare_return`
    column 0, the return, is not compared: it only orders, recognises and forecasts the regimes. `clip` keeps features
    within so many deviations of their mean. Scale, limits and weights are of the training rows, and part of the fit.

    `online` "value" believes in the last state of the cheapest path over all bars so far; "greedy" remembers its last
    state alone. Same fit, other switches. Beliefs are 0 or 1, or points of the grid; there is no density, so `logpdf`
    is NaN and the fit has no likelihood; its price is ``fitted.params.objective``.

    ``fit(window)`` takes rows (T, d), NaN where missing. It raises `FitError` when every start fails (a regime holds
    fewer than d+1 rows: the penalty may be too large for the window), or the data are too few, constant or infinite.

    A. Bemporad, V. Breschi, D. Piga & S. Boyd, *Fitting jump models*, Automatica 96 (2018); P. Nystrup, E. Lindström &
    H. Madsen, *Learning hidden Markov models with persistent states by penalizing jumps*, Expert Syst. Appl. 150
    (2020); A. Aydınhan, P. Kolm, J. Mulvey & Y. Shu, *Identifying patterns in financial markets*, Ann. Oper. Res.
    (2024); P. Nystrup, P. Kolm & E. Lindström, *Feature selection in jump models*, Expert Syst. Appl. 184 (2021); the
    greedy rule: the same, *Greedy online classification of persistent market states*, J. Financ. Data Sci. 2 (2020).

    >>> random = np.random.default_rng(0)
    >>> X = random.normal(0.0, 1.0, (300, 2)) + np.repeat([[0.0], [2.0], [0.0]], 100, axis=0)
    >>> for penalty in (1.0, 10.0):
    ...     labels = jump_model(penalty=penalty).fit(X).viterbi(X)
    ...     print(int((labels[1:] != labels[:-1]).sum()))
    8
    2
    """
    check_counts(NAME, states=states, starts=starts, iterations=iterations)
    check_choice(NAME, "kind", kind, _KINDS)
    check_choice(NAME, "online", online, tuple(_FAMILIES))
    _check(penalty, tolerance, features, clip)
    parts = check_grid(NAME, states, grid) if kind == "continuous" else None
    plan = _Plan(states, penalty, parts, mode_loss, features, compare_return, iterations, tolerance)
    pieces = Pieces(
        family=_FAMILIES[online],
        begin=partial(_begin, plan),
        resume=partial(_resume, plan),
        climb=partial(_ascend, plan),
        answer=partial(_answer, plan),
    )
    searched = from_many_starts(NAME, pieces, states, starts, seed, jobs)
    return Model(partial(_fit, searched, clip, compare_return), states, NAME, settings=(searched.settings, clip))


def _check(penalty: float, tolerance: float, features: float | None, clip: float | None) -> None:
    if not 0.0 <= penalty < math.inf:
        raise ConfigError(f"{NAME}: penalty = {penalty!r}, a number of at least 0 is wanted")
    check_positive(NAME, tolerance=tolerance, **({} if clip is None else {"clip": clip}))
    if features is not None and not 1.0 <= features < math.inf:
        raise ConfigError(f"{NAME}: features = {features!r}, a number of at least 1 is wanted")


def _fit(searched: Model, clip: float | None, compare_return: bool, window: Window) -> Fitted:
    """Fit to the rows within their limits; what regimes look like is told of the rows themselves."""
    rows = emitted(window, NAME)
    if rows.shape[1] == 1 and not compare_return:
        raise FitError(f"{NAME}: nothing to compare: the return is the only feature and compare_return is false")
    low, high = _limits(rows, clip)
    try:
        # What is infinite is an error to be told, not one to be clipped.
        found = searched.learn(window._replace(rows=np.where(np.isinf(rows), rows, np.clip(rows, low, high))))
    except FitError as error:
        hint = " or a smaller penalty" if "died" in str(error) else ""
        raise FitError(f"{error}{hint}") from None
    params = found.params._replace(low=low, high=high)
    if clip is not None:
        params = params._replace(**_told(rows, _smooth(params, rows)))
    return replace(found, params=params, log_likelihood=None, free_parameters=None, completed=None)


def _limits(rows: Floats, clip: float | None) -> tuple[Floats, Floats]:
    d, seen = rows.shape[1], rows[complete(rows)]
    if clip is None or not len(seen):
        return np.full(d, -math.inf), np.full(d, math.inf)
    centre, reach = mean(seen), clip * np.sqrt(variance(seen))
    return centre - reach, centre + reach


def _begin(plan: _Plan, data: Sample, random: np.random.Generator, index: int) -> Floats:
    """Draw rows for centres; every other start moves them to the means of the rows nearest to them, by k-means.

    A row alone is an outlier to most others: under a large penalty no path would ever visit it.
    """
    Z = plan.rows(data)
    drawn = plus_plus(Z, plan.states, random)
    if index % 2 == 0:
        return drawn
    moved, _labels, _path, ended = lloyd(Z, drawn, FEW)
    return drawn if ended == 0 else moved


def _resume(plan: _Plan, data: Sample, params: JumpParams) -> Floats:
    return np.asarray((params.means - data.centre) / data.scale * plan.compared(data.Z.shape[1]))


def _ascend(plan: _Plan, data: Sample, centres: Floats) -> Ascent:
    """Take path and centres in turn, and in sparse models the weights, until nothing is gained.

    What rises is the sum of squares that regimes explain, halved and weighted, less what their changes cost.
    """
    Z, rounds = plan.rows(data), 1 if plan.features is None else ROUNDS
    d, states = Z.shape[1], plan.priced(Z.shape[1])
    weights = plan.compared(d)
    if plan.features is not None:
        weights = weights / math.sqrt(total(weights))
    gains = []
    for _ in range(rounds):
        root = np.sqrt(weights)
        found = descend(Z * root, centres * root, states, plan.iterations, plan.tolerance)
        gains.append(0.5 * float(total(weights * total(Z * Z))) - found.costs)
        shares = states.shares[found.path]
        place = _Place(_centres(Z, shares), weights, found.path, float(found.costs[-1]))
        if found.ended == 0 or total(shares).min() <= d:
            return Ascent(place, np.concatenate(gains), DIED)
        settled = found.ended > 0
        if plan.features is None:
            break
        fresh = sparse_weights(between(Z, shares), math.sqrt(plan.features))
        if total(np.abs(fresh - weights)) <= SETTLED * total(weights):
            break
        centres, weights, settled = place.centres, fresh, False
    return Ascent(place, np.concatenate(gains), CONVERGED if settled else UNFINISHED)


def _centres(Z: Floats, shares: Floats) -> Floats:
    """Return the means of rows (T, d) in each regime, (K, d)."""
    mass = total(shares)
    return np.asarray(moment(shares, Z) / np.where(mass > 0.0, mass, 1.0)[:, None])


def _answer(plan: _Plan, data: Sample, ascent: Ascent) -> Answer:
    place: _Place = ascent.params
    d, states = data.Z.shape[1], plan.priced(data.Z.shape[1])
    shares = np.full((len(data.Z), plan.states), np.nan)
    shares[data.observed] = states.shares[place.path]
    surest = (shares == shares.max(axis=1)[:, None]).astype(np.float64)
    root = np.sqrt(place.weights)
    params = JumpParams(
        start=mean(shares[data.observed]),
        # Where two share a row alike the move is half of each: numbers of regimes decide nothing.
        transition=soft_transition(surest / np.maximum(total(surest, axis=1), 1.0)[:, None], data.observed),
        centres=place.centres * root,
        centre=data.centre,
        shrink=root / data.scale,
        low=np.full(d, -math.inf),
        high=np.full(d, math.inf),
        weights=place.weights,
        shares=states.shares,
        penalties=states.penalties,
        objective=np.array([place.objective]),
        **_told(data.with_nan() * data.scale + data.centre, shares),
    )
    return Answer(params, free_parameters=0, completed=math.nan)


def _told(rows: Floats, shares: Floats) -> dict[str, Any]:
    """Return mean and variance of every feature in every regime, of the whole rows (T, d), by shares (T, K)."""
    seen = complete(rows)
    of, rows = shares[seen], rows[seen]
    means, mass = _centres(rows, of), np.maximum(total(of), 1.0)[:, None]
    # About its own mean, regime by regime: squares of rows less squares of means would lose the digits.
    square = [total(of[:, [k]] * (rows - means[k]) * (rows - means[k])) for k in range(of.shape[1])]
    return {"means": means, "variances": np.maximum(np.array(square) / mass, FLAT * variance(rows))}
