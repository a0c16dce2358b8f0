"""What every fit does first: refuse hopeless data, find the missing rows, bring all features to one scale."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError, FitError, nearest
from barograph.jit.ordered import logarithms, mean, total, variance
from barograph.regimes.window import COVARIATE, TARGET, Window, table
from barograph.types import Floats

__all__ = ["Sample", "check_choice", "check_counts", "check_positive", "emitted", "sample"]


def emitted(window: Window, name: str) -> Floats:
    """Return the rows of a model that emits all of its columns. Raises `FitError` where some are not to be emitted."""
    odd = [column for column, role in zip(window.names, window.roles, strict=True) if role in (COVARIATE, TARGET)]
    if odd:
        raise FitError(f"{name}: {odd[0]} is told to be a covariate or a target, and this model has neither")
    return window.rows


class Sample(NamedTuple):
    """Standardised rows `Z` (T, d), zero where missing; `observed` (T,); and ``X = centre + scale * Z``."""

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
    def log_volume(self) -> float:
        """What standardising adds to the data's log-likelihood."""
        return self.rows * float(total(logarithms(self.scale)))


def sample(X: Any, states: int, name: str, scale: bool = True) -> Sample:
    """Standardise `X` (T, d) by its observed rows; a row with any NaN is missing as a whole.

    Raises `FitError` for infinite values, a constant column, or fewer than d+1 observed rows a state.
    """
    X = table(X)
    _refuse_infinite(X, name)
    observed = ~np.isnan(X).any(axis=1)
    seen = X[observed]
    wanted = states * (X.shape[1] + 1)
    if len(seen) < wanted:
        raise FitError(f"{name}: {len(seen)} of {len(X)} rows are observed, {states} states need at least {wanted}")
    centre = mean(seen)
    spread = np.sqrt(variance(seen))
    # A constant's computed deviation is rounding, not zero.
    flat = np.flatnonzero(spread <= 1e-13 * np.abs(seen).max(axis=0))
    if len(flat):
        raise FitError(f"{name}: feature {flat[0]} is constant over the {len(seen)} observed rows; drop it")
    if not scale:
        centre, spread = np.zeros_like(centre), np.ones_like(spread)
    Z = np.where(observed[:, None], (X - centre) / spread, 0.0)
    return Sample(np.ascontiguousarray(Z), observed, centre, spread)


def _refuse_infinite(X: Floats, name: str) -> None:
    row, column = np.nonzero(np.isinf(X))
    if len(row):
        raise FitError(f"{name}: feature {column[0]} is infinite in row {row[0]}; mend the data or make it NaN")


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
