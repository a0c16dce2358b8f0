"""Online EM: the recursion written plainly, its limits, worlds that drift, refits, and what comes next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from benchmarks.drifting import WINDOW, drifted
from scipy import stats

import barograph as bg
from barograph.data.synthetic import SCENARIOS, draw
from barograph.errors import ConfigError, FitError
from barograph.regimes.filtering import filter_rows
from barograph.regimes.fitted import Fitted
from barograph.regimes.window import window
from barograph.testing import check_model, some_bars
from barograph.types import Entering
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.online_hmm import online_hmm
from barograph_strategies.regime_filter import regime_filter


def rows(bars: int = 400, d: int = 1, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    wild = np.resize(np.repeat([0.01, 0.04], 60), bars)[:, None]
    return 0.001 + wild * random.standard_normal((bars, d))


PLAIN: Any = {"prior": "none", "level": 0.0, "starts": 2}


def plainly(fitted: Fitted, X: Any) -> Any:
    """Run Cappé's recursion as he writes it: one expected statistic at a time, given the regime of the last bar.

    Beside it the level, and what is believed beforehand, as pseudo-bars.
    """
    p = fitted.params
    K, d = p.means.shape
    level, unit, taught = p.level[0], np.ones(d), 0
    unit[0] = level
    A, means, variances = p.transition.copy(), p.centre + unit * (p.means - p.centre), p.covariances * unit**2
    away, share = p.means - p.centre, p.share[:, None]
    S = np.concatenate([share, share * away, share * (p.covariances + away**2)], axis=1)
    rho_moves, rho_sums = np.tile(share * A, (K, 1, 1)), np.tile(S, (K, 1, 1))
    phi, probs = p.start, []
    for t, x in enumerate(X):
        told = np.isfinite(x).all()
        ahead = phi if t == 0 else phi @ A
        back = np.eye(K) if t == 0 else phi[:, None] * A / ahead
        density = np.array([stats.norm.pdf(x, means[k], np.sqrt(variances[k])).prod() for k in range(K)])
        phi = ahead * density / (ahead @ density) if told else ahead
        taught += told
        rate = max(p.gain[0], 1.0 / (p.bars[0] + taught)) if told else 0.0
        new_moves, new_sums = np.einsum("bij,bk->kij", rho_moves, back), np.einsum("biq,bk->kiq", rho_sums, back)
        if t:
            fresh = np.einsum("ik,jk->kij", back, np.eye(K))
            new_moves = (1 - rate) * new_moves + rate * fresh
        z = (x - p.centre) / unit
        statistic = np.concatenate([[1.0], z, z**2])
        new_sums = (1 - rate) * new_sums
        if told:
            new_sums += rate * np.einsum("ki,q->kiq", np.eye(K), statistic)
        rho_moves, rho_sums = new_moves, new_sums
        if told:
            level *= np.sqrt(1.0 + p.level_gain[0] * (phi @ ((x[0] - means[:, 0]) ** 2 / variances[:, 0]) - 1.0))
            unit[0] = level
            moves = np.einsum("k,kij->ij", phi, rho_moves) / rate + p.usual_moves
            n, first, second = np.split(np.einsum("k,kiq->iq", phi, rho_sums) / rate, [1, 1 + d], axis=1)
            A = moves / moves.sum(axis=1, keepdims=True)
            for row in A:  # no chance to move falls below a tenth of a move in the bars remembered
                row[np.argmax(row)] -= np.maximum(0.1 * p.gain[0] - row, 0.0).sum()
                row[:] = np.maximum(row, 0.1 * p.gain[0])
            away = first / (n + p.drawn)
            spread = second - 2.0 * away * first + (n + p.drawn) * away**2
            means = p.centre + unit * away
            variances = unit**2 * (spread + p.trust * p.usual) / (n + p.trust)
        probs.append(phi)
    return np.array(probs), A, means, variances


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("settings", [PLAIN, {"level": 30.0}, PLAIN | {"level": 30.0}])
def test_it_is_the_recursion_as_it_is_written(settings: Any, d: int) -> None:
    X = rows(d=d)
    fitted = online_hmm(memory=60.0, **settings).fit(X[:200])
    X[210, 0] = np.nan
    probs, A, means, variances = plainly(fitted, X)
    np.testing.assert_allclose(fitted.filter_path(X).probs, probs, atol=1e-10)
    now = fitted.snapshot(fitted.state_after(X)).params
    np.testing.assert_allclose(now.transition, A, atol=1e-10)
    np.testing.assert_allclose(now.means, means, atol=1e-12)
    np.testing.assert_allclose(now.covariances, variances, rtol=1e-9)


def test_without_forgetting_it_is_the_gaussian_hmm() -> None:
    X = rows()
    one, other = online_hmm(memory=1e14, **PLAIN).fit(X), gaussian_hmm(starts=2, variance_floor=1e-4).fit(X)
    np.testing.assert_allclose(one.filter_path(X).probs, other.filter_path(X).probs, atol=1e-9)
    assert one.log_likelihood[-1] == other.log_likelihood[-1]  # type: ignore[index]


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("settings", [{}, PLAIN])
def test_the_laws_of_models_hold(settings: Any, d: int) -> None:
    X = rows(240, d)
    X[31, 0] = np.nan
    found = check_model(online_hmm(**settings), X)
    assert {"future", "steps", "saving", "snapshot", "renumbering", "shapes", "scale"} <= set(found.held)


def test_it_follows_a_market_that_drifts_where_one_fit_does_not() -> None:
    random = np.random.default_rng(2)
    states = np.resize(np.repeat([0, 1], [150, 50]), 8000)
    drift = np.exp(np.linspace(0.0, np.log(4.0), 8000))
    x = (drift * np.array([1.0, 3.0])[states] * random.standard_normal(8000))[:, None]
    online, still = online_hmm(memory=500.0, **PLAIN).fit(x[:1000]), gaussian_hmm(starts=2).fit(x[:1000])
    late = slice(4000, None)
    wrong, wrong_still = (
        float(np.mean((fitted.filter_path(x).probs[late, 1] - states[late]) ** 2)) for fitted in (online, still)
    )
    assert wrong < 0.5 * wrong_still


def test_a_regime_that_is_not_seen_any_more_keeps_what_it_was() -> None:
    x = np.concatenate([rows(480), rows(120)[:60].repeat(60, axis=0)[:3000]])
    fitted = online_hmm(memory=50.0, **PLAIN).fit(x[:480])
    now = fitted.snapshot(fitted.state_after(x))
    assert np.isfinite(now.moments().variance).all()  # type: ignore[union-attr]
    assert now.moments().variance[1, 0] > 4.0 * now.moments().variance[0, 0]  # type: ignore[union-attr]


def test_one_wrong_print_teaches_nothing() -> None:
    x = rows(2000)
    fitted, wrong = online_hmm(memory=500.0).fit(x[:500]), x.copy()
    wrong[1000] = 4.6
    probs, spoilt = (fitted.filter_path(of).probs for of in (x, wrong))
    assert np.abs(probs[1100:] - spoilt[1100:]).mean() < 0.01
    wrong[1000] = 1e160
    assert np.isfinite(fitted.snapshot(fitted.state_after(wrong)).params.covariances).all()


def test_a_long_calm_closes_no_regime_for_good() -> None:
    random = np.random.default_rng(3)
    x = np.concatenate([rows(480), 0.01 * random.standard_normal((9_000, 1)), 0.04 * random.standard_normal((200, 1))])
    fitted = online_hmm(memory=200.0).fit(x[:480])
    assert fitted.filter_path(x).probs[-150:, 1].mean() > 0.9


def test_a_refit_goes_on_from_what_has_moved() -> None:
    X = rows(800)
    model = online_hmm(prior="none", starts=1, iterations=2000)
    first = model.fit(X[:400])
    again = model.fit(window(X[400:], previous=first.snapshot(first.state_after(X))))
    assert again.log_likelihood[-1] >= model.fit(X[400:]).log_likelihood[-1] - 1e-9  # type: ignore[index]


def scored(fitted: Fitted, X: Any, states: Any, first: int) -> float:
    probs = fitted.filter_path(X).probs[first:]
    return float(np.mean(np.sum((probs - np.eye(2)[states[first:]]) ** 2, axis=1)))


@pytest.mark.parametrize("seed", [11, 1, 12])
def test_a_first_window_without_a_wild_regime_is_mended_by_itself(seed: int) -> None:
    """Worlds in which plain online EM is wrong at most bars: calm and wild trade places as volatility drifts."""
    X, states = drifted(seed, 5_000)
    assert scored(online_hmm(memory=750.0).fit(X[:WINDOW]), X, states, WINDOW) < 0.25
    assert scored(online_hmm(memory=750.0, **PLAIN).fit(X[:WINDOW]), X, states, WINDOW) > 0.8


def test_a_market_that_stays_as_it_is_loses_nothing_by_the_level() -> None:
    returns, states = draw(SCENARIOS["daily2"], 5_000, seed=500, paths=6)
    once, moving = (
        np.mean([scored(model.fit(x[:1000, None]), x[:, None], z, 1000) for x, z in zip(returns, states, strict=True)])
        for model in (gaussian_hmm(starts=2), online_hmm())
    )
    assert moving < once + 0.01


def test_all_volatility_doubles_and_the_level_follows_within_some_of_its_bars() -> None:
    x = rows(3000)
    x[1500:] *= 2.0
    fitted = online_hmm(level=150.0).fit(x[:1000])
    before, after = (fitted.snapshot(fitted.state_after(x[:t])).params for t in (1500, 2000))
    np.testing.assert_allclose(np.sqrt(after.covariances / before.covariances), [[2.0], [2.0]], rtol=0.2)
    # What is usual is so at the level of the day.
    np.testing.assert_allclose(np.sqrt(after.usual / before.usual), [[2.0], [2.0]], rtol=0.2)


def test_a_snapshot_goes_on_as_the_filter_would() -> None:
    """But for the statistics, which begin again at what the parameters expect: near, and at the same level."""
    x = rows(1600)
    fitted = online_hmm(memory=400.0).fit(x[:600])
    later = fitted.snapshot(fitted.state_after(x[:1200]))
    on, again = fitted.filter_path(x).probs[1200:], later.filter_path(x[1200:]).probs
    assert np.abs(on - again).mean() < 0.02
    assert later.params.bars[0] == 400.0


def test_entering_is_told_by_the_parameters_as_they_are_now() -> None:
    x = rows(900)
    fitted = online_hmm(memory=100.0).fit(x[:300])
    now = fitted.state_after(x)
    calm, moves = now.probs[0], np.array(now.transition)
    told = fitted.entering(now, regimes=1, horizon=10)
    assert told.probability == pytest.approx(1.0 - calm * moves[0, 0] ** 10, abs=1e-12)
    assert told.bars == pytest.approx(calm / moves[0, 1], rel=1e-9)
    assert moves[0, 0] != fitted.transition[0, 0]  # type: ignore[index]
    left = fitted.leaving(now, 10, regime=0)
    assert left.probability == pytest.approx(1.0 - moves[0, 0] ** 10, abs=1e-12)
    assert left.bars == pytest.approx(1.0 / moves[0, 1], rel=1e-9)


def test_entering_in_a_run_is_what_the_fit_tells() -> None:
    x = rows(700)
    fitted = online_hmm().fit(x[:400])
    path = fitted.forecast_path(x, Entering(10, (1,)))
    for bar in (450, 699):
        told = fitted.entering(fitted.state_after(x[: bar + 1]), 1, 10)
        assert path[bar, 1] == told.probability


def test_a_machine_that_learns_at_every_bar_resumes_and_replays_to_the_bit() -> None:
    history = some_bars(500, assets=1, seed=2)
    model = online_hmm(memory=200.0, level=50.0)
    machine = bg.Machine(strategy=regime_filter(), model=model, fit=bg.Fit(window=200, every=100))
    whole, slow = bg.scan(machine, history), bg.replay(machine, history)
    assert [fit.refused for fit in whole.fits] == ["", "", ""]
    assert slow.arrays.beliefs.tobytes() == whole.arrays.beliefs.tobytes()
    begun = bg.scan(machine, history.head(350))
    rest = bg.scan(machine, history, world=begun.world).arrays.beliefs
    assert 100 < len(rest) < 200
    assert rest.tobytes() == whole.arrays.beliefs[-len(rest) :].tobytes()


@pytest.mark.parametrize("prior", ["none", "market"])
@pytest.mark.parametrize(("states", "memory"), [(2, 2), (2, 3), (2, 50), (3, 5), (5, 3), (10, 2), (30, 2), (30, 50)])
def test_every_parameter_stays_finite_however_little_is_remembered(states: int, memory: int, prior: Any) -> None:
    """A level within two bars wanders, moves of thirty regimes within two bars are all rare, most have no weight."""
    x = rows(1200 if states < 10 else 150)
    for level in (0.0, 2.0, 200.0):
        model = online_hmm(states, memory, level, prior, starts=1, jobs=1, iterations=20)
        if prior == "none" and states > 5:
            # A likelihood has no place for so many.
            with pytest.raises(FitError, match="a regime died"):
                model.fit(x[:400])
            continue
        fitted = model.fit(x[:400])
        state, path = filter_rows(fitted.filter(), x)
        for name in ("transition", "means", "covariances", "whitening", "peak", "level", "moves", "sums"):
            assert np.isfinite(getattr(state, name)).all(), (level, name)
        assert min(state.transition.min(), state.covariances.min()) > 0.0, level
        np.testing.assert_allclose(state.transition.sum(axis=1), 1.0, rtol=0, atol=1e-12)
        np.testing.assert_allclose(path[:, :-1].sum(axis=1), 1.0, rtol=0, atol=1e-12)
        assert 1e-13 < state.level[0] < 1e13, level


def test_another_unit_of_the_level_moves_no_parameter_by_a_bit() -> None:
    """Of two states that say the same in two units the far one takes another unit at its next bar."""
    x = rows(700)
    fitted = online_hmm(2, 20.0, 5.0, "none", starts=1, jobs=1).fit(x[:400])
    online, near = fitted.filter(), fitted.state_after(x[:500])
    sums, unit = near.sums.copy(), 2.0**45
    sums[:, :, 1] /= unit
    sums[:, :, 2] /= unit * unit
    far = near._replace(level=near.level * unit, sums=sums)
    near, far = (_copied(state) for state in (near, far))
    for row in x[500:]:
        (near, one), (far, other) = online.step(near, row, online.params), online.step(far, row, online.params)
        assert np.array(one.probs).tobytes() == np.array(other.probs).tobytes()
    assert far.level[0] == near.level[0] * 2.0**5
    for name in ("transition", "means", "covariances", "whitening", "peak", "moves"):
        assert getattr(near, name).tobytes() == getattr(far, name).tobytes(), name


def _copied(state: Any) -> Any:
    return state._replace(**{n: a.copy() for n, a in state._asdict().items() if isinstance(a, np.ndarray)})


def test_a_regime_alone_lasts_for_ever() -> None:
    fitted = online_hmm(states=1).fit(rows(200))
    assert fitted.remaining(fitted.state_after(rows(300))).tolist() == [np.inf]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"memory": 1}, "online_hmm: memory = 1, a number of at least 2 bars is wanted"),
        ({"level": 1.5}, "online_hmm: level = 1.5, a number of at least 2 bars is wanted, or 0 for one that stands"),
        ({"prior": "previous"}, "online_hmm: prior = 'previous', one of market, none is wanted"),
        ({"stays": [1.0, 20.0]}, "online_hmm: stays = .1.0, 20.0., in bars: more than one each is wanted"),
        ({"firmness": 0.0}, "online_hmm: firmness = 0.0, a number above 0 is wanted"),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        online_hmm(**setting)
