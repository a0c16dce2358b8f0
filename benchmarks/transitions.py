"""Stays and transition forecasts: is P(the wild regime is entered within ten bars) honest, early, often in vain?

Every model is fitted on one path and scored on another, on a world whose stays are geometric and on one whose stays
have a hump; and by the quarter on the S&P 500, where the regimes that were are those that the same model sees in
hindsight. A warning is a probability above 30 %.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import barograph as bg
from barograph.data.synthetic import SCENARIOS, NegativeBinomial, Scenario, draw
from barograph.regimes.filtering import filter_path, filter_rows, forecast_path
from barograph.regimes.fitted import Fitted, Model
from barograph.types import Entering, Filter, Floats
from barograph.validation import entered_within, event_forecast, warned
from barograph_adapters.sample import sp500
from barograph_models._durations import law
from barograph_models._durations.params import duration_params
from barograph_models.gaussian_hmm import DIAGONAL, gaussian_hmm, gaussian_params
from barograph_models.gaussian_hsmm import DIAGONAL as STAYS
from barograph_models.gaussian_hsmm import gaussian_hsmm
from barograph_models.student_hmm import student_hmm
from benchmarks import Row, Table
from benchmarks.ceilings import brier

HORIZON, WILD, LIMIT, BARS, LONGEST = 10, 1, 0.3, 2_000, 1_500
ASKED = Entering(HORIZON, (WILD,))
MODELS: dict[str, Callable[[], Model]] = {
    "gaussian_hmm": partial(gaussian_hmm, starts=4, jobs=1),
    "gaussian_hsmm": partial(gaussian_hsmm, jobs=1),
    "student_hmm": student_hmm,
}


def measure(size: float = 1.0) -> Table:
    """Score the models on both worlds and on the sample; a path of two thousand bars holds a handful of entries."""
    rows = [row for name in ("daily2", "daily2_semi") for row in _world(SCENARIOS[name], max(1, int(48 * size)))]
    return Table("Stays, and entering the wild regime within ten bars", [*rows, *_sample(size), *_costs(size)])


def true_filter(world: Scenario) -> Filter:
    """Return the filter that knows a world's parameters, its stays too."""
    mean, variance = np.array(world.mean)[:, None], np.array(world.variance)[:, None]
    if world.sojourns is None:
        params: Any = gaussian_params(world.start, world.transition, mean, variance)
        return Fitted(DIAGONAL, params, None, 1, None, None, True, 0, ("return",)).filter()
    kept = [stay for stay in world.sojourns if isinstance(stay, NegativeBinomial)]
    hazard = law.hazards([stay.mean - 1.0 for stay in kept], [1.0 / stay.size for stay in kept], LONGEST)
    params = duration_params(world.start, 1.0 - np.eye(2), mean, variance, hazard)
    return Fitted(STAYS, params, None, 1, None, None, True, 0, ("return",)).filter()


def _world(world: Scenario, paths: int) -> list[Row]:
    returns, truth = draw(world, BARS, seed=0, paths=paths)
    learned, _ = draw(world, BARS, seed=1, paths=paths)
    rows = [_scored(f"{world.name}: true parameters", [true_filter(world)] * paths, returns, truth, "")]
    for name, make in MODELS.items():
        model = make()
        model.fit(learned[0])
        began = time.process_time()
        fits = [model.fit(path).filter() for path in learned]
        told = f"; {1e3 * (time.process_time() - began) / paths:.0f} ms a fit"
        rows.append(_scored(f"{world.name}: {name}", fits, returns, truth, told))
    return rows


def _scored(name: str, filters: list[Filter], returns: Floats, truth: Any, more: str) -> Row:
    pairs = list(zip(filters, (path[:, None] for path in returns), truth, strict=True))
    said = [forecast_path(online, X, ASKED)[:, WILD] for online, X, _ in pairs]
    believed = np.mean([brier(filter_path(online, X).probs, labels) for online, X, labels in pairs])
    # Between two paths lies a horizon of which nothing is known.
    gap, calm = np.full(HORIZON, np.nan), np.zeros(HORIZON, dtype=np.int64)
    told = np.concatenate([part for p in said for part in (p, gap)])
    labels = np.concatenate([part for z in truth for part in (z, calm)])
    return _row(name, told, labels, f"; regimes' Brier {believed:.4f}{more}")


def _row(name: str, said: Floats, labels: Any, more: str) -> Row:
    of = event_forecast(said, entered_within(labels, WILD, HORIZON))
    alarms = warned(said, labels, WILD, HORIZON, LIMIT)
    table = ", ".join(f"{p:.0%}→{seen:.0%}" for p, seen, _ in of.table[::3])
    told = f"skill {of.skill:.3f}, reliability {of.reliability:.4f} ({table}), {alarms.warned:.0%} of {alarms.entries} "
    told += f"entries warned of, lead {alarms.lead:.0f} bars, {alarms.false_alarms:.2f} false alarms a year"
    return Row(f"{name}: Brier of entering", of.brier, "", "", told + more)


@bg.kernel
def _idle(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(0.0)


def _sample(size: float) -> list[Row]:
    history = sp500()
    history = history.head(max(1_130, int(size * len(history))))
    rows = []
    for name, make in MODELS.items():
        rule = bg.strategy(_idle, horizons=(ASKED,))
        began = time.process_time()
        run = bg.scan(bg.Machine(strategy=rule, model=make(), fit=bg.Fit(window=1_000, every=63)), history)
        spent, X = time.process_time() - began, run.arrays.features
        labels = make().fit(X[np.isfinite(X).all(axis=1)]).viterbi(X)[run.first :]
        said = run.tables["forecasts"][f"h{HORIZON}_into_{WILD}_p_{WILD}"].to_numpy()
        rows.append(_row(f"S&P 500: {name}", said, labels, f"; {len(run.fits)} fits in {spent:.1f} CPU s"))
    return rows


def _costs(size: float) -> list[Row]:
    X = draw(SCENARIOS["daily2"], max(2_000, int(200_000 * size)), seed=2)[0][0][:, None]
    rows = []
    for name, make in MODELS.items():
        online, least = make().fit(X[:2_000]).filter(), np.inf
        for _ in range(5):
            began = time.perf_counter()
            filter_rows(online, X)
            least = min(least, time.perf_counter() - began)
        rows.append(Row(f"a step of {name}", 1e9 * least / len(X), "ns", "≤ 2,000"))
    return rows
