"""Vaults for tests: a ground without engines, keys, a copy of files, and records."""

import getpass
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyrage import x25519

from dbre.app import Engines
from dbre.capabilities.backup.documents import BackupDocument, VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.core.ids import uuid7
from dbre.core.programs.account import choose_account
from dbre.core.secrets import SecretReference
from dbre.ports.backup.model import ChecksumState, CopyKind, LogFile, LogKind, LogPosition, Place
from dbre.testing.clock import FakeClock

SYSTEM = "7461122334455667788"
SEGMENT = 16 << 20
OPERATIONS = x25519.Identity.generate()
ESCROW = x25519.Identity.generate()
KEY = SigningKey.generate("tests/dbre-audit/0001")


def identity_file(directory: Path, identity: x25519.Identity = OPERATIONS, name: str = "identity") -> SecretReference:
    path = directory / f"{name}.age"
    path.write_text(f"# a comment, as age-keygen writes\n{identity}\n")
    path.chmod(0o600)
    return SecretReference.parse(f"file:{path}")


def document(directory: Path, **changes: object) -> VaultDocument:
    """A filesystem vault in ``directory/vault``."""
    (directory / "vault").mkdir(mode=0o700, exist_ok=True)
    values: dict[str, object] = {
        "name": "cellar",
        "kind": "filesystem",
        "path": str(directory / "vault"),
        "recipients": [str(OPERATIONS.to_public()), str(ESCROW.to_public())],
        "identity": identity_file(directory),
    }
    return VaultDocument.model_validate(values | changes)


def ground(
    directory: Path,
    *,
    vaults: Sequence[VaultDocument] = (),
    key: SigningKey | None = KEY,
    clock: Clock | None = None,
    settings: BackupDocument | None = None,
    fleet: Fleet | None = None,
) -> BackupGround:
    async def find_signing_key() -> SigningKey | None:
        return key

    def find_place() -> Place:
        return Place(account=choose_account(os.environ), cache=directory / "cache")

    return BackupGround(
        fleet=fleet or Fleet(),
        engines=Engines(),
        clock=clock or FakeClock(),
        store=None,
        settings=settings or BackupDocument(),
        vaults=tuple(vaults),
        directory=directory / "backup",
        find_place=find_place,
        find_signing_key=find_signing_key,
    )


def make_copy(directory: Path, *, seed: int = 1, size: int = 300_000) -> Path:
    """A directory as a copy leaves it: nested, with an empty file and directory, a link, and odd names."""
    directory.mkdir(mode=0o700, parents=True)
    for name, data in {
        "PG_VERSION": b"18\n",
        "base/1/1259": _noise(seed, size),
        "base/1/empty": b"",
        "base/16384/2619": _noise(seed + 1, size // 3) + bytes(100_000),
        os.fsdecode(b"base/odd\xff\nname"): b"odd",
        "global/" + "n" * 180: b"long",
    }.items():
        path = directory / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
    (directory / "pg_wal").mkdir(mode=0o700)
    (directory / "link").symlink_to("base/1/1259")
    (directory / "backup_manifest").write_text('{"PostgreSQL-Backup-Manifest-Version": 2}')
    return directory


def _noise(seed: int, size: int) -> bytes:
    data = b"".join(hashlib.sha256(f"{seed}:{one}".encode()).digest() for one in range(size // 64 + 1))
    return (data + data)[:size]


def tree(directory: Path) -> dict[str, tuple[str, bytes, int]]:
    """All that a directory holds: kind, contents, mode."""
    found: dict[str, tuple[str, bytes, int]] = {}
    for path in directory.rglob("*"):
        name, mode = str(path.relative_to(directory)), path.lstat().st_mode & 0o777
        if path.is_symlink():
            found[name] = ("link", os.fsencode(path.readlink()), 0)
        elif path.is_dir():
            found[name] = ("directory", b"", mode)
        else:
            found[name] = ("file", path.read_bytes(), mode)
    return found


def record(copy: Path | None = None, **changes: object) -> BackupSet:
    manifest = None if copy is None else hashlib.sha256((copy / "backup_manifest").read_bytes()).hexdigest()
    one = BackupSet(
        id=str(uuid7(FakeClock())),
        cluster="orders",
        engine="postgresql",
        policy="daily",
        provider="native",
        system_id=SYSTEM,
        kind=CopyKind.FULL,
        parent_id=None,
        state=SetState.VERIFIED,
        start=LogPosition(1, 0x3000028, "0/3000028"),
        stop=LogPosition(1, 0x3000120, "0/3000120"),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        stopped_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=1),
        version_text="18.4",
        tool="pg_basebackup (PostgreSQL) 18.4",
        checksums=ChecksumState.GOOD,
        bytes_source=1_000,
        bytes_stored=None,
        manifest_sha256=manifest,
        details={"extensions": ["plpgsql 1.0"], "tablespaces": {}},
    )
    return replace(one, **changes)


def log_file(path: Path, name: str = "000000010000000000000003", *, data: bytes | None = None) -> LogFile:
    """A log file of that name at ``path``."""
    contents = data if data is not None else _noise(7, 100_000) + bytes(200_000)
    path.write_bytes(contents)
    number = int(name[8:16], 16) * 256 + int(name[16:24], 16)
    return LogFile(
        name=name,
        kind=LogKind.SEGMENT,
        timeline=int(name[:8], 16),
        start=number * SEGMENT,
        end=(number + 1) * SEGMENT,
        size=len(contents),
        sha256=hashlib.sha256(contents).hexdigest(),
    )


@dataclass(frozen=True)
class SshServer:
    """A running sshd and its keys."""

    directory: Path
    port: int
    pid: int

    def sessions(self) -> list[int]:
        """Processes that serve connections."""
        found, pending = [], [self.pid]
        while pending:
            one = pending.pop()
            try:
                children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
            except FileNotFoundError:  # it has ended meanwhile
                continue
            pending += map(int, children)
            found += map(int, children)
        return found

    @property
    def host_key(self) -> str:
        return " ".join((self.directory / "host.pub").read_text().split()[:2])

    def values(self, path: Path) -> dict[str, object]:
        """Configuration of a vault in a directory behind it."""
        path.mkdir(mode=0o700, exist_ok=True)
        return {
            "kind": "sftp",
            "path": str(path),
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "host_key": self.host_key,
            "private_key": SecretReference.parse(f"file:{self.directory / 'user'}"),
        }


def s3_values(directory: Path, endpoint: str, bucket: str) -> dict[str, object]:
    """Configuration of a vault in a bucket."""
    keys = {}
    for name, text in (("access_key", "k"), ("secret_key", "s")):
        path = directory / name
        path.write_text(text)
        path.chmod(0o600)
        keys[name] = SecretReference.parse(f"file:{path}")
    return {
        "kind": "s3",
        "path": "",
        "bucket": bucket,
        "prefix": "backups",
        "endpoint": endpoint,
        **keys,
    }
