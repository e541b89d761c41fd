"""Tables of backups. What is in a vault is the truth; these rows are what this control plane knows of it."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, PrimaryKeyConstraint, String, Table

from dbre.core.store import Identifier, JsonText, SafeText, UtcDateTime, metadata

__all__ = [
    "backup_log",
    "backup_set",
    "canary_witness",
    "drill",
    "escrow_drill",
    "log_clock",
    "recovery_gap",
    "restore_phase",
    "timeline_switch",
    "vault_object",
]

backup_set = Table(
    "backup_set",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("cluster", SafeText, nullable=False),
    Column("engine", String(40), nullable=False),
    Column("policy", SafeText, nullable=False),
    Column("provider", String(40), nullable=False),
    Column("system_id", SafeText, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("parent_id", String(40)),
    Column("state", String(20), nullable=False),
    Column("start_position", JsonText),
    Column("stop_position", JsonText),
    Column("started_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
    Column("version_text", SafeText, nullable=False),
    Column("tool", SafeText, nullable=False),
    Column("checksums", String(20), nullable=False),
    Column("bytes_source", BigInteger, nullable=False),
    Column("bytes_stored", BigInteger),
    Column("manifest_sha256", String(64)),
    Column("vaults", JsonText, nullable=False),
    Column("proven_at", UtcDateTime),
    Column("hold", SafeText),
    Column("lock_until", UtcDateTime),
    Column("details", JsonText, nullable=False),
    Column("operation_id", Identifier),
    Index("ix_backup_set_cluster_started_at", "cluster", "started_at"),
)
"""One row for each set."""

backup_log = Table(
    "backup_log",
    metadata,
    Column("cluster", SafeText, nullable=False),
    Column("system_id", SafeText, nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("timeline", BigInteger, nullable=False),
    Column("start_value", BigInteger, nullable=False),
    Column("end_value", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("last_commit_at", UtcDateTime),
    Column("vaults", JsonText, nullable=False),
    PrimaryKeyConstraint("cluster", "system_id", "name", name="pk_backup_log"),
    Index("ix_backup_log_cluster_timeline_start_value", "cluster", "timeline", "start_value"),
)
"""One row for each log file."""

timeline_switch = Table(
    "timeline_switch",
    metadata,
    Column("system_id", SafeText, nullable=False),
    Column("timeline", BigInteger, nullable=False),
    Column("parent", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("system_id", "timeline", name="pk_timeline_switch"),
)
"""Where timelines left their parents."""

recovery_gap = Table(
    "recovery_gap",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("cluster", SafeText, nullable=False),
    Column("system_id", SafeText, nullable=False),
    Column("timeline", BigInteger, nullable=False),
    Column("start_value", BigInteger, nullable=False),
    Column("end_value", BigInteger),
    Column("began_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("reason", SafeText, nullable=False),
    Column("remedy", SafeText, nullable=False),
    Index("ix_recovery_gap_cluster", "cluster"),
)
"""Parts of the log that are missing for good."""

log_clock = Table(
    "log_clock",
    metadata,
    Column("cluster", SafeText, nullable=False),
    Column("system_id", SafeText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("timeline", BigInteger, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("cluster", "at", name="pk_log_clock"),
)
"""Which position the log of a cluster had when; one row a second while it changes, thinned with age."""

canary_witness = Table(
    "canary_witness",
    metadata,
    Column("cluster", SafeText, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("position", JsonText),
    PrimaryKeyConstraint("cluster", "sequence", name="pk_canary_witness"),
    Index("ix_canary_witness_cluster_at", "cluster", "at"),
)
"""Canary rows as the cluster acknowledged them."""

drill = Table(
    "drill",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("cluster", SafeText, nullable=False),
    Column("set_id", String(40)),
    Column("system_id", SafeText),
    Column("target_kind", String(20), nullable=False),
    Column("target_value", SafeText),
    Column("mode", String(20), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("phases", JsonText, nullable=False),
    Column("reached", JsonText),
    Column("reached_commit_at", UtcDateTime),
    Column("results", JsonText, nullable=False),
    Column("recovery_point_seconds", Float),
    Column("recovery_time_seconds", Float),
    Column("verdict", String(20), nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("level", String(4), nullable=False),
    Column("operation_id", Identifier),
    Index("ix_drill_cluster_ended_at", "cluster", "ended_at"),
)
"""One row for each drill."""

escrow_drill = Table(
    "escrow_drill",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("vault", SafeText, nullable=False),
    Column("recipient", String(100), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", SafeText, nullable=False),
    Column("is_opened", Boolean, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("set_ids", JsonText, nullable=False),
    Column("log_name", String(200)),
    Column("bytes", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Index("ix_escrow_drill_vault_at", "vault", "at"),
)
"""Trials of the keys that are kept away from every machine."""

restore_phase = Table(
    "restore_phase",
    metadata,
    Column("operation_id", Identifier, nullable=False),
    Column("number", Integer, nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("engine", String(40), nullable=False),
    Column("name", String(40), nullable=False),
    Column("vault", SafeText),
    Column("seconds", Float, nullable=False),
    Column("bytes", BigInteger),
    Column("is_faithful", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("operation_id", "number", name="pk_restore_phase"),
    Index("ix_restore_phase_cluster_at", "cluster", "at"),
)
"""How long the parts of restores took: what forecasts are made of."""

vault_object = Table(
    "vault_object",
    metadata,
    Column("vault", SafeText, nullable=False),
    Column("key", String(500), nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("set_id", String(40)),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("version_id", SafeText),
    Column("retain_until", UtcDateTime),
    Column("stored_at", UtcDateTime, nullable=False),
    Column("verified_at", UtcDateTime),
    Column("deleted_at", UtcDateTime),
    PrimaryKeyConstraint("vault", "key", name="pk_vault_object"),
    Index("ix_vault_object_set_id", "set_id"),
)
"""What lies in which vault, as far as this control plane put or found it there."""
