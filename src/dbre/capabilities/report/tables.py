"""Toil that people write down."""

from sqlalchemy import Boolean, Column, Index, Integer, String, Table

from dbre.core.store import Identifier, SafeText, UtcDateTime, metadata

__all__ = ["toil_entry"]

toil_entry = Table(
    "toil_entry",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("task", String(100), nullable=False),
    Column("person", SafeText, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("active_seconds", Integer, nullable=False),
    Column("is_interruptive", Boolean, nullable=False),
    Column("target", SafeText, nullable=False),
    Column("note", SafeText, nullable=False),
    Column("recorded_by", SafeText, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index("ix_toil_entry_started_at", "started_at"),
)
"""One row for each piece of work that nobody but its doer saw."""
