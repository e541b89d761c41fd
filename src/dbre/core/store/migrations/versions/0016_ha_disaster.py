"""What was rehearsed and done by plans for the loss of a site."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of what plans for the loss of a site did."""
    op.create_table(
        "ha_disaster_run",
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("is_good", sa.Boolean(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name="pk_ha_disaster_run"),
    )
    op.create_index("ix_ha_disaster_run_cluster_began_at", "ha_disaster_run", ["cluster", "began_at"])
