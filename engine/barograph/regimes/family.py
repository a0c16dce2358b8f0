"""What differs between kinds of models: one tuple of functions each, and what a Markov chain answers by default."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.kernel import kernel
from barograph.jit.ordered import logarithms, mean, product, total
from barograph.jit.views import unowned
from barograph.regimes.mixture import blend, horizon_mixture
from barograph.types import Floats, Forecast

__all__ = ["ChainNow", "ChainPlan", "Family", "Moments", "Signature", "by_belief", "chain_components", "chain_forecast",
           "chain_plan", "label_map", "lasting", "long_run", "moments_of", "regimes_of", "renumbered", "signature_of",
           "states_forecast", "stationary_of", "stays_of"]  # fmt: skip


class Moments(NamedTuple):
    """What one bar's features look like in each regime, in the data's own units: both of shape (R, d)."""

    mean: Floats
    variance: Floats


class Signature(NamedTuple):
    """What regimes are recognised by, each (R,), of feature 0: mean, log volatility, and the probability to stay."""

    mean: Floats
    log_volatility: Floats
    persistence: Floats


class Family(NamedTuple):
    """What a kind of model can do; one module-level constant of this type is all a model adds to its `fit`.

    `name` is the constant's own import path, "package.module:CONSTANT". `params` is the NamedTuple class of its
    parameters: float64 arrays, or bytes. `init` and `step` are the online filter. ``smooth(params, X)`` gives (T, R)
    given all rows, ``decode(params, X)`` (T,) int64 labels.

    The rest is what the engine asks of a model beside its step. What is None is answered as a Markov chain answers
    it, from `transition` (K, K) and `moments` where the params have them, and is None where they have not:
    ``moments(params)`` gives `Moments`, ``signature(params)`` a `Signature`, ``stays(params)`` the expected stay in
    each regime in bars, ``stationary(params)`` its share of the time, both (R,). ``renumber(params, order)`` gives the
    params in which regime i is what was ``order[i]``: by default along the first axis of every array that is not named
    in `shared`, and both axes of `transition`. ``snapshot(params, state)`` gives the params with what has moved in the
    filter's state. `forecast`, `plan` and `components` are those of `barograph.types.Filter`. `blanks` names the arrays
    in which NaN or infinity means something: in any other they make a fit a failed one.

    Where several hidden states show as one regime, `shown` names the array (K,) that says which: beliefs are then R
    wide, and renumbering changes that array alone.

    Of what is to come: ``never_left(params, states)`` gives the params in which these hidden states are never left, so
    that a forecast of them tells whether they were entered; ``until(params, now, states)`` the expected bars until one
    of them is entered, and ``remaining(params, state)`` those that each regime still lasts if it is the one now, (R,).
    Of a model that is not sure of its parameters ``draws_ahead(params, state, horizon)`` gives what each draw expects,
    P(regime then) (M, R), and how it is weighed, (M,).

    ``draw(params, bars, seed)`` gives features (bars, d) from the model's own law, and the hidden states (bars,).
    `events` says that a regime is an event, such as a change: that it holds few of the rows is nothing to be told.

    Where a fit may need fewer regimes than there is room for, ``used(params)`` says how many are in use, the first
    ones: no bar is ever of the others, and nothing is said of them.
    ``covariances(params)`` gives one bar's in every regime, (R, d, d), where a regime's features move together.

    Of a panel, whose params hold what is common to several assets and what is an asset's own, ``of_asset(params, i)``
    gives the family and the params of asset i alone: they are what filters.
    """

    name: str
    params: Callable[..., Any]
    init: Callable[..., Any]
    step: Callable[..., Any]
    moments: Callable[[Any], Moments] | None = None
    smooth: Callable[[Any, Floats], Floats] | None = None
    decode: Callable[[Any, Floats], NDArray[np.int64]] | None = None
    shared: tuple[str, ...] = ()
    shown: str = ""
    renumber: Callable[[Any, NDArray[np.int64]], Any] | None = None
    signature: Callable[[Any], Signature] | None = None
    stays: Callable[[Any], Floats] | None = None
    stationary: Callable[[Any], Floats] | None = None
    snapshot: Callable[[Any, Any], Any] | None = None
    forecast: Callable[..., Any] | None = None
    plan: Callable[[Any, int], Any] | None = None
    components: Callable[[Any, int], int] | None = None
    blanks: tuple[str, ...] = ()
    of_asset: Callable[[Any, int], tuple[Family, Any]] | None = None
    draw: Callable[[Any, int, int], tuple[Floats, NDArray[np.int64]]] | None = None
    never_left: Callable[[Any, NDArray[np.int64]], Any] | None = None
    until: Callable[[Any, Any, NDArray[np.int64]], float] | None = None
    remaining: Callable[[Any, Any], Floats] | None = None
    draws_ahead: Callable[[Any, Any, int], tuple[Floats, Floats]] | None = None
    events: bool = False
    used: Callable[[Any], int] | None = None
    covariances: Callable[[Any], Floats] | None = None


def label_map(family: Family, params: Any) -> NDArray[np.int64]:
    """Return which regime each hidden state shows, (K,); each its own where the family says nothing else."""
    if family.shown:
        return np.asarray(getattr(params, family.shown)).astype(np.int64)
    return np.arange(len(params.transition), dtype=np.int64)


def regimes_of(family: Family, params: Any) -> int:
    """Return R as the parameters tell it. Raises `PartError` when they do not."""
    if family.shown:
        return int(label_map(family, params).max()) + 1
    if hasattr(params, "transition"):
        return len(params.transition)
    found = signature_of(family, params)
    if found is None:
        told = "wanted a transition, moments, a signature, an array that is `shown`, or labels"
        raise PartError(f"{family.name}: nothing says how many regimes it has; {told}")
    return len(found.mean)


def renumbered(family: Family, params: Any, order: NDArray[np.int64]) -> Any:
    """Return the params in which regime i is what was ``order[i]``."""
    if family.renumber is not None:
        return family.renumber(params, order)
    if family.shown:
        inverse = np.argsort(order).astype(np.float64)
        return params._replace(**{family.shown: inverse[label_map(family, params)]})
    return params._replace(**{n: _moved(family, n, a, order) for n, a in zip(params._fields, params, strict=True)})


def _moved(family: Family, name: str, leaf: Any, order: NDArray[np.int64]) -> Any:
    if name in family.shared or isinstance(leaf, bytes):
        return leaf
    if len(leaf) != len(order):
        told = f"found {len(leaf)} along the first axis; name it in `shared`, or give the family a `renumber`"
        raise PartError(f"{family.name}: {name} counts no regimes: {told}")
    return leaf[order][:, order] if name == "transition" else leaf[order]


def moments_of(family: Family, params: Any) -> Moments | None:
    """Return one bar's mean and variance of every feature in every regime, or None.

    Those of hidden states are mixed by the shares of the time spent in each.
    """
    if family.moments is None:
        return None
    found = Moments(*family.moments(params))
    if not family.shown or len(found.mean) == regimes_of(family, params):
        return found
    share = stationary_of(family._replace(shown=""), params)
    within = _shows(family, params) * (np.ones(len(found.mean)) if share is None else share)[:, None]
    within = (within / np.maximum(total(within), np.finfo(float).tiny)).T
    centre = product(within, found.mean)
    return Moments(centre, product(within, found.variance + found.mean * found.mean) - centre * centre)


def signature_of(family: Family, params: Any) -> Signature | None:
    """Return what the regimes are recognised by, or None; without stays all persist alike."""
    if family.signature is not None:
        return Signature(*family.signature(params))
    moments = moments_of(family, params)
    if moments is None:
        return None
    stays = stays_of(family, params)
    persistence = np.zeros(len(moments.mean)) if stays is None else 1.0 - 1.0 / stays
    if family.stays is None and stays is not None:
        persistence = np.diag(params.transition).copy()
    return Signature(moments.mean[:, 0], 0.5 * logarithms(moments.variance[:, 0]), persistence)


def stays_of(family: Family, params: Any) -> Floats | None:
    """Return the expected stay in each regime in bars, (R,), infinite where it never ends, or None."""
    if family.stays is not None:
        return np.asarray(family.stays(params), dtype=np.float64)
    # Hidden states that show as one regime leave it at a rate that depends on which of them it is.
    if family.shown or not hasattr(params, "transition"):
        return None
    return lasting(1.0 - np.diag(params.transition))


def lasting(leaves: Floats) -> Floats:
    """Return the expected stays, in bars, of what is left with these chances a bar; infinite of what is never left.

    >>> lasting(np.array([0.25, 0.0]))
    array([ 4., inf])
    """
    return np.where(leaves > 0.0, 1.0 / np.where(leaves > 0.0, leaves, 1.0), np.inf)


def stationary_of(family: Family, params: Any) -> Floats | None:
    """Return the share of the time spent in each regime in the long run, (R,), or None."""
    if family.stationary is not None:
        return np.asarray(family.stationary(params), dtype=np.float64)
    if not hasattr(params, "transition"):
        return None
    return _shown(family, params, long_run(params.transition))


def long_run(transition: Floats) -> Floats:
    """Return the share of the steps that a chain spends in each state, (K,), from all starts alike.

    >>> long_run(np.array([[0.9, 0.1], [0.3, 0.7]]))
    array([0.75, 0.25])
    """
    # The mean of all starts after 2**60 steps of a chain that stays half of the time: it has no cycles, and each
    # squaring doubles the steps. Rows are brought to one again, or rounding would double with them.
    ahead = 0.5 * (transition + np.eye(len(transition)))
    for _ in range(60):
        ahead = product(ahead, ahead)
        ahead = ahead / total(ahead, axis=1)[:, None]
    share = mean(ahead)
    return np.asarray(share / total(share))


def _shown(family: Family, params: Any, of_states: Floats) -> Floats:
    """Return what is told of hidden states, along the last axis, as told of the regimes that they show."""
    return of_states if not family.shown else np.asarray(product(of_states, _shows(family, params)))


def _shows(family: Family, params: Any) -> Floats:
    return np.eye(regimes_of(family, params))[label_map(family, params)]


class ChainNow(NamedTuple):
    """The probabilities of a chain's states (K,): all of a filter's state that its forecast reads."""

    probs: Floats


class ChainPlan(NamedTuple):
    """A chain's forecasts, laid out once a fit: P(regime ahead) (K, R), and the mixture from each state, (K, M)."""

    ahead: Floats
    weights: Floats
    mean: Floats
    variance: Floats
    degrees_of_freedom: Floats


def chain_plan(family: Family, params: Any, horizon: int) -> ChainPlan:
    """Lay out the forecasts of a chain with normal emissions, exact (`barograph.regimes.mixture`)."""
    assert family.moments is not None
    moments = family.moments(params)
    weights, centre, spread = horizon_mixture(params.transition, moments.mean[:, 0], moments.variance[:, 0], horizon)
    ahead = np.eye(len(params.transition))
    for _ in range(horizon):
        ahead = product(ahead, params.transition)
    normal = np.full(centre.size, np.inf)
    arrays = (_shown(family, params, np.asarray(ahead)), weights, centre, spread, normal)
    return ChainPlan(*map(np.ascontiguousarray, arrays))


def chain_components(params: Any, horizon: int) -> int:
    """Return M: how many parts the mixture of a chain has, one for each way to share the bars among its states."""
    K = len(params.transition)
    return math.comb(horizon + K - 1, K - 1)


def by_belief(family: Family) -> bool:
    """Tell whether a belief is all that a family's forecast is made from: else it wants the filter's state."""
    return family.forecast is chain_forecast or (family.forecast is None and not family.shown)


@kernel
def chain_forecast(now: Any, plan: Any, horizon: int, out: Forecast) -> None:
    """Write what a chain expects from the probabilities of its states, ``now.probs`` (K,): its belief is all of it."""
    probs = unowned(now.probs)
    blend(probs, plan.weights, out.weights)
    blend(probs, plan.ahead, out.probs)
    mean, variance, degrees = unowned(out.mean), unowned(out.variance), unowned(out.degrees_of_freedom)
    centre, spread, freedom = unowned(plan.mean), unowned(plan.variance), unowned(plan.degrees_of_freedom)
    for m in range(mean.size):
        mean[m], variance[m], degrees[m] = centre[m], spread[m], freedom[m]


@kernel
def states_forecast(state: Any, plan: Any, horizon: int, out: Forecast) -> None:
    """Write the same where states are hidden behind the regimes they show: the filter's state keeps their `probs`."""
    chain_forecast(state, plan, horizon, out)
