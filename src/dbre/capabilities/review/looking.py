"""One look at a cluster: its instances, who answers, and what the others say when they are asked side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Denied, Unsupported
from dbre.core.fleet import Address, Cluster
from dbre.core.secrets import prepare_secrets
from dbre.ports.contact import CONCURRENT_SERVERS, contact
from dbre.ports.engine import Engine, EngineRegistry, Server
from dbre.ports.session import LoginFacts, ServerIdentity

__all__ = ["Answers", "ClusterLook", "Contacted"]

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacted:
    """What came of the first contact with one address."""

    name: str  # of the instance, or of the endpoint and the address
    address: Address
    is_instance: bool
    identity: ServerIdentity | None
    login: LoginFacts | None
    privileges: frozenset[str] | None
    error: DbreError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(Generic[Answer]):
    """What the instances that answer at all said to one question, by name."""

    given: Mapping[str, Answer]
    failed: Mapping[str, DbreError]
    impossible: Mapping[str, DbreError]  # a privilege or a feature is missing


class ClusterLook:
    """Contacts every address once, and remembers; each further question goes to the instances that answered."""

    def __init__(
        self,
        cluster: Cluster,
        engines: EngineRegistry,
        clock: Clock,
        *,
        application_name: str,
        limit: asyncio.Semaphore | None = None,
    ) -> None:
        self.cluster = cluster
        self.clock = clock
        self._engines = engines
        self._application_name = application_name
        self._limit = limit or asyncio.Semaphore(CONCURRENT_SERVERS)
        self._contacted: asyncio.Task[tuple[Contacted, ...]] | None = None

    @property
    def engine(self) -> Engine:
        """The cluster's engine. Raises: UsageError, Unsupported."""
        return self._engines.get(self.cluster.engine)

    async def addresses(self) -> tuple[Contacted, ...]:
        """Instances first, then the addresses of endpoints that are none.

        Raises: SecretUnavailable; UsageError or Unsupported where there is no such engine.
        """
        if self._contacted is None:
            self._contacted = asyncio.ensure_future(self._contact_all())
        return await self._contacted

    async def instances(self) -> tuple[Contacted, ...]:
        """The instances of the inventory, whether they answered or not."""
        return tuple(one for one in await self.addresses() if one.is_instance)

    async def ask(self, question: Callable[[Server], Awaitable[Answer]]) -> Answers[Answer]:
        """Ask every instance that answered at the first contact."""

        async def one(contacted: Contacted) -> Answer | DbreError:
            try:
                async with (
                    self._limit,
                    contact(self._engines, self.cluster, contacted.address, purpose=self._application_name) as server,
                ):
                    return await question(server)
            except DbreError as error:
                return error

        asked = [one for one in await self.instances() if one.identity is not None]
        answers = dict(zip([each.name for each in asked], await asyncio.gather(*map(one, asked)), strict=True))
        errors = {name: answer for name, answer in answers.items() if isinstance(answer, DbreError)}
        impossible = {name: error for name, error in errors.items() if isinstance(error, Denied | Unsupported)}
        return Answers(
            given={name: answer for name, answer in answers.items() if not isinstance(answer, DbreError)},
            failed={name: error for name, error in errors.items() if name not in impossible},
            impossible=impossible,
        )

    async def _contact_all(self) -> tuple[Contacted, ...]:
        self._engines.get(self.cluster.engine)
        await prepare_secrets([self.cluster.password])
        return tuple(await asyncio.gather(*(self._contact(*target) for target in _targets(self.cluster))))

    async def _contact(self, name: str, address: Address, is_instance: bool) -> Contacted:
        identity: ServerIdentity | None = None
        login: LoginFacts | None = None
        privileges: frozenset[str] | None = None
        failure: DbreError | None = None
        try:
            async with self._limit, contact(self._engines, self.cluster, address, purpose=self._application_name) as server:
                identity = await server.session.identify()
                if is_instance:
                    privileges = await server.session.privileges()
                    login = await server.session.login()
        except DbreError as error:
            failure = error
        return Contacted(
            name=name,
            address=address,
            is_instance=is_instance,
            identity=identity,
            login=login,
            privileges=privileges,
            error=failure,
        )


def _targets(cluster: Cluster) -> Iterator[tuple[str, Address, bool]]:
    seen = {instance.address for instance in cluster.instances}
    for instance in cluster.instances:
        yield instance.name, instance.address, True
    for endpoint in cluster.endpoints:
        for address in endpoint.addresses:
            if address not in seen:
                seen.add(address)
                yield f"{endpoint} {address}", address, False
