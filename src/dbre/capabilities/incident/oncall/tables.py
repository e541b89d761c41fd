"""Tables of on-call duty: overrides of schedules, and escalations that go on."""

from sqlalchemy import Column, Index, Integer, String, Table

from dbre.core.store import Identifier, JsonText, SafeText, UtcDateTime, metadata

__all__ = ["escalations", "oncall_overrides"]

oncall_overrides = Table(
    "oncall_overrides",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("schedule", String(63), nullable=False),
    Column("contact", String(63), nullable=False),
    Column("replaces", String(63)),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("source", SafeText, nullable=False),
    Column("created_by", SafeText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_by", SafeText),
    Column("revoked_at", UtcDateTime),
    Index("ix_oncall_overrides_schedule_ends_at", "schedule", "ends_at"),
)
"""Who is on call instead of whom, from when to when; never deleted."""

escalations = Table(
    "escalations",
    metadata,
    Column("incident_id", String(36), primary_key=True),
    Column("policy", String(63), nullable=False),
    Column("state", String(16), nullable=False),
    Column("level", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("next_at", UtcDateTime),
    Column("sequence", Integer, nullable=False),
    Column("acknowledged_by", SafeText, nullable=False),
    Column("document", JsonText, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Index("ix_escalations_next_at", "next_at"),
)
"""Where the escalation of each incident stands."""
