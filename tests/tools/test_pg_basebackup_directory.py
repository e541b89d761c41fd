"""A directory of copies in which something is not ours to read, such as lost+found of a disk of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def test_what_is_not_ours_to_read_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "monday").mkdir()
    (tmp_path / "monday" / "backup_label").touch()
    closed = tmp_path / "lost+found"
    closed.mkdir(mode=0o000)
    words = ("-m", "dbre", "backup", "inspect", "pg_basebackup", "--stanza", str(tmp_path), "-o", "json")
    done = subprocess.run([*AS_ANYBODY, sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    closed.chmod(0o700)
    assert done.returncode == 3, done.stderr
    found = [
        (one["rule"], one["is_blocking"])
        for one in json.loads(done.stdout)["item"]["problems"]
        if "cannot be read" in one["message"]
    ]
    assert ("backup.unreadable", False) in found
