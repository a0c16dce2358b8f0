"""A belief an asset: the symbol it is about is part of a belief's key, and empty where there is one for all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_KEY = ("deployment", "ts", "symbol")
_OTHERS = ("regime", "probability", "logpdf", "probabilities")


def _copied(key: tuple[str, ...], chosen: str) -> None:
    """Put another table in the place of the beliefs, of another key: not every database can change one."""
    kinds = {"deployment": sa.Text, "ts": sa.BigInteger, "symbol": sa.Text}
    op.create_table(
        "beliefs_anew",
        *(sa.Column(name, kinds[name], nullable=False, autoincrement=False) for name in key),
        sa.Column("regime", sa.BigInteger, nullable=False),
        sa.Column("probability", sa.Double),
        sa.Column("logpdf", sa.Double),
        sa.Column("probabilities", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint(*key, name=f"beliefs_{len(key)}"),
    )
    into = ", ".join((*key, *_OTHERS))
    op.execute(f"INSERT INTO beliefs_anew ({into}) {chosen}")
    op.drop_table("beliefs")
    op.rename_table("beliefs_anew", "beliefs")


def upgrade() -> None:
    """Add the symbol; the beliefs that are there are everybody's."""
    others = ", ".join(_OTHERS)
    _copied(_KEY, f"SELECT deployment, ts, '', {others} FROM beliefs")


def downgrade() -> None:
    """Take it away: of several assets' beliefs the first one's stays; the journal holds them all."""
    others, first = ", ".join(_OTHERS), "SELECT min(symbol) FROM beliefs b WHERE b.deployment = beliefs.deployment"
    _copied(_KEY[:2], f"SELECT deployment, ts, {others} FROM beliefs WHERE symbol = ({first} AND b.ts = beliefs.ts)")
