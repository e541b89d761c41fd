"""Writes canary rows and witnesses them: a control plane runs it beside its other parts."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog

from dbre.capabilities.backup.catalog.canaries import (
    forget_witnesses,
    get_witness,
    insert_witness,
    newest_witness,
    prune_witnesses,
)
from dbre.capabilities.backup.documents import CanaryDocument, PolicyDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import WitnessedCanary
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.errors import DbreError, Unreachable, UsageError
from dbre.core.events import EventLog
from dbre.core.fleet import Cluster
from dbre.core.secrets import prepare_secrets
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.ports.backup.model import LogPosition
from dbre.ports.canary import CanaryRow
from dbre.ports.engine import Access, Server, Timeouts
from dbre.ports.session import Role

__all__ = ["CANARIES_LOST", "CANARY_SEALED", "CanaryWriter", "witness"]

CANARIES_LOST = "backup.canaries_lost"
"""The event of a chain that went back behind what was acknowledged: a failover that lost commits, or a restore."""

CANARY_SEALED = "backup.canary_sealed"
"""The entry of the audit log that says how far a chain was: whoever changes witnesses afterwards contradicts a signed log."""

_ACTOR = "backup"
_SEAL_SECONDS = 3600.0
_LIMITS = Timeouts(connect_seconds=5.0, statement_seconds=10.0, lock_seconds=2.0)
_PRUNE_SECONDS = 3600.0
_LONGEST_WINDOW = timedelta(days=400)
log = structlog.get_logger(__name__)


class CanaryWriter:
    """One task for each cluster whose policy enables the canary."""

    def __init__(self, ground: BackupGround) -> None:
        self._ground = ground
        self._clusters = [
            (one, policy)
            for one in ground.fleet.clusters
            for policy in [ground.policy_of(one.name)]
            if policy is not None and policy.canary.enabled
        ]

    async def run(self) -> None:
        """Write until cancelled; without any cluster, only wait."""
        if self._ground.store is None:
            raise UsageError("canaries are witnessed in a state store, and none is open here", hint="dbre server")
        if not self._clusters:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            for cluster, policy in self._clusters:
                writer = _ClusterCanary(self._ground, self._ground.store, cluster, policy)
                group.create_task(writer.run(), name=f"canary of {cluster.name}")


class _ClusterCanary:
    """The canary of one cluster."""

    def __init__(self, ground: BackupGround, store: Store, cluster: Cluster, policy: PolicyDocument) -> None:
        self._ground = ground
        self._store = store
        self._cluster = cluster
        self._document: CanaryDocument = policy.canary
        self._window = (policy.retention.window or _LONGEST_WINDOW) + policy.canary.keep
        self._was_good = True
        self._sealed: float | None = None  # when, on the monotonic clock

    async def run(self) -> None:
        """Find the primary, write to it until it fails, and look again."""
        while True:
            try:
                await self._write_to_primary()
            except DbreError as error:  # told once; the witness that is missing tells the rest
                if self._was_good:
                    log.warning("canary_failed", cluster=self._cluster.name, reason=printable(error.message), hint=error.hint)
                self._was_good = False
            await self._ground.clock.sleep(self._document.interval.total_seconds())

    async def _write_to_primary(self) -> None:
        server = await self._primary()
        clock, interval = self._ground.clock, self._document.interval.total_seconds()
        pruned = clock.monotonic() - _PRUNE_SECONDS
        try:
            await server.canary.prepare()
            while True:
                row, position = await server.canary.write()
                async with asyncio.timeout(_LIMITS.statement_seconds):
                    await witness(self._ground, self._store, self._cluster.name, row, position)
                if not self._was_good:
                    log.info("canary_goes_on", cluster=self._cluster.name, sequence=row.sequence)
                    self._was_good = True
                if clock.monotonic() - pruned >= _PRUNE_SECONDS:
                    await self._prune(server)
                    pruned = clock.monotonic()
                await self._seal(row)
                await clock.sleep(interval)
        except TimeoutError as error:
            raise Unreachable("the state store did not take a witness in time", hint="dbre db status") from error
        finally:
            await server.aclose()

    async def _seal(self, row: CanaryRow) -> None:
        """Write into the audit log where the chain is, once an hour."""
        now = self._ground.clock.monotonic()
        if self._sealed is not None and now - self._sealed < _SEAL_SECONDS:
            return
        entry = AuditDraft(
            action=CANARY_SEALED,
            actor=_ACTOR,
            subject=f"cluster/{self._cluster.name}",
            data={"sequence": row.sequence, "at": row.at.isoformat(), "hash": printable(row.hash, limit=64)},
        )
        await AuditLog(self._ground.clock).append(self._store, entry)
        self._sealed = now

    async def _primary(self) -> Server:
        """The instance that takes writes. Raises: Unreachable."""
        await prepare_secrets([self._cluster.password])
        engine, said = self._ground.engines.get(self._cluster.engine), "it has none"
        for instance in self._cluster.instances:
            access = Access.to(self._cluster, instance.address, timeouts=_LIMITS, application_name="dbre:canary")
            if self._document.database is not None:
                access = replace(access, database=self._document.database)
            server = engine.connect(access)
            try:
                identity = await server.session.identify()
            except DbreError as error:
                said = error.message
                await server.aclose()
                continue
            if identity.role is Role.PRIMARY and not identity.is_read_only:
                return server
            said = f"{instance.name} takes no writes"
            await server.aclose()
        raise Unreachable(f"no instance of {self._cluster.name} takes a canary: {printable(said, limit=300)}")

    async def _prune(self, server: Server) -> None:
        await server.canary.prune(self._document.keep)
        async with self._store.begin() as connection:
            await prune_witnesses(connection, self._cluster.name, before=self._ground.clock.now() - self._window)


async def witness(ground: BackupGround, store: Store, cluster: str, row: CanaryRow, position: LogPosition | None) -> None:
    """Write down what a cluster acknowledged. Where its chain went back behind that, the rows that are gone are told."""
    seen = WitnessedCanary(cluster=cluster, sequence=row.sequence, at=row.at, hash=row.hash, position=position)
    async with store.begin() as connection:
        before = await get_witness(connection, cluster, row.sequence - 1)
        newest = await newest_witness(connection, cluster)
        is_successor = before is None or before.hash == row.previous
        from_sequence = row.sequence if is_successor else row.sequence - 1
        if newest is not None and (newest.sequence >= row.sequence or not is_successor):
            if newest.sequence == row.sequence and newest.hash == row.hash:
                return
            lost = await forget_witnesses(connection, cluster, from_sequence=from_sequence)
            reason = f"row {row.sequence} follows another row than the one that was acknowledged, or takes its place"
            await EventLog(ground.clock).emit(
                connection,
                kind=CANARIES_LOST,
                subject=f"cluster/{cluster}",
                data={
                    "reason": reason,
                    "rows": lost,
                    "sequence": row.sequence,
                    "acknowledged_sequence": newest.sequence,
                    "acknowledged_at": newest.at.isoformat(),
                },
            )
            log.warning("canaries_lost", cluster=cluster, rows=lost, acknowledged=newest.sequence, sequence=row.sequence)
        await insert_witness(connection, seen)
