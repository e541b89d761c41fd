"""What the Sentinels of a cluster say at one moment; implements ``Consulted``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.addresses import AddressBook
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.sentinel.config_document import DEFAULT_PORT, SentinelDocument
from dbre.capabilities.ha.sentinel.findings import sentinel_findings
from dbre.capabilities.ha.verdict import Lease
from dbre.core.checks import Finding
from dbre.core.errors import DbreError
from dbre.core.fleet import Address, Cluster, Fleet
from dbre.core.secrets import prepare_secrets
from dbre.core.view import Row
from dbre.tools.sentinel import SentinelAccess, SentinelClient, SentinelWord

__all__ = ["SentinelWords", "read_words", "sentinels_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelWords:
    """What each of them said, or why it did not, in the order of the configuration."""

    name: str
    book: AddressBook  # who is meant by the addresses that they name
    words: tuple[SentinelWord | DbreError, ...]

    @property
    def answers(self) -> list[SentinelWord]:
        """Those who answered."""
        return [one for one in self.words if isinstance(one, SentinelWord)]

    @property
    def primary(self) -> Address | None:
        """Whom a majority of all configured Sentinels names; None where there is no such majority."""
        counted = Counter(one.primary for one in self.answers if one.primary is not None)
        address, votes = next(iter(counted.most_common(1)), (None, 0))
        return address if votes * 2 > len(self.words) else None

    def findings(self, topology: Topology) -> list[Finding]:
        """What is wrong with them, or between them and the databases."""
        return sentinel_findings(topology, self.name, self.words, self.primary, self.book)

    def lease(self, topology: Topology) -> Lease | None:
        """A majority is what a lease is elsewhere: without it nobody is promoted."""
        if not self.answers:
            return None
        node = topology.node(self.instance_of(self.primary)) if self.primary is not None else None
        is_writable = node.view.is_writable if node is not None and node.view is not None else None
        return Lease(has_quorum=any(one.quorum_error is None for one in self.answers), holder_is_writable=is_writable)

    def holder(self) -> str | None:
        """Whom they call primary."""
        return self.instance_of(self.primary) if self.primary is not None else None

    def instance_of(self, address: Address | None) -> str:
        """An address by its name in the inventory, where it has one."""
        found = self.book.at(address) if address is not None else None
        return found.name if found is not None else str(address)

    def document(self) -> Row:
        """All of it, for a program."""
        return {
            "manager": "sentinel",
            "name": self.name,
            "leader": str(self.primary) if self.primary is not None else None,
            "leader_instance": self.instance_of(self.primary) if self.primary is not None else None,
            "sentinels": [
                {"error": one.message}
                if isinstance(one, DbreError)
                else {
                    "address": str(one.sentinel),
                    "primary": str(one.primary) if one.primary is not None else None,
                    "epoch": one.epoch,
                    "others": one.others,
                    "quorum": one.quorum,
                    "down_after_ms": one.down_after_ms,
                    "quorum_error": one.quorum_error,
                }
                for one in self.words
            ],
        }

    def lines(self) -> Sequence[str]:
        """Whom they name, and how many answer."""
        whom = self.instance_of(self.primary) if self.primary is not None else "nobody by majority"
        needed = next((f", {one.quorum} must find it dead" for one in self.answers if one.quorum is not None), "")
        return [f"Sentinels of {self.name}: primary is {whom}; {len(self.answers)} of {len(self.words)} answer{needed}"]


def sentinels_of(document: SentinelDocument, cluster: Cluster) -> SentinelClient:
    """The Sentinels of a cluster."""
    return SentinelClient(
        SentinelAccess(
            addresses=tuple(Address.parse(one, default_port=DEFAULT_PORT) for one in document.addresses),
            master_name=document.name or cluster.name,
            user=document.user,
            password=document.password.secret() if document.password is not None else None,
            timeout_seconds=document.timeout.total_seconds(),
        )
    )


async def read_words(document: SentinelDocument, fleet: Fleet, cluster: Cluster) -> SentinelWords:
    """Ask them all side by side; one that does not answer is told, and does not fail. Raises: SecretUnavailable."""
    if document.password is not None:
        await prepare_secrets([document.password.secret()])
    words = await sentinels_of(document, cluster).words()
    book = AddressBook(fleet, cluster.engine)
    named = [one.primary for one in words if isinstance(one, SentinelWord)]
    named += [replica.address for one in words if isinstance(one, SentinelWord) for replica in one.replicas]
    await book.learn(one.host for one in named if one is not None)
    await book.learn(one.address.host for one in cluster.instances)
    return SentinelWords(name=document.name or cluster.name, book=book, words=words)
