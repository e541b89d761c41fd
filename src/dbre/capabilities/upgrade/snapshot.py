"""What is the same before and after a server is started with other programs: extensions, collations, settings, answers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.wholeness import probe
from dbre.core.fleet import Cluster, EndpointPurpose, Instance
from dbre.core.text import printable
from dbre.ports.engine import Server

__all__ = ["COLLATION_REMEDY", "Snapshot", "contents_of", "take"]

_PROBES = 20
_P95 = 19  # of twenty, the nineteenth
_COLLATIONS = "collations"

COLLATION_REMEDY = (
    "REINDEX every index that sorts by it, and ALTER COLLATION ... REFRESH VERSION "
    "(of a database: ALTER DATABASE ... REFRESH COLLATION VERSION)"
)
"""Until then queries may miss rows, and unique indexes may let the same key in twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One server at one moment; all text is printable, so that it can be kept in the journal."""

    extensions: Mapping[str, str] = field(default_factory=dict)  # database/name: the version that its objects have
    missing: tuple[str, ...] = ()  # of them, whose files this server lacks
    outdated: Mapping[str, str] = field(default_factory=dict)  # of them, the version that its files offer
    collations: tuple[str, ...] = ()  # whose library sorts otherwise than when they were made
    settings: Mapping[str, str] = field(default_factory=dict)  # that are not the built-in ones
    p95_seconds: float | None = None  # of an answer to a client

    def document(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return asdict(self) | {"missing": list(self.missing), "collations": list(self.collations)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The opposite of ``document``."""
        given = dict(document)
        return cls(**given | {"missing": tuple(given["missing"]), "collations": tuple(given["collations"])})


async def take(ground: UpgradeGround, cluster: Cluster, instance: Instance, *, is_primary: bool, purpose: str) -> Snapshot:
    """Look at one server; only looks, but that a probe of a primary writes its own row. Raises: NotWhole, Unreachable."""
    found = await contents_of(ground, cluster, instance, purpose=purpose)
    asked = EndpointPurpose.WRITE if is_primary else EndpointPurpose.REPLICA
    return replace(found, p95_seconds=await _p95(ground, cluster, instance, asked))


async def contents_of(ground: UpgradeGround, cluster: Cluster, instance: Instance, *, purpose: str) -> Snapshot:
    """The same without any probe; only looks. Raises: Unreachable, Unsupported, Denied."""
    found = Snapshot()
    for database in cluster.databases or (None,):
        async with ground.server(cluster, instance, purpose=purpose, database=database) as server:
            found = await _with_database(found, server, f"{database}/" if database is not None else "")
            if not found.settings:
                settings = {one.name: printable(one.value, limit=200) for one in await server.settings.list()
                            if one.value is not None and not one.is_own and one.source != "default"}  # fmt: skip
                found = replace(found, settings=settings)
    return found


async def _with_database(found: Snapshot, server: Server, prefix: str) -> Snapshot:
    """What one database has, added to what the others have."""
    offered = (await server.succession.standing()).modules
    extensions, missing, outdated = dict(found.extensions), list(found.missing), dict(found.outdated)
    collations = list(found.collations)
    for name, version, is_there in await server.integrity.extensions():
        key = printable(f"{prefix}{name}", limit=200)
        extensions[key] = printable(version, limit=100)
        if not is_there:
            missing.append(key)
        elif (other := offered.get(name)) is not None and other != version:
            outdated[key] = printable(other, limit=100)
    if _COLLATIONS in server.integrity.checks():
        report = await server.integrity.check(_COLLATIONS)
        collations += [printable(f"{prefix}{one.subject}", limit=200) for one in report.faults]
    return replace(found, extensions=extensions, missing=tuple(missing), outdated=outdated, collations=tuple(collations))


async def _p95(ground: UpgradeGround, cluster: Cluster, instance: Instance, purpose: EndpointPurpose) -> float | None:
    times = [await probe(ground, cluster, instance, purpose) for _ in range(_PROBES)]
    known = sorted(one for one in times if one is not None)
    return known[_P95 - 1] if len(known) == _PROBES else None
