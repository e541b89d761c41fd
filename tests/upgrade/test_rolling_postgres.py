"""Rolling restarts and settings of PostgreSQL: on real servers, with the change of primary as a child operation."""

import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import ValidationError

from dbre.core.clock import SystemClock
from dbre.core.control import Control, ControlKind
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.operation.states import OperationState
from dbre.core.store import open_store
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.testing.fixtures import running
from upgrade_kit import Ground, Walker, controls_of, fleet_of, results_of, steps_of

Servers = dict[str, PostgresServer]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trio(postgres15: PostgresServer, lab_site: Site) -> AsyncIterator[Servers]:
    """A primary and two replicas."""
    binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=15)
    async with running(PostgresServer("up-a", lab_site, binaries=binaries)) as first:
        second = PostgresServer("up-b", lab_site, binaries=binaries, replica_of=first)
        third = PostgresServer("up-c", lab_site, binaries=binaries, replica_of=first)
        async with running(second), running(third):
            yield {"n1": first, "n2": second, "n3": third}


@pytest.fixture
async def walker(trio: Servers, tmp_path: Path) -> AsyncIterator[Walker]:
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_store(url, clock=SystemClock(), exclusive=True, migrate=True) as store:
        yield Walker(store=store, ground=Ground.of(fleet_of(trio)))


async def ask(server: PostgresServer, query: str) -> str:
    async with await server.connect() as connection:
        row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return str(row[0])


async def starts(servers: Servers) -> dict[str, str]:
    return {name: await ask(one, "SELECT pg_postmaster_start_time()") for name, one in servers.items()}


async def shown(servers: Servers, name: str) -> list[str]:
    return [await ask(one, f"SELECT current_setting('{name}')") for one in servers.values()]


async def roles(servers: Servers) -> dict[str, Role]:
    return {name: await one.role() for name, one in servers.items()}


async def primary_of(servers: Servers) -> str:
    (found,) = [name for name, role in (await roles(servers)).items() if role is Role.PRIMARY]
    return found


async def test_every_server_is_restarted_once_and_the_primary_leads_again(trio: Servers, walker: Walker) -> None:
    before, old = await starts(trio), await primary_of(trio)

    record = await walker.do("upgrade.restart", back=True)

    assert record.state is OperationState.SUCCEEDED, record.error
    after = await starts(trio)
    assert all(before[name] != after[name] for name in trio)
    assert await primary_of(trio) == old
    replicas = [name for name in trio if name != old]
    assert steps_of(record) == [
        "stand",
        *(f"restart:{name}" for name in replicas),
        "switch",
        f"restart:{old}",
        "switch-back",
    ]
    assert results_of(record)[f"restart:{old}"]["how"] == "already restarted"  # by the change of primary


async def test_a_setting_that_must_reach_replicas_first_is_raised_while_another_becomes_primary(
    trio: Servers, walker: Walker
) -> None:
    old = await primary_of(trio)

    record = await walker.do("upgrade.parameters", set={"max_connections": "130", "wal_keep_size": "64MB"})

    assert record.state is OperationState.SUCCEEDED, record.error
    assert await shown(trio, "max_connections") == ["130"] * 3
    assert await shown(trio, "wal_keep_size") == ["64MB"] * 3
    assert await primary_of(trio) != old
    replicas = [name for name in trio if name != old]
    changes = [f"change:{name}" for name in replicas]
    assert steps_of(record) == [*changes, f"store:{old}", "switch", f"change:{old}"]
    assert steps_of(await walker.do("upgrade.parameters", set={"max_connections": "130"})) == []  # it is so already


@pytest.mark.soak
async def test_lowering_it_needs_consent_and_begins_with_the_primary(trio: Servers, walker: Walker) -> None:
    primary = await primary_of(trio)
    with pytest.raises(PrecheckFailed) as error:
        await walker.submit("upgrade.parameters", set={"max_connections": "90"})
    assert error.value.hint == "agree to it: --in-place"

    record = await walker.do("upgrade.parameters", set={"max_connections": "90"}, in_place=True)

    assert record.state is OperationState.SUCCEEDED, record.error
    assert steps_of(record)[0] == f"change:{primary}"
    assert await shown(trio, "max_connections") == ["90"] * 3
    assert await primary_of(trio) == primary


async def test_a_server_that_does_not_start_with_it_gets_back_what_it_had(trio: Servers, walker: Walker) -> None:
    primary, before = await primary_of(trio), await shown(trio, "shared_buffers")

    record = await walker.do("upgrade.parameters", set={"shared_buffers": "900GB"})

    assert record.state is OperationState.FAILED, record.error  # the failed step has put itself back, and nothing else was done
    assert record.error is not None
    assert "is not whole with shared_buffers" in record.error["message"]
    assert await shown(trio, "shared_buffers") == before
    assert await ask(trio["n1"], "SELECT count(*) FROM pg_settings WHERE pending_restart") == "0"
    assert await primary_of(trio) == primary
    again = await walker.do("upgrade.restart", in_place=True)
    assert again.state is OperationState.SUCCEEDED, again.error


@pytest.mark.soak
async def test_what_was_done_is_taken_back_where_the_second_replica_fails(
    trio: Servers, walker: Walker, lab_site: Site
) -> None:
    primary = await primary_of(trio)
    second = [name for name in trio if name != primary][1]
    fleet = fleet_of(trio, {**controls_of(trio), second: choosy(trio[second], lab_site)})
    limited = Walker(store=walker.store, ground=Ground.of(fleet))

    record = await limited.do("upgrade.parameters", set={"max_wal_senders": "14"})

    assert record.state is OperationState.COMPENSATED, (record.state, record.error)
    assert await shown(trio, "max_wal_senders") == ["10"] * 3
    assert await primary_of(trio) == primary
    assert steps_of(record, "undo") == [f"change:{next(name for name in trio if name != primary)}"]


def choosy(server: PostgresServer, site: Site) -> Control:
    """An operator's own command that does not start the server with that value, as one whose memory is limited would."""
    program, data = server.binaries.program("pg_ctl"), server.data_directory
    whose = f"runuser -u {site.account.name} --" if site.account.switch else ""
    start = f"! grep -q 'max_wal_senders.*14' {data}/postgresql.auto.conf && exec {whose} {program} start -D {data} -w"
    stop = f"exec {whose} {program} stop -D {data} -w -m fast"
    return Control(
        kind=ControlKind.COMMANDS,
        start=("/bin/sh", "-c", f"{start} -l {data}/own.log -o {shlex.quote(shlex.join(server_options(server)))}"),
        stop=("/bin/sh", "-c", stop),
        data_directory=data,
    )


def server_options(server: PostgresServer) -> list[str]:
    words = shlex.split((server.data_directory / "postmaster.opts").read_text())[1:]
    at = words.index("-D")
    return words[:at] + words[at + 2 :]


async def test_what_is_in_the_way_is_said_before_anything_is_done(trio: Servers, walker: Walker) -> None:
    with pytest.raises(UsageError, match="none of them needs a restart"):
        await walker.submit("upgrade.parameters", set={"work_mem": "8MB"})
    with pytest.raises(UsageError, match="must reach the replicas first"):
        await walker.submit("upgrade.parameters", set={"max_connections": "200", "max_worker_processes": "4"})
    with pytest.raises(ValidationError, match="exclude each other"):
        await walker.submit("upgrade.restart", in_place=True, back=True)
    replica = next(name for name, role in (await roles(trio)).items() if role is Role.REPLICA)
    await trio[replica].stop()
    try:
        with pytest.raises(PrecheckFailed, match=f"{replica}: all answer"):
            await walker.submit("upgrade.restart")
    finally:
        await trio[replica].start()
