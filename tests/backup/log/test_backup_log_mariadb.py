"""The keeper knows no engine: the binary log of MariaDB is received, ended and sealed by the same code."""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncmy
import pytest
from log_plane import CLUSTER, Plane, plane, until

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.log.gaps import ancestry, stretches
from dbre.capabilities.backup.log.status import log_status
from dbre.capabilities.backup.model import LogState, StoredLog
from dbre.capabilities.backup.policy.log_keeping import examine_keeping
from dbre.core.events import recent
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running

KEEPER = "log_keeper"


async def stored(one: Plane) -> list[StoredLog]:
    logs = (await load_catalog(one.store, CLUSTER)).logs
    return [log for log in logs if log.state in (LogState.VAULTED, LogState.VERIFIED)]


async def told(one: Plane) -> Counter[str]:
    async with one.store.read() as connection:
        return Counter(event.kind for event in await recent(connection, limit=200))


async def findings(one: Plane) -> list[str]:
    return [found.rule for found in await examine_keeping(one.ground, one.store, [one.ground.fleet.cluster(CLUSTER)])]


def is_told(one: Plane, kind: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool((await told(one))[kind])

    return look


async def run_sql(server: MariaDbServer, *statements: str) -> None:
    session = await asyncmy.connect(
        host=server.address.host, port=server.address.port, user=server.superuser, password=server.password.reveal()
    )
    async with session, session.cursor() as cursor:
        for one in statements:
            await cursor.execute(one)


@pytest.mark.timeout(300)
async def test_a_quiet_servers_log_comes_into_the_vault_and_what_lacks_for_that_is_told_once(
    mariadb: MariaDbServer, lab_site: Site, workplace: Path
) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(MariaDbServer("kept-mariadb", lab_site, program=mariadb.program)))
        await run_sql(
            server,
            f"CREATE USER {KEEPER} IDENTIFIED BY '{server.password.reveal()}'",
            f"GRANT BINLOG MONITOR ON *.* TO {KEEPER}",
            f"GRANT SELECT ON lab.* TO {KEEPER}",
            "CREATE TABLE lab.quiet (id int)",
        )
        one = await stack.enter_async_context(plane(workplace, [server], cache=lab_site.cache, user=KEEPER, seal_after="1s"))
        before = await log_status(one.ground, one.store, CLUSTER)
        assert before.error is None
        assert before.reasons == (f"nobody keeps the log of {server.name}, and nobody ever did; dbre server keeps it",)
        assert before.backlog is not None
        assert [problem.rule for problem in before.backlog.problems] == ["backup.log_never_expires"]
        assert await findings(one) == ["backup.log_unkept"]
        keeper = await stack.enter_async_context(one.keeping())
        await until(is_told(one, "backup.log_stopped"), "the login may not receive")
        assert "backup.log_stopped" in await findings(one)
        stopped = await log_status(one.ground, one.store, CLUSTER)
        assert any("REPLICATION SLAVE" in (trouble.hint or "") for trouble in stopped.troubles), stopped
        assert not stopped.is_good

        await run_sql(server, f"GRANT REPLICATION SLAVE ON *.* TO {KEEPER}", "INSERT INTO lab.quiet VALUES (1)")

        async def is_received() -> bool:
            return keeper.flushed(CLUSTER) is not None

        await until(is_received, "the binary log is received")
        await until(is_told(one, "backup.log_not_ended"), "the login may not end files")
        await run_sql(server, f"GRANT RELOAD ON *.* TO {KEEPER}")
        await until(is_told(one, "backup.log_not_ended_ended"), "the file is ended after seal_after")
        await until(lambda: stored(one), "it is in the vault, though nothing else is written")
        await until(is_told(one, "backup.log_stopped_ended"), "the keeper says that all is well")
        counted = await told(one)
        assert counted["backup.log_stopped"] == counted["backup.log_stopped_ended"] == 1
        assert await findings(one) == []
        logs = await stored(one)
        assert len(stretches(logs, ancestry([], logs[0].file.timeline))) == 1
        assert all(log.vaults == ("cellar",) for log in logs)
        good = await log_status(one.ground, one.store, CLUSTER)
        assert (good.is_good, good.reasons) == (True, ())
        later = replace(good, asked_at=good.asked_at + timedelta(hours=1))
        assert [reason.partition(" since ")[0] for reason in later.reasons] == [f"nobody keeps the log of {server.name}"]
