"""Whole machines on 21 real series: what a run of the defaults comes to, and whether every poor fit is told.

Each series is traded by `regime_filter` with a model as it ships, refitted every 63 bars, from the first window to the
last bar. A run that ends early counts as broken. Every fit is read a second time here, from its parameters and rows
alone, and what is wrong with it must stand in its `degeneracies`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import barograph as bg
from barograph.errors import BarographError
from barograph.regimes.fitted import Fitted
from barograph.types import Floats
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.student_hmm import student_hmm
from barograph_strategies.regime_filter import regime_filter
from benchmarks import Row, Table
from benchmarks.real import MISSING, series

EVERY = 63
FIRST = ("AAPL", "BAC", "BBY", "RRC", "HD", "SP500")  # where runs once ended early, zero returns, and the index
MODELS: dict[str, Any] = {"gaussian_hmm": gaussian_hmm, "student_hmm": student_hmm}
DAY = 86_400_000_000_000


class Run(NamedTuple):
    """One machine on one series: whether it came to the end, and how many of its fits were what."""

    ended: bool
    fits: int
    refused: int
    degenerate: int
    silent: int


def market(returns: Floats) -> bg.History:
    """Make bars of log returns; every bar opens where the last one closed."""
    close = 100.0 * np.exp(np.concatenate([[0.0], returns.cumsum()]))
    opened = np.concatenate([close[:1], close[:-1]])
    bars = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    return bg.History.from_arrays(ts=np.arange(1, len(close) + 1) * DAY, symbols=["X"], calendar="24/7", **bars)


def one_run(returns: Floats, model: Any, window: int) -> Run:
    """Run the machine to the end of the series, and read its fits."""
    machine = bg.Machine(strategy=regime_filter(), model=model, fit=bg.Fit(window=window, every=EVERY))
    try:
        run = bg.run(machine, market(returns))
    except BarographError:
        return Run(False, 0, 0, 0, 0)
    made = [fit for fit in run.fits if not fit.refused]
    silent = sum(1 for fit in made for _ in untold(fit.fitted, returns[fit.first - 1 : fit.last - 1, None]))
    degenerate = sum(bool(fit.fitted.degeneracies) for fit in made)
    return Run(
        len(run.arrays.equity) == len(returns) + 1 - run.first,
        len(run.fits),
        len(run.fits) - len(made),
        degenerate,
        silent,
    )


def untold(fitted: Fitted, rows: Floats) -> Iterator[str]:
    """Yield what the parameters and the window's rows say is wrong with a fit and its degeneracies do not."""
    told = " ".join(fitted.degeneracies)
    leave = 1.0 - np.diag(fitted.transition)
    held = fitted.filter_path(rows).probs.mean(axis=0)
    found = {
        "floor": fitted.moments().variance[:, 0].min() < 1e-4 * rows.var(),
        "never ends": leave.min() < 1e-9,
        "lasts": leave.max() > 0.5,
        "holds": held.min() < 0.02,
    }
    yield from (word for word, wrong in found.items() if wrong and word not in told)


def measure(size: float = 1.0) -> Table:
    """Run every series with every model, window and number of regimes; a small size runs fewer, shorter ones."""
    found = series()
    if not found:
        return Table("Whole machines on real series", [Row("runs", None, "", "", MISSING)])
    names = [*FIRST, *(name for name in found if name not in FIRST)][: max(2, round(len(found) * size))]
    bars = 700 if size < 0.1 else None
    rows = [
        _row(
            f"{name}, K = {states}, {window} bars",
            [one_run(found[s][:bars], make(states=states), window) for s in names],
        )
        for window in ((250, 500, 1000) if size >= 0.1 else (500,))
        for states in (2, 3)
        for name, make in MODELS.items()
    ]
    return Table(
        f"Whole machines on {len(names)} real series, refitted every {EVERY} bars: runs that came to the end", rows
    )


def _row(name: str, runs: list[Run]) -> Row:
    fits, refused, degenerate, silent = (sum(getattr(r, key) for r in runs) for key in Run._fields[1:])
    beside = f"{fits} fits: {refused} failed and were told, {degenerate} with degeneracies told, {silent} untold"
    return Row(name, float(sum(r.ended for r in runs)), "runs", f"{len(runs)}", beside)
