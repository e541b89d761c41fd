"""Patroni as one who is consulted beside the databases."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.patroni.findings import lease_of, patroni_findings
from dbre.capabilities.ha.patroni.view import word_document, word_lines
from dbre.capabilities.ha.patroni.word import PatroniWord
from dbre.capabilities.ha.verdict import Lease
from dbre.core.checks import Finding
from dbre.core.view import Row

__all__ = ["PatroniConsulted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatroniConsulted:
    """Implements ``Consulted``."""

    word: PatroniWord

    def findings(self, topology: Topology) -> list[Finding]:
        """What Patroni and its store add."""
        return patroni_findings(topology, self.word)

    def lease(self, topology: Topology) -> Lease | None:
        """The lease in the store."""
        return lease_of(topology, self.word)

    def holder(self) -> str | None:
        """Who holds the lease; without a quorum who held it when Patroni last knew."""
        view = self.word.view
        remembered = view.leader.name if view is not None and view.leader is not None else None
        leader = self.word.leader or remembered
        return self.word.instance_of(leader) if leader is not None else None

    def document(self) -> Row:
        """All of it."""
        return word_document(self.word)

    def lines(self) -> Sequence[str]:
        """Who leads, and how the store is."""
        return word_lines(self.word)
