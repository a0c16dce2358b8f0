"""Orders at a broker, in SQL: one row an order, its intent first, the broker's answers later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from barograph.paper.ports import Intent, Kept, Placed

__all__ = ["SqlLedger", "intent_rows"]


def intent_rows(intents: Sequence[Intent], entry: int) -> list[dict[str, Any]]:
    """Return the rows of a batch's intents; their order is that of their entry."""
    return [
        {
            "client_id": one.client_id,
            "seq": entry * 10_000 + n,
            "ts": one.ts,
            "symbol": one.symbol,
            "kind": one.kind,
            "quantity": one.quantity,
            "limit_price": one.limit,
            "stop_price": one.stop,
        }
        for n, one in enumerate(intents)
    ]


class SqlLedger:
    """See `barograph.paper.ports.Ledger` for what each method promises."""

    tables: Mapping[str, sa.Table]

    def transaction(self, reading: bool = False) -> AbstractContextManager[sa.Connection]:
        """Open a transaction."""
        raise NotImplementedError

    def open_intents(self, deployment: str) -> Sequence[Intent]:
        """Return the intents without an answer, oldest first."""
        return [kept.intent for kept in self.placed_orders(deployment) if kept.placed is None]

    def answered(self, client_id: str, placed: Placed) -> None:
        """Write an order's answer over the last one."""
        table = self.tables["intents"]
        values = {key: getattr(placed, key) for key in ("state", "filled", "price", "message")}
        with self.transaction() as connection:
            connection.execute(sa.update(table).where(table.c.client_id == client_id).values(**values))

    def placed_orders(self, deployment: str) -> Sequence[Kept]:
        """Return all orders with their last answers, oldest first."""
        table = self.tables["intents"]
        wanted = sa.select(table).where(table.c.deployment == deployment).order_by(table.c.seq)
        with self.transaction(reading=True) as connection:
            return [_kept(row) for row in connection.execute(wanted)]


def _kept(row: Any) -> Kept:
    intent = Intent(row.client_id, row.ts, row.symbol, row.quantity, row.kind, row.limit_price, row.stop_price)
    if row.state is None:
        return Kept(intent, None)
    return Kept(intent, Placed(row.client_id, row.state, row.filled, row.price, row.message))
