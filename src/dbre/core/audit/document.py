"""The section ``audit`` of ``dbre.yaml``."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from dbre.core.config.fields import Duration, FilePath, SecretReference, between
from dbre.core.config.section import Document, Section

__all__ = ["AUDIT", "AuditDocument"]


class AuditDocument(Document):
    """How the audit log is signed and watched."""

    origin: Annotated[
        str | None,
        Field(
            pattern="^[!-*,-~]{1,200}$",
            description="Name of the log in its checkpoints, unlike that of any other log. Default: made once, with the key.",
            examples=["db.example/audit"],
        ),
    ] = None
    key: Annotated[
        SecretReference | None,
        Field(description="The signing key. Default: made once, kept in a file of mode 0600 beside the state store."),
    ] = None
    checkpoint_interval: Annotated[
        Duration,
        between("100ms", "1h"),
        Field(description="How often a log that has grown is signed."),
    ] = timedelta(seconds=1)
    witness: Annotated[
        FilePath | None,
        Field(description="State directory of a witness; a log that has shrunk or forked since it looked is not signed."),
    ] = None


AUDIT: Section[AuditDocument] = Section(
    key="audit",
    shape=AuditDocument,
    default=AuditDocument,
    summary="the audit log: its signing key, its checkpoints and its witness",
)
"""The section that the composition root hands to the loader."""
