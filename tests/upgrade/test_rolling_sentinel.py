"""Rolling restarts of a Redis pair that real Sentinels watch: they change the primary, and none is restarted in its place."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pair_kit import commands, roles

from dbre.capabilities.ha.sentinel.config_document import SentinelDocument
from dbre.capabilities.ha.sentinel.hand_over import SentinelHandOver
from dbre.capabilities.ha.switchover.checks import CheckState
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.redis import RedisServer
from dbre.lab.sentinel import SentinelServer, sentinels_of
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.testing.fixtures import running
from upgrade_kit import Ground, Walker, fleet_of, results_of, steps_of

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


@pytest.fixture
async def ground(redis_server: RedisServer, lab_site: Site, tmp_path: Path) -> AsyncIterator[Ground]:
    first = RedisServer("us-r1", lab_site, program=redis_server.program)
    async with running(first), running(RedisServer("us-r2", lab_site, program=first.program, replica_of=first)) as second:
        made = sentinels_of(first, [lab_site] * 3, master_name="shop", settings={"down-after-milliseconds": "5000"})
        sentinels = [
            SentinelServer(f"us-{one.name}", lab_site, program=one.program, watched=first, master_name="shop", quorum=2,
                           settings=one.settings)
            for one in made
        ]  # fmt: skip
        try:
            await asyncio.gather(*(one.start() for one in sentinels))
            (secret := tmp_path / "password").write_text(sentinels[0].password.reveal())
            secret.chmod(0o600)
            document = SentinelDocument.model_validate(
                {"addresses": [str(one.address) for one in sentinels], "password": f"file:{secret}"}
            )
            servers = {"n1": first, "n2": second}
            fleet = fleet_of(servers, commands(servers))
            plain = Ground.of(fleet)
            hand_over = SentinelHandOver(document, fleet, plain.switchovers.server)
            await known(hand_over, plain)
            yield Ground(
                upgrades=replace(plain.upgrades, promoter_of=lambda _: "Sentinel"),
                switchovers=replace(plain.switchovers, hand_over_of=lambda _: hand_over),
            )
        finally:
            for one in sentinels:
                await one.destroy()


async def known(hand_over: SentinelHandOver, ground: Ground) -> None:
    """Until every Sentinel knows the pair."""
    cluster = ground.upgrades.fleet.cluster("shop")
    end = time.monotonic() + 120
    while any(one.state is not CheckState.OK for one in await hand_over.check(cluster, *cluster.instances)):
        assert time.monotonic() < end
        await asyncio.sleep(0.2)


async def test_sentinels_change_the_primary_and_nobody_is_restarted_in_its_place(ground: Ground, store: Store) -> None:
    walker, fleet = Walker(store=store, ground=ground), ground.upgrades.fleet
    for kind, asked in (("upgrade.restart", {}), ("upgrade.minor", {})):
        with pytest.raises(PrecheckFailed, match="Sentinel would take its stop for its death") as caught:
            await walker.submit(kind, in_place=True, **asked)
        assert "leave out --in-place" in str(caught.value.hint)

    record = await walker.do("upgrade.restart")

    assert record.state is OperationState.SUCCEEDED, record.error
    assert steps_of(record) == ["stand", "restart:n2", "switch", "restart:n1"]
    assert [one["how"] for name, one in results_of(record).items() if name.startswith("restart:")] == ["restarted"] * 2
    assert await roles(fleet) == [Role.REPLICA, Role.PRIMARY]
