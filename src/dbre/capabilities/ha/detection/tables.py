"""The table of what observers saw last."""

from sqlalchemy import Column, PrimaryKeyConstraint, String, Table

from dbre.core.store import JsonText, SafeText, UtcDateTime, metadata

__all__ = ["ha_report"]

ha_report = Table(
    "ha_report",
    metadata,
    Column("cluster", SafeText, nullable=False),
    Column("observer", SafeText, nullable=False),
    Column("marker", String(40), nullable=False),
    Column("document", JsonText, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("cluster", "observer"),
)
"""The last round of each observer; replaced by the next one. ``written_at`` is for people: ages are counted by the reader."""
