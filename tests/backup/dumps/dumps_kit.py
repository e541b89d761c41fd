"""What tests of dumps share: where programs run, and directories that the servers' account may enter."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import give
from dbre.engines.postgres.dumps.port import PostgresDumps
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.model import CopyFacts, CopyKind, CopyOrder, Place, RecoveryTarget, TargetKind

LATEST = RecoveryTarget(kind=TargetKind.LATEST)


ODD = "od\"d na'me; \\! true"


@dataclass(frozen=True, kw_only=True)
class Dumped:
    """A server and its dump."""

    site: Site
    server: PostgresServer
    port: PostgresDumps
    directory: Path
    facts: CopyFacts


def place_of(site: Site) -> Place:
    return Place(account=site.account, cache=site.cache)


@contextmanager
def room_in(site: Site) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="dumps-", dir=site.directory))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def own(path: Path, site: Site) -> Path:
    """A new directory of the servers' account."""
    path.mkdir(mode=0o700)
    give(path, site.account)
    return path


async def quiet(_done: int, _total: int | None) -> None:
    """A progress that nobody watches."""


def order_of(directory: Path, *databases: str) -> CopyOrder:
    return CopyOrder(set_id=directory.name, kind=CopyKind.LOGICAL, directory=directory, databases=databases)


def recover_order(directory: Path, target: RecoveryTarget = LATEST) -> RecoverOrder:
    return RecoverOrder(directory=directory, target=target, log=None, is_faithful=False, timeout_seconds=300.0)
