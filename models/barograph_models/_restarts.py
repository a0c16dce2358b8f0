"""Many starts, one answer: run them on several cores, drop the ones that fail, keep the likeliest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from barograph.errors import FitError
from barograph.regimes.fitted import Family, Fitted
from barograph_models._chain import CONVERGED, DIED, Ascent
from barograph_models._data import Sample

__all__ = ["best_of", "reason", "same_kind"]


def best_of(attempts: Sequence[Callable[[], Ascent]], name: str, jobs: int | None) -> tuple[Ascent, tuple[str, ...]]:
    """Return the likeliest attempt that succeeded, ties to the earliest, and a line for each that failed.

    Attempts run in `jobs` threads (None: as many as the machine likes); the answer does not depend on the number.
    Raises `FitError` when every attempt failed.
    """
    ascents = _all(attempts, jobs)
    dropped = tuple(f"start {i}: {reason(a)}" for i, a in enumerate(ascents) if a.verdict != CONVERGED)
    kept = [a for a in ascents if a.verdict == CONVERGED]
    if not kept:
        more = f" (and {len(dropped) - 1} more)" if len(dropped) > 1 else ""
        raise FitError(f"{name}: every start failed; {dropped[0]}{more}; {_remedy(ascents)}")
    return max(kept, key=lambda a: float(a.path[-1])), dropped


def _all(attempts: Sequence[Callable[[], Ascent]], jobs: int | None) -> list[Ascent]:
    if jobs == 1 or len(attempts) == 1:
        return [attempt() for attempt in attempts]
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda attempt: attempt(), attempts))


def reason(ascent: Ascent) -> str:
    """Say in a few words why a start failed."""
    if ascent.verdict == DIED:
        return f"a regime died after {len(ascent.path)} iterations"
    gain = float(ascent.path[-1] - ascent.path[-2]) if len(ascent.path) > 1 else float("nan")
    return f"no convergence in {len(ascent.path)} iterations (the last gained {gain:.3g})"


def _remedy(ascents: Sequence[Ascent]) -> str:
    if all(a.verdict == DIED for a in ascents):
        return "take fewer states, or more data"
    return "take more iterations, a larger tolerance, or fewer states"


def same_kind(previous: Fitted, family: Family, states: int, data: Sample) -> bool:
    """Tell whether a previous fit can be one more start: the same model, regimes and number of features."""
    return previous.family is family and (previous.regimes, len(previous.features)) == (states, data.Z.shape[1])
