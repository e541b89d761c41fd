"""Tables of durable operations."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    and_,
    literal_column,
)

from dbre.core.store import AutoKey, Identifier, JsonText, SafeText, UtcDateTime, metadata

__all__ = [
    "ATTENTION",
    "BEGUN",
    "IN_DETAIL",
    "QUEUED",
    "approval",
    "archive",
    "gate_decision",
    "gate_override",
    "operation",
    "resolution",
    "schedule",
    "step",
    "target_lock",
    "worker",
]

operation = Table(
    "operation",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("kind", String(100), nullable=False),
    Column("definition_version", Integer, nullable=False),
    Column("target_key", SafeText, nullable=False),
    Column("plan", Text, nullable=False),  # the canonical document, byte for byte what was hashed
    Column("plan_hash", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("owner", String(100)),  # the worker that has it
    Column("lease_epoch", String(64)),  # which clock lease_until is of: the store's ("store"), or this boot of the machine
    Column("lease_until", Float),  # seconds of that clock
    Column("attempt", Integer, nullable=False),
    Column("journal_mark", Identifier),  # of the last write: tells after a lost connection whether it was committed
    Column("zone", String(63)),
    Column("priority", SmallInteger, nullable=False),
    Column("dedup_key", String(200), unique=True),
    Column("parent_id", Identifier, ForeignKey("operation.id")),
    Column("requested_by", SafeText, nullable=False),
    Column("reason", SafeText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime),
    Column("deadline", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("dispatched_at", UtcDateTime),
    Column("archived_at", UtcDateTime),  # its journal is in the archive since then
    Column("cancel_requested_by", SafeText),
    Column("cancel_requested_at", UtcDateTime),
    Column("pause_requested_by", SafeText),
    Column("pause_reason", SafeText),
    Column("abort_reason", SafeText),
    Column("hold", JsonText),
    Column("tuning", JsonText, nullable=False),
    Column("error", JsonText),
    Column("outcome", JsonText),
    Index("ix_operation_created_at", "created_at"),
    Index("ix_operation_target_key", "target_key"),
    Index("ix_operation_parent_id", "parent_id"),
)
"""One row for each operation, planned or run."""

QUEUED = operation.c.state == literal_column("'queued'")
"""The condition of a partial index; with a parameter in the place of the word, SQLite would not use it."""

BEGUN = operation.c.state.in_([literal_column(f"'{state}'") for state in ("running", "verifying", "compensating", "paused")])
"""The condition of the other: few rows at any time, however many operations are stored."""

Index(
    "ix_operation_queued",
    operation.c.priority.desc(),
    *(operation.c[name] for name in ("id", "not_before", "dispatched_at", "created_at", "zone", "parent_id")),
    sqlite_where=QUEUED,
    postgresql_where=QUEUED,
)
Index("ix_operation_begun", operation.c.state, sqlite_where=BEGUN, postgresql_where=BEGUN)

ATTENTION = operation.c.state.in_([literal_column(f"'{state}'") for state in ("awaiting_approval", "needs_operator", "paused")])
"""The condition of what waits for a person, which every page counts."""

Index(
    "ix_operation_attention",
    operation.c.state,
    operation.c.target_key,
    sqlite_where=ATTENTION,
    postgresql_where=ATTENTION,
)

IN_DETAIL = and_(operation.c.ended_at.is_not(None), operation.c.archived_at.is_(None))
"""The condition of what has ended, and whose journal is not in the archive yet."""

Index("ix_operation_in_detail", operation.c.ended_at, sqlite_where=IN_DETAIL, postgresql_where=IN_DETAIL)

step = Table(
    "operation_step",
    metadata,
    Column("operation_id", Identifier, ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("phase", String(10), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("owner", String(100), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("input_hash", String(64), nullable=False),
    Column("result", JsonText),
    Column("error", JsonText),
    Column("is_recovered", Boolean, nullable=False),
    Column("progress", JsonText),
    Column("notes", JsonText, nullable=False),
)
"""The journal: a row is written before a step begins, and completed after it ended."""

target_lock = Table(
    "operation_target_lock",
    metadata,
    Column("target_key", SafeText, primary_key=True),
    Column("operation_id", Identifier, ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True),
    Column("mode", String(10), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_operation_target_lock_operation_id", "operation_id"),
)
"""Who holds which target: one exclusive holder, or several shared ones; paths conflict with their prefixes."""

approval = Table(
    "operation_approval",
    metadata,
    Column("operation_id", Identifier, ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True),
    Column("approver", SafeText, primary_key=True),
    Column("plan_hash", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("comment", SafeText),
)
"""Who consented to which plan."""

gate_decision = Table(
    "operation_gate_decision",
    metadata,
    Column("id", AutoKey, primary_key=True, autoincrement=True),
    Column("operation_id", Identifier, ForeignKey("operation.id", ondelete="CASCADE"), nullable=False),
    Column("gate", String(63), nullable=False),
    Column("verdict", String(10), nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("evidence", JsonText, nullable=False),
    Column("moment", String(10), nullable=False),
    Column("step", String(200)),
    Column("at", UtcDateTime, nullable=False),
    Column("is_overridden", Boolean, nullable=False),
    Index("ix_operation_gate_decision_operation_id", "operation_id", "id"),
)
"""What each gate said, where it differs from what it said before."""

gate_override = Table(
    "operation_gate_override",
    metadata,
    Column("operation_id", Identifier, ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True),
    Column("gate", String(63), primary_key=True),
    Column("by", SafeText, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("ticket", SafeText),
    Column("at", UtcDateTime, nullable=False),
)
"""Bypasses of gates."""

resolution = Table(
    "operation_resolution",
    metadata,
    Column("id", AutoKey, primary_key=True, autoincrement=True),
    Column("operation_id", Identifier, ForeignKey("operation.id", ondelete="CASCADE"), nullable=False),
    Column("resolution", String(10), nullable=False),
    Column("by", SafeText, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_operation_resolution_operation_id", "operation_id", "id"),
)
"""What people decided of operations that needed an operator."""

archive = Table(
    "operation_archive",
    metadata,
    Column("operation_id", Identifier, ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("document", LargeBinary, nullable=False),  # zlib, canonical JSON: see ``archive.packed``
)
"""The journals of operations that ended long ago; of these the tables above hold no rows."""

schedule = Table(
    "operation_schedule",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("definition", String(300)),  # expression and time zone that last_slot belongs to
    Column("last_slot", UtcDateTime),  # the last slot for which it was decided whether to run
    Column("last_operation_id", Identifier),
    Column("last_skipped", JsonText),  # slot and reason
    Column("is_suspended", Boolean, nullable=False),
    Column("suspended_by", SafeText),
)
"""How far each schedule of the configuration has come."""

worker = Table(
    "operation_worker",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("host", SafeText, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("zone", String(63)),
    Column("version", String(40), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    Column("lease_epoch", String(64), nullable=False),
    Column("lease_until", Float, nullable=False),  # alive until then, by the same clock as leases of operations
)
"""Who can run operations at the moment."""
