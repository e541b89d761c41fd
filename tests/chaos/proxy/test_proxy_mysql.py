"""Faults of statements on a real MariaDB: the chosen ones fail as a server fails them, and the others get their answers."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncmy
import pytest
import pytest_asyncio
from asyncmy.errors import Error
from proxy_kit import PATIENCE, Driver, driver

from dbre.core.programs.account import Account
from dbre.core.programs.run import run
from dbre.engines.mysql.wire import MySqlWire
from dbre.engines.mysql.wire_frames import error_packet, packet
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.wire import Decision, InjectedError, Passed, Statement, TlsRequest

pytestmark = pytest.mark.slow
STATEMENTS = 1000
OURSELVES = Account(name="us", uid=os.geteuid(), gid=os.getegid(), switch=False)


@pytest_asyncio.fixture(loop_scope="session")
async def proxied(mariadb: MariaDbServer) -> AsyncIterator[tuple[Driver, dict[str, Any]]]:
    async with driver(seed=7) as proxy:
        host, port = await proxy.proxy("sql", str(mariadb.address), engine="mysql")
        login = {"user": mariadb.superuser, "password": mariadb.password.reveal(), "db": "lab", "program_name": "shop"}
        yield proxy, {"host": host, "port": port, "autocommit": True, **login}


async def ask(connection: Any, statement: str) -> Any:
    async with connection.cursor() as cursor:
        await cursor.execute(statement)
        return await cursor.fetchall() if cursor.description else cursor.rowcount


async def failures(where: dict[str, Any], count: int) -> list[int]:
    found = []
    async with asyncmy.connect(**where) as one:
        for number in range(count):
            try:
                assert await ask(one, f"SELECT {number}") == ((number,),), "the answer belongs to another statement"
            except Error as error:
                if error.args != (1317, "injected by dbre"):
                    raise
                found.append(number)
    return found


async def test_errors_come_as_often_as_asked_and_replay(proxied: tuple[Driver, dict[str, Any]], mariadb: MariaDbServer) -> None:
    proxy, where = proxied
    await proxy.toxic("sql", "error", unit="query", toxicity=0.1, match={"class": "read", "application": "shop"})
    found = await failures(where, STATEMENTS)
    assert 55 <= len(found) <= 145, "outside of what chance does once in two hundred thousand runs"
    assert (await proxy.state("sql"))["counts"]["hits"]["error"] == len(found)
    async with driver(seed=7) as again:  # the same seed, proxy and number of the connection: the same statements
        host, port = await again.proxy("sql", str(mariadb.address), engine="mysql")
        await again.toxic("sql", "error", unit="query", toxicity=0.1, match={"class": "read"})
        assert await failures({**where, "host": host, "port": port}, 300) == [one for one in found if one < 300]
    await proxy.remove("sql", "error")
    assert await failures(where, 50) == []


async def test_an_error_is_of_its_statement_and_the_transaction_goes_on(proxied: tuple[Driver, dict[str, Any]]) -> None:
    proxy, where = proxied
    async with asyncmy.connect(**where) as one:
        await ask(one, "CREATE OR REPLACE TABLE kept (n int)")
        await proxy.toxic("sql", "error", unit="query", match={"regex": "poison"}, code="40001", message="try again")
        await ask(one, "START TRANSACTION")
        await ask(one, "INSERT INTO kept VALUES (1)")
        with pytest.raises(Error) as caught:
            await ask(one, "INSERT INTO kept VALUES (2) /* poison */")
        assert caught.value.args == (1213, "try again")
        await ask(one, "INSERT INTO kept VALUES (3)")
        await ask(one, "COMMIT")
        assert await ask(one, "SELECT GROUP_CONCAT(n) FROM kept") == (("1,3",),)
        (state,) = await proxy.connections("sql")
        assert (state["user"], state["database"], state["why_opaque"]) == (where["user"], "lab", "")


async def test_prepared_statements_are_known_by_their_text(proxied: tuple[Driver, dict[str, Any]]) -> None:
    proxy, where = proxied
    await proxy.toxic("sql", "error", unit="query", match={"regex": r"\+ 1000"}, code="1205")
    async with asyncmy.connect(**where) as one:
        good, bad = await one.prepare("SELECT ? + 1"), await one.prepare("SELECT ? + 1000")
        for number in range(20):
            assert int((await good.execute((number,))).rows[0][0]) == number + 1
            with pytest.raises(Error) as caught:
                await bad.execute((number,))
            assert caught.value.args[0] == 1205
        long = "SELECT seq, REPEAT('x', 5000) FROM seq_1_to_700 UNION ALL SELECT NULL, 'end'"  # numbers of packets come round
        rows = await ask(one, long)
        assert (len(rows), rows[-1]) == (701, (None, "end"))
        assert int((await good.execute((1,))).rows[0][0]) == 2
    assert (await proxy.state("sql"))["counts"]["hits"] == {"error": 20}


async def test_long_statements_and_late_ones(proxied: tuple[Driver, dict[str, Any]]) -> None:
    proxy, where = proxied
    await proxy.toxic("sql", "error", unit="query", match={"regex": "^SELECT LENGTH\\('poison"})
    async with asyncmy.connect(**where) as one:
        assert await ask(one, f"SELECT LENGTH('{'x' * 3_000_000}')") == ((3_000_000,),)
        with pytest.raises(Error, match="injected"):
            await ask(one, f"SELECT LENGTH('poison{'x' * 3_000_000}')")
        assert await ask(one, "SELECT 1") == ((1,),)
        await proxy.toxic("sql", "latency", unit="query", match={"user": where["user"], "class": "write"}, latency=200)
        began = asyncio.get_running_loop().time()
        await ask(one, "DO 1")
        assert asyncio.get_running_loop().time() - began >= 0.2
        await proxy.toxic("sql", "reset_peer", unit="query", match={"regex": "^CHECKSUM"})
        with pytest.raises((Error, OSError, EOFError, asyncio.IncompleteReadError)):
            await ask(one, "CHECKSUM TABLE kept")


async def test_the_command_line_client_loads_a_file_of_many_packets(
    proxied: tuple[Driver, dict[str, Any]], mariadb: MariaDbServer, tmp_path: Path
) -> None:
    proxy, where = proxied
    await proxy.toxic("sql", "error", unit="query", match={"regex": "poison"})
    rows = tmp_path / "rows.txt"
    rows.write_bytes((b"\x03" * 3000 + b" poison\n") * 3000)  # 9 MB: more than 256 packets; 3 is also the number of a command
    options = tmp_path / "client.cnf"
    options.touch(mode=0o600)
    options.write_text(f"[client]\nuser={where['user']}\npassword={where['password']}\nhost={where['host']}\n")
    script = (
        "CREATE OR REPLACE TABLE loaded (line text); "
        f"LOAD DATA LOCAL INFILE '{rows}' INTO TABLE loaded; SELECT COUNT(*), 'rows' FROM loaded; DROP TABLE loaded;"
    )
    words = ["mariadb", f"--defaults-file={options}", f"--port={where['port']}", "--local-infile", "--batch", "lab"]
    done = await run(words, account=OURSELVES, directory=tmp_path, stdin=script.encode(), timeout_seconds=PATIENCE)
    assert "3000\trows" in done.stdout
    assert (await proxy.state("sql"))["counts"]["hits"] == {}


GREETING = packet(
    0, b"\x0a8.0.1\0" + b"\1\0\0\0" + b"scramble\0" + b"\xff\xff\x08\x02\0\xff\xff" + b"\x15" + b"\0" * 10 + b"more\0"
)
LOGIN = packet(1, (0x0200 | 0x8000 | 8).to_bytes(4, "little") + b"\0" * 28 + b"app\0" + b"\2xy" + b"shop\0")
OK = b"\0\0\0\2\0\0\0"


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_frames_do_not_depend_on_how_the_bytes_are_cut(piece: int) -> None:
    asked: list[Statement] = []

    def decide(statement: Statement) -> Decision:
        asked.append(statement)
        return Decision(error=InjectedError(code="", message="no")) if "poison" in statement.text else Decision()

    session = MySqlWire().session(decide, TlsRequest.REFUSE)

    def pass_through(data: bytes, take: Callable[[bytes], Passed]) -> bytes:
        parts = [take(data[start : start + piece]) for start in range(0, len(data), piece)]
        return b"".join(data for one in parts for _, data in one.onward)

    greeting = pass_through(GREETING, session.from_server)
    assert len(greeting) == len(GREETING)
    assert not int.from_bytes(greeting[24:26], "little") & (0x800 | 0x20), "TLS and compression are still offered"
    assert pass_through(LOGIN, session.from_client) == LOGIN
    pass_through(packet(2, OK), session.from_server)
    commands = [packet(0, b"\x03SELECT 1"), packet(0, b"\x03poison"), packet(0, b"\x0e")]
    sent = pass_through(b"".join(commands), session.from_client)  # all before the first answer
    assert sent.startswith(commands[0])
    assert sent.endswith(commands[2])
    mark = sent[len(commands[0]) + 5 : -len(commands[2])]
    assert mark.startswith(b"dbre_injected_fault_")
    answers = packet(1, OK) + error_packet(1, 1064, "42000", f"near '{mark.decode()}'") + packet(1, OK)
    assert pass_through(answers, session.from_server) == packet(1, OK) + error_packet(1, 1317, "70100", "no") + packet(1, OK)
    assert [(one.user, one.database, one.text) for one in asked] == [("app", "shop", "SELECT 1"), ("app", "shop", "poison")]
    assert not session.is_opaque


@pytest.mark.parametrize(
    "greeting", [b"\x09old server", b"\x0a", b"", b"HTTP/1.1 400 Bad"], ids=["nine", "short", "empty", "http"]
)
def test_what_is_not_the_protocol_passes_as_it_is(greeting: bytes) -> None:
    session = MySqlWire().session(lambda _: Decision(is_dropped=True), TlsRequest.REFUSE)
    data = packet(0, greeting) + (packet(1, b"\x09") if not greeting else b"")
    assert b"".join(piece for _, piece in session.from_server(data).onward) == data
    assert session.is_opaque
    assert session.from_client(packet(0, b"\x03SELECT 1")).onward == [(0.0, packet(0, b"\x03SELECT 1"))]
