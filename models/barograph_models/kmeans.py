"""k-means: a bar belongs to the nearest centre, wholly; no probabilities, no memory."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel
from barograph.jit.ordered import logarithms, mean, variance
from barograph.jit.views import unowned
from barograph.regimes.fitted import Family, Model, Moments
from barograph.types import Belief, Floats
from barograph_models._chain.filter import ChainState, believed, filtered, likeliest, observed, predict, stand
from barograph_models._fit.clusters import lloyd, nearest_centre, plus_plus
from barograph_models._fit.counts import soft_transition
from barograph_models._fit.data import Sample, check_counts
from barograph_models._fit.restarts import CONVERGED, DIED, UNFINISHED, Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked

__all__ = ["KMEANS", "KMeansParams", "kmeans"]

FLAT: Final = 1e-6  # the least variance of a cluster, relative to the feature's own


class KMeansParams(NamedTuple):
    """`centres` (K, d) in scaled units, ``scaled = (x - centre) * shrink`` (d,), and each cluster's own statistics.

    `start` (K,) are the clusters' shares, `transition` (K, K) their counted moves, `means` and `variances` (K, d) those
    of their rows in the data's units.
    """

    start: Floats
    transition: Floats
    centres: Floats
    centre: Floats
    shrink: Floats
    means: Floats
    variances: Floats


@kernel
def step(state: Any, x: Any, params: Any) -> tuple[ChainState, Belief]:
    """Believe in the nearest centre alone; a row with any NaN only predicts, by the counted moves.

    The log density is NaN, as k-means has none, and zero for a row that was not observed.
    """
    probs, ahead, scaled = unowned(state.probs), unowned(state.ahead), unowned(state.logs)
    logpdf = 0.0
    if observed(x):
        centre, shrink = unowned(params.centre), unowned(params.shrink)
        for j in range(x.size):
            scaled[j] = (x[j] - centre[j]) * shrink[j]
        nearest = nearest_centre(scaled, unowned(params.centres))[0]
        for k in range(probs.size):
            probs[k] = 1.0 if k == nearest else 0.0
        logpdf = np.nan
    else:
        predict(state.seen, probs, ahead, params)
        stand(ahead, probs)
    return believed(state, logpdf)


@kernel
def begin(params: Any) -> ChainState:
    """Begin at the clusters' shares; the third array is room for a scaled row."""
    return ChainState(params.start.copy(), np.zeros(params.start.size), np.zeros(params.centre.size), 0)


def _moments(params: KMeansParams) -> Moments:
    return Moments(params.means, params.variances)


_STEPS = (begin, step)
_PATH, _LABELS = partial(filtered, *_STEPS), partial(likeliest, *_STEPS)

KMEANS = Family(f"{__name__}:KMEANS", KMeansParams, *_STEPS, _moments, _PATH, _LABELS, shared=("centre", "shrink"))


@checked
def kmeans(
    states: int = 3,
    starts: int = 10,
    iterations: int = 300,
    seed: int = 0,
    scale: bool = True,
    jobs: int | None = None,
) -> Model:
    """k-means by Lloyd's iterations from `starts` k-means++ seedings, the tightest kept.

    With `scale`, features are first brought to mean 0 and deviation 1 over the training rows; that scaling is part of
    the fitted parameters. Regimes are ordered by the volatility of feature 0 within each cluster. The log-likelihood
    is that of spherical Gaussians of one variance around the centres, labels known, so that it rises with every
    iteration and `bic` can choose K; it is no density of the data, and the filter's ``logpdf`` is NaN.

    ``fit(window)`` takes rows (T, d), NaN where missing. It raises `FitError` when every start fails: a cluster holds
    fewer than d+1 rows, or labels still change after `iterations`.

    S. Lloyd, *Least squares quantization in PCM*, IEEE Trans. Inf. Theory 28 (1982).

    >>> random = np.random.default_rng(0)
    >>> X = np.vstack([random.normal(0.0, 1.0, (200, 2)), random.normal(9.0, 2.0, (100, 2))])
    >>> kmeans(states=2, starts=2).fit(X).filter_path(X).probs[[0, 299]]
    array([[1., 0.],
           [0., 1.]])
    """
    name = "kmeans"
    check_counts(name, states=states, starts=starts, iterations=iterations)
    pieces = Pieces(
        family=KMEANS,
        begin=partial(_begin, states),
        resume=_resume,
        climb=partial(_ascend, iterations),
        answer=_answer,
    )
    return from_many_starts(name, pieces, states, starts, seed, jobs, scale)


def _begin(states: int, data: Sample, random: np.random.Generator, _index: int) -> Floats:
    return plus_plus(data.Z[data.observed], states, random)


def _resume(data: Sample, params: KMeansParams) -> Floats:
    own = np.asarray(params.centres / params.shrink + params.centre)  # in the data's own units
    return np.asarray((own - data.centre) / data.scale)


def _ascend(iterations: int, data: Sample, centres: Floats) -> Ascent:
    Z = data.Z[data.observed]
    moved, labels, path, ended = lloyd(Z, centres, iterations)
    starved = np.bincount(labels, minlength=len(centres)).min() <= Z.shape[1]
    verdict = DIED if ended == 0 or (ended > 0 and starved) else CONVERGED if ended > 0 else UNFINISHED
    n = Z.size
    spread = np.maximum(path / n, np.finfo(float).tiny)
    return Ascent((moved, labels), -0.5 * n * (logarithms(2.0 * np.pi * spread) + 1.0) - data.log_volume, verdict)


def _answer(data: Sample, ascent: Ascent) -> Answer:
    centres, labels = ascent.params
    K, d = centres.shape
    posterior = np.zeros((len(data.Z), K))
    posterior[data.observed] = np.eye(K)[labels]
    clusters = [data.Z[data.observed][labels == k] * data.scale for k in range(K)]
    params = KMeansParams(
        start=mean(posterior[data.observed]),
        transition=soft_transition(posterior, data.observed),
        centres=centres,
        centre=data.centre,
        shrink=1.0 / data.scale,
        means=np.array([mean(c) for c in clusters]) + data.centre,
        # A cluster of equal values has no volatility to be ordered by: it gets a thousandth of the feature's.
        variances=np.maximum([variance(c) for c in clusters], FLAT * variance(data.Z[data.observed] * data.scale)),
    )
    return Answer(params, free_parameters=K * d + 1, completed=float(ascent.path[-1]))
