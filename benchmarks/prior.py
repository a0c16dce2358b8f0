"""The numbers of the market prior, learned anew: medians of plain EM over four blocks of each real series.

``leave`` names a series that is not looked at: so is a prior made that is scored on that one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from barograph.regimes.fitted import Fitted
from barograph.types import Floats
from barograph_models._student.data import spread
from barograph_models._student.priors import DESCENT, DOF_SPREAD, FIRMNESS, STAYS, USUAL_DOF, VOLATILITIES
from barograph_models.student_hmm import student_hmm
from benchmarks import Row, Table
from benchmarks.real import MISSING, series

BLOCKS = 4


class Learned(NamedTuple):
    """Of K regimes, a row a block: stays, volatilities over the robust deviation, degrees of freedom, moves down."""

    stays: Floats
    volatilities: Floats
    dof: Floats
    descent: Floats


def learned(found: dict[str, Floats], states: int, leave: str = "") -> Learned:
    """Fit every block of every series but one."""
    model = student_hmm(states=states, prior="none", starts=4)
    blocks = [b for name, x in found.items() if name != leave for b in np.array_split(x, BLOCKS)]
    rows = [_block(model.fit(b[:, None]), b) for b in blocks]
    return Learned(*(np.array(column) for column in zip(*rows, strict=True)))


def _block(fitted: Fitted, block: Floats) -> tuple[Any, ...]:
    transition, params = fitted.transition, fitted.params
    # A block whose last stay is unfinished may show a regime that is never left.
    stays = 1.0 / np.maximum(1.0 - np.diag(transition), 1e-4)
    middle = transition[1] if len(transition) == 3 else np.array([1.0, 0.0, 0.0])
    descent = middle[0] / max(middle[0] + middle[2], 1e-9)
    return stays, params.scales[:, 0] / spread(block)[1], params.degrees_of_freedom[0], descent


def measure(size: float = 1.0) -> Table:
    """Lay what is learned beside what ships; a small size looks at fewer series."""
    found = series()
    title = f"The market prior: medians over {BLOCKS} blocks of each of {len(found)} series; quartiles beside them"
    if not found:
        return Table(title, [Row("market prior", None, "", "", MISSING)])
    found = dict(list(found.items())[: max(2, round(len(found) * size))])
    rows = []
    for states in (2, 3):
        own = learned(found, states)
        rows += _rows(f"K = {states}: stay", "bars", own.stays, STAYS[states])
        rows += _rows(f"K = {states}: volatility", "robust deviations", own.volatilities, VOLATILITIES[states])
        if states == 3:
            rows += _rows("K = 3: moves of the middle that lead down", "", own.descent[:, None], (DESCENT,))
            continue
        rows += _rows("K = 2: degrees of freedom", "", own.dof[:, None], (USUAL_DOF,))
        half = np.quantile(np.log(own.dof), 0.75) - np.quantile(np.log(own.dof), 0.25)
        rows.append(Row("K = 2: spread of their logarithm", float(half) / 1.349, "", f"{DOF_SPREAD:g}", "ships twice"))
        rows += [_firmness(k, v) for k, v in enumerate(own.volatilities.T)]
    return Table(title, rows)


def _rows(name: str, unit: str, values: Floats, shipped: tuple[float, ...]) -> list[Row]:
    rows = []
    for k, ships in enumerate(shipped):
        low, middle, high = np.quantile(values[:, k], [0.25, 0.5, 0.75])
        which = f"{name}, regime {k}" if len(shipped) > 1 else name
        rows.append(Row(which, float(middle), unit, f"{ships:g}", f"{low:.3g} to {high:.3g}"))
    return rows


def _firmness(k: int, volatility: Floats) -> Row:
    """A gamma of shape a has a log that spreads by 1 / sqrt(a): which shape is as wide as the blocks are?"""
    logs = 2.0 * np.log(volatility)
    deviation = (np.quantile(logs, 0.75) - np.quantile(logs, 0.25)) / 1.349
    return Row(f"K = 2: firmness, regime {k}", float(1.0 / deviation**2), "", f"{FIRMNESS:g}", "one number ships")
