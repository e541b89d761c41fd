"""Planned changes of primary by real Sentinels, whatever becomes of the question; and nothing that was acknowledged is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from ha_live import Engines
from redis.asyncio import Redis
from redis.exceptions import RedisError
from switchover_kit import Walker, controlled, ground_of, steps_of, until

from dbre.capabilities.ha.sentinel import hand_over as hand_over_module
from dbre.capabilities.ha.sentinel.config_document import SentinelDocument
from dbre.capabilities.ha.sentinel.hand_over import SentinelHandOver
from dbre.capabilities.ha.switchover.checks import CheckState
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.definition import OutcomeUnknown
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.redis import RedisServer
from dbre.lab.sentinel import SentinelServer, sentinels_of
from dbre.lab.site import Site
from dbre.testing.fixtures import running
from dbre.tools.sentinel import SentinelRefused

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A pair with its Sentinels; who is the primary changes from test to test."""

    servers: dict[str, RedisServer]
    sentinels: Sequence[SentinelServer]
    document: SentinelDocument

    @property
    def ground(self) -> SwitchoverGround:
        ground = ground_of(controlled("redis", self.servers), limits={"promote": "60s", "follow": "60s"})
        return replace(ground, hand_over_of=lambda _: SentinelHandOver(self.document, ground.fleet, ground.server))

    @property
    def hand_over(self) -> SentinelHandOver:
        found = self.ground.hand_over_of(self.cluster)
        assert isinstance(found, SentinelHandOver)
        return found

    @property
    def cluster(self) -> Cluster:
        return self.ground.fleet.cluster("shop")

    async def pair(self) -> tuple[Instance, Instance]:
        """Primary and replica, once all Sentinels know them for what they are."""
        found: list[Instance] = []

        async def is_whole() -> bool:
            roles = {name: str(await one.role()) for name, one in self.servers.items()}
            found[:] = sorted(self.cluster.instances, key=lambda one: roles[one.name])
            if sorted(roles.values()) != ["primary", "replica"]:
                return False
            checks = await self.hand_over.check(self.cluster, found[0], found[1])
            return all(one.state is CheckState.OK for one in checks)

        await until(is_whole)
        return found[0], found[1]

    def client(self, instance: Instance) -> Redis:
        server = self.servers[instance.name]
        return Redis(host=server.address.host, port=server.address.port, password=server.password.reveal())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(
    redis_server: RedisServer, lab_site: Site, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Watched]:
    first = RedisServer("sv-r1", lab_site, program=redis_server.program)
    async with running(first), running(RedisServer("sv-r2", lab_site, program=first.program, replica_of=first)) as second:
        sentinels = sentinels_of(first, [lab_site] * 3, master_name="shop", settings={"down-after-milliseconds": "30000"})
        sentinels = tuple(SentinelServer(f"sv-{one.name}", lab_site, program=one.program, watched=first, master_name="shop",
                                         quorum=2, settings=one.settings) for one in sentinels)  # fmt: skip
        await asyncio.gather(*(one.start() for one in sentinels))
        try:
            for one in sentinels:
                assert "OK" in await one.ask("SENTINEL DEBUG INFO-PERIOD 300")
            secret = tmp_path_factory.mktemp("sv") / "password"
            secret.write_text(sentinels[0].password.reveal())
            secret.chmod(0o600)
            document = SentinelDocument.model_validate(
                {"addresses": [str(one.address) for one in sentinels], "password": f"file:{secret}"}
            )
            yield Watched(servers={"n1": first, "n2": second}, sentinels=sentinels, document=document)
        finally:
            for one in sentinels:
                await one.destroy()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def write_on(watched: Watched, is_over: asyncio.Event) -> set[int]:
    """Write to whichever takes it until told to end, the old primary first; the numbers that were acknowledged."""
    clients = [watched.client(one) for one in watched.cluster.instances]
    acknowledged: set[int] = set()
    number = 0
    while not is_over.is_set():
        for client in clients:
            number += 1
            try:
                await client.sadd("ledger", number)
            except RedisError:
                await asyncio.sleep(0.001)
            else:
                acknowledged.add(number)
    for client in clients:
        await client.aclose()
    return acknowledged


async def test_nothing_acknowledged_is_lost_there_and_back(watched: Watched, store: Store) -> None:
    for _ in range(2):
        old, new = await watched.pair()
        is_over = asyncio.Event()
        writer = asyncio.create_task(write_on(watched, is_over))
        record = await Walker(store=store, ground=watched.ground).switch(to=new.name)
        is_over.set()
        acknowledged = await writer
        assert record.state is OperationState.SUCCEEDED, record.error
        assert steps_of(record) == ["hand-over"]
        assert (record.steps[0].result or {})["how"] == "by Sentinel"
        assert [one.name for one in await watched.pair()] == [new.name, old.name]
        async with watched.client(new) as client, watched.client(old) as former:
            present = {int(one) for one in await client.smembers("ledger")}
            assert await former.config_get("min-replicas-to-write") == {"min-replicas-to-write": "0"}
        assert acknowledged
        assert acknowledged - present == set()


async def test_an_unknown_outcome_is_found_out_by_the_majority(watched: Watched) -> None:
    old, new = await watched.pair()
    with pytest.raises(OutcomeUnknown, match=f"do not agree on {new.name} within"):
        await watched.hand_over.run(watched.cluster, old, new, limit_seconds=0.3)
    assert await watched.hand_over.has_happened(watched.cluster, old, new) is True
    await watched.hand_over.run(watched.cluster, old, new, limit_seconds=60)  # once more changes nothing
    assert [one.name for one in await watched.pair()] == [new.name, old.name]
    async with watched.client(new) as client:
        await client.set("k", "after")


async def test_what_never_began_leaves_the_old_primary_open(watched: Watched) -> None:
    old, new = await watched.pair()
    server = Engines().get("redis").connect(watched.servers[old.name].access())
    await server.succession.close_to_writes(limit_seconds=5)  # and whoever did so was killed
    assert await watched.hand_over.has_happened(watched.cluster, old, new) is False
    async with watched.client(old) as client:
        await client.set("k", "goes on")
    await server.aclose()


@pytest.mark.soak
async def test_a_candidate_that_they_would_not_choose_is_refused_and_the_old_one_goes_on(
    watched: Watched, store: Store
) -> None:
    old, new = await watched.pair()
    async with watched.client(new) as client:
        await client.config_set("replica-priority", 0)

    async def is_told() -> bool:
        checks = await watched.hand_over.check(watched.cluster, old, new)
        return "sentinels_choose_it" in [one.rule for one in checks if one.state is CheckState.FAIL]

    await until(is_told)
    with pytest.raises(PrecheckFailed, match="sentinels choose it"):
        await Walker(store=store, ground=watched.ground).submit(to=new.name)
    with pytest.raises(SentinelRefused, match=r"stay with .*NOGOODSLAVE"):
        await watched.hand_over.run(watched.cluster, old, new, limit_seconds=60)
    async with watched.client(old) as client, watched.client(new) as other:
        await client.set("k", "goes on")
        await other.config_set("replica-priority", 100)


@pytest.mark.soak
async def test_without_an_answer_of_all_nothing_is_said_for_certain(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = await watched.pair()
    monkeypatch.setattr(hand_over_module, "_PROBE_SECONDS", 4.0)
    await watched.sentinels[2].freeze()
    try:
        assert await watched.hand_over.has_happened(watched.cluster, old, new) is None
        states = {one.rule: one.state for one in await watched.hand_over.check(watched.cluster, old, new)}
        assert states["sentinels_answer"] is CheckState.WARN
    finally:
        await watched.sentinels[2].thaw()
    await watched.pair()
