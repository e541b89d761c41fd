"""Facet ``succession`` of Redis and Valkey: FAILOVER, REPLICAOF, and a server closed to writes. In sessions of its own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.exceptions import ResponseError

from dbre.core.errors import Unsupported
from dbre.core.fleet import Address
from dbre.core.network import resolve
from dbre.core.text import printable
from dbre.core.units import format_bytes, format_duration
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection, Dialer
from dbre.engines.redis.differing import differences
from dbre.engines.redis.faults import FAULTS
from dbre.engines.redis.link import sections_of
from dbre.engines.redis.standing import standing_of
from dbre.ports.engine import Access
from dbre.ports.server_process import until
from dbre.ports.succession import Differences, Following, Manner, NotDone, NotReplayed, Obstacle, Standing
from dbre.ports.topology import LogPosition

__all__ = ["RedisSuccession"]

_GUARD = "min-replicas-to-write"
_GUARD_LAG = "min-replicas-max-lag"
_CLOSED = 1_000_000
"""Added to the setting: no server has as many replicas, so that it refuses every write, and what it was can be told."""


class RedisSuccession:
    """Implements ``ports.succession.SuccessionPort``."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._dialer = Dialer(access, what="succession")

    async def standing(self) -> Standing:
        """What this server is."""
        async with self._session() as ask:
            settings = await ask("settings")
            return standing_of(
                sections_of(await ask("info")), dict(zip(settings[::2], settings[1::2], strict=True)), guard=_CLOSED
            )

    async def checkpoint(self, *, limit_seconds: float) -> None:
        """Nothing: the server keeps running."""

    async def close_to_writes(self, *, limit_seconds: float) -> LogPosition:  # noqa: ARG002 - one command
        """Ask for more replicas than there can be: writes are refused at once, and stay so if we die."""
        async with self._session() as ask:
            now = await _guard(ask)
            if await _number(ask, _GUARD_LAG) == 0:  # Source: redis.conf, "Setting one or the other to 0 disables the feature"
                raise NotDone(
                    f"Redis at {self._access.address} cannot be closed to writes: {_GUARD_LAG} is 0",
                    hint=f"CONFIG SET {_GUARD_LAG} 10",
                )
            if now < _CLOSED:
                await ask("succession_set", _GUARD, str(now + _CLOSED))
            return _position(sections_of(await ask("info")))

    async def is_closed(self) -> bool:
        """Whether it asks for more replicas than there can be, and follows nobody."""
        async with self._session() as ask:
            return await _guard(ask) >= _CLOSED and sections_of(await ask("info")).get("role") == "master"

    async def open_to_writes(self) -> None:
        """Put back what it was."""
        async with self._session() as ask:
            if (now := await _guard(ask)) >= _CLOSED:
                await ask("succession_set", _GUARD, str(now - _CLOSED))

    async def reached(self, position: LogPosition) -> bool:
        """Whether it has applied as many bytes of the stream."""
        async with self._session() as ask:
            return _has(_position(sections_of(await ask("info"))), position)

    async def wait_reached(self, position: LogPosition, *, limit_seconds: float) -> LogPosition:
        """Ask INFO until it has."""
        found = LogPosition(text="", offset=0)
        async with self._session() as ask:

            async def is_there() -> bool:
                nonlocal found
                found = _position(sections_of(await ask("info")))
                return _has(found, position)

            if await until(is_there, limit_seconds):
                return found
        missing = (position.offset or 0) - (found.offset or 0)
        raise NotReplayed(
            f"Redis at {self._access.address} lacks {format_bytes(max(0, missing))} after {format_duration(limit_seconds)}",
            hint="see master_link_status in INFO replication",
            context={"missing_bytes": max(0, missing)},
        )

    async def promote(self, *, limit_seconds: float) -> None:  # noqa: ARG002 - one command
        """REPLICAOF NO ONE; kept in its configuration file, where it has one."""
        async with self._session() as ask:
            if sections_of(await ask("info")).get("role") != "master":
                await ask("succession_promote")
            if (now := await _guard(ask)) >= _CLOSED:  # closed once, as a primary before
                await ask("succession_set", _GUARD, str(now - _CLOSED))
            await _keep(ask)

    async def manner(self) -> Manner | None:
        """None: its login at an upstream is a setting of its own, which stays."""
        return None

    async def differences(self, other: Access, *, limit: int, limit_seconds: float) -> Differences:
        """The log tells bytes alone, so keys are looked at."""
        return await differences(self._access, other, limit=limit, limit_seconds=limit_seconds)

    async def lets_in(self, following: Following) -> Obstacle | None:  # noqa: ARG002 - the port's signature
        """None: a follower's login is a setting of its own, which is not read; its own FAILOVER tries it before it gives up."""
        return None

    async def keep_log_for(self, slot: str) -> bool:  # noqa: ARG002 - the port's signature
        """Nothing: the backlog is one for all."""
        return False

    async def drop_log_for(self, slots: Sequence[str]) -> None:
        """Nothing was kept."""

    async def follow(self, following: Following, *, limit_seconds: float) -> None:
        """REPLICAOF, with the login of the inventory where it has one."""
        async with self._session() as ask:
            if following.user is not None:
                await ask("succession_set", "masteruser", following.user)
                await ask("succession_set", "masterauth", following.password.reveal() if following.password else "")
            if not _is_towards(sections_of(await ask("info")), following.upstream):
                was_primary = sections_of(await ask("info")).get("role") == "master"
                await ask("succession_follow", following.upstream.host, following.upstream.port)
                if was_primary:
                    await _cut(ask)
            seen: Mapping[str, str] = {}

            async def is_up() -> bool:
                nonlocal seen
                seen = sections_of(await ask("info"))
                return _is_towards(seen, following.upstream) and seen.get("master_link_status") == "up"

            if not await until(is_up, limit_seconds):
                raise NotDone(
                    f"Redis at {self._access.address} does not follow {following.upstream} after "
                    f"{format_duration(limit_seconds)}: master_link_status is {printable(seen.get('master_link_status', '-'))}",
                    hint="see its log; masterauth and masteruser must be those of the upstream",
                )
            if (now := await _guard(ask)) >= _CLOSED:  # a replica is read-only anyway, and may be promoted again
                await ask("succession_set", _GUARD, str(now - _CLOSED))
            await _keep(ask)

    async def hand_over(self, to: Address, *, limit_seconds: float) -> None:
        """FAILOVER TO: it pauses its clients, waits for the replica, and goes over to it; or gives up and goes on."""
        async with self._session() as ask:
            info = sections_of(await ask("info"))
            if info.get("role") != "master":
                if _is_towards(info, to):
                    return
                raise Unsupported(f"Redis at {self._access.address} is no primary, and cannot hand its place over")
            host, port = await self._known_as(info, to)
            await ask("succession_hand_over", host, port, round(limit_seconds * 1000))
            seen: Mapping[str, str] = info

            async def has_ended() -> bool:
                nonlocal seen
                seen = sections_of(await ask("info"))
                return seen.get("master_failover_state", "no-failover") == "no-failover"

            await until(has_ended, limit_seconds + self._access.timeouts.statement_seconds)
            if seen.get("role") == "master":
                raise NotDone(
                    f"Redis at {self._access.address} did not hand its place to {to} within {format_duration(limit_seconds)}: "
                    f"its failover state is {printable(seen.get('master_failover_state', '-'))}",
                    hint="see its log; a replica must be online and acknowledge what it has",
                )
            await _keep(ask)

    async def aclose(self) -> None:
        """Nothing is kept open."""

    async def _known_as(self, info: Mapping[str, str], to: Address) -> tuple[str, int]:
        """How the primary calls that replica: FAILOVER compares the words."""
        shown = [dict(part.partition("=")[::2] for part in value.split(",")) for name, value in info.items()
                 if name.startswith("slave") and name[5:].isdigit()]  # fmt: skip
        hosts = {to.host, *(one.host for one in await resolve(to))}
        for one in shown:
            if one.get("port") == str(to.port) and one.get("ip") in hosts:
                return str(one["ip"]), to.port
        raise NotDone(
            f"Redis at {self._access.address} has no replica at {to}: it shows "
            + (", ".join(printable(f"{one.get('ip')}:{one.get('port')}") for one in shown) or "none"),
            hint="set replica-announce-ip and replica-announce-port where addresses are translated",
        )

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        limit = self._access.timeouts.statement_seconds
        try:
            connection: Connection = await self._dialer.open(self._access)

            async def ask(name: str, *parameters: object) -> Any:
                return await connection.run(named(name), *parameters, limit_seconds=limit)

            try:
                yield ask
            finally:
                connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access) from error


async def _guard(ask: Any) -> int:
    return await _number(ask, _GUARD)


async def _number(ask: Any, name: str) -> int:
    found = await ask("succession_setting", name)
    return int(found[1]) if len(found) > 1 else 0


async def _keep(ask: Any) -> None:
    """Write it into its configuration file; a server without one forgets it at its next restart, as ``standing`` says."""
    with suppress(ResponseError):
        await ask("succession_keep")


async def _cut(ask: Any) -> None:
    """End its clients, as Sentinels do with a primary that is none any more: they look for the new one, and do not stay."""
    with suppress(ResponseError):  # without the privilege each of them is told READONLY at its next write
        await ask("succession_cut")


def _position(info: Mapping[str, str]) -> LogPosition:
    offset = info.get("slave_repl_offset") if info.get("role") == "slave" else info.get("master_repl_offset")
    return LogPosition(text=printable(offset or "", limit=30), offset=int(offset) if offset and offset.isdigit() else None)


def _has(found: LogPosition, position: LogPosition) -> bool:
    return found.offset is not None and position.offset is not None and found.offset >= position.offset


def _is_towards(info: Mapping[str, str], address: Address) -> bool:
    shown = (info.get("role"), info.get("master_host"), info.get("master_port"))
    return shown == ("slave", address.host, str(address.port))
