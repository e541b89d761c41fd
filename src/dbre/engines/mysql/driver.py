"""asyncmy's connection with what it lacks: an abort, moments of the opening, and TLS that is optional or demanded.

All that depends on the driver's inside is in this module; tests/engines/mysql/test_connection.py fails if it moves.
"""

from typing import Any

from asyncmy.connection import Connection as _Connection
from asyncmy.constants.CLIENT import SSL
from asyncmy.errors import OperationalError

from dbre.core.stopwatch import Stopwatch
from dbre.engines.mysql.faults import TlsNotOffered

__all__ = ["CleartextRefused", "DriverConnection"]

_QUIT = b"\x01\x00\x00\x00\x01"
_Base: Any = _Connection  # its stubs leave out the methods that must be extended here


class CleartextRefused:
    """Stands in for the plugins that would hand the password itself to whoever asks for it."""

    def __init__(self, _connection: object) -> None:
        pass

    def authenticate(self, _packet: object) -> None:
        """Refuse, before anything is sent."""
        raise OperationalError(
            2059, "the server asks for the password in clear text, and who it is was not verified: set tls to verify-full"
        )


class DriverConnection(_Base):  # type: ignore[misc]  # see _Base
    """One connection; ``watch`` counts the phases ``connect``, ``tls`` and ``auth``."""

    def __init__(self, *, watch: Stopwatch, server_name: str, is_tls_optional: bool, **options: Any) -> None:
        super().__init__(**options)
        self._watch = watch
        self._server_name = server_name
        self._is_tls_optional = is_tls_optional
        self._ssl_context: Any = self._ssl_context  # made by the driver from the option
        self.has_reached_server = False

    @property
    def is_open(self) -> bool:
        """Whether the socket is open, as far as we can know without asking the server."""
        return bool(self._connected) and not self._stream_broken

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is in use."""
        return self._ssl_context is not None and bool(self._secure)

    async def _get_server_information(self) -> None:
        self.has_reached_server = True
        self._watch.begin("auth")  # the greeting: a full accept queue or a frozen server shows here
        await super()._get_server_information()

    async def _request_authentication(self) -> Any:
        if self._ssl_context is not None and not self.server_capabilities & SSL:
            if not self._is_tls_optional:
                raise TlsNotOffered("the server offers no TLS, and the configuration demands it")
            self._ssl_context = None
            self._client_flag &= ~SSL
        self._host = self._server_name  # the name in the certificate; the socket was opened to one of its addresses
        if self._ssl_context is not None:
            self._watch.begin("tls")
        return await super()._request_authentication()

    def write_packet(self, payload: bytes) -> None:
        """Send a packet; the first one after the TLS handshake is the login."""
        if self.is_encrypted and not self._connected:
            self._watch.begin("auth")
        super().write_packet(payload)

    def close(self) -> None:
        """Close the socket at once. The driver's own close flushes, and under TLS waits half a minute for an answer."""
        if self.is_open:
            self._write_bytes(_QUIT)  # fits in the socket's buffer; without it the server logs an aborted connection
        if self._transport is not None:
            self._transport.abort()
        super().close()
