"""The Student-t hidden Markov model under a prior learned from markets: the regimes do not collapse onto a jump."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.ordered import total
from barograph.regimes.answers.counting import choose_states
from barograph.regimes.family import chain_forecast
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.matching import order_by_volatility
from barograph.regimes.window import Window
from barograph.types import Floats
from barograph_models._chain.filter import init
from barograph_models._chain.inference import any_observed, decode, smooth, viterbi
from barograph_models._fit.data import check_choice, check_counts, check_positive, emitted
from barograph_models._fit.settings import checked
from barograph_models._student import ascent
from barograph_models._student.ahead import (
    drawn_components,
    drawn_forecast,
    drawn_plan,
    student_components,
    student_plan,
)
from barograph_models._student.data import Cells, cells
from barograph_models._student.drawn import (
    DrawnParams,
    drawn_init,
    drawn_params,
    drawn_step,
    draws_ahead,
    never_left,
    remaining,
    renumbered,
    until,
)
from barograph_models._student.emission import FIT, STUDENT, StudentParams, draw, moments, step
from barograph_models._student.fit import TAIL, Ascender, believed, best_climb, in_units, known_of, standardised
from barograph_models._student.gibbs import draws
from barograph_models._student.known import Known
from barograph_models._student.moves import moved_start
from barograph_models._student.priors import DOF_SPREAD, FIRMNESS, USUAL_DOF, Habits, flattened, habits, market, nothing
from barograph_models._student.room import used, with_room

__all__ = [
    "STUDENT_COUNTED",
    "STUDENT_DRAWS",
    "STUDENT_HMM",
    "DrawnParams",
    "Plan",
    "StudentParams",
    "free_parameters",
    "student_hmm",
]

NAME: Final = "student_hmm"
METHODS: Final = {"vb": ascent.VB, "map": ascent.MAP, "em": ascent.EM}
KINDS: Final = {"shared": ascent.SHARED, "own": ascent.OWN}
SECOND: Final = 1_000_000_000  # in ns
PRIORS: Final = ("market", "previous", "none")

STUDENT_HMM = Family(
    f"{__name__}:STUDENT_HMM",
    StudentParams,
    init,
    step,
    moments,
    partial(smooth, STUDENT, seen=any_observed),
    partial(decode, STUDENT, seen=any_observed),
    shared=FIT,
    blanks=FIT,
    forecast=chain_forecast,
    plan=student_plan,
    components=student_components,
    draw=draw,
)

STUDENT_DRAWS = STUDENT_HMM._replace(
    name=f"{__name__}:STUDENT_DRAWS",
    params=DrawnParams,
    init=drawn_init,
    step=drawn_step,
    # Hindsight would be that of one set of parameters, and the filter's is of many.
    smooth=None,
    decode=None,
    draw=None,
    renumber=renumbered,
    forecast=drawn_forecast,
    plan=drawn_plan,
    components=drawn_components,
    never_left=never_left,
    until=until,
    remaining=remaining,
    draws_ahead=draws_ahead,
)


STUDENT_COUNTED = STUDENT_HMM._replace(name=f"{__name__}:STUDENT_COUNTED", used=used)


class Plan(NamedTuple):
    """What a model was asked for: the ascent, the market's habits or None, what a refit keeps, and the draws."""

    states: int
    ascender: Ascender
    habits: Habits | None
    keep: float
    guard: float
    uncertainty: int
    sweeps: int
    seed: int

    @property
    def family(self) -> Family:
        """Return the family its fits are of."""
        return STUDENT_DRAWS if self.uncertainty else STUDENT_HMM

    def prior(self, d: int) -> Known:
        """Return what is known before rows are seen, in robust units."""
        return nothing(self.states, d, self.ascender.usual_dof) if self.habits is None else market(self.habits, d)


@checked
def student_hmm(
    states: int | Literal["choose"] = 2,
    how: Literal["vb", "map", "em"] = "vb",
    prior: Literal["market", "previous", "none"] = "market",
    degrees_of_freedom: Literal["shared", "own"] | float = "shared",
    uncertainty: int = 0,
    stays: list[float] | None = None,
    volatilities: list[float] | None = None,
    firmness: float = FIRMNESS,
    mean_bars: float = 20.0,
    usual_dof: float = USUAL_DOF,
    dof_spread: float = DOF_SPREAD,
    keep: float = 0.8,
    guard: float = 20.0,
    starts: int = 2,
    iterations: int = 400,
    tolerance: float = 1e-6,
    variance_floor: float = 1e-6,
    sweeps: int = 200,
    seed: int = 0,
    most: int = 5,
) -> Model:
    """Hidden Markov model with Student-t features, its parameters drawn to what is usual in markets.

    `how` it is fitted: "vb" keeps a distribution over every parameter but the degrees of freedom, and filters by its
    predictive; "map" keeps the likeliest parameters; "em", like ``prior="none"``, is plain maximum likelihood.

    The market prior, in bars and in units of the window's robust deviation: regimes last about `stays`, the scales of
    the return are about `volatilities` (None: learned for 2 and 3 states, and a rule beyond), believed as firmly as 2 *
    `firmness` bars; means are drawn to the window's median by `mean_bars` bars; log degrees of freedom are about log
    `usual_dof`, give or take `dof_spread`. ``prior="previous"`` begins with the market, then takes the last fit's
    posterior, to the power `keep`, as prior for the bars that are new, so that a refit is a step of a filter; a fit
    from the market that is likelier by more than `guard` on the window takes its place.

    `uncertainty` draws of all parameters, from `sweeps` Gibbs sweeps by `seed`, are filtered side by side, weighted by
    what they foresaw; the belief is their mean.

    ``states="choose"`` chooses their number at every fit, of 1 to `most`, by what models of so many foresaw of the
    later half of the window (`barograph.regimes.answers.counting`); the reason stands in ``fitted.notes``. The belief
    has room for `most`, those beyond the chosen number have no probability; regime k is the k-th calmest of that fit.

    A cell that is missing is left out of its row, exactly. `fit` raises `FitError` for data that are too few, constant
    or infinite, and for nothing else: an ascent that has not ended after `iterations` is a fit that says so.

    M. Beal, *Variational algorithms for approximate Bayesian inference* (2003), chapter 3; D. Peel & G. McLachlan,
    *Robust mixture modelling using the t distribution*, Statistics and Computing 10 (2000).

    >>> random = np.random.default_rng(0)
    >>> returns = random.standard_t(5, 750) * np.repeat([0.005, 0.02, 0.005], 250)
    >>> returns[100] = -0.52
    >>> fitted = student_hmm().fit(returns[:, None])
    >>> fitted.viterbi(returns[:, None])[[50, 150, 300, 450, 700]]
    array([0, 0, 1, 1, 0])
    """
    if states == "choose":
        settings = {key: value for key, value in locals().items() if key not in ("states", "most")}
        return _chosen_at_every_fit(partial(student_hmm, **settings), most, settings)
    if isinstance(states, str):
        check_choice(NAME, "states", states, ("choose",))
    check_counts(NAME, states=states, starts=starts, iterations=iterations, sweeps=sweeps)
    check_choice(NAME, "how", how, tuple(METHODS))
    check_choice(NAME, "prior", prior, PRIORS)
    positive = {"firmness": firmness, "mean_bars": mean_bars, "usual_dof": usual_dof, "dof_spread": dof_spread}
    check_positive(NAME, **positive, tolerance=tolerance, variance_floor=variance_floor, guard=guard)
    kind, usual = _degrees_of_freedom(degrees_of_freedom, usual_dof)
    _check_previous(prior, how, keep)
    _check_draws(uncertainty, prior, how)
    plain = prior == "none" or how == "em"
    own = habits(NAME, states, stays, volatilities, firmness, mean_bars, usual, dof_spread)
    method = ascent.EM if plain else METHODS[how]
    ascender = Ascender(method, kind, usual, starts, iterations, tolerance, variance_floor)
    plan = Plan(states, ascender, None if plain else own, keep, guard, uncertainty, sweeps, seed)
    learn = partial(_carried if prior == "previous" else _fresh, plan)
    moved = None if uncertainty or prior == "previous" or method == ascent.MAP else partial(_moved, plan)
    return Model(learn, states, NAME, partial_rows=True, moved=moved)


def _chosen_at_every_fit(make: Any, most: int, settings: dict[str, Any]) -> Model:
    """Return the model that chooses its number of states at every fit."""
    check_counts(NAME, most=most)
    of_known = {"stays": None, "volatilities": None, "uncertainty": 0}
    odd = [key for key, plain in of_known.items() if settings[key] != plain]
    odd += ["prior"] if settings["prior"] == "previous" else []
    if odd:
        told = f"{odd[0]} = {settings[odd[0]]!r} wants a number of states that stays"
        raise ConfigError(f'{NAME}: states = "choose": {told}; leave it out, or say how many')
    make(1)

    def fit(window: Window) -> Fitted:
        choice = choose_states(make, window, most, criteria=False)
        found = choice.fitted
        padded = replace(found, family=STUDENT_COUNTED, params=with_room(found.params, most, FIT))
        labels = tuple(f"regime {k}" for k in range(most))
        # What was told of it was told by the number of states it has; the padded one is looked at afresh.
        return replace(padded, labels=labels, notes=(choice.reason,), degeneracies=())

    return Model(fit, most, NAME, tuple(f"regime {k}" for k in range(most)), partial_rows=True)


def _check_previous(prior: str, how: str, keep: float) -> None:
    if not 0.0 < keep <= 1.0:
        raise ConfigError(f"{NAME}: keep = {keep!r}, a number above 0 and not above 1 is wanted")
    if prior == "previous" and how != "vb":
        raise ConfigError(f'{NAME}: prior = "previous" carries a posterior on: how = "vb" is wanted, not {how!r}')


def _check_draws(uncertainty: Any, prior: str, how: str) -> None:
    if uncertainty != 0:
        check_counts(NAME, uncertainty=uncertainty)
        if how != "vb" or prior == "none":
            raise ConfigError(f'{NAME}: uncertainty = {uncertainty!r} draws from a posterior: how = "vb" and a prior')


def _degrees_of_freedom(wanted: Any, usual: float) -> tuple[int, float]:
    """Return whose degrees of freedom are whose, and where they begin."""
    if isinstance(wanted, str):
        check_choice(NAME, "degrees_of_freedom", wanted, tuple(KINDS))
    elif not ascent.LEAST_DOF <= wanted <= ascent.MOST_DOF:
        limits = f"a number from {ascent.LEAST_DOF:g} to {ascent.MOST_DOF:g} is wanted"
        raise ConfigError(f"{NAME}: degrees_of_freedom = {wanted!r}, {limits}, or {' or '.join(KINDS)}")
    if not isinstance(wanted, str):
        return ascent.FIXED, float(wanted)
    return KINDS[wanted], min(max(usual, ascent.LEAST_DOF), ascent.MOST_DOF)


def _fresh(plan: Plan, window: Window) -> Fitted:
    """Fit to the whole window, from what is known of markets."""
    return _from_prior(plan, window, cells(emitted(window, NAME), plan.states, NAME))


def _moved(plan: Plan, window: Window, found: Fitted, other: Fitted) -> Fitted:
    """Return the better of a fit and where another's regimes lead, one of them split or two of them merged."""
    X = emitted(window, NAME)
    data = cells(X, plan.states, NAME)
    begun = moved_start(data, smooth(STUDENT, other.params, X, any_observed), plan.states)
    if begun is None:
        return found
    prior = plan.prior(X.shape[1])
    rival = _said(plan, window, data, prior, plan.ascender.climb(data, prior, begun))
    # By less than an iteration may gain it is the same answer.
    return rival if _objective(rival) > _objective(found) + plan.ascender.tolerance * data.rows else found


def _objective(fitted: Fitted) -> float:
    """Return where the ascent ended: the bound on the log evidence, or in plain EM the log likelihood."""
    evidence = float(fitted.params.evidence[0])
    return _reached(fitted) if np.isnan(evidence) else evidence


def _from_prior(plan: Plan, window: Window, data: Cells) -> Fitted:
    prior = plan.prior(window.rows.shape[1])
    return _said(plan, window, data, prior, best_climb(plan.ascender, data, prior))


def _carried(plan: Plan, window: Window) -> Fitted:
    """Fit to the new rows, from what the last fit knew; or afresh where a fresh fit is likelier on the window."""
    X, previous = emitted(window, NAME), window.previous
    data = cells(X, plan.states, NAME)
    fresh = _from_prior(plan, window, data)
    # In the order of the market's prior, which it is mixed with.
    known = order_by_volatility(previous) if previous is not None and _same_kind(previous, plan, X) else None
    old = 0 if known is None else rows_seen(window, known.params)
    if known is None or old == 0:
        return fresh
    last = standardised(known_of(known.params), data)
    new = data._replace(Z=data.Z[old:], ends=np.array([0, len(X) - old]))
    if not new.rows:
        return known
    weights = smooth(STUDENT, known.params._replace(start=last.start), X[old:], any_observed)
    prior = flattened(last, plan.prior(X.shape[1]), plan.keep)
    carried = _said(plan, window, new, prior, plan.ascender.climb(new, prior, weights))
    return fresh if _reached(fresh) > _reached(carried) + plan.guard else carried


def _reached(fitted: Fitted) -> float:
    assert fitted.log_likelihood is not None
    return float(fitted.log_likelihood[-1])


def _same_kind(previous: Fitted, plan: Plan, X: Floats) -> bool:
    same = (previous.regimes, len(previous.features)) == (plan.states, X.shape[1])
    return previous.family is plan.family and same


def rows_seen(window: Window, params: StudentParams) -> int:
    """Return how many rows of a window a fit has seen, by the close at which it ended.

    0 where the window has no such close, or other rows before it than the fit had: row numbers are no closes.
    """
    seconds, rest = (int(part) for part in params.until)
    old = int(np.searchsorted(window.ts, seconds * SECOND + rest, side="right"))
    there = np.flatnonzero(np.isfinite(params.tail).any(axis=1))
    n = min(old, len(params.tail) - int(there[0])) if len(there) else 0
    if n == 0 or window.ts[old - 1] != seconds * SECOND + rest:
        return 0
    same = np.array_equal(window.rows[old - n : old], params.tail[len(params.tail) - n :], equal_nan=True)
    return old if same else 0


def _said(plan: Plan, window: Window, data: Cells, prior: Known, found: ascent.Climb) -> Fitted:
    """Say an ascent as a fit: its path rises as the objective did, and ends at the parameters' log-likelihood."""
    plain, X = in_units(plan.ascender.how, data, found), window.rows
    path = believed(plain, X)
    # Nanoseconds since 1970 are more than a double can count.
    until = np.array(divmod(int(window.ts[-1]), SECOND), dtype=np.float64)
    plain = plain._replace(ended=path.probs[-1], until=until, tail=np.vstack([plain.tail, X])[-TAIL:])
    params: Any = plain
    if plan.uncertainty:
        kind, settings = plan.ascender.kind, (plan.uncertainty, plan.sweeps, plan.seed)
        params = drawn_params(plain, data, draws(kind, data, prior, found, *settings))
    fitted = Fitted(
        family=plan.family,
        params=params,
        log_likelihood=found.path - found.path[-1] + float(total(path.logpdf)),
        observations=_rows(X),
        free_parameters=free_parameters(plan, X.shape[1]),
        completed=viterbi(STUDENT, plain, X, any_observed)[1],
        converged=found.converged,
        seed=plan.seed,
        features=tuple(f"x{j}" for j in range(X.shape[1])),
    )
    return order_by_volatility(fitted)


def _rows(X: Floats) -> int:
    return int(np.count_nonzero(any_observed(X)))


def free_parameters(plan: Plan, d: int) -> int:
    """Count what the chain, the means, the scales and the degrees of freedom may choose."""
    K, how = plan.states, plan.ascender.how
    chain = K * (K - 1) + (K - 1 if how == ascent.EM else 0)
    return chain + 2 * K * d + {ascent.FIXED: 0, ascent.SHARED: 1, ascent.OWN: K}[plan.ascender.kind]
