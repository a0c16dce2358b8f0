"""A moment is int64 nanoseconds UTC: how long a day and a year are, and which moments are accepted."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["DAY", "FIRST", "HOUR", "LAST", "NEVER", "YEAR"]

HOUR: Final = 3_600_000_000_000
DAY: Final = 86_400_000_000_000
YEAR: Final = 365.0
"""Days of a year, as interest counts them."""

NEVER: Final = -(2**63)
"""A moment that has not been: the smallest number of nanoseconds, which numpy also reads as no time at all."""

FIRST: Final = int(np.datetime64("1700-01-01", "ns").astype(np.int64))
LAST: Final = int(np.datetime64("2250-01-01", "ns").astype(np.int64))
"""The years that are accepted: 64-bit nanoseconds would wrap in 2262."""
