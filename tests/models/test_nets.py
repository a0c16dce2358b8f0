"""Nets as filters: the same bits compiled, in plain Python, resumed and elsewhere; scored where torch is missing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.audit.lookahead import audit
from barograph.data.synthetic import SCENARIOS, simulate
from barograph.errors import ConfigError, FitError
from barograph.features import log_return, rolling_volatility
from barograph.jit.memory import Memory
from barograph.jit.views import frozen
from barograph.regimes.filtering import filter_rows
from barograph.regimes.fitted import Fitted, Model
from barograph.testing import check_model, some_bars
from barograph.testing.parts import check_machine
from barograph_models import amortised as shipped
from barograph_models._nets.amortise import Schedule, packed
from barograph_models._nets.modules import positions
from barograph_models._nets.training import cut
from barograph_models._nets.worlds import inputs_of, worlds
from barograph_models.amortised import amortised
from barograph_models.cnn import cnn
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.labels import labels_of
from barograph_models.lstm import lstm
from barograph_models.transformer import transformer
from barograph_strategies.regime_filter import regime_filter
from tests import ROOT
from tests.campaigns.processors import ENVIRONMENTS

LABELS = labels_of(gaussian_hmm(states=3, starts=1))
SMALL: dict[str, Callable[[], Model]] = {
    "cnn": partial(cnn, LABELS, window=9, filters=5),
    "lstm": partial(lstm, LABELS, window=5, hidden=3),
    "lstm carried": partial(lstm, LABELS, hidden=3, carried=True),
    "lstm carried, one layer": partial(lstm, LABELS, hidden=5, layers=1, carried=True),
    "transformer": partial(transformer, LABELS, window=5, width=6, heads=3, feed=5),
}
WHOLE: dict[str, Callable[[], Model]] = {
    "cnn": partial(cnn, LABELS, window=60),
    "lstm": partial(lstm, LABELS, window=60),
    "lstm carried": partial(lstm, LABELS, carried=True),
    "transformer": partial(transformer, LABELS),
}
D = 3


def rows(count: int, d: int = D, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, d))


def fit(name: str) -> Fitted:
    model = SMALL[name]()
    assert model.untrained is not None
    return model.untrained(D)


def path(fitted: Fitted, X: Any, interpret: bool = False) -> Any:
    return filter_rows(fitted.filter(), X, interpret)[1]


@pytest.mark.parametrize("name", SMALL)
def test_compiled_is_plain_python_is_stepped_by_hand(name: str) -> None:
    fitted, X = fit(name), rows(40)
    whole, online = path(fitted, X), fitted.filter()
    assert whole.tobytes() == path(fitted, X, interpret=True).tobytes()
    state = online.init(online.params)
    for x, told in zip(X, whole, strict=True):
        state, belief = online.step(state, frozen(x), online.params)
        assert [*belief.probs] == [*told[:-1]]
    assert len(np.unique(whole[20:, 0])) == 20


@pytest.mark.parametrize("name", SMALL)
def test_what_is_resumed_goes_on_to_the_bit(name: str) -> None:
    fitted, X = fit(name), rows(40)
    whole, online = path(fitted, X), fitted.filter()
    state, _ = filter_rows(online, X[:23])
    for t in range(23, 40):
        state, belief = online.step(state, frozen(X[t]), online.params)
        assert [*belief.probs] == [*whole[t, :-1]]


@pytest.mark.parametrize("name", SMALL)
def test_a_missing_row_is_not_taken_and_the_belief_moves_as_the_classes_do(name: str) -> None:
    fitted, X = fit(name), rows(40)
    moves = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]])
    fitted = replace(fitted, params=fitted.params._replace(transition=moves))
    holes = np.insert(X, [12, 12, 30], np.nan, axis=0)
    holes[12, :2] = 1.0  # one cell is enough
    there = np.isfinite(holes).all(axis=1)
    told = path(fitted, holes)
    assert told[there].tobytes() == path(fitted, X).tobytes()
    for t in np.flatnonzero(~there):
        np.testing.assert_allclose(told[t], [*(told[t - 1, :-1] @ moves), 0.0], atol=1e-15)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_said_is_calibrated(name: str) -> None:
    fitted, X = fit(name), rows(40)
    warm = replace(fitted, params=fitted.params._replace(temperature=np.array([0.25])))
    wanted = path(fitted, X)[20:, :-1] ** 4.0
    told = path(warm, X)[20:, :-1]
    np.testing.assert_allclose(told, wanted / wanted.sum(axis=1, keepdims=True), atol=1e-14)


@pytest.mark.parametrize("name", ["cnn", "lstm", "transformer"])
def test_a_window_forgets_what_is_before_it_and_nothing_in_it(name: str) -> None:
    fitted, X, n = fit(name), rows(40), 9 if name == "cnn" else 5
    last = path(fitted, X)[-1, 0]
    for t in range(40):
        moved = X.copy()
        moved[t] += 1.0
        # The last pair of an odd number has no other half: a convolution of nine rows pools eight, then four, of them.
        assert (path(fitted, moved)[-1, 0] == last) == (t < 40 - n)


def test_before_the_window_is_full_the_shares_are_believed() -> None:
    fitted = fit("transformer")
    told = path(fitted, rows(6))
    assert (told[:4, :-1] == fitted.params.start).all()
    assert (told[4:, :-1] != fitted.params.start).any(axis=1).all()


@pytest.mark.parametrize("name", WHOLE)
def test_a_state_is_small(name: str) -> None:
    model = WHOLE[name]()
    assert model.untrained is not None
    online = model.untrained(6).filter()
    memory = Memory.of((online.init(online.params),), ("filter",))
    assert memory.f.nbytes + memory.i.nbytes <= 16 * 1024


@pytest.mark.parametrize("name", SMALL)
def test_scan_is_replay_is_live_is_resumed(name: str) -> None:
    features = [log_return(), rolling_volatility(5), rolling_volatility(20)]
    machine = bg.Machine(regime_filter(calm=0, threshold=0.3), features, filter=fit(name).filter())
    check_machine(machine, some_bars(90, missing=0.05), cuts=[60])


def test_amortised_runs_as_any_model_does_and_knows_no_future() -> None:
    history = simulate(SCENARIOS["daily2"], bars=200, seed=3).history
    machine = bg.Machine(regime_filter(calm=0), [log_return()], amortised(), fit=bg.Fit(window=100, every=40))
    check_machine(machine, history, cuts=[160])
    found = audit(machine, history, cuts=2)
    assert found.clean
    assert found.leaks == ()


def test_positions_are_waves() -> None:
    t, i = np.arange(200.0)[:, None], np.arange(5)
    wave = t / 10_000.0 ** (2 * i / 9)
    told = positions(200, 9)
    assert np.abs(told[:, ::2] - np.sin(wave)).max() < 1e-13
    assert np.abs(told[:, 1::2] - np.cos(wave)[:, :4]).max() < 1e-13


def test_pieces_hold_all_rows_and_what_they_are_filled_up_with_is_not_learned() -> None:
    pieces = cut(np.arange(14.0).reshape(7, 2), np.arange(7), np.full(7, -1), 3)
    assert pieces.X.reshape(9, 2)[:7].ravel().tolist() == [*np.arange(14.0)]
    assert pieces.learned.tolist() == [[0, 1, 2], [3, 4, 5], [6, -1, -1]]
    assert (pieces.held == -1).all()


@pytest.mark.parametrize("make", [cnn, lstm, partial(lstm, carried=True), transformer])
def test_learning_without_torch_says_what_to_install(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    X = np.random.default_rng(0).standard_normal((1_400, 1)) * np.tile(np.repeat([[1.0], [4.0]], 100, axis=0), (7, 1))
    with pytest.raises(FitError, match=r"^\w+: learning needs torch, .*install barograph\[deep\]$"):
        make(labels_of(gaussian_hmm(states=2, starts=1))).fit(X)


def test_few_rows_name_what_learns_from_them() -> None:
    X = np.random.default_rng(0).standard_normal((280, 1)) * np.repeat([[1.0], [4.0]], 140, axis=0)
    told = r"^cnn: 2\d\d labelled rows with 29 whole rows before them are known, it needs 1000: .*logistic or forest"
    with pytest.raises(FitError, match=told):
        cnn(labels_of(gaussian_hmm(states=2, starts=1))).fit(X)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (partial(cnn, LABELS, width=4), "an odd width"),
        (partial(cnn, LABELS, window=3), "4 rows at least"),
        (partial(cnn, LABELS, filters=0), "filters = 0"),
        (partial(transformer, LABELS, width=10, heads=4), "width = 10 and heads = 4"),
        (partial(lstm, LABELS, layers=0), "layers = 0"),
        (partial(lstm, LABELS, carried=True, oversample="smote"), "use weights, or a window"),
        (partial(lstm, LABELS, dropout=1.0), "dropout = 1.0"),
        (partial(cnn, LABELS, keep="first"), "keep = 'first'"),
        (partial(cnn, LABELS, rate=0.0), "rate = 0.0"),
        (partial(cnn, LABELS, epochs=0), "epochs = 0"),
        (partial(cnn, "labels.csv"), "label_file"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(make: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make()


# ---- where another processor, or another library, scores


SCORED = """
import hashlib, sys
sys.modules["torch"] = sys.modules["sklearn"] = None
import numpy as np
from barograph.regimes.fitted import Fitted
X = np.random.default_rng(0).standard_normal((40, 3))
for path in sys.argv[1:]:
    fitted = Fitted.load(path)
    told = fitted.filter_path(X[:, : len(fitted.features)]).probs
    print(hashlib.sha256(told.tobytes()).hexdigest())
"""


def saved(folder: Path) -> list[str]:
    fits = [*map(fit, SMALL), amortised().fit(rows(40, 1))]
    for n, fitted in enumerate(fits):
        fitted.save(folder / f"{n}.npz")
    return [str(folder / f"{n}.npz") for n in range(len(fits))]


@pytest.mark.parametrize("environment", ["native", "no-fma", pytest.param("generic", marks=pytest.mark.long)])
def test_a_saved_fit_scores_the_same_anywhere_without_torch(environment: str, tmp_path: Path) -> None:
    files = saved(tmp_path)
    mine = [Fitted.load(file) for file in files]
    X = rows(40)
    wanted = [hashlib.sha256(one.filter_path(X[:, : len(one.features)]).probs.tobytes()).hexdigest() for one in mine]
    more = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]), "NUMBA_DISABLE_JIT": "0"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCORED, *files], capture_output=True, text=True,
                          env=os.environ | more | ENVIRONMENTS[environment], check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == wanted


# ---- the filter that never saw a market


def test_the_weights_are_those_that_were_trained() -> None:
    data = shipped.FILE.read_bytes()
    assert hashlib.sha256(data).hexdigest() == shipped.DIGEST
    held = shipped.weights()
    own = tuple(held[name] for name in ("entry", "between", "recurrent", "bias", "out", "out_bias"))
    assert packed(own, Schedule()) == data


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "amortised.npz"
    other.write_bytes(shipped.FILE.read_bytes()[:-1])
    monkeypatch.setattr(shipped, "FILE", other)
    shipped.weights.cache_clear()
    with pytest.raises(FitError, match=r"^amortised: amortised.npz has digest \w{12}, wanted \w{12}; install"):
        amortised().fit(rows(40, 1))
    shipped.weights.cache_clear()


def test_amortised_owes_what_every_model_owes() -> None:
    X = worlds(1, 400, seed=3).returns[0][:, None]
    held = check_model(amortised(), X).held
    assert {"future", "steps", "saving", "missing bars", "scale", "shapes", "unseen bars"} <= set(held)


def test_amortised_tells_the_regimes_of_fresh_worlds() -> None:
    """A sample of what `make bench` measures on more."""
    drawn = worlds(30, 1_500, seed=0)
    told = np.array([amortised().fit(x[:750]).filter_path(x).probs[250:, 1] for x in drawn.returns])
    assert 2.0 * np.mean((told - drawn.regimes[:, 250:]) ** 2) < 0.115


def test_amortised_is_the_same_whatever_it_was_fitted_on() -> None:
    x = worlds(2, 300, seed=5).returns
    one, other = (amortised().fit(of) for of in x)
    assert one.filter_path(x[0]).probs.tobytes() == other.filter_path(x[0]).probs.tobytes()
    calm, wild = one.moments().variance[:, 0]  # type: ignore[union-attr]
    assert wild > calm > 0.0


def test_amortised_sees_no_unit() -> None:
    x = worlds(1, 300, seed=6).returns[0]
    told = (amortised().fit(x * unit).filter_path(x * unit).probs for unit in (1.0, 2.0**-9))
    assert next(told).tobytes() == next(told).tobytes()


def test_amortised_refuses_what_is_no_return() -> None:
    with pytest.raises(FitError, match=r"^amortised: looks at returns alone, found 2 columns: x0, x1; wanted"):
        amortised().fit(rows(40, 2))
    with pytest.raises(FitError, match=r"^amortised: 40 of 40 returns are there, and none differs from zero"):
        amortised().fit(np.zeros(40))


def test_what_is_seen_is_the_past_alone() -> None:
    x = worlds(1, 1_400, seed=7).returns
    moved = x.copy()
    moved[:, 700:] *= -5.0
    assert (inputs_of(x)[:, :700] == inputs_of(moved)[:, :700]).all()
    # Until a thousand returns it is the root of their mean square.
    assert abs(inputs_of(x)[0, 600, 0] - x[0, 600] / np.sqrt(np.mean(x[0, :600] ** 2))) < 1e-12


def test_no_world_of_the_prior_is_seen_otherwise_for_what_keeps_wrong_prints_out() -> None:
    """The weights that ship were trained on these bits, before there was a bound."""
    seen = inputs_of(worlds(300, 1_500, seed=0).returns)
    assert hashlib.sha256(seen.tobytes()).hexdigest()[:16] == "4925bd820049d7b7"


@pytest.mark.parametrize("print_", [129.0, 1e4, 1e120])
def test_a_wrong_print_is_not_the_scale_of_the_thousand_bars_after_it(print_: float) -> None:
    x = worlds(1, 1_000, seed=4).returns
    wrong = x.copy()
    wrong[0, 400] = print_ * np.sqrt(np.mean(x[0, :400] ** 2))
    seen, told = inputs_of(x)[0, 401:, 0], inputs_of(wrong)[0, 401:, 0]
    inside = np.abs(seen) < 7.5
    np.testing.assert_allclose(told[inside], seen[inside], rtol=0.08)
    # One that the prior could draw moves the scale as it does in the worlds that were trained on: four times at most.
    wrong[0, 400] = 127.0 * np.sqrt(np.mean(x[0, :400] ** 2))
    assert (np.abs(inputs_of(wrong)[0, 401:, 0])[inside] > np.abs(seen[inside]) / 7.0).all()


def test_a_scale_that_has_truly_moved_is_reached() -> None:
    x = worlds(1, 1_400, seed=4).returns
    x[0, 400:] *= 1_000.0
    assert 0.5 < np.sqrt(np.mean(inputs_of(x)[0, 700:1_000, 0] ** 2)) < 2.0


def test_worlds_are_drawn_as_the_prior_says() -> None:
    drawn = worlds(3_000, 200, seed=1)
    ratio, calm, wild, freedom, _, _ = drawn.drawn.T
    for of, low, high in ((ratio, 1.6, 4.0), (calm, 80.0, 800.0), (wild, 25.0, 250.0), (freedom, 3.2, 16.0)):
        assert low < of.min() < low * 1.05
        assert high * 0.95 < of.max() < high
        assert abs(np.mean(np.log(of)) - np.log(low * high) / 2) < 0.05 * np.log(high / low)
    share = np.mean(drawn.regimes, axis=1)
    assert abs(np.mean(share - wild / (calm + wild))) < 0.02
    for k, deviation in ((0, 1.0), (1, np.sqrt(1.6 * 4.0))):
        long = np.count_nonzero(drawn.regimes == k, axis=1) > 99
        told = [np.std(x[s == k]) for x, s in zip(drawn.returns[long], drawn.regimes[long], strict=True)]
        assert 0.9 < np.median(told) / deviation < 1.1
