"""``dbre integrity`` on a real primary and its replica: what differs is told, whatever indexes and counts say."""

from types import SimpleNamespace
from typing import Any

import pytest
from integrity_kit import Engines, fleet_of

from dbre.capabilities.integrity.cli import check, compare, digest
from dbre.core.clock import SystemClock
from dbre.core.errors import DbreError, ExitCode, UsageError
from dbre.testing.fixtures import PostgresPair

pytestmark = pytest.mark.slow


def context(pair: PostgresPair) -> Any:
    fleet = fleet_of({"pg1": pair.primary, "pg2": pair.replica})
    return SimpleNamespace(obj=SimpleNamespace(fleet=fleet, engines=Engines(), clock=SystemClock()))


async def test_a_row_that_only_the_replica_lacks_is_found(postgres_pair: PostgresPair) -> None:
    pair, here = postgres_pair, context(postgres_pair)
    async with await pair.primary.connect() as admin:
        await admin.set_autocommit(True)
        await admin.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
        await admin.execute("INSERT INTO orders SELECT i, 'n' || i FROM generate_series(1, 2000) AS i")
        await admin.execute("CREATE TABLE empty ()")
        await admin.execute("VACUUM (FREEZE) orders")
        path = (await (await admin.execute("SELECT pg_relation_filepath('orders')")).fetchone())[0]
        has_checksums = (await (await admin.execute("SHOW data_checksums")).fetchone())[0] == "on"
        await admin.execute("CHECKPOINT")
    equal = await compare(here, "orders", "pg1", "pg2")
    assert [(one["table"], one["likeness"]) for one in equal.items] == [("public.empty", "equal"), ("public.orders", "equal")]
    assert equal.exit_code is ExitCode.OK
    rows = (await digest(here, "orders", table=["orders"])).items
    assert [one["rows"] for one in rows] == [2000]

    await pair.replica.stop()  # its last restartpoint has written the pages
    file = pair.replica.data_directory / path
    page = bytearray(file.read_bytes())
    assert b"n1000" in page
    place = page.index(b"n1000")
    page[place : place + 5] = b"n1x00"
    file.write_bytes(page)
    await pair.replica.start()

    if has_checksums:  # the server itself refuses to read the page
        with pytest.raises(DbreError, match="invalid page"):
            await compare(here, "orders", "pg1", "pg2", table=["orders"])
        broken = await check(here, "orders", instance="pg2", only=["pages"])
        assert (broken.items[0]["result"], broken.exit_code) == ("broken", ExitCode.FINDINGS)
        assert "public.orders" in broken.items[0]["detail"]
    else:
        found = await compare(here, "orders", "pg1", "pg2", table=["orders"])
        assert [one["likeness"] for one in found.items] == ["different"]
        assert found.exit_code is ExitCode.FINDINGS


async def test_wrong_names_are_one_error_each(postgres_pair: PostgresPair) -> None:
    here = context(postgres_pair)
    with pytest.raises(UsageError, match="has no instance 'pg3'") as refused:
        await compare(here, "orders", "pg1", "pg3")
    assert "did you mean pg2?" in (refused.value.hint or "")
    with pytest.raises(UsageError, match="always equals itself"):
        await compare(here, "orders", "pg1", "pg1")
    with pytest.raises(UsageError, match="there is no table"):
        await digest(here, "orders", table=["nope"])
    with pytest.raises(UsageError, match="no integrity check"):
        await check(here, "orders", only=["everything"])


async def test_a_sound_database_passes_every_check_that_can_be_made(postgres_pair: PostgresPair) -> None:
    found = await check(context(postgres_pair), "orders")
    assert found.exit_code is ExitCode.OK
    assert {one["instance"] for one in found.items} == {"pg2"}  # the primary is spared
    assert {one["result"] for one in found.items} <= {"ok", "not checked"}
    assert next(one for one in found.items if one["check"] == "indexes")["detail"].endswith("on the primary)")
