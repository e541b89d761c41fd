"""Servers that cannot be asked: each in its own way, and none keeps the others from being asked."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from ha_live import Engines, context, fleet_of

from dbre.capabilities.ha.cli import lag, status
from dbre.capabilities.ha.nodes import Nodes
from dbre.cli.output import OutputFormat, OutputOptions
from dbre.core.errors import ExitCode, UsageError
from dbre.core.fleet import Address, Cluster, Fleet, Instance
from dbre.core.secrets import Secret
from dbre.lab.postgres import PostgresServer


@pytest.fixture
def black_hole() -> Iterator[Address]:
    """A port that completes connections, and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield Address(*listener.getsockname())


@pytest.fixture
def nobody() -> Address:
    """A port where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Address(*free.getsockname())


def with_instances(fleet: Fleet, **addresses: Address) -> Fleet:
    (cluster,) = fleet.clusters
    more = tuple(Instance(name=name, cluster=cluster.name, address=one) for name, one in addresses.items())
    return Fleet(clusters=(replace(cluster, instances=(*cluster.instances, *more)),))


def as_login(fleet: Fleet, user: str, password: str) -> Fleet:
    (cluster,) = fleet.clusters
    return Fleet(clusters=(replace(cluster, user=user, password=Secret(password)),))


async def contacts(fleet: Fleet) -> dict[str, str]:
    view = await status(context(fleet), "shop")
    return {one["name"]: one["contact"] for one in view.items[0]["nodes"]}


async def test_silence_and_refusal_hold_up_nobody(
    postgres18: PostgresServer, black_hole: Address, nobody: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    name = Address("no-such-host.invalid", 5432)
    fleet = with_instances(
        fleet_of("postgresql", {"live": postgres18}, database="postgres"), hole=black_hole, gone=nobody, unnamed=name
    )
    view = await status(context(fleet), "shop")
    found = {one["name"]: one["contact"] for one in view.items[0]["nodes"]}
    assert found == {"live": "answered", "hole": "timeout", "gone": "reset", "unnamed": "unknown"}
    assert view.items[0]["primary"] == "live"
    assert (len(view.errors), view.exit_code) == (3, ExitCode.FINDINGS)
    for form, told_on_stderr in ((OutputFormat.TABLE, 0), (OutputFormat.JSON, 3)):
        OutputOptions(format=form).show(view)
        printed = capsys.readouterr()
        assert printed.err.count("dbre: ") == told_on_stderr, printed.err
        assert printed.out.count(f"{nobody}: Connection refused") >= 1, "why is said once, with what is wrong"


async def test_the_silent_are_asked_first_the_next_time(
    postgres18: PostgresServer, black_hole: Address, nobody: Address
) -> None:
    live = fleet_of("postgresql", {"live": postgres18}, database="postgres")
    fleet = with_instances(live, gone=nobody, hole=black_hole)
    instances = fleet.clusters[0].instances
    async with Nodes(Engines(), fleet, limit_seconds=0.5) as nodes:
        assert nodes.silent_first(instances) == list(instances)
        found = [await nodes.ask(one) for one in instances]
        assert [one.contact.value for one in found] == ["answered", "reset", "timeout"]
        assert [one.name for one in nodes.silent_first(instances)] == ["hole", "live", "gone"]
        assert (await nodes.ask(instances[0])).contact.value == "answered"


async def test_a_server_that_refuses_us_lives(postgres18: PostgresServer) -> None:
    fleet = fleet_of("postgresql", {"live": postgres18}, database="postgres")
    async with await postgres18.connect() as admin:
        await admin.execute("CREATE ROLE ha_full LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
        await admin.execute("CREATE ROLE ha_poor LOGIN PASSWORD 'x'")
        try:
            assert await contacts(as_login(fleet, "ha_full", "x")) == {"live": "exhausted"}
            assert await contacts(as_login(fleet, "ha_full", "wrong")) == {"live": "refused"}
            poor = await status(context(as_login(fleet, "ha_poor", "x")), "shop")
            assert "pg_monitor" in poor.errors[0].message
            assert poor.items[0]["nodes"][0]["contact"] == "refused"
        finally:
            await admin.execute("DROP ROLE ha_full, ha_poor")


async def test_where_nobody_answers_nothing_is_judged_to_be_dead(black_hole: Address, nobody: Address) -> None:
    (cluster,) = with_instances(Fleet(clusters=(_empty(),)), hole=black_hole, gone=nobody).clusters
    view = await status(context(Fleet(clusters=(cluster,))), "shop")
    assert (view.items[0]["primary"], view.items[0]["action"], view.exit_code) == (None, None, ExitCode.UNREACHABLE)
    assert (await lag(context(Fleet(clusters=(cluster,))), "shop")).exit_code is ExitCode.UNREACHABLE
    with pytest.raises(UsageError, match="no instances"):
        await status(context(Fleet(clusters=(_empty(),))), "shop")


def _empty() -> Cluster:
    from ha_kit import fleet

    return replace(fleet(1).clusters[0], instances=())
