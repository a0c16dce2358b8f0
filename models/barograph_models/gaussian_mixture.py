"""The Gaussian mixture: each bar's regime is judged by that bar alone, with no memory of the bars before."""

from __future__ import annotations

from functools import partial
from typing import Literal

from barograph.jit.ordered import logarithms, total
from barograph.regimes.fitted import Family, Model
from barograph_models._chain import gaussian
from barograph_models._chain.emission import Emission
from barograph_models._chain.filter import filtered, init, likeliest
from barograph_models._chain.gaussian import EMISSIONS, GaussianParams, gaussian_params
from barograph_models._chain.mixture import ascend, mixture_step
from barograph_models._chain.starts import start_params
from barograph_models._fit.counts import soft_transition
from barograph_models._fit.data import Sample, check_choice, check_counts, check_positive
from barograph_models._fit.restarts import Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked

__all__ = ["DIAGONAL", "FULL", "GaussianParams", "gaussian_mixture", "gaussian_params"]


def _family(name: str, emission: Emission) -> Family:
    steps = (init, mixture_step(emission))
    path, labels = partial(filtered, *steps), partial(likeliest, *steps)
    together = gaussian.covariances if emission is gaussian.FULL else None
    online = (GaussianParams, *steps, gaussian.moments, path, labels)
    return Family(f"{__name__}:{name}", *online, covariances=together)


DIAGONAL = _family("DIAGONAL", gaussian.DIAGONAL)
FULL = _family("FULL", gaussian.FULL)
_FAMILIES = {"diagonal": DIAGONAL, "full": FULL}


@checked
def gaussian_mixture(
    states: int = 2,
    covariance: Literal["full", "diagonal"] = "full",
    starts: int = 8,
    iterations: int = 2000,
    tolerance: float = 1e-8,
    seed: int = 0,
    variance_floor: float = 1e-6,
    jobs: int | None = None,
) -> Model:
    """Mixture of Gaussians, fitted by EM from `starts` k-means++ starts, the likeliest kept.

    The parameters mean what they mean in `gaussian_hmm`. The transition matrix is not part of the likelihood: it counts
    the posteriors of consecutive bars, for ``predict`` and for bars without an observation.

    A. Dempster, N. Laird & D. Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, J. R. Stat. Soc. B
    39 (1977), section 4.3.

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> X = np.vstack([random.normal(0.0, 1.0, (200, 2)), random.normal(8.0, 2.0, (100, 2))])
    >>> fitted = gaussian_mixture(states=2, starts=2).fit(X)
    >>> fitted.params.start.round(2)
    array([0.67, 0.33])
    """
    name = "gaussian_mixture"
    check_counts(name, states=states, starts=starts, iterations=iterations)
    check_choice(name, "covariance", covariance, tuple(_FAMILIES))
    check_positive(name, tolerance=tolerance, variance_floor=variance_floor)
    climb = partial(
        ascend, EMISSIONS[covariance], iterations=iterations, tolerance=tolerance, given=gaussian.Given(variance_floor)
    )
    pieces = Pieces(
        family=_FAMILIES[covariance],
        begin=partial(start_params, states, covariance),
        resume=gaussian.standardised,
        climb=climb,
        answer=_answer,
    )
    return from_many_starts(name, pieces, states, starts, seed, jobs)


def _answer(data: Sample, ascent: Ascent) -> Answer:
    family = _FAMILIES[gaussian.kind(ascent.params)]
    posterior = filtered(family.init, family.step, ascent.params, data.with_nan())
    seen = posterior[data.observed].max(axis=1)
    params = ascent.params._replace(transition=soft_transition(posterior, data.observed))
    free = len(params.start) - 1 + gaussian.free_parameters(params)
    # log p(x, k) = log p(x) + log p(k | x)
    return Answer(gaussian.in_units(data, params), free, float(ascent.path[-1] + total(logarithms(seen))))
