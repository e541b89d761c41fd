"""What was rehearsed and done by plans for the loss of a site."""

from sqlalchemy import Boolean, Column, Index, String, Table

from dbre.core.store import Identifier, JsonText, SafeText, UtcDateTime, metadata

__all__ = ["ha_disaster_run"]

ha_disaster_run = Table(
    "ha_disaster_run",
    metadata,
    Column("operation_id", Identifier, primary_key=True),
    Column("cluster", SafeText, nullable=False),
    Column("action", String(20), nullable=False),
    Column("is_good", Boolean, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("document", JsonText, nullable=False),
    Index("ix_ha_disaster_run_cluster_began_at", "cluster", "began_at"),
)
"""One row for each rehearsal, switch, failover and failback; kept when its operation is archived."""
