"""Facet ``probe`` of Redis and Valkey: how they keep a heartbeat."""

from redis.exceptions import RedisError

from dbre.core.errors import Denied, UsageError
from dbre.core.stopwatch import Stopwatch
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection, Dialer
from dbre.engines.redis.facts import HEARTBEAT_PREFIX
from dbre.engines.redis.faults import error_word
from dbre.engines.redis.grants import grant_script
from dbre.ports.engine import Access
from dbre.ports.measurement import Measurement
from dbre.ports.session import Role

__all__ = ["RedisHeartbeat"]


class RedisHeartbeat:
    """Implements ``ports.heartbeat_probe.Heartbeat`` with a key, which appears with the first write.

    There is no commit of its own: the answer to a write comes after the server has done what ``appendfsync`` demands.
    """

    sees_transactions = False

    def __init__(self, access: Access) -> None:
        self._access = access
        self._dialer = Dialer(access, what="probe")

    async def open(self, access: Access, watch: Stopwatch) -> Connection:
        """Log in; ``access`` may have other timeouts."""
        return await self._dialer.open(access, watch=watch)

    async def prepare(self, connection: Connection) -> None:
        """See whether we may write. Raises: Denied naming the grant script, UsageError where the key is somebody else's."""
        try:
            await connection.run(named("heartbeat_check"), limit_seconds=self._access.timeouts.statement_seconds)
        except RedisError as error:
            word = error_word(error)
            if word == "READONLY":
                return  # a replica gets the heartbeat from its primary
            if word == "NOPERM":
                raise self._denied() from error
            if word == "WRONGTYPE":
                raise UsageError(
                    f"Redis at {self._access.address}: key {HEARTBEAT_PREFIX}check is not dbre's", hint="rename or delete it"
                ) from error
            raise

    def _denied(self) -> Denied:
        user = self._access.user or "default"
        return Denied(
            f"Redis at {self._access.address}: user {user!r} may not write keys {HEARTBEAT_PREFIX}*",
            hint="let an administrator run this on every instance:\n" + grant_script(user),
            context={"address": str(self._access.address), "user": user, "grants": grant_script(user)},
        )

    async def see_role(self, connection: Connection, so_far: Measurement) -> None:
        """Ask for the role; the replication id is no system identifier, since it changes with each promotion."""
        answer = await connection.run(named("role"), limit_seconds=so_far.request.deadlines.statement_seconds)
        so_far.role = Role.PRIMARY if answer[0] == "master" else Role.REPLICA

    async def write(self, connection: Connection, so_far: Measurement) -> None:
        """Raise the score of the request's heartbeat."""
        request = so_far.request
        limit = request.deadlines.statement_seconds
        await connection.run(named("heartbeat_write"), request.heartbeat_id, request.sequence, limit_seconds=limit)

    async def read(self, connection: Connection, so_far: Measurement) -> int | None:
        """Read that score."""
        request = so_far.request
        limit = request.deadlines.statement_seconds
        score = await connection.run(named("heartbeat_read"), request.heartbeat_id, limit_seconds=limit)
        return int(score) if score is not None else None
