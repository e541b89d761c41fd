"""Tables of the intake in the state store."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, PrimaryKeyConstraint, String, Table

from dbre.core.store import SafeText, UtcDateTime, metadata

__all__ = ["ingest_producers", "slo_latencies"]

ingest_producers = Table(
    "ingest_producers",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("token_hash", String(71), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", SafeText, nullable=False),
    Column("revoked_at", UtcDateTime),
)
"""Who may send events; their tokens are kept as hashes only, and allow nothing else."""

slo_latencies = Table(
    "slo_latencies",
    metadata,
    Column("slo", String(63), nullable=False),
    Column("cluster", SafeText, nullable=False),
    Column("group_key", SafeText, nullable=False),
    Column("minute", BigInteger, nullable=False),
    Column("length", Integer, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("histogram", LargeBinary, nullable=False),
    PrimaryKeyConstraint("slo", "cluster", "group_key", "minute", "length"),
)
"""Durations of events: of ``length`` minutes from ``minute`` on (minutes since 1970), as an exponential histogram."""
