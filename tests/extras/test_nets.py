"""Nets against torch: what torch says of the same weights, and what is learned, seed for seed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from barograph.regimes.filtering import filter_rows
from barograph.types import Filter
from tests.extras import wants

wants("deep", "torch")

import torch  # noqa: E402

from barograph_models._classify.labels import Labels  # noqa: E402
from barograph_models._classify.learning import Learned, Task  # noqa: E402
from barograph_models._nets import modules as nets  # noqa: E402
from barograph_models._nets.amortise import Schedule, learn  # noqa: E402
from barograph_models._nets.attention import TRANSFORMER_STEPS, TransformerParams  # noqa: E402
from barograph_models._nets.convolution import CNN_STEPS, CNNParams  # noqa: E402
from barograph_models._nets.recurrent import CARRIED_STEPS, LSTM_STEPS, LSTMParams  # noqa: E402
from barograph_models._nets.training import Training, _restore, alone, train_carried, train_windows  # noqa: E402
from barograph_models.cnn import cnn  # noqa: E402
from barograph_models.lstm import lstm  # noqa: E402
from barograph_models.transformer import transformer  # noqa: E402

HOW = Training(epochs=12, batch=32, rate=1e-2, clip=1.0, keep="best", piece=25)
WHOLE_CNN, WHOLE_LSTM = nets.CNNSizes(60, 64, 3, 0.1), nets.LSTMSizes(60, 64, 2, 0.1)
WHOLE_TRANSFORMER = nets.TransformerSizes(60, 64, 2, 4, 128, 0.1)


@pytest.fixture
def double() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def online(steps: Any, kind: Any, own: Any, d: int, K: int) -> Filter:
    common = (np.full(K, 1.0 / K), np.full((K, K), 1.0 / K), np.zeros((K, d)), np.ones((K, d)))
    return Filter(*steps, kind(*common, np.zeros(d), np.ones(d), np.ones(1), np.zeros((2, K, 0)), *own), K, "net")


def windows(X: Any, n: int) -> Any:
    return torch.tensor(np.lib.stride_tricks.sliding_window_view(X, n, axis=0).transpose(0, 2, 1).copy())


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("kind", "steps", "params", "sizes", "d", "K"),
    [
        (nets.CNN, CNN_STEPS, CNNParams, WHOLE_CNN, 6, 3),
        (nets.CNN, CNN_STEPS, CNNParams, nets.CNNSizes(13, 7, 5, 0.0), 1, 2),
        (nets.LSTM, LSTM_STEPS, LSTMParams, WHOLE_LSTM, 6, 3),
        (nets.LSTM, LSTM_STEPS, LSTMParams, nets.LSTMSizes(7, 9, 1, 0.0), 2, 4),
        (nets.TRANSFORMER, TRANSFORMER_STEPS, TransformerParams, WHOLE_TRANSFORMER, 6, 3),
        (nets.TRANSFORMER, TRANSFORMER_STEPS, TransformerParams, nets.TransformerSizes(9, 10, 3, 2, 7, 0.0), 1, 2),
    ],
    ids=lambda of: of.name if isinstance(of, nets.Kind) else None,
)
def test_a_thousand_windows_are_torchs(kind: Any, steps: Any, params: Any, sizes: Any, d: int, K: int) -> None:
    torch.manual_seed(1)
    net = kind.build(sizes, d, K).eval()
    own = kind.own(sizes, net)
    assert [a.shape for a in own] == [a.shape for a in kind.like(sizes, d, K)]
    # Weights of a layer norm begin at one: others tell more.
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
        own = kind.own(sizes, net)
        X = np.random.default_rng(2).standard_normal((999 + sizes.window, d))
        wanted = torch.softmax(kind.say(net, windows(X, sizes.window)), -1).numpy()
    found = filter_rows(online(steps, params, own, d, K), X)[1][sizes.window - 1 :, :-1]
    assert found.shape == (1_000, K)
    assert np.abs(found - wanted).max() < 1e-12
    assert np.ptp(wanted[:, 0]) > 0.01


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("sizes", [nets.LSTMSizes(1, 64, 2, 0.1), nets.LSTMSizes(1, 5, 3, 0.0)])
def test_what_is_carried_on_is_torchs(sizes: Any) -> None:
    torch.manual_seed(1)
    net = nets.LSTM.build(sizes, 4, 3).eval()
    X = np.random.default_rng(2).standard_normal((1_000, 4))
    with torch.no_grad():
        wanted = torch.softmax(net["out"](net["cells"](torch.tensor(X[None]))[0][0]), -1).numpy()
    found = filter_rows(online(CARRIED_STEPS, LSTMParams, nets.LSTM.own(sizes, net), 4, 3), X)[1][:, :-1]
    assert np.abs(found - wanted).max() < 1e-12


# ---- learning


def planted(T: int = 1_500, lag: int = 3, seed: int = 0) -> Task:
    """Return rows of which the class is the sign of feature 0 three whole rows before; some are missing."""
    random = np.random.default_rng(seed)
    Z = random.standard_normal((T, 2))
    Z[random.random(T) < 0.05] = np.nan
    there = np.flatnonzero(np.isfinite(Z).all(axis=1))
    classes = np.full(T, -1)
    classes[there[lag:]] = Z[there[:-lag], 0] > 0.0
    usable = (classes >= 0) & (np.arange(T) > 20)
    held = usable & (np.arange(T) >= T - 200)
    return Task(Z, classes, usable & ~held, held, 2, np.ones(2), 0)


TRAINERS: dict[str, tuple[Callable[[Task], Learned], Any, Any]] = {
    "cnn": (partial(train_windows, nets.CNN, nets.CNNSizes(8, 16, 3, 0.0), HOW, "none"), CNN_STEPS, CNNParams),
    "lstm": (partial(train_windows, nets.LSTM, nets.LSTMSizes(6, 12, 1, 0.0), HOW, "none"), LSTM_STEPS, LSTMParams),
    "carried": (
        partial(train_carried, nets.LSTMSizes(1, 12, 1, 0.0), HOW._replace(batch=1)),
        CARRIED_STEPS,
        LSTMParams,
    ),
    "transformer": (
        partial(train_windows, nets.TRANSFORMER, nets.TransformerSizes(6, 16, 1, 2, 16, 0.0), HOW, "none"),
        TRANSFORMER_STEPS,
        TransformerParams,
    ),
}


@pytest.mark.parametrize("name", TRAINERS)
def test_what_was_learned_is_what_is_scored(name: str) -> None:
    """The class hangs on a row three whole rows before: a window that is off by one or keeps a hole knows less."""
    train, steps, params = TRAINERS[name]
    learned, fresh = train(planted()), planted(seed=1)
    told = filter_rows(online(steps, params, learned.own, 2, 2), fresh.Z)[1][:, 1] > 0.5
    right = told[fresh.learn] == (fresh.classes[fresh.learn] == 1)
    assert np.mean(right) > (0.85 if name == "cnn" else 0.93), np.mean(right)


@pytest.mark.parametrize("name", TRAINERS)
def test_one_seed_gives_one_fit_and_another_another(name: str) -> None:
    train, task = TRAINERS[name][0], planted(400)
    torch.rand(5)
    one, again, other = train(task), train(task), train(task._replace(seed=1))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one.own, again.own, strict=True))
    assert one.curve.tobytes() == again.curve.tobytes()
    assert one.own[-2].tobytes() != other.own[-2].tobytes()


@pytest.mark.parametrize("name", ["lstm", "carried"])
def test_what_is_held_out_chooses_the_epoch_and_teaches_nothing(name: str) -> None:
    train, task = TRAINERS[name][0], planted(400)
    wrong = task._replace(classes=np.where(task.stop, 1 - task.classes, task.classes))
    one, other = train(task), train(wrong)
    assert one.curve[:, 0].tobytes() == other.curve[:, 0].tobytes()
    assert int(one.curve[:, 1].argmin()) > int(other.curve[:, 1].argmin())
    assert one.own[-2].tobytes() != other.own[-2].tobytes()


@pytest.mark.parametrize("fresh", [0.0, 1.0])
def test_a_piece_goes_on_from_the_one_before_and_some_begin_anew(fresh: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By weights that do not move: the loss of a piece is then that of the filter, run from where the piece began."""
    monkeypatch.setattr("barograph_models._nets.training.FRESH", fresh)
    Z = np.random.default_rng(0).standard_normal((160, 2))
    classes, held = (Z[:, 0] > 0.0).astype(np.int64), np.arange(160) >= 156
    task = Task(Z, classes, ~held, held, 2, np.ones(2), 0)
    still = HOW._replace(piece=4, rate=1e-12, keep="last")
    learned = train_carried(nets.LSTMSizes(1, 8, 1, 0.0), still, task)
    # Whoever begins anew at every piece knows the last piece and this one.
    seen = Z[152:] if fresh else Z
    told = filter_rows(online(CARRIED_STEPS, LSTMParams, learned.own, 2, 2), seen)[1][-4:, :-1]
    wanted = -np.log(told[np.arange(4), classes[156:]]).mean()
    assert abs(learned.curve[-1, 1] - wanted) < 1e-6


def test_without_rows_held_out_the_last_epoch_is_kept() -> None:
    task = planted(400)
    nothing = train_windows(nets.LSTM, nets.LSTMSizes(6, 4, 1, 0.0), HOW, "none", task._replace(stop=task.stop & False))
    last = train_windows(nets.LSTM, nets.LSTMSizes(6, 4, 1, 0.0), HOW._replace(keep="last"), "none", task)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(nothing.own, last.own, strict=True))
    assert np.isnan(nothing.curve[:, 1]).all()
    assert np.isfinite(last.curve).all()


def test_a_weighted_class_is_answered_more_often() -> None:
    random = np.random.default_rng(0)
    classes = (random.random(600) < 0.2).astype(np.int64)
    Z = random.standard_normal((600, 1)) + 0.8 * classes[:, None]
    all_rows = np.arange(600) > 10
    sizes, how = nets.LSTMSizes(6, 6, 1, 0.0), HOW._replace(epochs=4, batch=2)
    shares = []
    for weights in (np.ones(2), np.array([0.4, 1.6])):
        task = Task(Z, classes, all_rows, ~all_rows & False, 2, weights, 0)
        windowed = train_windows(nets.LSTM, sizes, HOW._replace(epochs=4), "none", task)
        for steps, learned in ((LSTM_STEPS, windowed), (CARRIED_STEPS, train_carried(sizes, how, task))):
            shares.append(np.mean(filter_rows(online(steps, LSTMParams, learned.own, 1, 2), Z)[1][:, 1]))
    assert shares[2] > shares[0] + 0.1
    assert shares[3] > shares[1] + 0.1


def test_torch_is_left_as_it_was_found() -> None:
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    try:
        TRAINERS["lstm"][0](planted(400))
        assert torch.get_num_threads() == 2
        assert torch.get_default_dtype() == torch.float64
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)


@pytest.mark.parametrize("make", [partial(cnn, window=8, filters=8), partial(lstm, window=6, hidden=8, layers=1),
                                  partial(lstm, hidden=8, layers=1, carried=True),
                                  partial(transformer, window=6, width=8, heads=2, layers=1, feed=8)])  # fmt: skip
def test_a_model_learns_is_judged_and_is_saved(make: Any) -> None:
    from barograph.testing import check_model

    s = (np.arange(1_500) // 60) % 2
    X = np.random.default_rng(0).standard_normal((1_500, 1)) * np.where(s == 1, 3.0, 1.0)[:, None]
    X = np.column_stack([X, np.abs(X)])
    truth = Labels(lambda window: s[: len(window.rows)].copy(), ("calm", "wild"), 0, "known", None)
    model = make(truth, epochs=8, rate=1e-2)
    fitted = model.fit(X)
    assert fitted.labels == ("calm", "wild")
    assert any("one seed, 0" in note for note in fitted.notes)
    assert fitted.judged is not None
    assert fitted.judged.curve.shape == (8, 2)
    assert len(fitted.judged.bars) > 100
    told = fitted.filter_path(X).probs[:, 1]
    assert np.mean(told[s == 1]) > np.mean(told[s == 0]) + 0.4
    # Half of the rows, which "shapes" fits to, are too few for a net.
    held = check_model(model, X, without=["shapes"]).held
    assert {"future", "steps", "saving", "missing bars", "scale", "unseen bars"} <= set(held)


# ---- truth

MEAN, VARIANCE = np.array([0.000615, -0.000785]), np.array([6.02045e-5, 3.02642e-4])
MOVES, LONG_RUN = np.array([[0.99788424, 0.00211576], [0.01198171, 0.98801829]]), np.array([0.8499, 0.1501])


def world(bars: int, paths: int, seed: int) -> tuple[Any, Any]:
    """Return returns and regimes (paths, bars) of the daily world with Student-t noise of five degrees of freedom."""
    random = np.random.default_rng(seed)
    s = np.empty((paths, bars), dtype=np.int64)
    s[:, 0] = random.random(paths) < LONG_RUN[1]
    for t in range(1, bars):
        s[:, t] = random.random(paths) < MOVES[s[:, t - 1], 1]
    return MEAN[s] + np.sqrt(VARIANCE[s] * 3 / 5) * random.standard_t(5, (paths, bars)), s


def bayes(x: Any) -> Any:
    """Return P(wild | returns so far) with the true parameters, (paths, bars)."""
    scale = np.sqrt(VARIANCE * 3 / 5)
    now, told = np.tile(LONG_RUN, (len(x), 1)), np.empty(x.shape)
    for t in range(x.shape[1]):
        now = (now @ MOVES if t else now) * (1 + ((x[:, t, None] - MEAN) / scale) ** 2 / 5) ** -3 / scale
        now /= now.sum(axis=1, keepdims=True)
        told[:, t] = now[:, 1]
    return told


def features(x: Any) -> Any:
    return np.stack([x, np.abs(x)], axis=-1)


def scores(told: Any, s: Any) -> tuple[float, float]:
    """Return Brier and log score."""
    right = np.where(s == 1, told, 1.0 - told)
    return float(2.0 * np.mean((told - s) ** 2)), float(-np.log(right + 1e-12).mean())


def test_an_lstm_comes_near_to_bayes_where_the_truth_is_known() -> None:
    x, s = world(800_000, 1, seed=0)
    truth = Labels(lambda _: s[0].copy(), ("calm", "wild"), 0, "known", None)
    model = lstm(truth, hidden=32, layers=1, dropout=0.0, carried=True, piece=250, batch=5_000, rate=5e-3, epochs=8)
    began = time.process_time()
    fitted = model.fit(features(x)[0])
    print(f"{time.process_time() - began:.1f} CPU s")
    y, truths = world(1_000, 300, seed=1)
    brier, logs = scores(np.array([fitted.filter_path(features(path)).probs[:, 1] for path in y]), truths)
    print(f"Brier {brier:.4f}, log score {logs:.4f}; Bayes {scores(bayes(y), truths)}")
    assert brier <= 0.0625
    assert logs <= 0.118
    # Where there is one regime only, the reference is what Bayes says of the same path.
    random, pooled = np.random.default_rng(2), float((LONG_RUN * VARIANCE).sum())
    t5 = random.standard_t(5, (40, 1_000)) * np.sqrt(3 / 5)
    for flat in (
        t5 * np.sqrt(pooled),
        t5 * np.sqrt(VARIANCE[0]),
        random.standard_normal((40, 1_000)) * np.sqrt(pooled),
    ):
        told = np.array([fitted.filter_path(features(path)).probs[:, 1] for path in flat])
        print(f"mean P(wild) where nothing is: {told.mean():.4f}, Bayes {bayes(flat).mean():.4f}")
        assert abs(told.mean() - bayes(flat).mean()) < 0.02


def test_the_script_makes_the_same_weights_again() -> None:
    short = Schedule(steps=2, bars=60, piece=20)
    one, again = learn(short), learn(short)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, again, strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(one, learn(short._replace(seed=1)), strict=True))


def _settings() -> dict[str, Any]:
    """All of torch that is the whole process's, and that a fit might change."""
    return {
        "threads": torch.get_num_threads(),
        "strict": torch.are_deterministic_algorithms_enabled(),
        "warned": torch.is_deterministic_algorithms_warn_only_enabled(),
        "kind": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "precision": torch.get_float32_matmul_precision(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "random": torch.get_rng_state().tolist(),
        # What waits for a device that has not been begun with; `manual_seed` leaves a seed there.
        "waiting": len(torch.cuda._queued_calls) if not torch.cuda.is_initialized() else torch.cuda.initial_seed(),
    }


@contextlib.contextmanager
def _odd() -> Iterator[None]:
    """Everything set otherwise than a fit wants it."""
    with contextlib.ExitStack() as after:
        _restore(torch, after)
        torch.set_num_threads(2)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        yield


AROUND: dict[str, Callable[[], Any]] = {
    "nothing": contextlib.nullcontext,
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": partial(torch.autocast, "cpu"),
    "another device": partial(torch.device, "meta"),
    "odd settings": _odd,
}


@pytest.mark.parametrize("name", AROUND)
def test_a_fit_learns_the_same_and_changes_nothing_whatever_is_asked_of_torch_around_it(name: str) -> None:
    task, sizes, how = planted(400), nets.LSTMSizes(6, 4, 1, 0.1), HOW._replace(epochs=2)
    fits: list[Callable[[], Learned]] = [
        partial(train_windows, nets.LSTM, sizes, how, "none", task),
        partial(train_carried, sizes, how, task),
    ]
    for fit in fits:
        plain = fit()
        with AROUND[name]():
            before = _settings()
            found = fit()
            assert _settings() == before
        assert [a.tobytes() for a in found.own] == [a.tobytes() for a in plain.own]


def test_a_fit_that_fails_changes_nothing_either() -> None:
    before = _settings()
    with pytest.raises(IndexError), alone(torch, 3):
        torch.rand(2)[5]
    assert _settings() == before
