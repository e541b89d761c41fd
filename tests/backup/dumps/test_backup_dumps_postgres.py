"""Dumps of PostgreSQL: what they hold, what they refuse to leave out, and what comes back of them."""

import shutil
import stat
from pathlib import Path

import dumps_kit as kit
import psycopg
import pytest
from dumps_kit import ODD, Dumped

from dbre.core.secrets import Secret
from dbre.engines.postgres.dumps.loading import ExtensionsMissing
from dbre.engines.postgres.dumps.port import PostgresDumps
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.backup.errors import CopyDamaged, CopyFailed, RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import CopyKind, RecoveryTarget, TargetKind
from dbre.ports.engine import Access
from dbre.ports.file_manifest import MANIFEST_NAME, read_file_manifest, write_file_manifest


async def rows(access: Access, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(
        host=access.address.host, port=access.address.port, user=access.user, dbname=database, autocommit=True
    ) as connection:
        return list(await (await connection.execute(statement)).fetchall())


async def as_dumper(server: PostgresServer, *statements: str) -> Access:
    async with await server.connect() as connection:
        for statement in statements:
            await connection.execute(statement)
    return server.access(user="dumper", password=Secret("dumper"))


async def test_a_dump_says_what_it_is(dumped: Dumped) -> None:
    facts = await dumped.port.facts(dumped.directory)
    assert facts == dumped.facts
    assert (facts.kind, facts.start, facts.stop) == (CopyKind.LOGICAL, None, None)
    assert facts.started_at < facts.stopped_at
    names = [one["name"] for one in facts.details["databases"]]
    assert {"postgres", "template1", ODD} <= set(names)
    assert any(one.startswith("pg_trgm ") for base in facts.details["databases"] for one in base["extensions"])
    assert (await dumped.port.verify(dumped.directory)).is_good


async def test_no_password_of_the_login_lies_in_the_dump(dumped: Dumped) -> None:
    word = dumped.server.password.reveal().encode()
    assert not [path for path in dumped.directory.rglob("*") if path.is_file() and word in path.read_bytes()]


async def test_every_change_of_a_stored_dump_is_named(dumped: Dumped, room: Path) -> None:
    copy = room / "copy"

    async def rules() -> set[str]:
        return {one.rule for one in (await dumped.port.verify(copy)).faults}

    def again() -> Path:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(dumped.directory, copy)
        return next(path for path in sorted(copy.rglob("*.dat")) if path.stat().st_size > 1000)

    victim = again()
    data = bytearray(victim.read_bytes())
    data[500] ^= 1
    victim.write_bytes(data)
    assert await rules() == {"checksum"}
    again().unlink()
    assert await rules() == {"missing_file"}
    victim = again()
    victim.write_bytes(victim.read_bytes()[:-1])
    assert await rules() == {"size"}
    again().with_name("extra.dat").write_bytes(b"more")
    assert await rules() == {"extra_file"}
    again()
    (copy / "globals.sql").write_bytes((copy / "globals.sql").read_bytes() + b"ALTER ROLE dumper SUPERUSER;\n")
    assert await rules() == {"size"}
    again()
    manifest = copy / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes().replace(b'"dump_major": 15', b'"dump_major": 16'))
    assert await rules() == {"manifest"}
    with pytest.raises(CopyDamaged, match="its own checksum is wrong"):
        await dumped.port.facts(copy)


async def test_everything_comes_back_in_a_jail_closed_to_writes_until_it_is_promoted(dumped: Dumped, room: Path) -> None:
    target = kit.own(room / "data", dumped.site)
    await dumped.port.assemble([dumped.directory], target, kit.quiet)
    async with dumped.port.recover(kit.recover_order(target)) as server:
        assert server.outcome.has_reached_target
        assert {"provision", "start", "load", "analyze"} == {one.name for one in server.outcome.phases}
        assert server.access.user == dumped.server.superuser
        assert await rows(server.access, "SELECT count(*), min(id), max(id) FROM orders") == [(5000, 1, 5000)]
        assert await rows(server.access, "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata") == [
            ("a large object",)
        ]
        assert await rows(server.access, "SELECT answer FROM odd", ODD) == [(42,)]
        assert await rows(server.access, "SELECT similarity('a', 'a')") == [(1.0,)]
        owner = "SELECT pg_get_userbyid(datdba), rolpassword LIKE 'SCRAM%' FROM pg_database JOIN pg_authid a ON a.oid = datdba"
        assert (ODD, True) in await rows(server.access, owner)
        assert await rows(server.access, "SELECT reltuples FROM pg_class WHERE relname = 'orders'") == [(5000.0,)]
        assert await rows(server.access, "SHOW listen_addresses") == [("",)]
        assert not (target / "dbre-dump").exists()
        scratch = Path(server.access.address.host)
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700, "nobody else reaches the socket"
        assert scratch.stat().st_uid == dumped.site.account.uid
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await rows(server.access, "INSERT INTO orders VALUES (0)")
        assert await rows(server.access, "SELECT id FROM unlogged") == [(7,)]
        assert (await server.promote()).name == "promote"
        assert await rows(server.access, "INSERT INTO orders VALUES (0) RETURNING id") == [(0,)]
        await server.stop(keep=True)
    assert (target / "PG_VERSION").read_text() == "15\n"
    assert "trust" not in "".join(
        line for line in (target / "pg_hba.conf").read_text().splitlines() if not line.startswith("#")
    )
    assert not (target / "recovery.signal").exists()
    assert "read_only" not in (target / "postgresql.auto.conf").read_text()


async def test_one_database_can_be_chosen(dumped: Dumped, room: Path) -> None:
    directory = kit.own(room / "one", dumped.site)
    facts = await dumped.port.copy(dumped.server.access(), kit.order_of(directory, ODD), kit.quiet)
    assert [one["name"] for one in facts.details["databases"]] == [ODD]


async def test_a_moment_that_is_not_the_dumps_is_refused(dumped: Dumped, room: Path) -> None:
    target = kit.own(room / "data", dumped.site)
    await dumped.port.assemble([dumped.directory], target, kit.quiet)
    moment = RecoveryTarget(kind=TargetKind.TIME, at=dumped.facts.stopped_at)
    with pytest.raises(TargetNotReached, match="no log leads on"):
        async with dumped.port.recover(kit.recover_order(target, moment)):
            pass


async def test_missing_extensions_are_all_named_before_anything_is_loaded(dumped: Dumped, room: Path) -> None:
    forged = room / "forged"
    shutil.copytree(dumped.directory, forged)
    manifest = read_file_manifest(forged / MANIFEST_NAME, engine="postgresql")
    facts = dict(manifest.facts)
    first = facts["databases"][0]
    facts["databases"] = [{**first, "extensions": [*first["extensions"], "postgis 3.3", "oracle_fdw 1.2"]}]
    (forged / MANIFEST_NAME).unlink()
    write_file_manifest(forged, engine="postgresql", facts=facts)
    target = kit.own(room / "data", dumped.site)
    await dumped.port.assemble([forged], target, kit.quiet)
    with pytest.raises(ExtensionsMissing, match=r"2 extensions .* postgis 3\.3 .*oracle_fdw 1\.2"):
        async with dumped.port.recover(kit.recover_order(target)):
            pass


async def test_a_broken_archive_is_no_server(dumped: Dumped, room: Path) -> None:
    target = kit.own(room / "data", dumped.site)
    await dumped.port.assemble([dumped.directory], target, kit.quiet)
    victim = max((target / "dbre-dump").rglob("*.dat"), key=lambda path: path.stat().st_size)
    victim.write_bytes(victim.read_bytes().replace(b"1\txxx", b"one\txxx", 1))
    with pytest.raises(RecoveryFailed, match=r"(?s)database .* cannot be loaded: .*invalid input syntax"):
        async with dumped.port.recover(kit.recover_order(target)):
            pass


async def test_what_a_login_may_not_see_is_an_error_and_never_left_out(
    source: PostgresServer, lab_site: Site, room: Path
) -> None:
    port = PostgresDumps(kit.place_of(lab_site))
    access = await as_dumper(source, "REVOKE pg_read_all_data FROM dumper", "ALTER ROLE dumper NOBYPASSRLS")

    async def blocking() -> set[str]:
        return {one.rule for one in (await port.survey(access)).problems if one.is_blocking}

    assert await blocking() == {"backup.rows_unreadable", "backup.rows_filtered", "backup.large_objects_closed"}
    await as_dumper(source, "GRANT pg_read_all_data TO dumper")
    assert await blocking() == {"backup.rows_filtered", "backup.large_objects_closed"}
    with pytest.raises(CopyFailed, match=r"would not be whole: row security hides rows of public\.guarded"):
        await port.copy(access, kit.order_of(kit.own(room / "guarded", lab_site), "postgres"), kit.quiet)
    await as_dumper(source, "ALTER ROLE dumper BYPASSRLS")
    assert await blocking() == {"backup.large_objects_closed"}
    await as_dumper(source, "REVOKE pg_read_all_data FROM dumper")  # which holds for pg_authid as well
    async with await source.connect(database=ODD) as connection:
        await connection.execute("GRANT SELECT ON odd TO dumper")
    facts = await port.copy(access, kit.order_of(kit.own(room / "odd", lab_site), ODD), kit.quiet)
    assert facts.details["has_passwords"] is False
    assert b"SCRAM-SHA-256" not in (room / "odd" / "globals.sql").read_bytes()


async def test_tools_are_tried(lab_site: Site) -> None:
    found = {one.name: one for one in await PostgresDumps(kit.place_of(lab_site)).tools(version="15.4")}
    assert {"pg_dump", "pg_dumpall", "pg_restore", "initdb", "postgres"} <= set(found)
    assert found["pg_dump"].problem is None
