"""Notices, acknowledgements, overrides and escalations."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of notices and of on-call duty."""
    _notices()
    _alertmanager()
    _overrides()
    _escalations()


def _notices() -> None:
    op.create_table(
        "notice_deliveries",
        sa.Column("channel", sa.String(63), nullable=False),
        sa.Column("notice_id", sa.String(100), nullable=False),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "notice_id", name="pk_notice_deliveries"),
    )
    op.create_index("ix_notice_deliveries_thread", "notice_deliveries", ["channel", "thread", "delivered_at"])
    op.create_index("ix_notice_deliveries_delivered_at", "notice_deliveries", ["delivered_at"])
    op.create_table(
        "held_notices",
        sa.Column("channel", sa.String(63), nullable=False),
        sa.Column("notice_id", sa.String(100), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "notice_id", name="pk_held_notices"),
    )
    op.create_index("ix_held_notices_due_at", "held_notices", ["due_at"])


def _alertmanager() -> None:
    op.create_table(
        "alertmanager_alerts",
        sa.Column("channel", sa.String(63), nullable=False),
        sa.Column("alert_id", sa.String(36), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("channel", "alert_id", name="pk_alertmanager_alerts"),
    )
    op.create_index("ix_alertmanager_alerts_ended_at", "alertmanager_alerts", ["channel", "ended_at"])
    op.create_table(
        "received_alerts",
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("alert_id", sa.String(36), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "started_at", name="pk_received_alerts"),
    )
    op.create_index("ix_received_alerts_heard_at", "received_alerts", ["ended_at", "heard_at"])


def _overrides() -> None:
    op.create_table(
        "oncall_overrides",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("schedule", sa.String(63), nullable=False),
        sa.Column("contact", sa.String(63), nullable=False),
        sa.Column("replaces", sa.String(63), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_overrides"),
    )
    op.create_index("ix_oncall_overrides_schedule_ends_at", "oncall_overrides", ["schedule", "ends_at"])


def _escalations() -> None:
    op.create_table(
        "escalations",
        sa.Column("incident_id", sa.String(36), nullable=False),
        sa.Column("policy", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("acknowledged_by", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", name="pk_escalations"),
    )
    op.create_index("ix_escalations_next_at", "escalations", ["next_at"])
