"""What is wrong with a fit though nothing failed: told in words, never mended in silence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from barograph.jit.arithmetic import exp
from barograph.jit.kernel import Kernel
from barograph.jit.ordered import mean, moment, total, variance
from barograph.types import Floats

__all__ = ["degeneracies"]

FLOOR: Final = 1e-4
"""A regime with less than this of its feature's variance has found a repeated value, not a calm market."""
FEW: Final = 0.02
"""A regime with a smaller share of the rows rests on one event."""
ENDLESS: Final = 1e9
SHORT: Final = 2.0
ALIKE: Final = 0.02
"""Two regimes whose log volatilities differ by less, and whose means by less than a tenth of one, are one regime."""
SLOW: Final = 0.95
"""Returns of any market are far below this first autocorrelation, prices are above .99 in a long window."""
UNIT_ROOT: Final = 13.7
"""In a short one they are above 1 - 13.7 / n in nineteen of twenty: Dickey & Fuller, J. Am. Stat. Assoc. 74 (1979)."""
FEWEST: Final = 100
MADE: Final = 1e-10
"""A feature of whose variance those before it leave less says nothing of its own."""


def degeneracies(fitted: Any, *tables: Floats) -> tuple[str, ...]:
    """Say what is wrong with a fit to a table of rows (T, d), a line each: nothing, if nothing is.

    Told are a regime on the variance floor, one with under 2 % of the rows, one that never ends or lasts less than two
    bars, two that are alike in mean and volatility, a feature that is made of those before it, so that covariances are
    singular, and a feature 0 near a unit root. Of a panel there is a table an asset: what is wrong in one is told by
    its name, and the rows are those of all.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0, 1.0], 200)
    >>> gaussian_hmm(states=2, starts=2).fit(100.0 + np.cumsum(noise)).degeneracies[-1]
    'feature 0 is near a unit root: prices, or a slow feature, in the place of returns (autocorrelation 1.00)'
    """
    alone = [fitted.of_asset(i) for i in range(len(tables))] if fitted.panel else [fitted]
    whose = [f"{symbol}: " for symbol in fitted.symbols] or [""] * len(tables)
    of_each = list(zip(whose, alone, tables, strict=True))
    told = [f"{who}{line}" for who, one, rows in of_each for line in _narrow(one, rows)]
    told += [*_rare(fitted, alone, tables), *_lasting(fitted), *_alike(fitted)]
    told += [f"{who}{line}" for who, one, rows in of_each for line in _made(one, rows)]
    return (*told, *(f"{who}{line}" for who, _, rows in of_each for line in _slow(rows)))


def _name(fitted: Any, k: int) -> str:
    return fitted.labels[k] if fitted.labels else f"regime {k}"


def _used(fitted: Any) -> int:
    """Return how many of the regimes are in use, the first ones."""
    found: int = fitted.regimes if fitted.family.used is None else fitted.family.used(fitted.params)
    return found


def _narrow(fitted: Any, rows: Floats) -> Iterator[str]:
    moments = fitted.moments()
    if moments is None:
        return
    for j in range(min(rows.shape[1], moments.variance.shape[1])):
        seen = rows[np.isfinite(rows[:, j]), j]
        whole = float(variance(seen)) if len(seen) > 1 else 0.0
        for k in np.flatnonzero(moments.variance[: _used(fitted), j] < FLOOR * whole).tolist():
            share = moments.variance[k, j] / whole
            told = f"it has {share:.2g} of the variance of feature {j}; repeated values, such as unchanged prices?"
            yield f"{_name(fitted, k)} is on the variance floor: {told}"


def _rare(fitted: Any, alone: Sequence[Any], tables: Sequence[Floats]) -> Iterator[str]:
    if _used(fitted) == 1 or fitted.family.events or not any(map(len, tables)):
        return
    # At Python's speed a filter over the window would cost as much as the fit.
    quick, share = isinstance(fitted.family.step, Kernel), fitted.stationary()
    if quick:
        paths = [one.filter_path(rows).probs for one, rows in zip(alone, tables, strict=True)]
        share = mean(np.concatenate(paths))
    if share is None:
        return
    for k in np.flatnonzero(share[: _used(fitted)] < FEW).tolist():
        yield f"{_name(fitted, k)} holds {share[k]:.1%} of the rows"


def _lasting(fitted: Any) -> Iterator[str]:
    stays = fitted.stays()
    if stays is None or _used(fitted) == 1:
        return
    for k, stay in enumerate(stays.tolist()[: _used(fitted)]):
        if stay > ENDLESS:
            yield f"{_name(fitted, k)} never ends: the chance to leave it is 0"
        elif stay < SHORT:
            yield f"{_name(fitted, k)} lasts {stay:.1f} bars"


def _alike(fitted: Any) -> Iterator[str]:
    of = fitted.signature()
    for k in range(0 if of is None else _used(fitted)):
        for i in range(k):
            assert of is not None
            near = abs(of.log_volatility[k] - of.log_volatility[i]) < ALIKE
            apart = abs(of.mean[k] - of.mean[i]) * exp(-float(of.log_volatility[k]))
            if near and apart < 0.1 and math.isfinite(apart):
                yield f"{_name(fitted, i)} and {_name(fitted, k)} are alike in mean and volatility"


def _made(fitted: Any, rows: Floats) -> Iterator[str]:
    moments = fitted.moments()
    # Covariates are not emitted, and may be made of what is.
    d = rows.shape[1] if moments is None else min(rows.shape[1], moments.mean.shape[1])
    whole = np.ascontiguousarray(rows[np.isfinite(rows).all(axis=1), :d])
    if d == 1 or len(whole) <= d:
        return
    away = whole - mean(whole)
    products = moment(away, away)
    # Each feature's variance less what those before it explain: the pivots of Cholesky's factor.
    left = products.copy()
    for j in range(d):
        if left[j, j] <= MADE * products[j, j]:
            yield f"feature {j} is made of those before it: the same evidence is counted twice; drop it"
            continue
        rest = left[j + 1 :, j]
        left[j + 1 :, j + 1 :] -= rest[:, None] * rest[None, :] / left[j, j]


def _slow(rows: Floats) -> Iterator[str]:
    x = rows[:, 0]
    both = np.isfinite(x[1:]) & np.isfinite(x[:-1])
    count = int(np.count_nonzero(both))
    if count < FEWEST:
        return
    centre = mean(x[np.isfinite(x)])
    before, after = x[:-1][both] - centre, x[1:][both] - centre
    power = float(total(before * before))
    found = float(total(before * after)) / power if power > 0.0 else 0.0
    if found > min(SLOW, 1.0 - UNIT_ROOT / count):
        told = f"prices, or a slow feature, in the place of returns (autocorrelation {found:.2f})"
        yield f"feature 0 is near a unit root: {told}"
