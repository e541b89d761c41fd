"""The rows of the support matrix that PostgreSQL fills."""

from dbre.engines.postgres.facts import CONNECT, READ_HEARTBEAT, WRITE_HEARTBEAT
from dbre.ports.engine import Facet, Feature

__all__ = ["FEATURES"]


def _feature(facet: Facet, name: str, privilege: str = CONNECT, *, versions: str = ">=15", note: str = "") -> Feature:
    return Feature(facet=facet, name=name, versions=versions, privilege=privilege, products=("postgresql",), note=note)


FEATURES = (
    _feature(Facet.SESSION, "product, version, role, start time"),
    _feature(Facet.SESSION, "system identifier and timeline"),
    _feature(Facet.SESSION, "privileges of the login"),
    _feature(Facet.PROBE, "connect, role and read, phases timed apart"),
    _feature(Facet.PROBE, "write with commit and read back", WRITE_HEARTBEAT),
    _feature(Facet.PROBE, "heartbeat read on a replica", READ_HEARTBEAT),
)
