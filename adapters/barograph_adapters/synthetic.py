"""Bars of an invented market whose regimes are known."""

from __future__ import annotations

from barograph.data.history import History
from barograph.data.synthetic import scenario, simulate

__all__ = ["synthetic"]


def synthetic(world: str = "daily2", bars: int = 2520, seed: int = 0, spacing: str | None = None) -> History:
    """Return simulated bars of one of `barograph.data.synthetic.SCENARIOS`; `simulate` also tells the true path.

    Without `spacing` they are daily or weekly, as the world is; with one (``"1h"``) they run around the clock.

    >>> synthetic("daily2", bars=3, seed=1).symbols
    ('DAILY2',)

    Raises `DataError` for a world nobody knows, naming the nearest.
    """
    return simulate(scenario(world), bars, seed, spacing=spacing).history
