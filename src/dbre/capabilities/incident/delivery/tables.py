"""Tables of the delivery of notices."""

from sqlalchemy import Column, Index, String, Table

from dbre.core.store import JsonText, SafeText, UtcDateTime, metadata

__all__ = ["alertmanager_alerts", "held_notices", "notice_deliveries", "received_alerts"]

notice_deliveries = Table(
    "notice_deliveries",
    metadata,
    Column("channel", String(63), primary_key=True),
    Column("notice_id", String(100), primary_key=True),
    Column("thread", SafeText, nullable=False),
    Column("reference", SafeText),
    Column("delivered_at", UtcDateTime, nullable=False),
    Index("ix_notice_deliveries_thread", "channel", "thread", "delivered_at"),
    Index("ix_notice_deliveries_delivered_at", "delivered_at"),
)
"""One row for each notice that a channel has taken, with what it remembers of the thread."""

held_notices = Table(
    "held_notices",
    metadata,
    Column("channel", String(63), primary_key=True),
    Column("notice_id", String(100), primary_key=True),
    Column("due_at", UtcDateTime, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("document", JsonText, nullable=False),
    Index("ix_held_notices_due_at", "due_at"),
)
"""Notices that wait for the morning, or for the end of a storm; they are told together."""

alertmanager_alerts = Table(
    "alertmanager_alerts",
    metadata,
    Column("channel", String(63), primary_key=True),
    Column("alert_id", String(36), primary_key=True),
    Column("document", JsonText, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("refused", SafeText),
    Index("ix_alertmanager_alerts_ended_at", "channel", "ended_at"),
)
"""What an Alertmanager is told again and again: what fires, and for a while what does not any more."""

received_alerts = Table(
    "received_alerts",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("started_at", UtcDateTime, primary_key=True),
    Column("alert_id", String(36), nullable=False),
    Column("ended_at", UtcDateTime),
    Column("heard_at", UtcDateTime, nullable=False),
    Column("document", JsonText, nullable=False),
    Index("ix_received_alerts_heard_at", "ended_at", "heard_at"),
)
"""Alerts that an Alertmanager told us of."""
