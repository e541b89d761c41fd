"""What happens to a connection to a vault behind SSH is one clear error, and the same call works when all is well again."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from vault_kit import SshServer, document

from dbre.capabilities.backup.vault.opening import storage_of
from dbre.capabilities.backup.vault.storage import unhurried
from dbre.core.errors import Denied, Unreachable
from dbre.core.secrets import SecretReference

KEY, DATA = "v1/a/x", os.urandom(6 << 20)


async def test_new_session_keys_in_the_middle_of_a_file_change_nothing(rekeying_ssh_server: SshServer, tmp_path: Path) -> None:
    one = await storage_of(document(tmp_path, **rekeying_ssh_server.values(tmp_path / "far")))
    (tmp_path / "data").write_bytes(DATA)
    try:
        await asyncio.to_thread(one.put, KEY, tmp_path / "data", sha256="", retain_until=None, pace=unhurried)
        await asyncio.to_thread(one.get, KEY, tmp_path / "back", version_id=None, limit=len(DATA), pace=unhurried)
    finally:
        one.close()
    assert (tmp_path / "back").read_bytes() == DATA


@pytest.mark.parametrize("way", ["put", "get"])
async def test_a_server_that_goes_away_is_told_and_the_same_call_works_later(
    rekeying_ssh_server: SshServer, tmp_path: Path, way: str
) -> None:
    one = await storage_of(document(tmp_path, **rekeying_ssh_server.values(tmp_path / "far")))
    (tmp_path / "data").write_bytes(DATA)
    chunks = 0

    def kill_in_the_middle(_count: int) -> None:
        nonlocal chunks
        chunks += 1
        if chunks == 3:
            for pid in rekeying_ssh_server.sessions():
                os.kill(pid, signal.SIGKILL)

    def call(pace, into: str) -> None:
        if way == "put":
            one.put(KEY, tmp_path / "data", sha256="", retain_until=None, pace=pace)
        else:
            one.get(KEY, tmp_path / into, version_id=None, limit=len(DATA), pace=pace)

    try:
        if way == "get":
            await asyncio.to_thread(one.put, KEY, tmp_path / "data", sha256="", retain_until=None, pace=unhurried)
        with pytest.raises(Unreachable, match=r"cannot (write|read) v1/a/x (to|of) sftp://"):
            await asyncio.to_thread(call, kill_in_the_middle, "half")
        if way == "put":
            assert one.look(KEY) is None, "half a file never bears the name"
        await asyncio.to_thread(call, unhurried, "back")
        assert (tmp_path / "far" / KEY).read_bytes() == DATA
        assert way == "put" or (tmp_path / "back").read_bytes() == DATA
    finally:
        one.close()


async def test_a_key_that_the_server_does_not_know_is_told(ssh_server: SshServer, tmp_path: Path) -> None:
    other = {"private_key": SecretReference.parse(f"file:{ssh_server.directory / 'other'}")}
    one = await storage_of(document(tmp_path, **ssh_server.values(tmp_path / "far") | other))
    with pytest.raises(Denied, match="refuses the user") as caught:
        one.read(KEY, limit=1)
    assert "vaults.private_key" in (caught.value.hint or "")
