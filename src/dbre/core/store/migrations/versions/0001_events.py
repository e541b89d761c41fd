"""Events and their deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_AUTO_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of the outbox."""
    op.create_table(
        "event",
        sa.Column("sequence", _AUTO_KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(100), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("fanned_out", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_event"),
        sa.UniqueConstraint("id", name="uq_event_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_kind_sequence", "event", ["kind", "sequence"])
    op.create_index("ix_event_at", "event", ["at"])
    waiting = sa.column("fanned_out", sa.Boolean()) == sa.false()
    op.create_index("ix_event_not_fanned_out", "event", ["sequence"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_table(
        "delivery",
        sa.Column("subscription", sa.String(200), nullable=False),
        sa.Column("sequence", _AUTO_KEY, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["sequence"], ["event.sequence"], name="fk_delivery_sequence_event", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("subscription", "sequence", name="pk_delivery"),
    )
    op.create_index("ix_delivery_sequence", "delivery", ["sequence"])
    op.create_index("ix_delivery_state_subscription_sequence", "delivery", ["state", "subscription", "sequence"])
    op.create_table(
        "subscription",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_subscription"),
    )
