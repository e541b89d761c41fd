"""The newest batches of counted events, which other processes follow."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make ``slo_batches``."""
    op.create_table(
        "slo_batches",
        sa.Column("position", _KEY, nullable=False, autoincrement=False),
        sa.Column("writer", sa.String(36), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("position", name="pk_slo_batches"),
    )
