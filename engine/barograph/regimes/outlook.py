"""What a fit expects of the bars to come: its chain, its regimes' names, and how likely it thinks its data are.

All of it is computed once a fit and remembered; every answer is a function of the fit and a belief alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import PartError
from barograph.jit.arithmetic import power
from barograph.jit.kernel import compiled
from barograph.jit.ordered import exponentials, logarithms, mean, product, total, variance
from barograph.regimes.family import ChainNow, Moments, by_belief
from barograph.regimes.fitted import Fitted, blank_forecast
from barograph.regimes.mixture import mixture_quantile
from barograph.regimes.transitions import never_left
from barograph.types import Floats, Forecast

__all__ = ["Outlook", "outlook"]

# Points a regime that an expectation over its density is taken at: 1 % of a standard deviation off in ten dimensions.
_POINTS: Final = 128
_TINY: Final = 1e-300
_NAMES: Final = {2: ("calm", "wild"), 3: ("calm", "middle", "wild")}


class Outlook(NamedTuple):
    """A fit, laid out for questions; what the model has not got is None.

    `now` are the plans of the next bar's forecast, `then` those of the horizon's; `variance` (R,) is feature 0's.
    `logs` (R, S, R) is the log-density under every regime at points drawn from each; `shift` is what the mean of the
    training data's log-density differs by; `changes` is the share of bars at which the regime is left. `returns` tells
    whether feature 0 is the log return of a bar, so that it can be multiplied by a weight.
    """

    fitted: Fitted
    now: _Planned | None
    then: _Planned | None
    variance: Floats | None
    stays: tuple[float | None, ...] | None
    names: tuple[str, ...]
    logs: Floats | None
    shift: float
    changes: float | None
    returns: bool
    mark: str

    def at(self, belief: Floats, state: Any) -> Any:
        """Return what forecasts are made from: a belief where that is all there is to it, else the filter's state."""
        return ChainNow(belief) if by_belief(self.fitted.family) else state

    def ahead(self, belief: Floats, state: Any = None) -> Floats | None:
        """Return the probabilities of the regimes at the horizon, (R,), or None."""
        return None if self.then is None else self.then.forecast(self.at(belief, state)).probs

    def entering(self, belief: Floats, regimes: tuple[int, ...], state: Any = None) -> Floats | None:
        """Return P(each of these is the first of them to be entered by the horizon), 0 elsewhere, (R,), or None."""
        planned = None if self.then is None else _into(self.fitted, self.then.horizon, regimes)
        if planned is None:
            return None
        found = np.zeros(self.fitted.regimes)
        found[list(regimes)] = planned.forecast(self.at(belief, state)).probs[list(regimes)]
        return found

    def quantile(self, belief: Floats, level: float, state: Any = None) -> float | None:
        """Return the quantile of the next bar's feature 0, under the mixture that is forecast, or None."""
        if self.now is None:
            return None
        of = self.now.forecast(self.at(belief, state))
        return float(_quantile(float(level), of.weights, of.mean, of.variance, of.degrees_of_freedom))

    def next(self, belief: Floats, state: Any = None) -> Floats | None:
        """Return the probabilities of the regimes at the next close, (R,), or None."""
        return None if self.now is None else self.now.forecast(self.at(belief, state)).probs

    def surprise(self, expected: Floats, logpdf: float) -> float | None:
        """Return by how many standard deviations a bar's log-density is below what `expected`, its `next`, expects."""
        if self.logs is None:
            return None
        mean_of, deviation = _expected(self.logs, expected)
        return (mean_of + self.shift - logpdf) / deviation


class _Planned(NamedTuple):
    """A filter's forecast at one horizon, with its plan."""

    kernel: Any
    plan: Any
    horizon: int
    parts: int
    regimes: int

    def forecast(self, now: Any) -> Forecast:
        out = blank_forecast(self.horizon, self.parts, self.regimes)
        self.kernel(now, self.plan, self.horizon, out)
        return out


@compiled
def _quantile(level: float, weights: Any, mean: Any, variance: Any, degrees_of_freedom: Any) -> float:
    """Find it in compiled code: in plain Python two a cycle were a third of what a cycle of paper trading takes."""
    return mixture_quantile(level, weights, mean, variance, degrees_of_freedom)


# Coefficients of the rational functions, the highest power first.
_MIDDLE: Final = (
    -3.969683028665376e01, 2.209460984245205e02, -2.759285104469687e02, 1.383577518672690e02, -3.066479806614716e01,
    2.506628277459239e00,
)  # fmt: skip
_MIDDLE_BELOW: Final = (
    -5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02, 6.680131188771972e01, -1.328068155288572e01,
    1.0,
)  # fmt: skip
_TAIL: Final = (
    -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e00, -2.549732539343734e00, 4.374664141464968e00,
    2.938163982698783e00,
)  # fmt: skip
_TAIL_BELOW: Final = (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00, 3.754408661907416e00, 1.0)


@lru_cache(maxsize=256)
def outlook(fitted: Fitted, horizon: int, symbol: str = "") -> Outlook:
    """Lay out a fit for the questions that a watcher asks at every close; of a panel's, those about one asset.

    >>> import numpy as np
    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal(600)
    >>> fitted = gaussian_hmm(states=2, starts=2).fit(noise * np.repeat([1.0, 4.0, 1.0], 200))
    >>> seen = outlook(fitted, horizon=5)
    >>> seen.names, seen.ahead(np.array([1.0, 0.0])).round(2).tolist()
    (('calm', 'wild'), [0.99, 0.01])
    """
    whole, fitted = fitted, fitted.of_asset(symbol) if symbol else fitted
    moments, stays, share = fitted.moments(), fitted.stays(), fitted.stationary()
    known = None if stays is None else tuple(s if math.isfinite(s) else None for s in stays.tolist())
    logs, shift = _likelihood(fitted)
    if whole.panel and symbol:
        shift = _shift(whole)
    last = "" if fitted.log_likelihood is None else repr(float(fitted.log_likelihood[-1]))
    return Outlook(
        fitted=fitted,
        now=_planned(fitted, 1),
        then=_planned(fitted, horizon),
        variance=None if moments is None else np.ascontiguousarray(moments.variance[:, 0]),
        stays=known,
        names=fitted.labels or _names(fitted.regimes, moments),
        logs=logs,
        shift=shift,
        changes=None if stays is None or share is None else float(product(share, 1.0 / stays)),
        returns=fitted.features[0].startswith("log_return"),
        mark=f"{fitted.observations}:{last}",
    )


def _planned(fitted: Fitted, horizon: int) -> _Planned | None:
    online = fitted.filter()
    if online.forecast is None or online.plan is None or online.components is None:
        return None
    try:
        parts, plan = online.components(online.params, horizon), online.plan(online.params, horizon)
    except PartError:  # a model that does not look so far ahead
        return None
    return _Planned(online.forecast, plan, horizon, parts, online.regimes)


@lru_cache(maxsize=256)
def _into(fitted: Fitted, horizon: int, regimes: tuple[int, ...]) -> _Planned | None:
    """Return the forecast of a market that stays in these regimes, or None of a model that cannot tell."""
    try:
        params = never_left(fitted.family, fitted.params, regimes)
    except PartError:
        return None
    return _planned(replace(fitted, params=params), horizon)


def _likelihood(fitted: Fitted) -> tuple[Floats | None, float]:
    """Return log-densities at points drawn from each regime, and what the training data's own differ by."""
    moments, share, path = fitted.moments(), fitted.stationary(), fitted.log_likelihood
    if moments is None or share is None or path is None or fitted.transition is None or fitted.family.shown:
        return None, 0.0
    logs = _log_densities(moments.mean, moments.variance)
    rows = np.array(fitted.transition)
    surest = sum(float(p) * _expected(logs, row)[0] for p, row in zip(share, rows, strict=True))
    # What the diagonal Gaussians leave out (covariances, tails, doubt) is in the training data's own mean.
    return logs, float(path[-1]) / max(1, fitted.observations) - surest


@lru_cache(maxsize=8)
def _shift(panel: Fitted) -> float:
    """Return what a panel's data differ by from what is expected of them: the mean of its assets, of as many rows each.

    The likelihood is that of all; in each asset's own units the difference is the same.
    """
    return float(mean(np.array([_likelihood(panel.of_asset(symbol))[1] for symbol in panel.symbols])))


def _names(regimes: int, moments: Moments | None) -> tuple[str, ...]:
    """Name regimes by how wild feature 0 is in them; with more than three the number has to do."""
    words = None if moments is None else _NAMES.get(regimes)
    if words is None or moments is None:
        return tuple(f"regime {k}" for k in range(regimes))
    order = np.argsort(np.argsort(moments.variance[:, 0], kind="stable"), kind="stable")
    return tuple(words[rank] for rank in order)


def _log_densities(centre: Floats, spread: Floats) -> Floats:
    """Return log N_j(x) at points x of regime k, (K, S, K), features independent."""
    points = centre[:, None, :] + np.sqrt(spread)[:, None, :] * _points(centre.shape[1])
    away = points[:, :, None, :] - centre
    return np.asarray(-0.5 * total(away * away / spread + logarithms(2.0 * math.pi * spread), axis=3))


def _points(dimensions: int) -> Floats:
    """Return standard normal points (S, d): a lattice by the golden ratio's relatives, the same everywhere.

    M. Roberts, *The unreasonable effectiveness of quasirandom sequences* (2018).
    """
    root = 2.0
    for _ in range(64):
        root = power(1.0 + root, 1.0 / (dimensions + 1))
    steps = np.array([power(root, -float(j)) for j in range(1, dimensions + 1)])
    points = _normal_quantile((0.5 + steps * np.arange(1.0, _POINTS + 1.0)[:, None]) % 1.0)
    return np.asarray((points - mean(points)) / np.sqrt(variance(points)))


def _normal_quantile(level: Floats) -> Floats:
    """Return quantiles of the standard normal distribution, relative error below 1.2e-9; the tails by a root of a log.

    P. J. Acklam, *An algorithm for computing the inverse normal cumulative distribution function* (2003).
    """
    middle = level - 0.5
    square = middle * middle
    found = middle * _horner(_MIDDLE, square) / _horner(_MIDDLE_BELOW, square)
    tail = np.minimum(level, 1.0 - level)
    far = np.sqrt(-2.0 * logarithms(tail))
    beyond = np.where(middle > 0.0, -1.0, 1.0) * _horner(_TAIL, far) / _horner(_TAIL_BELOW, far)
    return np.asarray(np.where(tail < 0.02425, beyond, found))


def _horner(coefficients: tuple[float, ...], x: Floats) -> Floats:
    found = np.zeros_like(x)
    for coefficient in coefficients:
        found = found * x + coefficient
    return found


def _expected(logs: Floats, probs: Floats) -> tuple[float, float]:
    """Return mean and deviation of the log-density of a bar that is drawn from the mixture `probs` (K,)."""
    weighed = logs + logarithms(np.maximum(probs, _TINY))
    top = weighed.max(axis=2)
    mixed = top + logarithms(total(exponentials(weighed - top[:, :, None]), axis=2))
    expected = float(product(probs, mean(mixed, axis=1)))
    away = mixed - expected
    square = float(product(probs, mean(away * away, axis=1)))
    return expected, math.sqrt(max(square, _TINY))
