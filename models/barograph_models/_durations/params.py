"""What a semi-Markov model with Gaussian features has learned, and how it is told."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled
from barograph.jit.ordered import product, total
from barograph.jit.views import unowned
from barograph.regimes.family import long_run
from barograph.regimes.fitted import Moments
from barograph.regimes.transitions import DOUBLINGS, ENDLESS, expected
from barograph.types import Floats
from barograph_models._chain import gaussian
from barograph_models._chain.chance import generator, uniform
from barograph_models._chain.gaussian import GaussianParams, gaussian_params
from barograph_models._durations import law

__all__ = ["DurationParams", "ages", "draw", "duration_params", "emitting", "moments", "never_left", "remaining",
           "renumber", "stationary", "stays", "until", "with_emission"]  # fmt: skip


class DurationParams(NamedTuple):
    """K regimes of d features, and how long each lasts, told apart up to age D.

    `start` (K,) is which regime a stay begins in at the first bar, `follows` (K, K) which one comes next, its diagonal
    0. `means`, `covariances`, `whitening` and `peak` are as in `GaussianParams`. `hazard` (K, D) is P(a stay ends | it
    has lasted so many bars); `ends` and `lasts` (K, D) are laid out from it (`_durations.law.lay_out`); `law` (K, 2)
    holds the mean m of the bars beyond the first and their dispersion v, as they would be were all ages told apart:
    where stays are longer than D the tail stands for the law, and `stays` tell what is expected.
    """

    start: Floats
    follows: Floats
    means: Floats
    covariances: Floats
    whitening: Floats
    peak: Floats
    hazard: Floats
    ends: Floats
    lasts: Floats
    law: Floats


@compiled
def _lay_out(hazard: Any, ends: Any, lasts: Any) -> None:
    law.lay_out(unowned(hazard), unowned(ends), unowned(lasts))


def duration_params(start: Any, follows: Any, means: Any, covariances: Any, hazard: Any) -> DurationParams:
    """Make params from what a person would write.

    Raises `FitError` naming a regime whose covariance is not positive definite.

    >>> two = duration_params([0.5, 0.5], [[0, 1], [1, 0]], [[0], [0]], [[1], [4]], [[0.1, 0.2], [0.5, 0.5]])
    >>> two.lasts
    array([[0.9, 0.8],
           [0.5, 0.5]])
    """
    emits = gaussian_params(start, follows, means, covariances)
    own = np.array(hazard, dtype=np.float64, order="C")
    lengths = np.ones((len(own), 2))
    lengths[:, 0] = law.stays(own) - 1.0
    params = DurationParams(*emits, own, np.empty_like(own), np.empty_like(own), lengths)
    _lay_out(params.hazard, params.ends, params.lasts)
    return params


def emitting(params: DurationParams) -> GaussianParams:
    """Return the part of them that says what is emitted, as a chain would hold it."""
    return GaussianParams(*params[:6])


def with_emission(params: DurationParams, emits: GaussianParams) -> DurationParams:
    """Return the params with other Gaussians."""
    return DurationParams(*emits, *params[6:])


def moments(params: DurationParams) -> Moments:
    """Return means and variances of every feature, (K, d)."""
    return gaussian.moments(emitting(params))


def stays(params: DurationParams) -> Floats:
    """Return the expected stays in bars, (K,)."""
    return law.stays(params.hazard)


def stationary(params: DurationParams) -> Floats:
    """Return the shares of the time, (K,): visits of the regimes times how long each lasts, from all starts alike."""
    lasts = stays(params)
    endless = np.isinf(lasts)
    # What never ends is where everything ends that leads to it; the time of the others is what never leads there.
    visits = long_run(np.where(endless[:, None], np.eye(len(lasts)), params.follows))
    share, ended = visits * np.where(endless, 0.0, lasts), np.where(endless, visits, 0.0)
    whole = total(share)
    return np.asarray(ended + (1.0 - total(ended)) * share / (whole if whole > 0.0 else 1.0))


def renumber(params: DurationParams, order: NDArray[np.int64]) -> DurationParams:
    """Return the params in which regime i is what was ``order[i]``."""
    moved = DurationParams(*(a[order] for a in params))
    return moved._replace(follows=np.ascontiguousarray(moved.follows[:, order]))


def never_left(params: DurationParams, regimes: NDArray[np.int64]) -> DurationParams:
    """Return the params in which a stay in these regimes never ends; ages are weighed as they were."""
    hazard = params.hazard.copy()
    hazard[regimes] = 0.0
    return params._replace(hazard=hazard)


def ages(state: Any, lasts: Floats) -> Floats:
    """Return P(regime, age | bars so far), (K, D), of a filter's state."""
    weight, D = np.asarray(state.weight), lasts.shape[1]
    ring = np.concatenate([weight[:, state.head : D - 1], weight[:, : state.head]], axis=1)
    alive = np.concatenate([np.ones((len(lasts), 1)), lasts[:, : D - 2]], axis=1)
    return np.asarray(np.hstack([ring * alive, weight[:, -1:]]) * np.asarray(state.scale)[:, None])


def remaining(params: DurationParams, state: Any) -> Floats:
    """Return how many bars each regime still lasts, if it is the one now, (K,): by how old it may be."""
    share, ahead = ages(state, params.lasts), law.remaining(params.hazard)
    whole = total(share, axis=1)
    worth = total(np.where(share > 0.0, share * np.where(share > 0.0, ahead, 0.0), 0.0), axis=1)
    return np.where(whole > 0.0, worth / np.where(whole > 0.0, whole, 1.0), ahead[:, 0])


def until(params: DurationParams, state: Any, regimes: NDArray[np.int64]) -> float:
    """Return the expected bars until one of these regimes is entered: what each stay still lasts, and those between.

    Infinite where it may never be: a stay that never ends is in between, or stays that follow each other for ever.
    """
    elsewhere = np.ones(len(params.start))
    elsewhere[regimes] = 0.0
    # From the first bar of a stay: its own length, and that of those that follow before.
    between = _sum_of_visits(params.follows * elsewhere * elsewhere[:, None])
    begun = _worth(between, np.where(elsewhere > 0.0, stays(params), 0.0))
    begun = np.where(begun > ENDLESS, np.inf, begun)
    ahead = law.remaining(params.hazard) + 1.0 + _worth(params.follows * elsewhere, begun)[:, None]
    share = ages(state, params.lasts) * elsewhere[:, None]
    return expected(share.ravel(), ahead.ravel())


def _worth(shares: Floats, bars: Floats) -> Floats:
    """Return every row's sum of shares times bars that may be infinite, where a share of 0 counts for nothing."""
    some = shares > 0.0
    return np.asarray(total(np.where(some, shares * np.where(some, bars, 0.0), 0.0), axis=1))


def _sum_of_visits(moves: Floats) -> Floats:
    """Return I + A + A^2 + ...: how often each regime begins before the passage ends, from each."""
    found, ahead = np.eye(len(moves)), moves
    for _ in range(DOUBLINGS):
        found = found + product(ahead, found)
        ahead = product(ahead, ahead)
    return found


@compiled
def _path(start: Any, follows: Any, hazard: Any, bars: Any, chance: Any) -> NDArray[np.int64]:
    states = np.empty(bars, dtype=np.int64)
    K, D = hazard.shape
    now, age, row = K, 0, start
    for t in range(bars):
        if now == K or uniform(chance) < hazard[now, age]:
            # Rounding may leave the probabilities of a row a bit short of 1: then the last one it is.
            row = start if now == K else follows[now]
            left, k = uniform(chance), 0
            while k < K - 1 and left >= row[k]:
                left -= row[k]
                k += 1
            now, age = k, 0
        else:
            age = min(age + 1, D - 1)
        states[t] = now
    return states


def draw(params: DurationParams, bars: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return rows (bars, d) and the regimes (bars,) that they were drawn in."""
    chance = generator(seed)
    states = _path(params.start, params.follows, params.hazard, bars, chance)
    return gaussian.drawn_in(emitting(params), states, chance), states
