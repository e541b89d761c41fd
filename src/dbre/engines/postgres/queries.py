"""The named statements of this engine, read from ``sql/`` at the first use."""

from functools import cache

from dbre.engines.postgres.facts import TESTED_VERSIONS
from dbre.ports.engine import NamedQuery
from dbre.ports.named_sql import Catalog, load_catalog

__all__ = ["catalog", "named"]


@cache
def catalog() -> Catalog:
    """All statements. Raises: SqlFileInvalid."""
    return load_catalog("dbre.engines.postgres")


def named(name: str, *, version: tuple[int, ...] = TESTED_VERSIONS["postgresql"][0]) -> NamedQuery:
    """One statement for a server version. Raises: Unsupported where it exists for other versions only."""
    return catalog().get(name, version=version, product="postgresql")
