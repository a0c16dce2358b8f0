"""What every fit does first: refuse hopeless data, find the missing rows, bring all features to one scale."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError, FitError, nearest
from barograph.jit.ordered import logarithms, mean, total, variance
from barograph.regimes.window import COVARIATE, TARGET, Window, table
from barograph.types import Floats

__all__ = ["Sample", "check_choice", "check_counts", "check_positive", "emitted", "refuse_infinite",
           "sample"]  # fmt: skip


LARGEST: Final = 1e150
"""Beyond it a cell is refused: a sum of squares would be infinite."""


def emitted(window: Window, name: str) -> Floats:
    """Return the rows of a model that emits all of its columns. Raises `FitError` where some are not to be emitted."""
    odd = [column for column, role in zip(window.names, window.roles, strict=True) if role in (COVARIATE, TARGET)]
    if odd:
        raise FitError(f"{name}: {odd[0]} is told to be a covariate or a target, and this model has neither")
    return window.rows


class Sample(NamedTuple):
    """Standardised rows `Z` (T, d), zero where missing; `observed` (T,); and ``X = centre + scale * Z``.

    A cell that is missing from an observed row is NaN.
    """

    Z: Floats
    observed: NDArray[np.bool_]
    centre: Floats
    scale: Floats

    @property
    def rows(self) -> int:
        """How many rows are observed."""
        return int(self.observed.sum())

    def with_nan(self) -> Floats:
        """Return the standardised rows with the missing ones marked again."""
        return np.where(self.observed[:, None], self.Z, np.nan)

    @property
    def partial(self) -> bool:
        """Whether an observed row lacks a cell."""
        return bool(np.isnan(self.Z).any())

    @property
    def log_volume(self) -> float:
        """What standardising adds to the data's log-likelihood."""
        cells = ~np.isnan(self.Z[self.observed])
        whole, logs = cells.all(axis=1), logarithms(self.scale)
        of_rows = int(np.count_nonzero(whole)) * float(total(logs))
        return of_rows + float(total(np.count_nonzero(cells[~whole], axis=0) * logs))


def sample(X: Any, states: int, name: str, scale: bool = True, partial: bool = False) -> Sample:
    """Standardise `X` (T, d) by its observed rows; a row with any NaN is missing as a whole, `partial`: with all.

    Raises `FitError` for infinite values, a constant column, or fewer than d+1 observed rows a state.
    """
    X = table(X)
    refuse_infinite(X, name)
    missing = np.isnan(X)
    observed = ~(missing.all(axis=1) if partial else missing.any(axis=1))
    seen, wanted = X[observed], states * (X.shape[1] + 1)
    if len(seen) < wanted:
        raise FitError(f"{name}: {len(seen)} of {len(X)} rows are observed, {states} states need at least {wanted}")
    centre, spread = np.array([_scale(column, j, name) for j, column in enumerate(seen.T)]).T.copy()
    if not scale:
        centre, spread = np.zeros_like(centre), np.ones_like(spread)
    Z = np.where(observed[:, None], (X - centre) / spread, 0.0)
    return Sample(np.ascontiguousarray(Z), observed, centre, spread)


def _scale(column: Floats, j: int, name: str) -> tuple[float, float]:
    """Return the mean and the deviation of a column's cells."""
    seen = column[~np.isnan(column)]
    deviation = float(np.sqrt(variance(seen))) if len(seen) else 0.0
    # A constant's computed deviation is rounding, not zero.
    if not len(seen) or deviation <= 1e-13 * float(np.abs(seen).max()):
        raise FitError(f"{name}: feature {j} is constant over the {len(seen)} observed rows; drop it")
    return float(mean(seen)), deviation


def refuse_infinite(X: Floats, name: str) -> None:
    """Raise `FitError` naming the first cell that is infinite, or too large for its square to be a number."""
    row, column = np.nonzero(np.isinf(X))
    if len(row):
        raise FitError(f"{name}: feature {column[0]} is infinite in row {row[0]}; mend the data or make it NaN")
    row, column = np.nonzero(np.abs(X) > LARGEST)
    if len(row):
        told = f"feature {column[0]} is {X[row[0], column[0]]:.3g} in row {row[0]}, beyond {LARGEST:.0e}"
        raise FitError(f"{name}: {told}: its square is no number; give it in a larger unit")


def check_counts(name: str, **counts: int) -> None:
    """Raise `ConfigError` naming the first setting that is not a whole number of at least one."""
    for key, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ConfigError(f"{name}: {key} = {value!r}, a whole number of at least 1 is wanted")


def check_positive(name: str, **values: float) -> None:
    """Raise `ConfigError` naming the first setting that is not a number above zero."""
    for key, value in values.items():
        if not 0.0 < value < np.inf:
            raise ConfigError(f"{name}: {key} = {value!r}, a number above 0 is wanted")


def check_choice(name: str, key: str, value: str, known: tuple[str, ...]) -> None:
    """Raise `ConfigError` unless `value` is one of `known`."""
    if value not in known:
        raise ConfigError(f"{name}: {key} = {value!r}, one of {', '.join(known)} is wanted{nearest(value, known)}")
