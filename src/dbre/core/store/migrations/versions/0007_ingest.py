"""Producers and histograms of ingested events."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make ``ingest_producers`` and ``slo_latencies``."""
    op.create_table(
        "ingest_producers",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("token_hash", sa.String(71), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_ingest_producers"),
    )
    op.create_table(
        "slo_latencies",
        sa.Column("slo", sa.String(63), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("histogram", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("slo", "cluster", "group_key", "minute", "length", name="pk_slo_latencies"),
    )
