"""Slots, definitions and alerts of service level objectives."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_AUTO_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of the capability ``slo``."""
    _slots()
    _alerts()


def _slots() -> None:
    op.create_table(
        "slo_definitions",
        sa.Column("id", _AUTO_KEY, nullable=False),
        sa.Column("slo", sa.String(63), nullable=False),
        sa.Column("definition_hash", sa.String(16), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("effective_from", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_slo_definitions"),
        sa.UniqueConstraint("slo", "effective_from", name="uq_slo_definitions_slo_effective_from"),
    )
    op.create_table(
        "slo_series",
        sa.Column("id", _AUTO_KEY, nullable=False),
        sa.Column("slo", sa.String(63), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("sli_hash", sa.String(16), nullable=False),
        sa.Column("interval_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_slo_series"),
        sa.UniqueConstraint("slo", "cluster", "sli_hash", name="uq_slo_series_slo_cluster_sli_hash"),
    )
    op.create_table(
        "slo_slots",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("good", sa.BigInteger(), nullable=False),
        sa.Column("bad", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("missed", sa.BigInteger(), nullable=False),
        sa.Column("excluded", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["slo_series.id"], name="fk_slo_slots_series_id_slo_series", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("series_id", "slot", "length", name="pk_slo_slots"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "slo_flushes",
        sa.Column("writer", sa.String(36), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("flushed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("writer", name="pk_slo_flushes"),
    )


def _alerts() -> None:
    op.create_table(
        "slo_alert_states",
        sa.Column("slo", sa.String(63), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("rule", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("fired_at", sa.BigInteger(), nullable=True),
        sa.Column("alert_id", sa.String(36), nullable=True),
        sa.PrimaryKeyConstraint("slo", "cluster", "rule", name="pk_slo_alert_states"),
    )
    op.create_table(
        "slo_alerts",
        sa.Column("alert_id", sa.String(36), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("slo", sa.String(63), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("rule", sa.String(63), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("fired_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("burn_rate", sa.Float(53), nullable=True),
        sa.Column("threshold", sa.Float(53), nullable=False),
        sa.Column("budget_remaining_ratio", sa.Float(53), nullable=False),
        sa.Column("window_seconds", sa.BigInteger(), nullable=False),
        sa.Column("telemetry_state", sa.String(16), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name="pk_slo_alerts"),
        sa.UniqueConstraint("sequence", name="uq_slo_alerts_sequence"),
    )
