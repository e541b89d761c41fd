"""Tables of the outbox: what happened, and how far it was brought to whom."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, false

from dbre.core.store import AutoKey, Identifier, JsonText, SafeText, UtcDateTime, metadata

__all__ = ["NOT_FANNED_OUT", "delivery", "event", "subscription"]

event = Table(
    "event",
    metadata,
    Column("sequence", AutoKey, primary_key=True, autoincrement=True),
    Column("id", Identifier, nullable=False, unique=True),
    Column("kind", String(100), nullable=False),
    Column("subject", SafeText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("data", JsonText, nullable=False),
    # A flag, not a cursor: on PostgreSQL a smaller sequence may become visible after a larger one.
    Column("fanned_out", Boolean, nullable=False, server_default=false()),
    Index("ix_event_kind_sequence", "kind", "sequence"),
    Index("ix_event_at", "at"),
    sqlite_autoincrement=True,  # a sequence is never used twice, not even after pruning
)
"""One row for each thing that happened."""

NOT_FANNED_OUT = event.c.fanned_out == false()
"""The condition of the partial index; written otherwise (IS FALSE), neither database would use it."""

Index("ix_event_not_fanned_out", event.c.sequence, sqlite_where=NOT_FANNED_OUT, postgresql_where=NOT_FANNED_OUT)

delivery = Table(
    "delivery",
    metadata,
    Column("subscription", String(200), primary_key=True),
    Column("sequence", AutoKey, ForeignKey("event.sequence", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    Column("last_error", SafeText),
    Column("delivered_at", UtcDateTime),
    Index("ix_delivery_sequence", "sequence"),
    Index("ix_delivery_state_subscription_sequence", "state", "subscription", "sequence"),
)
"""One row for each event and each subscription that wants it."""

subscription = Table(
    "subscription",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("kinds", JsonText, nullable=False),
    Column("registered_at", UtcDateTime, nullable=False),
)
"""Who the running control plane delivers to, so that other processes can tell a name from a slip of the pen."""
