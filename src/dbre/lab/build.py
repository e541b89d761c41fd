"""Which programs a lab is built from, and its servers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dbre.core.programs.account import Account
from dbre.lab.etcd import etcd_members, find_etcd
from dbre.lab.mariadb import MariaDbServer, find_mariadb
from dbre.lab.model import LabEngine, LabSpec
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.program import PatroniProgram, find_patroni
from dbre.lab.postgres import PostgresBinaries, PostgresServer, find_postgres
from dbre.lab.programs import ServerProgram
from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.sentinel import SentinelServer, sentinels_of
from dbre.lab.server import LabServer
from dbre.lab.site import Site

__all__ = ["Blueprint", "build_cluster", "build_sentinels", "build_servers", "find_blueprint"]

_ETCD_MEMBERS = 3  # the fewest of which one may be lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """The programs that were found: PostgreSQL's directory, or the one program of another engine."""

    postgres: PostgresBinaries | None = None
    program: ServerProgram | None = None
    patroni: PatroniProgram | None = None
    etcd: ServerProgram | None = None

    def as_document(self) -> dict[str, object]:
        """For the lab's manifest."""
        document: dict[str, object] = {}
        if self.postgres is not None:
            one = self.postgres
            document |= {
                "directory": str(one.directory),
                "version": one.version,
                "version_text": one.version_text,
                "source": one.source,
            }
        if self.program is not None:
            document |= _program_document(self.program)
        if self.patroni is not None and self.etcd is not None:
            document["patroni"] = {"command": list(self.patroni.command), "version": self.patroni.version}
            document["etcd"] = _program_document(self.etcd)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Back from the manifest. Raises: KeyError, TypeError if it is not one."""
        if "directory" not in document:
            return cls(program=_program_from(document))
        given = {name: document[name] for name in ("version", "version_text", "source")}
        postgres = PostgresBinaries(directory=Path(document["directory"]), **given)
        if "patroni" not in document:
            return cls(postgres=postgres)
        patroni = document["patroni"]
        program = PatroniProgram(command=tuple(patroni["command"]), version=patroni["version"])
        return cls(postgres=postgres, patroni=program, etcd=_program_from(document["etcd"]))


def _program_document(program: ServerProgram) -> dict[str, object]:
    return {"path": str(program.path), "version": list(program.version)}


def _program_from(document: Mapping[str, Any]) -> ServerProgram:
    return ServerProgram(path=Path(document["path"]), version=tuple(document["version"]))


async def find_blueprint(spec: LabSpec, *, account: Account, cache: Path) -> Blueprint:
    """Look for the programs of a lab. Raises: BinariesMissing."""
    if spec.engine is LabEngine.POSTGRESQL:
        found = await find_postgres(account=account, cache=cache, version=spec.version, bindir=spec.bindir)
        if spec.patroni is None:
            return Blueprint(postgres=found)
        patroni = await find_patroni(account=account, cache=cache)
        return Blueprint(postgres=found, patroni=patroni, etcd=find_etcd(account=account))
    find = find_mariadb if spec.engine is LabEngine.MARIADB else find_redis
    return Blueprint(program=find(account=account, bindir=spec.bindir))


def build_cluster(spec: LabSpec, blueprint: Blueprint, sites: Sequence[Site]) -> PatroniCluster | None:
    """The nodes that Patroni runs, named as servers of a lab are, with their etcd; None where nobody asked for Patroni.

    A node is at each site; the members of etcd are beside them in turn, and lost with them.
    """
    if blueprint.postgres is None or blueprint.patroni is None or blueprint.etcd is None:
        return None
    beside = [sites[number % len(sites)] for number in range(_ETCD_MEMBERS)]
    etcd = etcd_members(f"{spec.name}-etcd", beside, program=blueprint.etcd)
    names = spec.server_names
    return PatroniCluster.at(sites, etcd, names=names, scope=spec.name, binaries=blueprint.postgres, program=blueprint.patroni)


def build_servers(spec: LabSpec, blueprint: Blueprint, sites: Sequence[Site]) -> tuple[LabServer, ...]:
    """The primary and its replicas, one at each site, named after the lab. Nothing is started."""
    first, *others = zip(spec.server_names, sites, strict=True)
    primary = _server(*first, spec=spec, blueprint=blueprint, primary=None)
    return (primary, *(_server(*one, spec=spec, blueprint=blueprint, primary=primary) for one in others))


def build_sentinels(spec: LabSpec, servers: Sequence[LabServer], sites: Sequence[Site]) -> tuple[SentinelServer, ...]:
    """Those that choose the primary, beside the servers in turn; none where nobody asked for them. Nothing is started."""
    primary = servers[0]
    if not spec.sentinels or not isinstance(primary, RedisServer):
        return ()
    beside = [sites[number % len(sites)] for number in range(spec.sentinels)]
    return sentinels_of(primary, beside, master_name=spec.name, prefix=f"{spec.name}-sentinel")


def _server(name: str, site: Site, *, spec: LabSpec, blueprint: Blueprint, primary: LabServer | None) -> LabServer:
    if blueprint.postgres is not None:
        assert primary is None or isinstance(primary, PostgresServer)  # noqa: S101 -- for the type checker
        return PostgresServer(name, site, binaries=blueprint.postgres, replica_of=primary)
    assert blueprint.program is not None  # noqa: S101 -- for the type checker
    if spec.engine is LabEngine.MARIADB:
        assert primary is None or isinstance(primary, MariaDbServer)  # noqa: S101 -- for the type checker
        return MariaDbServer(name, site, program=blueprint.program, replica_of=primary)
    assert primary is None or isinstance(primary, RedisServer)  # noqa: S101 -- for the type checker
    return RedisServer(name, site, program=blueprint.program, replica_of=primary)
