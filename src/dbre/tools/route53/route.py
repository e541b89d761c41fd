"""Route 53 as a route: as DNS, with a batch of changes in the place of a signed update."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from dbre.core.errors import Unreachable
from dbre.core.fleet import Address
from dbre.core.text import printable
from dbre.ports.route import RouteChanged, RouteCheck, RouteState
from dbre.tools.dns.record import DnsRecord, values_from, words_of
from dbre.tools.route53.hosted_zone import HostedZone, NotAsBefore, RecordSet, ZoneAccess

__all__ = ["Route53Route"]


class Route53Route:
    """One record set of a hosted zone. ``resolvers`` are asked in addition, which needs the extra ``dns``."""

    kind = "route53"
    can_pause = False

    def __init__(self, name: str, record: DnsRecord, access: ZoneAccess, *, resolvers: Sequence[Address] = ()) -> None:
        self.name = name
        self._record = record
        self._access = access
        self._resolvers = tuple(resolvers)
        self._change: str | None = None  # the last one that was sent

    async def current(self) -> RouteState:
        """What the hosted zone holds."""
        now = await self._read()
        return RouteState(
            addresses=tuple(self._record.address_of(one) for one in now.values),
            value=words_of(now.values),
            linger_seconds=float(now.ttl),
        )

    async def check(self, address: Address) -> Sequence[RouteCheck]:
        """The records, and for how long clients may keep what they have; rights to change show only with a change."""
        now, wanted, low = await self._read(), await self._record.value_of(address), self._record.ttl
        remedy = f"lower it, and wait until the old one has passed: dbre ha route ttl CLUSTER --route {self.name}"
        found = [
            RouteCheck(name="value", is_ok=True, seen=words_of(now.values), wanted=f"can become {wanted}"),
            RouteCheck(
                name="ttl",
                is_ok=now.ttl <= low,
                seen=f"{now.ttl} s",
                wanted=f"at most {low:g} s",
                remedy=remedy,
                is_advice=True,
            ),
        ]
        if self._resolvers:
            from dbre.tools.dns.resolvers import ttl_checks

            found += await ttl_checks(self._resolvers, self._record, remedy=remedy)
        return found

    async def pause(self, *, limit_seconds: float) -> None:
        """DNS holds nobody back."""

    async def resume(self) -> None:
        """Nobody is held back."""

    async def point_to(self, address: Address, *, before: RouteState) -> None:
        """Swap the record set in one batch."""
        await self._swap(values_from(before.value), (await self._record.value_of(address),), ttl=None)

    async def cut(self, address: Address) -> int:  # noqa: ARG002 -- as every route
        """No connection goes through DNS."""
        return 0

    async def verify(self, address: Address) -> Sequence[RouteCheck]:
        """What the hosted zone holds, whether all name servers of Route 53 have it, and what resolvers say."""
        wanted, now = (await self._record.value_of(address),), await self._read()
        found = [
            RouteCheck(
                name="hosted_zone", is_ok=now.values == wanted, seen=words_of(now.values), wanted=words_of(wanted),
                remedy="see who changed it",
            )
        ]  # fmt: skip
        if self._change is not None:
            is_everywhere = await asyncio.to_thread(self._zone.is_everywhere, self._change)
            seen = "INSYNC" if is_everywhere else "PENDING"
            found.append(
                RouteCheck(
                    name="propagated", is_ok=is_everywhere, seen=seen, wanted="INSYNC", remedy="ask again in some seconds"
                )
            )
        if self._resolvers:
            from dbre.tools.dns.resolvers import value_checks

            found += await value_checks(self._resolvers, self._record, wanted)
        return found

    async def undo(self, address: Address, *, before: RouteState) -> None:
        """The inverse swap."""
        await self._swap((await self._record.value_of(address),), values_from(before.value), ttl=before.linger_seconds)

    async def set_ttl(self, ttl: float) -> float:
        """Give the record set another time to live; the one it had."""
        now = await self._read()
        if now.ttl != round(ttl):
            await self._send(now, replace(now, ttl=round(ttl)))
        return float(now.ttl)

    async def _swap(self, old: tuple[str, ...], new: tuple[str, ...], *, ttl: float | None) -> None:
        now = await self._read()
        goal = RecordSet(values=new, ttl=now.ttl if ttl is None else round(ttl))
        if now == goal:
            return
        if now.values not in (old, new):
            raise self._changed(now, old)
        await self._send(now, goal)

    async def _send(self, now: RecordSet, goal: RecordSet) -> None:
        try:
            self._change = await asyncio.to_thread(self._zone.swap, self._record.name, self._record.kind, old=now, new=goal)
        except (NotAsBefore, Unreachable) as error:
            found = await self._read()  # the answer may be lost, and not the change
            if found == goal:
                return
            if isinstance(error, NotAsBefore):
                raise self._changed(found, now.values) from error
            raise

    def _changed(self, now: RecordSet, old: Sequence[str]) -> RouteChanged:
        return RouteChanged(
            f"{printable(self._record.name)} is {words_of(now.values)}, and not {words_of(old)} as it was",
            hint="somebody else changed it; look, and plan again",
            context={"route": self.name, "value": words_of(now.values)},
        )

    async def _read(self) -> RecordSet:
        return await asyncio.to_thread(lambda: self._zone.read(self._record.name, self._record.kind))

    @cached_property
    def _zone(self) -> HostedZone:
        return HostedZone(self._access)
