"""What people get wrong with models, one line each: seven failures and every model, and settings of another kind."""

from __future__ import annotations

import inspect
import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from barograph.errors import ConfigError, FitError, PartError
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import window
from barograph_models.autoregressive_hmm import autoregressive_hmm
from barograph_models.blend import blend
from barograph_models.bocpd import bocpd
from barograph_models.cusum import cusum
from barograph_models.delay import delay
from barograph_models.dwell import dwell
from barograph_models.factorial_hmm import factorial_hmm
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.gaussian_hsmm import gaussian_hsmm
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_models.hierarchical_hmm import hierarchical_hmm
from barograph_models.jump_model import jump_model
from barograph_models.kmeans import kmeans
from barograph_models.mixture_hmm import mixture_hmm
from barograph_models.online_hmm import online_hmm
from barograph_models.panel_mixture import panel_mixture
from barograph_models.student_hmm import student_hmm
from barograph_models.student_panel import student_panel
from barograph_models.time_varying_hmm import time_varying_hmm

INNER = gaussian_hmm(starts=2, jobs=1)
MODELS: dict[str, tuple[Callable[..., Model], dict[str, Any]]] = {
    "gaussian_hmm": (gaussian_hmm, {"starts": 2}),
    "gaussian_hmm full": (gaussian_hmm, {"starts": 2, "covariance": "full"}),
    "gaussian_hmm tied": (gaussian_hmm, {"starts": 2, "covariance": "tied"}),
    "gaussian_hsmm": (gaussian_hsmm, {"starts": 2, "longest": 40}),
    "gaussian_hsmm full": (gaussian_hsmm, {"starts": 2, "longest": 40, "covariance": "full"}),
    "student_hmm": (student_hmm, {}),
    "student_panel": (student_panel, {}),
    "mixture_hmm": (mixture_hmm, {"starts": 2, "components": 2}),
    "autoregressive_hmm": (autoregressive_hmm, {"starts": 2}),
    "time_varying_hmm": (time_varying_hmm, {"starts": 2, "covariates": 0}),
    "factorial_hmm": (factorial_hmm, {"starts": 2}),
    "hierarchical_hmm": (hierarchical_hmm, {"starts": 2}),
    "panel_mixture": (panel_mixture, {"starts": 2}),
    "online_hmm": (online_hmm, {}),
    "gaussian_mixture": (gaussian_mixture, {"starts": 2}),
    "kmeans": (kmeans, {"starts": 2, "states": 2}),
    "jump_model": (jump_model, {"starts": 2, "penalty": 5.0}),
    "bocpd": (bocpd, {"longest": 60}),
    "cusum": (cusum, {}),
    "dwell": (dwell, {"of": INNER}),
    "delay": (delay, {"of": INNER}),
    "blend": (blend, {"of": INNER, "other": gaussian_mixture(starts=2, covariance="diagonal")}),
}


def good(bars: int = 300) -> Any:
    wild = np.resize(np.repeat([0.5, 2.0], 50), bars)[:, None]
    return wild * (np.random.default_rng(3).standard_normal((bars, 2)) + np.array([0.0, 3.0]))


def fewer_rows_than_parameters() -> Any:
    return good()[:3]


def constant() -> Any:
    return good() * np.array([1.0, 0.0]) + 0.1


def singular() -> Any:
    return good() @ np.array([[1.0, -3.0], [0.0, 0.0]])


def infinite() -> Any:
    X = good()
    X[38, 1] = np.inf
    return X


def huge() -> Any:
    X = good()
    X[38:, 1] *= 1e300
    return X


def levels() -> Any:
    X = good()
    X[:, 0] = 100.0 + 0.2 * np.arange(len(X)) + np.cumsum(X[:, 0])
    return X


FAILURES = {
    fewer_rows_than_parameters: r"3 of 3 rows are observed, \d states need at least \d+",
    constant: "feature 1 is constant over the 300 observed rows; drop it",
    huge: r"feature 1 is -?[0-9.]+e[+]\d+ in row 38, beyond 1e[+]150: its square is no number; give it in a larger",
    infinite: "feature 1 is infinite in row 38; mend the data or make it NaN",
}
TOLD = {
    singular: "feature 1 is made of those before it: the same evidence is counted twice; drop it",
    levels: "feature 0 is near a unit root: prices, or a slow feature, in the place of returns",
}


def test_models_say_whether_they_tell_a_path_in_hindsight(model: Model) -> None:
    """Else what asks for one would be told by its first fit alone."""
    if not model.panel:
        assert model.hindsight == (model.fit(good()).family.decode is not None)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    factory, settings = MODELS[request.param]
    return factory(**settings)


def fit(model: Model, X: Any) -> Fitted:
    return model.fit(window({"AAA": X, "BBB": X[::-1].copy()}) if model.panel else X)


def one_line(error: BaseException, told: str) -> None:
    assert "\n" not in str(error)
    assert len(str(error)) < 200
    assert told


@pytest.mark.parametrize("rows", FAILURES, ids=lambda rows: rows.__name__)
def test_data_that_no_model_can_learn_from_are_refused(model: Model, rows: Callable[[], Any]) -> None:
    with pytest.raises(FitError, match=FAILURES[rows]) as refused:
        fit(model, rows())
    one_line(refused.value, model.name)


@pytest.mark.parametrize("rows", TOLD, ids=lambda rows: rows.__name__)
def test_data_that_a_model_learns_little_from_are_told(model: Model, rows: Callable[[], Any]) -> None:
    found = [line for line in fit(model, rows()).degeneracies if TOLD[rows] in line]
    assert len(found) == (2 if model.panel else 1)
    assert not any("\n" in line for line in found)


def test_what_is_not_made_of_the_others_is_not_told(model: Model) -> None:
    assert not [line for line in fit(model, good()).degeneracies if "made of" in line or "unit root" in line]


def test_a_fit_of_another_version_is_refused(model: Model) -> None:
    saved = fit(model, good()).to_bytes()
    with pytest.raises(FitError, match="format version 99, this barograph reads 2; make it anew with") as refused:
        Fitted.from_bytes(_changed(saved, version=99), "model.npz")
    one_line(refused.value, model.name)


def test_a_fit_whose_model_has_other_parameters_now_is_refused(model: Model) -> None:
    saved = fit(model, good()).to_bytes()
    fields = json.loads(zipfile.ZipFile(BytesIO(saved)).read("header.json"))["fields"]
    with pytest.raises(FitError, match="is not the model this file was saved from; fit and save it again") as refused:
        Fitted.from_bytes(_changed(saved, fields=fields[::-1]), "model.npz")
    one_line(refused.value, model.name)


def _changed(saved: bytes, **facts: Any) -> bytes:
    whole = BytesIO()
    with zipfile.ZipFile(BytesIO(saved)) as old, zipfile.ZipFile(whole, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            new.writestr(name, json.dumps(json.loads(body) | facts) if name == "header.json" else body)
    return whole.getvalue()


def test_features_that_do_not_match_the_fit_are_refused(model: Model) -> None:
    fitted = fit(model, good()).of_asset(0)
    with pytest.raises(PartError, match=r"X has 3 columns, the model was fitted on 2: x0, x1") as refused:
        fitted.filter_path(np.zeros((5, 3)))
    one_line(refused.value, model.name)


ODD = ("a", [1, "b"], {}, object())


def _settings() -> list[tuple[str, str]]:
    factories = {name: of for name, of in MODELS.items() if " " not in name}
    return [(name, key) for name, (factory, _) in factories.items() for key in inspect.signature(factory).parameters]


@pytest.mark.parametrize(("name", "key"), _settings())
def test_a_setting_of_another_kind_is_one_line(name: str, key: str) -> None:
    factory, settings = MODELS[name]
    for odd in ODD:
        with pytest.raises(ConfigError) as refused:
            factory(**(settings | {key: odd}))
        one_line(refused.value, name)
        assert str(refused.value).startswith(f"{name}: ")
        assert f"{key} = " in str(refused.value)


def test_a_setting_that_is_right_is_taken_in_any_of_its_kinds() -> None:
    assert gaussian_hmm(states=np.int64(2), lasso=1, jobs=None).regimes == 2
    assert student_hmm(stays=(100, 20.0), degrees_of_freedom=5).regimes == 2  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="gaussian_hmm: lasso = 'a', a number is wanted"):
        gaussian_hmm(lasso="a")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"gaussian_hmm: jobs = 1\.5, a whole number or None is wanted"):
        gaussian_hmm(jobs=1.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"student_hmm: stays = 'ab', a list \(a number each\) or None is wanted"):
        student_hmm(stays="ab")  # type: ignore[arg-type]
