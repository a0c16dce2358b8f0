"""What is left of a p-value, and of a Sharpe ratio, when many were tried (Harvey & Liu 2015, "Backtesting").

The corrections know how many tests there were, not how much alike they are: of a thousand crosses of averages, which
are one idea, they take as much as of a thousand ideas. The reality check looks at the streams instead.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from barograph.types import Floats
from barograph.validation.sharpe import annual_factor

__all__ = ["METHODS", "Haircut", "adjusted", "haircut"]


def _sidak(p: Floats) -> Floats:
    # 1 − (1 − p)^N without losing small p.
    found: Floats = -np.expm1(p.size * np.log1p(-np.minimum(p, 1.0 - 1e-16)))
    return found


def _bonferroni(p: Floats) -> Floats:
    found: Floats = p * p.size
    return found


def _holm(p: Floats) -> Floats:
    order = np.argsort(p, kind="stable")
    found = np.empty_like(p)
    found[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return found


def _bhy(p: Floats) -> Floats:
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, p.size + 1)
    found = np.empty_like(p)
    scaled = p[order] * (p.size * float(np.sum(1.0 / ranks))) / ranks
    found[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return found


METHODS: Final = {"bonferroni": _bonferroni, "sidak": _sidak, "holm": _holm, "bhy": _bhy}
"""Corrections of all p-values of a family. The first three bound the chance of one false finding (Šidák's for
independent tests), `bhy` the expected share of false ones, whatever their dependence (Benjamini & Yekutieli 2001)."""


def adjusted(p: Floats, method: str = "bonferroni") -> Floats:
    """Return the p-values (N,) corrected for there being N of them.

    >>> adjusted(np.array([0.01, 0.04, 0.03]), "holm").round(6).tolist()
    [0.03, 0.06, 0.06]

    Raises `ValueError` when there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"method = {method!r} is unknown; known: {', '.join(METHODS)}")
    found: Floats = np.minimum(METHODS[method](np.asarray(p, dtype=np.float64)), 1.0)
    return found


class Haircut(NamedTuple):
    """An annual Sharpe ratio corrected for autocorrelation, its p-value times the tests, and the ratio that is left."""

    sharpe: float
    p: float
    haircut_sharpe: float

    @property
    def share(self) -> float:
        """The part of the Sharpe ratio that the tests take."""
        return 1.0 - self.haircut_sharpe / self.sharpe


def haircut(sharpe: float, bars: int, periods: int, tests: int, correlation: float = 0.0) -> Haircut:
    """Return what Bonferroni leaves of an annual Sharpe ratio that was the best of so many tests.

    The ratio is first corrected for returns whose autocorrelation is ρ^k (Lo 2002). Its two-sided p-value, Student-t
    with `bars` − 1 degrees of freedom, is multiplied by `tests`; the haircut ratio is the one with *that* p-value.

    >>> haircut(1.0, bars=120, periods=12, tests=100, correlation=0.1).haircut_sharpe.__round__(4)
    0.2317
    """
    from scipy.special import stdtr, stdtrit

    lags = np.arange(1.0, periods)
    corrected = sharpe * annual_factor(correlation**lags, periods) / math.sqrt(periods)
    unit = math.sqrt(bars / periods)
    once = 2.0 * float(stdtr(bars - 1, -abs(corrected) * unit))
    often = min(1.0, once * tests)
    left = -float(stdtrit(bars - 1, often / 2.0)) / unit
    return Haircut(corrected, often, math.copysign(left, corrected))
