"""Revisions of postmortems: written once, never changed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.tables import postmortem

__all__ = ["Revision", "add_revision", "digest_of", "revisions_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One text of a postmortem."""

    incident_id: UUID
    revision: int
    at: datetime
    author: str
    text: str
    sha256: str

    @property
    def is_intact(self) -> bool:
        """Whether the text is still the one whose sum was written with it."""
        return digest_of(self.text) == self.sha256


def digest_of(text: str) -> str:
    """The sum that the audit log keeps of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def revisions_of(connection: AsyncConnection, incident_id: UUID) -> Sequence[Revision]:
    """All revisions, the oldest first."""
    statement = select(postmortem).where(postmortem.c.incident_id == incident_id).order_by(postmortem.c.revision)
    return [
        Revision(
            incident_id=row.incident_id,
            revision=row.revision,
            at=row.at,
            author=row.author,
            text=row.text,
            sha256=row.sha256,
        )
        for row in await connection.execute(statement)
    ]


async def add_revision(connection: AsyncConnection, one: Revision) -> None:
    """Write a new revision."""
    values = {name: getattr(one, name) for name in ("incident_id", "revision", "at", "author", "text", "sha256")}
    await connection.execute(insert(postmortem).values(values))
