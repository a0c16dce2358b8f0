"""Online EM: the recursion written plainly, its limit without forgetting, worlds that drift, and refits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from barograph.errors import ConfigError
from barograph.regimes.fitted import Fitted
from barograph.regimes.window import window
from barograph.testing import check_model
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.online_hmm import online_hmm


def rows(bars: int = 400, d: int = 1, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    wild = np.resize(np.repeat([0.01, 0.04], 60), bars)[:, None]
    return 0.001 + wild * random.standard_normal((bars, d))


def plainly(fitted: Fitted, X: Any) -> Any:
    """Run Cappé's recursion as he writes it: one expected statistic at a time, given the regime of the last bar."""
    p = fitted.params
    (K, d), gain = p.means.shape, p.gain[0]
    A, means, variances = p.transition.copy(), p.means.copy(), p.covariances.copy()
    away, share = means - p.centre, p.share[:, None]
    S = np.concatenate([share, share * away, share * (variances + away**2)], axis=1)
    rho_moves, rho_sums = np.tile(share * A, (K, 1, 1)), np.tile(S, (K, 1, 1))
    phi, probs = p.start, []
    for t, x in enumerate(X):
        told = np.isfinite(x).all()
        ahead = phi if t == 0 else phi @ A
        back = np.eye(K) if t == 0 else phi[:, None] * A / ahead
        density = np.array([stats.norm.pdf(x, means[k], np.sqrt(variances[k])).prod() for k in range(K)])
        phi = ahead * density / (ahead @ density) if told else ahead
        rate = gain if told else 0.0
        new_moves, new_sums = np.einsum("bij,bk->kij", rho_moves, back), np.einsum("biq,bk->kiq", rho_sums, back)
        if t:
            fresh = np.einsum("ik,jk->kij", back, np.eye(K))
            new_moves = (1 - rate) * new_moves + rate * fresh
        statistic = np.concatenate([[1.0], x - p.centre, (x - p.centre) ** 2])
        new_sums = (1 - rate) * new_sums
        if told:
            new_sums += rate * np.einsum("ki,q->kiq", np.eye(K), statistic)
        rho_moves, rho_sums = new_moves, new_sums
        if told:
            moves, sums = np.einsum("k,kij->ij", phi, rho_moves), np.einsum("k,kiq->iq", phi, rho_sums)
            A = moves / moves.sum(axis=1, keepdims=True)
            for row in A:  # no chance to move falls below a tenth of a move in the bars remembered
                row[np.argmax(row)] -= np.maximum(0.1 * gain - row, 0.0).sum()
                row[:] = np.maximum(row, 0.1 * gain)
            away = sums[:, 1 : 1 + d] / sums[:, :1]
            means, variances = p.centre + away, sums[:, 1 + d :] / sums[:, :1] - away**2
        probs.append(phi)
    return np.array(probs), A, means, variances


@pytest.mark.parametrize("d", [1, 2])
def test_it_is_the_recursion_as_it_is_written(d: int) -> None:
    X = rows(d=d)
    fitted = online_hmm(memory=60.0, starts=2).fit(X[:200])
    X[210, 0] = np.nan
    probs, A, means, variances = plainly(fitted, X)
    np.testing.assert_allclose(fitted.filter_path(X).probs, probs, atol=1e-10)
    now = fitted.snapshot(fitted.state_after(X)).params
    np.testing.assert_allclose(now.transition, A, atol=1e-10)
    np.testing.assert_allclose(now.means, means, atol=1e-12)
    np.testing.assert_allclose(now.covariances, variances, rtol=1e-9)


def test_without_forgetting_it_is_the_gaussian_hmm() -> None:
    X = rows()
    one, other = online_hmm(memory=1e14, starts=2).fit(X), gaussian_hmm(starts=2, variance_floor=1e-4).fit(X)
    np.testing.assert_allclose(one.filter_path(X).probs, other.filter_path(X).probs, atol=1e-9)
    assert one.log_likelihood[-1] == other.log_likelihood[-1]  # type: ignore[index]


@pytest.mark.parametrize("d", [1, 2])
def test_the_laws_of_models_hold(d: int) -> None:
    X = rows(240, d)
    X[31, 0] = np.nan
    found = check_model(online_hmm(starts=2), X)
    assert {"future", "steps", "saving", "snapshot", "renumbering", "shapes", "scale"} <= set(found.held)


def test_it_follows_a_market_that_drifts_where_one_fit_does_not() -> None:
    random = np.random.default_rng(2)
    states = np.resize(np.repeat([0, 1], [150, 50]), 8000)
    drift = np.exp(np.linspace(0.0, np.log(4.0), 8000))
    x = (drift * np.array([1.0, 3.0])[states] * random.standard_normal(8000))[:, None]
    online, still = online_hmm(memory=500.0, starts=2).fit(x[:1000]), gaussian_hmm(starts=2).fit(x[:1000])
    late = slice(4000, None)
    wrong, wrong_still = (
        float(np.mean((fitted.filter_path(x).probs[late, 1] - states[late]) ** 2)) for fitted in (online, still)
    )
    assert wrong < 0.5 * wrong_still


def test_a_regime_that_is_not_seen_any_more_keeps_what_it_was() -> None:
    x = np.concatenate([rows(480), rows(120)[:60].repeat(60, axis=0)[:3000]])
    fitted = online_hmm(memory=50.0, starts=2).fit(x[:480])
    now = fitted.snapshot(fitted.state_after(x))
    assert np.isfinite(now.moments().variance).all()  # type: ignore[union-attr]
    assert now.moments().variance[1, 0] > 4.0 * now.moments().variance[0, 0]  # type: ignore[union-attr]


def test_one_wrong_print_teaches_nothing() -> None:
    x = rows(2000)
    fitted, wrong = online_hmm(memory=500.0, starts=2).fit(x[:500]), x.copy()
    wrong[1000] = 4.6
    probs, spoilt = (fitted.filter_path(of).probs for of in (x, wrong))
    assert np.abs(probs[1100:] - spoilt[1100:]).mean() < 0.01
    wrong[1000] = 1e160
    assert np.isfinite(fitted.snapshot(fitted.state_after(wrong)).params.covariances).all()


def test_a_long_calm_closes_no_regime_for_good() -> None:
    random = np.random.default_rng(3)
    x = np.concatenate([rows(480), 0.01 * random.standard_normal((9_000, 1)), 0.04 * random.standard_normal((200, 1))])
    fitted = online_hmm(memory=200.0, starts=2).fit(x[:480])
    assert fitted.filter_path(x).probs[-150:, 1].mean() > 0.9


def test_a_refit_goes_on_from_what_has_moved() -> None:
    X = rows(800)
    model = online_hmm(starts=1, iterations=2000)
    first = model.fit(X[:400])
    again = model.fit(window(X[400:], previous=first.snapshot(first.state_after(X))))
    assert again.log_likelihood[-1] >= model.fit(X[400:]).log_likelihood[-1] - 1e-9  # type: ignore[index]


def test_a_memory_of_one_bar_is_refused() -> None:
    with pytest.raises(ConfigError, match="online_hmm: memory = 1, a number of at least 2 bars is wanted"):
        online_hmm(memory=1)
