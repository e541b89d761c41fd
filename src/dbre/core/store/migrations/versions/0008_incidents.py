"""Incidents, their alerts, timelines, costs, action items and postmortems."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of incidents."""
    _incident()
    _incident_alert()
    _incident_timeline()
    _incident_cost()
    _incident_action()
    _postmortem()


def _incident_id(*, primary: bool = True) -> "sa.Column[str]":
    return sa.Column("incident_id", sa.String(36), nullable=not primary)


def _of_incident(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=f"fk_{table}_incident_id_incident")


def _incident() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("urgency", sa.String(8), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("slo", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=False),
        sa.Column("is_severity_set", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("detected_at", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("mitigated_at", sa.BigInteger(), nullable=True),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("merged_into", sa.String(36), nullable=True),
        sa.Column("reopened_count", sa.Integer(), nullable=False),
        sa.Column("has_data_loss", sa.Boolean(), nullable=False),
        sa.Column("root_cause", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incident"),
        sa.UniqueConstraint("number", name="uq_incident_number"),
    )
    op.create_index("ix_incident_state", "incident", ["state"])
    op.create_index("ix_incident_started_at", "incident", ["started_at"])


def _incident_alert() -> None:
    op.create_table(
        "incident_alert",
        sa.Column("alert_id", sa.String(200), nullable=False),
        _incident_id(primary=False),
        sa.Column("slo", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("fired_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("burn_rate", sa.Float(), nullable=True),
        _of_incident("incident_alert"),
        sa.PrimaryKeyConstraint("alert_id", name="pk_incident_alert"),
    )
    op.create_index("ix_incident_alert_incident_id", "incident_alert", ["incident_id"])


def _incident_timeline() -> None:
    op.create_table(
        "incident_timeline",
        _incident_id(),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        _of_incident("incident_timeline"),
        sa.PrimaryKeyConstraint("incident_id", "key", name="pk_incident_timeline"),
    )
    op.create_index("ix_incident_timeline_incident_id_at", "incident_timeline", ["incident_id", "at"])


def _incident_cost() -> None:
    op.create_table(
        "incident_cost",
        _incident_id(),
        sa.Column("instance", sa.String(500), nullable=False),
        sa.Column("good", sa.BigInteger(), nullable=False),
        sa.Column("bad", sa.BigInteger(), nullable=False),
        sa.Column("consumed_exact", sa.String(200), nullable=False),
        sa.Column("measured_at", sa.BigInteger(), nullable=False),
        _of_incident("incident_cost"),
        sa.PrimaryKeyConstraint("incident_id", "instance", name="pk_incident_cost"),
    )


def _incident_action() -> None:
    op.create_table(
        "incident_action",
        _incident_id(),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("due", sa.String(10), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=False),
        sa.Column("ended_note", sa.Text(), nullable=False),
        _of_incident("incident_action"),
        sa.PrimaryKeyConstraint("incident_id", "number", name="pk_incident_action"),
    )


def _postmortem() -> None:
    op.create_table(
        "postmortem",
        _incident_id(),
        sa.Column("revision", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        _of_incident("postmortem"),
        sa.PrimaryKeyConstraint("incident_id", "revision", name="pk_postmortem"),
    )
