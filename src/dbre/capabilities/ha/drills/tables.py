"""Runs of drills."""

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, String, Table

from dbre.core.store import Identifier, JsonText, SafeText, UtcDateTime, metadata

__all__ = ["ha_drill"]

ha_drill = Table(
    "ha_drill",
    metadata,
    Column("operation_id", Identifier, nullable=False),
    Column("number", Integer, nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("document", JsonText, nullable=False),
    PrimaryKeyConstraint("operation_id", "number"),
    Index("ix_ha_drill_cluster_began_at", "cluster", "began_at"),
)
"""One row for each run that was measured; kept when its operation is archived."""
