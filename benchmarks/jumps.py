"""Jump models and change points: distance from the oracle, milliseconds a fit, a walk-forward, nanoseconds a step.

Jump models are scored on the regimes of daily2, learned on another path, from three smoothed features of the return;
their oracle is the filter that knows the world and sees the return itself. Change points are scored on a world drawn
from BOCPD's own prior, where BOCPD that knows the prior is exact: was the last change at most twenty bars ago?
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from barograph.data.synthetic import SCENARIOS, draw
from barograph.errors import FitError
from barograph.jit.kernel import compiled
from barograph.regimes.filtering import filter_path
from barograph.regimes.fitted import Fitted, Model
from barograph.types import Filter, Floats
from barograph_models.bocpd import BOCPD, bocpd, bocpd_params
from barograph_models.cusum import cusum
from barograph_models.jump_model import jump_model
from benchmarks import Row, Table, bars
from benchmarks.ceilings import brier
from benchmarks.engine import true_filter

WINDOW, EVERY, FITS = 1_000, 63, 65
RECENT, RUN = 20, 250.0
WORLD = SCENARIOS["daily2"]

JUMPS: dict[str, Callable[[], Model]] = {
    "jump_model, penalty 5, value": partial(jump_model, compare_return=False, penalty=5.0),
    "jump_model, penalty 20, value": partial(jump_model, compare_return=False, penalty=20.0),
    "jump_model, penalty 5, greedy": partial(jump_model, compare_return=False, penalty=5.0, online="greedy"),
    "jump_model, continuous, penalty 50": partial(jump_model, compare_return=False, penalty=50.0, kind="continuous"),
    "jump_model, sparse, penalty 5, 2 features": partial(jump_model, compare_return=False, penalty=5.0, features=2.0),
}
CHANGES: dict[str, Callable[[], Model]] = {
    "bocpd": partial(bocpd, recent=RECENT),
    "bocpd, nothing pruned": partial(bocpd, recent=RECENT, prune=0.0),
    "cusum": partial(cusum, recent=RECENT),
}


@compiled
def _smooth(x: Any, half_life: Any, out: Any) -> None:
    """Average with weights that halve in so many bars, begun at the first value."""
    keep = 0.5 ** (1.0 / half_life)
    out[0] = x[0]
    for t in range(1, x.size):
        out[t] = keep * out[t - 1] + (1.0 - keep) * x[t]


def features(x: Floats) -> Floats:
    """Return the return, log volatility with half-lives of 5 and 15 bars, log downside deviation with 10, (T, 4)."""
    columns = [x]
    for half_life, of in ((5.0, x), (15.0, x), (10.0, np.minimum(x, 0.0))):
        out = np.empty_like(x)
        _smooth(of * of, half_life, out)
        columns.append(0.5 * np.log(np.maximum(out, 1e-12)))
    return np.column_stack(columns)


def changing(count: int, seed: int, paths: int) -> tuple[Floats, Any]:
    """Return bars (paths, count) of runs drawn from BOCPD's prior, and whether each run is at most RECENT bars old."""
    random = np.random.default_rng(seed)
    X, young = np.empty((paths, count)), np.empty((paths, count), dtype=np.int64)
    for x, y in zip(X, young, strict=True):
        # The first bar is in the middle of a run.
        starts, age = random.random(count) < 1.0 / RUN, RECENT + 1
        deviation = 1.0 / math.sqrt(random.gamma(2.0))
        mean = deviation * random.standard_normal()
        for t in range(count):
            age += 1
            if starts[t]:
                deviation, age = 1.0 / math.sqrt(random.gamma(2.0)), 1
                mean = deviation * random.standard_normal()
            x[t] = mean + deviation * random.standard_normal()
            # The run length after a bar counts the bars of the run, this one too.
            y[t] = age <= RECENT
    return X, young


def measure(size: float = 1.0) -> Table:
    """Lay all of them out, a line each."""
    paths = bars(192, size, least=4)
    returns, truth = draw(WORLD, WINDOW, seed=0, paths=paths)
    learned = draw(WORLD, WINDOW, seed=1, paths=paths)[0]
    best_of = _score([true_filter(WORLD)] * paths, returns[:, :, None], truth)
    rows = [Row("daily2, true parameters: Brier score", best_of, "")]
    seen = [np.array([features(x) for x in of]) for of in (learned, returns)]
    long = features(draw(WORLD, WINDOW + EVERY * (FITS - 1), seed=2)[0][0])
    rows += [_row(name, make(), *seen, truth, best_of, long, size) for name, make in JUMPS.items()]
    (X, _), (Y, young) = changing(WINDOW, 1, paths), changing(WINDOW, 0, paths)
    params = bocpd_params(np.zeros(1), np.ones(1), RUN, RECENT)
    exact = _score([Filter(BOCPD.init, BOCPD.step, params, 2, "true")] * paths, Y[:, :, None], young)
    rows.append(Row("runs of 250 bars, true prior: Brier score", exact, ""))
    long = changing(WINDOW + EVERY * (FITS - 1), 2, 1)[0][0][:, None]
    told = X[:, :, None], Y[:, :, None], young, exact, long, size
    rows += [_row(name, make(), *told) for name, make in CHANGES.items()]
    return Table(f"Jump models and change points, {paths} paths of {WINDOW:,} bars", rows)


def _row(
    name: str, model: Model, X: Floats, Y: Floats, truth: Any, oracle: float, long: Floats, size: float
) -> Row:  # fmt: skip
    _fitted(model, X[0])
    began = time.process_time()
    fits = [_fitted(model, x) for x in X]
    milliseconds = 1e3 * (time.process_time() - began) / len(X)
    kept = [i for i, fit in enumerate(fits) if fit is not None]
    score = _score([fit.filter() for fit in fits if fit is not None], Y[kept], truth[kept])
    told = f"{milliseconds:.1f} ms a fit; {_walk(model, long, bars(FITS, size, 2)):.2f} CPU s for {bars(FITS, size, 2)}"
    told += f" fits; {_step(fits[kept[0]], long):.0f} ns a step"
    failed = f"; {len(fits) - len(kept)} of {len(fits)} fits failed" if len(kept) < len(fits) else ""
    return Row(f"{name}: Brier above that", score - oracle, "", "", told + failed)


def _score(filters: list[Filter], X: Floats, truth: Any) -> float:
    pairs = zip(filters, X, truth, strict=True)
    return float(np.mean([brier(filter_path(f, x).probs, z) for f, x, z in pairs]))


def _fitted(model: Model, X: Floats) -> Fitted | None:
    try:
        return model.fit(X)
    except FitError:
        return None


def _walk(model: Model, X: Floats, fits: int) -> float:
    """Return the CPU seconds of so many fits, each a quarter of a year after the last."""
    began = time.process_time()
    for n in range(fits):
        _fitted(model, X[n * EVERY : n * EVERY + WINDOW])
    return time.process_time() - began


def _step(fitted: Fitted | None, X: Floats) -> float:
    """Return the CPU nanoseconds of one row, the least of five runs."""
    assert fitted is not None
    fitted.filter_path(X)
    spent = []
    for _ in range(5):
        began = time.process_time()
        fitted.filter_path(X)
        spent.append(time.process_time() - began)
    return 1e9 * min(spent) / len(X)
