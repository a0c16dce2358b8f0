"""One Student-t model for several assets that behave alike: pooled parameters, and a scale for each asset."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from barograph.errors import FitError
from barograph.jit.ordered import total
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.matching import order_by_volatility
from barograph.regimes.window import Window, table, window
from barograph.types import Floats
from barograph_models._chain.inference import any_observed, viterbi
from barograph_models._fit.data import check_choice, emitted
from barograph_models._fit.settings import checked
from barograph_models._student.ascent import Climb
from barograph_models._student.data import Cells, cells
from barograph_models._student.emission import FIT, STUDENT, StudentParams, density_norms
from barograph_models._student.fit import believed, in_units
from barograph_models._student.panel import pooled
from barograph_models._student.priors import DOF_SPREAD, FIRMNESS, USUAL_DOF
from barograph_models.student_hmm import STUDENT_HMM, Plan, free_parameters, student_hmm

__all__ = ["STUDENT_PANEL", "PanelParams", "fit_panel", "student_panel"]

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


def _of_asset(params: PanelParams, asset: int) -> tuple[Family, StudentParams]:
    """Return one asset's model of a panel's, in the asset's own units."""
    centre, unit = params.asset_centre[asset], params.asset_unit[asset]
    plain = StudentParams(*params[: len(StudentParams._fields)])
    scales = plain.scales * unit
    return STUDENT_HMM, plain._replace(
        means=plain.means * unit + centre,
        scales=scales,
        rate=plain.rate * unit * unit,
        **density_norms(scales, plain.degrees_of_freedom),
    )


STUDENT_PANEL = STUDENT_HMM._replace(
    name=f"{__name__}:STUDENT_PANEL",
    draw=None,
    params=PanelParams,
    shared=(*FIT, "asset_centre", "asset_unit"),
    of_asset=_of_asset,
)


@checked
def student_panel(
    states: int = 2,
    how: Literal["vb", "map", "em"] = "vb",
    prior: Literal["market", "none"] = "market",
    degrees_of_freedom: Literal["shared", "own"] | float = "shared",
    stays: list[float] | None = None,
    volatilities: list[float] | None = None,
    firmness: float = FIRMNESS,
    mean_bars: float = 20.0,
    usual_dof: float = USUAL_DOF,
    dof_spread: float = DOF_SPREAD,
    starts: int = 2,
    iterations: int = 400,
    tolerance: float = 1e-6,
    variance_floor: float = 1e-6,
) -> Model:
    """One Student-t hidden Markov model for several assets: parameters in common, a centre and a unit for each.

    It learns from one table an asset, of a machine with ``each=True``, which then has a belief an asset. The settings
    are those of `student_hmm`; there is neither a previous posterior nor draws. The fit speaks of rows less the asset's
    centre, divided by its unit; ``fitted.of_asset(symbol)`` is the model of one asset, in that asset's own units.

    `fit` raises `FitError` naming the asset whose rows are too few, constant or infinite, `ConfigError` for settings
    that cannot be meant.

    >>> student_panel(states=3).panel
    True
    """
    settings = dict(locals())
    check_choice(NAME, "prior", prior, ("market", "none"))
    plan: Plan = student_hmm(**settings).learn.args[0]  # type: ignore[attr-defined]
    return Model(partial(_fit, plan), states, NAME, panel=True)


def fit_panel(panel: Window | Sequence[Floats], **settings: Any) -> Fitted:
    """Fit one model to the tables (T_i, d) of several assets: pooled parameters, each asset in units of its own.

    A panel is a sequence of tables, or what `barograph.window` makes of a mapping of symbols to them; `settings` are
    those of `student_panel`.

    >>> random = np.random.default_rng(0)
    >>> sizes = np.repeat([0.005, 0.02, 0.005], 100)
    >>> panel = fit_panel([random.standard_t(5, (300, 1)) * sizes[:, None] * scale for scale in (1.0, 10.0)])
    >>> bool(np.allclose(panel.params.asset_unit[1] / panel.params.asset_unit[0], 10.0, rtol=0.1))
    True
    """
    model = student_panel(**settings)
    if isinstance(panel, Window):
        return model.fit(panel)
    tables = tuple(table(X) for X in panel)
    if not tables or len({X.shape[1] for X in tables}) != 1:
        raise FitError(f"{NAME}: at least one table is wanted, and the same features in all")
    return model.fit(window(tables[0])._replace(tables=tables))


def _fit(plan: Plan, seen: Window) -> Fitted:
    """Fit to the tables of a window, or to its rows as a panel of one."""
    emitted(seen, NAME)
    tables, prior = seen.tables or (seen.rows,), plan.prior(seen.rows.shape[1])
    whose = (
        [f"{NAME}: {symbol}" for symbol in seen.symbols] if len(seen.symbols) == len(tables) else [NAME] * len(tables)
    )
    parts = [cells(X, plan.states, who) for X, who in zip(tables, whose, strict=True)]
    return _said(plan, *pooled(plan.ascender, prior, parts))


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
