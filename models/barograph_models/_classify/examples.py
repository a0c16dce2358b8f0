"""Examples: each row whose class may be learned, with the window that ends at it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph_models._classify.learning import Task

__all__ = ["examples", "needed", "smote"]


def needed(module: str, name: str, extra: str) -> Any:
    """Import what learning needs and scoring does not. Raises `FitError` where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn"}.get(module.partition(".")[0], module)
        raise FitError(
            f"{name}: learning needs {package}, which is not installed: install barograph[{extra}]"
        ) from error


def examples(task: Task, window: int, rows: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.int64]]:
    """Return the windows that end at `rows` (T,), (M, window, d), oldest row first, and their classes, (M,).

    Rows that are missing are skipped, as the filter skips them.
    """
    taken = np.isfinite(task.Z).all(axis=1)
    Z = np.ascontiguousarray(task.Z[taken])
    ends = (np.cumsum(taken) - 1)[rows]
    at = ends[:, None] + np.arange(1 - window, 1)
    return Z[at], task.classes[rows]


def smote(name: str, inputs: Floats, classes: NDArray[np.int64], seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return inputs (M, n) with as many of every class: new ones lie between neighbours of one class.

    Chawla et al., *SMOTE: Synthetic Minority Over-sampling Technique*, JAIR 16 (2002).
    """
    made = needed("imblearn.over_sampling", name, "smote").SMOTE(random_state=seed)
    found, of = made.fit_resample(inputs, classes)
    return np.asarray(found, dtype=np.float64), np.asarray(of, dtype=np.int64)
