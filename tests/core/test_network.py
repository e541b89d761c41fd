import socket
import ssl

import pytest

from dbre.core.errors import UsageError
from dbre.core.fleet import Address, TlsMode
from dbre.core.network import Target, connect, resolve, tls_context


async def test_a_numeric_address_resolves_to_itself_once() -> None:
    assert list(await resolve(Address("127.0.0.1", 1))) == [Target(host="127.0.0.1", port=1)]
    assert list(await resolve(Address("::1", 2))) == [Target(host="::1", port=2)]


async def test_an_unknown_name_is_an_error_of_the_resolver() -> None:
    with pytest.raises(socket.gaierror):
        await resolve(Address("no-such-host.invalid", 1))


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
