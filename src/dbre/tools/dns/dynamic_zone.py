"""Record sets changed by dynamic update (RFC 2136), signed by TSIG (RFC 8945): compare and swap in one message."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import dns.asyncquery
import dns.exception
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.tsig
import dns.update

from dbre.core.errors import Conflict, Denied, Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.core.text import one_line, printable
from dbre.tools.dns.answers import ANSWER_SECONDS, numeric

__all__ = ["DynamicZone", "NotAsBefore", "UpdateKey"]


class NotAsBefore(Conflict):
    """The prerequisite does not hold: the records are others than they were."""

    code = "dns.not_as_before"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateKey:
    """A TSIG key."""

    name: str
    secret: Secret  # base64, as in a key file of BIND
    algorithm: str = "hmac-sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicZone:
    """One zone on the server that takes its updates."""

    server: Address
    zone: str
    key: UpdateKey

    async def compare(self, name: str, kind: str, values: Sequence[str]) -> None:
        """Whether the record set has exactly these values, asked with the key; changes nothing. Raises: NotAsBefore."""
        await self._send(self._message(name, kind, values))

    async def swap(self, name: str, kind: str, *, old: Sequence[str], new: Sequence[str], ttl: float) -> None:
        """Replace exactly ``old`` by ``new``, or nothing.

        Raises: NotAsBefore where it was not ``old``, Denied, Unreachable; after the latter the outcome is not known.
        """
        message = self._message(name, kind, old)
        message.replace(dns.name.from_text(name), dns.rdataset.from_text("IN", kind, round(ttl), *new))
        await self._send(message)

    def _message(self, name: str, kind: str, values: Sequence[str]) -> dns.update.UpdateMessage:
        algorithm = self.key.algorithm.rstrip(".")
        try:
            secret = base64.b64decode(self.key.secret.reveal().strip(), validate=True)
        except ValueError:  # its text may hold the secret
            raise UsageError(
                f"the secret of the key {printable(self.key.name)} is not base64",
                hint="copy secret of the key file, without quotes",
            ) from None
        keyring = {dns.name.from_text(self.key.name): dns.tsig.Key(self.key.name, secret, f"{algorithm}.")}
        message = dns.update.UpdateMessage(self.zone, keyring=keyring, keyalgorithm=f"{algorithm}.")
        kept = dns.rdataset.from_text("IN", kind, 0, *values) if values else None
        owner = dns.name.from_text(name)
        if kept is None:
            message.absent(owner, dns.rdatatype.from_text(kind))
        else:
            message.present(owner, kept)
        return message

    async def _send(self, message: dns.update.UpdateMessage) -> None:
        where = f"the name server at {self.server}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                host = await numeric(self.server)
                answer = await dns.asyncquery.tcp(message, host, port=self.server.port)
        except TimeoutError as error:
            raise Unreachable(f"{where} does not answer an update of {self.zone} within {ANSWER_SECONDS:g} s") from error
        except dns.tsig.PeerError as error:
            self._refuse_key(error)
        except (OSError, EOFError, dns.exception.DNSException) as error:
            raise Unreachable(
                f"{where} cannot be sent an update of {self.zone}: {one_line(str(error)) or type(error).__name__}"
            ) from error
        self._judge(answer.rcode(), where)

    def _judge(self, rcode: dns.rcode.Rcode, where: str) -> None:
        if rcode in (dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN):
            raise NotAsBefore(f"{where}: the records of {self.zone} are others than the update expects")
        if rcode == dns.rcode.NOERROR:
            return
        word = dns.rcode.to_text(rcode)
        if rcode in (dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE):
            raise Denied(
                f"{where} refuses an update of {self.zone} by the key {printable(self.key.name)}: {word}",
                hint="let its zone hold: update-policy { grant KEY zonesub A; }; and name the server that is primary for it",
            )
        raise Unreachable(f"{where} answers {word} to an update of {self.zone}", hint="see its log")

    def _refuse_key(self, error: dns.tsig.PeerError) -> NoReturn:
        why = {
            dns.tsig.PeerBadKey: "it does not know the key",
            dns.tsig.PeerBadSignature: "the secret is another",
            dns.tsig.PeerBadTime: "its clock and ours differ by more than 5 minutes",
        }.get(type(error), one_line(str(error)))
        raise Denied(
            f"the name server at {self.server} refuses the key {printable(self.key.name)}: {why}",
            hint="compare name, algorithm and secret with the server's key, and the clocks",
        ) from error
