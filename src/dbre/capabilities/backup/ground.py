"""What every operation, command and part of backups stands on; the composition root builds it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.backup.documents import BackupDocument, PolicyDocument, VaultDocument
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster, Fleet
from dbre.core.selector import Selector
from dbre.core.store import Store
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import Place
from dbre.ports.engine import EngineRegistry, Server
from dbre.ports.restored_checks import RestoredCheck

__all__ = ["AfterRestore", "BackupGround"]

AfterRestore = Callable[[Server, str], Awaitable[Mapping[str, object]]]
"""What is done to a restored server before people may use it, such as erasures; gets server and cluster, gives evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupGround:
    """What backups stand on. ``store`` is None where a vault is read with no state store."""

    fleet: Fleet
    engines: EngineRegistry
    clock: Clock
    store: Store | None
    settings: BackupDocument
    vaults: Sequence[VaultDocument]
    directory: Path  # spool and staging; made at the first use, 0711, its parts belong to the place's account
    find_place: Callable[[], Place]  # may raise NoUsableAccount, DirectoryUnusable: only who runs programs asks
    find_signing_key: Callable[[], Awaitable[SigningKey | None]]  # of the audit log; it also signs what is put into vaults
    checks: Sequence[RestoredCheck] = ()
    after_restore: Sequence[AfterRestore] = ()

    @property
    def place(self) -> Place:
        """Where and as whom the engines' programs run. Raises: NoUsableAccount, DirectoryUnusable."""
        return self.find_place()

    def policy_of(self, cluster: str) -> PolicyDocument | None:
        """The first policy that selects a cluster; None: it is not backed up by us."""
        found = self.fleet.cluster(cluster)
        return next((one for one in self.settings.policies if selects(one, found)), None)

    def require_policy(self, cluster: str) -> PolicyDocument:
        """The policy of a cluster. Raises: UsageError."""
        found = self.policy_of(cluster)
        if found is None:
            raise UsageError(f"no backup policy selects cluster {cluster}", hint="add one to backup.policies of dbre.yaml")
        return found

    def port_of(self, cluster: Cluster, *, provider: str = "native") -> BackupPort:
        """How the engine of a cluster is backed up. Raises: Unsupported."""
        engine = self.engines.get(cluster.engine)
        return engine.dumps(self.place) if provider == "dump" else engine.backups(self.place)


def selects(policy: PolicyDocument, cluster: Cluster) -> bool:
    """Whether a policy is for a cluster."""
    return Selector.of(policy.selector).allows(cluster.labels)
