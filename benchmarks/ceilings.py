"""How near an online filter comes to what can be known at all: invented worlds, true parameters, fitted parameters.

With the true parameters the filter is exact (the published ones filter t worlds as Gaussian), so its scores are
ceilings, published for 512 paths.
With fitted ones, learned on another path of the same length, what is missing to the ceiling is the price of learning.
Never against labels made from the model's own features: here the regimes are the ones that drew the returns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from barograph.data.synthetic import SCENARIOS, draw
from barograph.regimes.filtering import filter_path
from barograph.types import Filter, Floats
from barograph_models.gaussian_hmm import DIAGONAL
from benchmarks import Row, Table, bars
from benchmarks.engine import true_filter
from benchmarks.learned import MODELS, learn, nulls, split_rows, true_student

A_YEAR = 252.0


class Published(NamedTuple):
    """A world, its bars, and its ceilings: accuracy filtered and smoothed, Brier, onset, alarms."""

    world: str
    bars: int
    filtered: float
    smoothed: float
    brier: float
    onset: float
    alarms: float


PUBLISHED = (
    Published("daily2", 1000, 0.914, 0.947, 0.0410, 3.0, 0.31),
    Published("daily2_t5", 1000, 0.879, 0.934, 0.0841, 4.0, 1.64),
    Published("weekly2", 500, 0.831, 0.892, 0.0974, 2.0, 0.98),
    Published("daily3", 1000, 0.803, 0.884, 0.1302, np.nan, np.nan),
)


def balanced(guess: Any, truth: Any) -> float:
    """Mean recall over the regimes that occur; NaN unless at least two do."""
    seen = np.unique(truth)
    if len(seen) < 2:
        return float("nan")
    return float(np.mean([np.mean(guess[truth == k] == k) for k in seen]))


def brier(probs: Floats, truth: Any) -> float:
    """Squared distance of the probabilities from the truth, summed over regimes, mean over bars."""
    return float(np.mean(np.sum((probs - np.eye(probs.shape[1])[truth]) ** 2, axis=1)))


def delays(guess: Any, truth: Any) -> list[int]:
    """Return, for every onset of the wild regime, the bars until it is called; a stay never called has no delay."""
    wild = truth > 0
    onsets = np.flatnonzero(wild[1:] & ~wild[:-1]) + 1
    found = []
    for t in onsets:
        calm_again = np.flatnonzero(~wild[t:])
        stay = guess[t : t + calm_again[0]] if len(calm_again) else guess[t:]
        called = np.flatnonzero(stay > 0)
        if len(called):
            found.append(int(called[0]))
    return found


def alarms(guess: Any, truth: Any) -> float:
    """How often a year of calm bars the wild regime begins to be called while it is not there; a year is 252 bars."""
    begun = (guess[:, 1:] > 0) & (guess[:, :-1] == 0) & (truth[:, 1:] == 0)
    return float(A_YEAR * begun.sum() / max(1, (truth == 0).sum()))


def scores(probs: Any, hindsight: Any, truth: Any) -> dict[str, Any]:
    """Score many paths: probabilities (paths, bars, K) filtered and smoothed, and the true regimes (paths, bars)."""
    guess = probs.argmax(axis=2)
    pairs = list(zip(guess, truth, strict=True))
    return {
        "filtered": np.nanmean([balanced(g, z) for g, z in pairs]),
        "smoothed": np.nanmean([balanced(g, z) for g, z in zip(hindsight.argmax(axis=2), truth, strict=True)]),
        "brier": np.mean([brier(p, z) for p, z in zip(probs, truth, strict=True)]),
        "onset": np.median([d for g, z in pairs for d in delays(g, z)] or [np.nan]),
        "alarms": alarms(guess, truth),
    }


def measure(size: float = 1.0) -> Table:
    """Lay the published ceilings, ours with true parameters and models that had to learn them side by side."""
    paths = bars(512, size, least=4)
    rows = [row for world in PUBLISHED for row in _world(world, paths)]
    told = f"Ceilings of an online filter, {paths} paths; fitted: one model a path, learned on another path"
    return Table(told, rows + nulls(bars(96, size, least=4)))


NAMES = {
    "filtered": "balanced accuracy, filtered",
    "smoothed": "balanced accuracy, smoothed",
    "brier": "Brier score",
    "onset": "median onset delay, bars",
    "alarms": "false alarms a year",
}


def _world(published: Published, paths: int) -> list[Row]:
    world = SCENARIOS[published.world]
    returns, truth = draw(world, published.bars, seed=0, paths=paths)
    # Another seed than that of the paths that are scored: the fitted model has never seen them.
    X, held = draw(world, published.bars, seed=1, paths=paths)
    best = _scored([true_filter(world)] * paths, returns, truth)
    rows = []
    for key, name in NAMES.items():
        wanted = getattr(published, key)
        told = "" if np.isnan(wanted) else f"published {wanted:g}"
        rows.append(Row(f"{world.name}: {name}", float(best[key]), "", told, "true parameters, Gaussian filter"))
    known = [true_student(world) if world.tail else true_filter(world)] * paths
    ceiling = _briers(known, returns, truth)
    if world.tail:
        rows.append(_row(f"{world.name}: true parameters, t filter", _scored(known, returns, truth), ""))
    gaps = {}
    for name, make in MODELS.items():
        fits, milliseconds = learn(make, X, len(world.mean), world.weekly)
        kept = [i for i, fit in enumerate(fits) if fit is not None]
        found = _scored([fit.filter() for fit in fits if fit is not None], returns[kept], truth[kept])
        failed = f", {paths - len(kept)} of {paths} fits failed" if len(kept) < paths else ""
        rows.append(_row(f"{world.name}: {name}", found, f"; {milliseconds:.1f} ms a fit{failed}"))
        gaps[name] = np.full(paths, np.nan)
        gaps[name][kept] = _briers([fit.filter() for fit in fits if fit is not None], returns[kept], truth[kept])
    return rows + split_rows(world.name, (held > 0).sum(axis=1), ceiling, gaps)


def _row(name: str, found: dict[str, Any], more: str) -> Row:
    told = f"accuracy {found['filtered']:.3f}, onset {found['onset']:.0f}, {found['alarms']:.2f} false alarms a year"
    return Row(f"{name}: Brier score", float(found["brier"]), "", "", told + more)


def _briers(filters: list[Filter], returns: Any, truth: Any) -> Any:
    chosen = zip(filters, returns, truth, strict=True)
    return np.array([brier(filter_path(f, r[:, None]).probs, z) for f, r, z in chosen])


def _scored(filters: list[Filter], returns: Any, truth: Any) -> dict[str, Any]:
    probs, hindsight = [], []
    for chosen, path in zip(filters, returns, strict=True):
        X = path[:, None]
        probs.append(filter_path(chosen, X).probs)
        hindsight.append(DIAGONAL.smooth(chosen.params, X) if chosen.step is DIAGONAL.step else probs[-1])
    return scores(np.array(probs), np.array(hindsight), truth)
