"""How much a Sharpe ratio proves: its distribution, the luck of the best of many, how long a record must be.

One signature for all: Sharpe ratios are *a bar* (not a year), kurtosis is *raw* (3 for the normal), bars are returns.
With annual figures or excess kurtosis in their place the formulas answer all the same, and wrongly.

The standard error of a Sharpe ratio is √((1 − γ₃ SR + (γ₄ − 1)/4 SR²) / (T − 1)), at the ratio that was *observed*
(Mertens 2002; Bailey & López de Prado 2012, 2014). A convention of 2025 takes it at the ratio of the null hypothesis,
where skew and kurtosis drop out at 0: two numbers in print for one fund, of which these are the older.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from barograph.types import Floats

__all__ = ["Shape", "annual_factor", "deflated_sharpe", "effective_trials", "expected_maximum", "minimum_backtest",
           "minimum_track_record", "probabilistic_sharpe", "shape"]  # fmt: skip

_NORMAL: Final = NormalDist()
_EULER: Final = 0.57721566490153286


class Shape(NamedTuple):
    """What the formulas ask of one stream: Sharpe ratio a bar, bars, skew, raw kurtosis."""

    sharpe: float
    bars: int
    skew: float
    kurtosis: float


def shape(returns: Floats) -> Shape:
    """Return the shape of one stream of returns (T,): mean / std(ddof = 1), T, m3 / m2^1.5, m4 / m2²; NaN without risk.

    >>> shape(np.array([0.0, 0.0, 0.0, 4.0]))._replace(skew=0.0)
    Shape(sharpe=0.5, bars=4, skew=0.0, kurtosis=2.3333333333333335)
    """
    known = returns[~np.isnan(returns)]
    centred = known - np.mean(known) if known.size else known
    spread = float(np.mean(centred * centred)) if known.size > 1 else 0.0
    if spread <= 1e-28:
        return Shape(math.nan, known.size, math.nan, math.nan)
    sharpe = float(np.mean(known)) / math.sqrt(spread * known.size / (known.size - 1))
    skew = float(np.mean(centred**3)) / spread**1.5
    return Shape(sharpe, known.size, skew, float(np.mean(centred**4)) / spread**2)


def _variance(sharpe: float, skew: float, kurtosis: float) -> float:
    """(T − 1) times the variance of an estimated Sharpe ratio; what no stream of returns can have is NaN."""
    found = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
    return found if found > 0.0 else math.nan


def probabilistic_sharpe(
    sharpe: float, bars: int, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Return the PSR, the probability that the true Sharpe ratio a bar is above `benchmark`; NaN below two bars.

    Φ((SR − SR*) √(T − 1) / √(1 − γ₃ SR + (γ₄ − 1)/4 SR²)), Bailey & López de Prado 2012, "The Sharpe ratio efficient
    frontier".

    >>> round(probabilistic_sharpe(1.585 / 12**0.5, bars=24, skew=-2.448, kurtosis=10.164), 6)
    0.913234
    """
    error = _variance(sharpe, skew, kurtosis)
    if bars < 2 or math.isnan(error) or math.isnan(sharpe):
        return math.nan
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(bars - 1) / math.sqrt(error))


def minimum_track_record(
    sharpe: float, benchmark: float = 0.0, skew: float = 0.0, kurtosis: float = 3.0, level: float = 0.95
) -> float:
    """Return the bars after which a Sharpe ratio a bar would be above `benchmark` with that probability (MinTRL).

    1 + (1 − γ₃ SR + (γ₄ − 1)/4 SR²) (z / (SR − SR*))², same paper; infinite where SR is not above SR*.

    >>> round(minimum_track_record(2 / 250**0.5, 1 / 250**0.5) / 250, 6)
    2.731188
    """
    if not sharpe > benchmark:
        return math.inf
    return 1.0 + _variance(sharpe, skew, kurtosis) * (_NORMAL.inv_cdf(level) / (sharpe - benchmark)) ** 2


def expected_maximum(trials: float) -> float:
    """Return the expected maximum of N independent standard normal draws, approximately; 0 for one draw or less.

    (1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e)), γ = 0.5772, Bailey & López de Prado 2014. It is up to 3 % above the exact
    integral.

    >>> round(expected_maximum(100), 6)
    2.530603
    """
    if trials <= 1.0:
        return 0.0
    once, often = (_NORMAL.inv_cdf(1.0 - 1.0 / count) for count in (trials, trials * math.e))
    return (1.0 - _EULER) * once + _EULER * often


def effective_trials(trials: float, correlation: float) -> float:
    """Return ρ̂ + (1 − ρ̂) N, the independent trials that N with this mean correlation stand for (2014, appendix 3).

    >>> round(effective_trials(1024, 0.85), 2)
    154.45
    """
    held = min(max(correlation, 0.0), 1.0)
    return held + (1.0 - held) * trials


def deflated_sharpe(
    sharpe: float,
    bars: int,
    trials: float,
    variance: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    correlation: float | None = None,
) -> float:
    """Return the DSR, the PSR of the best of N trials above the Sharpe ratio that luck alone would have made the best.

    SR* = √V · E max(N), V the variance of the trials' Sharpe ratios a bar; Bailey & López de Prado 2014, "The deflated
    Sharpe ratio". `trials` are *all* that were tried. With their mean `correlation` N is ρ̂ + (1 − ρ̂) N; clusters in its
    place pass a quarter of the worlds of noise, because V is that of the correlated trials already.

    >>> year = 250**0.5
    >>> round(deflated_sharpe(2.5 / year, 1250, trials=100, variance=0.5 / 250, skew=-3.0, kurtosis=10.0), 6)
    0.900397
    """
    count = trials if correlation is None else effective_trials(trials, correlation)
    lucky = math.sqrt(variance) * expected_maximum(count)
    return probabilistic_sharpe(sharpe, bars, skew, kurtosis, lucky)


def minimum_backtest(trials: float, sharpe: float = 1.0) -> float:
    """Return the years below which the best of N worthless trials is expected to show this *annual* Sharpe ratio.

    (E max(N) / SR)², Bailey, Borwein, López de Prado & Zhu, Notices of the AMS 2014 (MinBTL).

    >>> round(minimum_backtest(45), 6)
    4.998087
    """
    return (expected_maximum(trials) / sharpe) ** 2


def annual_factor(correlations: Floats, periods: int) -> float:
    """Return η(q), by which a Sharpe ratio a bar becomes one of q bars whose returns correlate (Lo 2002).

    q / √(q + 2 Σ (q − k) ρ_k), k = 1 … q − 1; `correlations` (K,) are ρ_1 … ρ_K, 0 beyond. Without correlation √q; NaN
    where the correlations cannot be.

    >>> round(annual_factor(0.2 ** np.arange(1, 12), 12), 6)
    2.878849
    """
    lags = np.arange(1, min(len(correlations), periods - 1) + 1)
    spread = periods + 2.0 * float(np.sum((periods - lags) * np.asarray(correlations)[: lags.size]))
    return periods / math.sqrt(spread) if spread > 0.0 else math.nan
