"""Where the log of the intake is."""

from pathlib import Path

from dbre.capabilities.slo.ingest.documents import IngestDocument
from dbre.core.store.address import SqliteAddress, StoreAddress

__all__ = ["log_directory"]


def log_directory(document: IngestDocument, address: StoreAddress, *, config_directory: Path) -> Path:
    """What the configuration says; else ``ingest`` beside a state store of SQLite, or beside the configuration."""
    if document.directory is not None:
        return document.directory
    beside = address.path.parent if isinstance(address, SqliteAddress) else config_directory
    return beside / "ingest"
