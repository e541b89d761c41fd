"""The toxics of queries: for each query of one connection it is drawn anew whether a toxic gets it."""

from random import Random
from typing import TYPE_CHECKING

from dbre.capabilities.chaos.proxy.chance import Chance
from dbre.capabilities.chaos.proxy.counts import Counts
from dbre.ports.wire import PASS, Decision, InjectedError, Request, TlsRequest, WirePort, WireSession

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbre.capabilities.chaos.proxy.toxic import Toxic

__all__ = ["Queries"]


class Queries:
    """Decides for one connection."""

    def __init__(self, connection: int, chance: Chance, counts: Counts) -> None:
        self.toxics: Sequence[Toxic] = ()
        self._connection, self._chance, self._counts = connection, chance, counts
        self._sources: dict[str, Random] = {}
        self._session: WireSession | None = None

    @property
    def is_opaque(self) -> bool:
        """Whether the connection's queries cannot be seen."""
        return self._session is not None and self._session.is_opaque

    def attach(self, wire: WirePort, tls: TlsRequest) -> WireSession:
        """The session of this connection."""
        self._session = wire.session(self.decide, tls)
        return self._session

    def decide(self, statement: Request) -> Decision:
        """What becomes of a query: delays add up; of the others the first one that hits counts."""
        self._counts.units += 1
        if not self.toxics:
            return PASS
        delay = 0.0
        for toxic in self.toxics:
            if not toxic.match.covers(statement):
                continue
            self._counts.ask(toxic.name)
            source = self._source(toxic.name)
            if source.random() >= toxic.toxicity:
                continue
            self._counts.hit(toxic.name)
            if toxic.type == "latency":
                jitter = toxic.attributes["jitter"]
                delay += max(toxic.attributes["latency"] + (source.uniform(-jitter, jitter) if jitter else 0.0), 0.0) / 1000
            elif toxic.type == "error":
                error = InjectedError(code=toxic.attributes["code"], message=toxic.attributes["message"])
                return Decision(delay_seconds=delay, error=error)
            else:
                return Decision(delay_seconds=delay, is_dropped=toxic.type == "timeout", is_reset=toxic.type == "reset_peer")
        return Decision(delay_seconds=delay) if delay else PASS

    def as_document(self) -> dict[str, object]:
        """What the API tells of the connection's user."""
        session = self._session
        if session is None:
            return {}
        return {"user": session.user, "database": session.database, "why_opaque": session.why_opaque}

    def _source(self, toxic: str) -> Random:
        found = self._sources.get(toxic)
        if found is None:
            found = self._sources[toxic] = self._chance.source(toxic, self._connection)
        return found
