"""Whom the configuration names as the one who chooses the primary of a cluster, and how that is asked."""

from dbre.capabilities.ha.config_document import HaClusterDocument
from dbre.capabilities.ha.consulted import Consult, Consulted
from dbre.capabilities.ha.patroni.consultation import PatroniConsulted
from dbre.capabilities.ha.patroni.word import read_word
from dbre.capabilities.ha.sentinel.words import read_words
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet

__all__ = ["consultation"]


def consultation(document: HaClusterDocument, fleet: Fleet, cluster: Cluster, clock: Clock) -> Consult | None:
    """How it is asked; None where the servers are on their own."""
    patroni, sentinel = document.patroni, document.sentinel

    async def ask_patroni() -> Consulted:
        assert patroni is not None  # noqa: S101 - see below
        return PatroniConsulted(word=await read_word(patroni, fleet, cluster, clock))

    async def ask_sentinels() -> Consulted:
        assert sentinel is not None  # noqa: S101 - see below
        return await read_words(sentinel, fleet, cluster)

    return ask_patroni if patroni is not None else ask_sentinels if sentinel is not None else None
