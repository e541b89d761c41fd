"""Writers that die, that are many, that are slow: a set is there as a whole or not at all, and no entry is lost."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from vault_kit import SYSTEM, document, ground, log_file, make_copy, record, tree

from dbre.capabilities.backup.vault.errors import SetConflict, SetUnstorable, VaultMisconfigured
from dbre.capabilities.backup.vault.opening import open_document
from dbre.core.clock import SystemClock
from dbre.ports.backup.errors import LogConflict

PART = 120_000


async def test_a_killed_writer_leaves_nothing_visible_and_the_next_one_goes_on(tmp_path: Path) -> None:
    copy, place = make_copy(tmp_path / "copy", size=1_200_000), document(tmp_path)
    one = record(copy)
    program = textwrap.dedent(
        f"""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import vault_kit
        from vault_kit import document, ground, record
        from dbre.capabilities.backup.vault.opening import open_document
        from dbre.core.audit.signed_note import SigningKey

        async def main():
            here = Path({str(tmp_path)!r})
            place = document(here, bytes_per_second="200kB", recipients={list(place.recipients)!r})
            key = SigningKey.parse(sys.stdin.readline())
            async with open_document(ground(here, key=key), place, part_bytes={PART}) as vault:
                await vault.put_set(record(here / "copy", id={one.id!r}), here / "copy")

        asyncio.run(main())
        """
    )
    from vault_kit import KEY

    identity = (tmp_path / "identity.age").read_text()
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)  # noqa: ASYNC220
    assert process.stdin is not None
    process.stdin.write(KEY.reveal().encode() + b"\n")
    process.stdin.flush()
    limit = time.monotonic() + 90
    while len(list((tmp_path / "vault").rglob("data-*"))) < 3 and time.monotonic() < limit:
        assert process.poll() is None
        await asyncio.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    process.stdin.close()
    (tmp_path / "identity.age").write_text(identity)
    before = {path.name for path in (tmp_path / "vault").rglob("data-*")}
    assert len(before) >= 3
    async with open_document(ground(tmp_path), place, part_bytes=PART) as vault:
        assert (await vault.catalog()).sets == ()
        assert await vault.verify(deep=True) == []
        await vault.put_set(one, copy)
        await vault.fetch_set(one.id, tmp_path / "back")
        assert await vault.verify(deep=True) == []
    after = [path.name for path in (tmp_path / "vault").rglob("data-*")]
    assert tree(tmp_path / "back") == tree(copy)
    reused = len(before) - (len(after) - len({name.split("-")[1] for name in after}))
    assert reused >= 2, "parts that were there were sent again"


async def test_a_cancelled_put_ends_and_leaves_nothing_visible(tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy", size=2_000_000)
    slow = document(tmp_path, bytes_per_second="20kB")
    async with open_document(ground(tmp_path), slow, part_bytes=PART) as vault:
        task = asyncio.create_task(vault.put_set(record(copy), copy))
        while not list((tmp_path / "vault").rglob("*.part")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await vault.catalog()).sets == ()
    assert not list((tmp_path / "vault").rglob("*.part"))


async def test_whoever_listens_to_progress_can_end_the_put(tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy")

    async def listen(_done: int, _total: int | None) -> None:
        raise KeyError("enough")

    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        with pytest.raises(KeyError, match="enough"):
            await vault.put_set(record(copy), copy, listen)
        assert (await vault.catalog()).sets == ()


async def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    copy, told = make_copy(tmp_path / "copy"), []

    async def listen(done: int, total: int | None) -> None:
        told.append((done, total))

    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        one = record(copy)
        await vault.put_set(one, copy, listen)
        assert told[-1][0] == told[-1][1]
        await vault.fetch_set(one.id, tmp_path / "back", listen)
        assert told[-1][0] == told[-1][1]


async def test_two_machines_append_to_one_index_and_lose_nothing(tmp_path: Path) -> None:
    place = document(tmp_path)
    each = 12

    async def write(machine: int) -> None:
        here = tmp_path / f"machine{machine}"
        here.mkdir()
        async with open_document(ground(here, clock=SystemClock()), place) as vault:
            for number in range(each):
                path = here / f"log{number}"
                file = log_file(path, f"00000001000000{machine:02X}{number:08X}", data=f"{machine} {number}".encode())
                await vault.put_log("orders", SYSTEM, file, path)

    await asyncio.gather(*(write(machine) for machine in range(3)))
    async with open_document(ground(tmp_path), place) as vault:
        assert len((await vault.catalog()).logs) == 3 * each
        assert await vault.verify(deep=True) == []


async def test_of_two_writers_of_one_log_name_the_second_is_told(tmp_path: Path) -> None:
    place, name = document(tmp_path), "000000010000000000000001"

    async def write(machine: int) -> str:
        here = tmp_path / f"machine{machine}"
        here.mkdir()
        file = log_file(here / "log", name, data=f"of machine {machine}".encode())
        async with open_document(ground(here), place) as vault:
            try:
                await vault.put_log("orders", SYSTEM, file, here / "log")
            except LogConflict:
                return "conflict"
        return "stored"

    assert sorted(await asyncio.gather(write(1), write(2))) == ["conflict", "stored"]


async def test_the_same_set_again_is_nothing_and_another_one_a_conflict(tmp_path: Path) -> None:
    copy, place = make_copy(tmp_path / "copy"), document(tmp_path)
    one = record(copy)
    async with open_document(ground(tmp_path), place) as vault:
        first = await vault.put_set(one, copy)
        objects = sorted((tmp_path / "vault").rglob("*"))
        assert await vault.put_set(one, copy) == first
        assert sorted((tmp_path / "vault").rglob("*")) == objects
        other = make_copy(tmp_path / "other")
        (other / "backup_manifest").write_text("{}")
        with pytest.raises(SetConflict):
            await vault.put_set(record(other, id=one.id), other)


@pytest.mark.parametrize(
    ("link", "is_fine"),
    [("/etc/passwd", False), ("../outside", False), ("base/../../outside", False), ("base/1/1259", True), ("./base/..", True)],
    ids=["absolute", "above", "above-by-detour", "inside", "inside-by-detour"],
)
async def test_links_out_of_a_copy_are_refused_before_anything_is_written(link: str, is_fine: bool, tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy")
    (copy / "tablespace").symlink_to(link)
    one = record(copy)
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        if is_fine:
            await vault.put_set(one, copy)
            await vault.fetch_set(one.id, tmp_path / "back")
            assert tree(tmp_path / "back") == tree(copy)
            return
        with pytest.raises(SetUnstorable, match="tablespace"):
            await vault.put_set(one, copy)
    assert not list((tmp_path / "vault").iterdir())


async def test_a_socket_in_a_copy_is_refused(tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy")
    os.mkfifo(copy / "pipe")
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        with pytest.raises(SetUnstorable, match="pipe"):
            await vault.put_set(record(copy), copy)


async def test_without_a_signing_key_nothing_is_written(tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy")
    async with open_document(ground(tmp_path, key=None), document(tmp_path)) as vault:
        with pytest.raises(VaultMisconfigured, match="no key that signs"):
            await vault.put_set(record(copy), copy)
    assert not list((tmp_path / "vault").iterdir())
