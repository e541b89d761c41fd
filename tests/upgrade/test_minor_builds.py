"""A minor version rolled out for real: two builds of Debian's, one of which is broken where it must be taken back."""

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pair_kit import commands, roles

from dbre.capabilities.upgrade.checks import checks_of
from dbre.capabilities.upgrade.survey import survey
from dbre.core.clock import SystemClock
from dbre.core.control import Control, ControlKind
from dbre.core.errors import Unsupported
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.programs import find_program
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.testing.fixtures import leave_out, running
from other_builds import Builds, other_build, postgres_builds, text_of
from upgrade_kit import Ground, Walker, fleet_of, results_of, steps_of

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


@pytest.fixture
async def builds(lab_site: Site) -> Builds:
    try:
        return await postgres_builds(lab_site)
    except Unsupported as error:
        leave_out(error)


@dataclass(frozen=True, kw_only=True)
class Switched:
    """Servers whose programs are behind a link of their own, as on machines of their own."""

    servers: Mapping[str, PostgresServer]
    links: Mapping[str, Path]

    def ground(self, before: Path, after: Path) -> Ground:
        controls = {
            name: Control(kind=ControlKind.PG_CTL, data_directory=one.data_directory, bindir=self.links[name])
            for name, one in self.servers.items()
        }
        given = [
            {
                "instance": name,
                "install": ["/bin/ln", "-sfn", str(after), str(link)],
                "put_back": ["/bin/ln", "-sfn", str(before), str(link)],
            }
            for name, link in self.links.items()
        ]
        return Ground.of(fleet_of(self.servers, controls), settings={"commands": given, "start": "60s"})

    async def versions(self) -> list[str]:
        return [await ask(one, "SHOW server_version") for one in self.servers.values()]


@pytest.fixture
async def pair(builds: Builds, lab_site: Site) -> AsyncIterator[Switched]:
    links = {}
    for name in ("n1", "n2"):
        links[name] = lab_site.directory / f"up-{name}-programs"
        links[name].symlink_to(builds.older.directory)
    async with (
        running(PostgresServer("up-b1", lab_site, binaries=builds.older)) as primary,
        running(PostgresServer("up-b2", lab_site, binaries=builds.older, replica_of=primary)) as replica,
    ):
        await ask(primary, "SELECT 1")
        async with await primary.connect() as connection:
            await connection.execute("CREATE EXTENSION pg_trgm")
            await connection.execute('CREATE TABLE sorted (name text COLLATE "en-x-icu")')
        yield Switched(servers={"n1": primary, "n2": replica}, links=links)
    for one in links.values():
        one.unlink()


async def ask(server: PostgresServer, query: str) -> str:
    async with await server.connect() as connection:
        row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return str(row[0])


async def test_postgresql_runs_the_newer_build_on_every_server(builds: Builds, pair: Switched, store: Store) -> None:
    assert {one.split(" ")[0] for one in await pair.versions()} == {text_of(builds.older)}
    walker = Walker(store=store, ground=pair.ground(builds.older.directory, builds.newer.directory))

    record = await walker.do("upgrade.minor")

    assert record.state is OperationState.SUCCEEDED, record.error
    assert steps_of(record) == ["look", "replace:n2", "switch", "replace:n1"]
    assert {one.split(" ")[0] for one in await pair.versions()} == {text_of(builds.newer)}
    told = results_of(record)["replace:n2"]
    assert (told["before"], told["version"]) == (text_of(builds.older), text_of(builds.newer))
    assert results_of(record)["look"]["n1"]["extensions"]
    assert [await one.role() for one in pair.servers.values()] == [Role.REPLICA, Role.PRIMARY]


def without_extension(files: Path) -> None:
    for one in files.rglob("pg_trgm*.control"):
        one.unlink()


def without_server(files: Path) -> None:
    program = next(files.rglob("bin/postgres"))
    version = os.fspath(program) + ".real"
    program.rename(version)
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {version} --version\nexit 1\n')
    program.chmod(0o755)


_LIBRARY = """
void {symbol}(const void *collator, unsigned char *version) {{ version[0] = 199; version[1] = version[2] = version[3] = 1; }}
"""


def with_other_icu(files: Path) -> None:
    """The same program over an ICU that says that it sorts otherwise, as after an upgrade of the library's package."""
    program = next(files.rglob("bin/postgres"))
    found = re.search(rb"ucol_getVersion_\d+", program.read_bytes())
    if found is None or shutil.which("cc") is None:
        pytest.skip("the server was built without ICU, or there is no C compiler")
    source, library = program.with_name("icu.c"), program.with_name("icu.so")
    source.write_text(_LIBRARY.format(symbol=found[0].decode()))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    own = files / "own" / program.parent.relative_to(files)  # its process has the name of the server, and finds its files
    own.mkdir(parents=True)
    (own.parent / "lib").symlink_to(program.parent.parent / "lib")
    (files / "own/usr/share").symlink_to(files / "usr/share")
    program.rename(own / "postgres")
    program.write_text(f'#!/bin/sh\nLD_PRELOAD={library} exec {own}/postgres "$@"\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("breaks", "why", "remedy"),
    [
        (without_extension, "pg_trgm is not installed any more", "install the packages"),
        (without_server, "n2 is not whole with its new programs", "log"),
        (with_other_icu, "en-x-icu sorts otherwise than its indexes", "REINDEX"),
    ],
    ids=["extension", "server", "collation"],
)
async def test_the_older_build_is_put_back_where_the_newer_one_is_broken(
    builds: Builds, pair: Switched, store: Store, lab_site: Site, breaks: Any, why: str, remedy: str
) -> None:
    if builds.newer.source != "given":
        pytest.skip("the newer build is the installed one, which is not broken for a test")
    root = next(one for one in builds.newer.directory.parents if one.name == "files")
    broken = lab_site.directory / "up-broken"
    shutil.copytree(root, broken, symlinks=True)
    breaks(broken)
    bindir = broken / builds.newer.directory.relative_to(root)
    try:
        record = await Walker(store=store, ground=pair.ground(builds.older.directory, bindir)).do("upgrade.minor")

        assert record.state is OperationState.FAILED, record.error  # the failed step has put itself back
        assert record.error is not None
        assert why in record.error["message"]
        assert remedy in record.error["hint"]
        assert {one.split(" ")[0] for one in await pair.versions()} == {text_of(builds.older)}
        assert [await one.role() for one in pair.servers.values()] == [Role.PRIMARY, Role.REPLICA]
    finally:
        shutil.rmtree(broken)


async def test_a_collation_of_another_version_is_told_until_its_indexes_are_made_anew(pair: Switched, builds: Builds) -> None:
    ground = pair.ground(builds.older.directory, builds.newer.directory).upgrades
    cluster, primary = ground.fleet.cluster("shop"), pair.servers["n1"]

    async def warned() -> set[str]:
        checks = checks_of(await survey(ground, cluster, purpose="test"))
        return {one.remedy for one in checks if (one.rule, one.subject) == ("collations_match", "n1")}

    assert await warned() == set()
    async with await primary.connect() as connection:
        await connection.execute("CREATE INDEX sorted_name ON sorted (name)")
        await connection.execute("UPDATE pg_catalog.pg_collation SET collversion = '1.1' WHERE collname = 'en-x-icu'")
    (remedy,) = await warned()
    assert "REINDEX" in remedy
    async with await primary.connect() as connection:
        await connection.execute("REINDEX INDEX sorted_name")
        await connection.execute('ALTER COLLATION "en-x-icu" REFRESH VERSION')
    assert await warned() == set()


async def test_mariadb_runs_the_newer_build_on_every_server(mariadb: MariaDbServer, store: Store, lab_site: Site) -> None:
    try:
        files, number = await other_build("mariadb-server-core", mariadb.program.version, lab_site.cache)
        other = find_program(
            ["mariadbd"], account=lab_site.account, oldest=(10, 5), package="mariadb", bindir=files / "usr/sbin"
        )
    except Unsupported as error:
        leave_out(error)
    assert other.version == number
    older, newer = sorted((mariadb.program, other), key=lambda one: one.version)
    programs = {}
    for name in ("n1", "n2"):  # each with programs of its own, as on machines of their own
        lab_site.make_directory(directory := lab_site.directory / f"up-{name}-mariadb")
        programs[name] = replace(older, path=directory / "mariadbd")
        shutil.copy(older.path, programs[name].path)
    async with (
        running(MariaDbServer("up-mb1", lab_site, program=programs["n1"])) as primary,
        running(MariaDbServer("up-mb2", lab_site, program=programs["n2"], replica_of=primary)) as replica,
    ):
        servers = {"n1": primary, "n2": replica}
        given = [
            {"instance": name, "install": ["/usr/bin/install", "-m", "755", str(newer.path), str(one.path)]}
            for name, one in programs.items()
        ]
        login: dict[str, Any] = {"replication_user": REPLICATION_USER, "replication_password": primary.password}
        fleet = fleet_of(servers, commands(servers), **login)

        record = await Walker(store=store, ground=Ground.of(fleet, settings={"commands": given})).do("upgrade.minor")

        assert record.state is OperationState.SUCCEEDED, record.error
        assert {one["version"] for name, one in results_of(record).items() if name.startswith("replace:")} == {
            newer.version_text
        }
        assert await roles(fleet) == [Role.REPLICA, Role.PRIMARY]
    for one in programs.values():
        shutil.rmtree(one.path.parent)
