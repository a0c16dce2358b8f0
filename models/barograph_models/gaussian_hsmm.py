"""The Gaussian hidden semi-Markov model: how much longer a regime lasts depends on how long it has lasted."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.ordered import total
from barograph.regimes.fitted import Family, Model
from barograph_models._chain import gaussian, inference
from barograph_models._chain.filter import observed, partly_observed
from barograph_models._chain.gaussian import CELLS, EMISSIONS, GaussianParams
from barograph_models._chain.inference import any_observed, complete
from barograph_models._chain.starts import start_params
from barograph_models._durations import law
from barograph_models._durations.ahead import age_components, age_forecast, age_plan
from barograph_models._durations.decoding import decode, viterbi
from barograph_models._durations.filter import duration_step, init
from barograph_models._durations.inference import Given, ascend, smooth
from barograph_models._durations.params import (
    DurationParams,
    draw,
    duration_params,
    emitting,
    moments,
    never_left,
    remaining,
    renumber,
    stationary,
    stays,
    until,
    with_emission,
)
from barograph_models._fit.data import Sample, check_choice, check_counts, check_positive
from barograph_models._fit.restarts import DIED, Answer, Ascent, Pieces, from_many_starts
from barograph_models._fit.settings import checked

__all__ = ["DIAGONAL", "FULL", "DurationParams", "duration_params", "gaussian_hsmm"]

NAME: Final = "gaussian_hsmm"
LAWS: Final = tuple(law.KINDS)
PRIORS: Final = {"market": 1.0, "none": 0.0}
HASTE: Final = 100.0
"""A start climbs as a chain first, which costs a hundredth: until an iteration gains so many tolerances."""

# What each kind emits, and which rows say anything of it: to the filter, and to what looks at all rows.
_EMITS: Final = {"diagonal": (CELLS, partly_observed, any_observed), "full": (gaussian.FULL, observed, complete)}


def _family(name: str, kind: str) -> Family:
    emission, says, seen = _EMITS[kind]
    return Family(
        f"{__name__}:{name}",
        DurationParams,
        init,
        duration_step(emission, says),
        moments,
        partial(smooth, emission, seen=seen),
        partial(decode, emission, seen=seen),
        renumber=renumber,
        stays=stays,
        stationary=stationary,
        forecast=age_forecast,
        plan=age_plan,
        components=age_components,
        draw=draw,
        never_left=never_left,
        until=until,
        remaining=remaining,
    )


DIAGONAL = _family("DIAGONAL", "diagonal")
FULL = _family("FULL", "full")
_FAMILIES: Final = {"diagonal": DIAGONAL, "full": FULL}


@checked
def gaussian_hsmm(
    states: int = 2,
    durations: Literal["negative_binomial", "poisson", "geometric", "empirical"] = "negative_binomial",
    longest: int = 300,
    covariance: Literal["diagonal", "full"] = "diagonal",
    prior: Literal["market", "none"] = "market",
    stay: float = 100.0,
    starts: int = 4,
    iterations: int = 500,
    tolerance: float = 1e-7,
    seed: int = 0,
    variance_floor: float = 1e-6,
    jobs: int | None = None,
) -> Model:
    """Hidden semi-Markov model with Gaussian features: stays have a law of `durations` of their own.

    A stay in regime k lasts D bars with D - 1 negative binomial (mean m, variance m + v m^2), Poisson (v = 0) or
    geometric (v = 1: the Gaussian hidden Markov model); "empirical" learns a hazard for each band of ages 1, 2, 3-4,
    5-8, ... Ages are told apart up to `longest`; beyond, a stay ends with a constant hazard, so that none is cut off.
    With h(a) = P(D = a | D >= a) the filter predicts p(k, a+1) = p(k, a) (1 - h_k(a)), p(k, 1) = sum_i A_ik sum_a
    p(i, a) h_i(a), then weighs by the densities. The first bar begins a stay.

    EM climbs from `starts` k-means++ starts, the likeliest kept. A few stays tell little of their law: ``prior =
    "market"`` believes, as one stay would, that m is about `stay` bars and v about 1; "none" is maximum likelihood.
    Missing rows and cells, and what else is set, are as in `gaussian_hmm`.

    S.-Z. Yu, *Hidden semi-Markov models*, Artificial Intelligence 174 (2010).

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> returns = random.standard_normal(600) * np.tile(np.repeat([0.5, 2.0], 30), 10)
    >>> fitted = gaussian_hsmm(starts=2, longest=60).fit(returns)
    >>> fitted.stays().round()
    array([30., 31.])
    >>> young, old = (fitted.leaving(fitted.state_after(returns[:bars]), horizon=5) for bars in (550, 568))
    >>> round(young.probability, 2), round(old.probability, 2)
    (0.02, 0.38)
    """
    check_counts(NAME, states=states, longest=longest, starts=starts, iterations=iterations)
    check_choice(NAME, "durations", durations, LAWS)
    check_choice(NAME, "covariance", covariance, tuple(_FAMILIES))
    check_choice(NAME, "prior", prior, tuple(PRIORS))
    check_positive(NAME, tolerance=tolerance, variance_floor=variance_floor)
    if states < 2 or longest < 2:
        raise ConfigError(f"{NAME}: states = {states}, longest = {longest}: at least 2 of both are wanted")
    if not 1.0 < stay < math.inf:
        raise ConfigError(f"{NAME}: stay = {stay!r}, a finite number of bars above 1 is wanted")
    given = Given(variance_floor, law.KINDS[durations], law.Habits(stay - 1.0, PRIORS[prior]))
    climb = partial(_climb, covariance, longest, given, iterations=iterations, tolerance=tolerance)
    pieces = Pieces(
        family=_FAMILIES[covariance],
        begin=partial(start_params, states, covariance),
        resume=_standardised,
        climb=climb,
        answer=partial(_answer, given.kind),
        fits=partial(_fits, longest, given.kind),
    )
    return from_many_starts(NAME, pieces, states, starts, seed, jobs, partial_rows=covariance == "diagonal")


def _fits(longest: int, kind: int, params: DurationParams) -> bool:
    """Tell whether a previous fit tells as many ages apart, by a law that this kind can have."""
    spread = params.law[:, 1]
    lawful = spread > 0.0 if kind == law.NEGATIVE_BINOMIAL else spread == law.DISPERSION[kind]
    return params.hazard.shape[1] == longest and bool(np.all(lawful))


def _standardised(data: Sample, params: DurationParams) -> DurationParams:
    return with_emission(params, gaussian.standardised(data, emitting(params)))


def _climb(
    covariance: str, longest: int, given: Given, data: Sample, place: Any, iterations: int, tolerance: float
) -> Ascent:
    """Climb from where a chain's start or a previous fit is; the path is that of the likelihood at its end."""
    emission = CELLS if data.partial else EMISSIONS[covariance]
    if isinstance(place, GaussianParams):
        first = inference.ascend(emission, data, place, iterations, HASTE * tolerance, gaussian.Given(given.floor))
        if first.verdict == DIED:
            return first
        place = _with_laws(first.params, longest, given)
    found = ascend(emission, data, place, iterations, tolerance, given)
    # What was believed of the laws is a constant once they stand, and no likelihood of the data.
    believed = law.belief_in(given.kind, given.habits, found.params.law, found.params.hazard)
    return found._replace(path=found.path - believed)


def _with_laws(chain: GaussianParams, longest: int, given: Given) -> DurationParams:
    """Give every regime of a chain the law of its kind that has its mean stay."""
    K = len(chain.start)
    leaves = np.maximum(1.0 - np.diag(chain.transition), 1e-4)
    dispersion = np.full(K, law.DISPERSION[given.kind])
    mean = np.minimum((1.0 - leaves) / leaves, [law.farthest(v, longest) for v in dispersion.tolist()])
    hazard = law.hazards(mean, dispersion, longest)
    moves = chain.transition * (1.0 - np.eye(K)) + 1e-9 * (1.0 - np.eye(K))
    follows = moves / total(moves, axis=1)[:, None]
    params = duration_params(chain.start, follows, chain.means, chain.covariances, hazard)
    return params._replace(law=np.column_stack([mean, dispersion]))


def _answer(kind: int, data: Sample, ascent: Ascent) -> Answer:
    params = with_emission(ascent.params, gaussian.in_units(data, emitting(ascent.params)))
    (K, D), covariance = params.hazard.shape, gaussian.kind(emitting(params))
    each = {law.KINDS["negative_binomial"]: 2, law.EMPIRICAL: law.bands(D)}.get(kind, 1)
    free = (K - 1) + K * (K - 2) + K * each + gaussian.free_parameters(emitting(params))
    emission, _, seen = _EMITS[covariance]
    completed = viterbi(emission, ascent.params, data.with_nan(), seen)[1]
    if kind == law.EMPIRICAL:
        # A life table has no law: told is what its stays are, up to what a law's may be.
        params = params._replace(law=law.told(params.hazard))
    return Answer(params, free, completed - data.log_volume, degeneracies=_degeneracies(params))


def _degeneracies(params: DurationParams) -> tuple[str, ...]:
    """Tell of regular stays, v < 1, that are past the last age: there the tail stands for the law."""
    D, regular = params.hazard.shape[1], stays(params)[params.law[:, 1] < 1.0]
    if not np.any(regular > D):
        return ()
    return (f"stays of {np.max(regular):.0f} bars, regular ones, are longer than longest = {D}: raise it",)
