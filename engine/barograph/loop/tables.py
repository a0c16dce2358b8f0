"""The arrays that a loop wrote, and the tables of a run folder that are made from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from barograph.execution import events
from barograph.jit.ordered import mean
from barograph.regimes.forecasts import Layout
from barograph.types import Filtered, Floats

if TYPE_CHECKING:
    import pandas as pd

    from barograph.data.history import History
    from barograph.loop.choosing.choice import Choice
    from barograph.loop.machine import Choose

__all__ = ["Arrays", "Tables", "benchmark_of", "path_of"]


@dataclass(frozen=True, eq=False)
class Arrays:
    """What the loop wrote, from bar `first` on: n closes, N assets, K regimes, d features; times are int64 ns UTC.

    `ts` (n,) are the closes; `table` holds equity, cash, gross, net, fees, financing, (n, 6). `weights` (n, N) are
    those held at each close before the decision; `beliefs` (n, K + 1) are probabilities and the log-density, with a
    belief an asset (n, N (K + 1)) the probabilities of all and their log-densities; `features` (T, d) start at the
    history's first bar; `ahead` (n, width) are the forecasts that the strategy read, as `Result.layout` says they lie;
    `logs` is the order log as it was written, or its table.
    """

    ts: NDArray[np.int64]
    features: Floats
    table: Floats
    weights: Floats
    beliefs: Floats
    ahead: Floats
    logs: events.Written | Floats

    @cached_property
    def events(self) -> Floats:
        """The order log, one row an event, (events, 10 or 14): columns as `barograph.execution.events` names them."""
        return events.table(self.logs) if isinstance(self.logs, events.Written) else self.logs

    @property
    def equity(self) -> Floats:
        """Equity at each close (n,); the first is the starting point."""
        return self.table[:, 0]

    @property
    def returns(self) -> Floats:
        """Simple returns (n - 1,)."""
        return self.equity[1:] / self.equity[:-1] - 1.0


def path_of(beliefs: Floats, layout: Layout) -> Filtered:
    """Return rows of beliefs as they were written as a path, (n, K), or with a belief an asset (n, N, K)."""
    count, assets = layout.beliefs * layout.regimes, layout.assets
    probs, logpdf = beliefs[:, :count], beliefs[:, count:]
    return Filtered(probs.reshape(len(probs), assets, -1), logpdf) if assets else Filtered(probs, logpdf[:, 0])


@dataclass(frozen=True, eq=False)
class Tables:
    """Makes the frames of a run that begins at bar `first`; `plan` and `choices` are of a machine that chooses."""

    history: History
    first: int
    arrays: Arrays
    layout: Layout
    plan: Choose | None
    choices: tuple[Choice, ...]
    last_prices: Floats

    def all(self) -> dict[str, pd.DataFrame]:
        """Return every table by the name of its file."""
        fills, account = self._fills(), self._account_events()
        return {
            "equity": self._equity(),
            "beliefs": self._beliefs(),
            "orders": self._orders(),
            "fills": fills,
            "events": account,
            "trades": self._trades(fills, account),
            "benchmark": self._benchmark(),
            "prices": self._prices(),
            **({"forecasts": self._forecasts()} if self.layout.horizons else {}),
            **({"choices": self._choices(self.plan)} if self.plan is not None else {}),
        }

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
            frame[name] = self.arrays.table[:, j]
        for a, symbol in enumerate(self.history.symbols):
            if self.history.traded[a]:
                frame[f"weight_{symbol}"] = self.arrays.weights[:, a]
        return frame

    def _beliefs(self) -> pd.DataFrame:
        """One row a bar, or, with a belief an asset, one a bar and asset that is traded, with its symbol."""
        import pandas as pd

        layout, bars = self.layout, np.arange(self.first, len(self.history))
        found = path_of(self.arrays.beliefs, layout)
        if layout.assets:
            columns = list(layout.columns)
            probs, logpdf = found.probs[:, columns].reshape(-1, layout.regimes), found.logpdf[:, columns].ravel()
            frame = pd.DataFrame({"ts": self._stamps(np.repeat(bars, len(columns)))})
            frame["symbol"] = self._symbols(np.tile(columns, len(bars)))
        else:
            probs, logpdf = found
            frame = pd.DataFrame({"ts": self._stamps(bars)})
        for k in range(layout.regimes):
            frame[f"p_{k}"] = probs[:, k]
        frame["regime"] = np.argmax(probs, axis=1).astype(np.int64)
        frame["logpdf"] = logpdf
        return frame

    def _forecasts(self) -> pd.DataFrame:
        """What the strategy was told at each close: for each horizon P(regime then), and the mixture, part by part."""
        import pandas as pd

        # With a belief an asset the columns of each say its symbol.
        whose = [f"_{symbol}" for symbol in self.history.symbols] if self.layout.assets else [""]
        names = []
        for of_horizon, parts in zip(self.layout.names, self.layout.table[:, 1].tolist(), strict=True):
            of = ("weight", "mean", "variance", "degrees_of_freedom")
            names += [f"{of_horizon}{who}_{name}_{m}" for name in of for who in whose for m in range(parts)]
            names += [f"{of_horizon}{who}_p_{k}" for who in whose for k in range(self.layout.regimes)]
        stamps = self._stamps(np.arange(self.first, len(self.history)))
        return pd.concat([pd.DataFrame({"ts": stamps}), pd.DataFrame(self.arrays.ahead, columns=names)], axis=1)

    def _choices(self, plan: Choose) -> pd.DataFrame:
        import pandas as pd

        from barograph.loop.choosing.chosen import Account, became

        account = Account(self.history, self.first, self.arrays.table, self.arrays.events)
        frame = pd.DataFrame({"ts": self._stamps([one.bar for one in self.choices])})
        return frame.assign(**became(plan, self.choices, account))

    def _orders(self) -> pd.DataFrame:
        import pandas as pd

        orders, changes = events.born(self.arrays.events), events.changes(self.arrays.events)
        ended = changes.status != ""
        last = dict(zip(changes.order[ended].tolist(), np.flatnonzero(ended).tolist(), strict=True))
        filled: dict[int, float] = {}
        for order, quantity in zip(changes.order.tolist(), changes.filled.tolist(), strict=True):
            filled[order] = filled.get(order, 0.0) + quantity
        ends = [last.get(order) for order in orders.order.tolist()]
        return pd.DataFrame(
            {
                "id": orders.order,
                "ts": self._stamps(orders.bar),
                "asset": self._symbols(orders.asset),
                "kind": orders.kind,
                "weight": orders.weight,
                "status": np.array(["open" if n is None else changes.status[n] for n in ends], dtype=object),
                "quantity": np.array([filled.get(order, 0.0) for order in orders.order.tolist()], dtype=np.float64),
                "reason": np.array([events.WAITING if n is None else changes.reason[n] for n in ends], dtype=object),
                "end_ts": self._stamps([-1 if n is None else changes.bar[n] for n in ends]),
                "asked": orders.asked,
                "limit": orders.limit,
                "stop": orders.stop,
                "trail": orders.trail,
                "life": orders.life,
                "until": self._until(orders.until),
                "role": orders.role,
                "parent": orders.parent,
                "group": orders.group,
                "tag": orders.tag,
            }
        )

    def _until(self, moments: Any) -> Any:
        import pandas as pd

        ends = np.array([int(m) // 1000 if np.isfinite(m) else np.iinfo(np.int64).min for m in moments], dtype=np.int64)
        return pd.DatetimeIndex(ends.astype("datetime64[us]")).tz_localize("UTC")

    def _fills(self) -> pd.DataFrame:
        import pandas as pd

        fills = events.fills(self.arrays.events)
        return pd.DataFrame(
            {
                "order_id": fills.order,
                "ts": self._stamps(fills.bar),
                "asset": self._symbols(fills.asset),
                "quantity": fills.quantity,
                "price": fills.price,
                "fee": fills.fee,
                "slippage": fills.slippage,
                "reason": fills.reason,
            }
        )

    def _account_events(self) -> pd.DataFrame:
        """What happened to the account that is no fill: actions, margin, guards, and orders that were triggered."""
        import pandas as pd

        told = events.account_events(self.arrays.events)
        names = np.array([*self.history.symbols, ""], dtype=object)
        return pd.DataFrame(
            {
                "ts": self._stamps(told.bar),
                "event": told.event,
                "asset": names[told.asset],
                "order_id": told.order,
                "quantity": told.measured,
                "price": told.limit,
                "reason": told.reason,
            }
        )

    def _trades(self, fills: pd.DataFrame, account: pd.DataFrame) -> pd.DataFrame:
        from barograph.metrics.excursions import Seen, with_excursions
        from barograph.metrics.trips import round_trips

        own, splits = self.history, account[account["event"] == "split"]
        last = {symbol: float(p) for symbol, p in zip(own.symbols, self.last_prices, strict=True)}
        moments = (own.ts // 1000).astype("datetime64[us]")
        seen = Seen(moments, own.symbols, own.high, own.low, own.close)
        return with_excursions(round_trips(fills, last, account), splits, seen)

    def _prices(self) -> pd.DataFrame:
        """The closes of what is traded: what a chart is drawn from; NaN where an asset has no bar."""
        import pandas as pd

        frame = pd.DataFrame({"ts": self._stamps(np.arange(self.first, len(self.history)))})
        traded = np.flatnonzero(self.history.traded).tolist()
        closes = {f"close_{self.history.symbols[a]}": self.history.close[self.first :, a] for a in traded}
        return frame.assign(**closes)

    def _benchmark(self) -> pd.DataFrame:
        import pandas as pd

        equity = benchmark_of(self.history, self.first, float(self.arrays.equity[0]))
        return pd.DataFrame({"ts": self._stamps(np.arange(self.first, len(self.history))), "equity": equity})


def benchmark_of(history: History, first: int, cash: float) -> Floats:
    """Return the equity, (n,), of who buys all traded assets in equal parts at the close of bar `first`, and holds."""
    import pandas as pd

    traded, rows = np.flatnonzero(history.traded), slice(first, None)
    actions = history.actions if len(history.actions) == 1 else history.actions[rows]
    factor, _, _, final = (actions[:, row, traded] for row in range(4))
    # Dividends buy more of what paid them; what is delisted is the cash it paid from then on.
    price = np.where(np.isnan(final), history.close[rows, traded], final) * factor
    close = pd.DataFrame(price).ffill().to_numpy()
    start = np.array([c[np.isfinite(c)][0] if np.isfinite(c).any() else np.nan for c in close.T])
    # What was worth nothing from the first grows to nothing.
    there = np.isfinite(close) & (start > 0.0)
    growth = np.where(there, close / np.where(start > 0.0, start, 1.0), 1.0)
    return np.asarray(mean(growth, axis=1) * cash if len(traded) else np.full(len(close), cash))
