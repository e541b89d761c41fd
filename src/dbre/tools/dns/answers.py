"""What name servers say of one name: the values of its record set, and for how long they may be kept."""

import asyncio
from dataclasses import dataclass

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from dbre.core.errors import Unreachable
from dbre.core.fleet import Address
from dbre.core.network import resolve
from dbre.core.text import one_line, printable

__all__ = ["ANSWER_SECONDS", "Answer", "ask", "numeric"]

ANSWER_SECONDS = 5.0
_TRY_SECONDS = 1.5  # a datagram may be lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. ``values`` are as in a zone file and in order; none where the name or the type is not there."""

    values: tuple[str, ...]
    ttl: float | None  # seconds it may be kept, of a cache what is left of them; None: there are no values
    is_authoritative: bool
    rcode: str  # NOERROR, NXDOMAIN


async def ask(server: Address, name: str, kind: str) -> Answer:
    """Ask one server for one record set. Raises: Unreachable where it does not answer, or says that it cannot."""
    query = dns.message.make_query(dns.name.from_text(name), kind)
    where = f"the name server at {server}"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            host = await numeric(server)
            answer = await _answer(query, host, server.port)
    except TimeoutError as error:
        raise Unreachable(f"{where} does not answer for {printable(name)} {kind} within {ANSWER_SECONDS:g} s") from error
    except (OSError, dns.exception.DNSException) as error:
        raise Unreachable(f"{where} cannot be asked for {printable(name)} {kind}: {one_line(str(error))}") from error
    rcode = dns.rcode.to_text(answer.rcode())
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise Unreachable(f"{where} answers {rcode} for {printable(name)} {kind}", hint="see its log")
    found = next((one for one in answer.answer if one.rdtype == dns.rdatatype.from_text(kind)), None)
    return Answer(
        values=tuple(sorted(one.to_text() for one in found)) if found is not None else (),
        ttl=float(found.ttl) if found is not None else None,
        is_authoritative=bool(answer.flags & dns.flags.AA),
        rcode=rcode,
    )


async def numeric(server: Address) -> str:
    """The numeric address of a server. Raises: Unreachable."""
    try:
        (first, *_) = await resolve(server)
    except OSError as error:
        raise Unreachable(f"the name {server.host} cannot be looked up: {one_line(str(error))}") from error
    return first.host


async def _answer(query: dns.message.Message, host: str, port: int) -> dns.message.Message:
    while True:  # until the caller's limit
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(query, host, timeout=_TRY_SECONDS, port=port)
        except dns.exception.Timeout:
            continue
        return answer
