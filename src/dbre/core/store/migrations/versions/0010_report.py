"""Toil that people write down."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make ``toil_entry``."""
    op.create_table(
        "toil_entry",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("task", sa.String(100), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("active_seconds", sa.Integer(), nullable=False),
        sa.Column("is_interruptive", sa.Boolean(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_toil_entry"),
    )
    op.create_index("ix_toil_entry_started_at", "toil_entry", ["started_at"])
