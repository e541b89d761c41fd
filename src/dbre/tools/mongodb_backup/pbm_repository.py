"""What Percona Backup for MongoDB keeps of one cluster. Written from its documents and source, proved on no server yet."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dbre.core.errors import Unsupported
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import quoted
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import CopyFault, CopyKind, RecoveryTarget, Tool, Verified
from dbre.ports.backup.repository import ForeignSet, RepositoryFacts
from dbre.tools.mongodb_backup.pbm_documents import (
    Status,
    foreign_logs,
    parse_list,
    parse_status,
    pbm_problems,
    sets_of,
)
from dbre.tools.mongodb_backup.program import open_tools

__all__ = ["PbmRepository", "backup_words"]

_LOOK_SECONDS = 900.0
_LONG_SECONDS = 7 * 86_400.0  # the operation above has the real limit
_PROGRESS_SECONDS = 5.0


class _Made(msgspec.Struct):
    name: str


class _Version(msgspec.Struct):
    version: str = msgspec.field(name="Version", default="")


def backup_words(kind: CopyKind, *, has_base: bool) -> list[str]:
    """What PBM is asked for. Raises: Unsupported.

    >>> backup_words(CopyKind.INCREMENTAL, has_base=False)
    ['backup', '--wait', '--type=incremental', '--base']
    """
    types = {CopyKind.LOGICAL: "logical", CopyKind.FULL: "physical", CopyKind.INCREMENTAL: "incremental"}
    if kind not in types:
        raise Unsupported(f"PBM makes no {kind} copies", hint=f"it makes {', '.join(types)} copies")
    base = ["--base"] if kind is CopyKind.INCREMENTAL and not has_base else []
    return ["backup", "--wait", f"--type={types[kind]}", *base]


class PbmRepository:
    """A ``ForeignRepository``."""

    tool = "mongodb"
    engine = "mongodb"
    is_proved = False
    recovery_settings = ()

    def __init__(self, *, account: Account, config: Path | None) -> None:
        self._tools = open_tools(account=account, config=config)

    async def look(self) -> RepositoryFacts:
        """Backups and slices from ``pbm status``; ``pbm list`` tells what PBM itself would leave out."""
        status = await self._status()
        listing = parse_list((await self._tools.pbm("list", timeout_seconds=_LOOK_SECONDS)).stdout)
        system_id = _system_id(status)
        return RepositoryFacts(
            tool=Tool(name="pbm", version=await self._version(), path=None, problem=None),
            sets=sets_of(status, system_id=system_id),
            logs=foreign_logs(status, system_id=system_id),
            problems=tuple(pbm_problems(status, listing)),
        )

    async def backup(self, kind: CopyKind, progress: CopyProgress) -> ForeignSet:
        """Let PBM copy and wait for its end."""
        status = await self._status()
        has_base = any(one.type == "incremental" and one.status == "done" for one in status.snapshots)
        words = backup_words(kind, has_base=has_base)
        running = asyncio.ensure_future(self._tools.pbm(*words, timeout_seconds=_LONG_SECONDS))
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_PROGRESS_SECONDS)
                await progress(0, None)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
        lines = running.result().stdout.strip().splitlines()
        try:
            name = msgspec.json.decode(lines[-1] if lines else b"", type=_Made).name
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ProgramFailed("pbm backup ended with 0 and does not say which backup it made", hint="pbm status") from error
        after = await self._status()
        made = next((one for one in sets_of(after, system_id=_system_id(after)) if one.label == name), None)
        if made is None:
            raise ProgramFailed(f"pbm backup ended with 0, and {quoted(name, limit=60)} is not done", hint="pbm logs")
        return made

    async def verify(self, label: str | None = None) -> Verified:
        """PBM has no command that reads a backup: that is told as a fault, because nothing was looked at."""
        detail = "PBM cannot read a backup without restoring it over a cluster"
        fault = CopyFault(rule="not_verified", subject=label or "every backup", detail=detail)
        return Verified(files=0, bytes=0, seconds=0.0, faults=(fault,))

    async def restore(self, label: str, directory: Path, *, target: RecoveryTarget) -> None:  # noqa: ARG002
        """Not done: PBM restores over a running cluster, and the one at hand is the source."""
        raise Unsupported(
            f"dbre does not restore {quoted(label, limit=60)} with PBM: it would overwrite the cluster",
            hint="with the storage of this one, on another cluster, PITR and balancer off: pbm restore NAME",
        )

    async def fetch(self, name: str, into: Path, *, system_id: str | None = None) -> bool:  # noqa: ARG002
        """Not done: nothing in dbre reads an oplog of PBM."""
        raise Unsupported(
            f"slice {quoted(name, limit=60)} is not fetched: PBM gives none away", hint="pbm oplog-replay reads them"
        )

    async def expire(self, *, dry_run: bool) -> Sequence[str]:  # noqa: ARG002
        """Not done: PBM keeps no rule of its own for how long."""
        raise Unsupported("PBM has no retention of its own", hint="pbm cleanup --older-than=30d --dry-run")

    async def _status(self) -> Status:
        return parse_status((await self._tools.pbm("status", timeout_seconds=_LOOK_SECONDS)).stdout)

    async def _version(self) -> str | None:
        ended = await self._tools.pbm("version", timeout_seconds=60)
        try:
            return msgspec.json.decode(ended.stdout, type=_Version).version or None
        except (msgspec.MsgspecError, RecursionError):
            return None  # only shown


def _system_id(status: Status) -> str:
    """The names of its replica sets: a cluster of MongoDB has no other name that a backup keeps."""
    return "+".join(sorted(one.rs for one in status.cluster or [])) or "unknown"
