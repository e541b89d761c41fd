"""Trials of the keys that are kept away from every machine."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of escrow drills."""
    op.create_table(
        "escrow_drill",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("vault", sa.Text(), nullable=False),
        sa.Column("recipient", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("is_opened", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_ids", sa.Text(), nullable=False),
        sa.Column("log_name", sa.String(200), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_escrow_drill"),
    )
    op.create_index("ix_escrow_drill_vault_at", "escrow_drill", ["vault", "at"])
