"""Late bars: those that were held until a later one proved them, and at which nothing was decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the mark; no bar before it was ever held."""
    op.add_column("bars", sa.Column("late", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Take it away again: the journal says which bars were late."""
    op.drop_column("bars", "late")
