"""Stochastic EM: near plain EM on the same rows and on fresh ones, the same bits again, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from barograph.errors import ConfigError
from barograph_models._chain import batches
from barograph_models._chain.gaussian import Given
from barograph_models._fit.data import sample
from barograph_models.gaussian_hmm import DIAGONAL, gaussian_hmm, gaussian_params

TRUE = gaussian_params([0.5, 0.5], [[0.98, 0.02], [0.05, 0.95]], [[0.05], [-0.1]], [[1.0], [9.0]])


def rows(bars: int, seed: int) -> Any:
    assert DIAGONAL.draw is not None
    return DIAGONAL.draw(TRUE, bars, seed)[0]


def numbers(params: Any) -> Any:
    moves = np.log(params.transition[[0, 1], [1, 0]])
    return np.concatenate([moves, params.means.ravel(), np.log(params.covariances).ravel()])


def standard_errors(bars: int) -> Any:
    """Return those of plain EM, from twelve worlds of 20,000 rows: they fall as the root of the rows."""
    found = [numbers(gaussian_hmm(starts=1).fit(rows(20_000, 100 + seed)).params) for seed in range(12)]
    return np.std(found, axis=0, ddof=1) * np.sqrt(20_000 / bars)


def test_it_ends_near_plain_em_and_scores_fresh_rows_as_well() -> None:
    X, fresh = rows(60_000, 1), rows(60_000, 2)
    quick, plain = gaussian_hmm(batch=2_000, starts=2).fit(X), gaussian_hmm(starts=2).fit(X)
    away = numbers(quick.params) - numbers(plain.params)
    assert (np.abs(away) < standard_errors(60_000)).all(), away
    assert abs(quick.score(fresh) - plain.score(fresh)) / len(fresh) < 1e-4
    assert quick.log_likelihood[-1] == pytest.approx(quick.score(X), rel=1e-9)  # type: ignore[index]
    assert (quick.icl, quick.free_parameters) == (None, plain.free_parameters)


def test_the_same_seed_gives_the_same_bits_and_a_missing_row_is_none() -> None:
    X = rows(20_000, 3)
    X[100:200] = np.nan
    one, again = (gaussian_hmm(batch=1_000, starts=1).fit(X) for _ in range(2))
    assert one.digest == again.digest
    assert one.observations == 19_900
    assert gaussian_hmm(batch=1_000, starts=1, seed=1).fit(X).digest != one.digest


def test_one_piece_of_all_rows_is_an_iteration_of_em() -> None:
    data = sample(rows(3_000, 4), 2, "batches")
    found, likelihood = batches._expected(data, TRUE, slice(0, 3_000))
    assert found is not None
    own = batches._likeliest(found, TRUE, Given(1e-6))
    from barograph_models._chain.inference import ascend

    # The second likelihood of plain EM is that of its first update; both begin alike but for the start.
    plain = ascend(batches.DIAGONAL, data, TRUE, 2, 0.0, Given(1e-6))
    np.testing.assert_allclose(own.means, plain.params.means, atol=1e-10)
    np.testing.assert_allclose(own.covariances, plain.params.covariances, rtol=1e-10)
    np.testing.assert_allclose(own.transition, plain.params.transition, atol=1e-10)
    assert likelihood - data.log_volume == pytest.approx(plain.path[0], rel=1e-12)


def test_pieces_are_summed_to_the_likelihood_of_the_whole() -> None:
    data = sample(rows(5_000, 5), 2, "batches")
    whole = batches._log_likelihood(data, TRUE, [slice(0, 5_000)])
    assert batches._log_likelihood(data, TRUE, batches.pieces(5_000, 300)) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"batch": -1}, "batch = -1, a whole number of at least 1 is wanted"),
        ({"batch": 100, "passes": 0}, "passes = 0, a whole number"),
        (
            {"batch": 100, "covariance": "full"},
            'a batch wants covariance = "diagonal" and no penalties; found covariance',
        ),
        ({"batch": 100, "lasso": 1.0}, "lasso = 1, ridge = 0"),
    ],
)
def test_what_it_cannot_do_is_refused(settings: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        gaussian_hmm(**settings)


@pytest.mark.long
def test_ten_million_rows_fit_in_little_room_and_end_where_plain_em_on_a_million_does() -> None:
    import resource

    X = rows(10_000_000, 7)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    quick = gaussian_hmm(batch=20_000, starts=1, passes=2, jobs=1).fit(X)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB
    plain = gaussian_hmm(starts=1, jobs=1).fit(X[:1_000_000])
    away = numbers(quick.params) - numbers(plain.params)
    assert (np.abs(away) < 3.0 * standard_errors(1_000_000)).all(), away
    fresh = rows(1_000_000, 8)
    assert abs(quick.score(fresh) - plain.score(fresh)) / len(fresh) < 1e-4
