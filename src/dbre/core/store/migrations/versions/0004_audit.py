"""The audit log and its checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of ``core.audit``."""
    op.create_table(
        "audit_entry",
        sa.Column("entry_index", _KEY, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("nodes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry_index", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    for column in ("action", "actor", "subject"):
        op.create_index(f"ix_audit_entry_{column}_entry_index", "audit_entry", [column, "entry_index"])
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", _KEY, nullable=False, autoincrement=False),
        sa.Column("signer", sa.String(8), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", "signer", name="pk_audit_checkpoint"),
    )
