"""Nets in the loop: nanoseconds a bar beside torch and onnxruntime in this process, and filters that were never fitted.

Without torch its rows say so: it is an extra (`deep`), as is onnxruntime, which nothing of ours needs.
"""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from barograph.errors import FitError
from barograph.regimes.fitted import Fitted, Model
from barograph.types import Floats
from barograph_models._nets import modules as kinds
from barograph_models._nets.worlds import Worlds, worlds
from barograph_models.amortised import amortised
from barograph_models.cnn import cnn
from barograph_models.forest import forest
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.labels import labels_of
from barograph_models.lstm import lstm
from barograph_models.student_hmm import student_hmm
from barograph_models.transformer import transformer
from benchmarks import Row, Table, bars

FEATURES, CLASSES, WINDOW = 6, 3, 60
LEARNED, SCORED = 750, 750
LABELS = labels_of(gaussian_hmm(states=CLASSES, starts=1))

LSTM, CARRIED = kinds.LSTMSizes(WINDOW, 64, 2, 0.1), kinds.LSTMSizes(1, 64, 2, 0.1)
CNN, TRANSFORMER = kinds.CNNSizes(WINDOW, 64, 3, 0.1), kinds.TransformerSizes(WINDOW, 64, 2, 4, 128, 0.1)
NETS: dict[str, tuple[Callable[[], Model], Any, Any, str]] = {
    "cnn, 60 rows": (partial(cnn, LABELS, window=WINDOW), kinds.CNN, CNN, "≤ 60 µs"),
    "lstm, carried, 2 × 64": (partial(lstm, LABELS, carried=True), kinds.LSTM, CARRIED, "≤ 30 µs"),
    "lstm, 60 rows, 2 × 64": (partial(lstm, LABELS, window=WINDOW), kinds.LSTM, LSTM, ""),
    "transformer, 60 rows": (partial(transformer, LABELS), kinds.TRANSFORMER, TRANSFORMER, "≤ 800 µs"),
}


def measure(size: float = 1.0) -> Table:
    """Lay out what a bar costs, and then what is believed of worlds whose regimes are known."""
    rows = [_forest(size), *(_speed(name, *what, size) for name, what in NETS.items())]
    return Table(
        f"Nets: {FEATURES} features, {CLASSES} regimes; ns a bar, CPU", rows + _fresh(bars(200, size, least=2))
    )


def _forest(size: float) -> Row:
    """Return the row of a forest that was learned: one of chance would have no depth."""
    random = np.random.default_rng(0)
    volatility = np.tile(np.repeat([1.0, 3.0], 100), bars(10, size, least=4))
    X = random.standard_normal((len(volatility), FEATURES))
    X[:, 0] *= volatility
    X[:, 1] = 0.3 * X[:, 1] + volatility
    fitted = forest(labels_of(gaussian_hmm(states=2, starts=1)), window=WINDOW).fit(X)
    nodes = f"{fitted.params.cell.size / 100:.0f} nodes a tree, {len(X)} rows"
    return Row("forest of 100, 60 rows", 1e9 * _spent(fitted, WINDOW, size), "ns", "≤ 30 µs", nodes)


def _speed(name: str, make: Callable[[], Model], kind: Any, sizes: Any, wanted: str, size: float) -> Row:
    model = make()
    assert model.untrained is not None
    ours = _spent(model.untrained(FEATURES), sizes.window, size)
    return Row(name, 1e9 * ours, "ns", wanted, _peers(kind, sizes, ours, bars(300, size, least=3)))


def _spent(fitted: Fitted, looked_at: int, size: float) -> float:
    """Return the CPU seconds of a row with a whole window before it."""
    scored = bars(2_000, size, least=20)
    X = np.random.default_rng(0).standard_normal((scored + looked_at - 1, FEATURES))
    fitted.filter_path(X)
    return _least(lambda: fitted.filter_path(X)) / scored


def _least(call: Callable[[], Any], times: int = 5) -> float:
    spent = []
    for _ in range(times):
        began = time.process_time()
        call()
        spent.append(time.process_time() - began)
    return min(spent)


def _peers(kind: Any, sizes: Any, ours: float, count: int) -> str:
    """Say how many times ours the others take, one window at a time, in float32 on one thread."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return "torch: not installed"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        net = kind.build(sizes, FEATURES, CLASSES).eval()
        window = torch.zeros(1, sizes.window, FEATURES)
        with torch.no_grad():
            eager = _least(lambda: [kind.say(net, window) for _ in range(count)], 3) / count
            return f"torch {eager / ours:.2f} times that; {_onnx(torch, kind, net, window, ours, count)}"
    finally:
        torch.set_num_threads(threads)


def _onnx(torch: Any, kind: Any, net: Any, window: Any, ours: float, count: int) -> str:
    try:
        runtime = importlib.import_module("onnxruntime")
        importlib.import_module("onnx")
    except ImportError:
        return "onnxruntime: not installed"
    said, whole = torch.nn.Module(), io.BytesIO()
    said.net, said.forward = net, lambda x: kind.say(net, x)
    # What torch fuses when it only scores has no name in the exchange format.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        torch.onnx.export(said, (window,), whole, input_names=["x"], dynamo=False)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(whole.getvalue(), options, providers=["CPUExecutionProvider"])
    fed = {"x": window.numpy()}
    spent = _least(lambda: [session.run(None, fed) for _ in range(count)], 3) / count
    return f"onnxruntime {runtime.__version__} {spent / ours:.2f} times that"


def bayes(drawn: Worlds) -> Floats:
    """Return P(wild | returns so far), (N, T), with each world's true parameters: the ceiling."""
    x, (ratio, calm, wild, freedom, up, down) = drawn.returns, drawn.drawn.T
    deviation = np.column_stack([np.ones_like(ratio), ratio]) * np.sqrt((freedom - 2.0) / freedom)[:, None]
    mean, dof = np.column_stack([up, down * ratio]), freedom[:, None]
    stays = np.column_stack([calm, wild])
    now, told = stays / stays.sum(axis=1, keepdims=True), np.empty(x.shape)
    for t in range(x.shape[1]):
        if t:
            now = now * (1.0 - 1.0 / stays) + (now / stays)[:, ::-1]
        now *= (1.0 + ((x[:, t, None] - mean) / deviation) ** 2 / dof) ** (-0.5 * (dof + 1.0)) / deviation
        now /= now.sum(axis=1, keepdims=True)
        told[:, t] = now[:, 1]
    return told


def _fresh(count: int) -> list[Row]:
    """Return Brier scores of the last half of fresh worlds; a chain is fitted on the first half of each."""
    drawn = worlds(count, LEARNED + SCORED, seed=0)
    models = {"amortised, never fitted": amortised(), "gaussian_hmm, fitted": gaussian_hmm(states=2),
              "student_hmm, fitted": student_hmm(states=2)}  # fmt: skip
    rows = [_score(f"{count} fresh worlds of its prior: Bayes, each world's truth", bayes(drawn), drawn, "", "")]
    for name, model in models.items():
        began = time.process_time()
        told = np.array([_told(model, x) for x in drawn.returns])
        beside = f"{1e3 * (time.process_time() - began) / count:.0f} ms a world"
        rows.append(_score(name, told, drawn, "≤ 0.115" if name.startswith("amortised") else "", beside))
    return rows


def _told(model: Model, x: Floats) -> Floats:
    try:
        fitted: Fitted = model.fit(x[:LEARNED])
    except FitError:
        return np.full(len(x), 0.5)
    return np.asarray(fitted.filter_path(x).probs[:, 1])


def _score(name: str, told: Floats, drawn: Worlds, wanted: str, beside: str) -> Row:
    told, truth = told[:, LEARNED:], drawn.regimes[:, LEARNED:]
    logs = -np.log(np.where(truth == 1, told, 1.0 - told) + 1e-12).mean()
    right = [float(np.mean((told > 0.5)[truth == k] == (k == 1))) for k in (0, 1)]
    more = f"log score {logs:.3f}, balanced accuracy {0.5 * (right[0] + right[1]):.3f}"
    return Row(
        f"{name}: Brier", float(2.0 * np.mean((told - truth) ** 2)), "", wanted, f"{more}; {beside}" if beside else more
    )
