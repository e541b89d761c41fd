"""The section ``chaos`` of ``dbre.yaml``."""

from pathlib import Path

from pydantic import Field

from dbre.capabilities.chaos.rules_documents import ChaosRule
from dbre.capabilities.chaos.suite.documents import SuiteDocument
from dbre.core.config import Config, Document, FilePath, Section

__all__ = ["CHAOS", "ChaosDocument", "state_directory"]


class ChaosDocument(Document):
    """Where faults are remembered until they are gone, and what has to be so before one begins."""

    directory: FilePath | None = Field(
        None, description="of the state files from which faults are undone; default chaos beside the state store"
    )
    rules: tuple[ChaosRule, ...] = Field(
        default=(), max_length=100, description="what has to be so before an experiment; the first that selects the cluster"
    )
    suites: tuple[SuiteDocument, ...] = Field(
        default=(), max_length=100, description="how the suite is run; the first that selects the cluster"
    )


CHAOS = Section(
    "chaos", ChaosDocument, ChaosDocument, "Experiments: what has to be so before one begins, and where faults are remembered."
)


def state_directory(config: Config) -> Path:
    """Where this machine keeps the state files of faults; found without opening the state store."""
    from dbre.core.store.address import SqliteAddress, parse_store_url
    from dbre.core.store.document import STATE

    given = config.get(CHAOS).directory
    if given is not None:
        return Path(given)
    address = parse_store_url(config.get(STATE).url, directory=config.directory_of("state.url"))
    return (address.path.parent if isinstance(address, SqliteAddress) else config.directory) / "chaos"
