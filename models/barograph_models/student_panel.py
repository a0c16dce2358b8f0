"""One Student-t model for several assets that behave alike: pooled parameters, and a scale for each asset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError, FitError
from barograph.jit.ordered import total
from barograph.regimes.fitted import Fitted
from barograph.regimes.matching import order_by_volatility
from barograph.regimes.window import Window, table
from barograph.types import Floats
from barograph_models._chain.inference import any_observed, viterbi
from barograph_models._student.ascent import Climb
from barograph_models._student.data import Cells, cells
from barograph_models._student.emission import FIT, STUDENT, StudentParams, density_norms
from barograph_models._student.fit import believed, in_units
from barograph_models._student.panel import pooled
from barograph_models.student_hmm import STUDENT_HMM, Plan, free_parameters, student_hmm

__all__ = ["STUDENT_PANEL", "PanelParams", "fit_panel", "of_asset"]

NAME: Final = "student_panel"


class PanelParams(NamedTuple):
    """`StudentParams` of rows in units of their own asset, and for each of N assets centre and unit, (N, d)."""

    start: Floats
    transition: Floats
    means: Floats
    scales: Floats
    whitening: Floats
    log_scales: Floats
    degrees_of_freedom: Floats
    norms: Floats
    peak: Floats
    strength: Floats
    bars: Floats
    shape: Floats
    rate: Floats
    dof_precision: Floats
    ended: Floats
    until: Floats
    tail: Floats
    evidence: Floats
    asset_centre: Floats
    asset_unit: Floats


STUDENT_PANEL = STUDENT_HMM._replace(
    name=f"{__name__}:STUDENT_PANEL", params=PanelParams, shared=(*FIT, "asset_centre", "asset_unit")
)


def fit_panel(panel: Window | Sequence[Floats], **settings: Any) -> Fitted:
    """Fit one model to the tables (T_i, d) of several assets: pooled parameters, each asset in units of its own.

    A panel is a sequence of tables, or what `barograph.window` makes of a mapping of symbols to them.

    `settings` are those of `student_hmm`, without a previous fit and without draws. The fit speaks of rows less the
    asset's centre, divided by its unit; ``of_asset(fitted, i)`` is the model of one asset, in that asset's own units.

    >>> random = np.random.default_rng(0)
    >>> sizes = np.repeat([0.005, 0.02, 0.005], 100)
    >>> panel = fit_panel([random.standard_t(5, (300, 1)) * sizes[:, None] * scale for scale in (1.0, 10.0)])
    >>> bool(np.allclose(panel.params.asset_unit[1] / panel.params.asset_unit[0], 10.0, rtol=0.1))
    True
    """
    # The plan is what the model's own fit is bound to.
    plan: Plan = student_hmm(**settings).learn.args[0]  # type: ignore[attr-defined]
    if settings.get("prior") == "previous" or plan.uncertainty:
        raise ConfigError(f'{NAME}: a panel takes neither prior = "previous" nor uncertainty')
    tables = [table(X) for X in (panel.tables if isinstance(panel, Window) else panel)]
    if not tables or len({X.shape[1] for X in tables}) != 1:
        raise FitError(f"{NAME}: at least one table is wanted, and the same features in all")
    prior = plan.prior(tables[0].shape[1])
    return _said(plan, *pooled(plan.ascender, prior, [cells(X, plan.states, NAME) for X in tables]))


def _said(plan: Plan, found: Climb, parts: list[Cells]) -> Fitted:
    """Say what was found for all tables as one fit, its likelihood in the assets' own units."""
    d = parts[0].Z.shape[1]
    whole = Cells(parts[0].Z, np.zeros(d), np.ones(d), parts[0].ends)
    plain = in_units(plan.ascender.how, whole, found)
    units = np.array([part.centre for part in parts]), np.array([part.unit for part in parts])
    logs = np.array([total(believed(plain, p.Z).logpdf) - p.log_volume for p in parts])
    labelled = [viterbi(STUDENT, plain, p.Z, any_observed)[1] - p.log_volume for p in parts]
    fitted = Fitted(
        family=STUDENT_PANEL,
        params=PanelParams(*plain, *units),
        log_likelihood=found.path - found.path[-1] + float(total(logs)),
        observations=sum(part.rows for part in parts),
        free_parameters=free_parameters(plan, d) + len(parts) * d,
        completed=float(total(np.array(labelled))),
        converged=found.converged,
        seed=plan.seed,
        features=tuple(f"x{j}" for j in range(d)),
    )
    return order_by_volatility(fitted)


def of_asset(fitted: Fitted, asset: int) -> Fitted:
    """Return one asset's model of a panel's, in the asset's own units."""
    p = fitted.params
    centre, unit = p.asset_centre[asset], p.asset_unit[asset]
    plain = StudentParams(*p[: len(StudentParams._fields)])
    scales = plain.scales * unit
    params = plain._replace(
        means=plain.means * unit + centre,
        scales=scales,
        rate=plain.rate * unit * unit,
        **density_norms(scales, plain.degrees_of_freedom),
    )
    return replace(fitted, family=STUDENT_HMM, params=params)
