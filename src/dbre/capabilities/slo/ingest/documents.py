"""The section ``ingest`` of ``dbre.yaml``: where events come in, and where they are made durable."""

from typing import Annotated

from pydantic import AfterValidator, Field

from dbre.core.config import Document, FilePath, Section
from dbre.core.fleet import Address

__all__ = ["INGEST", "IngestDocument"]

_DEFAULT_PORT = 8433


def _check_listen(text: str) -> str:
    Address.parse(text, default_port=_DEFAULT_PORT)
    return text


class IngestDocument(Document):
    """Taking in events of real traffic; without an SLO with an event source nothing is taken in."""

    directory: FilePath | None = Field(
        default=None, description="of the log of what was acknowledged; default `ingest` beside the state store"
    )
    listen: Annotated[str, AfterValidator(_check_listen)] | None = Field(
        default=None,
        max_length=255,
        description="host:port of a listener for events only, with a faster HTTP server; default only that of `server`",
    )


INGEST = Section("ingest", IngestDocument, IngestDocument, "taking in events of real traffic")
