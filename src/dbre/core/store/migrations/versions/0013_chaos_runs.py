"""Experiments that were run, and the switch that ends them all."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make ``chaos_run`` and ``chaos_switch``."""
    op.create_table(
        "chaos_run",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("suite_id", sa.String(36), nullable=True),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("entry", sa.String(63), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("experiment", sa.Text(), nullable=False),
        sa.Column("observed", sa.Text(), nullable=False),
        sa.Column("surroundings", sa.Text(), nullable=True),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chaos_run"),
    )
    op.create_index("ix_chaos_run_cluster_began_at", "chaos_run", ["cluster", "began_at"])
    op.create_index("ix_chaos_run_began_at", "chaos_run", ["began_at"])
    op.create_table(
        "chaos_switch",
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_chaos_switch"),
    )
