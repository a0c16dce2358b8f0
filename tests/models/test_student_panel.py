"""A panel of assets: one world, many scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from barograph.data.synthetic import SCENARIOS, draw
from barograph.errors import ConfigError, FitError
from barograph.regimes.fitted import Fitted
from barograph.regimes.outlook import outlook
from barograph.regimes.window import window
from barograph.testing import check_model
from barograph_models.student_hmm import student_hmm
from barograph_models.student_panel import fit_panel, student_panel

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="minutes long in plain Python")


def _tables(scales: Any, d: int = 1, T: int = 300) -> list[Any]:
    random = np.random.default_rng(0)
    sizes = np.repeat([0.5, 2.0, 0.5], T // 3)[:, None]
    return [scale * random.standard_t(5, (T, d)) * sizes + 0.1 * scale for scale in scales]


def test_every_asset_has_its_own_unit_and_the_rest_in_common() -> None:
    tables = _tables([1.0, 0.01, 30.0], d=2)
    tables[1] = np.vstack([tables[1], np.full((5, 2), np.nan)])
    tables[2][50:60, 1] = np.nan
    panel = fit_panel(tables)
    assert panel.params.asset_unit.shape == (3, 2)
    assert panel.observations == 900
    alone = [panel.of_asset(i) for i in range(3)]
    for fitted, X in zip(alone, tables, strict=True):
        np.testing.assert_array_equal(fitted.transition, panel.transition)
        labels = fitted.viterbi(X)
        assert (labels[[50, 150, 250]] == [0, 1, 0]).all()
    total = sum(f.filter_path(X).logpdf.sum() for f, X in zip(alone, tables, strict=True))
    assert panel.log_likelihood[-1] == pytest.approx(total, rel=1e-10)
    assert np.diff(panel.log_likelihood).min() >= -1e-9 * abs(total)


def test_other_scales_change_units_and_nothing_else() -> None:
    tables = _tables([1.0, 2.0])
    one, other = fit_panel(tables), fit_panel([tables[0] * 7.0, tables[1] * 0.01])
    np.testing.assert_allclose(other.params.asset_unit, one.params.asset_unit * [[7.0], [0.01]], rtol=1e-9)
    np.testing.assert_allclose(other.params.scales, one.params.scales, rtol=1e-9)
    path = other.of_asset(1).filter_path(tables[1] * 0.01).probs
    np.testing.assert_allclose(path, one.of_asset(1).filter_path(tables[1]).probs, atol=1e-9)


def test_units_are_the_likeliest_given_the_rest() -> None:
    tables = _tables([1.0, 3.0])
    panel = fit_panel(tables, tolerance=1e-9)
    best = sum(panel.of_asset(i).filter_path(X).logpdf.sum() for i, X in enumerate(tables))
    for factor in (0.97, 1.03):
        unit = panel.params.asset_unit * [[factor], [1.0]]
        moved = Fitted(**{**{f: getattr(panel, f) for f in panel.__dataclass_fields__},
                          "params": panel.params._replace(asset_unit=unit)})  # fmt: skip
        assert sum(moved.of_asset(i).filter_path(X).logpdf.sum() for i, X in enumerate(tables)) < best


def test_a_panel_is_kept_and_renumbered(tmp_path: Path) -> None:
    panel = fit_panel(_tables([1.0, 2.0, 5.0]), states=3)
    panel.save(tmp_path / "panel.npz")
    assert Fitted.load(tmp_path / "panel.npz").to_bytes() == panel.to_bytes()
    order = np.array([2, 0, 1])
    X = _tables([5.0])[0]
    turned = panel.reordered(order).of_asset(2).filter_path(X).probs
    np.testing.assert_allclose(turned, panel.of_asset(2).filter_path(X).probs[:, order], atol=1e-12)


def test_a_panel_of_one_obeys_the_laws() -> None:
    found = check_model(student_panel(starts=1), _tables([0.01], T=240)[0])
    assert {"future", "steps", "saving", "missing bars", "renumbering", "shapes", "density"} <= set(found.held)


def test_an_asset_that_cannot_be_learned_from_is_named() -> None:
    tables = {"AAA": _tables([1.0])[0], "BBB": np.zeros((300, 1))}
    with pytest.raises(FitError, match="student_panel: BBB: feature 0 is constant over the 300 observed rows"):
        student_panel().fit(window(tables))


def test_sixteen_assets_teach_what_one_cannot() -> None:
    """The Brier score on sixteen paths that nobody fitted."""
    world = SCENARIOS["daily2_t5"]
    X, (R, Z) = draw(world, 1000, seed=1, paths=16)[0], draw(world, 1000, seed=0, paths=16)
    panel = fit_panel(list(X[:, :, None]), starts=1)

    def brier(fitted: Fitted, i: int) -> float:
        return float(2.0 * np.mean((fitted.filter_path(R[i][:, None]).probs[:, 1] - Z[i]) ** 2))

    pooled = np.mean([brier(panel.of_asset(i), i) for i in range(16)])
    alone = np.mean([brier(student_hmm().fit(X[i][:, None]), i) for i in range(16)])
    assert pooled < alone
    assert pooled < 0.065
    np.testing.assert_allclose(np.log(panel.params.asset_unit), np.log(panel.params.asset_unit).mean(), atol=0.15)


def test_a_panel_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(FitError, match="at least one table"):
        fit_panel([])
    with pytest.raises(FitError, match="the same features in all"):
        fit_panel([np.zeros((9, 1)), np.zeros((9, 2))])
    with pytest.raises(ConfigError, match="student_panel: prior = 'previous', one of market, none is wanted"):
        fit_panel(_tables([1.0]), prior="previous")


def test_what_is_expected_of_an_asset_is_in_its_own_units() -> None:
    """What a watcher holds a bar's density against: that of an asset a hundred times as wild is 4.6 lower."""
    tables = dict(zip(("AAA", "BBB"), _tables([0.01, 1.0]), strict=True))
    panel = student_panel().fit(window(tables))
    for symbol, X in tables.items():
        path, seen = panel.of_asset(symbol).filter_path(X), outlook(panel, 1, symbol)
        surprises = [seen.surprise(p, float(x)) for p, x in zip(path.probs[:-1], path.logpdf[1:], strict=True)]
        assert abs(float(np.mean(np.array(surprises, dtype=np.float64)))) < 0.3
