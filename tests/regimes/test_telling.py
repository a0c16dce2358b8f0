"""What a fit says to people: likelihood, draws from its own law, a table, a picture."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.errors import PartError
from barograph.regimes.fitted import Fitted
from barograph_models.gaussian_hmm import fit_from, gaussian_hmm, gaussian_params
from barograph_models.kmeans import kmeans
from barograph_models.student_hmm import student_hmm

START, MOVE = [0.6, 0.4], [[0.95, 0.05], [0.1, 0.9]]
MEANS, FULL = [[0.1, 1.0], [-0.2, -1.0]], [[[1.0, 0.5], [0.5, 2.0]], [[4.0, -1.0], [-1.0, 1.0]]]


def fitted(covariances: Any = FULL) -> Fitted:
    rows = np.random.default_rng(0).standard_normal((60, 2))
    made = fit_from(rows, gaussian_params(START, MOVE, MEANS, covariances), iterations=1, tolerance=-1.0)
    return Fitted(**{**{f: getattr(made, f) for f in made.__dataclass_fields__},
                     "params": gaussian_params(START, MOVE, MEANS, covariances)})  # fmt: skip


def density(x: Any, k: int) -> float:
    away = np.asarray(x) - MEANS[k]
    covariance = np.array(FULL[k])
    return float(
        np.exp(-0.5 * away @ np.linalg.solve(covariance, away)) / (2 * math.pi * np.linalg.det(covariance) ** 0.5)
    )


def test_the_score_is_the_sum_over_all_paths() -> None:
    rows = np.random.default_rng(1).normal(0, 1.5, (7, 2))
    total = 0.0
    for path in itertools.product(range(2), repeat=7):
        chance = START[path[0]] * math.prod(MOVE[a][b] for a, b in itertools.pairwise(path))
        total += chance * math.prod(density(x, k) for x, k in zip(rows, path, strict=True))
    assert fitted().score(rows) == pytest.approx(math.log(total), rel=1e-10)


@pytest.mark.parametrize("covariances", [FULL, [[1.0, 2.0], [4.0, 1.0]]])
def test_what_is_drawn_has_the_moments_and_moves_of_the_model(covariances: Any) -> None:
    model = fitted(covariances)
    rows, states = model.sample(40_000, seed=2)
    for k in range(2):
        part, wanted = rows[states == k], np.array(covariances[k])
        wanted = np.diag(wanted) if wanted.ndim == 1 else wanted
        assert np.allclose(part.mean(axis=0), MEANS[k], atol=0.06)
        assert np.allclose(np.cov(part.T), wanted, atol=0.15)
        moved = states[1:][states[:-1] == k] == 1
        assert moved.mean() == pytest.approx(MOVE[k][1], abs=0.01)
    again, _ = model.sample(40_000, seed=2)
    assert again.tobytes() == rows.tobytes()
    assert model.sample(5, seed=3)[0].tolist() != rows[:5].tolist()


def test_a_model_finds_itself_in_what_was_drawn_from_it() -> None:
    rows, states = fitted().sample(4000, seed=5)
    found = gaussian_hmm(states=2, covariance="full", starts=2).fit(rows)
    right = (found.viterbi(rows) == states).mean()
    assert max(right, 1 - right) > 0.95


def test_heavy_tails_are_drawn_as_heavy_tails() -> None:
    noise = np.random.default_rng(0).standard_t(5, 600) * np.repeat([0.01, 0.03, 0.01], 200)
    model = student_hmm(states=2).fit(noise)
    rows, states = model.sample(60_000, seed=1)
    calm = rows[states == 0][:, 0]
    nu, scale = model.params.degrees_of_freedom[0], model.params.scales[0, 0]
    assert np.mean(np.abs(calm - model.params.means[0, 0]) > 3 * scale) == pytest.approx(
        2 * (1 - _t_below(3.0, nu)), rel=0.15
    )


def _t_below(x: float, nu: float) -> float:
    from scipy import stats

    return float(stats.t.cdf(x, nu))


def test_what_cannot_be_drawn_or_scored_says_so() -> None:
    noise = np.random.default_rng(0).standard_normal(300) * np.repeat([1.0, 4.0, 1.0], 100)
    model = kmeans(states=2).fit(noise)
    with pytest.raises(PartError, match="kmeans cannot be drawn from"):
        model.sample(10)
    with pytest.raises(PartError, match="kmeans has no density"):
        model.score(noise)
    with pytest.raises(PartError, match="found 0 bars"):
        fitted().sample(0)


def test_the_table_is_annual_for_the_return_alone() -> None:
    table = fitted().named(("log_return", "range")).parameters(periods=100.0)
    assert list(table.columns) == [
        "share", "stay", "mean log_return", "volatility log_return", "mean range", "volatility range"
    ]  # fmt: skip
    assert table.loc[0].tolist() == pytest.approx([2 / 3, 20.0, 10.0, 10.0, 1.0, 2.0**0.5])
    assert table.index.name == "regime"


def test_the_picture_shows_every_close_in_one_regime() -> None:
    model = fitted()
    rows = pd.DataFrame(model.sample(50, seed=1)[0], index=pd.date_range("2024-01-01", periods=50))
    figure = model.plot(rows, prices=np.arange(1.0, 51.0))
    marked = [sum(value is not None for value in trace.y) for trace in figure.data if trace.mode == "markers"]
    believed = np.argmax(model.filter_path(rows).probs, axis=1)
    assert marked == [(believed == k).sum() for k in range(2)]
    with pytest.raises(PartError, match="3 prices for 50 rows"):
        model.plot(rows, prices=[1.0, 2.0, 3.0])
