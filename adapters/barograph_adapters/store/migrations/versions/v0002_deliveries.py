"""Deliveries: who was told of an alert, and orders on their way to a broker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them; alerts that are there already are routed at the next round."""
    with op.batch_alter_table("alerts") as table:
        table.add_column(sa.Column("routed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "deliveries",
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("alert_key", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("first_try", sa.BigInteger),
        sa.Column("next_try", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_table(
        "intents",
        sa.Column("client_id", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, nullable=False, index=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("ts", sa.BigInteger, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("quantity", sa.Double, nullable=False),
        sa.Column("limit_price", sa.Double),
        sa.Column("stop_price", sa.Double),
        sa.Column("state", sa.Text),
        sa.Column("filled", sa.Double),
        sa.Column("price", sa.Double),
        sa.Column("message", sa.Text),
    )
    op.create_index("waiting_deliveries", "deliveries", ["deployment", "state", "next_try"])
    op.create_index("recent_deliveries", "deliveries", ["deployment", "recipient", "ended_at"])
    op.create_index("unrouted_alerts", "alerts", ["deployment", "routed"])


def downgrade() -> None:
    """Take them away again; who was told is forgotten."""
    op.drop_index("unrouted_alerts", "alerts")
    op.drop_table("intents")
    op.drop_table("deliveries")
    with op.batch_alter_table("alerts") as table:
        table.drop_column("routed")
