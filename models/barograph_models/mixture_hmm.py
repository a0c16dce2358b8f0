"""The hidden Markov model whose regimes emit mixtures: skewed or heavy-tailed bars, or several kinds of them."""

from __future__ import annotations

from functools import partial

import numpy as np

from barograph.regimes.family import chain_forecast
from barograph.regimes.fitted import Family, Model
from barograph_models._chain import mixed
from barograph_models._chain.filter import chain_step, init
from barograph_models._chain.inference import ascend, decode, smooth, viterbi
from barograph_models._chain.mixed import MIXED, MixedParams, mixed_params
from barograph_models._chain.starts import start_params
from barograph_models._fit.data import Sample, check_counts, check_positive
from barograph_models._fit.restarts import Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked

__all__ = ["MIXTURE", "MixedParams", "mixed_params", "mixture_hmm"]

_SPREAD = 0.7  # of the logarithms of the components' first variances, around their regime's

MIXTURE = Family(
    f"{__name__}:MIXTURE",
    MixedParams,
    init,
    chain_step(MIXED),
    mixed.moments,
    partial(smooth, MIXED),
    partial(decode, MIXED),
    forecast=chain_forecast,
    plan=mixed.plan,
    components=mixed.components_ahead,
    draw=mixed.draw,
)


@checked
def mixture_hmm(
    states: int = 2,
    components: int = 3,
    starts: int = 8,
    iterations: int = 2000,
    tolerance: float = 1e-7,
    seed: int = 0,
    variance_floor: float = 1e-3,
    jobs: int | None = None,
) -> Model:
    """Hidden Markov model in which each regime emits a mixture of `components` Gaussians with diagonal covariances.

    Fitted by EM from `starts` k-means++ starts, the likeliest kept; the parameters mean what they mean in
    `gaussian_hmm`. A regime dies with fewer than d+1 expected observations a component. A component that explains
    fewer than two bars stays where it is: look at ``fitted.params.weights``. `variance_floor` is that of a component,
    in units of the feature's own variance: a mixture can gain without end by a component on one single value, and
    unchanged prices are such a value.

    Forecasts of one bar are exact mixtures; those of several as long as they have no more than 5,000 parts (eleven bars
    with 2 x 3 components), beyond that each regime counts as a normal of its own mean and variance.

    ``fit(window)`` takes rows (T, d); a row with any NaN is no observation. It raises `FitError` when every start
    fails or the data are too few, constant or infinite.

    B.-H. Juang, S. Levinson & M. Sondhi, *Maximum likelihood estimation for multivariate mixture observations of Markov
    chains*, IEEE Trans. Inf. Theory 32 (1986), equations 30-36.

    >>> noise = np.random.default_rng(0).standard_normal((400, 1))
    >>> calm_then_wild = noise * np.repeat([[0.5], [3.0]], 200, axis=0)
    >>> fitted = mixture_hmm(states=2, components=2, starts=2).fit(calm_then_wild)
    >>> fitted.params.means.shape
    (2, 2, 1)
    >>> fitted.filter_path(calm_then_wild).probs[[100, 300]].round(2)
    array([[1., 0.],
           [0., 1.]])
    """
    name = "mixture_hmm"
    check_counts(name, states=states, components=components, starts=starts, iterations=iterations)
    check_positive(name, tolerance=tolerance, variance_floor=variance_floor)
    begin = partial(_begin, states, components)
    climb = partial(ascend, MIXED, iterations=iterations, tolerance=tolerance, given=variance_floor)
    pieces = Pieces(MIXTURE, begin, mixed.standardised, climb, _answer, partial(_fits, components))
    return from_many_starts(name, pieces, states, starts, seed, jobs)


def _begin(states: int, components: int, data: Sample, random: np.random.Generator, index: int) -> MixedParams:
    """Begin where the HMM of single Gaussians does, each of them spread into components."""
    single = start_params(states, "diagonal", data, random, index)
    shape = (states, components, data.Z.shape[1])
    deviation = np.sqrt(single.covariances)[:, None, :]
    means = single.means[:, None, :] + random.uniform(-0.5, 0.5, shape) * deviation
    # Uniform, for NumPy leaves the bits of a normal draw's power to the processor.
    factor = 1.0 + _SPREAD * random.uniform(-1.0, 1.0, shape)
    weights = np.full(shape[:2], 1.0 / components)
    return mixed_params(single.start, single.transition, weights, means, single.covariances[:, None, :] * factor)


def _fits(components: int, params: MixedParams) -> bool:
    return len(params.weights[0]) == components


def _answer(data: Sample, ascent: Ascent) -> Answer:
    params: MixedParams = ascent.params
    K, M, d = params.means.shape
    free = (K - 1) + K * (K - 1) + K * (M - 1) + 2 * K * M * d
    completed = viterbi(MIXED, params, data.with_nan())[1]
    return Answer(mixed.in_units(data, params), free, completed - data.log_volume)
