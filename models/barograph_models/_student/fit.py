"""From rows to a fit: the ascent from each start, the best kept, and the posterior said in the data's units."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.ordered import exponentials, logarithms, product, total
from barograph.regimes.filtering import filter_path
from barograph.types import Filter, Filtered, Floats
from barograph_models._chain.filter import init
from barograph_models._student.ascent import EM, VB, Climb, climb
from barograph_models._student.data import Cells
from barograph_models._student.emission import StudentParams, density_norms, step
from barograph_models._student.known import Known
from barograph_models._student.starts import dispersion_start, expected_moves

__all__ = ["TAIL", "Ascender", "believed", "best_climb", "in_units", "known_of", "long_run", "standardised"]

TAIL: Final = 32  # rows by which a later window finds where an earlier one ended


class Ascender(NamedTuple):
    """How to climb: by EM, MAP or VB, whose degrees of freedom are whose, where to stop, and from how many starts."""

    how: int
    kind: int
    usual_dof: float
    starts: int
    iterations: int
    tolerance: float
    floor: float

    def climb(self, data: Cells, prior: Known, weights: Floats) -> Climb:
        """Climb from P(regime at each row), (T, K)."""
        dof = exponentials(prior.log_dof)
        moves = expected_moves(weights, data.ends)
        ends, gain = data.ends.astype(np.int64), self.tolerance * max(data.rows, 1)
        return climb(self.how, self.kind, data.Z, ends, prior, weights, moves, dof, self.iterations, gain, self.floor)


def best_climb(ascender: Ascender, data: Cells, prior: Known) -> Climb:
    """Climb from every start and return the one that ended highest, ties to the earliest."""
    states = len(prior.start)
    starts = [dispersion_start(data.Z, data.ends, states, i) for i in range(ascender.starts)]
    return max((ascender.climb(data, prior, s) for s in starts), key=lambda found: float(found.path[-1]))


def in_units(how: int, data: Cells, found: Climb) -> StudentParams:
    """Say where an ascent ended in the data's units: for the filter, the posterior predictive.

    A t with a normal mean around it is taken for a t of a larger scale: exact to the second moment of a bar's normal
    part, and the spread of the scale itself, which would add a little to the tails, is left out.
    """
    known, unit = found.known, data.unit
    wider = 1.0 + 1.0 / known.bars if how == VB else np.ones_like(known.bars)
    scales = np.sqrt(wider / found.precision) * unit
    K, d = scales.shape
    return StudentParams(
        start=known.start if how == EM else long_run(found.transition),
        transition=found.transition,
        means=known.means * unit + data.centre,
        scales=scales,
        degrees_of_freedom=found.dof,
        strength=total(known.moves, axis=1),
        bars=known.bars,
        shape=known.shape,
        rate=known.rate * unit * unit,
        dof_precision=known.dof_precision,
        ended=np.full(K, 1.0 / K),
        until=np.zeros(2),
        tail=np.full((TAIL, d), np.nan),
        evidence=np.array([found.path[-1] - data.log_volume if how == VB else np.nan]),
        **density_norms(scales, found.dof),
    )


def known_of(params: StudentParams) -> Known:
    """Return the posterior that params hold, in the data's units."""
    return Known(
        start=product(params.ended, params.transition),
        moves=params.strength[:, None] * params.transition,
        means=params.means,
        bars=params.bars,
        shape=params.shape,
        rate=params.rate,
        log_dof=logarithms(params.degrees_of_freedom),
        dof_precision=params.dof_precision,
    )


def standardised(known: Known, data: Cells) -> Known:
    """Bring knowledge in the data's units to the robust units of a window."""
    rate = known.rate / (data.unit * data.unit)
    return known._replace(means=(known.means - data.centre) / data.unit, rate=rate)


def long_run(transition: Floats) -> Floats:
    """Return the share of time in each regime in the long run, (K,), of a chain all of whose moves are possible."""
    # Squaring a chain that stays half of the time: 2**40 steps are more than the longest stay a double can tell.
    ahead = 0.5 * (transition + np.eye(len(transition)))
    for _ in range(40):
        ahead = product(ahead, ahead)
        ahead = ahead / total(ahead, axis=1)[:, None]
    return np.asarray(ahead[0] / total(ahead[0]))


def believed(params: StudentParams, X: Any) -> Filtered:
    """Return what the filter of these params says of the rows of `X`."""
    return filter_path(Filter(init, step, params, len(params.start), "student_hmm"), X)
