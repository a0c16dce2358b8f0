"""Correlation and spillover within regimes: by the definition, in other units, renumbered, and in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.regimes.answers.connectedness import correlations_of, spillover
from barograph.regimes.fitted import Fitted
from barograph.report import read_run, write_report
from barograph.report.tables import together
from barograph_models.gaussian_hmm import FULL, gaussian_hmm, gaussian_params
from barograph_models.gaussian_mixture import gaussian_mixture
from tests.fakes.runs import fake_run

CALM = np.array([[1.0, 0.1, 0.0], [0.1, 1.0, -0.2], [0.0, -0.2, 1.0]])
WILD = np.array([[9.0, 7.2, 2.0], [7.2, 16.0, 3.0], [2.0, 3.0, 4.0]])
TRUE = gaussian_params([0.5, 0.5], [[0.98, 0.02], [0.05, 0.95]], np.zeros((2, 3)), np.stack([CALM, WILD]))


def kept() -> Fitted:
    return Fitted(FULL, TRUE, None, 100, None, None, True, 0, ("SPY", "TLT", "GLD"))


def generalised(sigma: Any) -> Any:
    """Diebold and Yilmaz's equation 2 as it stands, for a vector autoregression without lags, H = 1."""
    d = len(sigma)
    theta, unit = np.empty((d, d)), np.eye(d)
    for i in range(d):
        for j in range(d):
            theta[i, j] = (unit[i] @ sigma @ unit[j]) ** 2 / sigma[j, j] / (unit[i] @ sigma @ unit[i])
    return theta / theta.sum(axis=1, keepdims=True)


def test_it_is_the_index_of_the_paper() -> None:
    found = kept().spillover()
    assert found is not None
    for r, sigma in enumerate((CALM, WILD)):
        share = generalised(sigma)
        np.testing.assert_allclose(found.share[r], share, atol=1e-14)
        assert found.whole[r] == pytest.approx((share.sum() - np.trace(share)) / 3, abs=1e-14)
    np.testing.assert_allclose(kept().correlations()[1, 0, 1], 7.2 / 12.0, atol=1e-15)  # type: ignore[index]


def test_one_feature_and_perfect_company_are_the_two_ends() -> None:
    assert spillover([[[1.0]]]).whole.tolist() == [0.0]
    assert spillover(np.ones((1, 4, 4))).whole[0] == pytest.approx(0.75)
    assert correlations_of(np.array([[[1e-30, 1e-30], [1e-30, 1e-30]]])).max() == 1.0


def test_a_joint_world_gives_back_the_correlations_that_it_was_drawn_with() -> None:
    X = kept().sample(8_000, seed=1)[0]
    fitted = gaussian_hmm(covariance="full", starts=3).fit(X)
    np.testing.assert_allclose(fitted.correlations(), kept().correlations(), atol=0.05)  # type: ignore[arg-type]
    # Percent for decimal returns: the same company.
    again = gaussian_hmm(covariance="full", starts=3).fit(X * [100.0, 1.0, 0.01])
    np.testing.assert_allclose(again.correlations(), fitted.correlations(), atol=1e-3)  # type: ignore[arg-type]
    turned = fitted.reordered([1, 0])
    np.testing.assert_array_equal(turned.spillover().whole, fitted.spillover().whole[::-1])  # type: ignore[union-attr]


def test_who_assumes_independence_says_nothing_of_it() -> None:
    X = kept().sample(400, seed=1)[0]
    for model in (gaussian_hmm(starts=2), gaussian_mixture(covariance="diagonal", starts=2)):
        fitted = model.fit(X)
        assert fitted.correlations() is None
        assert fitted.spillover() is None
        assert "correlations" not in fitted.summary()
    for model in (gaussian_hmm(covariance="tied", starts=2), gaussian_mixture(starts=2)):
        assert model.fit(X).correlations().shape == (2, 3, 3)  # type: ignore[union-attr]
    assert "spillover" not in gaussian_hmm(covariance="full", starts=2).fit(X[:, 0]).summary()


def test_the_report_tells_it_of_the_last_fit(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "joint", bars=300)
    assert together(read_run(folder)) is None
    fits = json.loads((folder / "fits.json").read_text(encoding="utf-8"))
    fits[-1]["summary"] = kept().summary()
    (folder / "fits.json").write_text(json.dumps(fits), encoding="utf-8")
    table = together(read_run(folder))
    assert table is not None
    told = {row.cells[0]: row.cells[1:] for row in table.rows}
    assert told["SPY with TLT"] == ("0.10", "0.60")
    assert told["TLT with GLD"] == ("−0.20", "0.38")
    whole = [f"{(1 - np.trace(generalised(sigma)) / 3) * 100:.1f} %" for sigma in (CALM, WILD)]
    assert list(told["spillover"]) == whole
    assert "How features move together" in write_report(folder).read_text(encoding="utf-8")
