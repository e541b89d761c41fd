"""The named statements of this engine, read from ``sql/`` at the first use."""

from functools import cache

from dbre.ports.engine import NamedQuery
from dbre.ports.named_sql import Catalog, Placeholder, load_catalog

__all__ = ["catalog", "named"]


@cache
def catalog() -> Catalog:
    """All statements. Raises: SqlFileInvalid."""
    return load_catalog("dbre.engines.mysql", placeholder=Placeholder.QUESTION)


def named(name: str, *, product: str, version: tuple[int, ...]) -> NamedQuery:
    """One statement for a server. Raises: Unsupported where it exists for other products or versions only."""
    return catalog().get(name, version=version, product=product)
