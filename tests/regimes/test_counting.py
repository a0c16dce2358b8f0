"""How many regimes: worlds of none, one and two, what is told, and a machine whose number of regimes changes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.data.synthetic import SCENARIOS, draw
from barograph.errors import ConfigError, FitError, PartError
from barograph.features import log_return
from barograph.regimes.answers.counting import _least, choose_states
from barograph.regimes.answers.garch import garch_score, student_score
from barograph.regimes.fitted import Fitted, Model
from barograph.testing import check_model
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.student_hmm import student_hmm
from barograph_models.student_panel import student_panel
from barograph_strategies.regime_filter import regime_filter


def world(name: str, seed: int, bars: int = 1000) -> Any:
    random = np.random.default_rng(seed)
    if name == "normal":
        return 0.01 * random.standard_normal(bars)
    return 0.01 * random.standard_t(5, bars) if name == "t5" else draw(SCENARIOS["daily2"], bars, seed)[0][0]


def shares(name: str, windows: int) -> Any:
    """Return how often each number of states is chosen; of the daily world in windows with sixty wild bars."""
    seeds = itertools.count()
    if name == "daily2":
        seeds = (s for s in seeds if draw(SCENARIOS["daily2"], 1000, s)[1].sum() >= 60)
    chosen = [
        choose_states(student_hmm, world(name, s), criteria=False).states for s in itertools.islice(seeds, windows)
    ]
    return np.bincount(chosen, minlength=6)[1:] / windows


@pytest.mark.parametrize(
    ("windows", "name", "states", "wanted"),
    [
        pytest.param(n, *world, marks=mark)
        for n, mark in ((8, []), (200, pytest.mark.long))
        for world in (("normal", 1, 0.85), ("t5", 1, 0.7), ("daily2", 2, 0.8))
    ],
)
def test_what_has_no_regimes_gets_one_and_what_has_two_gets_two(
    windows: int, name: str, states: int, wanted: float
) -> None:
    found = shares(name, windows)
    assert found[states - 1] >= wanted, found


def test_the_information_criterion_prefers_two_normal_regimes_where_there_is_none() -> None:
    for seed in range(8):
        table = choose_states(lambda k: gaussian_hmm(k, starts=3), world("t5", seed), most=2).table
        assert table[1].bic < table[0].bic  # type: ignore[operator]


def test_the_table_is_what_it_says_and_the_future_of_a_block_is_not_seen() -> None:
    x = world("daily2", 3)
    choice = choose_states(student_hmm, x, most=3, blocks=2)
    for one in choice.table:
        first = student_hmm(one.states).fit(x[:495]).filter_path(x[:750]).logpdf[500:]
        second = student_hmm(one.states).fit(x[:745]).filter_path(x).logpdf[750:]
        assert one.score == pytest.approx(np.concatenate([first, second]).mean(), rel=1e-12)
        assert one.bic == student_hmm(one.states).fit(x).bic
    assert choice.table[choice.states - 1].gain == 0.0
    assert choice.frame().loc[choice.states, "score"] == choice.table[choice.states - 1].score
    assert choice.fitted.params.means.tobytes() == student_hmm(choice.states).fit(x).params.means.tobytes()


def levels(seed: int = 0, bars: int = 40) -> Any:
    """Return a world of four levels, two and two as far from the middle: dispersion tells only those apart."""
    path = np.repeat(np.tile([0, 2, 1, 3], 8), bars)
    return np.array([-2, -1, 1, 2])[path] + 0.3 * np.random.default_rng(seed).standard_normal(len(path))


def plain(states: int, starts: int = 1, how: str = "em") -> Model:
    return student_hmm(states, how=how, prior="none" if how == "em" else "market", starts=starts)  # type: ignore[arg-type]


def reached(fitted: Any) -> float:
    return float(fitted.log_likelihood[-1])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("how", ["em", "vb"])
def test_with_moves_no_fit_ends_lower_than_without(seed: int, how: str) -> None:
    x = levels(seed, 20)
    for states in (2, 3, 4):
        model = plain(states, how=how)
        found = model.fit(x)
        for other in (states - 1, states + 1):
            moved = model.beside(x, found, plain(other, how=how).fit(x))
            if how == "em":
                assert reached(moved) >= reached(found)
            else:
                assert moved.params.evidence[0] >= found.params.evidence[0]
            assert moved.regimes == states


def test_a_split_finds_what_plain_starts_miss_and_is_the_same_again() -> None:
    x = levels()
    model, three = plain(4), plain(3).fit(x)
    found = model.fit(x)
    moved = model.beside(x, found, three)
    assert reached(moved) > reached(found) + 400.0
    np.testing.assert_allclose(np.sort(moved.params.means[:, 0]), [-2, -1, 1, 2], atol=0.1)
    assert moved.digest == model.beside(x, found, three).digest
    # What has found the answer already is left alone, and what is no neighbour says nothing.
    assert model.beside(x, moved, three) is moved
    assert model.beside(x, found, plain(2).fit(x)) is found
    assert gaussian_hmm(2).beside(x, found, three) is found


def test_a_merge_finds_what_plain_starts_miss() -> None:
    x = levels(1)
    model = plain(4)
    found = model.fit(x)
    moved = model.beside(x, found, plain(5).fit(x))
    assert reached(moved) > reached(found) + 400.0


def test_a_choice_with_moves_knows_four_regimes_where_plain_starts_find_three() -> None:
    x = levels()
    moved, without = (choose_states(plain, x, most=4, moves=on, criteria=False) for on in (True, False))
    assert moved.states == 4
    assert reached(moved.fitted) > reached(without.fitted) + 400.0


def test_a_choice_without_criteria_fits_only_what_is_chosen_to_all_rows_and_chooses_the_same() -> None:
    x, fitted = world("daily2", 3), []

    def make(states: int) -> Model:
        model = student_hmm(states)

        def fit(window: Any) -> Fitted:
            fitted.append((states, len(window.rows)))
            return model.fit(window)

        return Model(fit, states, "counted")

    choice = choose_states(make, x, most=3, criteria=False)
    assert [states for states, rows in fitted if rows == len(x)] == [choice.states]
    whole = choose_states(make, x, most=3)
    assert (whole.states, whole.reason) == (choice.states, choice.reason)
    assert all(one.bic is None for one in choice.table)
    assert None not in [one.bic for one in whole.table]


def test_what_foresees_and_cannot_be_fitted_to_all_rows_is_passed_over() -> None:
    x = world("daily2", 3)
    best = choose_states(student_hmm, x, most=3).states

    def make(states: int) -> Model:
        def fit(window: Any) -> Fitted:
            if states == best and len(window.rows) == len(x):
                raise FitError("never of all")
            return student_hmm(states).fit(window)

        return Model(fit, states, "partly")

    choice = choose_states(make, x, most=3)
    assert choice.states != best
    assert choice.table[best - 1].failed == "never of all"


def test_one_student_t_for_all_bars_is_what_a_model_of_one_state_scores() -> None:
    x = world("t5", 1)
    one = choose_states(lambda k: plain(k), x, most=1).table[0].score
    assert student_score(x) == pytest.approx(one, abs=2e-3)


def test_a_drifting_volatility_is_foreseen_better_without_regimes() -> None:
    random, x, variance = np.random.default_rng(1), np.empty(1500), 1.0
    for t in range(len(x)):
        x[t] = np.sqrt(variance) * random.standard_normal()
        variance = 0.02 + 0.1 * x[t] ** 2 + 0.88 * variance
    assert garch_score(x) > max(one.score for one in choose_states(student_hmm, x, most=2).table)


def test_a_number_that_cannot_be_fitted_is_told_and_passed_over() -> None:
    def refused(_: Any) -> Fitted:
        raise FitError("two: never")

    def make(states: int) -> Model:
        return Model(refused, 2, "two") if states == 2 else student_hmm(states)

    choice = choose_states(make, world("daily2", 3), most=3)
    assert choice.table[1].failed == "two: never"
    assert np.isnan(choice.table[1].score)
    assert choice.states in (1, 3)
    assert "better than 2" not in choice.reason
    with pytest.raises(FitError, match="two: never"):
        choose_states(lambda _: make(2), world("normal", 0), most=1)


def test_a_panel_a_purge_that_reaches_the_block_and_other_nonsense_are_refused() -> None:
    x = world("normal", 0)
    for settings, wanted in (
        ({"purge": 600}, "purge = 600, and 500 rows come before the first block"),
        ({"purge": -250}, "purge = -250, a whole number of at least 0"),
        ({"blocks": 2.5}, "blocks = 2.5, a whole number of at least 1"),
        ({"margin": float("nan")}, "margin = nan, a number of at least 0"),
    ):
        with pytest.raises(PartError, match=wanted):
            choose_states(student_hmm, x, **settings)  # type: ignore[arg-type]
    with pytest.raises(PartError, match="a panel of assets; wanted one table"):
        choose_states(student_panel, {"A": x, "B": 2.0 * x}, most=1)


def test_missing_rows_score_nothing_here_and_there() -> None:
    x = world("normal", 0, 1500)
    x[::2] = np.nan
    one = choose_states(lambda k: gaussian_hmm(k), x, most=1).table[0].score
    assert one == pytest.approx(garch_score(x), abs=0.02)


def test_what_is_chosen_is_not_beaten_by_the_best_and_says_by_what_it_wins() -> None:
    random = np.random.default_rng(0)
    base = random.standard_normal(400)
    scores = [
        base - 1.0,
        base,
        base - 0.01 + random.standard_normal(400),
        base + 0.06 + 0.1 * random.standard_normal(400),
    ]
    assert _least(scores, 1.5) == 3
    assert _least(scores[:3], 1.5) == 1


def test_too_few_rows_and_no_states_are_refused() -> None:
    with pytest.raises(FitError, match="100 rows, 4 blocks of at least 20 want 160"):
        choose_states(student_hmm, np.arange(100.0))
    with pytest.raises(PartError, match="most = 0, a whole number of at least 1 is wanted"):
        choose_states(student_hmm, np.arange(100.0), most=0)
    with pytest.raises(
        ConfigError, match=r'states = "choose": stays = \[10.0, 5.0\] wants a number of states that stays'
    ):
        student_hmm("choose", stays=[10.0, 5.0])
    with pytest.raises(ConfigError, match=r"prior = \'previous\' wants a number"):
        student_hmm("choose", prior="previous")


def test_the_laws_of_models_hold_for_a_model_that_chooses(tmp_path: Any) -> None:
    model = student_hmm("choose", most=3)
    X = world("daily2", 3, 600)
    found = check_model(model, X)
    assert {"future", "steps", "saving", "shapes"} <= set(found.held)
    fitted = model.fit(X)
    assert fitted.notes == (choose_states(student_hmm, X, most=3).reason,)
    fitted.save(tmp_path / "fit")
    assert Fitted.load(tmp_path / "fit").notes == fitted.notes
    assert fitted.summary()["notes"] == list(fitted.notes)


def test_regimes_beyond_the_chosen_number_are_never_believed_and_nothing_is_said_of_them() -> None:
    x = world("normal", 0)
    fitted, one = student_hmm("choose").fit(x), student_hmm(1).fit(x)
    path = fitted.filter_path(x)
    assert (path.probs[:, 0] == 1.0).all()
    np.testing.assert_allclose(path.logpdf, one.filter_path(x).logpdf, atol=1e-13)
    assert fitted.degeneracies == one.degeneracies == ()
    for horizon in (1, 5):
        ours, theirs = fitted.predict(path.probs[-1], horizon), one.predict([1.0], horizon)
        assert ours.probs.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
        assert ours.weights @ ours.variance == pytest.approx(theirs.weights @ theirs.variance, rel=1e-12)
    assert (fitted.smooth(x).hindsight[:, 0] == 1.0).all()
    assert (fitted.viterbi(x) == 0).all()


def test_in_a_machine_the_number_changes_from_fit_to_fit_and_each_says_why() -> None:
    random = np.random.default_rng(0)
    returns = 0.01 * random.standard_normal(1100) * np.r_[np.ones(400), np.tile(np.repeat([1.0, 4.0], 50), 7)]
    history = bg.History.from_arrays(
        ts=np.arange(1, 1101) * 86_400_000_000_000, close=100.0 * np.exp(np.cumsum(returns)), symbols=["A"]
    )
    machine = bg.Machine(
        strategy=regime_filter(),
        features=[log_return()],
        model=student_hmm("choose", most=3),
        fit=bg.Fit(window=300, every=150),
    )
    result = bg.scan(machine, history)
    found = [fit.fitted.notes[0] for fit in result.fits]
    assert found[0].startswith("1 state:")
    assert any(note.startswith("2 states: better than 1 by") for note in found), found
    assert result.arrays.equity.tobytes() == bg.replay(machine, history).arrays.equity.tobytes()
