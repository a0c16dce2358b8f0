"""A fit is made once a process, and never taken for another: what it hangs on is compared byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import FitError
from barograph.features import log_return
from barograph.loop import once
from barograph.loop.once import fit_once, forget
from barograph.loop.run import scan
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import Window, window
from barograph.testing import same, some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_models.kmeans import kmeans
from barograph_strategies.regime_filter import regime_filter

ROWS = np.random.default_rng(4).standard_normal(60) * np.repeat([1.0, 4.0, 1.0], 20)
FIRST = kmeans(states=2, starts=1).fit(ROWS)


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    forget()
    yield
    forget()


def counted(
    made: list[Window], settings: Any = "it", inner: Model | None = None, labels: tuple[str, ...] = ()
) -> Model:
    """Return a model that writes down what it was asked to learn from."""

    def fit(seen: Window) -> Fitted:
        made.append(seen)
        return FIRST if inner is None else inner.learn(seen)

    return Model(fit, 2, "counted", labels, settings)


SEEN = window(ROWS)
AGAIN = Window(np.array(SEEN.rows), np.array(SEEN.ts), SEEN.names, SEEN.roles)
WITH_ZERO = SEEN._replace(rows=np.where(np.arange(60)[:, None] == 7, 0.0, SEEN.rows))
OTHERS = {
    "a row": SEEN._replace(rows=np.nextafter(SEEN.rows, np.where(np.arange(60)[:, None] == 59, 9.0, SEEN.rows))),
    "the sign of a zero": WITH_ZERO._replace(rows=np.where(WITH_ZERO.rows == 0.0, -0.0, WITH_ZERO.rows)),
    "a missing row": SEEN._replace(rows=np.where(np.arange(60)[:, None] == 7, np.nan, SEEN.rows)),
    "fewer rows": SEEN._replace(rows=SEEN.rows[1:], ts=SEEN.ts[1:]),
    "a close": SEEN._replace(ts=SEEN.ts + 1),
    "a name": SEEN._replace(names=("y",)),
    "a role": SEEN._replace(roles=("feature",)),
    "a symbol": SEEN._replace(symbols=("SPY",)),
    "a panel": SEEN._replace(tables=(SEEN.rows,)),
    "the fit before": SEEN._replace(previous=FIRST),
    "another fit before": SEEN._replace(previous=FIRST.reordered([1, 0])),
    "the state": SEEN._replace(state=(np.zeros(2), 1)),
    "another state": SEEN._replace(state=(np.zeros(2), 2)),
}


def test_the_same_fit_is_made_once() -> None:
    made: list[Window] = []
    # Another model object and other arrays: what counts is what they hold.
    assert fit_once(counted(made), SEEN) is fit_once(counted(made), AGAIN)
    assert len(made) == 1
    forget()
    fit_once(counted(made), SEEN)
    assert len(made) == 2


@pytest.mark.parametrize("what", OTHERS)
def test_whatever_else_the_window_holds_is_another_fit(what: str) -> None:
    made: list[Window] = []
    for seen in (SEEN, WITH_ZERO, *OTHERS.values()):
        if seen is not OTHERS[what]:
            fit_once(counted(made), seen)
    before = len(made)
    fit_once(counted(made), OTHERS[what])
    assert len(made) == before + 1


def test_other_settings_and_labels_are_another_fit() -> None:
    made: list[Window] = []
    for model in (counted(made, 1), counted(made, 2), counted(made, labels=("calm", "wild"))):
        fit_once(model, SEEN)
    assert len(made) == 3


@pytest.mark.parametrize("settings", [None, ["a list has no hash"]])
def test_what_cannot_be_told_is_made_every_time(settings: Any) -> None:
    made: list[Window] = []
    for _ in range(2):
        fit_once(counted(made, settings), SEEN)
    fit_once(counted(made), SEEN._replace(state=(object(),)))
    fit_once(counted(made), SEEN._replace(state=(object(),)))
    assert len(made) == 4


def test_a_fit_that_failed_is_made_again() -> None:
    tried: list[int] = []

    def fit(_seen: Window) -> Fitted:
        tried.append(1)
        raise FitError("not today")

    for _ in range(2):
        with pytest.raises(FitError, match="not today"):
            fit_once(Model(fit, 2, "failing", settings="it"), SEEN)
    assert len(tried) == 2


def test_memory_is_bounded_and_what_was_not_used_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Rows and closes of 60 bars are 960 bytes: there is room for two of them.
    monkeypatch.setattr(once, "_LIMIT", 2_000)
    made: list[Window] = []
    first, second, third = (SEEN._replace(ts=SEEN.ts + k) for k in range(3))
    for seen in (first, second, first, third, first):
        fit_once(counted(made), seen)
    assert len(made) == 3
    fit_once(counted(made), second)
    assert len(made) == 4


@pytest.mark.parametrize(
    ("model", "other"),
    [
        (gaussian_hmm, {"states": 3}),
        (gaussian_hmm, {"covariance": "full"}),
        (gaussian_hmm, {"starts": 4}),
        (gaussian_hmm, {"iterations": 900}),
        (gaussian_hmm, {"tolerance": 1e-7}),
        (gaussian_hmm, {"seed": 1}),
        (gaussian_hmm, {"variance_floor": 1e-5}),
        (gaussian_mixture, {"states": 3}),
        (gaussian_mixture, {"covariance": "diagonal"}),
        (gaussian_mixture, {"tolerance": 1e-7}),
        (gaussian_mixture, {"variance_floor": 1e-5}),
        (kmeans, {"states": 2}),
        (kmeans, {"iterations": 90}),
        (kmeans, {"scale": False}),
    ],
)
def test_what_ships_says_all_that_it_hangs_on(model: Any, other: dict[str, Any]) -> None:
    assert model().settings == model(jobs=3).settings == model().settings
    assert hash(model().settings) == hash(model().settings)
    assert model(**other).settings != model().settings


def test_two_runs_share_their_fits_and_a_third_on_other_bars_does_not() -> None:
    inner, made = partial(kmeans, states=2, starts=2), []
    history = some_bars(160, assets=1, seed=3)

    def machine(threshold: float, of: Model) -> bg.Machine:
        plan = bg.Fit(window=80, every=30)
        return bg.Machine(strategy=regime_filter(threshold=threshold), features=[log_return()], model=of, fit=plan)

    runs = [scan(machine(t, counted(made, inner().settings, inner())), history) for t in (0.5, 0.6)]
    fits = len(runs[0].fits)
    assert len(made) == fits > 2
    assert all(one.fitted is two.fitted for one, two in zip(runs[0].fits[:1], runs[1].fits[:1], strict=True))
    alone = scan(machine(0.6, counted([], None, inner())), history)
    assert same(runs[1], alone)
    scan(machine(0.5, counted(made, inner().settings, inner())), some_bars(160, assets=1, seed=4))
    assert len(made) == 2 * fits
