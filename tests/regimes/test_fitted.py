"""A fit is kept to the bit, renumbered by one law, and says plainly what it cannot do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph.errors import FitError, PartError
from barograph.regimes.fitted import Fitted
from barograph.regimes.matching import match, order_by_volatility
from barograph.regimes.mixture import horizon_mixture
from barograph.types import Smoothed
from barograph_models._chain.gaussian import gaussian_params
from barograph_models.gaussian_hmm import fit_from, gaussian_hmm
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_models.kmeans import kmeans

MODELS = {
    "hmm diagonal": gaussian_hmm(3, starts=2),
    "hmm full": gaussian_hmm(3, "full", starts=2),
    "mixture diagonal": gaussian_mixture(3, "diagonal", starts=2),
    "mixture full": gaussian_mixture(3, "full", starts=2),
    "kmeans": kmeans(3, starts=2),
}


def _rows() -> Any:
    random = np.random.default_rng(5)
    X = random.standard_normal((400, 2)) * np.repeat([0.5, 1.5, 4.0, 0.5], 100)[:, None]
    X[:, 1] += np.repeat([0.0, 3.0, -6.0, 0.0], 100)
    X[[7, 50, 51], [0, 1, 0]] = np.nan
    return X


X = _rows()


@pytest.fixture(scope="module", params=MODELS)
def fitted(request: Any) -> Fitted:
    return MODELS[request.param].fit(X)


def _same(one: Fitted, other: Fitted) -> None:
    assert one.family == other.family
    for a, b in zip(one.params, other.params, strict=True):
        assert a.tobytes() == b.tobytes()
    assert one.log_likelihood.tobytes() == other.log_likelihood.tobytes()
    assert one.summary() == other.summary()


def test_save_and_load_keep_every_bit(fitted: Fitted, tmp_path: Path) -> None:
    named = fitted.named(("return", "level"))
    named.save(tmp_path / "a.npz")
    again = Fitted.load(tmp_path / "a.npz")
    _same(named, again)
    assert again.filter_path(X).probs.tobytes() == fitted.filter_path(X).probs.tobytes()
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert {member.date_time[0] for member in file.infolist()} == {1980}


def test_a_saved_file_holds_no_pickle(fitted: Fitted, tmp_path: Path) -> None:
    fitted.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert all(arrays[n].dtype == np.float64 for n in arrays.files if n != "header.json")


def _edit(path: Path, **changes: Any) -> None:
    with zipfile.ZipFile(path) as file:
        members = {n: file.read(n) for n in file.namelist()}
    header = json.loads(members["header.json"]) | changes
    members["header.json"] = json.dumps({k: v for k, v in header.items() if v is not None}).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, body in members.items():
            file.writestr(name, body)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"version": 99}, "format version 99"),
        ({"format": "other"}, "not a fitted model"),
        ({"family": "barograph_models.nowhere:THING"}, "cannot be imported"),
        ({"family": "json:dumps"}, "is not the model"),
        ({"fields": ["start"]}, "is not the model"),
        ({"seed": None}, "lacks seed"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_in_one_line(tmp_path: Path, changes: Any, wanted: str) -> None:
    path = tmp_path / "model.npz"
    MODELS["kmeans"].fit(X).save(path)
    _edit(path, **changes)
    with pytest.raises(FitError, match=wanted) as caught:
        Fitted.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 900])
def test_a_file_cut_short_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "model.npz"
    MODELS["kmeans"].fit(X).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FitError, match="not a whole fitted model"):
        Fitted.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"nothing\.npz: cannot be read"):
        Fitted.load(tmp_path / "nothing.npz")


def test_parameters_cannot_be_written_and_filters_get_their_own(fitted: Fitted) -> None:
    with pytest.raises(ValueError, match="read-only"):
        fitted.params.transition[0, 0] = 0.5
    mine = fitted.filter().params
    mine.transition[:] = -1.0
    assert fitted.transition.min() >= 0.0
    assert all(a.flags.c_contiguous and a.dtype == np.float64 for a in fitted.filter().params)


@given(order=st.permutations(range(3)))
def test_renumbering_permutes_every_answer_and_changes_none(order: list[int]) -> None:
    for model in ("hmm full", "mixture diagonal", "kmeans"):
        one = _cached(model)
        other = one.reordered(order)
        np.testing.assert_allclose(other.filter_path(X).probs, one.filter_path(X).probs[:, order], atol=1e-12)
        np.testing.assert_allclose(other.smooth(X).hindsight, one.smooth(X).hindsight[:, order], atol=1e-12)
        np.testing.assert_array_equal(np.array(order)[other.viterbi(X)], one.viterbi(X))
        np.testing.assert_allclose(other.stationary(), one.stationary()[order], atol=1e-12)
        for a, b in zip(other.signature(), one.signature(), strict=True):
            np.testing.assert_array_equal(a, b[order])
        _same(other.reordered(np.argsort(order)), one)


_FITS: dict[str, Fitted] = {}


def _cached(model: str) -> Fitted:
    return _FITS.setdefault(model, MODELS[model].fit(X))


@given(order=st.permutations(range(3)))
def test_a_match_finds_the_numbering_back(order: list[int]) -> None:
    one = _cached("hmm full")
    again, found = match(one, one.reordered(order))
    _same(again, one)
    assert found.convincing
    assert found.cost == 0.0
    assert [order[k] for k in found.permutation] == [0, 1, 2]
    _same(order_by_volatility(one.reordered(order)), one)


def _two(calm: float, wild: float, stay: float = 0.95) -> Fitted:
    params = gaussian_params([0.5, 0.5], [[stay, 1 - stay], [1 - stay, stay]], [[0.0], [0.0]], [[calm**2], [wild**2]])
    return fit_from(X[:, :1], params, iterations=1)


def test_the_margin_is_the_cost_of_the_next_best_numbering() -> None:
    found = match(_two(1.0, 2.0), _two(1.1, 2.1))[1]
    swapped = np.log(2.1 / 1.0) + np.log(2.0 / 1.1)
    cost = np.log(1.1) + np.log(2.1 / 2.0)
    assert found.cost == pytest.approx(cost, rel=1e-9)
    assert found.margin == pytest.approx(swapped - cost, rel=1e-9)
    assert found.convincing


@pytest.mark.parametrize(
    ("previous", "fitted"),
    [(_two(1.0, 1.02), _two(1.0, 1.02)), (_two(1.0, 50.0), _two(4.0, 200.0))],
    ids=["two regimes alike", "another world"],
)
def test_a_match_that_is_not_convincing_says_so(previous: Fitted, fitted: Fitted) -> None:
    found = match(previous, fitted)[1]
    assert not found.convincing
    assert "not recognised with confidence" in found.message


def test_different_numbers_of_regimes_do_not_match() -> None:
    with pytest.raises(PartError, match="2 regimes cannot be matched"):
        match(_cached("hmm full"), _two(1.0, 2.0))


def test_one_regime_matches_itself() -> None:
    one = gaussian_hmm(1, starts=1).fit(X)
    found = match(one, one)[1]
    assert found.permutation == (0,)
    assert found.convincing


def test_predictions_are_powers_of_the_transition_and_an_exact_mixture(fitted: Fitted) -> None:
    probs = fitted.filter_path(X).probs[-1]
    ahead = fitted.predict(probs, 5)
    np.testing.assert_allclose(ahead.probs, probs @ np.linalg.matrix_power(fitted.transition, 5), atol=1e-13)
    moments = fitted.moments()
    assert moments is not None
    weights, mean, variance = horizon_mixture(fitted.transition, moments.mean[:, 0], moments.variance[:, 0], 5)
    np.testing.assert_allclose(ahead.weights, probs @ weights, atol=1e-15)
    np.testing.assert_array_equal(ahead.mean, mean)
    np.testing.assert_array_equal(ahead.variance, variance)


@pytest.mark.parametrize("probs", [np.ones(3), np.array([0.5, 0.5]), np.array([np.nan, 1.0, 0.0])])
def test_only_probabilities_are_predicted_from(probs: Any) -> None:
    with pytest.raises(PartError, match="wanted 3 probabilities"):
        _cached("kmeans").predict(probs, 1)


def test_hindsight_is_not_predicted_from() -> None:
    with pytest.raises(PartError, match="seen the future"):
        _cached("hmm full").predict(_cached("hmm full").smooth(X), 1)  # type: ignore[arg-type]
    assert isinstance(_cached("hmm full").smooth(X), Smoothed)


def test_the_summary_is_plain_json(fitted: Fitted) -> None:
    told = json.loads(json.dumps(fitted.summary(), allow_nan=False))
    assert told["regimes"] == 3
    assert np.diff(told["volatilities"], axis=0)[:, 0].min() > 0.0
    assert sum(told["stationary"]) == pytest.approx(1.0)
    assert told["bic"] == pytest.approx(
        told["free_parameters"] * np.log(told["observations"]) - 2 * told["log_likelihood"]
    )


def test_columns_are_counted_and_named(fitted: Fitted) -> None:
    with pytest.raises(PartError, match="X has 1 columns, the model was fitted on 2: x0, x1"):
        fitted.filter_path(X[:, :1])
    with pytest.raises(PartError, match="3 names for 2 features"):
        fitted.named(("a", "b", "c"))
    with pytest.raises(PartError, match="no permutation"):
        fitted.reordered([0, 0, 1])
