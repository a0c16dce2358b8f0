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

from barograph.features.averages import rolling_deviation, rsi, sma, zscore
from barograph.features.combine import coarse
from barograph.features.prices import CLOSE, atr, close, latest, level, true_range
from barograph.features.returns import drawdown, ewm_volatility, log_return, rolling_volatility, total_return

__all__ = ["CLOSE", "atr", "close", "coarse", "drawdown", "ewm_volatility", "latest", "level", "log_return",
           "rolling_deviation", "rolling_volatility", "rsi", "sma", "total_return", "true_range", "zscore"]  # fmt: skip
