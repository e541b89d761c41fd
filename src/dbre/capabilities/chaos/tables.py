"""Experiments that were run, and the switch that ends them all."""

from sqlalchemy import Boolean, Column, Index, String, Table

from dbre.core.store import Identifier, JsonText, SafeText, UtcDateTime, metadata

__all__ = ["chaos_run", "chaos_switch"]

chaos_run = Table(
    "chaos_run",
    metadata,
    Column("id", Identifier, primary_key=True),  # of the operation
    Column("suite_id", Identifier),
    Column("cluster", SafeText, nullable=False),
    Column("title", SafeText, nullable=False),
    Column("entry", String(63)),  # which question of the required catalogue it answers
    Column("state", String(20), nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("experiment", JsonText, nullable=False),
    Column("observed", JsonText, nullable=False),
    Column("surroundings", JsonText),  # SLOs and incidents of its time
    Column("is_final", Boolean, nullable=False),  # whether the surroundings will not be read again
    Index("ix_chaos_run_cluster_began_at", "cluster", "began_at"),
    Index("ix_chaos_run_began_at", "began_at"),
)
"""One row for each experiment that came as far as its first fault; kept when its operation is archived."""

chaos_switch = Table(
    "chaos_switch",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("is_closed", Boolean, nullable=False),
    Column("by", SafeText, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""One row, once it was ever used."""
