"""Where a set lies until it is in its vaults, and where manifests are kept for the increments that come."""

import asyncio
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.core.errors import Conflict, PrecheckFailed
from dbre.core.programs.account import give, require_reachable
from dbre.core.text import printable
from dbre.core.units import format_bytes

__all__ = ["SetStaging", "forget_manifest", "kept_manifest", "require_space", "staged_ids"]

_PASSABLE, _PRIVATE = 0o711, 0o700
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class SetStaging:
    """The directory of one set that is being made; each attempt at its copy has a part of its own.

    A program that outlived its dbre may still write into the part of an earlier attempt, never into ours.
    """

    ground: BackupGround
    set_id: str

    @property
    def root(self) -> Path:
        """All attempts."""
        return self.ground.directory / "sets" / self.set_id

    def attempt(self, number: int) -> Path:
        """Where one attempt copies to."""
        return self.root / f"copy-{number}"

    async def prepare(self, number: int) -> Path:
        """An empty directory for an attempt, owned by the account of the engine's programs; earlier ones are removed."""
        return await asyncio.to_thread(self._prepare, number)

    def _prepare(self, number: int) -> Path:
        account = self.ground.place.account
        self.root.mkdir(mode=_PASSABLE, parents=True, exist_ok=True)
        for directory in (self.ground.directory, self.root.parent, self.root):
            directory.chmod(_PASSABLE)
        require_reachable(self.root, account)
        for old in self.root.iterdir():
            # What cannot be removed because a program still writes there goes with the set.
            shutil.rmtree(old, ignore_errors=True)
        target = self.attempt(number)
        if target.exists():
            raise Conflict(f"{target} cannot be emptied", hint="end the program that writes there, and start again")
        target.mkdir(mode=_PRIVATE)
        give(target, account)
        return target

    async def remove(self) -> None:
        """Remove everything: it is a copy of people's data. Raises: Conflict where a program still writes there."""

        def work() -> None:
            if self.root.exists():
                shutil.rmtree(self.root, ignore_errors=True)
            if self.root.exists():
                raise Conflict(f"{self.root} cannot be removed", hint="end the program that writes there; then remove it")

        await asyncio.to_thread(work)

    async def keep_manifest(self, manifest: Path) -> str:
        """Keep a manifest for the increments that stand on this set; its SHA-256."""
        return await asyncio.to_thread(self._keep_manifest, manifest)

    def _keep_manifest(self, manifest: Path) -> str:
        target = _manifest_path(self.ground, self.set_id)
        target.parent.mkdir(mode=_PASSABLE, exist_ok=True)
        unfinished = target.with_name(f"{target.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        digest = hashlib.sha256()
        source = os.open(manifest, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        into = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(source, "rb") as reader, os.fdopen(into, "wb") as writer:
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
                writer.write(chunk)
            writer.flush()
            os.fsync(writer.fileno())
        give(unfinished, self.ground.place.account)
        unfinished.replace(target)
        return digest.hexdigest()


async def kept_manifest(ground: BackupGround, set_id: str, sha256: str | None) -> Path | None:
    """The manifest of a set where this machine has it, unchanged."""

    def work() -> Path | None:
        path = _manifest_path(ground, set_id)
        if not path.is_file() or path.is_symlink():
            return None
        with path.open("rb") as file:
            return path if hashlib.file_digest(file, "sha256").hexdigest() == sha256 else None

    return await asyncio.to_thread(work)


async def forget_manifest(ground: BackupGround, set_id: str) -> None:
    """Remove the manifest of a set that is deleted."""
    await asyncio.to_thread(_manifest_path(ground, set_id).unlink, missing_ok=True)


def staged_ids(ground: BackupGround) -> tuple[str, ...]:
    """The sets that lie in staging."""
    root = ground.directory / "sets"
    return tuple(sorted(one.name for one in root.iterdir() if one.is_dir())) if root.is_dir() else ()


def require_space(ground: BackupGround, needed: int) -> None:
    """Raises: PrecheckFailed where a copy of so many bytes does not fit, with a fifth to spare."""
    staging = ground.directory / "sets"  # it may be a disk of its own
    directory = next(one for one in (staging, *staging.parents) if one.exists())
    free, wanted = shutil.disk_usage(directory).free, needed * 6 // 5
    if free < wanted:
        raise PrecheckFailed(
            f"{printable(str(directory), limit=200)} has {format_bytes(free)} free; the copy needs"
            f" {format_bytes(wanted)} ({format_bytes(needed)} and a fifth to spare)",
            hint="free some space, or set backup.directory to a larger disk",
            context={"free_bytes": free, "needed_bytes": wanted},
        )


def _manifest_path(ground: BackupGround, set_id: str) -> Path:
    return ground.directory / "manifests" / set_id
