"""What features must equal, written plainly over whole columns: pandas, numpy and scipy, no step and no state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm


def returns(bars: Any, asset: int = 0) -> Any:
    return np.log(pd.Series(bars.close[:, asset])).diff()


def prices(bars: Any) -> Any:
    return pd.DataFrame({name: getattr(bars, name)[:, 0] for name in ("open", "high", "low", "close", "volume")})


def momentum_burst(bars: Any, window: int, over: int) -> Any:
    change = prices(bars).close.pct_change(window)
    return change / change.rolling(over).std()


def downside_deviation(bars: Any, window: int, target: float) -> Any:
    return np.sqrt((np.minimum(returns(bars) - target, 0.0) ** 2).rolling(window).mean())


def vol_of_vol(bars: Any, window: int, inner: int) -> Any:
    return returns(bars).rolling(inner).std().rolling(window).std()


def realised_volatility(bars: Any, window: int, year: float) -> Any:
    return prices(bars).close.pct_change(fill_method=None).rolling(window).std() * np.sqrt(year)


def vol_acceleration(bars: Any, window: int, lag: int) -> Any:
    return returns(bars).rolling(window).std().diff(lag)


def channel_width(bars: Any, window: int) -> Any:
    p = prices(bars)
    top, bottom = p.high.rolling(window).max(), p.low.rolling(window).min()
    return (top - bottom) / ((top + bottom) / 2)


def parkinson(bars: Any, window: int) -> Any:
    p = prices(bars)
    return np.sqrt((np.log(p.high / p.low) ** 2).rolling(window).mean() / (4 * np.log(2)))


def garman_klass(bars: Any, window: int) -> Any:
    p = prices(bars)
    square = 0.5 * np.log(p.high / p.low) ** 2 - (2 * np.log(2) - 1) * np.log(p.close / p.open) ** 2
    return np.sqrt(square.rolling(window).mean())


def yang_zhang(bars: Any, window: int) -> Any:
    p = prices(bars)
    night, day = np.log(p.open / p.close.shift()), np.log(p.close / p.open)
    up, down = np.log(p.high / p.open), np.log(p.low / p.open)
    both = (up * (up - day) + down * (down - day)).where(night.notna()).rolling(window).mean()
    k = 0.34 / (1.34 + (window + 1) / (window - 1))
    return np.sqrt(night.rolling(window).var() + k * day.where(night.notna()).rolling(window).var() + (1 - k) * both)


def close_location(bars: Any) -> Any:
    p = prices(bars)
    return 2 * (p.close - p.low) / (p.high - p.low) - 1


def bulk_volume_imbalance(bars: Any, window: int) -> Any:
    r, volume = returns(bars).to_numpy(), prices(bars).volume.to_numpy()
    found = np.full(len(r), np.nan)
    for t in range(window, len(r)):
        last = slice(t - window + 1, t + 1)
        bought = volume[last] * norm.cdf(r[last] / r[last].std(ddof=1))
        found[t] = (2 * bought.sum() - volume[last].sum()) / volume[last].sum()
    return found


def roll_spread(bars: Any, window: int) -> Any:
    r = returns(bars)
    return 2 * np.sqrt(np.maximum(-r.rolling(window).cov(r.shift()), 0.0))


def corwin_schultz(bars: Any, window: int) -> Any:
    p = prices(bars)
    last = p.close.shift()
    night = np.maximum(p.low - last, 0.0) + np.minimum(p.high - last, 0.0)
    top, bottom = p.high - night, p.low - night
    beta = np.log(p.high / p.low).shift() ** 2 + np.log(top / bottom) ** 2
    gamma = np.log(np.maximum(top, p.high.shift()) / np.minimum(bottom, p.low.shift())) ** 2
    small = 3 - 2 * np.sqrt(2)
    alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / small - np.sqrt(gamma / small)
    spread = 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))
    return spread.clip(lower=0.0).rolling(window).mean()


def abdi_ranaldo(bars: Any, window: int) -> Any:
    p = np.log(prices(bars)[["high", "low", "close"]])
    middle = (p.high + p.low) / 2
    square = 4 * (p.close - middle) * (p.close - middle.shift(-1))
    return np.sqrt(square.clip(lower=0.0)).shift().rolling(window).mean()
