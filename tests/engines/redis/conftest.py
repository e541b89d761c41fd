"""Redis as the conformance suite wants it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from redis_kit import administrator, run_redis_cli

from dbre.core.secrets import Secret
from dbre.engines.redis import RedisEngine
from dbre.engines.redis.activity import parse_clients
from dbre.engines.redis.facts import LOGIN
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.engine import Access
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import HOSTILE_NAMES, QUICK
from dbre.testing.fixtures import ServerPair, running

USER = "dbre_granted"
PASSWORD = "s3cret-granted"


class _Remembering:
    """A lab server whose users outlive it: without an ACL file a restart forgets them."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.kill, self.freeze, self.thaw = server.kill, server.freeze, server.thaw
        self.logins: dict[str, tuple[str, str | None]] = {}

    async def start(self) -> None:
        await self._server.start()
        for name in self.logins:
            await self.make(name)

    async def make(self, name: str) -> None:
        password, script = self.logins[name]
        async with administrator(self._server) as admin:
            await admin.execute_command("ACL", "SETUSER", name, "reset", "on", f">{password}")
        if script is not None:
            await run_redis_cli(self._server, script)


class RedisSubject(Subject):
    """A lab server, with a login made by exactly the grant script."""

    server: _Remembering
    lab: RedisServer

    @property
    def base_privilege(self) -> str:
        return LOGIN

    @property
    def hostile_names(self) -> Sequence[str]:
        """The server takes no blanks and no line ends in the name of a user."""
        return ["".join(name.split()) for name in HOSTILE_NAMES]

    @classmethod
    async def on(cls, server: RedisServer) -> "RedisSubject":
        subject = cls(
            engine=RedisEngine(),
            product="redis",
            version=(7, 0),
            server=_Remembering(server),
            access=server.access(user=USER, password=Secret(PASSWORD)),
        )
        subject.lab = server
        await subject.new_login(USER, PASSWORD, is_granted=True)
        return subject

    async def new_login(self, name: str, password: str, *, is_granted: bool) -> Access:
        self.server.logins[name] = (password, self.engine.grants(name) if is_granted else None)
        await self.server.make(name)
        return replace(self.lab.access(user=name, password=Secret(password)), timeouts=QUICK)

    async def new_database(self, name: str) -> None:
        """Databases are numbers."""

    async def sessions_of(self, user: str) -> Sequence[str]:
        async with administrator(self.lab) as admin:
            listed: bytes = await admin.execute_command("CLIENT", "LIST", NEVER_DECODE=True)
        clients = parse_clients(listed.decode())
        return [client["name"] for client in clients if client["user"] == user]

    @asynccontextmanager
    async def busy_session(self) -> AsyncIterator[str]:
        async with administrator(self.lab) as other:
            yield str(await other.client_id())

    @asynccontextmanager
    async def blocked_session(self) -> AsyncIterator[None]:
        yield None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_pair(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[ServerPair[RedisServer]]:
    """A private primary with a replica."""
    async with (
        running(RedisServer("pair-redis-primary", lab_site, program=redis_server.program)) as primary,
        running(RedisServer("pair-redis-replica", lab_site, program=redis_server.program, replica_of=primary)) as replica,
    ):
        yield ServerPair(primary=primary, replica=replica)


@pytest_asyncio.fixture(loop_scope="session")
async def own_redis(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[RedisServer]:
    """A Redis for one test that fills or reconfigures it."""
    async with running(RedisServer("own-redis", lab_site, program=redis_server.program)) as server:
        yield server


@pytest.fixture
async def subject(redis_server: RedisServer) -> RedisSubject:
    """Redis with a login made by exactly the grant script."""
    return await RedisSubject.on(redis_server)
