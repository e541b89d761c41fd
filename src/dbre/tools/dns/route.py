"""DNS as a route: one record set, swapped where it still is what it was, and seen at its server and at resolvers."""

from collections.abc import Sequence

from dbre.core.errors import DbreError, Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.text import printable
from dbre.ports.route import RouteChanged, RouteCheck, RouteState
from dbre.tools.dns.answers import Answer, ask
from dbre.tools.dns.dynamic_zone import DynamicZone, NotAsBefore
from dbre.tools.dns.record import DnsRecord, values_from, words_of
from dbre.tools.dns.resolvers import ttl_checks, value_checks

__all__ = ["DnsRoute"]


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
            addresses=tuple(self._record.address_of(one) for one in answer.values),
            value=words_of(answer.values),
            linger_seconds=answer.ttl or 0.0,
        )

    async def check(self, address: Address) -> Sequence[RouteCheck]:
        """The key, the records, and for how long clients may keep what they have."""
        answer = await self._authority()
        wanted = await self._record.value_of(address)
        low = self._record.ttl
        remedy = f"lower it, and wait until the old one has passed: dbre ha route ttl CLUSTER --route {self.name}"
        found = [
            RouteCheck(name="value", is_ok=True, seen=words_of(answer.values), wanted=f"can become {wanted}"),
            await self._check_key(answer),
            RouteCheck(
                name="ttl", is_ok=(answer.ttl or 0.0) <= low, seen=f"{answer.ttl or 0:g} s", wanted=f"at most {low:g} s",
                remedy=remedy, is_advice=True,
            ),
        ]  # fmt: skip
        return [*found, *await ttl_checks(self._resolvers, self._record, remedy=remedy)]

    async def pause(self, *, limit_seconds: float) -> None:
        """DNS holds nobody back."""

    async def resume(self) -> None:
        """Nobody is held back."""

    async def point_to(self, address: Address, *, before: RouteState) -> None:
        """Swap the record set in one signed message."""
        await self._swap(values_from(before.value), (await self._record.value_of(address),), ttl=None)

    async def cut(self, address: Address) -> int:  # noqa: ARG002 -- as every route
        """No connection goes through DNS."""
        return 0

    async def verify(self, address: Address) -> Sequence[RouteCheck]:
        """What the server of the zone and each resolver say."""
        wanted = (await self._record.value_of(address),)
        answer = await self._authority()
        found = [
            RouteCheck(
                name="authoritative", is_ok=answer.values == wanted, seen=words_of(answer.values), wanted=words_of(wanted),
                remedy="ask again; or see who changed it",
            )
        ]  # fmt: skip
        return [*found, *await value_checks(self._resolvers, self._record, wanted)]

    async def undo(self, address: Address, *, before: RouteState) -> None:
        """The inverse swap."""
        await self._swap((await self._record.value_of(address),), values_from(before.value), ttl=before.linger_seconds)

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
                f"{printable(self._record.name)} is {words_of(now.values)}, and not {words_of(old)} as it was",
                hint="somebody else changed it; look, and plan again",
                context={"route": self.name, "value": words_of(now.values)},
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
