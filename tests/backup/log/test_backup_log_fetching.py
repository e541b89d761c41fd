"""Log for recovery: out of a real vault, the spool, the partial file; and what is told when nobody knows."""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from log_kit import SYSTEM
from log_plane import CLUSTER, owner_of, vault_ground

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.fetching import StoredLogFetch
from dbre.capabilities.backup.vault.opening import open_vaults
from dbre.capabilities.backup.vault.vault import Vault
from dbre.core.errors import Conflict, DbreError
from dbre.lab.site import Site
from dbre.ports.backup.model import LogFile, LogKind

NAME = "000000010000000000000003"
VAULTED, SPOOLED, PARTIAL = b"from the vault" * 1000, b"from the spool" * 1000, b"still written" * 1000


@pytest.fixture
def ground(workplace: Path, lab_site: Site) -> BackupGround:
    return vault_ground(workplace, lab_site)


@pytest.fixture
def spool(workplace: Path) -> Path:
    directory = workplace / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
async def vault(ground: BackupGround, workplace: Path) -> AsyncIterator[Vault]:
    source = workplace / "source"
    source.write_bytes(VAULTED)
    file = LogFile(
        name=NAME,
        kind=LogKind.SEGMENT,
        timeline=1,
        start=3 << 24,
        end=4 << 24,
        size=len(VAULTED),
        sha256=hashlib.sha256(VAULTED).hexdigest(),
    )
    async with open_vaults(ground, ["cellar"]) as (vault,):
        await vault.put_log(CLUSTER, SYSTEM, file, source)
        yield vault


async def test_the_vault_is_asked_before_the_spool(ground: BackupGround, vault: Vault, spool: Path, workplace: Path) -> None:
    (spool / NAME).write_bytes(SPOOLED)
    into = workplace / "out"
    assert await StoredLogFetch(ground, [vault], spool, SYSTEM).fetch(NAME, into)
    assert into.read_bytes() == VAULTED
    assert owner_of(into) == ground.place.account.uid


async def test_the_spool_has_what_no_vault_has_and_the_partial_file_comes_last(
    ground: BackupGround, vault: Vault, spool: Path, workplace: Path
) -> None:
    fetch, into, name = StoredLogFetch(ground, [vault], spool, SYSTEM), workplace / "out", NAME[:-1] + "4"
    (spool / f"{name}.partial").write_bytes(PARTIAL)
    assert await fetch.fetch(name, into)
    assert into.read_bytes() == PARTIAL
    (spool / name).write_bytes(SPOOLED)
    assert await fetch.fetch(name, into)
    assert into.read_bytes() == SPOOLED
    assert into.stat().st_mode & 0o777 == 0o600


async def test_absence_is_told_only_where_every_place_is_sure(
    ground: BackupGround, vault: Vault, spool: Path, workplace: Path
) -> None:
    fetch, into = StoredLogFetch(ground, [vault], spool, SYSTEM), workplace / "out"
    assert not await fetch.fetch("00000002.history", into)
    assert not into.exists()
    assert not await StoredLogFetch(ground, [vault], None, "another").fetch(NAME, into)


async def test_a_vault_that_is_away_means_that_nobody_knows(
    ground: BackupGround, vault: Vault, spool: Path, workplace: Path
) -> None:
    fetch, into, missing = StoredLogFetch(ground, [vault], spool, SYSTEM), workplace / "out", NAME[:-1] + "9"
    shutil.rmtree(workplace / "vault")
    with pytest.raises(DbreError):
        await fetch.fetch(missing, into)
    (spool / f"{missing}.partial").write_bytes(PARTIAL)
    with pytest.raises(DbreError):  # the vault may have all of it
        await fetch.fetch(missing, into)
    (spool / missing).write_bytes(SPOOLED)
    assert await fetch.fetch(missing, into)  # but what another place has is there


async def test_a_damaged_object_is_no_absence(ground: BackupGround, vault: Vault, spool: Path, workplace: Path) -> None:
    into = workplace / "out"
    stored = max((one for one in (workplace / "vault").rglob("*") if one.is_file() and NAME in one.name), key=os.path.getsize)
    data = bytearray(stored.read_bytes())
    data[-20] ^= 1
    stored.chmod(0o600)
    stored.write_bytes(data)
    with pytest.raises(DbreError):
        await StoredLogFetch(ground, [vault], spool, SYSTEM).fetch(NAME, into)
    assert not into.exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "", ".hidden", "a/b", "x" * 200, "a\0b"], ids=str)
async def test_a_name_never_leads_out_of_the_spool(ground: BackupGround, spool: Path, workplace: Path, name: str) -> None:
    with pytest.raises(Conflict, match="is not the name of a log file"):
        await StoredLogFetch(ground, [], spool, SYSTEM).fetch(name, workplace / "out")


async def test_a_link_in_the_spool_is_not_followed(ground: BackupGround, spool: Path, workplace: Path) -> None:
    secret = workplace / "secret"
    secret.write_bytes(b"secret")
    (spool / NAME).symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        await StoredLogFetch(ground, [], spool, SYSTEM).fetch(NAME, workplace / "out")
    assert not (workplace / "out").exists()
