"""Operations, their journal, locks, approvals, gates, schedules and workers."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_AUTO_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of ``core.operation``."""
    _operations()
    _journal()
    _consent()
    _gates()
    _running()


def _operations() -> None:
    op.create_table(
        "operation",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(100), nullable=False),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("target_key", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("plan_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("owner", sa.String(100)),
        sa.Column("lease_epoch", sa.String(64)),
        sa.Column("lease_until", sa.Float()),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("journal_mark", sa.String(36)),
        sa.Column("zone", sa.String(63)),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("dedup_key", sa.String(200)),
        sa.Column("parent_id", sa.String(36)),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        *_moments("created_at", nullable=False),
        *_moments("not_before", "deadline", "started_at", "ended_at", "dispatched_at", "archived_at"),
        sa.Column("cancel_requested_by", sa.Text()),
        *_moments("cancel_requested_at"),
        sa.Column("pause_requested_by", sa.Text()),
        sa.Column("pause_reason", sa.Text()),
        sa.Column("abort_reason", sa.Text()),
        sa.Column("hold", sa.Text()),
        sa.Column("tuning", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("outcome", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_operation"),
        sa.UniqueConstraint("dedup_key", name="uq_operation_dedup_key"),
        sa.ForeignKeyConstraint(["parent_id"], ["operation.id"], name="fk_operation_parent_id_operation"),
    )
    for columns in (("created_at",), ("target_key",), ("parent_id",)):
        op.create_index(f"ix_operation_{'_'.join(columns)}", "operation", list(columns))
    waiting = [sa.text("priority DESC"), "id", "not_before", "dispatched_at", "created_at", "zone", "parent_id"]
    _partial_index("ix_operation_queued", waiting, "state = 'queued'")
    _partial_index("ix_operation_begun", ["state"], "state IN ('running', 'verifying', 'compensating', 'paused')")
    attention = "state IN ('awaiting_approval', 'needs_operator', 'paused')"
    _partial_index("ix_operation_attention", ["state", "target_key"], attention)
    _partial_index("ix_operation_in_detail", ["ended_at"], "ended_at IS NOT NULL AND archived_at IS NULL")


def _partial_index(name: str, columns: list[Any], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "operation", columns, sqlite_where=where, postgresql_where=where)


def _moments(*names: str, nullable: bool = True) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=nullable) for name in names]


def _of_operation(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_operation_id_operation"
    return sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=name, ondelete="CASCADE")


def _journal() -> None:
    op.create_table(
        "operation_step",
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("phase", sa.String(10), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        *_moments("started_at", nullable=False),
        *_moments("ended_at"),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("is_recovered", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Text()),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "seq", "phase", name="pk_operation_step"),
        _of_operation("operation_step"),
    )
    op.create_table(
        "operation_target_lock",
        sa.Column("target_key", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("mode", sa.String(10), nullable=False),
        *_moments("at", nullable=False),
        sa.PrimaryKeyConstraint("target_key", "operation_id", name="pk_operation_target_lock"),
        _of_operation("operation_target_lock"),
    )
    op.create_table(
        "operation_archive",
        sa.Column("operation_id", sa.String(36), nullable=False),
        *_moments("at", nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name="pk_operation_archive"),
        _of_operation("operation_archive"),
    )
    op.create_index("ix_operation_target_lock_operation_id", "operation_target_lock", ["operation_id"])


def _consent() -> None:
    op.create_table(
        "operation_approval",
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("plan_hash", sa.String(64), nullable=False),
        *_moments("at", nullable=False),
        sa.Column("comment", sa.Text()),
        sa.PrimaryKeyConstraint("operation_id", "approver", name="pk_operation_approval"),
        _of_operation("operation_approval"),
    )
    op.create_table(
        "operation_resolution",
        sa.Column("id", _AUTO_KEY, nullable=False),
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("resolution", sa.String(10), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        *_moments("at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operation_resolution"),
        _of_operation("operation_resolution"),
    )
    op.create_index("ix_operation_resolution_operation_id", "operation_resolution", ["operation_id", "id"])


def _gates() -> None:
    op.create_table(
        "operation_gate_decision",
        sa.Column("id", _AUTO_KEY, nullable=False),
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("gate", sa.String(63), nullable=False),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("moment", sa.String(10), nullable=False),
        sa.Column("step", sa.String(200)),
        *_moments("at", nullable=False),
        sa.Column("is_overridden", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operation_gate_decision"),
        _of_operation("operation_gate_decision"),
    )
    op.create_index("ix_operation_gate_decision_operation_id", "operation_gate_decision", ["operation_id", "id"])
    op.create_table(
        "operation_gate_override",
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("gate", sa.String(63), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text()),
        *_moments("at", nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "gate", name="pk_operation_gate_override"),
        _of_operation("operation_gate_override"),
    )


def _running() -> None:
    op.create_table(
        "operation_schedule",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("definition", sa.String(300)),
        *_moments("last_slot"),
        sa.Column("last_operation_id", sa.String(36)),
        sa.Column("last_skipped", sa.Text()),
        sa.Column("is_suspended", sa.Boolean(), nullable=False),
        sa.Column("suspended_by", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="pk_operation_schedule"),
    )
    op.create_table(
        "operation_worker",
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("zone", sa.String(63)),
        sa.Column("version", sa.String(40), nullable=False),
        *_moments("started_at", "heartbeat_at", nullable=False),
        sa.Column("lease_epoch", sa.String(64), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operation_worker"),
    )
