"""Many starts, one answer: run them on several cores, drop the ones that fail, keep the likeliest.

The search is the same whatever climbs, EM or Lloyd's iterations; a model hands it its own `Pieces`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import FitError
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.matching import order_by_volatility
from barograph.regimes.window import Window
from barograph.types import Floats
from barograph_models._fit.data import Sample, emitted, sample

__all__ = ["CONVERGED", "DIED", "UNFINISHED", "Answer", "Ascent", "Pieces", "assembled", "from_many_starts", "reason",
           "settled"]  # fmt: skip

CONVERGED: Final = 0
UNFINISHED: Final = 1
DIED: Final = 2
# Rows times regimes from which the machine's choice is several threads. Below, a start takes a millisecond or three,
# and threads that wait for each other's Python cost more than they save: 65 fits of 1,000 rows took 0.92 s of CPU in
# one thread, 0.98 in two that stay, 1.06 in new ones for every fit.
_WORTH_THREADS: Final = 5_000


class Ascent(NamedTuple):
    """One climb, by EM or otherwise: where it ended, its log-likelihoods, and CONVERGED, UNFINISHED or DIED.

    `reached` is what the best of several climbs is chosen by, where that is not the last likelihood.
    """

    params: Any
    path: Floats
    verdict: int
    reached: float | None = None


class Answer(NamedTuple):
    """What only the model can say of the ascent that was kept: params in the data's units, and two of its scores.

    `observations` is how many rows the likelihood is of, where that is not every row observed; `degeneracies` say what
    of the fit is degenerate, where only the model can know.
    """

    params: Any
    free_parameters: int
    completed: float | None
    observations: int | None = None
    degeneracies: tuple[str, ...] = ()


class Pieces(NamedTuple):
    """What a model hands to the search; the places between which it climbs are its own business.

    ``begin(data, random, i)`` draws where start number i begins, ``resume(data, params)`` is where a previous fit's
    params are; ``climb(data, place)`` goes up from there, and ``answer(data, ascent)`` puts the best into words. Data
    are a `Sample`, or what the model itself has read. ``fits(params)`` tells whether a previous fit has the shapes that
    this model's own settings give, where regimes and features do not tell: one that has not is no start.
    """

    family: Family
    begin: Callable[[Any, np.random.Generator, int], Any]
    resume: Callable[[Any, Any], Any]
    climb: Callable[[Any, Any], Ascent]
    answer: Callable[[Any, Ascent], Answer]
    fits: Callable[[Any], bool] | None = None


def from_many_starts(
    name: str,
    pieces: Pieces,
    states: int,
    starts: int,
    seed: int,
    jobs: int | None,
    scale: bool = True,
    partial_rows: bool = False,
    read: Callable[[Window], Any] | None = None,
) -> Model:
    """Return the model that climbs from `starts` places drawn by `seed`, and from a previous fit of the same kind.

    Its fit is the likeliest of them, ordered by volatility; those that failed are named in ``dropped``. It hangs on
    what is given here and on the window, and not on `jobs`. With `partial_rows` it climbs on rows that lack a cell too.
    ``read(window)`` makes the data of a model that does not emit all of its columns: its `Z` is the whole table.
    """

    def fit(window: Window) -> Fitted:
        data = sample(emitted(window, name), states, name, scale, partial_rows) if read is None else read(window)
        previous = window.previous
        attempts = [partial(_from_seed, pieces, data, seed, i) for i in range(starts)]
        if previous is not None and _same_kind(previous, pieces, states, data):
            attempts.append(partial(pieces.climb, data, pieces.resume(data, previous.params)))
        few = len(data.Z) * states < _WORTH_THREADS
        ascent, dropped = _best_of(attempts, name, 1 if jobs is None and few else jobs)
        return order_by_volatility(assembled(pieces, data, ascent, seed, dropped))

    hangs_on = (*map(settled, pieces), name, states, starts, seed, scale, partial_rows, settled(read))
    return Model(fit, states, name, settings=hangs_on, partial_rows=partial_rows)


def settled(piece: Any) -> Any:
    """Tell two pieces that do the same from two that do not: by function and by what it was given beforehand."""
    if isinstance(piece, partial):
        given = tuple((key, settled(value)) for key, value in sorted(piece.keywords.items()))
        return (piece.func, tuple(map(settled, piece.args)), given)
    return piece


def _from_seed(pieces: Pieces, data: Sample, seed: int, index: int) -> Ascent:
    return pieces.climb(data, pieces.begin(data, np.random.default_rng([seed, index]), index))


def assembled(pieces: Pieces, data: Sample, ascent: Ascent, seed: int = 0, dropped: tuple[str, ...] = ()) -> Fitted:
    """Say one ascent, converged or not, as a `Fitted`."""
    params, free_parameters, completed, observations, told = pieces.answer(data, ascent)
    return Fitted(
        family=pieces.family,
        params=params,
        log_likelihood=ascent.path,
        observations=data.rows if observations is None else observations,
        free_parameters=free_parameters,
        completed=completed,
        converged=ascent.verdict == CONVERGED,
        seed=seed,
        features=tuple(f"x{j}" for j in range(data.Z.shape[1])),
        dropped=dropped,
        degeneracies=told,
    )


def _best_of(attempts: Sequence[Callable[[], Ascent]], name: str, jobs: int | None) -> tuple[Ascent, tuple[str, ...]]:
    """Return the likeliest attempt that kept its regimes, ties to the earliest, and a line for each other that failed.

    Attempts run in `jobs` threads (None: as many as the machine has cores); the answer does not depend on the number.
    Raises `FitError` when every attempt lost a regime.
    """
    ascents = _all(attempts, jobs)
    alive = [a for a in ascents if a.verdict != DIED]
    best = max(alive, key=_height) if alive else None
    failed = [(i, a) for i, a in enumerate(ascents) if a is not best and a.verdict != CONVERGED]
    dropped = tuple(f"start {i}: {reason(a)}" for i, a in failed)
    if best is None:
        more = f" (and {len(dropped) - 1} more)" if len(dropped) > 1 else ""
        raise FitError(f"{name}: every start failed; {dropped[0]}{more}; take fewer states, or more data")
    # A slow ascent is a result: its `Fitted` says that it has not converged.
    return best, dropped


def _height(ascent: Ascent) -> float:
    return float(ascent.path[-1]) if ascent.reached is None else ascent.reached


def _all(attempts: Sequence[Callable[[], Ascent]], jobs: int | None) -> list[Ascent]:
    if jobs == 1 or len(attempts) == 1:
        return [attempt() for attempt in attempts]
    pool = _pool((os.cpu_count() or 1) if jobs is None else jobs, os.getpid())
    return list(pool.map(lambda attempt: attempt(), attempts))


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return the process's own threads, which wait for the next fit; a fork's child has none of its parent's."""
    return ThreadPoolExecutor(threads, "fit")


def reason(ascent: Ascent) -> str:
    """Say in a few words why a start failed."""
    if ascent.verdict == DIED:
        return f"a regime died after {len(ascent.path)} iterations"
    gain = float(ascent.path[-1] - ascent.path[-2]) if len(ascent.path) > 1 else float("nan")
    return f"no convergence in {len(ascent.path)} iterations (the last gained {gain:.3g})"


def _same_kind(previous: Fitted, pieces: Pieces, states: int, data: Sample) -> bool:
    """Tell whether a previous fit can be one more start: the same model, regimes, number of features and shapes."""
    if previous.family is not pieces.family:
        return False
    alike = (previous.regimes, len(previous.features)) == (states, data.Z.shape[1])
    return alike and (pieces.fits is None or pieces.fits(previous.params))
