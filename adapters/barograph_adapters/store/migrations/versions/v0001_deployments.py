"""Deployments, their journal, the state after its last entry, and the projections of the journal.

Times are int64 nanoseconds UTC, and a bar's is its close. Numbers are IEEE doubles; NULL stands for NaN.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KINDS: dict[str, Any] = {
    "int": sa.BigInteger, "real": sa.Double, "text": sa.Text, "bytes": sa.LargeBinary, "bool": sa.Boolean,
}  # fmt: skip

# Table: the columns of its primary key, then the others; a column is "name:kind", and ends in ? where NULL may stand.
_TABLES = {
    "deployments": (
        "name:text",
        "kind:text config:text folder:text code_hash:text symbols:text traded:text calendar:text currency:text "
        "periods:real start:int",
    ),
    "leases": ("deployment:text", "holder:text token:int beat:int"),
    "journal": ("deployment:text number:int", "kind:text ts:int content:text hash:text"),
    "snapshots": ("deployment:text", "number:int world:bytes watch:text learned:int"),
    "bars": (
        "deployment:text ts:int symbol:text",
        "number:int open:real? high:real? low:real? close:real? volume:real? dividend:real split:real final:real? "
        "source:text",
    ),
    "equity": (
        "deployment:text ts:int",
        "equity:real? cash:real? gross:real? net:real? fees:real? financing:real?",
    ),
    "positions": ("deployment:text ts:int symbol:text", "quantity:real price:real? weight:real?"),
    "beliefs": ("deployment:text ts:int", "regime:int probability:real? logpdf:real? probabilities:text"),
    "orders": (
        "deployment:text order_id:int",
        "ts:int symbol:text kind:text weight:real? asked:real? limit:real? stop:real? trail:real? life:text until:int? "
        "role:text parent:int group:int tag:int status:text quantity:real reason:text end_ts:int?",
    ),
    "fills": (
        "deployment:text entry:int row:int",
        "ts:int order_id:int symbol:text quantity:real price:real fee:real slippage:real reason:text",
    ),
    "events": (
        "deployment:text entry:int row:int",
        "ts:int event:text symbol:text order_id:int quantity:real? price:real? reason:text",
    ),
    "parameters": (
        "deployment:text ts:int",
        "first:int last:int observations:int log_likelihood:real? converged:bool digest:text summary:text model:bytes",
    ),
    "alerts": ("deployment:text key:text", "entry:int? kind:text severity:text ts:int facts:text"),
    "commands": ("number:auto", "deployment:text command:text asked_at:int obeyed:int?"),
    "cycles": ("deployment:text ts:int", "arrived:int committed:int next_look:int"),
    "notes": ("number:auto", "deployment:text at:int kind:text text:text"),
}


def _column(text: str, key: bool) -> sa.Column[Any]:
    name, _, kind = text.partition(":")
    if kind == "auto":
        # SQLite numbers its own rows only where the column is an INTEGER.
        number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
        return sa.Column(name, number, primary_key=True, autoincrement=True)
    return sa.Column(name, _KINDS[kind.rstrip("?")], primary_key=key, nullable=kind.endswith("?"), autoincrement=False)


def upgrade() -> None:
    """Make the tables."""
    for name, (key, others) in _TABLES.items():
        columns = [_column(text, True) for text in key.split()] + [_column(text, False) for text in others.split()]
        op.create_table(name, *columns)
    op.create_index("one_entry_a_close", "journal", ["deployment", "kind", "ts"], unique=True)
    op.create_index("waiting_commands", "commands", ["deployment", "obeyed"])


def downgrade() -> None:
    """Take the tables away again, with all that is in them."""
    for name in reversed(_TABLES):
        op.drop_table(name)
