"""Backups: sets, log files, timelines, gaps, the clock of the log, canaries, drills, vault objects."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of backups."""
    op.create_table(
        "backup_set",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("engine", sa.String(40), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("system_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("parent_id", sa.String(40), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("start_position", sa.Text(), nullable=True),
        sa.Column("stop_position", sa.Text(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=True),
        sa.Column("version_text", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("checksums", sa.String(20), nullable=False),
        sa.Column("bytes_source", sa.BigInteger(), nullable=False),
        sa.Column("bytes_stored", sa.BigInteger(), nullable=True),
        sa.Column("manifest_sha256", sa.String(64), nullable=True),
        sa.Column("vaults", sa.Text(), nullable=False),
        sa.Column("proven_at", sa.BigInteger(), nullable=True),
        sa.Column("hold", sa.Text(), nullable=True),
        sa.Column("lock_until", sa.BigInteger(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.String(36), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_backup_set"),
    )
    op.create_index("ix_backup_set_cluster_started_at", "backup_set", ["cluster", "started_at"])
    op.create_table(
        "backup_log",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("system_id", sa.Text(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("start_value", sa.BigInteger(), nullable=False),
        sa.Column("end_value", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("last_commit_at", sa.BigInteger(), nullable=True),
        sa.Column("vaults", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "system_id", "name", name="pk_backup_log"),
    )
    op.create_index("ix_backup_log_cluster_timeline_start_value", "backup_log", ["cluster", "timeline", "start_value"])
    op.create_table(
        "timeline_switch",
        sa.Column("system_id", sa.Text(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "timeline", name="pk_timeline_switch"),
    )
    op.create_table(
        "recovery_gap",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("system_id", sa.Text(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("start_value", sa.BigInteger(), nullable=False),
        sa.Column("end_value", sa.BigInteger(), nullable=True),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_gap"),
    )
    op.create_index("ix_recovery_gap_cluster", "recovery_gap", ["cluster"])
    op.create_table(
        "log_clock",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("system_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "at", name="pk_log_clock"),
    )
    op.create_table(
        "canary_witness",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("position", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("cluster", "sequence", name="pk_canary_witness"),
    )
    op.create_index("ix_canary_witness_cluster_at", "canary_witness", ["cluster", "at"])
    op.create_table(
        "drill",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("set_id", sa.String(40), nullable=True),
        sa.Column("system_id", sa.Text(), nullable=True),
        sa.Column("target_kind", sa.String(20), nullable=False),
        sa.Column("target_value", sa.Text(), nullable=True),
        sa.Column("mode", sa.String(20), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("phases", sa.Text(), nullable=False),
        sa.Column("reached", sa.Text(), nullable=True),
        sa.Column("reached_commit_at", sa.BigInteger(), nullable=True),
        sa.Column("results", sa.Text(), nullable=False),
        sa.Column("recovery_point_seconds", sa.Float(), nullable=True),
        sa.Column("recovery_time_seconds", sa.Float(), nullable=True),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("level", sa.String(4), nullable=False),
        sa.Column("operation_id", sa.String(36), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_drill"),
    )
    op.create_index("ix_drill_cluster_ended_at", "drill", ["cluster", "ended_at"])
    op.create_table(
        "restore_phase",
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("engine", sa.String(40), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("vault", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("is_faithful", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "number", name="pk_restore_phase"),
    )
    op.create_index("ix_restore_phase_cluster_at", "restore_phase", ["cluster", "at"])
    op.create_table(
        "vault_object",
        sa.Column("vault", sa.Text(), nullable=False),
        sa.Column("key", sa.String(500), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("set_id", sa.String(40), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=True),
        sa.Column("retain_until", sa.BigInteger(), nullable=True),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("verified_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("vault", "key", name="pk_vault_object"),
    )
    op.create_index("ix_vault_object_set_id", "vault_object", ["set_id"])
