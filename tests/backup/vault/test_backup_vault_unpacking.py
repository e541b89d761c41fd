"""A tar stream is unpacked with nothing but what ours hold, on every Python, and whatever goes wrong is told."""

import asyncio
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from vault_kit import document, ground, make_copy, record, tree

from dbre.capabilities.backup.vault import contents, tar_unpacking
from dbre.capabilities.backup.vault.errors import ObjectDamaged
from dbre.capabilities.backup.vault.opening import open_document
from dbre.capabilities.backup.vault.tar_stream import plan_tar
from dbre.capabilities.backup.vault.tar_unpacking import unpack_tar
from dbre.core.errors import PrecheckFailed


def archive(*members: tarfile.TarInfo) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for one in members:
            tar.addfile(one, io.BytesIO(b"x" * one.size) if one.type == tarfile.REGTYPE else None)
    stream.seek(0)
    return stream


def member(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, link, mode
    found.size = 3 if kind == tarfile.REGTYPE else 0
    return found


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([member("../out")], id="parent"),
        pytest.param([member("/tmp/out")], id="absolute"),
        pytest.param([member("a/../../out")], id="through-a-directory"),
        pytest.param([member("link", tarfile.SYMTYPE, link="/etc")], id="absolute-link"),
        pytest.param([member("link", tarfile.SYMTYPE, link="../out")], id="link-out"),
        pytest.param([member("d", tarfile.DIRTYPE), member("l", tarfile.SYMTYPE, link="d"), member("l/x")], id="behind-a-link"),
        pytest.param([member("hard", tarfile.LNKTYPE, link="../out")], id="hard-link"),
        pytest.param([member("pipe", tarfile.FIFOTYPE)], id="pipe"),
        pytest.param([member("disk", tarfile.CHRTYPE)], id="device"),
        pytest.param([member("a"), member("a")], id="twice"),
        pytest.param([member("l", tarfile.SYMTYPE, link="l")], id="circle"),
        pytest.param(
            [
                member("a", tarfile.DIRTYPE),
                member("a/b", tarfile.DIRTYPE),
                member("z", tarfile.SYMTYPE, link="a/b/c/../../../../out"),
                member("a/b/c", tarfile.SYMTYPE, link="../.."),
            ],
            id="link-through-a-link",
        ),
    ],
)
def test_what_no_set_of_ours_holds_is_refused_and_nothing_is_written_outside(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(ObjectDamaged):
        unpack_tar(archive(*members), into, lambda _: None)
    assert [one.name for one in tmp_path.iterdir()] == ["into"]


def test_modes_that_let_others_write_or_run_as_the_owner_are_not_taken_over(tmp_path: Path) -> None:
    unpack_tar(archive(member("a", mode=0o6777), member("d", tarfile.DIRTYPE, mode=0o2777)), tmp_path, lambda _: None)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "d").stat().st_mode & 0o7777 == 0o755


async def test_whatever_ends_the_unpacking_reaches_who_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = make_copy(tmp_path / "copy")
    (copy / "large").write_bytes(os.urandom(40 << 20))  # more than the queue holds: a dead thread must not be waited for
    one = record(copy)

    def broken(*_: object) -> None:
        raise TypeError("no such argument")

    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        await vault.put_set(one, copy)
        with monkeypatch.context() as patch:
            patch.setattr(contents, "unpack_tar", broken)
            with pytest.raises(TypeError, match="no such argument"):
                await asyncio.wait_for(vault.fetch_set(one.id, tmp_path / "first"), 60)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(tar_unpacking, "_write_all", full)
            with pytest.raises(PrecheckFailed, match="No space left on device"):  # the set is not damaged: this disk is full
                await asyncio.wait_for(vault.fetch_set(one.id, tmp_path / "second"), 60)
        await vault.fetch_set(one.id, tmp_path / "third")
    assert tree(tmp_path / "third") == tree(copy)


_SCRIPT = """
import sys
from pathlib import Path
from dbre.capabilities.backup.vault.tar_unpacking import unpack_tar
unpack_tar(sys.stdin.buffer, Path(sys.argv[1]), lambda size: None)
"""


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="there is no /usr/bin/python3")
def test_the_python_of_debian_12_unpacks_too(tmp_path: Path) -> None:
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    if version.stdout.split() != [str(one) for one in sys.version_info[:2]]:
        pytest.skip("its packages are of another Python")
    copy = make_copy(tmp_path / "copy")
    plan = plan_tar(copy)
    into = tmp_path / "into"
    into.mkdir()
    done = subprocess.run(
        ["/usr/bin/python3", "-c", _SCRIPT, str(into)],
        input=plan.open(0, plan.size).read(),
        capture_output=True,
        env={"PYTHONPATH": os.pathsep.join(one for one in sys.path if one), "PATH": os.environ["PATH"]},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert tree(into) == tree(copy)
