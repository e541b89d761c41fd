"""What resolvers say of a record, each asked for itself: who is led to the old primary still, and for how long."""

import asyncio
from collections.abc import Sequence

from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.ports.route import RouteCheck
from dbre.tools.dns.answers import Answer, ask
from dbre.tools.dns.record import DnsRecord, words_of

__all__ = ["ttl_checks", "value_checks"]


async def ttl_checks(resolvers: Sequence[Address], record: DnsRecord, *, remedy: str) -> list[RouteCheck]:
    """For how long each may keep what it has now."""
    found = []
    for resolver, heard in await _heard(resolvers, record):
        is_low = isinstance(heard, Answer) and (heard.ttl or 0.0) <= record.ttl
        seen = heard.message if isinstance(heard, DbreError) else f"may keep it for {heard.ttl or 0:g} s more"
        wanted = f"at most {record.ttl:g} s"
        found.append(
            RouteCheck(name=f"ttl at {resolver}", is_ok=is_low, seen=seen, wanted=wanted, remedy=remedy, is_advice=True)
        )
    return found


async def value_checks(resolvers: Sequence[Address], record: DnsRecord, wanted: tuple[str, ...]) -> list[RouteCheck]:
    """Whether each says what it should."""
    found = []
    for resolver, heard in await _heard(resolvers, record):
        is_ok = isinstance(heard, Answer) and heard.values == wanted
        seen = heard.message if isinstance(heard, DbreError) else words_of(heard.values)
        left = 0.0 if isinstance(heard, DbreError) or is_ok else heard.ttl or 0.0
        remedy = f"it may keep the old answer for {left:g} s more" if left else "see that it answers"
        found.append(
            RouteCheck(
                name=f"resolver {resolver}",
                is_ok=is_ok,
                seen=seen,
                wanted=words_of(wanted),
                remedy=remedy,
                is_advice=True,
            )
        )
    return found


async def _heard(resolvers: Sequence[Address], record: DnsRecord) -> list[tuple[Address, Answer | DbreError]]:
    async def one(resolver: Address) -> tuple[Address, Answer | DbreError]:
        try:
            return resolver, await ask(resolver, record.name, record.kind)
        except DbreError as error:
            return resolver, error

    return list(await asyncio.gather(*map(one, resolvers)))
