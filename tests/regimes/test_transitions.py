"""Entering and leaving regimes: against sums over all paths, in closed form, from draws, as a strategy reads them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import PartError
from barograph.loop.fit import Fit
from barograph.loop.machine import Machine, strategy
from barograph.loop.run import replay, scan
from barograph.regimes.fitted import Fitted
from barograph.regimes.transitions import passages
from barograph.testing import interpreted, same, some_bars
from barograph.types import Entering
from barograph_models._chain.gaussian import gaussian_params
from barograph_models.gaussian_hmm import DIAGONAL, gaussian_hmm
from barograph_models.gaussian_hsmm import DIAGONAL as STAYS
from barograph_models.gaussian_hsmm import gaussian_hsmm
from barograph_models.student_hmm import student_hmm
from tests.models.test_gaussian_hsmm import all_paths, rows, some
from tests.plugins.semi_markov import semi_markov

BAD = [(2, (1,)), (3, (2,)), (3, (0, 2))]


def chain(K: int, seed: int = 0) -> Fitted:
    random = np.random.default_rng(seed)
    moves = random.dirichlet(np.ones(K), K)
    params = gaussian_params(random.dirichlet(np.ones(K)), moves, random.standard_normal((K, 1)), np.ones((K, 1)))
    return Fitted(DIAGONAL, params, None, 1, None, None, True, 0, ("x0",))


def stays(K: int, D: int = 3) -> Fitted:
    return Fitted(STAYS, some(K, D), None, 1, None, None, True, 0, ("x0",))


def returns(bars: int = 600, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(bars) * np.tile(np.repeat([0.5, 2.0], 50), bars // 100)


@pytest.mark.parametrize(("K", "bad"), BAD)
@pytest.mark.parametrize("horizon", [1, 4])
def test_a_chain_enters_as_the_sum_over_all_paths_says(K: int, bad: tuple[int, ...], horizon: int) -> None:
    fitted, probs = chain(K), np.random.default_rng(1).dirichlet(np.ones(K))
    entered = 0.0
    for path in itertools.product(range(K), repeat=horizon + 1):
        chance = probs[path[0]] * np.prod([fitted.transition[i, j] for i, j in itertools.pairwise(path)])
        entered += chance * bool(set(path) & set(bad))
    assert fitted.entering(probs, bad, horizon).probability == pytest.approx(entered, abs=1e-14)


@pytest.mark.parametrize(("K", "bad"), BAD)
@pytest.mark.parametrize("horizon", [1, 4])
def test_stays_enter_as_the_sum_over_all_paths_says(K: int, bad: tuple[int, ...], horizon: int) -> None:
    fitted, X = stays(K), rows(6 if K == 2 else 4)
    paths, joint = all_paths(fitted.params, X, horizon)
    into = np.isin(paths[:, len(X) - 1 :], bad).any(axis=1)
    found = fitted.entering(fitted.state_after(X), bad, horizon)
    assert found.probability == pytest.approx(joint[into].sum() / joint.sum(), abs=1e-13)
    # If regime k is the one now: every path that is elsewhere before the horizon ends.
    for k in range(K):
        here = paths[:, len(X) - 1] == k
        gone = here & (paths[:, len(X) :] != k).any(axis=1)
        told = fitted.leaving(fitted.state_after(X), horizon, regime=k).probability
        assert told == pytest.approx(joint[gone].sum() / joint[here].sum(), abs=1e-12)


@pytest.mark.parametrize("make", [chain, stays])
@pytest.mark.parametrize(("K", "bad"), BAD)
def test_expected_bars_are_the_sum_of_the_chances_not_to_have_entered(make: Any, K: int, bad: tuple[int, ...]) -> None:
    fitted = make(K)
    X = rows(6)
    now = fitted.state_after(X)
    # A horizon at a time, P(not entered by then); before any bar it is P(not there now).
    rest = [1.0 - fitted.entering(now, bad, h).probability for h in range(1, 60)]
    here = 1.0 - sum(fitted.filter_path(X).probs[-1, k] for k in bad)
    # What is left decays like the last of them.
    tail = rest[-1] ** 2 / (rest[-2] - rest[-1]) if rest[-1] > 1e-9 else 0.0
    assert fitted.entering(now, bad, 1).bars == pytest.approx(here + sum(rest) + tail, rel=1e-9)


def test_a_chain_is_left_geometrically_whatever_is_believed() -> None:
    fitted = gaussian_hmm(starts=2).fit(returns())
    for probs in ([0.9, 0.1], [0.6, 0.4]):
        told = fitted.leaving(probs, 7)
        assert told.probability == pytest.approx(1.0 - fitted.transition[0, 0] ** 7, abs=1e-13)
        assert told.bars == pytest.approx(fitted.stays()[0], rel=1e-12)
    np.testing.assert_allclose(fitted.remaining([0.9, 0.1]), fitted.stays() - 1.0)
    assert (told.low, told.high) == (None, None)


def test_a_stay_of_usual_length_is_likelier_left_the_older_it_is() -> None:
    X = returns()
    fitted = gaussian_hsmm(starts=2, longest=100).fit(X)
    young, old = (fitted.leaving(fitted.state_after(X[: 500 + n]), 5, regime=0) for n in (10, 45))
    assert old.probability > 5.0 * young.probability
    assert old.bars < 0.5 * young.bars
    assert old.bars == pytest.approx(fitted.remaining(fitted.state_after(X[:545]))[0] + 1.0)


def test_draws_give_an_interval_around_their_mean() -> None:
    X = returns()
    fitted = student_hmm(uncertainty=16, sweeps=60).fit(X)
    now = fitted.state_after(X[:530])
    told, left = fitted.entering(now, 1, 10), fitted.leaving(now, 10)
    assert told.low < told.probability < told.high
    assert left.low < left.probability < left.high
    assert 0.0 < told.high - told.low < 0.5
    assert fitted.entering(now, 1, 10, level=0.5).low > told.low
    by_hand = 0.0
    for m, weight in enumerate(now.weights):
        stay = fitted.params.drawn_transition[0, m, 0]
        by_hand += weight * (1.0 - now.each[m, 0] * stay**10)
    assert told.probability == pytest.approx(by_hand, rel=1e-12)
    mean = sum(w / (1.0 - fitted.params.drawn_transition[0, m, 0]) * now.each[m, 0] for m, w in enumerate(now.weights))
    assert told.bars == pytest.approx(mean, rel=1e-12)


def test_what_cannot_be_entered_is_never_expected() -> None:
    assert passages(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1])).tolist() == [np.inf, 0.0]
    assert passages(np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([1])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("wrong", [2, -1, [0, 1], [], [1, 1], [0.5], True])
def test_regimes_that_are_none_or_all_are_refused(wrong: Any) -> None:
    with pytest.raises(PartError, match=r"entering: regimes = .*; wanted some, not all, of 0..1, each once"):
        chain(2).entering([0.5, 0.5], wrong, 3)


def test_a_family_that_forecasts_by_itself_has_to_answer() -> None:
    hazard = np.full((2, 4), 0.2)
    fitted = semi_markov(hazard).fit(returns()[:, None])
    with pytest.raises(
        PartError, match=r"SEMI_MARKOV: nothing tells how its regimes are entered; give .* `never_left`"
    ):
        fitted.entering(fitted.state_after(returns()[:5, None]), 1, 3)


BARS = some_bars(200, missing=0.03, seed=4)


@bg.kernel
def _careful(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    week, danger = belief.forecasts[0], belief.forecasts[1]
    weight = 1.0 - danger.probs[1] if danger.probs[1] == danger.probs[1] else 0.0
    return state, bg.Target(weight if week.horizon == danger.horizon else 0.0)


MODELS = {
    "a chain": lambda: gaussian_hmm(starts=2),
    "stays": lambda: gaussian_hsmm(starts=2, longest=20),
    "draws": lambda: student_hmm(uncertainty=4, sweeps=40),
}
NAMES = [pytest.param(name, marks=pytest.mark.long) if name == "draws" else name for name in MODELS]


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_reads_at_the_bar_what_the_fit_in_force_tells(name: str) -> None:
    of = Machine(
        strategy=strategy(_careful, horizons=(5, Entering(5, (1,)))),
        model=MODELS[name](),
        fit=Fit(window=60, every=30),
    )
    run = scan(of, BARS)
    assert same(run, replay(of, BARS))
    assert same(run, interpreted(of, BARS))
    fit = run.fits[0]
    state = fit.fitted.state_after(run.arrays.features[fit.first : fit.bar + 10])
    told = run.forecasts(fit.bar + 9)[1]
    assert told.probs[1] == fit.fitted.entering(state, 1, 5).probability
    assert told.probs[1] > run.forecasts(fit.bar + 9)[0].probs[1]
    names = set(run.tables["forecasts"].columns)
    assert {"h5_p_1", "h5_into_1_p_1"} <= names


def test_entering_a_regime_that_is_none_is_refused_by_the_rules_name() -> None:
    rule = strategy(_careful, name="careful", horizons=(5, Entering(5, (2,))))
    with pytest.raises(PartError, match=r"careful: entering regimes \(2,\); wanted some, not all, of 0..1"):
        scan(Machine(strategy=rule, model=gaussian_hmm(starts=2), fit=Fit(window=60, every=30)), BARS)


def test_what_is_hardly_there_is_left_as_often_as_what_is() -> None:
    fitted = gaussian_hmm(starts=2).fit(np.random.default_rng(0).standard_normal(400) * np.repeat([1.0, 4.0], 200))
    certain = fitted.leaving([1.0, 0.0], 5, regime=0).probability
    for share in (0.5, 1e-6, 1e-11):
        assert fitted.leaving([share, 1.0 - share], 5, regime=0).probability == pytest.approx(certain, rel=1e-9)
    with pytest.raises(PartError, match="regime 0 has a probability of 0 now: what is not there is not left"):
        fitted.leaving([0.0, 1.0], 5, regime=0)


@pytest.mark.parametrize("regimes", [1, (0.5,), (), (0, 1), (1, 1)])
def test_what_a_rule_asks_of_entering_is_checked_as_on_a_fit(regimes: Any) -> None:
    rule = strategy(_careful, name="careful", horizons=(Entering(5, regimes),))
    with pytest.raises(PartError, match=r"wanted some, not all, of 0\.\.1, each once"):
        scan(Machine(strategy=rule, model=gaussian_hmm(starts=2), fit=Fit(window=60, every=30)), BARS)
