"""What a fit says to people: how likely data are under it, data like its own, and its numbers as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit.ordered import total
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["parameters", "sampled", "scored"]


def scored(fitted: Any, rows: Floats) -> float:
    """Return the log-likelihood of rows (T, d): the sum of what the online filter says of each before it sees it."""
    told = fitted.filter_path(rows).logpdf
    known = told[np.isfinite(told)]
    if not known.size and len(rows):
        raise PartError(f"{fitted.name} has no density: it says which regime, not how likely the data are")
    return float(total(known))


def sampled(fitted: Any, bars: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return features (bars, d) and hidden states (bars,) drawn from the model's own law."""
    if fitted.family.draw is None:
        raise PartError(f"{fitted.name} cannot be drawn from: its family has no `draw`")
    if isinstance(bars, bool) or not isinstance(bars, int | np.integer) or bars < 1:
        raise PartError(f"sample: found {bars!r} bars, wanted a whole number from 1 on")
    rows, states = fitted.family.draw(fitted.params, int(bars), seed)
    return rows, states


def parameters(fitted: Any, periods: float) -> pd.DataFrame:
    """Return a row a regime: share of the time, stay in bars, and each feature's mean and volatility, 0's a year."""
    import pandas as pd

    found: dict[str, Any] = {"share": fitted.stationary(), "stay": fitted.stays()}
    moments = fitted.moments()
    if moments is not None:
        scale = [(periods, math.sqrt(periods)), *[(1.0, 1.0)] * (len(fitted.features) - 1)]
        for j, (name, (by_mean, by_spread)) in enumerate(zip(fitted.features, scale, strict=True)):
            found[f"mean {name}"] = moments.mean[:, j] * by_mean
            found[f"volatility {name}"] = np.sqrt(moments.variance[:, j]) * by_spread
    rows = pd.Index(fitted.labels or range(fitted.regimes), name="regime")
    return pd.DataFrame({key: told for key, told in found.items() if told is not None}, index=rows)
