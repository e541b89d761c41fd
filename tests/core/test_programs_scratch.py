"""Private directories of one run: gone at the end, and where a process was killed with the next one that is made."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dbre.core.programs.account import Account
from dbre.core.programs.scratch import SCRATCH_PREFIX, scratch_directory

OURSELVES = Account(name="us", uid=os.geteuid(), gid=os.getegid(), switch=False)
CHILD = """
import os, sys
from dbre.core.programs.account import Account
from dbre.core.programs.scratch import scratch_directory
with scratch_directory(Account(name="us", uid=os.geteuid(), gid=os.getegid(), switch=False)) as directory:
    (directory / "password").write_text("secret")
    print(directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def use(temporary: Path) -> None:
    with scratch_directory(OURSELVES) as directory:
        (directory / "socket").touch()
        assert (directory.stat().st_mode & 0o777, directory.parent) == (0o700, temporary)
        raise ZeroDivisionError


def test_a_directory_is_private_and_gone_afterwards_whatever_happens(temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        use(temporary)
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_one_and_what_is_in_use_stays() -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        theirs = Path(child.stdout.readline().strip())
        with scratch_directory(OURSELVES) as ours:
            assert (theirs / "password").exists(), "its process lives"
            with scratch_directory(OURSELVES):
                assert ours.exists(), "two of one process"
        child.send_signal(signal.SIGKILL)
    assert (theirs / "password").exists(), "nobody was left to remove it"
    with scratch_directory(OURSELVES):
        assert not theirs.exists()


def test_neither_links_nor_files_nor_directories_of_others_are_touched(temporary: Path) -> None:
    kept = temporary / "kept"
    kept.mkdir()
    link, file, foreign = (temporary / f"{SCRATCH_PREFIX}{word}" for word in ("link", "file", "foreign"))
    link.symlink_to(kept, target_is_directory=True)
    file.touch()
    foreign.mkdir()
    if os.geteuid() == 0:
        os.chown(foreign, 65_534, 65_534)
    with scratch_directory(OURSELVES):
        assert kept.exists()
        assert link.is_symlink()
        assert file.exists()
        assert foreign.exists() == (os.geteuid() == 0)  # an unlocked one of our own is a leftover
