"""DNS as a route: one record set, swapped where it still is what it was, and seen at its server and at resolvers."""

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbre.core.errors import DbreError, Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.network import resolve
from dbre.core.text import printable
from dbre.ports.route import RouteChanged, RouteCheck, RouteState
from dbre.tools.dns.answers import Answer, ask
from dbre.tools.dns.dynamic_zone import DynamicZone, NotAsBefore

__all__ = ["DnsRecord", "DnsRoute"]

_LOOK_UP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsRecord:
    """The record by which clients find the primary."""

    name: str
    kind: str = "A"  # AAAA, CNAME
    port: int  # of the database: a name leads to no port
    ttl: float = 5.0  # seconds, which it should have while the primary may change
    values: Mapping[Address, str] = field(default_factory=dict)  # what stands for an instance, where it is not its address


class DnsRoute:
    """One record set of a zone that takes dynamic updates."""

    kind = "dns"
    can_pause = False

    def __init__(self, name: str, record: DnsRecord, zone: DynamicZone, *, resolvers: Sequence[Address] = ()) -> None:
        self.name = name
        self._record = record
        self._zone = zone
        self._resolvers = tuple(resolvers)

    async def current(self) -> RouteState:
        """What the server of the zone says."""
        answer = await self._authority()
        return RouteState(
            addresses=tuple(self._address(one) for one in answer.values),
            value=_words(answer.values),
            linger_seconds=answer.ttl or 0.0,
        )

    async def check(self, address: Address) -> Sequence[RouteCheck]:
        """The key, the records, and for how long clients may keep what they have."""
        answer = await self._authority()
        wanted = await self._value(address)
        low = self._record.ttl
        remedy = f"lower it, and wait until the old one has passed: dbre ha route ttl CLUSTER --route {self.name}"
        found = [
            RouteCheck(name="value", is_ok=True, seen=_words(answer.values), wanted=f"can become {wanted}"),
            await self._check_key(answer),
            RouteCheck(
                name="ttl", is_ok=(answer.ttl or 0.0) <= low, seen=f"{answer.ttl or 0:g} s", wanted=f"at most {low:g} s",
                remedy=remedy, is_advice=True,
            ),
        ]  # fmt: skip
        for resolver, heard in await self._heard():
            is_low = isinstance(heard, Answer) and (heard.ttl or 0.0) <= low
            seen = heard.message if isinstance(heard, DbreError) else f"may keep it for {heard.ttl or 0:g} s more"
            found.append(
                RouteCheck(
                    name=f"ttl at {resolver}",
                    is_ok=is_low,
                    seen=seen,
                    wanted=f"at most {low:g} s",
                    remedy=remedy,
                    is_advice=True,
                )
            )
        return found

    async def pause(self, *, limit_seconds: float) -> None:
        """DNS holds nobody back."""

    async def resume(self) -> None:
        """Nobody is held back."""

    async def point_to(self, address: Address, *, before: RouteState) -> None:
        """Swap the record set in one signed message."""
        await self._swap(_parsed(before.value), (await self._value(address),), ttl=None)

    async def cut(self, address: Address) -> int:  # noqa: ARG002 -- as every route
        """No connection goes through DNS."""
        return 0

    async def verify(self, address: Address) -> Sequence[RouteCheck]:
        """What the server of the zone and each resolver say."""
        wanted = (await self._value(address),)
        answer = await self._authority()
        found = [
            RouteCheck(
                name="authoritative", is_ok=answer.values == wanted, seen=_words(answer.values), wanted=_words(wanted),
                remedy="ask again; or see who changed it",
            )
        ]  # fmt: skip
        for resolver, heard in await self._heard():
            is_ok = isinstance(heard, Answer) and heard.values == wanted
            seen = heard.message if isinstance(heard, DbreError) else _words(heard.values)
            left = 0.0 if isinstance(heard, DbreError) or is_ok else heard.ttl or 0.0
            remedy = f"it may keep the old answer for {left:g} s more" if left else "see that it answers"
            found.append(RouteCheck(name=f"resolver {resolver}", is_ok=is_ok, seen=seen, wanted=_words(wanted), remedy=remedy))
        return found

    async def undo(self, address: Address, *, before: RouteState) -> None:
        """The inverse swap."""
        await self._swap((await self._value(address),), _parsed(before.value), ttl=before.linger_seconds)

    async def set_ttl(self, ttl: float) -> float:
        """Give the record set another time to live, its values as they are; the time it had: after that the new one counts.

        Raises: RouteChanged where somebody changed the values meanwhile.
        """
        answer = await self._authority()
        if not answer.values:
            raise UsageError(f"{printable(self._record.name)} has no {self._record.kind} record", hint="make it first")
        if answer.ttl != ttl:
            await self._apply(answer.values, answer.values, ttl=ttl)
        return answer.ttl or 0.0

    async def _swap(self, old: tuple[str, ...], new: tuple[str, ...], *, ttl: float | None) -> None:
        answer = await self._authority()
        if answer.values == new and (ttl is None or answer.ttl == ttl):
            return
        await self._apply(new if answer.values == new else old, new, ttl=answer.ttl or self._record.ttl if ttl is None else ttl)

    async def _apply(self, old: Sequence[str], new: Sequence[str], *, ttl: float) -> None:
        try:
            await self._zone.swap(self._record.name, self._record.kind, old=old, new=new, ttl=ttl)
        except NotAsBefore as error:
            now = await self._authority()
            raise RouteChanged(
                f"{printable(self._record.name)} is {_words(now.values)}, and not {_words(old)} as it was",
                hint="somebody else changed it; look, and plan again",
                context={"route": self.name, "value": _words(now.values)},
            ) from error
        except Unreachable:  # the answer may be lost, and not the update
            if (await self._authority()).values != tuple(sorted(new)):
                raise

    async def _check_key(self, answer: Answer) -> RouteCheck:
        try:
            await self._zone.compare(self._record.name, self._record.kind, answer.values)
        except NotAsBefore:
            return RouteCheck(name="update_key", is_ok=False, seen="the records change right now", wanted="records at rest")
        except DbreError as error:
            return RouteCheck(name="update_key", is_ok=False, seen=error.message, wanted="accepted", remedy=error.hint)
        return RouteCheck(name="update_key", is_ok=True, seen="accepted", wanted="accepted")

    async def _authority(self) -> Answer:
        answer = await ask(self._zone.server, self._record.name, self._record.kind)
        if not answer.is_authoritative:
            raise UsageError(
                f"the name server at {self._zone.server} has no authority over {printable(self._record.name)}",
                hint="name the server that is primary for the zone",
            )
        return answer

    async def _heard(self) -> list[tuple[Address, Answer | DbreError]]:
        async def one(resolver: Address) -> tuple[Address, Answer | DbreError]:
            try:
                return resolver, await ask(resolver, self._record.name, self._record.kind)
            except DbreError as error:
                return resolver, error

        return list(await asyncio.gather(*map(one, self._resolvers)))

    def _address(self, value: str) -> Address:
        for address, own in self._record.values.items():
            if own.rstrip(".") == value.rstrip("."):
                return address
        return Address(value.rstrip("."), self._record.port)

    async def _value(self, address: Address) -> str:
        """What the record says for an instance. Raises: UsageError, Unreachable."""
        text = self._record.values.get(address)
        if self._record.kind == "CNAME":
            return (text or address.host).rstrip(".") + "."
        host = Address(text or address.host, address.port)
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                found = [ipaddress.ip_address(one.host) for one in await resolve(host)]
        except (OSError, TimeoutError) as error:
            raise Unreachable(
                f"the name {host.host} cannot be looked up: {error}", hint="see that this machine resolves it"
            ) from error
        version = 6 if self._record.kind == "AAAA" else 4
        value = next((str(one) for one in found if one.version == version), None)
        if value is None:
            raise UsageError(
                f"{host.host} has no address for a record of type {self._record.kind}",
                hint="write it under targets: of the route",
            )
        return value


def _words(values: Sequence[str]) -> str:
    return " ".join(values) or "none"


def _parsed(text: str) -> tuple[str, ...]:
    """The opposite of ``_words``."""
    return () if text == "none" else tuple(text.split(" "))
