"""Groups, corrections and marks of sources."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an SLO have groups, and sources other than probes say how far they were counted."""
    _groups()
    _sources()
    _corrections()


def _group_key() -> "sa.Column[str]":
    return sa.Column("group_key", sa.Text(), nullable=False, server_default=sa.text("''"))


def _groups() -> None:
    with op.batch_alter_table("slo_series") as series:
        series.add_column(_group_key())
        series.drop_constraint("uq_slo_series_slo_cluster_sli_hash", type_="unique")
        series.create_unique_constraint(
            "uq_slo_series_slo_cluster_group_key_sli_hash", ["slo", "cluster", "group_key", "sli_hash"]
        )
    with op.batch_alter_table("slo_alert_states") as states:
        states.add_column(_group_key())
        states.drop_constraint("pk_slo_alert_states", type_="primary")
        states.create_primary_key("pk_slo_alert_states", ["slo", "cluster", "group_key", "rule"])
    with op.batch_alter_table("slo_alerts") as alerts:
        alerts.add_column(_group_key())


def _sources() -> None:
    op.create_table(
        "slo_source_marks",
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("marked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_slo_source_marks"),
    )
    op.create_table(
        "slo_heard",
        sa.Column("slo", sa.String(63), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slo", "cluster", name="pk_slo_heard"),
    )


def _corrections() -> None:
    op.create_table(
        "slo_corrections",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("slo", sa.String(63), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("start_slot", sa.BigInteger(), nullable=False),
        sa.Column("end_slot", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.String(36), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_slo_corrections"),
    )
