"""Features: one number a bar, remembered incrementally, NaN until warm.

Each factory's signature is its config schema. `of` is the stream of numbers a feature looks at, the first asset's
close when nothing is said; ``asset=""`` is the first asset. Three rules hold for all of them (`docs/features.md`):

- a missing bar (NaN) yields NaN and leaves what is remembered untouched, as if the bar had never been (`latest` alone
  is there for the opposite: it yields what was known before);
- the value is NaN until the documented number of bars has been seen, and a number from then on;
- numbers live in params and kernels close over none, so that another window compiles nothing new.

No feature reads a file, a clock or another feature's memory, and none looks at more than the bar it is given: what
needs a whole table belongs to `barograph.data` or `barograph.metrics`.
"""

from barograph.features.averages import ema, rolling_deviation, rsi, sma, zscore
from barograph.features.bands import bollinger_percent_b, bollinger_width, cci
from barograph.features.channels import (
    channel_width,
    rolling_high,
    rolling_low,
    stochastic_d,
    stochastic_k,
    williams_r,
)
from barograph.features.combine import coarse
from barograph.features.flow import bulk_volume_imbalance, chaikin_money_flow, close_location, volume, volume_ratio
from barograph.features.momentum import adx, macd, macd_histogram, macd_signal, momentum_burst
from barograph.features.pairs import rolling_beta, rolling_correlation
from barograph.features.prices import CLOSE, atr, close, latest, level, true_range
from barograph.features.ranges import garman_klass, parkinson, yang_zhang
from barograph.features.returns import drawdown, ewm_volatility, log_return, rolling_volatility, total_return
from barograph.features.spreads import abdi_ranaldo, corwin_schultz, roll_spread
from barograph.features.volatility import downside_deviation, realised_volatility, vol_acceleration, vol_of_vol

__all__ = ["CLOSE", "abdi_ranaldo", "adx", "atr", "bollinger_percent_b", "bollinger_width", "bulk_volume_imbalance",
           "cci", "chaikin_money_flow", "channel_width", "close", "close_location", "coarse", "corwin_schultz",
           "downside_deviation", "drawdown", "ema", "ewm_volatility", "garman_klass", "latest", "level", "log_return",
           "macd", "macd_histogram", "macd_signal", "momentum_burst", "parkinson", "realised_volatility",
           "roll_spread", "rolling_beta", "rolling_correlation", "rolling_deviation", "rolling_high", "rolling_low",
           "rolling_volatility", "rsi", "sma", "stochastic_d", "stochastic_k", "total_return", "true_range",
           "vol_acceleration", "vol_of_vol", "volume", "volume_ratio", "williams_r", "yang_zhang",
           "zscore"]  # fmt: skip
