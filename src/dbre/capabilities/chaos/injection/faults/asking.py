"""A fault that the server itself makes when it is asked to: the engine's facet ``mischief`` does it, and undoes it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from dbre.capabilities.chaos.injection.model import Fault, FaultKind, Parameters, Scene, Sighting
from dbre.ports.mischief import Deed, DeedPort

__all__ = ["Asked", "AskedFault", "asked_of_server"]


class Asked(Parameters):
    """Parameters that the engine reads as they are; without more fields there is nothing to choose."""

    def asked(self) -> dict[str, Any]:
        """For the engine's facet."""
        return self.model_dump(mode="json")


class AskedFault(Fault):
    """One deed of the engine, under a lease."""

    def __init__(self, scene: Scene, deed: Deed) -> None:
        super().__init__(scene)
        engine = scene.engines.get(scene.engine)
        self._deed: DeedPort = engine.mischief(scene.access).deed(deed, scene.access.application_name)

    async def prepare(self) -> Mapping[str, Any]:
        """What undoing needs, as the engine says."""
        return await self._deed.prepare({**self.scene.parameters.asked(), "seconds": self.scene.seconds})

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the server for it."""
        return await self._deed.begin(inverse)

    async def tend(self, inverse: Mapping[str, Any]) -> None:
        """Renew it, or keep its limit."""
        await self._deed.tend(inverse)

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Ask the server whether it is on."""
        found = await self._deed.look(inverse)
        return Sighting(found.is_on, found.detail)

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Ask the server to undo it."""
        await self._deed.end(inverse)


def asked_of_server(deed: Deed, **words: Any) -> FaultKind:
    """An entry of the catalogue that is nothing but a deed of the engine."""
    return FaultKind(make=partial(AskedFault, deed=deed), deed=deed, **words)
