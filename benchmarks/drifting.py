"""A market whose volatility drifts: learning at every bar beside refitting the last thousand every quarter.

The daily world of two regimes, whose volatilities triple over 5,000 bars, on a path a seed; Brier scores from bar 1,000
on, against the regimes that drew the returns, and CPU seconds for fits and filters in one thread.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from barograph.data.synthetic import SCENARIOS, draw
from barograph.errors import FitError
from barograph.jit.ordered import exponentials
from barograph.regimes.matching import match
from barograph.regimes.window import window
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.online_hmm import online_hmm
from benchmarks import Row, Table, bars

WINDOW, EVERY, MEMORY = 1_000, 63, 750.0


def drifted(seed: int, length: int) -> tuple[Any, Any]:
    """Return returns (T, 1) and the states they were drawn in; volatilities triple over the path."""
    returns, states = draw(SCENARIOS["daily2"], length, seed)
    return (returns[0] * exponentials(np.linspace(0.0, np.log(3.0), length)))[:, None], states[0]


def learning(X: Any) -> Any:
    """Return the beliefs after the first window of a model that is fitted once and learns at every bar."""
    fitted = online_hmm(memory=MEMORY, jobs=1).fit(X[:WINDOW])
    return fitted.filter_path(X).probs[WINDOW:]


def refitted(X: Any) -> Any:
    """Return those of the model that is fitted to the last window every quarter, its regimes recognised again."""
    model, previous, found = gaussian_hmm(jobs=1), None, []
    for now in range(WINDOW, len(X), EVERY):
        # A refit that fails leaves the model in force, as it does in a run.
        with contextlib.suppress(*([FitError] if previous is not None else [])):
            fitted = model.fit(window(X[now - WINDOW : now], previous=previous))
            previous = fitted if previous is None else match(previous, fitted)[0]
        assert previous is not None
        found.append(previous.filter_path(X[now - WINDOW : now + EVERY]).probs[WINDOW:])
    return np.concatenate(found)


def measure(size: float = 1.0) -> Table:
    """Compare them on 64 paths."""
    length, paths = bars(5_000, min(1.0, max(4.0 * size, 0.3))), max(2, int(64 * size))
    rows, scores = [], {}
    for name, run in (("fitted once, learning at every bar", learning), ("refitted every 63 bars", refitted)):
        brier, seconds = _scored(run, length, paths)
        scores[name] = brier
        rows += [
            Row(f"{name}: Brier", float(np.mean(brier)), "", beside=f"median {np.median(brier):.3f}"),
            Row(f"{name}: CPU a path", seconds / paths, "s"),
        ]
    apart = np.subtract(*scores.values())
    error = float(np.std(apart, ddof=1) / np.sqrt(paths))
    rows.append(Row("Brier, learning less refitted", float(np.mean(apart)), "", "<= 0", f"standard error {error:.3f}"))
    rows.append(Row("CPU, learning over refitted", rows[1].value / rows[3].value, "x", "<= 0.1"))  # type: ignore[operator]
    return Table("A market that drifts", rows)


def _scored(run: Callable[[Any], Any], length: int, paths: int) -> tuple[list[float], float]:
    run(drifted(0, length)[0])
    found, seconds = [], 0.0
    for seed in range(paths):
        X, states = drifted(seed, length)
        began = time.process_time()
        probs = run(X)
        seconds += time.process_time() - began
        found.append(float(np.mean(np.sum((probs - np.eye(2)[states[WINDOW:]]) ** 2, axis=1))))
    return found, seconds
