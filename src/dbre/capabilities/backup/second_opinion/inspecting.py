"""Reads a repository and what belongs to it, and forms an opinion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbre.capabilities.backup.catalog.clock import ClockSample, list_samples
from dbre.capabilities.backup.catalog.phases import RestorePhase, list_phases
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.second_opinion.as_catalog import as_catalog
from dbre.capabilities.backup.second_opinion.forming import Seen, form_opinion
from dbre.capabilities.backup.second_opinion.model import Opinion
from dbre.capabilities.backup.second_opinion.reading import read_log
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.secrets import prepare_secrets
from dbre.core.text import printable
from dbre.ports.backup.model import CopyFault, LogPosition, Verified
from dbre.ports.backup.repository import ForeignRepository, RepositoryFacts
from dbre.ports.engine import Access

__all__ = ["Inspected", "inspect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A repository that is looked at: ours to read, never to change."""

    repository: ForeignRepository
    name: str  # as messages name it
    cluster: str  # of the inventory, or the stanza where it is in none


async def inspect(ground: BackupGround, inspected: Inspected, *, verifies: bool = False) -> Opinion:
    """Look at a repository. With ``verifies`` the tool verifies, and every log file is read and its records checked.

    Raises: what the tool's exit status means, ProgramFailed, Conflict where the histories contradict each other.
    """
    repository = inspected.repository
    facts = await repository.look()
    server, system, why = await _server(ground, inspected)
    samples, phases = await _stored(ground, inspected)
    verified = await _verified(ground, inspected, facts) if verifies else None
    seen = Seen(
        repository=inspected.name,
        cluster=inspected.cluster,
        engine=repository.engine,
        is_proved=repository.is_proved,
        now=ground.clock.now(),
        server=server,
        server_system=system,
        why_no_server=why,
        samples=samples,
        phases=phases,
        verified=verified,
    )
    return form_opinion(facts, seen)


def _cluster(ground: BackupGround, inspected: Inspected) -> Cluster | None:
    return next((one for one in ground.fleet.clusters if one.name == inspected.cluster), None)


async def _server(ground: BackupGround, inspected: Inspected) -> tuple[LogPosition | None, str | None, str | None]:
    """Where the primary's log ends now and of which system it is, or why that is not known."""
    cluster = _cluster(ground, inspected)
    if cluster is None:
        return None, None, "no cluster of the inventory is named: --cluster NAME tells what would be lost now"
    await prepare_secrets([cluster.password])
    why = f"cluster {cluster.name} has no instance"
    for instance in cluster.instances:
        access = Access.to(cluster, instance.address, application_name="dbre:backup-inspect")
        try:
            port = ground.port_of(cluster)
            found = await port.survey(access)
            if found.is_replica:
                why = f"no primary of cluster {cluster.name} was found"
                continue
            return await port.position(access), found.system_id, None
        except DbreError as error:
            why = f"{instance.name}: {printable(error.message, limit=300)}"
    return None, None, why


async def _stored(ground: BackupGround, inspected: Inspected) -> tuple[Sequence[ClockSample], Sequence[RestorePhase]]:
    if ground.store is None:
        return (), ()
    async with ground.store.read() as connection:
        samples = await list_samples(connection, inspected.cluster)
        phases = await list_phases(connection, engine=inspected.repository.engine, only_faithful=True)
    return samples, phases


async def _verified(ground: BackupGround, inspected: Inspected, facts: RepositoryFacts) -> Verified:
    told = await inspected.repository.verify()
    catalog = as_catalog(facts, cluster=inspected.cluster, engine=inspected.repository.engine, repository=inspected.name)
    if inspected.repository.engine not in ground.engines.names():
        detail = f"dbre has no driver of {inspected.repository.engine}: what its records say was not read"
        return replace(told, faults=(*told.faults, CopyFault(rule="not_scanned", subject="the log", detail=detail)))
    read = await read_log(ground, inspected.repository, catalog)
    return replace(
        told,
        files=told.files + read.files,
        bytes=told.bytes + read.bytes,
        seconds=told.seconds + read.seconds,
        faults=(*told.faults, *read.faults),
    )
