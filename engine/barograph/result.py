"""What a run leaves: arrays as the loop wrote them, and the tables people read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barograph.step import BORN, CANCELLED, FILLED, REASONS, REJECTED
from barograph.types import Filtered, Floats

if TYPE_CHECKING:
    import pandas as pd

    from barograph.fitted import Fitted
    from barograph.history import History
    from barograph.machine import Machine
    from barograph.regimes import Match
    from barograph.world import World

__all__ = ["Learned", "Result"]

_STATUS = {FILLED: "filled", CANCELLED: "cancelled", REJECTED: "rejected"}


class Learned(NamedTuple):
    """One fit: at the close of `bar`, on rows [first, last), and how its regimes were matched to the last fit's."""

    bar: int
    first: int
    last: int
    fitted: Fitted
    match: Match | None


@dataclass(frozen=True, eq=False)
class Result:
    """A run from bar `first` on: `table` holds equity, cash, gross, net, fees, financing; (n, 6).

    `weights` (n, N) are those held at each close before the decision; `beliefs` (n, K + 1) are probabilities and the
    log-density; `features` (T, d) start at the history's first bar; `logs` is the order log, in pieces as written.
    """

    machine: Machine
    history: History
    first: int
    features: Floats
    table: Floats
    weights: Floats
    beliefs: Floats
    logs: tuple[Floats, ...]
    fits: tuple[Learned, ...]
    world: World

    @cached_property
    def events(self) -> Floats:
        """The order log, one row an event, (events, 10): columns as `barograph.step` writes them."""
        return np.concatenate(self.logs)

    @property
    def ts(self) -> Any:
        """The closes (n,), int64 nanoseconds UTC."""
        return self.history.ts[self.first :]

    @property
    def equity(self) -> Floats:
        """Equity at each close (n,); the first is the starting point."""
        return self.table[:, 0]

    @property
    def returns(self) -> Floats:
        """Simple returns (n - 1,)."""
        return self.equity[1:] / self.equity[:-1] - 1.0

    @property
    def filtered(self) -> Filtered:
        """The beliefs as a path."""
        return Filtered(self.beliefs[:, :-1], self.beliefs[:, -1])

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of the run folder: equity, beliefs, orders, fills, trades, benchmark."""
        from barograph.trades import round_trips

        fills = self._fills()
        return {
            "equity": self._equity(),
            "beliefs": self._beliefs(),
            "orders": self._orders(),
            "fills": fills,
            "trades": round_trips(fills, self._marks()),
            "benchmark": self._benchmark(),
        }

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """The figures of the run, defined in `barograph.metrics`."""
        from barograph.metrics import measure

        return measure(self.tables, periods=self.history.periods)

    def __str__(self) -> str:
        """Say the main figures in a few lines."""
        keys = ("total_return", "cagr", "volatility", "sharpe", "max_drawdown", "turnover")
        rows = [f"{key.replace('_', ' '):<16}{_figure(key, self.metrics.get(key)):>12}" for key in keys]
        period = f"{self.history.when(self.first)} .. {self.history.when(len(self.history) - 1)}"
        return "\n".join([period, *rows])

    def _marks(self) -> dict[str, float]:
        rows = self.world.book.rows
        return {symbol: float(p) for symbol, p in zip(self.history.symbols, rows.price, strict=True)}

    def _stamps(self, bars: Any) -> Any:
        """Return the closes of these bars as the Parquet files hold them: microseconds, UTC, NaT for bar -1."""
        import pandas as pd

        rows = np.asarray(bars, dtype=np.int64)
        moments = (self.history.ts[rows] // 1000).astype("datetime64[us]")
        moments[rows < 0] = np.datetime64("NaT")
        return pd.DatetimeIndex(moments).tz_localize("UTC")

    def _symbols(self, columns: Any) -> Any:
        return np.array(self.history.symbols, dtype=object)[np.asarray(columns, dtype=np.int64)]

    def _equity(self) -> pd.DataFrame:
        import pandas as pd

        names = ("equity", "cash", "gross", "net", "fees", "financing")
        frame = pd.DataFrame({"ts": self._stamps(np.arange(self.first, len(self.history)))})
        for j, name in enumerate(names):
            frame[name] = self.table[:, j]
        for a, symbol in enumerate(self.history.symbols):
            if self.history.traded[a]:
                frame[f"weight_{symbol}"] = self.weights[:, a]
        return frame

    def _beliefs(self) -> pd.DataFrame:
        import pandas as pd

        K = self.beliefs.shape[1] - 1
        frame = pd.DataFrame({"ts": self._stamps(np.arange(self.first, len(self.history)))})
        for k in range(K):
            frame[f"p_{k}"] = self.beliefs[:, k]
        frame["regime"] = np.argmax(self.beliefs[:, :K], axis=1).astype(np.int64)
        frame["logpdf"] = self.beliefs[:, K]
        return frame

    def _orders(self) -> pd.DataFrame:
        import pandas as pd

        born = self.events[self.events[:, 0] == BORN]
        ended = self.events[self.events[:, 0] != BORN]
        last = {int(row[1]): row for row in ended}
        rows = [(b, last.get(int(b[1]))) for b in born]
        ends = [int(e[2]) if e is not None else -1 for _, e in rows]
        return pd.DataFrame(
            {
                "id": born[:, 1].astype(np.int64),
                "ts": self._stamps(born[:, 2]),
                "asset": self._symbols(born[:, 3]),
                "kind": np.array(["market"] * len(rows), dtype=object),
                "weight": born[:, 4],
                "status": np.array([_STATUS[int(e[0])] if e is not None else "open" for _, e in rows], dtype=object),
                "quantity": np.array([e[5] if e is not None else 0.0 for _, e in rows], dtype=np.float64),
                "reason": np.array([_reason(e) for _, e in rows], dtype=object),
                "end_ts": self._stamps(ends),
            }
        )

    def _fills(self) -> pd.DataFrame:
        import pandas as pd

        rows = self.events[self.events[:, 0] == FILLED]
        return pd.DataFrame(
            {
                "order_id": rows[:, 1].astype(np.int64),
                "ts": self._stamps(rows[:, 2]),
                "asset": self._symbols(rows[:, 3]),
                "quantity": rows[:, 5],
                "price": rows[:, 6],
                "fee": rows[:, 7],
                "slippage": rows[:, 8],
                "reason": np.array([REASONS[int(r)] for r in rows[:, 9]], dtype=object),
            }
        )

    def _benchmark(self) -> pd.DataFrame:
        import pandas as pd

        traded = np.flatnonzero(self.history.traded)
        close = pd.DataFrame(self.history.close[self.first :, traded]).ffill().to_numpy()
        first = np.array([c[np.isfinite(c)][0] if np.isfinite(c).any() else np.nan for c in close.T])
        growth = np.where(np.isfinite(close), close / first, 1.0)
        equity = growth.mean(axis=1) * self.equity[0] if len(traded) else np.full(len(self.equity), self.equity[0])
        return pd.DataFrame({"ts": self._stamps(np.arange(self.first, len(self.history))), "equity": equity})


def _reason(event: Any) -> str:
    return "waiting at the end of the data" if event is None else REASONS[int(event[9])]


def _figure(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if key in ("sharpe", "turnover") else f"{value:.2%}"
