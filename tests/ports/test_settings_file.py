"""The file of settings that dbre writes: who owns it, and what it is never taken from."""

import os
from pathlib import Path

import pytest

from dbre.core.errors import Denied, UsageError
from dbre.core.programs.account import Account
from dbre.ports.settings_file import SettingsFormat, read_settings, write_settings

FORM = SettingsFormat(section="[mysqld]", between=" = ", dash="_")
ACCOUNT = Account(name="nobody", uid=65534, gid=65534, switch=True)
OURS = Account(name="us", uid=os.geteuid(), gid=os.getegid(), switch=False)


def test_lines_of_others_stay_and_the_last_word_counts(tmp_path: Path) -> None:
    path = tmp_path / "dbre.cnf"
    path.write_text("[mysqld]\n# ours\nmax-connections = 5\nmax_connections = 7\nopen_files_limit = 9\n")
    assert read_settings(path, FORM)["max_connections"] == "7"
    write_settings(path, FORM, {"max_connections": "50", "open_files_limit": None}, OURS)
    assert path.read_text() == "[mysqld]\n# ours\nmax_connections = 50\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret, path = tmp_path / "shadow", tmp_path / "dbre.cnf"
    secret.write_text("root:secret\n")
    path.symlink_to(secret)
    with pytest.raises(Denied, match=r"dbre\.cnf cannot be read"):
        write_settings(path, FORM, {"max_connections": "50"}, OURS)
    assert secret.read_text() == "root:secret\n"
    assert path.is_symlink()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "dbre.cnf"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="is no file"):
        read_settings(pipe, FORM)


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="cannot be written: No such file"):
        write_settings(tmp_path / "none" / "dbre.cnf", FORM, {"max_connections": "50"}, OURS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_mode_and_is_the_servers(tmp_path: Path) -> None:
    kept, new = tmp_path / "kept.cnf", tmp_path / "new.cnf"
    kept.write_text("[mysqld]\n")
    kept.chmod(0o644)
    for path in (kept, new):
        write_settings(path, FORM, {"max_connections": "50"}, ACCOUNT)
    seen = {path.name: (path.stat().st_uid, path.stat().st_mode & 0o777) for path in (kept, new)}
    assert seen == {"kept.cnf": (65534, 0o644), "new.cnf": (65534, 0o600)}


def test_a_file_of_which_all_is_taken_away_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    form = SettingsFormat(section=None, between=" ", dash="-")
    write_settings(path, form, {"tcp-backlog": "300"}, OURS)
    write_settings(path, form, {"tcp-backlog": None}, OURS)
    assert path.read_bytes() == b""
