"""``toxic``: connections or queries of clients are delayed, cut or failed, in a share, by a fault proxy in their way.

The proxy either stands in their way all the time (``api``), and gets the toxic for as long as the lease is renewed; or the
injector is the proxy itself (``listen``), at an endpoint that clients have in their configuration.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from dbre.capabilities.chaos.injection.model import Fault, FaultKind, Parameters, Scene, Sighting
from dbre.capabilities.chaos.proxy.running import toxic_in_words
from dbre.capabilities.chaos.proxy.service import address_from
from dbre.capabilities.chaos.proxy.toxic import toxic_from
from dbre.core.errors import UsageError

__all__ = ["TOXIC", "ToxicFault", "ToxicParameters"]


class ToxicParameters(Parameters):
    """What is done to whom, and by which proxy."""

    toxic: Annotated[str, Field(min_length=1, max_length=2000)]
    """As for ``dbre chaos proxy run --toxic``: latency,latency=200,toxicity=0.1,unit=query,match.user=app."""
    api: Annotated[str, Field(max_length=200)] | None = None
    """Where a proxy that stands in the clients' way is told: host:port on loopback."""
    token_file: Annotated[str, Field(pattern=r"^/", max_length=4000)] | None = None
    """The file of its token."""
    proxy: Annotated[str, Field(max_length=100)] = "proxy"
    """Its name."""
    listen: Annotated[str, Field(max_length=200)] | None = None
    """Where clients come while the injector is the proxy: host:port."""
    seed: int = 0
    """Chance is repeated with the same one; of an own proxy only."""

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        if (self.api is None) == (self.listen is None):
            raise UsageError("toxic needs either api or listen", hint="api: of a proxy that runs; listen: a proxy of its own")
        if (self.api is None) != (self.token_file is None):
            raise UsageError("api and token_file belong together", hint="the API obeys only those who hold the token")
        address = address_from(self.api or self.listen, "api" if self.api else "listen")
        if self.api is not None and not _is_loopback(address.host):
            raise UsageError(f"api {address} is not on loopback, where proxies listen for orders", hint="write 127.0.0.1:8474")
        toxic_from(toxic_in_words(self.toxic))
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ToxicFault(Fault):
    """One toxic of one proxy."""

    def __init__(self, scene: Scene) -> None:
        from dbre.capabilities.chaos.injection.faults.proxy_remote import StandingProxy
        from dbre.capabilities.chaos.injection.faults.proxy_thread import OwnProxy

        super().__init__(scene)
        asked: ToxicParameters = scene.parameters
        document = {**toxic_in_words(asked.toxic), "name": f"dbre-chaos-{scene.id}"}
        self._proxy: StandingProxy | OwnProxy
        if asked.api is not None and asked.token_file is not None:
            self._proxy = StandingProxy(asked.api, asked.token_file, asked.proxy, document)
        else:
            wire = scene.engines.get(scene.engine).wire if document.get("unit") == "query" else None
            self._proxy = OwnProxy(str(asked.listen), scene, document, asked.seed, wire)

    async def prepare(self) -> Mapping[str, Any]:
        """See that the proxy is there, or can be."""
        return await self._proxy.prepare()

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put the toxic on."""
        await self._proxy.put()
        return inverse

    async def tend(self, inverse: Mapping[str, Any]) -> None:  # noqa: ARG002 - the toxic bears the fault's name
        """Renew its time: without that the proxy takes it off by itself."""
        await self._proxy.renew()

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:  # noqa: ARG002 - as above
        """Ask the proxy."""
        is_on, detail = await self._proxy.look()
        return Sighting(is_on, detail)

    async def end(self, inverse: Mapping[str, Any]) -> None:  # noqa: ARG002 - as above
        """Take it off."""
        await self._proxy.take()


TOXIC = FaultKind(
    name="toxic",
    summary="a fault proxy in the clients' way delays, cuts or fails a share of connections or queries, by user, class, text",
    privilege="the token of a proxy that runs, or the right to listen at the endpoint that clients have",
    proof="the proxy's own list of toxics, with the number of those that were hit",
    undo="take the toxic off; by itself 4 s after the injector's last word, or with the injector's process",
    parameters=ToxicParameters,
    make=ToxicFault,
)
