"""Facet ``probe`` of Redis and Valkey: one measurement from a client's point of view, phase by phase."""

import asyncio
import dataclasses

from redis.exceptions import RedisError

from dbre.core.errors import Denied, Unsupported, UsageError
from dbre.core.fleet import EndpointPurpose
from dbre.core.stopwatch import Stopwatch
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection, Dialer
from dbre.engines.redis.facts import HEARTBEAT_PREFIX
from dbre.engines.redis.faults import classify, error_word, network_code, translate
from dbre.engines.redis.grants import grant_script
from dbre.ports.engine import Access, Blame, Timeouts
from dbre.ports.probe import Outcome, Phases, ProbeReading, ProbeRequest
from dbre.ports.session import Role

__all__ = ["RedisProbe"]

_WANTED_ROLE = {
    EndpointPurpose.WRITE: Role.PRIMARY,
    EndpointPurpose.READ: Role.PRIMARY,
    EndpointPurpose.REPLICA: Role.REPLICA,
}


@dataclasses.dataclass(slots=True)
class _Measurement:
    """What is known so far, so that a probe that is cut off still tells it."""

    watch: Stopwatch
    role: Role | None = None
    heartbeat_sequence: int | None = None

    def reading(self, outcome: Outcome, code: str | None = None, reason: str | None = None) -> ProbeReading:
        spent = {f"{phase}_seconds": seconds for phase, seconds in self.watch.seconds().items()}
        return ProbeReading(
            outcome=outcome,
            code=code,
            reason=reason,
            phases=Phases(**spent, total_seconds=self.watch.total_seconds()),
            role=self.role,
            heartbeat_sequence=self.heartbeat_sequence,
        )


class RedisProbe:
    """Implements ``ports.probe``: one kept connection, outside any pool, and one more while a fresh one is measured.

    There is no commit of its own: the answer to a write comes after the server has done what ``appendfsync`` demands.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._dialer = Dialer(access, what="probe")
        self._kept: Connection | None = None
        self._kept_for: float | None = None  # the statement limit that the kept connection has

    async def prepare(self) -> None:
        """See whether we may write the heartbeat; the key appears with the first one.

        Raises: Denied naming the grant script, UsageError where the key is somebody else's, Unreachable.
        """
        timeouts = self._access.timeouts
        limit = timeouts.connect_seconds + timeouts.statement_seconds
        try:
            async with asyncio.timeout(limit):
                connection = await self._dialer.open(self._access)
                try:
                    await connection.run(named("heartbeat_check"), limit_seconds=timeouts.statement_seconds)
                finally:
                    connection.abort()
        except (RedisError, OSError) as error:
            word = error_word(error)
            if word == "READONLY":
                return  # a replica gets the heartbeat from its primary
            if word == "NOPERM":
                raise self._denied() from error
            if word == "WRONGTYPE":
                raise UsageError(
                    f"Redis at {self._access.address}: key {HEARTBEAT_PREFIX}check is not dbre's", hint="rename or delete it"
                ) from error
            raise translate(error, self._access, limit_seconds=limit) from error

    def _denied(self) -> Denied:
        user = self._access.user or "default"
        return Denied(
            f"Redis at {self._access.address}: user {user!r} may not write keys {HEARTBEAT_PREFIX}*",
            hint="let an administrator run this on every instance:\n" + grant_script(user),
            context={"address": str(self._access.address), "user": user, "grants": grant_script(user)},
        )

    async def measure(self, request: ProbeRequest) -> ProbeReading:
        """Measure once, within ``deadlines.total_seconds``; a failure is a reading.

        A kept connection that the server has closed since the last slot is opened anew within this slot, as a client's pool
        would; one that breaks under a command is BAD.
        """
        so_far = _Measurement(Stopwatch())
        connection: Connection | None = None
        is_sound = False
        try:
            async with asyncio.timeout(request.deadlines.total_seconds):
                connection = await self._connection(request, so_far.watch)
                reading = await self._ask(connection, request, so_far)
                is_sound = True
        except (UsageError, Unsupported) as error:
            reading = so_far.reading(Outcome.EXCLUDED, "client_error", error.message)
        except (RedisError, OSError) as error:
            reading = self._failure(error, request, so_far, is_login=connection is None)
        finally:
            if connection is not None and (request.fresh or not is_sound):
                connection.abort()
        return reading

    async def aclose(self) -> None:
        """Close the kept connection without waiting for the server."""
        if self._kept is not None:
            self._kept.abort()
            self._kept = None

    async def _connection(self, request: ProbeRequest, watch: Stopwatch) -> Connection:
        deadlines = request.deadlines
        is_fitting = self._kept_for == deadlines.statement_seconds
        if not request.fresh and self._kept is not None and is_fitting and self._kept.is_usable:
            return self._kept
        timeouts = Timeouts(connect_seconds=deadlines.connect_seconds, statement_seconds=deadlines.statement_seconds)
        connection = await self._dialer.open(dataclasses.replace(self._access, timeouts=timeouts), watch=watch)
        if not request.fresh:
            await self.aclose()
            self._kept, self._kept_for = connection, deadlines.statement_seconds
        return connection

    async def _ask(self, connection: Connection, request: ProbeRequest, so_far: _Measurement) -> ProbeReading:
        limit = request.deadlines.statement_seconds
        so_far.watch.begin("query")
        answer = await connection.run(named("role"), limit_seconds=limit)
        so_far.role = Role.PRIMARY if answer[0] == "master" else Role.REPLICA
        wanted = _WANTED_ROLE[request.purpose]
        if so_far.role is not wanted:
            return so_far.reading(Outcome.BAD, "wrong_role", f"the server is a {so_far.role}, and a {wanted} is needed")
        if request.purpose is EndpointPurpose.WRITE:
            await connection.run(named("heartbeat_write"), request.heartbeat_id, request.sequence, limit_seconds=limit)
        so_far.heartbeat_sequence = await self._read(connection, request)
        seen = so_far.heartbeat_sequence
        if request.purpose is EndpointPurpose.WRITE and (seen is None or seen < request.sequence):
            return so_far.reading(Outcome.BAD, "lost_write", f"wrote sequence {request.sequence}, read back {seen}")
        return so_far.reading(Outcome.GOOD)

    async def _read(self, connection: Connection, request: ProbeRequest) -> int | None:
        limit = request.deadlines.statement_seconds
        score = await connection.run(named("heartbeat_read"), request.heartbeat_id, limit_seconds=limit)
        return int(score) if score is not None else None

    def _failure(self, error: BaseException, request: ProbeRequest, so_far: _Measurement, *, is_login: bool) -> ProbeReading:
        verdict = classify(error)
        blame = verdict.blame if verdict else Blame.BAD
        code = (verdict.code if verdict else None) or network_code(error)
        described = translate(error, self._access, limit_seconds=request.deadlines.total_seconds)
        # If the probe's own login is refused, nobody knows that clients can log in: that is no excuse (slo: what burns).
        is_excused = blame is Blame.EXCLUDED and not is_login
        outcome = Outcome.EXCLUDED if is_excused else Outcome.BAD
        return so_far.reading(outcome, code, described.message)
