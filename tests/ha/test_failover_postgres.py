"""A native PostgreSQL cluster fails over, or for good reasons does not."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from failover_kit import CLOCK, Shop, fleet_with_control, nothing_listens, results

from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.capabilities.ha.verdict import Action, Verdict
from dbre.core.errors import UsageError
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.lab.processes import send
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair, running

pytestmark = pytest.mark.slow


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as opened:
        yield opened


@pytest.fixture
def shop(postgres_pair: PostgresPair, store: Store) -> Shop:
    return Shop(fleet=fleet_with_control("postgresql", {"n1": postgres_pair.primary, "n2": postgres_pair.replica}), store=store)


async def write(server: PostgresServer, number: int) -> None:
    async with await server.connect() as admin:
        await admin.execute("CREATE TABLE IF NOT EXISTS paid (number int)")
        await admin.execute("INSERT INTO paid VALUES (%s)", [number])


async def read(server: PostgresServer) -> list[int]:
    async with await server.connect() as admin:
        return [row[0] for row in await (await admin.execute("SELECT number FROM paid ORDER BY number")).fetchall()]


async def caught_up(pair: PostgresPair) -> None:
    async with await pair.primary.connect() as admin:
        for _ in range(600):
            row = await (
                await admin.execute("SELECT bool_and(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication")
            ).fetchone()
            if row == (True,):
                return
            await asyncio.sleep(0.1)
    pytest.fail("the replica did not catch up")


async def test_a_crash_of_the_primary_of_three(postgres_pair: PostgresPair, store: Store) -> None:
    first, second = postgres_pair.primary, postgres_pair.replica
    async with running(PostgresServer("pg3", first.site, binaries=first.binaries, replica_of=first)) as third:
        shop = Shop(fleet=fleet_with_control("postgresql", {"n1": first, "n2": second, "n3": third}), store=store)
        async with shop.observed():
            await write(first, 1)
            await caught_up(postgres_pair)
            await shop.until_healthy()
            with pytest.raises(FailoverRefused, match="primary_silent: answered"):
                await shop.plan()
            await first.kill()
            await shop.until_dead()
            record = await shop.fail_over(automatic=True, to="n2")
            assert record.state is OperationState.SUCCEEDED, record.error
            assert results(record)["fence"]["seen"] == "no process is left"
            assert results(record)["promote"]["timeline"] == 2
            assert results(record)["follow:n3"]["is_following"]
            assert await read(second) == [1]
            await write(second, 2)

            await first.start()  # by whoever: it was barred, so it cannot be a second primary
            assert await first.role() is Role.REPLICA
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await write(first, 3)

            await shop.until_healthy()
            await second.kill()
            await shop.until_dead()
            with pytest.raises(FailoverRefused, match=r"block_period: the last failover ended .* ago"):
                await shop.plan(automatic=True)


async def test_a_frozen_primary_is_killed_before_anybody_is_promoted(shop: Shop, postgres_pair: PostgresPair) -> None:
    shop.fleet = fleet_with_control("postgresql", {"n1": postgres_pair.primary, "n2": postgres_pair.replica})
    async with await postgres_pair.replica.connect() as admin:
        await admin.execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'")
        await admin.execute("SELECT pg_reload_conf()")
    async with shop.observed():
        await write(postgres_pair.primary, 1)
        await caught_up(postgres_pair)
        await shop.until_healthy()
        await postgres_pair.primary.freeze()
        await shop.until_dead()
        record = await shop.fail_over(automatic=True)
    assert record.state is OperationState.SUCCEEDED, record.error
    assert "frozen processes were killed" in results(record)["fence"]["done"]
    assert not postgres_pair.primary.is_running
    assert await read(postgres_pair.replica) == [1]


async def test_what_would_be_lost_is_shown_and_refused(shop: Shop, postgres_pair: PostgresPair) -> None:
    shop.failover |= {"max_loss": "1KiB"}
    async with shop.observed():
        await write(postgres_pair.primary, 1)
        await shop.until_healthy()
        receiver = next(one for one in postgres_pair.replica.processes() if is_receiver(one.pid))
        send(receiver, signal.SIGSTOP)
        async with await postgres_pair.primary.connect() as admin:
            await admin.execute("CREATE TABLE lost AS SELECT g, repeat('x', 1000) FROM generate_series(1, 1000) AS g")
            row = await (await admin.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")).fetchone()
        assert row is not None
        written = int(row[0])
        await shop.until_told(lambda position: (position.offset or 0) >= written)
        await postgres_pair.primary.kill()
        send(receiver, signal.SIGKILL)  # what it had not received it never will
        await shop.until_dead()
        with pytest.raises(FailoverRefused, match=r"loss: 1\.\d MiB of the log") as refused:
            await shop.plan()
        assert refused.value.context["rules"] == ["loss"]
        accepted = await shop.plan(accept_loss=True)
        assert accepted.tags == ()  # four eyes, where there are identities
        with pytest.raises(FailoverRefused, match="loss:"):
            await shop.plan(accept_loss=True, automatic=True)  # a program takes no loss for a person


def is_receiver(pid: int) -> bool:
    return b"walreceiver" in Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_a_server_that_has_no_connection_left_lives(shop: Shop, postgres_pair: PostgresPair) -> None:
    async with await postgres_pair.primary.connect() as admin:
        await admin.execute("ALTER SYSTEM SET max_connections = 20")
        await admin.execute("ALTER SYSTEM SET superuser_reserved_connections = 0")
    async with await postgres_pair.replica.connect() as admin:
        await admin.execute("ALTER SYSTEM SET max_connections = 20")
    await postgres_pair.primary.stop()
    await postgres_pair.primary.start()
    async with shop.observed():
        await shop.until_healthy()
        held = [await postgres_pair.primary.connect()]
        seen: set[Verdict] = set()
        for _ in range(300):
            # The observers lose their sessions, and come back to a full house.
            await held[0].execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dbre:ha%'"
            )
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    held.append(await postgres_pair.primary.connect())
            found = await shop.weighed()
            assert found.judgement.action is Action.NONE, found
            seen |= set(found.judgement.verdicts)
            if Verdict.EXHAUSTED_PRIMARY in seen:
                break
        assert Verdict.EXHAUSTED_PRIMARY in seen
        with pytest.raises(FailoverRefused, match=r"primary_silent: (exhausted|answered)"):
            await shop.plan(accept_loss=True)
        for one in held:
            await one.close()


async def test_an_isolated_observer_decides_nothing(shop: Shop, postgres_pair: PostgresPair) -> None:
    with nothing_listens() as nowhere:
        cut_off = {"n1": nowhere, "n2": nowhere}
        async with shop.observed(paths={"b": cut_off, "c": cut_off}):
            found = await shop.until_healthy(observers=1)
            assert set(found.notes) == {"b", "c"}
            await postgres_pair.primary.kill()
            for _ in range(20):
                found = await shop.weighed()
                assert found.judgement.action is Action.NONE, found
                await asyncio.sleep(0.1)
            assert found.judgement.verdicts[0] is Verdict.TOO_LITTLE_EVIDENCE
            with pytest.raises(FailoverRefused, match="observers_agree"):
                await shop.plan(automatic=True)
            person = await shop.plan()  # who sees with own eyes that it is dead
            assert [one.name for one in person.steps] == ["confirm", "fence", "bar", "assess", "promote"]
            with pytest.raises(UsageError, match="no instance 'n7'"):
                await shop.plan(to="n7")


async def test_without_a_fence_nothing_is_promoted(shop: Shop, postgres_pair: PostgresPair) -> None:
    shop.failover |= {
        "fence": [{"kind": "command", "fence": ["/bin/true"], "confirm": ["/bin/false"], "limit": "1s"}],
    }
    async with shop.observed():
        await shop.until_healthy()
        await postgres_pair.primary.kill()
        await shop.until_dead()
        record = await shop.fail_over(automatic=True)
        assert record.state is OperationState.FAILED
        assert record.error is not None
        assert record.error["code"] == "ha.fence_failed"  # that a command ends with 0 proves nothing
        assert await postgres_pair.replica.role() is Role.REPLICA
        with pytest.raises(FailoverRefused, match="block_period"):
            await shop.plan(automatic=True)
