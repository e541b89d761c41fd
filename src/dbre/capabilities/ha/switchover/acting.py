"""What the steps of a planned change of primary do to servers: idempotent, so that a step may be done again after a crash."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from dbre.capabilities.ha.promoting import is_primary, promote
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.clock import Clock
from dbre.core.errors import Conflict, DbreError, Unreachable
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.definition import NotHappened, OutcomeUnknown
from dbre.ports.engine import Server
from dbre.ports.succession import Following, GivesUp, Manner, StopMode
from dbre.ports.topology import LogPosition

__all__ = ["Pair", "position_document", "position_from"]

_ENOUGH_BYTES = 16 << 20
_ROUNDS = 3
_SECOND_LOOK_SECONDS = 0.2


def position_document(position: LogPosition) -> dict[str, Any]:
    """A position as the journal holds it."""
    sequences = dict(position.sequences) if position.sequences is not None else None
    return {"text": position.text, "offset": position.offset, "sequences": sequences}


def position_from(document: Mapping[str, Any]) -> LogPosition:
    """The opposite of ``position_document``."""
    return LogPosition(text=document["text"], offset=document["offset"], sequences=document["sequences"])


class Pair:
    """The old primary and the new one of one operation."""

    def __init__(
        self,
        ground: SwitchoverGround,
        cluster: Cluster,
        old: Instance,
        new: Instance,
        *,
        purpose: str,
        warm: Server | None = None,
    ) -> None:
        self.ground = ground
        self.cluster = cluster
        self.old = old
        self.new = new
        self._purpose = purpose
        self._warm = warm  # a handle on the new one that is logged in already: while nobody can write, that is time
        self._limits = ground.limits(cluster.name)

    async def write_out(self, slots: Sequence[str]) -> dict[str, Any]:
        """Keep the log for those who will follow, then checkpoints on both, until little is left to be written."""
        limit = self._limits.checkpoint.total_seconds()
        async with self._server(self.old) as old, self._server(self.new) as new:
            for one in slots:
                await new.succession.keep_log_for(one)
            left: list[int | None] = []
            for _ in range(_ROUNDS):
                await asyncio.gather(
                    old.succession.checkpoint(limit_seconds=limit), new.succession.checkpoint(limit_seconds=limit)
                )
                left = [
                    one.unflushed_bytes for one in await asyncio.gather(old.succession.standing(), new.succession.standing())
                ]
                if all(one is None or one <= _ENOUGH_BYTES for one in left):
                    break
        return {"slots": list(slots), "unflushed_bytes": left}

    async def forget_followers(self, slots: Sequence[str]) -> None:
        """Undo the slots: nobody will follow."""
        async with self._server(self.new) as new:
            await new.succession.drop_log_for(slots)

    async def give_up(self, *, slot: str | None, clock: Clock) -> dict[str, Any]:
        """From the return of this on nobody writes anywhere. Raises: OutcomeUnknown where it neither stops nor goes on."""
        limit = self._limits.give_up.total_seconds()
        async with self._server(self.new) as new:
            style = (await new.succession.standing()).gives_up
            manner = await new.succession.manner()
        began = clock.now()
        if style is GivesUp.BY_CLOSING:
            async with self._server(self.old) as old:
                position = await old.succession.close_to_writes(limit_seconds=limit)
        else:
            position = await self._stop(self._following(self.old, slot, manner), limit)
        return {"position": position_document(position), "began_at": began.isoformat(), "style": style.value}

    async def has_given_up(self, *, slot: str | None, clock: Clock) -> dict[str, Any]:
        """Find out. Raises: NotHappened. One that is stopped in disorder, or is stopping, has no position: it is taken back."""
        async with self._server(self.new) as new:
            style = (await new.succession.standing()).gives_up
        if style is GivesUp.BY_CLOSING:
            async with self._server(self.old) as old:
                if not await old.succession.is_closed():
                    raise NotHappened(f"{self.old.name} is open to writes")
            return await self.give_up(slot=slot, clock=clock)
        host = self.ground.host(self.cluster, self.old)
        await asyncio.sleep(_SECOND_LOOK_SECONDS)  # a signal of a moment ago may not have been seen yet
        state = await host.state()
        if state.is_answering:
            raise NotHappened(f"{self.old.name} runs")
        if not state.is_gone:
            return {"position": None, "began_at": clock.now().isoformat(), "style": style.value}
        try:
            return await self.give_up(slot=slot, clock=clock)
        except OutcomeUnknown:
            return {"position": None, "began_at": clock.now().isoformat(), "style": style.value}

    async def take_back(self) -> None:
        """The old primary goes on as primary. Only while nobody was promoted; a candidate that died does not matter."""
        limit = self._limits.give_up.total_seconds()
        style = await self._style_of_either()
        if style is GivesUp.BY_CLOSING:
            async with self._server(self.old) as old:
                await old.succession.open_to_writes()
            return
        host = self.ground.host(self.cluster, self.old)
        state = await host.state()
        if not state.is_answering and not state.is_gone:  # it is stopping, and would not come back by itself
            await host.stop(StopMode.AT_ONCE, limit_seconds=limit)
        await host.unbar()
        await host.start(limit_seconds=limit + self._limits.follow.total_seconds())

    async def catch_up(self, position: LogPosition) -> dict[str, Any]:
        """Wait until the new one has everything. Raises: NotReplayed, and then the old one goes on."""
        async with self._server(self.new) as new:
            reached = await new.succession.wait_reached(position, limit_seconds=self._limits.catch_up.total_seconds())
        return {"reached": position_document(reached)}

    async def promote(self, *, clock: Clock) -> dict[str, Any]:
        """Make the new one the primary."""
        async with self._server(self.new) as new:
            await promote(new, self.new.name, limit_seconds=self._limits.promote.total_seconds())
        return {"ended_at": clock.now().isoformat()}

    async def hand_over(self, *, clock: Clock) -> dict[str, Any]:
        """The engine's own command; where it refuses, step by step within this one: closed, caught up, promoted."""
        began, limit = clock.now(), self._limits.promote.total_seconds()
        how = "by the engine"
        async with self._server(self.old) as old, self._server(self.new) as new:
            if not await self._is_handed_over():
                try:
                    await old.succession.hand_over(self.new.address, limit_seconds=limit)
                except Unreachable:  # nobody knows what became of it
                    raise
                except DbreError as error:
                    how = f"step by step, for the engine refused: {error.message[:300]}"
                    await self._hand_over_by_steps(limit)
            await promote(new, self.new.name, limit_seconds=limit)
            ended = clock.now()
            await old.succession.follow(
                self._following(self.old, None, None), limit_seconds=self._limits.follow.total_seconds()
            )
        return {"began_at": began.isoformat(), "ended_at": ended.isoformat(), "how": how}

    async def is_handed_over(self) -> None:
        """Raises: NotHappened; OutcomeUnknown where the two do not agree."""
        if not await self._is_handed_over():
            async with self._server(self.old) as old:
                if (await old.topology.view()).is_writable and not await old.succession.is_closed():
                    raise NotHappened(f"{self.old.name} is the primary still")
            raise OutcomeUnknown(f"neither {self.old.name} nor {self.new.name} takes writes")

    async def follow(self, instance: Instance, *, slot: str | None) -> dict[str, Any]:
        """Another replica follows the new primary."""
        async with self._server(instance) as server:
            following = self._following(instance, slot, await server.succession.manner())
            await server.succession.follow(following, limit_seconds=self._limits.follow.total_seconds())
        return {"instance": instance.name, "slot": slot}

    async def rejoin(self, *, slot: str | None) -> dict[str, Any]:
        """The old primary follows the new one."""
        limit = self._limits.follow.total_seconds()
        async with self._server(self.new) as new:
            style, manner = (await new.succession.standing()).gives_up, await new.succession.manner()
        following = self._following(self.old, slot, manner)
        if style is GivesUp.BY_STOPPING:
            await self.ground.host(self.cluster, self.old).start_as_follower(following, limit_seconds=limit)
        async with self._server(self.old) as old:
            await old.succession.follow(following, limit_seconds=limit)
        return {"instance": self.old.name, "slot": slot}

    async def settle(self, drop: Sequence[str]) -> dict[str, Any]:
        """A checkpoint on the new timeline, for those who rewind by it; and the old one keeps its log for nobody."""
        async with self._server(self.new) as new:
            await new.succession.checkpoint(limit_seconds=self._limits.checkpoint.total_seconds())
        async with self._server(self.old) as old:
            await old.succession.drop_log_for(drop)
        return {"dropped": list(drop)}

    async def _style_of_either(self) -> GivesUp:
        for one in (self.new, self.old):
            try:
                async with self._server(one) as server:
                    if one is self.new and await is_primary(server):
                        raise Conflict(
                            f"{self.new.name} takes writes, so {self.old.name} must not",
                            hint="see what promoted it: dbre ha status",
                        )
                    return (await server.succession.standing()).gives_up
            except Unreachable:
                continue
        return GivesUp.BY_STOPPING  # whoever is only closed answers

    async def _stop(self, following: Following, limit: float) -> LogPosition:
        host = self.ground.host(self.cluster, self.old)
        try:
            await host.stop(limit_seconds=limit)
            position, _ = await asyncio.gather(host.last_position(), host.bar(following))
        except DbreError as error:  # it is on its way down: only a look can tell what became of it
            raise OutcomeUnknown(error.message) from error
        return position

    async def _is_handed_over(self) -> bool:
        async with self._server(self.new) as new:
            return (await new.topology.view()).is_writable

    async def _hand_over_by_steps(self, limit: float) -> None:
        async with self._server(self.old) as old, self._server(self.new) as new:
            position = await old.succession.close_to_writes(limit_seconds=limit)
            try:
                await new.succession.wait_reached(position, limit_seconds=self._limits.catch_up.total_seconds())
            except BaseException:
                await old.succession.open_to_writes()
                raise
            await promote(new, self.new.name, limit_seconds=limit)

    def _following(self, follower: Instance, slot: str | None, manner: Manner | None) -> Following:
        return Following(
            upstream=self.new.address,
            name=follower.name,
            user=self.cluster.replication_user,
            password=self.cluster.replication_password,
            like=manner,
            slot=slot,
        )

    def _server(self, instance: Instance) -> AbstractAsyncContextManager[Server]:
        if self._warm is not None and instance.name == self.new.name:
            return nullcontext(self._warm)
        return self.ground.server(self.cluster, instance, purpose=self._purpose)
