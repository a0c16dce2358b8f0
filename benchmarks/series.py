"""21 real series, walked forward: what fails, what degenerates, what changes its label, and what is foreseen.

Every 63 bars each model is fitted to the window before and scored on the bars after. A flip is a bar of the window
whose filtered regime is another one after the refit, regimes matched as a run matches them. Without a prior a regime
that holds next to nothing has collapsed onto it; under one it is as the prior has it, and the window held none of it.
A series is walked with the market prior that the others teach: it is not scored by numbers that it has a part in.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from barograph.errors import FitError
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.matching import match
from barograph.regimes.window import Window, window
from barograph.types import Floats
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.student_hmm import student_hmm
from benchmarks import Row, Table
from benchmarks.prior import Learned, learned
from benchmarks.real import MISSING, series

EVERY = 63
APART = "RRC"  # a quarter of its days are unchanged: a density on those decides every mean


class Walk(NamedTuple):
    """One model on one series."""

    score: float
    flips: float
    switches: float
    fits: int
    failed: int
    unfinished: int
    floored: int
    empty: int
    absorbing: int
    rare: int
    alike: int


MODELS: dict[str, Any] = {
    "gaussian_hmm": partial(gaussian_hmm, starts=4, jobs=1, tolerance=1e-6),
    "student_hmm, prior none": partial(student_hmm, prior="none"),
    "student_hmm, prior market": student_hmm,
    "student_hmm, prior previous": partial(student_hmm, prior="previous"),
}


def walk(x: Floats, model: Model, length: int) -> Walk:
    """Walk one series; where a refit fails the last fit stays."""
    last: Fitted | None = None
    scores, flips, labels = [], [], []
    counts = np.zeros(8, dtype=int)
    for t in range(length, len(x), EVERY):
        X = x[t - length : t, None]
        counts[0] += 1
        fitted = _fitted(model, window(X, ts=np.arange(t - length, t), previous=last))
        if fitted is None:
            counts[1] += 1
            if last is None:
                continue
            fitted = last
        elif last is not None:
            fitted = match(last, fitted)[0]
        path = fitted.filter_path(x[t - length : t + EVERY, None])
        guess = path.probs.argmax(axis=1)
        if last is not None:
            flips.append(np.mean(last.filter_path(X).probs.argmax(axis=1) != guess[:length]))
        counts[2:] += _degenerate(fitted, path.probs[:length], float(X.std()))
        scores.append(path.logpdf[length:])
        labels.append(guess[length:])
        last = fitted
    called = np.concatenate(labels)
    switches = 252.0 * float(np.mean(np.diff(called) != 0))
    return Walk(float(np.concatenate(scores).mean()), float(np.mean(flips)), switches, *map(int, counts))


def _fitted(model: Model, seen: Window) -> Fitted | None:
    try:
        return model.fit(seen)
    except FitError:
        return None


def _degenerate(fitted: Fitted, probs: Floats, deviation: float) -> list[int]:
    """Tell an unfinished ascent, a regime on the floor, of under two bars, absorbing or of under 2 %, two alike."""
    volatility = np.sort(np.sqrt(fitted.moments().variance[:, 0]))
    floored = volatility[0] < 5e-3 * deviation
    empty = probs.sum(axis=0).min() < 2.0
    absorbing = np.diag(fitted.transition).max() > 1.0 - 1e-9
    rare = np.bincount(probs.argmax(axis=1), minlength=probs.shape[1]).min() < 0.02 * len(probs)
    alike = (volatility[1:] / volatility[:-1]).min() < 1.05
    return [int(v) for v in (not fitted.converged, floored, empty, absorbing, rare, alike)]


def measure(size: float = 1.0) -> Table:
    """Walk every series with every model; a small size walks fewer, shorter ones."""
    found = series()
    if not found:
        return Table("Real series", [Row("student_hmm", None, "", "", MISSING)])
    chosen = dict(list(found.items())[: max(2, round(21 * size))])
    if size < 0.1:
        chosen = {name: x[:700] for name, x in chosen.items()}
    rows = [
        row
        for window in ((250, 500, 1000) if size >= 0.1 else (500,))
        for states in ((2, 3) if size >= 0.1 else (2,))
        for row in _rows(chosen, states, window)
    ]
    return Table(f"{len(chosen)} real series, refitted every {EVERY} bars, scored on the bars after", rows)


@cache
def _taught(name: str, states: int, bars: int) -> Learned:
    return learned({name: series()[name][:bars]}, states)


def _left_out(chosen: dict[str, Floats], states: int) -> list[dict[str, list[float]]]:
    """Return for each series the settings of the market prior that the other series teach."""
    each = [_taught(name, states, len(x)) for name, x in chosen.items()]
    settings = []
    for i in range(len(each)):
        others = each[:i] + each[i + 1 :]
        stays, volatilities = (np.concatenate([getattr(o, key) for o in others]) for key in Learned._fields[:2])
        told = {"stays": np.median(stays, axis=0), "volatilities": np.median(volatilities, axis=0)}
        settings.append({key: [float(v) for v in value] for key, value in told.items()})
    return settings


def _rows(chosen: dict[str, Floats], states: int, window: int) -> list[Row]:
    settings = _left_out(chosen, states)
    walks = {
        name: [walk(x, make(states=states, **(own if "prior" in name else {})), window)
               for x, own in zip(chosen.values(), settings, strict=True)]
        for name, make in MODELS.items()
    }  # fmt: skip
    base = np.array([w.score for w in walks["student_hmm, prior none"]])
    normal = np.array([w.score for w in walks["gaussian_hmm"]])
    kept = np.array([name != APART for name in chosen])
    rows = []
    for name, found in walks.items():
        gain = np.array([w.score for w in found]) - base
        total = [sum(getattr(w, key) for w in found) for key in Walk._fields[3:]]
        told = ", ".join(f"{n} {key}" for n, key in zip(total[1:], Walk._fields[4:], strict=True) if n)
        flips = float(np.median([w.flips for w in found]))
        switches = np.mean([w.switches for w in found])
        beside = f"score {gain.mean():+.4f} a bar beside EM's, without {APART} {gain[kept].mean():+.4f}, "
        above = int((gain + base > normal).sum())
        beside += (
            f"above it in {int((gain > 0).sum())}, above gaussian_hmm in {above}; {switches:.1f} switches a year; "
        )
        beside += f"of {total[0]} fits {told or 'all well'}"
        rows.append(Row(f"K = {states}, {window} bars, {name}: flips", 100.0 * flips, "%", "", beside))
    return rows
