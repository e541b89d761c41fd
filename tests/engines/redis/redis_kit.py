"""What tests of this engine share: an administrator behind the engine's back, and logins made by the grant script."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dbre.core.fleet import EndpointPurpose
from dbre.core.secrets import Secret
from dbre.engines.redis import RedisEngine
from dbre.lab.redis import RedisServer
from dbre.ports.engine import Access
from dbre.ports.probe import ProbeDeadlines, ProbeReading, ProbeRequest


def impatient_client(server: RedisServer, password: str | None) -> Redis:
    """One connection that is not opened again: redis-py would try for seconds."""
    address = server.address
    return Redis(
        host=address.host,
        port=address.port,
        password=password,
        single_connection_client=True,
        retry=Retry(NoBackoff(), 0),
    )


@asynccontextmanager
async def administrator(server: RedisServer) -> AsyncIterator[Redis]:
    """A client of the default user behind the engine's back."""
    client = impatient_client(server, server.password.reveal())
    try:
        yield client
    finally:
        await client.aclose()


async def run_redis_cli(server: RedisServer, script: str) -> None:
    """What an administrator does with the grant script."""
    address = server.address
    process = await asyncio.create_subprocess_exec(
        "redis-cli", "-h", address.host, "-p", str(address.port), "--no-auth-warning", "--no-raw",
        env={**os.environ, "REDISCLI_AUTH": server.password.reveal()},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    answer, _ = await process.communicate(script.encode())
    assert answer == b"OK\n", answer


async def granted(server: RedisServer, user: str) -> Access:
    """A login made by exactly the grant script."""
    password = f"s3cret-{user}"
    async with administrator(server) as admin:
        await admin.execute_command("ACL", "SETUSER", user, "reset", "on", f">{password}")
    await run_redis_cli(server, RedisEngine().grants(user))
    return server.access(user=user, password=Secret(password))


async def probed(
    access: Access,
    sequence: int = 1,
    *,
    purpose: EndpointPurpose = EndpointPurpose.WRITE,
    fresh: bool = False,
    row: str = "own",
    deadlines: ProbeDeadlines | None = None,
) -> ProbeReading:
    """One measurement by a prober of its own."""
    probe = RedisEngine().probe(access)
    deadlines = deadlines or ProbeDeadlines()
    try:
        return await probe.measure(
            ProbeRequest(purpose=purpose, heartbeat_id=row, sequence=sequence, fresh=fresh, deadlines=deadlines)
        )
    finally:
        await probe.aclose()


def open_files() -> int:
    """How many sockets and files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
