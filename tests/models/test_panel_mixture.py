"""A mixture of chains over assets: brute force over groups and paths, one group, worlds of its own, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

import barograph as bg
from barograph.errors import ConfigError, FitError
from barograph.regimes.fitted import Fitted
from barograph.regimes.window import Window, window
from barograph.testing import check_machine, check_model, some_bars
from barograph_models._chain.gaussian import CELLS, GaussianParams, gaussian_params
from barograph_models._fit.data import Sample
from barograph_models._product import grouped
from barograph_models._product.grouped import belonging, climb, scored
from barograph_models.gaussian_hmm import DIAGONAL, gaussian_hmm
from barograph_models.panel_mixture import groups_of, panel_mixture
from barograph_strategies.regime_filter import regime_filter

SLOW = gaussian_params([0.5, 0.5], [[0.99, 0.01], [0.02, 0.98]], [[0.0], [0.0]], [[0.25], [4.0]])
QUICK = gaussian_params([0.7, 0.3], [[0.9, 0.1], [0.3, 0.7]], [[0.1], [-0.3]], [[0.5], [9.0]])


def draws(params: GaussianParams, bars: int, seed: int) -> Any:
    return Fitted(DIAGONAL, params, None, 100, None, None, True, 0, ("x0",)).sample(bars, seed)[0]


def panel(tables: Any, previous: Fitted | None = None) -> Window:
    symbols = tuple(f"A{i}" for i in range(len(tables)))
    return window(tables[0], previous=previous)._replace(tables=tuple(tables), symbols=symbols)


def six(bars: int = 800) -> list[Any]:
    """Slow and quick assets by turns, of other lengths, units and levels, with a hole."""
    tables = [draws((SLOW, QUICK)[i % 2], bars + 50 * i, i) * (0.01 * (i + 1)) + 0.001 * i for i in range(6)]
    tables[3][100:110] = np.nan
    return tables


def raw(X: Any) -> Sample:
    observed = np.isfinite(X[:, 0])
    return Sample(np.where(observed[:, None], X, 0.0), observed, np.zeros(1), np.ones(1))


def paths(params: GaussianParams, X: Any) -> dict[Any, float]:
    found = {}
    for path in itertools.product(range(2), repeat=len(X)):
        weight = params.start[path[0]] * np.prod([params.transition[i, k] for i, k in itertools.pairwise(path)])
        for t, k in enumerate(path):
            if np.isfinite(X[t, 0]):
                weight *= stats.norm.pdf(X[t, 0], params.means[k, 0], np.sqrt(params.covariances[k, 0]))
        found[path] = float(weight)
    return found


def test_one_iteration_is_the_sum_over_all_groups_and_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [np.random.default_rng(i).standard_normal((5 + i, 1)) * 2.0 for i in range(3)]
    tables[1][2] = np.nan
    groups, share = (SLOW, QUICK), np.array([0.3, 0.7])
    told = [[paths(params, X) for params in groups] for X in tables]
    joint = share * np.array([[sum(of.values()) for of in row] for row in told])
    member = joint / joint.sum(axis=1, keepdims=True)
    # Five rows keep no regime alive: the guards are lowered for the count.
    monkeypatch.setattr(grouped, "CELLS", CELLS._replace(least=lambda _: 0.0))
    found = climb([raw(X) for X in tables], share, groups, 2, -1.0, 1e-6)
    assert found.path[0] == pytest.approx(np.log(joint.sum(axis=1)).sum(), abs=1e-12)
    np.testing.assert_allclose(found.share, member.mean(axis=0), atol=1e-13)
    for g in range(2):
        begun, moves, first, held = np.zeros(2), np.zeros((2, 2)), np.zeros(2), np.zeros(2)
        for i, X in enumerate(tables):
            for path, weight in told[i][g].items():
                of = member[i, g] * weight / sum(told[i][g].values())
                begun[path[0]] += of
                for a, b in itertools.pairwise(path):
                    moves[a, b] += of
                for t, k in enumerate(path):
                    if np.isfinite(X[t, 0]):
                        held[k] += of
                        first[k] += of * X[t, 0]
        np.testing.assert_allclose(found.groups[g].start, begun / begun.sum(), atol=1e-12)
        np.testing.assert_allclose(found.groups[g].transition, moves / moves.sum(axis=1, keepdims=True), atol=1e-12)
        # A regime with fewer than two bars keeps its mean.
        mean = np.where(held >= 2.0, first / held, groups[g].means[:, 0])
        np.testing.assert_allclose(found.groups[g].means[:, 0], mean, atol=1e-11)
        assert held.max() >= 2.0


def test_a_unit_is_the_likeliest_given_the_rest() -> None:
    tables = [raw(draws(SLOW, 300, seed) + 0.2) for seed in range(2)]
    found = climb(tables, np.array([1.0]), (SLOW,), 400, 1e-12, 1e-6)
    best = found.path[-1]
    for factor in (0.99, 1.01):
        moved = found.parts[0]._replace(Z=found.parts[0].Z * factor, scale=found.parts[0].scale / factor)
        others = [moved, found.parts[1]]
        told = belonging(found.share, scored(others, found.groups))[1] - sum(of.log_volume for of in others)
        assert told < best - 1e-4


def test_assets_are_put_together_with_their_own_kind() -> None:
    tables = six()
    fitted = panel_mixture().fit(panel(tables))
    assert groups_of(fitted) == {f"A{i}": i % 2 for i in range(6)}
    assert np.diff(np.asarray(fitted.log_likelihood)).min() > -1e-6
    np.testing.assert_allclose(fitted.params.share, [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(fitted.params.moves[0], SLOW.transition, atol=0.02)
    np.testing.assert_allclose(fitted.params.moves[1], QUICK.transition, atol=0.05)
    ratios = fitted.params.variances[:, 1, 0] / fitted.params.variances[:, 0, 0]
    np.testing.assert_allclose(ratios, [16.0, 18.0], rtol=0.25)
    own = fitted.of_asset("A4")
    np.testing.assert_allclose(own.params.covariances.ravel(), [0.25 * 0.05**2, 4.0 * 0.05**2], rtol=0.25)
    told = sum(fitted.of_asset(f"A{i}").score(X) for i, X in enumerate(tables)) + 6 * np.log(0.5)
    assert fitted.log_likelihood[-1] == pytest.approx(told, rel=1e-9)  # type: ignore[index]


def test_one_group_of_one_asset_is_the_gaussian_hmm() -> None:
    X = draws(SLOW, 800, 1)
    one = panel_mixture(groups=1, tolerance=1e-11, variance_floor=1e-6).fit(panel([X]))
    other = gaussian_hmm(tolerance=1e-11).fit(X)
    assert one.log_likelihood[-1] == pytest.approx(other.log_likelihood[-1], abs=1e-4)  # type: ignore[index]
    np.testing.assert_allclose(one.of_asset(0).filter_path(X).probs, other.filter_path(X).probs, atol=1e-4)


def test_the_laws_of_models_hold_with_a_panel_of_one() -> None:
    X = draws(QUICK, 300, 1)
    X[31] = np.nan
    found = check_model(panel_mixture(starts=2), X)
    assert {"future", "steps", "saving", "missing bars", "renumbering", "scale", "shapes"} <= set(found.held)
    assert {"density", "two bars"} <= set(found.held)
    assert "group 1 holds no asset" in panel_mixture(starts=2).fit(panel([X])).degeneracies


def test_a_panel_is_kept_renumbered_and_fitted_again(tmp_path: Any) -> None:
    tables = six(400)
    first = panel_mixture(starts=2).fit(panel(tables))
    first.save(tmp_path / "panel.npz")
    again = Fitted.load(tmp_path / "panel.npz")
    np.testing.assert_array_equal(again.params.membership, first.params.membership)
    turned, X = first.reordered([1, 0]), tables[2]
    for i in range(6):
        one, other = (of.of_asset(i).filter_path(X).probs for of in (first, turned))
        np.testing.assert_allclose(other, one[:, ::-1], atol=1e-12)
    later = panel_mixture(starts=1).fit(panel([of[20:] for of in tables], previous=first))
    assert groups_of(later) == groups_of(first)


def test_a_machine_learns_it_and_all_loops_agree() -> None:
    learning = bg.Machine(
        strategy=regime_filter(), model=panel_mixture(starts=1), fit=bg.Fit(window=60, every=30), each=True
    )
    bars = some_bars(110, assets=3, seed=2)
    check_machine(learning, bars, cuts=(80,))
    fits = bg.scan(learning, bars).fits
    assert [fit.refused for fit in fits] == [""] * 2
    assert groups_of(fits[-1].fitted).keys() == {"A0", "A1", "A2"}


def test_what_cannot_be_meant_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="panel_mixture: groups = 0, a whole number of at least 1 is wanted"):
        panel_mixture(groups=0)
    tables = six(60)
    tables[2][:, 0] = 1.0
    with pytest.raises(FitError, match="panel_mixture: A2: feature 0 is constant over the 160 observed rows; drop it"):
        panel_mixture().fit(panel(tables))
    with pytest.raises(FitError, match="panel_mixture: A1: 3 of 3 rows are observed, 2 states need at least 4"):
        panel_mixture().fit(panel([six(60)[0], np.arange(3.0)[:, None]]))
