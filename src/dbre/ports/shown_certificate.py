"""The certificate that a server shows to its clients, as deeds that change it look at it."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509

from dbre.core.errors import PrecheckFailed, Unreachable
from dbre.core.fleet import Address, TlsMode
from dbre.core.units import format_duration
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen

__all__ = ["require_no_check_of_ours", "seen_as", "shown_at"]

_SECONDS = 5.0
_VERIFYING = (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)


def require_no_check_of_ours(access: Access) -> None:
    """Raises: PrecheckFailed where dbre itself would be turned away by another certificate, and could not undo it."""
    if access.tls in _VERIFYING or (access.tls is TlsMode.REQUIRE and access.tls_ca_file is not None):
        raise PrecheckFailed(
            f"dbre itself checks the certificate of {access.address}, and could not take the fault back",
            hint="run it with a configuration whose tls is require, without tls_ca_file",
        )


async def shown_at(address: Address, product: str, ask: Callable[[socket.socket], bool] | None = None) -> bytes | None:
    """The certificate, in DER. ``ask`` says over the plain connection that TLS is wanted, and gives whether it will be spoken;
    without it TLS begins at once. None: the server speaks none. Raises: Unreachable."""
    try:
        return await asyncio.to_thread(_shake_hands, address, ask)
    except OSError as error:
        raise Unreachable(f"{product} at {address}: no TLS handshake: {error}") from error


def seen_as(shown: bytes | None, fingerprint: str) -> Seen:
    """Whether it is the one with this fingerprint (SHA-256), and when it ends."""
    if shown is None:
        return Seen(False, "no TLS is spoken")
    left = (x509.load_der_x509_certificate(shown).not_valid_after_utc - datetime.now(UTC)).total_seconds()
    when = f"ends in {format_duration(left)}" if left >= 0 else f"ended {format_duration(-left)} ago"
    return Seen(hashlib.sha256(shown).hexdigest() == fingerprint, f"the certificate that is shown {when}")


def _shake_hands(address: Address, ask: Callable[[socket.socket], bool] | None) -> bytes | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is looked at, and nothing is told to its owner
    with socket.create_connection((address.host, address.port), timeout=_SECONDS) as plain:
        if ask is not None and not ask(plain):
            return None
        with context.wrap_socket(plain) as wrapped:
            return wrapped.getpeercert(binary_form=True)
