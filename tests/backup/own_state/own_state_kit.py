"""What tests of copies of the state store share: a vault, a ground, entries of the audit log."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pyrage import x25519
from sqlalchemy import func, select

from dbre.app import Engines
from dbre.capabilities.backup.documents import BackupDocument, VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.core.audit import tables
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import SystemClock
from dbre.core.fleet import Fleet
from dbre.core.programs.account import choose_account
from dbre.core.store import Store
from dbre.ports.backup.model import Place

CLOCK = SystemClock()
LIMIT_SECONDS = 120.0


def vault_values(directory: Path) -> dict[str, object]:
    """A vault in a directory, with the identity that reads it beside it."""
    identity, escrow = x25519.Identity.generate(), x25519.Identity.generate()
    (directory / "vault").mkdir(mode=0o700)
    (directory / "identity.age").write_text(f"{identity}\n")
    (directory / "identity.age").chmod(0o600)
    return {
        "name": "cellar",
        "kind": "filesystem",
        "path": str(directory / "vault"),
        "recipients": [str(identity.to_public()), str(escrow.to_public())],
    }


def ground_of(directory: Path, values: dict[str, object], store: Store | None, *, cache: Path, keep: int = 3) -> BackupGround:
    key = SigningKey.generate("tests/dbre-audit/0001")

    async def find_signing_key() -> SigningKey:
        return key

    return BackupGround(
        fleet=Fleet(clusters=()),
        engines=Engines(),
        clock=CLOCK,
        store=store,
        settings=BackupDocument.model_validate({"state_vaults": ["cellar"], "state_every": "1m", "state_keep": keep}),
        vaults=(VaultDocument.model_validate(values),),
        directory=directory / "backup",
        find_place=lambda: Place(account=choose_account(os.environ), cache=cache),
        find_signing_key=find_signing_key,
    )


async def write_entries(store: Store, *names: str) -> None:
    drafts = [AuditDraft(action="test.done", actor="anna", subject=f"test/{name}") for name in names]
    await AuditLog(CLOCK).append(store, *drafts)


async def count_entries(store: Store) -> int:
    async with store.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(tables.entry))).scalar_one())


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command of ours, in another process and another directory."""
    return subprocess.run(
        [sys.executable, "-m", "dbre", *words], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


async def wait_for(what: str, look: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not await look():
        assert time.monotonic() < deadline, f"waited {LIMIT_SECONDS:.0f} s for {what}"
        await asyncio.sleep(0.2)
