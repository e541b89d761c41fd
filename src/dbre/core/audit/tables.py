"""Tables of the audit log."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from dbre.core.store import SafeText, UtcDateTime, metadata

__all__ = ["checkpoint", "entry"]

entry = Table(
    "audit_entry",
    metadata,
    Column("entry_index", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),  # this and the next three are copies from the entry, to search by
    Column("action", String(100), nullable=False),
    Column("actor", SafeText, nullable=False),
    Column("subject", SafeText, nullable=False),
    Column("entry", Text, nullable=False),  # canonical JSON, byte for byte what the leaf is the hash of
    # The hashes of the complete subtrees that end with this entry, the leaf first: two on average. Every node of the tree is
    # thus written once, with the entry, and found by its place; see ``tree.Node.entry_index``.
    Column("nodes", LargeBinary, nullable=False),
    Index("ix_audit_entry_at", "at"),
    Index("ix_audit_entry_action_entry_index", "action", "entry_index"),
    Index("ix_audit_entry_actor_entry_index", "actor", "entry_index"),
    Index("ix_audit_entry_subject_entry_index", "subject", "entry_index"),
)
"""The log: one row for each entry, without gaps, never changed."""

checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("signer", String(8), primary_key=True),  # key id, as in the verifier key
    Column("at", UtcDateTime, nullable=False),
    Column("note", Text, nullable=False),
)
"""Signed statements of how long the log was and what its root was."""
