"""Which programs a lab is built from, and its servers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dbre.core.programs.account import Account
from dbre.lab.mariadb import MariaDbServer, find_mariadb
from dbre.lab.model import LabEngine, LabSpec
from dbre.lab.postgres import PostgresBinaries, PostgresServer, find_postgres
from dbre.lab.programs import ServerProgram
from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.server import LabServer
from dbre.lab.site import Site

__all__ = ["Blueprint", "build_servers", "find_blueprint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """The programs that were found: PostgreSQL's directory, or the one program of another engine."""

    postgres: PostgresBinaries | None = None
    program: ServerProgram | None = None

    def as_document(self) -> dict[str, object]:
        """For the lab's manifest."""
        if self.postgres is not None:
            one = self.postgres
            return {
                "directory": str(one.directory),
                "version": one.version,
                "version_text": one.version_text,
                "source": one.source,
            }
        return {"path": str(self.program.path), "version": list(self.program.version)} if self.program else {}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Back from the manifest. Raises: KeyError, TypeError if it is not one."""
        if "directory" in document:
            return cls(postgres=PostgresBinaries(**{**document, "directory": Path(document["directory"])}))
        return cls(program=ServerProgram(path=Path(document["path"]), version=tuple(document["version"])))


async def find_blueprint(spec: LabSpec, *, account: Account, cache: Path) -> Blueprint:
    """Look for the programs of a lab. Raises: BinariesMissing."""
    if spec.engine is LabEngine.POSTGRESQL:
        found = await find_postgres(account=account, cache=cache, version=spec.version, bindir=spec.bindir)
        return Blueprint(postgres=found)
    find = find_mariadb if spec.engine is LabEngine.MARIADB else find_redis
    return Blueprint(program=find(account=account, bindir=spec.bindir))


def build_servers(spec: LabSpec, blueprint: Blueprint, site: Site) -> tuple[LabServer, ...]:
    """The primary and its replicas, named after the lab: ``lab-1``, ``lab-2``. Nothing is started."""
    primary = _server(f"{spec.name}-1", spec, blueprint, site, None)
    replicas = (_server(f"{spec.name}-{2 + number}", spec, blueprint, site, primary) for number in range(spec.replicas))
    return (primary, *replicas)


def _server(name: str, spec: LabSpec, blueprint: Blueprint, site: Site, primary: LabServer | None) -> LabServer:
    if blueprint.postgres is not None:
        assert primary is None or isinstance(primary, PostgresServer)  # noqa: S101 -- for the type checker
        return PostgresServer(name, site, binaries=blueprint.postgres, replica_of=primary)
    assert blueprint.program is not None  # noqa: S101 -- for the type checker
    if spec.engine is LabEngine.MARIADB:
        assert primary is None or isinstance(primary, MariaDbServer)  # noqa: S101 -- for the type checker
        return MariaDbServer(name, site, program=blueprint.program, replica_of=primary)
    assert primary is None or isinstance(primary, RedisServer)  # noqa: S101 -- for the type checker
    return RedisServer(name, site, program=blueprint.program, replica_of=primary)
