"""What every step of a backup looks up: the cluster, its policy, the server, the set and where its copy lies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.catalog.sets import find_set, get_set
from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.taking.records import staged_at
from dbre.capabilities.backup.taking.source import Source, find_source
from dbre.capabilities.backup.taking.staging import SetStaging, kept_manifest
from dbre.capabilities.backup.taking.vaults import fetch_manifest
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster
from dbre.core.operation.context import StepContext
from dbre.core.operation.errors import PlanChanged
from dbre.core.store import Store
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.errors import CopyFailed
from dbre.ports.backup.model import ParentCopy

__all__ = ["TakingParts"]


class TakingParts:
    """Base of the operation; it holds no state but the ground."""

    def __init__(self, ground: BackupGround) -> None:
        self.ground = ground

    @property
    def store_of_sets(self) -> Store:
        """The state store. Raises: UsageError where none is open."""
        if self.ground.store is None:
            raise UsageError("sets are kept in a state store, and none is open here", hint="dbre db status")
        return self.ground.store

    @staticmethod
    def set_id(context: StepContext) -> str:
        """The set bears the id of the operation that makes it: it is made once, however often a step is begun."""
        return str(context.token.operation_id)

    def parts(self, context: StepContext) -> tuple[Cluster, PolicyDocument, BackupPort]:
        """Raises: UsageError where the configuration has the cluster or the policy no more."""
        given = context.input
        cluster = self.ground.fleet.cluster(given["cluster"])
        policy = self.ground.require_policy(cluster.name)
        if policy.name != given["policy"]:
            raise PlanChanged(
                f"cluster {cluster.name} has policy {policy.name} now, and had {given['policy']} when it was planned",
                hint="plan again",
            )
        return cluster, policy, self.ground.port_of(cluster, provider=policy.provider)

    async def source(self, context: StepContext, port: BackupPort, cluster: Cluster) -> Source:
        """The planned server, surveyed now. Raises: Unreachable and the like."""
        return await find_source(
            port, cluster, from_replica=False, instance=context.input["instance"], application_name=context.application_name
        )

    async def parent(self, given: Mapping[str, Any]) -> BackupSet | None:
        """The set on which the copy stands. Raises: PlanChanged where it cannot be relied on any more."""
        if given["parent_id"] is None:
            return None
        async with self.store_of_sets.read() as connection:
            found = await get_set(connection, given["parent_id"])
        if found is None or found.state is not SetState.SEALED:
            state = found.state if found is not None else "gone"
            raise PlanChanged(f"set {given['parent_id']}, on which the copy was to stand, is {state}", hint="plan again")
        return found

    async def parent_copy(self, given: Mapping[str, Any]) -> ParentCopy | None:
        """The manifest of the parent: kept on this machine, else from a vault that has it."""
        parent = await self.parent(given)
        if parent is None:
            return None
        kept = await kept_manifest(self.ground, parent.id, parent.manifest_sha256)
        if kept is not None:
            return ParentCopy(set_id=parent.id, manifest=kept)
        fetched = await fetch_manifest(self.ground, parent)
        return ParentCopy(set_id=parent.id, manifest=fetched)

    async def keep_manifest(self, found: BackupSet, directory: Path) -> str | None:
        """Keep the manifest of a copy for the increments to come; its SHA-256. None: the engine has none."""
        cluster = self.ground.fleet.cluster(found.cluster)
        facts = await self.ground.port_of(cluster, provider=found.provider).facts(directory)
        return await SetStaging(self.ground, found.id).keep_manifest(facts.manifest) if facts.manifest is not None else None

    async def row(self, context: StepContext) -> BackupSet | None:
        """The set in the catalog; None where the first step did not come so far."""
        async with self.store_of_sets.read() as connection:
            return await get_set(connection, self.set_id(context))

    async def require_row(self, context: StepContext) -> BackupSet:
        """The set in the catalog. Raises: NoSuchSet."""
        async with self.store_of_sets.read() as connection:
            return await find_set(connection, self.set_id(context))

    async def staged(self, context: StepContext) -> tuple[BackupSet, Path]:
        """The set and where its copy lies. Raises: CopyFailed where another machine made it."""
        found = await self.require_row(context)
        directory = staged_at(found)
        if directory is None or not directory.is_dir():
            raise CopyFailed(
                f"the copy of set {found.id} does not lie on this machine",
                hint="another worker made it and is gone: take another one; give the cluster's zone one worker with a disk",
            )
        return found, directory
