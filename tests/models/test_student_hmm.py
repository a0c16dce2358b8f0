"""The Student-t HMM against brute force over all paths, worlds whose truth is known, and what markets do to a fit."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from barograph.data.synthetic import SCENARIOS, draw
from barograph.errors import ConfigError, FitError
from barograph.jit.views import frozen
from barograph.regimes.filtering import filter_rows
from barograph.regimes.fitted import Fitted
from barograph.regimes.window import window
from barograph.types import Filter
from barograph_models._chain.filter import init
from barograph_models._student import ascent
from barograph_models._student.data import cells
from barograph_models._student.emission import FIT, step
from barograph_models._student.fit import believed, known_of
from barograph_models._student.known import Known
from barograph_models._student.priors import flattened, habits, market
from barograph_models._student.special import digamma, trigamma
from barograph_models._student.starts import dispersion_start, expected_moves
from barograph_models.student_hmm import StudentParams, rows_seen, student_hmm

needs_compiler = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="minutes long in plain Python")


def _rows(seed: int = 0, d: int = 1, T: int = 300) -> Any:
    """Two calm stretches around a wild one, heavy in the tails."""
    random = np.random.default_rng(seed)
    sizes = np.repeat([0.5, 2.0, 0.5], T // 3)[:, None]
    return random.standard_t(5, (T // 3 * 3, d)) * sizes


def _holes(X: Any, seed: int = 1, share: float = 0.2) -> Any:
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


def _log_densities(params: StudentParams, X: Any) -> Any:
    """Brute force: the mixing weight shared by a row's features, integrated out numerically, cells left out."""
    out = np.zeros((len(X), len(params.start)))
    for t, k in itertools.product(*map(range, out.shape)):
        seen = np.isfinite(X[t])
        if not seen.any():
            continue
        nu, scales = params.degrees_of_freedom[k], params.scales[k, seen]
        away = X[t, seen] - params.means[k, seen]

        def joint(u: float, nu: float = nu, scales: Any = scales, away: Any = away) -> float:
            return float(
                stats.norm.pdf(away, 0.0, scales / math.sqrt(u)).prod() * stats.gamma.pdf(u, nu / 2, scale=2 / nu)
            )

        out[t, k] = math.log(integrate.quad(joint, 0.0, np.inf, epsabs=0.0, epsrel=1e-11, limit=200)[0])
    return out


@pytest.mark.parametrize("d", [1, 3])
def test_the_filter_is_bayes_rule_over_all_paths_whatever_is_missing(d: int) -> None:
    fitted = student_hmm(2).fit(_holes(_rows(d=d)))
    X = _holes(_rows(1, d)[95:105], 3)
    X[4] = np.nan
    params, path = fitted.params, fitted.filter_path(X)
    logs, T, K = _log_densities(params, X), len(X), 2
    weights = {}
    for states in itertools.product(range(K), repeat=T):
        weight = math.log(params.start[states[0]]) + sum(logs[t, k] for t, k in enumerate(states))
        weights[states] = weight + sum(math.log(params.transition[i, j]) for i, j in itertools.pairwise(states))
    whole = special.logsumexp(list(weights.values()))
    last = [special.logsumexp([w for s, w in weights.items() if s[-1] == k]) - whole for k in range(K)]
    np.testing.assert_allclose(path.probs[-1], np.exp(last), atol=1e-9)
    assert path.logpdf.sum() == pytest.approx(whole, abs=1e-8)
    assert path.logpdf[4] == 0.0
    best = max(weights, key=lambda s: weights[s])
    assert fitted.viterbi(X).tolist() == list(best)
    third = [special.logsumexp([w for s, w in weights.items() if s[3] == k]) - whole for k in range(K)]
    np.testing.assert_allclose(fitted.smooth(X).hindsight[3], np.exp(third), atol=1e-9)


def test_a_filter_step_by_step_is_the_path_and_plain_python_says_the_same_bits() -> None:
    fitted = student_hmm(2).fit(_holes(_rows(d=2)))
    X = _holes(_rows(3, 2))[:60]
    online, path = fitted.filter(), fitted.filter_path(X)
    state = online.init(online.params)
    for t, row in enumerate(X):
        state, belief = online.step(state, frozen(row), online.params)
        assert belief.probs.tobytes() == path.probs[t].tobytes()
        assert belief.logpdf == path.logpdf[t]
    compiled, plain = (filter_rows(online, X, interpret=interpret)[1] for interpret in (False, True))
    assert compiled.tobytes() == plain.tobytes()


HOWS = [ascent.VB, ascent.MAP, ascent.EM]


def _climbed(how: int, kind: int, X: Any, states: int, iterations: int = 60) -> ascent.Climb:
    data = cells(X, states, "test")
    own = habits("test", states, None, None, 5.0, 20.0, 8.0, 1.0)
    prior = market(own, X.shape[1])
    if how == ascent.EM:
        none = np.zeros_like(prior.means)
        prior = prior._replace(moves=np.zeros((states, states)), bars=none, shape=none - 1.5, rate=none)
        prior = prior._replace(dof_precision=np.zeros(states))
    gamma = dispersion_start(data.Z, data.ends, states, 0)
    moves, dof = expected_moves(gamma, data.ends), np.full(states, 8.0)
    ends = data.ends.astype(np.int64)
    return ascent.climb(how, kind, data.Z, ends, prior, gamma, moves, dof, iterations, -math.inf, 1e-6)


@needs_compiler
@given(
    how=st.sampled_from(HOWS),
    kind=st.sampled_from([ascent.FIXED, ascent.SHARED, ascent.OWN]),
    states=st.integers(1, 4),
    d=st.integers(1, 3),
    seed=st.integers(0, 999),
    holes=st.booleans(),
)
def test_what_is_climbed_never_falls(how: int, kind: int, states: int, d: int, seed: int, holes: bool) -> None:
    X = _rows(seed, d, 150)
    path = _climbed(how, kind, _holes(X, seed) if holes else X, states, 40).path
    assert len(path) == 40
    assert np.diff(path).min() >= -1e-9 * np.abs(path).max()


@needs_compiler
@pytest.mark.parametrize("how", HOWS)
def test_plain_python_climbs_to_the_same_bits(how: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X = _holes(_rows(3, 2, 60))
    compiled = _climbed(how, ascent.OWN, X, 2, 8)
    monkeypatch.setattr(ascent, "_climb", ascent._climb.py_func)
    plain = _climbed(how, ascent.OWN, X, 2, 8)
    assert plain.path.tobytes() == compiled.path.tobytes()
    for one, other in zip(plain.known, compiled.known, strict=True):
        assert one.tobytes() == other.tobytes()


def test_the_bound_is_below_the_evidence_and_near_it() -> None:
    """One regime, fixed degrees of freedom: the evidence is an integral over mean and precision."""
    x = _rows(0, 1, 30)[:10]
    data = cells(x, 1, "test")
    prior = market(habits("test", 1, None, None, 10.0, 20.0, 6.0, 1.0), 1)
    fitted = student_hmm(1, degrees_of_freedom=6.0, firmness=10.0).fit(x)
    grid = np.linspace(-2.5, 2.5, 201), np.linspace(-2.0, 2.0, 201)
    m, log_p = np.meshgrid(*grid)
    p = np.exp(log_p)
    logs = stats.norm.logpdf(m, 0.0, 1 / np.sqrt(prior.bars[0, 0] * p))
    logs += stats.gamma.logpdf(p, prior.shape[0, 0], scale=1.0 / prior.rate[0, 0]) + log_p
    logs += sum(stats.t.logpdf(z, 6.0, m, 1 / np.sqrt(p)) for z in data.Z[:, 0])
    cell = (grid[0][1] - grid[0][0]) * (grid[1][1] - grid[1][0])
    evidence = special.logsumexp(logs) + math.log(cell) - data.log_volume
    assert evidence - 0.2 < fitted.params.evidence[0] < evidence


@needs_compiler
def test_em_stands_still_at_the_likeliest_parameters() -> None:
    X = np.random.default_rng(2).standard_t(5, (300, 1))
    fitted = student_hmm(1, prior="none", tolerance=1e-12, iterations=2000).fit(X)
    nu, mean, scale = stats.t.fit(X[:, 0], method="MLE")
    assert fitted.log_likelihood[-1] == pytest.approx(stats.t.logpdf(X[:, 0], nu, mean, scale).sum(), abs=1e-3)
    assert fitted.params.degrees_of_freedom[0] == pytest.approx(nu, rel=0.02)
    two = student_hmm(2, prior="none").fit(X)
    assert two.log_likelihood[-1] == pytest.approx(two.filter_path(X).logpdf.sum(), rel=1e-12)
    assert two.log_likelihood[-1] > fitted.log_likelihood[-1]
    assert two.log_likelihood[-1] >= student_hmm(2, how="map").fit(X).log_likelihood[-1]
    assert student_hmm(2, how="em").fit(X).to_bytes() == two.to_bytes()


@needs_compiler
@pytest.mark.parametrize("how", ["vb", "map", "em"])
def test_the_truth_of_a_simulated_world_is_recovered(how: Any) -> None:
    world = SCENARIOS["daily2_t5"]
    x, truth = (a[0] for a in draw(world, 8000, seed=3, paths=1))
    fitted = student_hmm(2, how=how).fit(x[:, None])
    found, wanted = np.sqrt(fitted.moments().variance[:, 0]), np.sqrt(world.variance)
    np.testing.assert_allclose(found, wanted, rtol=0.1)
    np.testing.assert_allclose(np.diag(fitted.transition), np.diag(world.transition), atol=0.01)
    assert fitted.params.degrees_of_freedom[0] == pytest.approx(5.0, abs=1.0)
    assert (fitted.viterbi(x[:, None]) == truth).mean() > 0.95


@needs_compiler
@pytest.mark.parametrize("settings", [{}, {"how": "map"}, {"prior": "none"}, {"degrees_of_freedom": "own"}])
def test_units_and_levels_change_no_belief(settings: Any) -> None:
    X = _rows(d=2)
    scale, shift = np.array([100.0, 1e-3]), np.array([0.0, 40.0])
    one, other = (student_hmm(2, **settings).fit(x) for x in (X, X * scale + shift))
    beliefs = one.filter_path(X).probs, other.filter_path(X * scale + shift).probs
    np.testing.assert_allclose(*beliefs, atol=1e-7)
    np.testing.assert_allclose(other.moments().variance, one.moments().variance * scale * scale, rtol=1e-7)
    volume = len(X) * np.log(scale).sum()
    assert other.log_likelihood[-1] == pytest.approx(one.log_likelihood[-1] - volume, rel=1e-8)


def _fits() -> list[tuple[Any, Any]]:
    return [({}, 1), ({"states": 3}, 1), ({"how": "map"}, 2), ({"prior": "none"}, 1), ({"prior": "previous"}, 2)]


@needs_compiler
@pytest.mark.parametrize(("settings", "d"), _fits())
def test_a_fit_is_kept_to_the_bit_and_is_the_same_twice(settings: Any, d: int, tmp_path: Path) -> None:
    X = _holes(_rows(d=d), share=0.1)
    fitted, again = (student_hmm(**settings).fit(X) for _ in range(2))
    assert fitted.to_bytes() == again.to_bytes()
    fitted.save(tmp_path / "fit.npz")
    loaded = Fitted.load(tmp_path / "fit.npz")
    assert loaded.to_bytes() == fitted.to_bytes()
    assert loaded.filter_path(X).probs.tobytes() == fitted.filter_path(X).probs.tobytes()
    online = fitted.filter()
    one, other = online.params, student_hmm(**settings).fit(_rows(4, d, 240)).filter().params
    assert [a.shape for a in one] == [a.shape for a in other]
    probs = fitted.filter_path(X).probs
    np.testing.assert_allclose(probs.sum(axis=1), 1.0, atol=1e-12)
    assert probs.min() >= 0.0


@needs_compiler
def test_renumbering_renumbers_the_posterior_too() -> None:
    X = _rows(d=2)
    fitted = student_hmm(3).fit(X)
    order = np.array([2, 0, 1])
    turned = fitted.reordered(order)
    np.testing.assert_allclose(turned.filter_path(X).probs, fitted.filter_path(X).probs[:, order], atol=1e-12)
    one, other = known_of(fitted.params), known_of(turned.params)
    np.testing.assert_array_equal(other.moves, one.moves[np.ix_(order, order)])
    for name in ("start", "means", "bars", "shape", "rate", "log_dof", "dof_precision"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name)[order], atol=1e-15)
    model = student_hmm(3, prior="previous")
    later = window(np.vstack([X[40:], _rows(5, 2)[:60]]), ts=np.arange(40, 360))
    assert rows_seen(later, fitted.params) == 260
    straight, around = (model.fit(later._replace(previous=of)) for of in (fitted, turned))
    later = later.rows
    np.testing.assert_allclose(straight.filter_path(X).probs, around.filter_path(X).probs, atol=1e-9)


@needs_compiler
@pytest.mark.parametrize("states", [2, 3])
def test_a_jump_of_half_the_price_takes_no_regime_of_its_own(states: int) -> None:
    """What ended whole runs: one day of -52 % in 250, and a misprint beyond any market."""
    random = np.random.default_rng(5)
    for jump in (-0.73, -7.3, 73.0):
        for at in (3, 100, 249):
            x = 0.02 * random.standard_t(4, 250)
            x[at] = jump
            fitted = student_hmm(states).fit(x[:, None])
            rows = fitted.smooth(x[:, None]).hindsight.sum(axis=0)
            assert fitted.converged
            assert 0.005 < fitted.params.scales.min() < fitted.params.scales.max() < 0.1
            assert jump < -1.0 or jump > 1.0 or np.sqrt(fitted.moments().variance.max()) < 0.2
            assert np.diag(fitted.transition).max() < 1.0 - 1e-4
            assert rows.min() > 0.0


@needs_compiler
@given(seed=st.integers(0, 10_000), states=st.integers(1, 4), d=st.integers(1, 3), kind=st.sampled_from("jrzc"))
def test_a_fit_never_fails_on_ordinary_data(seed: int, states: int, d: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    X = 0.01 * random.standard_t(random.uniform(2.1, 9.0), (int(random.integers(60, 400)), d))
    if kind == "j":
        X[random.integers(len(X))] *= 10.0 ** random.uniform(1, 5)
    elif kind == "r":
        X = np.round(X, 2) + 1e-9 * random.standard_normal(X.shape)
    elif kind == "z":
        X[random.random(X.shape) < 0.45] = 0.0
    else:
        X[random.random(X.shape) < 0.3] = np.nan
    for how in ("vb", "map", "em"):
        fitted = student_hmm(states, how=how, iterations=50).fit(X)  # type: ignore[arg-type]
        probs = fitted.filter_path(X)
        assert all(np.isfinite(a).all() for n, a in zip(fitted.params._fields, fitted.params, strict=True)
                   if n not in FIT)  # fmt: skip
        np.testing.assert_allclose(probs.probs.sum(axis=1), 1.0, atol=1e-9)
        assert np.isfinite(probs.logpdf).all()


def test_an_ascent_that_has_not_ended_is_a_fit_that_says_so() -> None:
    fitted = student_hmm(2, iterations=3).fit(_rows())
    assert not fitted.converged
    assert len(fitted.log_likelihood) == 3


def test_flattening_is_the_geometric_mean_of_two_densities() -> None:
    prior = market(habits("test", 2, None, None, 4.0, 20.0, 8.0, 1.0), 1)
    last = known_of(student_hmm(2).fit(_rows()).params)
    kept = flattened(last, prior, 0.8)

    def log_density(k: Known, m: Any, p: Any) -> Any:
        logs = stats.norm.logpdf(m, k.means[1, 0], 1 / np.sqrt(k.bars[1, 0] * p))
        return logs + stats.gamma.logpdf(p, k.shape[1, 0], scale=1.0 / k.rate[1, 0])

    m, p = np.linspace(-1.0, 1.0, 9)[:, None], np.linspace(0.05, 2.0, 9)
    # The normal's own root of the precision is in both, so it is in the mean once: powers of it differ by none.
    left = log_density(kept, m, p)
    right = 0.8 * log_density(last, m, p) + 0.2 * log_density(prior, m, p)
    np.testing.assert_allclose(left - left[0, 0], right - right[0, 0], atol=1e-8)
    np.testing.assert_allclose(kept.moves, 0.8 * last.moves + 0.2 * prior.moves)
    for one, other in zip(flattened(last, prior, 1.0), last, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@needs_compiler
def test_a_refit_from_the_previous_sees_only_what_is_new() -> None:
    model, X = student_hmm(2, prior="previous", guard=1e6), _rows(0, 1, 600)
    days = np.arange(600) * 86_400_000_000_000 + 1_262_379_600_000_000_007
    first = model.fit(window(X[:400], ts=days[:400]))
    assert first.params.tail.tobytes() == X[368:400].tobytes()
    later = window(X[63:463], ts=days[63:463], previous=first)
    assert rows_seen(later, first.params) == 337
    second = model.fit(later)
    changed = X[63:463].copy()
    changed[:300] = np.roll(changed[:300], 7)
    third = model.fit(later._replace(rows=changed))
    unit = [cells(x, 2, "").unit[0] for x in (changed, X[63:463])]
    assert unit[0] == unit[1]
    for name in ("transition", "means", "scales", "strength", "shape", "rate"):
        np.testing.assert_array_equal(getattr(third.params, name), getattr(second.params, name))
    whole = known_of(first.params).moves.sum() * 0.8 + 0.2 * (142.3 + 74.3) + 62.0
    assert known_of(second.params).moves.sum() == pytest.approx(whole)
    assert model.fit(window(X[:400], ts=days[:400], previous=first)).to_bytes() == first.to_bytes()
    # Other rows at the same closes, rows without closes, and a window that begins after a gap: a fit afresh.
    for rows, ts in ((X[63:463] * 1.5, days[63:463]), (X[63:463], None), (X[430:], days[430:])):
        strange = model.fit(window(rows, ts=ts, previous=first))
        assert strange.to_bytes() == model.fit(window(rows, ts=ts)).to_bytes()


def test_new_rows_are_told_by_their_closes_where_rows_repeat() -> None:
    """A market that stands still for 80 bars: the last rows of the first fit are found three times over."""
    X, days = _rows(0, 1, 300), np.arange(300) * 86_400_000_000_000
    X[150:230] = 0.0
    first = student_hmm(2).fit(window(X[:190], ts=days[:190]))
    for low in (0, 40, 175, 189):
        assert rows_seen(window(X[low:240], ts=days[low:240]), first.params) == 190 - low
    assert rows_seen(window(X[190:240], ts=days[190:240]), first.params) == 0
    # A bar that is left out is no reason to count from elsewhere, and one that was revised is a reason not to.
    gone = np.delete(np.arange(240), 20)
    assert rows_seen(window(X[gone], ts=days[gone]), first.params) == 189
    X[185] = 0.1
    assert rows_seen(window(X[:240], ts=days[:240]), first.params) == 0


@needs_compiler
def test_a_world_that_changed_is_learned_afresh() -> None:
    old, new = _rows(0, 1, 600), _rows(1, 1, 600) * 8.0
    model = student_hmm(2, prior="previous")
    last = model.fit(old)
    for end in range(63, 601, 63):
        X = np.vstack([old, new])[end : 600 + end]
        last = model.fit(window(X, ts=np.arange(end, 600 + end), previous=last))
    fresh = student_hmm(2).fit(X)
    assert last.log_likelihood[-1] >= fresh.log_likelihood[-1] - 10.0


def test_the_markets_numbers_and_the_rule_beyond_them() -> None:
    own = habits("test", 4, None, None, 10.0, 20.0, 8.0, 1.0)
    assert own.volatilities == (0.677, 1.319, 2.57, 5.007)
    assert own.stays[0] == 142.3
    prior = market(own, 2)
    assert prior.moves.shape == (4, 4)
    assert prior.moves[1, 0] == 0.81
    assert prior.moves[0, 3] == 0.05
    assert prior.means.shape == (4, 2)
    one = habits("test", 1, None, None, 10.0, 20.0, 8.0, 1.0)
    assert market(one, 1).moves.tolist() == [[141.3]]


@needs_compiler
def test_the_markets_numbers_are_what_the_script_learns() -> None:
    """Where the series are; elsewhere the script is run on an invented one."""
    from benchmarks.prior import learned, measure
    from benchmarks.real import series

    random = np.random.default_rng(0)
    made = {"made": np.repeat([0.01, 0.03] * 4, 250) * random.standard_t(6, 2000)}
    assert learned(made, 2).volatilities.shape == (4, 2)
    assert learned({**made, "other": made["made"]}, 2, leave="other").stays.shape == (4, 2)
    if not series():
        pytest.skip("skfolio is not installed")
    for row in measure().rows:
        if "firmness" not in row.name and "spread" not in row.name:
            assert row.value == pytest.approx(float(row.wanted), rel=0.01), row.name


@pytest.mark.parametrize("x", [0.01, 0.3, 1.0, 2.5, 7.9, 30.0, 1e4])
def test_digamma_and_trigamma(x: float) -> None:
    assert digamma(x) == pytest.approx(special.digamma(x), rel=1e-12, abs=1e-12)
    assert trigamma(x) == pytest.approx(special.polygamma(1, x), rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"states": 0}, "states = 0, a whole number"),
        ({"how": "vbb"}, "how = 'vbb'.*did you mean 'vb'"),
        ({"prior": "last"}, "prior = 'last'"),
        ({"degrees_of_freedom": 2.0}, r"degrees_of_freedom = 2\.0, a number from 2\.01 to 200"),
        ({"degrees_of_freedom": "each"}, "degrees_of_freedom = 'each'"),
        ({"stays": [10.0]}, r"stays = \[10\.0\], one number above 0 for each of 2 states"),
        ({"stays": [10.0, 1.0]}, "more than one each"),
        ({"firmness": 0.0}, r"firmness = 0\.0, a number above 0"),
        ({"keep": 1.5}, r"keep = 1\.5"),
        ({"prior": "previous", "how": "map"}, 'how = "vb" is wanted'),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(settings: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        student_hmm(**settings)


@pytest.mark.parametrize(
    ("X", "wanted"),
    [
        (np.full((50, 1), np.nan), "0 of 50 rows are observed, 2 states need at least 4"),
        (np.zeros((3, 1)), "3 of 3 rows are observed"),
        (np.column_stack([_rows()[:50], np.full(50, 0.1)]), "feature 1 is constant over the 50 observed rows"),
        (np.column_stack([_rows()[:50], np.full(50, np.nan)]), "feature 1 is constant over the 0 observed rows"),
        (np.array([[0.0, 1.0]] * 9 + [[0.0, np.inf]]), "feature 1 is infinite in row 9"),
    ],
)
def test_hopeless_data_are_refused_by_name(X: Any, wanted: str) -> None:
    with pytest.raises(FitError, match=wanted):
        student_hmm(2).fit(X)


def test_data_are_left_as_they_were_and_the_previous_fit_too() -> None:
    X = _rows()
    X.flags.writeable = False
    model = student_hmm(2, prior="previous")
    first = model.fit(X[:200])
    # An array that grew: its row numbers are closes enough.
    assert rows_seen(window(X), first.params) == 200
    before, held = X.tobytes(), first.to_bytes()
    model.fit(window(X, previous=first))
    assert (X.tobytes(), first.to_bytes()) == (before, held)


def test_the_filter_is_the_one_of_its_params() -> None:
    fitted = student_hmm(2).fit(_rows())
    online = Filter(init, step, fitted.filter().params, 2, "student_hmm")
    assert filter_rows(online, _rows())[1][:, :2].tobytes() == believed(fitted.params, _rows()).probs.tobytes()
    assert replace(fitted).summary()["model"] == "student_hmm"
