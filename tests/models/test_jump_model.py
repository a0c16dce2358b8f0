"""The jump model: laws, brute force over all paths, the published library's own answers, and how well it finds."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.data.synthetic import SCENARIOS, Scenario, draw
from barograph.errors import ConfigError, FitError, PartError
from barograph.jit.ordered import total
from barograph.jit.views import frozen
from barograph.regimes.filtering import filter_rows
from barograph.regimes.fitted import Fitted
from barograph.regimes.matching import match
from barograph.regimes.window import window
from barograph.testing import check_model
from barograph_models._jump.path import cheapest_path, descend
from barograph_models._jump.sparse import between, sparse_weights
from barograph_models._jump.states import States, continuous, discrete
from barograph_models.jump_model import JumpParams, jump_model
from barograph_models.kmeans import kmeans

MODELS: dict[str, dict[str, Any]] = {
    "discrete": {"penalty": 5.0},
    "greedy": {"penalty": 3.0, "online": "greedy"},
    "continuous": {"penalty": 50.0, "kind": "continuous"},
    "continuous, three": {"states": 3, "penalty": 20.0, "kind": "continuous", "grid": 0.25, "starts": 3},
    "continuous, greedy": {"penalty": 50.0, "kind": "continuous", "online": "greedy", "mode_loss": False},
    "sparse": {"penalty": 5.0, "features": 2.0},
    "clipped": {"penalty": 5.0, "clip": 2.0},
    "beside the return": {"penalty": 5.0, "compare_return": False},
}


def rows(d: int = 3, seed: int = 0) -> Any:
    """Returns that are wild for a third of the time, and smoothed absolute returns beside them."""
    random = np.random.default_rng(seed)
    x = random.standard_normal(240) * np.repeat([0.01, 0.04, 0.01], 80)
    columns = [x, *(pd.Series(abs(x)).ewm(span=4 + 3 * j).mean().to_numpy() for j in range(d - 1))]
    X = np.column_stack(columns)
    X[31, 0] = np.nan
    return X


@pytest.mark.parametrize("name", MODELS)
def test_it_obeys_the_laws_of_models(name: str) -> None:
    found = check_model(jump_model(**MODELS[name]), rows())
    assert {"future", "steps", "saving", "missing bars", "renumbering", "scale", "shapes"} <= set(found.held)
    assert ("batch" in found.held) == ("greedy" not in name)


def price(Z: Any, centres: Any, states: States, path: Any) -> float:
    """The objective, by its definition."""
    shares = states.shares[list(path)]
    losses = 0.5 * ((Z[:, None, :] - centres) ** 2).sum(axis=2)
    return float((shares * losses).sum() + sum(states.penalties[p, q] for p, q in itertools.pairwise(path)))


@pytest.mark.parametrize(
    "states",
    [discrete(2, 1.5), discrete(3, 0.7), continuous(2, 6.0, 3, False), continuous(3, 6.0, 1, True)],
    ids=["two", "three", "shares", "shares of three"],
)
def test_no_path_is_cheaper_than_the_one_that_is_found(states: States) -> None:
    N, K = states.shares.shape
    for seed in range(12):
        random = np.random.default_rng(seed)
        Z, centres = random.standard_normal((6, 2)), random.standard_normal((K, 2))
        found = cheapest_path(Z, centres, states)
        least = min(price(Z, centres, states, path) for path in itertools.product(range(N), repeat=6))
        assert price(Z, centres, states, found) == pytest.approx(least, rel=1e-12)


def test_path_and_centres_in_turn_never_cost_more() -> None:
    for seed in range(10):
        random = np.random.default_rng(seed)
        Z = random.standard_normal((200, 2)) + np.repeat([[0.0], [1.5]], 100, axis=0)
        found = descend(Z, Z[:3].copy(), discrete(3, 2.0), 50, 1e-8)
        if found.ended > 0:
            assert np.diff(found.costs).max(initial=0.0) <= 1e-9
            assert found.costs[-1] == pytest.approx(price(Z, found.centres, discrete(3, 2.0), found.path), rel=1e-12)
            for k in range(3):
                np.testing.assert_allclose(found.centres[k], Z[found.path == k].mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("name", ["discrete", "continuous"])
def test_what_the_value_rule_believes_is_the_end_of_the_cheapest_path_so_far(name: str) -> None:
    X = rows()
    fitted = jump_model(**MODELS[name]).fit(X)
    probs = fitted.filter_path(X).probs
    for t in range(0, len(X), 7):
        if t != 31:
            np.testing.assert_array_equal(probs[t], fitted.smooth(X[: t + 1]).hindsight[-1])


def test_the_greedy_rule_remembers_its_last_state_and_nothing_else() -> None:
    X = rows()
    X[31] = X[30]
    fitted = jump_model(penalty=3.0, online="greedy").fit(X)
    p = fitted.params
    losses = 0.5 * ((((X - p.centre) * p.shrink)[:, None, :] - p.centres) ** 2).sum(axis=2)
    state, wanted = -1, []
    for loss in losses:
        state = int(np.argmin(loss + (0.0 if state < 0 else 3.0 * (np.arange(2) != state))))
        wanted.append(state)
    np.testing.assert_array_equal(fitted.filter_path(X).probs.argmax(axis=1), wanted)
    assert fitted.family.smooth is None
    value = jump_model(penalty=3.0).fit(X)
    assert value.params.centres.tobytes() == p.centres.tobytes()
    assert value.filter_path(X).probs.tobytes() != fitted.filter_path(X).probs.tobytes()


def test_the_greedy_rule_does_not_add_evidence_up_and_the_value_rule_does() -> None:
    """Rows that are each a little nearer to the other centre: summed they are worth a change, one alone never is."""
    X = np.concatenate([np.repeat([-1.0, 1.0], 40), np.repeat(-1.0, 20), np.repeat(0.3, 30)])[:, None]
    value, greedy = (jump_model(penalty=1.5, online=rule).fit(X[:80]) for rule in ("value", "greedy"))
    for fitted, last in ((value, 1), (greedy, 0)):
        labels = fitted.filter_path(X).probs.argmax(axis=1)
        wild = labels[60]
        assert labels[99] != wild
        assert (labels[-1] == wild) == bool(last)


def test_prices_stay_bounded_however_long_it_runs() -> None:
    X = rows()
    fitted = jump_model(penalty=5.0).fit(X)
    state = fitted.state_after(np.tile(X, (200, 1)))
    assert state.values.min() == 0.0
    assert state.values.max() <= 5.0 + 1e-9 + 0.5 * 100.0


def test_without_a_penalty_it_is_k_means() -> None:
    X = rows()
    one, other = jump_model(states=3, penalty=0.0).fit(X), kmeans(states=3).fit(X)
    np.testing.assert_allclose(one.params.centres, other.params.centres, atol=1e-9)
    np.testing.assert_array_equal(one.filter_path(X).probs, other.filter_path(X).probs)


def test_a_missing_row_moves_the_belief_by_the_counted_moves_and_is_left_out_of_the_path() -> None:
    X = rows()
    fitted = jump_model(penalty=5.0).fit(X)
    gone = np.vstack([X[:100], np.full((3, 3), np.nan), X[100:]])
    path = fitted.filter_path(gone)
    for t in (100, 101, 102):
        np.testing.assert_allclose(path.probs[t], path.probs[t - 1] @ fitted.transition, atol=1e-15)
        assert path.logpdf[t] == 0.0
    np.testing.assert_array_equal(path.probs[103:], fitted.filter_path(X).probs[100:])
    np.testing.assert_allclose(fitted.filter_path(np.full((1, 3), np.nan)).probs[0], fitted.params.start)
    assert fitted.smooth(np.empty((0, 3))).hindsight.shape == (0, 2)
    np.testing.assert_array_equal(fitted.viterbi(gone)[103:], fitted.viterbi(X)[100:])


def test_what_it_has_not_got_is_none() -> None:
    fitted = jump_model(penalty=5.0).fit(rows())
    assert (fitted.log_likelihood, fitted.bic, fitted.icl, fitted.free_parameters) == (None, None, None, None)
    assert np.isnan(fitted.filter_path(rows()).logpdf[0])
    moments = fitted.moments()
    labels, X = fitted.viterbi(rows()), rows()
    seen = np.isfinite(X).all(axis=1)
    for k in range(2):
        of = X[seen & (labels == k)]
        np.testing.assert_allclose(moments.mean[k], of.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.variance[k], of.var(axis=0), rtol=1e-9)


def test_scale_limits_and_weights_are_of_the_training_rows() -> None:
    X = rows()
    settings = {"penalty": 5.0, "clip": 2.0, "features": 2.0}
    fitted = jump_model(**settings).fit(X)
    whole = X[np.isfinite(X).all(axis=1)]
    limits = whole.mean(axis=0) + np.array([[-2.0], [2.0]]) * whole.std(axis=0)
    np.testing.assert_allclose([fitted.params.low, fitted.params.high], limits, rtol=1e-12)
    kept = np.clip(whole, *limits)
    np.testing.assert_allclose(fitted.params.centre, kept.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        fitted.params.shrink, np.sqrt(fitted.params.weights) / kept.std(axis=0), rtol=1e-12, atol=0.0
    )
    later = np.vstack([X, 50.0 * X])
    assert fitted.filter_path(later).probs[: len(X)].tobytes() == fitted.filter_path(X).probs.tobytes()


def test_rows_beyond_the_limits_count_as_at_them() -> None:
    X = rows()
    fitted = jump_model(penalty=5.0, clip=1.0).fit(X)
    beyond = np.where(np.isnan(X), np.nan, np.clip(X, fitted.params.low, fitted.params.high))
    assert (beyond != X)[np.isfinite(X)].mean() > 0.1
    np.testing.assert_array_equal(fitted.filter_path(beyond).probs, fitted.filter_path(X).probs)
    assert not np.array_equal(jump_model(penalty=5.0).fit(X).filter_path(beyond).probs, fitted.filter_path(X).probs)
    state, calm = fitted.state_after(1e3 * X), fitted.state_after(beyond)
    assert state.values.max() < 100.0 * max(1.0, calm.values.max())


@pytest.mark.parametrize("name", MODELS)
def test_an_absurd_row_poisons_nothing(name: str) -> None:
    X = rows()
    fitted = jump_model(**MODELS[name]).fit(X)
    path = fitted.filter_path(np.vstack([X[:50], np.full((1, 3), 1e300), np.full((1, 3), -1e300), X]))
    np.testing.assert_allclose(path.probs.sum(axis=1), 1.0)


def test_moves_where_two_regimes_share_a_row_alike_are_half_of_each() -> None:
    X, found = rows(), 0
    for seed in range(4):
        fitted = jump_model(penalty=10.0, kind="continuous", grid=0.5, seed=seed).fit(np.roll(X, 11 * seed, axis=0))
        shares = fitted.smooth(np.roll(X, 11 * seed, axis=0)).hindsight
        found += int((shares == 0.5).any(axis=1).sum())
        seen = np.isfinite(np.roll(X, 11 * seed, axis=0)).all(axis=1)
        pairs = [t for t in range(len(X) - 1) if seen[t] and seen[t + 1]]
        sure = np.where(shares == 0.5, 0.5, np.round(shares))
        moves = sum(np.outer(sure[t], sure[t + 1]) for t in pairs)
        np.testing.assert_allclose(fitted.transition, moves / moves.sum(axis=1, keepdims=True), atol=1e-12)
    assert found > 3


def test_labels_stay_through_a_refit() -> None:
    """Regimes are recognised by return, volatility and persistence, whatever the seeds called them."""
    X = rows()
    for seed in range(4):
        model = jump_model(penalty=5.0, seed=seed)
        first, second = model.fit(X[:200]), model.fit(window(X[20:], previous=model.fit(X[:200])))
        matched, told = match(first, second)
        assert told.convincing
        agree = matched.viterbi(X[20:200]) == first.viterbi(X[20:200])
        assert agree.mean() > 0.97


def test_the_grid_is_whole_and_its_prices_are_a_transition_kernel() -> None:
    states = continuous(3, 600.0, 20, True)
    assert states.shares.shape == (231, 3)
    np.testing.assert_allclose(states.shares.sum(axis=1), 1.0)
    assert len(np.unique(states.shares, axis=0)) == 231
    kernels = np.exp(-states.penalties).sum(axis=1)
    np.testing.assert_allclose(kernels, kernels[0], rtol=1e-12)
    flat = continuous(3, 600.0, 20, False)
    for p, q in ((0, 230), (17, 101), (5, 5)):
        length = 0.5 * abs(states.shares[p] - states.shares[q]).sum()
        assert flat.penalties[p, q] == pytest.approx(600.0 * length**2, abs=1e-9)


def test_sparse_weights_are_the_best_under_both_norms() -> None:
    random = np.random.default_rng(0)
    for most in (1.0, 1.3, 1.7, 3.0):
        worth = random.uniform(0.0, 5.0, 6)
        found = sparse_weights(worth, most)
        assert found.min() >= 0.0
        assert (found**2).sum() <= 1.0 + 1e-12
        assert found.sum() <= most + 1e-9
        tried = abs(random.standard_normal((20_000, 6))) * random.uniform(0.0, 1.0, (20_000, 6)) ** 4
        tried /= np.maximum(np.sqrt((tried**2).sum(axis=1)), tried.sum(axis=1) / most)[:, None]
        assert worth @ found >= (tried @ worth).max()


def test_nothing_to_choose_from_weighs_alike() -> None:
    for most in (1.0, 1.5, 9.0):
        found = sparse_weights(np.zeros(4), most)
        assert len(set(found.tolist())) == 1
        assert found.sum() == pytest.approx(min(most, 2.0))


def test_an_ascent_that_has_not_ended_is_a_fit_that_says_so() -> None:
    assert jump_model(penalty=5.0).fit(rows()).converged
    assert jump_model(penalty=5.0, features=2.0).fit(rows()).converged
    assert not jump_model(penalty=1.0, iterations=1, states=3).fit(rows()).converged


def test_one_regime_is_the_mean() -> None:
    X = rows()
    fitted = jump_model(states=1).fit(X)
    assert (fitted.filter_path(X).probs == 1.0).all()
    np.testing.assert_allclose(fitted.moments().mean[0], X[np.isfinite(X).all(axis=1)].mean(axis=0), rtol=1e-12)


def test_features_that_say_nothing_get_no_weight() -> None:
    random = np.random.default_rng(0)
    signal = np.repeat([0.0, 3.0, 0.0], 150)[:, None] + random.standard_normal((450, 2))
    X = np.hstack([random.standard_normal((450, 6)), signal])
    fitted = jump_model(penalty=20.0, features=2.0).fit(X)
    assert fitted.params.weights[:6].sum() < 0.05
    assert fitted.params.weights[6:].min() > 0.5


def test_a_return_that_is_not_compared_only_names_the_regimes() -> None:
    X = rows()
    own, other = jump_model(penalty=5.0, compare_return=False).fit(X), jump_model(penalty=5.0).fit(X[:, 1:])
    moved = X.copy()
    moved[100:, 0] *= -7.0
    np.testing.assert_array_equal(own.filter_path(moved).probs, own.filter_path(X).probs)
    # The first row that lacks the return is none to the one and a row to the other.
    agree = own.filter_path(X).probs[40:].argmax(axis=1) == other.filter_path(X[:, 1:]).probs[40:].argmax(axis=1)
    assert agree.mean() in (0.0, 1.0)
    assert own.moments().variance[1, 0] > 4.0 * own.moments().variance[0, 0]
    with pytest.raises(FitError, match="jump_model: nothing to compare"):
        jump_model(compare_return=False).fit(X[:, :1])


# The index and recipe of the published library's example: rows of 2007 to 2021, then 2022 to September 2024. Figures by
# jumpmodels 0.1.1 (Y. Shu), run on the same returns apart from this project.
@pytest.fixture(scope="module")
def nasdaq(shared: Path) -> tuple[Any, Any]:
    close = pd.read_csv(shared / "ndx" / "NDX.csv", index_col="date", parse_dates=True)["close"]
    returns, found = close.pct_change().dropna(), {}
    for half_life in (5, 20, 60):
        average = returns.ewm(halflife=half_life).mean()
        down = np.sqrt((np.minimum(returns, 0.0) ** 2).ewm(halflife=half_life).mean())
        found |= {(half_life, 0): average, (half_life, 1): np.log(down), (half_life, 2): average / down}
    table = pd.DataFrame(found).loc["2007":"2024-09-30"]  # type: ignore[misc]
    return table.loc[:"2021-12-31"].to_numpy(), table.loc["2022":].to_numpy()  # type: ignore[misc]


CHANGES = [215, 325, 360, 566, 841, 925, 1154, 1260, 1462, 1484, 2173, 2208, 2266, 2313, 2964, 3040, 3308, 3353]


def test_the_published_centres_and_every_online_label(nasdaq: tuple[Any, Any]) -> None:
    fitted = jump_model(penalty=50.0, clip=3.0).fit(nasdaq[0])
    bull = [0.154342, -0.296901, 0.157169, 0.296358, -0.318770, 0.274053, 0.336652, -0.245783, 0.336974]
    bear = [-0.643127, 1.237157, -0.654906, -1.234891, 1.328281, -1.141952, -1.402793, 1.024153, -1.404137]
    np.testing.assert_allclose(fitted.params.centres, [bull, bear], atol=5e-7)
    assert fitted.params.objective[0] == pytest.approx(12478.4361, abs=1e-3)
    assert (np.flatnonzero(np.diff(fitted.viterbi(nasdaq[0]))) + 1).tolist() == CHANGES
    online = fitted.filter_path(nasdaq[1]).probs.argmax(axis=1)
    assert (np.flatnonzero(np.diff(online)) + 1).tolist() == [8, 273, 651, 659]
    assert (online[0], online.sum()) == (0, 273)
    assert (np.flatnonzero(np.diff(fitted.viterbi(nasdaq[1]))) + 1).tolist() == [264]


def test_the_published_continuous_model(nasdaq: tuple[Any, Any]) -> None:
    fitted = jump_model(penalty=600.0, kind="continuous", clip=3.0).fit(nasdaq[0])
    assert fitted.params.objective[0] == pytest.approx(12523.74, abs=0.02)
    centres = [[0.143846, -0.304581, 0.158656], [-0.548307, 1.160993, -0.604759]]
    np.testing.assert_allclose(fitted.params.centres[:, :3], centres, atol=2e-5)
    bear = fitted.filter_path(nasdaq[1]).probs[:, 1]
    moved = [5, 273, 274, 275, 276, 278, 297, 303, 459, 460, 461, 650, 651, 652, 653, 657, 658, 659, 660]
    assert (np.flatnonzero(np.diff(bear)) + 1).tolist() == moved
    assert bear.sum() == pytest.approx(282.5)


def test_the_published_sparse_answer_stands_still_here_and_is_no_better_than_ours(nasdaq: tuple[Any, Any]) -> None:
    """Sparse jump models have many optima: theirs is one of ours, and more starts find better ones."""
    kept = nasdaq[0]
    kept = np.clip(kept, kept.mean(axis=0) - 3 * kept.std(axis=0), kept.mean(axis=0) + 3 * kept.std(axis=0))
    Z = np.ascontiguousarray((kept - kept.mean(axis=0)) / kept.std(axis=0))
    weights = np.zeros(9)
    weights[[1, 4, 5, 6, 8]] = 0.063243674, 0.365344742, 0.000644133, 0.568176585, 0.734641689
    centres, states = np.zeros((2, 9)), discrete(2, 50.0 / 3.0)
    centres[:, [1, 4, 5, 6, 8]] = [
        [-0.079189824, -0.220997972, 0.007698168, 0.298539476, 0.359463746],
        [0.239680075, 0.668884053, -0.023299678, -0.903575236, -1.087971829],
    ]
    found = descend(Z * np.sqrt(weights), centres, states, 100, 1e-8)
    np.testing.assert_allclose(sparse_weights(between(Z, states.shares[found.path]), 3.0**0.5), weights, atol=2e-5)
    np.testing.assert_allclose(found.centres, centres, atol=2e-5)
    theirs = 0.5 * float(total(weights * total(Z * Z))) - found.costs[-1]
    fitted = jump_model(penalty=50.0, features=3.0, starts=40).fit(Z)
    ours = 0.5 * float(total(fitted.params.weights * total(Z * Z))) - fitted.params.objective[0]
    assert ours > theirs


def zheng(x: Any) -> Any:
    """Zheng, Li & Xu (2021): the bar, its last two absolute differences, mean and deviation of two windows' parts."""
    change = abs(np.diff(x, prepend=np.nan))
    of, columns = pd.Series(x), [x, change, np.r_[np.nan, change[:-1]]]
    for bars in (6, 14):
        for width, lag in ((bars, 0), (bars // 2, bars // 2), (bars // 2, 0)):
            part = of.shift(lag).rolling(width)
            columns += [part.mean().to_numpy(), part.std().to_numpy()]
    return np.column_stack(columns)


# Hardy's monthly three states by the day: means and variances / 20, the twentieth root of the transition matrix.
HARDY3 = Scenario(
    name="hardy3",
    mean=(0.0123 / 20.0, 0.0, -0.0157 / 20.0),
    variance=(0.0347**2 / 20.0, 0.05**2 / 20.0, 0.0778**2 / 20.0),
    transition=(
        (0.99802837, 0.00094554, 0.00102609),
        (0.00315952, 0.99318295, 0.00365753),
        (0.00579706, 0.00621453, 0.98798841),
    ),
    start=(0.66, 0.22, 0.12),
)


def balanced(world: Scenario, paths: int, **settings: Any) -> tuple[float, float]:
    """Balanced accuracy of hindsight's labels, n = 1,000, and its standard error; labels aligned once a path.

    As published: the mean of the mean recalls, a path that lacks a regime having those of the others alone.
    """
    returns, truth = draw(world, 1040, seed=0, paths=paths)
    found, K = [], len(world.mean)
    for x, z in zip(returns, truth[:, 20:-20], strict=True):
        X = zheng(x)[20:-20]
        try:
            labels = jump_model(states=K, jobs=1, **settings).fit(X).viterbi(X)
        except FitError:  # fewer regimes are cheaper
            labels = np.zeros(len(z), dtype=int)
        named = [np.array(order)[labels] for order in itertools.permutations(range(K))]
        labels = max(named, key=lambda of: float(np.mean(of == z)))
        found.append([np.mean(labels[z == k] == k) if (z == k).any() else np.nan for k in range(K)])
    spread = np.nanstd(found, axis=0) / np.sqrt(np.isfinite(found).sum(axis=0))
    return float(np.nanmean(found, axis=0).mean()), float(np.sqrt((spread**2).sum()) / K)


def test_hindsight_is_as_good_as_published_at_the_best_penalty() -> None:
    best, error = balanced(SCENARIOS["daily2"], 24, penalty=46.4, starts=4)
    assert abs(best - 0.9186) < 3.0 * error
    assert error < 0.035


# Aydinhan et al. (2024), simulation study, discrete model, daily, two states, n = 1,000, 1,024 paths.
@pytest.mark.long
@pytest.mark.parametrize(
    ("penalty", "published"),
    [(0.01, 0.8523), (10.0, 0.8871), (21.5, 0.9030), (46.4, 0.9186), (100.0, 0.9155), (215.0, 0.8905)],
)
def test_published_accuracies(penalty: float, published: float) -> None:
    found, error = balanced(SCENARIOS["daily2"], 256, penalty=penalty)
    assert abs(found - published) < 3.0 * error + 0.005


# The same study, daily, three states: the penalties of the published figures are not told.
@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "published"),
    [
        ({"penalty": 100.0}, 0.7368),
        ({"penalty": 1000.0, "kind": "continuous", "mode_loss": False, "starts": 4}, 0.7521),
        ({"penalty": 2150.0, "kind": "continuous", "starts": 4}, 0.7526),
    ],
)
def test_published_accuracies_of_three_states(settings: dict[str, Any], published: float) -> None:
    found, error = balanced(HARDY3, 64, **settings)
    assert abs(found - published) < 3.0 * error
    assert error < 0.03


def test_compiled_and_plain_python_agree_to_the_bit_at_three_states() -> None:
    X = rows()
    online = jump_model(states=3, penalty=20.0, kind="continuous", grid=0.125, starts=2).fit(X).filter()
    one, other = filter_rows(online, X[:60]), filter_rows(online, X[:60], interpret=True)
    assert one[1].tobytes() == other[1].tobytes()
    assert one[0].values.tobytes() == other[0].values.tobytes()


def test_a_saved_fit_goes_on_from_any_bar(tmp_path: Path) -> None:
    X = rows()
    fitted = jump_model(penalty=50.0, kind="continuous").fit(X)
    fitted.save(tmp_path / "jump.npz")
    online = Fitted.load(tmp_path / "jump.npz").filter()
    state, whole = fitted.state_after(X[:120]), fitted.filter_path(X).probs
    for t in range(120, 160):
        state, belief = online.step(state, frozen(X[t]), online.params)
        assert belief.probs.tobytes() == whole[t].tobytes()


@pytest.mark.parametrize(
    ("X", "told"),
    [
        (rows()[:6], r"jump_model: 6 of 6 rows are observed, 2 states need at least 8"),
        (np.ones((60, 2)), r"jump_model: feature 0 is constant over the 60 observed rows; drop it"),
        (np.where(rows() > 0.05, np.inf, rows()), r"jump_model: feature \d is infinite in row \d+; mend the data"),
        (
            np.random.default_rng(0).standard_normal((200, 2)),
            r"jump_model: every start failed; .*a regime died.* or a smaller penalty$",
        ),
    ],
    ids=["few", "constant", "infinite", "one regime"],
)
def test_hopeless_data_are_one_clear_line(X: Any, told: str) -> None:
    with pytest.raises(FitError, match=told) as found:
        jump_model(penalty=500.0).fit(X)
    assert "\n" not in str(found.value)


def test_limits_hide_no_infinity() -> None:
    X = np.where(rows() > 0.05, np.inf, rows())
    with pytest.raises(FitError, match=r"jump_model: feature \d is infinite"):
        jump_model(penalty=5.0, clip=3.0).fit(X)


def test_the_wrong_number_of_features_is_refused() -> None:
    with pytest.raises(PartError, match="jump_model: X has 2 columns, the model was fitted on 3"):
        jump_model(penalty=5.0).fit(rows()).filter_path(rows()[:, :2])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"states": 0}, "states = 0, a whole number of at least 1"),
        ({"penalty": -1.0}, "penalty = -1.0, a number of at least 0"),
        ({"penalty": float("nan")}, "penalty = nan, a number of at least 0"),
        ({"kind": "discreet"}, "kind = 'discreet', one of discrete, continuous is wanted; did you mean"),
        ({"online": "viterbi"}, "online = 'viterbi', one of value, greedy"),
        ({"features": 0.5}, "features = 0.5, a number of at least 1"),
        ({"clip": 0.0}, "clip = 0.0, a number above 0"),
        ({"kind": "continuous", "grid": 0.3}, "grid = 0.3, one over a whole number"),
        ({"kind": "continuous", "states": 4}, "grid = 0.05 with 4 states has 1771 points, more than 1000; take fewer"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"jump_model: {told}"):
        jump_model(**settings)


def test_params_are_what_their_docstring_says() -> None:
    fitted = jump_model(penalty=5.0).fit(rows())
    assert isinstance(fitted.params, JumpParams)
    np.testing.assert_allclose(fitted.params.start.sum(), 1.0)
    np.testing.assert_allclose(fitted.transition.sum(axis=1), 1.0)
    assert (fitted.params.weights == 1.0).all()
