"""Which regime earned it: a run's profit, bar by bar, given to the regime that was believed when the bar was sized.

The money of bar t is e_t − e_{t−1}. The position that earned it was decided at the close of t − 1, so it belongs to
the regime believed *then*; attributing it to the regime believed at t would credit a filter with moves that it only
saw afterwards. Money adds up without remainder where returns do not, so profits are the parts and a return
contribution is profit / e_0. Each part is the exact sum of its equities, rounded once (Shewchuk's algorithm, as
`math.fsum`), so K parts add up to e_T − e_0 within K roundings: 1e-12 of the largest part, and mostly to the last bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from barograph.errors import DataError
from barograph.metrics.drawdown import max_drawdown
from barograph.metrics.formulas import believed, hit_rate, mean_return, sharpe, simple_returns, volatility
from barograph.metrics.steps import compounded, stamps, steps
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "attribute", "sizing_regimes"]

COLUMNS = (
    "regime",
    "bars",
    "share",
    "profit",
    "contribution",
    "mean",
    "volatility",
    "sharpe",
    "max_drawdown",
    "hit_rate",
    "costs",
)


def sizing_regimes(equity: pd.DataFrame, beliefs: pd.DataFrame) -> NDArray[np.int64]:
    """Return the regime believed at the close before each bar, shape (T,); −1 where none was believed yet.

    Raises `DataError` where every asset has a belief of its own: a bar's profit is that of all of them.
    """
    if "symbol" in beliefs.columns:
        told = "a bar's profit is that of several assets in several regimes"
        raise DataError(f"attribution: there is a belief an asset, and {told}; look at beliefs.parquet asset by asset")
    regimes = believed(beliefs)
    if not regimes.size:
        return np.full(max(len(equity) - 1, 0), -1)
    before = equity["ts"].iloc[:-1]
    row = np.minimum(beliefs["ts"].searchsorted(before, side="left"), regimes.size - 1)
    # As numbers: a column with a zone becomes a million objects.
    same = stamps(beliefs)[row] == stamps(equity)[:-1]
    sizing: NDArray[np.int64] = np.where(same, regimes[row], -1)
    return sizing


def attribute(
    equity: pd.DataFrame, beliefs: pd.DataFrame, fills: pd.DataFrame, periods: float, by_day: bool = False
) -> pd.DataFrame:
    """Split a run's profit over the regimes that sized it; the parts sum to the total.

    One row a regime (−1: no belief yet), with bars, share (of all bars), profit (money), contribution (profit / e_0),
    mean (annual, periods · mean(r)), volatility, sharpe, max_drawdown and hit_rate of that regime's bars set end to
    end, and costs (money: fees, financing and slippage of those bars; already taken from the profit). Over several
    markets, `by_day`, a regime's returns are compounded by day.

    >>> import pandas as pd
    >>> ts = pd.date_range("2024-01-01", periods=4, tz="UTC")
    >>> equity = pd.DataFrame({"ts": ts, "equity": [100.0, 110.0, 104.0, 105.0], "fees": 0.0, "financing": 0.0})
    >>> beliefs = pd.DataFrame({"ts": ts, "regime": [0, 1, 0, 0]})
    >>> fills = pd.DataFrame({"ts": ts[:0], "slippage": []})
    >>> attribute(equity, beliefs, fills, 252)[["regime", "bars", "profit"]].values.tolist()
    [[0.0, 2.0, 11.0], [1.0, 1.0, -6.0]]
    """
    import pandas as pd

    regimes = sizing_regimes(equity, beliefs)
    money = equity["equity"].to_numpy(np.float64)
    costs = _costs(equity, fills)
    taken = steps(stamps(equity), periods, by_day)
    step = np.searchsorted(taken.rows, np.arange(1, len(money))) if by_day else None
    known = np.unique(regimes).tolist()
    rows = [_part(regime, regimes == regime, money, costs, taken.periods, step) for regime in known]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _costs(equity: pd.DataFrame, fills: pd.DataFrame) -> Floats:
    """Costs of each bar, (T,): fees and financing by the bar they were charged in, slippage by the fill's bar.

    What was charged at the starting row was spent on the first bar.
    """
    charged: Floats = equity["fees"].to_numpy(np.float64) + equity["financing"].to_numpy(np.float64)
    row = np.minimum(equity["ts"].searchsorted(fills["ts"], side="left"), charged.size - 1)
    np.add.at(charged, row, fills["slippage"].to_numpy(np.float64))
    if charged.size > 1:
        charged[1] += charged[0]
    return charged[1:]


def _part(
    regime: int,
    chosen: NDArray[np.bool_],
    money: Floats,
    costs: Floats,
    periods: float,
    step: NDArray[np.intp] | None,
) -> dict[str, Any]:
    after, before = money[1:][chosen], money[:-1][chosen]
    profit = math.fsum((*after.tolist(), *(-before).tolist()))
    alive = simple_returns(money)
    returns = alive[chosen[: alive.size]]
    chained = np.concatenate((np.ones(1), 1 + returns)).cumprod(dtype=np.float64)
    if step is not None:
        returns = compounded(returns, step[: alive.size][chosen[: alive.size]])
    return {
        "regime": regime,
        "bars": int(chosen.sum()),
        "share": float(chosen.mean()),
        "profit": profit,
        "contribution": profit / float(money[0]),
        "mean": periods * mean_return(returns),
        "volatility": volatility(returns, periods),
        "sharpe": sharpe(returns, periods),
        "max_drawdown": max_drawdown(chained),
        "hit_rate": hit_rate(returns),
        "costs": math.fsum(costs[chosen].tolist()),
    }
