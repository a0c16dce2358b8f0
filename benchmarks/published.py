"""A published Transformer on SPY and VIX: its table from predictions and from training, and what is left of it.

The data lie beside the project, in ``shared/data/deepregime``; learning wants the extras `deep` and `classifiers`.
What is missing is named.
"""

from __future__ import annotations

import importlib.util
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import barograph as bg
from barograph import features
from barograph.errors import BarographError
from barograph.metrics.drawdown import max_drawdown
from barograph.metrics.formulas import sharpe, total_return
from barograph.regimes.filtering import filter_path
from barograph_adapters.twins import spy_and_vix
from barograph_models._classify.guards import balanced
from barograph_models._nets.attention import TRANSFORMER_STEPS, TransformerParams
from barograph_models._nets.modules import TRANSFORMER, TransformerSizes, torch_for
from barograph_models._nets.training import alone
from barograph_models.cnn import cnn
from barograph_models.forest import forest
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.kmeans import kmeans
from barograph_models.labels import Labels, labels_of
from barograph_models.logistic import logistic
from barograph_models.lstm import lstm
from barograph_models.transformer import transformer
from barograph_strategies.buy_and_hold import buy_and_hold
from barograph_strategies.fixed_positions import fixed_positions
from barograph_strategies.regime_leverage import regime_leverage
from barograph_strategies.volatility_target import volatility_target
from benchmarks import Row, Table

FOLDER: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "deepregime"
COLUMNS: Final = ("ret_1d", "ret_5d", "ret_20d", "rv_5d", "rv_20d", "vix_level")
FREE: Final[dict[str, Any]] = {"fee": 0.0, "slippage": 0.0, "borrow_rate": 0.0, "fill": "same_close", "leverage": 2.0}
RULES: Final = {"filter": (1.0, 0.0), "leveraged": (1.5, 0.3)}
BANDS: Final = {"filter": "165 to 210", "leveraged": "485 to 600"}
SPAN: Final = ("2010-01-04", "2024-12-31")


class Read(NamedTuple):
    """The published rows: dates (T,), features (T, 6), the classes of k-means on all of them (T,)."""

    dates: pd.DatetimeIndex
    X: NDArray[np.float64]
    classes: NDArray[np.int64]


def read() -> Read | None:
    """Return the published features and labels; None where they are not there."""
    path = FOLDER / "spy_vix_regimes_kmeans.parquet"
    if not path.is_file():
        return None
    frame = pd.read_parquet(path).droplevel(1, axis=1)
    return Read(pd.DatetimeIndex(frame.index), frame[list(COLUMNS)].to_numpy(), frame.regime_kmeans.to_numpy(np.int64))


def measure(size: float = 1.0) -> Table:
    """Print the published table: of the published predictions, of the labels alone, and of five trainings."""
    found = read()
    title = "A published Transformer, no costs: total return of its filter and of its leveraged rule, 2005-2024"
    if found is None:
        return Table(title, [Row("published predictions", None, "", "", "the published data: not installed")])
    predicted = pd.read_parquet(FOLDER / "DERIVED_transformer_preds_numpy.parquet").pred
    rows = [*_rows("published predictions", predicted.to_numpy(), found, {"filter": "205.01", "leveraged": "589.89"}),
            *_rows("its labels alone", found.classes[-len(predicted) :], found, {})]  # fmt: skip
    if importlib.util.find_spec("torch") is None:
        return Table(title, [*rows, Row("training", None, "", "", "torch: not installed")])
    for seed in range(max(1, round(5 * size))):
        rows += _rows(f"trained, seed {seed}", trained(found, seed, epochs=15 if size >= 0.1 else 1), found, BANDS)
    return Table(title, rows)


def trained(found: Read, seed: int, epochs: int) -> NDArray[np.int64]:
    """Train as published, on windows drawn at random of the whole sample, scaled by all of it; return all classes.

    Batches of 64, Adam at 1e-3, the epoch of the best validation loss. `transformer` itself lets the rate fall and
    clips gradients.
    """
    sizes, (T, d) = TransformerSizes(60, 64, 2, 4, 128, 0.1), found.X.shape
    centre, scale = found.X.mean(axis=0), found.X.std(axis=0)
    ends = np.arange(sizes.window - 1, T)
    windows = ((found.X - centre) / scale)[ends[:, None] + np.arange(1 - sizes.window, 1)]
    own = _as_published(sizes, windows, found.classes[ends], seed, epochs)
    params = TransformerParams(np.full(3, 1.0 / 3.0), np.eye(3), np.zeros((3, d)), np.ones((3, d)), centre, 1.0 / scale,
                               np.ones(1), np.zeros((2, 3, 0)), *own)  # fmt: skip
    online = bg.Filter(*TRANSFORMER_STEPS, params, 3, "transformer")
    return np.asarray(filter_path(online, found.X).probs[ends].argmax(axis=1), dtype=np.int64)


def _as_published(sizes: TransformerSizes, windows: Any, classes: Any, seed: int, epochs: int) -> tuple[Any, ...]:
    """Return the weights of the epoch with the least loss on a fifth of the windows, drawn at random."""
    torch, random = torch_for("transformer"), np.random.default_rng(seed)
    learn, stop = np.split(random.permutation(len(windows)), [int(0.8 * len(windows))])
    X, Y = torch.tensor(windows, dtype=torch.float32), torch.tensor(classes)
    with alone(torch, seed):
        net = TRANSFORMER.build(sizes, windows.shape[2], 3)
        by, lost, least, kept = torch.optim.Adam(net.parameters(), 1e-3), torch.nn.CrossEntropyLoss(), np.inf, ()
        for _ in range(epochs):
            net.train()
            for some in np.array_split(random.permutation(learn), np.arange(64, len(learn), 64)):
                by.zero_grad()
                lost(TRANSFORMER.say(net, X[some]), Y[some]).backward()
                by.step()
            net.eval()
            with torch.no_grad():
                loss = float(lost(TRANSFORMER.say(net, X[stop]), Y[stop]))
            if loss < least:
                least, kept = loss, TRANSFORMER.own(sizes, net)
    return kept


def _rows(name: str, classes: NDArray[np.int64], found: Read, wanted: dict[str, str]) -> list[Row]:
    dates, truth = found.dates[-len(classes) :], found.classes[-len(classes) :]
    agrees = 100.0 * float(np.mean(classes == truth))
    rows = []
    for rule, (calm, wild) in RULES.items():
        run = _traded(classes, dates, {"0": calm, "1": wild, "2": wild})
        figure = sharpe(run.arrays.returns, 252.0)
        told = f"Sharpe {figure:.4f}, agrees with the labels on {agrees:.2f} % of days"
        rows.append(Row(f"{name}, {rule}", 100.0 * total_return(run.arrays.equity), "%", wanted.get(rule, ""), told))
    return rows


def _traded(classes: NDArray[np.int64], dates: pd.DatetimeIndex, weights: dict[str, float]) -> bg.Result:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "classes.parquet"
        pd.DataFrame({"class": classes}, index=dates.rename("date")).to_parquet(path)
        rule = fixed_positions(str(path), column="class", map=weights)
    machine = bg.Machine(strategy=rule, start=str(dates[0].date()), terms=bg.Terms(**FREE))
    return bg.scan(machine, spy_and_vix(FOLDER))


def forward(size: float = 1.0) -> Table:
    """Walk 2010-2024 forward: labels, scaling and weights of the past alone, learned again every two years."""
    title = f"Walked forward, {SPAN[0]} to {SPAN[1]}: Sharpe ratio after 10 bp of what is traded"
    if not FOLDER.is_dir():
        return Table(title, [Row("buy and hold", None, "", "", "the published data: not installed")])
    return Table(title, [_walked(name, machine, size) for name, machine in _machines(size).items()])


def _walked(name: str, machine: dict[str, Any], size: float) -> Row:
    history = spy_and_vix(FOLDER, end=SPAN[1] if size >= 0.1 else "2010-12-31")
    try:
        free, paid = (_run(machine, cost, history) for cost in (0.0, 0.001))
    except BarographError as error:
        return Row(name, None, "", "", str(error))
    held = paid.arrays.table[:, 2]
    switches = int((np.abs(np.diff(held)) > 0.5).sum())
    before, after = (sharpe(run.arrays.returns, 252.0) for run in (free, paid))
    total, fall = 100.0 * total_return(paid.arrays.equity), 100.0 * max_drawdown(paid.arrays.equity)
    told = f"without costs {before:.3f}; {total:.0f} %, drawdown {fall:.1f} %, {switches} switches"
    return Row(name, after, "", "", told + _of_fits(paid))


def _of_fits(run: bg.Result) -> str:
    """Tell how right the fits were on what was held out of each, and how many were refused."""
    refused = sum(bool(fit.refused) for fit in run.fits)
    told = f"; {refused} of {len(run.fits)} fits refused" if refused else ""
    judged = [fit.fitted.judged for fit in run.fits if not fit.refused and fit.fitted.judged is not None]
    if not judged:
        return told
    scores = [balanced(j.probs.argmax(axis=1), j.classes, j.probs.shape[1])[0] for j in judged]
    return f"; balanced accuracy held out {np.mean(scores):.3f}{told}"


def _run(machine: dict[str, Any], cost: float, history: bg.History) -> bg.Result:
    terms = bg.Terms(**{**FREE, "fee": cost})
    return bg.scan(bg.Machine(**{"start": SPAN[0], **machine}, terms=terms), history)


def _machines(size: float) -> dict[str, dict[str, Any]]:
    """Return what is walked forward, by name; a small size walks what needs no extra."""
    found: dict[str, dict[str, Any]] = {
        "buy and hold": {"strategy": buy_and_hold()},
        "volatility target of 10 %, no more than all": {"strategy": volatility_target(cap=1.0)},
        "HMM filter": _learns(gaussian_hmm(states=2), [features.log_return()]),
        "k-means of today, the labels' own rule": _learns(_clusters()),
    }
    if size < 0.1:
        return found
    labels = _labels()
    made = {f"{name}, {words}": make(told) for words, told in labels.items() for name, make in _CHEAP.items()}
    made |= {f"{name}, {words}, balanced": make(labels[words], weights="balanced")
             for words in (_AHEAD, _HINDSIGHT) for name, make in _CHEAP.items()}  # fmt: skip
    made |= {f"{name}, {_TODAY}": make(labels[_TODAY]) for name, make in _NETS.items()}
    return found | {name: _learns(model) for name, model in made.items()}


_TODAY, _AHEAD, _HINDSIGHT = "k-means of today", "k-means in 5 bars", "hindsight of an HMM"
_CHEAP: Final[dict[str, Any]] = {"logistic": logistic, "forest": forest}
_NETS: Final[dict[str, Any]] = {"cnn": partial(cnn, window=60), "lstm": lstm, "transformer": transformer}


def _clusters() -> Any:
    return kmeans(states=3, scale=False)


def _labels() -> dict[str, Labels]:
    hindsight = labels_of(gaussian_hmm(states=2), when="smooth", horizon=10, columns=("total_return(1)",))
    return {
        _TODAY: labels_of(_clusters()),
        _AHEAD: labels_of(_clusters(), when="ahead", horizon=5),
        _HINDSIGHT: hindsight,
    }


def _learns(model: Any, seen: Any = None) -> dict[str, Any]:
    six = [*(features.total_return(n) for n in (1, 5, 20)), *(features.realised_volatility(n) for n in (5, 20)),
           features.level("VIX")]  # fmt: skip
    rule = regime_leverage([1.0] + [0.0] * (model.regimes - 1))
    return {"strategy": rule, "features": six if seen is None else seen, "model": model,
            "fit": bg.Fit(window=1200, every=504, expanding=True)}  # fmt: skip
