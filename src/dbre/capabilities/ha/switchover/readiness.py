"""What is looked at besides the servers of a pair: applications, schema changes, disks, other work, earlier rehearsals."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.ha.client_settings.reviewing import review_clients, surroundings_of
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.capabilities.ha.switchover.other_work import OtherWork, Rehearsal
from dbre.capabilities.ha.switchover.schema_changes import SchemaChange, schema_changes
from dbre.core.checks import Finding
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance

__all__ = ["ClientWord", "Readiness", "Room", "readiness"]

_SECONDS = 15.0
_DISK_SECONDS = 5.0
_LOG_DIRECTORIES = (".", "pg_wal")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientWord:
    """One application that the configuration names."""

    name: str
    findings: tuple[Finding, ...]
    error: DbreError | None = None  # its connection string cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The least room of the file systems on which an instance of this machine keeps its data and its log."""

    instance: str
    directory: Path
    free_bytes: int | None
    why: str | None = None  # where it could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """All of it; None where nobody could tell."""

    clients: tuple[ClientWord, ...]
    changes: tuple[SchemaChange, ...] | None
    changes_error: DbreError | None
    rooms: tuple[Room, ...]  # of the instances whose directory is on this machine
    work: tuple[OtherWork, ...] | None
    rehearsal: Rehearsal | None


async def readiness(ground: SwitchoverGround, cluster: Cluster, old: str, new: str, *, purpose: str) -> Readiness:
    """Look at all of it side by side; changes nothing. Raises: SecretUnavailable for the databases' own login only."""
    instances = {one.name: one for one in cluster.instances}
    clients, (changes, error), rooms, work, rehearsal = await asyncio.gather(
        _clients(ground, cluster),
        _changes(ground, cluster, instances[old], purpose),
        _rooms([instances[old], instances[new]]),
        ground.other_work(cluster.name),
        ground.rehearsal(cluster.name),
    )
    return Readiness(
        clients=clients,
        changes=changes,
        changes_error=error,
        rooms=rooms,
        work=tuple(work) if work is not None else None,
        rehearsal=rehearsal,
    )


async def _clients(ground: SwitchoverGround, cluster: Cluster) -> tuple[ClientWord, ...]:
    document, limits = ground.settings.of(cluster.name), ground.limits(cluster.name)
    around = surroundings_of(document, cluster, rto_seconds=limits.max_client_outage.total_seconds())
    words = []
    for client in document.clients:
        _, findings, errors = await review_clients(document, [client], around)
        words.append(ClientWord(name=client.name, findings=tuple(findings), error=errors[0] if errors else None))
    return tuple(words)


async def _changes(
    ground: SwitchoverGround, cluster: Cluster, old: Instance, purpose: str
) -> tuple[tuple[SchemaChange, ...] | None, DbreError | None]:
    try:
        async with asyncio.timeout(_SECONDS), ground.server(cluster, old, purpose=purpose) as server:
            return await schema_changes(server), None
    except TimeoutError:
        return None, DbreError(f"{old.name} did not answer within {_SECONDS:.0f} s")
    except DbreError as error:
        return None, error


async def _rooms(instances: Sequence[Instance]) -> tuple[Room, ...]:
    here: Mapping[str, Path] = {
        one.name: one.control.data_directory
        for one in instances
        if one.control is not None and one.control.data_directory is not None
    }
    found = await asyncio.gather(*(_room(name, directory) for name, directory in here.items()))
    return tuple(one for one in found if one is not None)


async def _room(name: str, directory: Path) -> Room | None:
    """In a thread of its own: a file system of the network may not answer."""
    try:
        async with asyncio.timeout(_DISK_SECONDS):
            free = await asyncio.to_thread(_free_bytes, directory)
    except TimeoutError:
        why = f"the file system did not answer within {_DISK_SECONDS:.0f} s"
        return Room(instance=name, directory=directory, free_bytes=None, why=why)
    except OSError as error:
        return Room(instance=name, directory=directory, free_bytes=None, why=error.strerror or type(error).__name__)
    return Room(instance=name, directory=directory, free_bytes=free) if free is not None else None


def _free_bytes(directory: Path) -> int | None:
    if not directory.is_dir():
        return None  # it is on another machine
    every = [os.statvfs(directory / one) for one in _LOG_DIRECTORIES if (directory / one).is_dir()]
    return min(one.f_bavail * one.f_frsize for one in every)
