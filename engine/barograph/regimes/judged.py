"""What a classifier answered on rows that it did not learn from: kept with its fit, so that it can be judged again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.types import Floats

__all__ = ["UNJUDGED", "Judged", "gathered", "settled"]

UNJUDGED: Final = "could not be judged"
"""How the note of a classifier begins that held nothing out."""


class Judged(NamedTuple):
    """The held-out rows of a fit, M of them, and its training curve, E epochs; of a model that holds none out, None.

    `bars` (M,) are their row numbers in the window, `ts` (M,) the times of these bars' closes, nanoseconds UTC, zeros
    where the window had none; `classes` (M,) what each was, 0..K-1; `raw` and `probs` (M, K) what was answered before
    and after calibration; `curve` (E, 2) the training and the held-out loss of each epoch, (0, 2) without any.
    """

    bars: NDArray[np.int64]
    ts: NDArray[np.int64]
    classes: NDArray[np.int64]
    raw: Floats
    probs: Floats
    curve: Floats


TYPES: Final = {"bars": np.int64, "ts": np.int64, "classes": np.int64}
"""What is no float64."""


def settled(judged: Any) -> Judged | None:
    """Return the same answers, read-only and checked; None of None.

    Raises `FitError` where rows, classes and probabilities do not belong together.

    >>> one = np.array([[0.3, 0.7]])
    >>> settled(Judged([4, 5], [0, 0], [1, 1], one, one, np.empty((0, 2))))
    Traceback (most recent call last):
    barograph.errors.FitError: judged: 2 bars, 2 times, 2 classes, and probabilities (1, 2) and (1, 2); wanted M of each
    """
    if judged is None:
        return None
    own = Judged(*(_held(name, leaf) for name, leaf in zip(Judged._fields, judged, strict=True)))
    M, shapes = len(own.bars), (own.bars.shape, own.ts.shape, own.classes.shape)
    if shapes != ((M,),) * 3 or own.raw.shape != own.probs.shape or own.raw.ndim != 2 or len(own.raw) != M:
        told = f"{M} bars, {len(own.ts)} times, {len(own.classes)} classes"
        raise FitError(f"judged: {told}, and probabilities {own.raw.shape} and {own.probs.shape}; wanted M of each")
    if own.curve.ndim != 2 or own.curve.shape[1] != 2:
        raise FitError(f"judged: a curve of shape {own.curve.shape}; wanted a training and a held-out loss an epoch")
    if M and not 0 <= own.classes.min() <= own.classes.max() < own.raw.shape[1]:
        told = f"classes {own.classes.min()}..{own.classes.max()}"
        raise FitError(f"judged: {told}; wanted 0..{own.raw.shape[1] - 1}, a column of the probabilities each")
    return own


def _held(name: str, leaf: Any) -> Any:
    own = np.array(leaf, dtype=TYPES.get(name, np.float64), order="C")
    own.flags.writeable = False
    return own


def gathered(get: Callable[[str, Any], Any], held: set[str]) -> Judged | None:
    """Return what a file holds of it, by ``get(member, type)``; `ValueError` where it is odd."""
    if "judged.bars.npy" not in held:
        return None
    try:
        return settled([get(f"judged.{name}", TYPES.get(name, np.float64)) for name in Judged._fields])
    except FitError as error:
        raise ValueError(str(error)) from error
