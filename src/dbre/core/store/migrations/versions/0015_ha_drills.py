"""Runs of drills."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of runs of drills."""
    op.create_table(
        "ha_drill",
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "number", name="pk_ha_drill"),
    )
    op.create_index("ix_ha_drill_cluster_began_at", "ha_drill", ["cluster", "began_at"])
