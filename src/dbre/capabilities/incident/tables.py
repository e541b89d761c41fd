"""Tables of incidents: what happened, when, what it cost, and what was learned."""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from dbre.core.store import Identifier, JsonText, SafeText, UtcDateTime, metadata

__all__ = ["incident", "incident_action", "incident_alert", "incident_cost", "incident_timeline", "postmortem"]

incident = Table(
    "incident",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("title", SafeText, nullable=False),
    Column("state", String(20), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("urgency", String(8), nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("slo", SafeText, nullable=False),
    Column("group_key", SafeText, nullable=False),
    Column("opened_by", SafeText, nullable=False),
    Column("assignee", SafeText, nullable=False),
    Column("is_severity_set", Boolean, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("detected_at", UtcDateTime, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    Column("mitigated_at", UtcDateTime),
    Column("resolved_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("merged_into", Identifier),
    Column("reopened_count", Integer, nullable=False),
    Column("has_data_loss", Boolean, nullable=False),
    Column("root_cause", SafeText, nullable=False),
    UniqueConstraint("number", name="uq_incident_number"),
    Index("ix_incident_state", "state"),
    Index("ix_incident_started_at", "started_at"),
)
"""One row for each incident."""

incident_alert = Table(
    "incident_alert",
    metadata,
    Column("alert_id", String(200), primary_key=True),
    # None: its end was heard of before its beginning, which must not open anything any more.
    Column("incident_id", Identifier, ForeignKey("incident.id")),
    Column("slo", SafeText, nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("group_key", SafeText, nullable=False),
    Column("rule", SafeText, nullable=False),
    Column("severity", String(20), nullable=False),
    Column("fired_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("burn_rate", Float),
    Index("ix_incident_alert_incident_id", "incident_id"),
)
"""The alerts that belong to incidents."""

incident_timeline = Table(
    "incident_timeline",
    metadata,
    Column("incident_id", Identifier, ForeignKey("incident.id"), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("actor", SafeText, nullable=False),
    Column("text", SafeText, nullable=False),
    Column("details", JsonText, nullable=False),
    Index("ix_incident_timeline_incident_id_at", "incident_id", "at"),
)
"""What happened during an incident, line by line."""

incident_cost = Table(
    "incident_cost",
    metadata,
    Column("incident_id", Identifier, ForeignKey("incident.id"), primary_key=True),
    Column("instance", String(500), primary_key=True),
    Column("good", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("consumed_exact", String(200), nullable=False),
    Column("measured_at", UtcDateTime, nullable=False),
)
"""What an incident cost the error budgets, as measured when it ended."""

incident_action = Table(
    "incident_action",
    metadata,
    Column("incident_id", Identifier, ForeignKey("incident.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("title", SafeText, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("owner", SafeText, nullable=False),
    Column("due", String(10), nullable=False),
    Column("state", String(20), nullable=False),
    Column("reference", SafeText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", SafeText, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("ended_by", SafeText, nullable=False),
    Column("ended_note", SafeText, nullable=False),
)
"""What is to be done so that it does not happen again."""

postmortem = Table(
    "postmortem",
    metadata,
    Column("incident_id", Identifier, ForeignKey("incident.id"), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("author", SafeText, nullable=False),
    Column("text", SafeText, nullable=False),
    Column("sha256", String(64), nullable=False),
)
"""Every revision of every postmortem; rows are only added, and the audit log holds their sums."""
