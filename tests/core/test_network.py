import asyncio
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from dbre.core.errors import UsageError
from dbre.core.fleet import Address, TlsMode
from dbre.core.network import LIMIT_LOOKUPS, Target, connect, resolve, tls_context


async def test_a_numeric_address_resolves_to_itself_once() -> None:
    assert list(await resolve(Address("127.0.0.1", 1))) == [Target(host="127.0.0.1", port=1)]
    assert list(await resolve(Address("::1", 2))) == [Target(host="::1", port=2)]


async def test_an_unknown_name_is_an_error_of_the_resolver() -> None:
    with pytest.raises(socket.gaierror):
        await resolve(Address("no-such-host.invalid", 1))


@pytest.mark.parametrize("name", ["a..b", "a" * 70 + ".invalid"])
async def test_a_name_that_cannot_even_be_asked_for_is_unknown(name: str) -> None:
    with pytest.raises(socket.gaierror, match="not known"):
        await resolve(Address(name, 1))


async def test_names_that_hang_hold_up_neither_others_nor_the_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    released, look_up = threading.Event(), socket.getaddrinfo

    def hang(host: str, *arguments: object, **options: object) -> object:
        if host.startswith("hung"):
            released.wait(30)
        return look_up("localhost", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    hung = [asyncio.create_task(resolve(Address(f"hung{number}.example", 1))) for number in range(100)]
    try:
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert await resolve(Address("healthy.example", 1))
            assert await asyncio.to_thread(int, "7") == 7
    finally:
        released.set()
    assert len(await asyncio.gather(*hung)) == 100


async def test_lookups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(30) and [])
    tasks = [asyncio.create_task(resolve(Address(f"hung{number}.example", 1))) for number in range(LIMIT_LOOKUPS + 3)]
    await asyncio.sleep(0.1)
    released.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers if answer] == [socket.gaierror] * 3


def test_a_name_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    script = (
        "import asyncio, socket, time\n"
        "from dbre.core.fleet import Address\n"
        "from dbre.core.network import resolve\n"
        "socket.getaddrinfo = lambda *_, **__: time.sleep(60)\n"
        "try: asyncio.run(asyncio.wait_for(resolve(Address('hung.example', 1)), 0.1))\n"
        "except TimeoutError: print('timed out')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("timed out\n", "")


@pytest.mark.parametrize(
    ("mode", "verify", "names"),
    [
        (TlsMode.PREFER, ssl.CERT_NONE, False),
        (TlsMode.REQUIRE, ssl.CERT_NONE, False),
        (TlsMode.VERIFY_CA, ssl.CERT_REQUIRED, False),
        (TlsMode.VERIFY_FULL, ssl.CERT_REQUIRED, True),
    ],
)
def test_only_the_verify_modes_check_and_only_the_full_one_checks_names(
    mode: TlsMode, verify: ssl.VerifyMode, names: bool
) -> None:
    context = tls_context(mode, None)
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (verify, names)


def test_no_tls_needs_no_context() -> None:
    assert tls_context(TlsMode.DISABLE, None) is None


def test_a_ca_file_that_cannot_be_used_is_a_mistake_of_ours(tmp_path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        tls_context(TlsMode.REQUIRE, str(tmp_path / "ca.pem"))
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="cannot be used"):
        tls_context(TlsMode.VERIFY_FULL, str(tmp_path / "empty.pem"))


async def test_a_refused_connection_leaves_no_socket_behind() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            await connect(Target(host="127.0.0.1", port=port))
