"""The log of one cluster: finds its primary, and does all that is due until the primary is another one."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.archive_daemon import ArchivePlace
from dbre.capabilities.backup.log.clock_sampler import sample_clock
from dbre.capabilities.backup.log.guard import GuardDecision
from dbre.capabilities.backup.log.guarding import Guarding
from dbre.capabilities.backup.log.known_gaps import KnownGaps, RequestOperation
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.log.next_full import NextFull
from dbre.capabilities.backup.log.open_vaults import OpenVaults, VaultOpener
from dbre.capabilities.backup.log.origin import LogOrigin, find_origin
from dbre.capabilities.backup.log.places import make_spool
from dbre.capabilities.backup.log.receiving import Receiving
from dbre.capabilities.backup.log.sealing import LogOwner, Sealer
from dbre.capabilities.backup.log.set_aside import SetAside
from dbre.capabilities.backup.log.succession import Succession
from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Cluster
from dbre.core.store import Store
from dbre.ports.backup.model import LogPosition

__all__ = ["ClusterLog"]

_AGAIN_SECONDS = 3.0
_SEAL_SECONDS = 1.0
_SEAL_AGAIN_SECONDS = 10.0
_GUARD_SECONDS = 5.0
_LEAST_GUARD_SECONDS = 0.5
_SUCCESSION_SECONDS = 10.0
_SETTLED_SECONDS = 5.0  # a server may answer questions and end each attempt to receive at once: that is not well yet


class LogNotKept(DbreError):
    """The spool cannot be read or written."""

    code = "backup.log_not_kept"


class ClusterLog:
    """``run`` never ends by itself: what goes wrong is told, and tried again."""

    def __init__(
        self,
        ground: BackupGround,
        cluster: Cluster,
        policy: PolicyDocument,
        *,
        store: Store,
        open_vaults: VaultOpener,
        request: RequestOperation | None,
        keep_clock: timedelta,
    ) -> None:
        self.cluster = cluster
        self.policy = policy
        self._ground = ground
        self._store = store
        self._vaults = OpenVaults(open_vaults)
        self._keep_clock = keep_clock
        self._news = LogNews(store, ground.clock, cluster.name)
        self._gaps = KnownGaps(store, ground.clock, cluster.name, news=self._news, request=request)
        self._next_full = NextFull(store, ground.clock, news=self._news, request=request)
        self._origin: LogOrigin | None = None
        self._receiving: Receiving | None = None
        self._guarding: Guarding | None = None

    def flushed(self) -> LogPosition | None:
        """Up to where the spool of this process is durable."""
        return self._receiving.flushed() if self._receiving is not None else None

    def decision(self) -> GuardDecision | None:
        """What the guard said last."""
        return self._guarding.decision if self._guarding is not None else None

    async def run(self) -> None:
        """Keep the log until cancelled."""
        try:
            while True:
                try:
                    await self._session()
                except DbreError as error:
                    await self._news.trouble("backup.log_stopped", error)
                except OSError as error:
                    await self._news.trouble("backup.log_stopped", LogNotKept(f"the spool of {self.cluster.name}: {error}"))
                await self._ground.clock.sleep(_AGAIN_SECONDS)
        finally:
            await self._vaults.reset()

    async def archive_place(self) -> ArchivePlace:
        """Where files go that this cluster's servers hand over. Raises: Unreachable until it is known whose they are."""
        if self._origin is None:
            raise Unreachable(
                f"whose log {self.cluster.name} writes is not known yet: its primary did not answer",
                hint="the server hands the file over again",
            )
        owner = self._owner(self._origin)
        spool = await asyncio.to_thread(
            make_spool, self._ground.directory, self.cluster.name, owner.system_id, self._ground.place.account
        )
        return ArchivePlace(owner=owner, spool=spool, news=self._news)

    def _owner(self, origin: LogOrigin) -> LogOwner:
        return LogOwner(
            cluster=self.cluster.name,
            system_id=origin.system_id,
            segment_bytes=origin.segment_bytes,
            position_example=origin.position_example,
            port=origin.port,
            source=origin.source,
        )

    async def _session(self) -> None:
        """Everything for one primary; ends with the error of whatever ends first."""
        origin = await find_origin(self._ground, self.cluster, self.policy)
        account = self._ground.place.account
        spool = await asyncio.to_thread(make_spool, self._ground.directory, self.cluster.name, origin.system_id, account)
        self._origin = origin
        sealer = Sealer(
            self._owner(origin),
            spool,
            vaults=self._vaults,
            vault_names=self.policy.vaults,
            store=self._store,
            clock=self._ground.clock,
            news=self._news,
        )
        if self.policy.log.mode in ("stream", "synchronous"):
            self._receiving = Receiving(
                origin,
                spool,
                account=account,
                is_synchronous=self.policy.log.mode == "synchronous",
                clock=self._ground.clock,
                news=self._news,
                gaps=self._gaps,
            )
        self._guarding = Guarding(
            origin,
            settings=self.policy.log,
            receiving=self._receiving,
            store=self._store,
            clock=self._ground.clock,
            news=self._news,
            gaps=self._gaps,
            aside=SetAside(origin, spool, store=self._store, news=self._news),
        )
        async with AsyncExitStack() as stack:
            stack.callback(self._end_session)
            await self._together(origin, sealer, self._guarding)

    def _end_session(self) -> None:
        self._receiving = self._guarding = None

    async def _together(self, origin: LogOrigin, sealer: Sealer, guarding: Guarding) -> None:
        parts = [self._seal(sealer), self._guard(guarding), self._sample(origin), self._follow(origin)]
        if self._receiving is not None:
            parts.append(self._receiving.run())
        tasks = [asyncio.ensure_future(one) for one in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for one in done:
            one.result()

    async def _seal(self, sealer: Sealer) -> None:
        while True:
            try:
                await sealer.seal()
                await self._news.well("backup.log_not_vaulted")
                pause = _SEAL_SECONDS
            except DbreError as error:  # a vault that is away stops neither receiving nor guarding
                await self._news.trouble("backup.log_not_vaulted", error)
                pause = _SEAL_AGAIN_SECONDS
            await self._ground.clock.sleep(pause)

    async def _guard(self, guarding: Guarding) -> None:
        # a file is ended after seal_after: the guard looks often enough for that
        pause = max(min(_GUARD_SECONDS, self.policy.log.seal_after.total_seconds() / 4), _LEAST_GUARD_SECONDS)
        settled_at = self._ground.clock.monotonic() + _SETTLED_SECONDS
        while True:
            await guarding.look()
            if self._ground.clock.monotonic() >= settled_at and (self._receiving is None or self._receiving.is_settled):
                await self._news.well("backup.log_stopped")
            await self._ground.clock.sleep(pause)

    async def _follow(self, origin: LogOrigin) -> None:
        succession = Succession(self._ground, self.policy, origin, self._news)
        while True:
            await succession.look()
            await self._ground.clock.sleep(_SUCCESSION_SECONDS)
            await self._next_full.look(origin)  # after the receiver, whose gap may ask for a full copy, too

    async def _sample(self, origin: LogOrigin) -> None:
        await sample_clock(origin, store=self._store, clock=self._ground.clock, keep=self._keep_clock)
        raise Unreachable(
            f"{origin.instance} of {self.cluster.name} does not say where its log is any more",
            hint="looking for the primary again",
        )
