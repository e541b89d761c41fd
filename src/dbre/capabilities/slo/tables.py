"""Tables of this capability in the state store."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    text,
)

from dbre.core.store import AutoKey, JsonText, SafeText, UtcDateTime, metadata

__all__ = [
    "slo_alert_states",
    "slo_alerts",
    "slo_batches",
    "slo_corrections",
    "slo_definitions",
    "slo_flushes",
    "slo_heard",
    "slo_series",
    "slo_slots",
    "slo_source_marks",
]

slo_definitions = Table(
    "slo_definitions",
    metadata,
    Column("id", AutoKey, primary_key=True),
    Column("slo", String(63), nullable=False),
    Column("definition_hash", String(16), nullable=False),
    Column("document", JsonText, nullable=False),
    Column("effective_from", UtcDateTime, nullable=False),
    UniqueConstraint("slo", "effective_from"),
)
"""Versions of definitions; the one with the newest ``effective_from`` holds."""

slo_series = Table(
    "slo_series",
    metadata,
    Column("id", AutoKey, primary_key=True),
    Column("slo", String(63), nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("group_key", SafeText, nullable=False, server_default=text("''")),
    Column("sli_hash", String(16), nullable=False),
    Column("interval_ms", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("slo", "cluster", "group_key", "sli_hash"),
)
"""One row for each thing that was ever counted; a changed indicator is another thing."""

slo_slots = Table(
    "slo_slots",
    metadata,
    Column("series_id", BigInteger, ForeignKey("slo_series.id", ondelete="CASCADE"), nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("length", Integer, nullable=False),
    Column("good", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("missed", BigInteger, nullable=False),
    Column("excluded", BigInteger, nullable=False),
    PrimaryKeyConstraint("series_id", "slot", "length"),
    sqlite_with_rowid=False,
)
"""Counts of each of ``length`` adjacent slots of 10 s, the first of which is ``slot`` (10 s since 1970).

Rows that cover the same slot add up, so that late events and compacted runs can lie over each other. ``total`` repeats
``good + bad``, so that a row that was damaged is noticed.
"""

slo_flushes = Table(
    "slo_flushes",
    metadata,
    Column("writer", String(36), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("flushed_at", UtcDateTime, nullable=False),
)
"""The newest batch of each writer that is in ``slo_slots``: tells whether a commit of unknown outcome took place."""

slo_batches = Table(
    "slo_batches",
    metadata,
    Column("position", AutoKey, primary_key=True, autoincrement=False),
    Column("writer", String(36), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("runs", JsonText),
)
"""The newest batches that went into ``slo_slots``, for processes that keep what they have read.

``position`` counts them without a gap, in the order of their commits; ``writer`` and ``sequence`` say which batch it is, as
in ``slo_flushes``. ``runs`` has [start, length, good, bad, missed, excluded] by series; null: too many to tell.
"""

slo_source_marks = Table(
    "slo_source_marks",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("position", SafeText, nullable=False),
    Column("marked_at", UtcDateTime, nullable=False),
)
"""How far each source has been counted: written in the transaction that adds those counts to ``slo_slots``."""

slo_heard = Table(
    "slo_heard",
    metadata,
    Column("slo", String(63), nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("heard_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("slo", "cluster"),
)
"""When the source of an SLO was last known to be alive, though it may have had nothing to count."""

slo_corrections = Table(
    "slo_corrections",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("slo", String(63), nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("group_key", SafeText, nullable=False),
    Column("start_slot", BigInteger, nullable=False),
    Column("end_slot", BigInteger, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("operation_id", String(36)),
    Column("created_by", SafeText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_by", SafeText),
    Column("revoked_at", UtcDateTime),
)
"""Times that do not count: slots ``[start_slot, end_slot)`` of an SLO on a cluster, of all its groups where none is named.

Slots themselves are never changed, so that a revoked correction leaves no trace in them. ``operation_id`` is the planned
operation that a correction was made for.
"""

slo_alert_states = Table(
    "slo_alert_states",
    metadata,
    Column("slo", String(63), nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("group_key", SafeText, nullable=False, server_default=text("''")),
    Column("rule", String(63), nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("fired_at", UtcDateTime),
    Column("alert_id", String(36)),
    PrimaryKeyConstraint("slo", "cluster", "group_key", "rule"),
)
"""Where each rule of each SLO instance stands; no row is inactive."""

slo_alerts = Table(
    "slo_alerts",
    metadata,
    Column("alert_id", String(36), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("slo", String(63), nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("group_key", SafeText, nullable=False, server_default=text("''")),
    Column("rule", String(63), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("fired_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("burn_rate", Float(53)),
    Column("threshold", Float(53), nullable=False),
    Column("budget_remaining_ratio", Float(53), nullable=False),
    Column("window_seconds", BigInteger, nullable=False),
    Column("telemetry_state", String(16), nullable=False),
    Column("summary", SafeText, nullable=False),
    UniqueConstraint("sequence"),
)
"""Every alert that ever fired; ``sequence`` is that of its newest transition."""
