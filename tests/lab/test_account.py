"""Who runs the servers, and whether they can get to their files."""

import os
import pwd
from pathlib import Path

import pytest

from dbre.core.programs.account import Account, choose_account, first_barrier, require_reachable
from dbre.core.programs.errors import DirectoryUnusable, NoUsableAccount

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root chooses another account")


@pytest.mark.skipif(os.geteuid() == 0, reason="only for other users than root")
def test_a_user_runs_servers_as_itself_whatever_sudo_says() -> None:
    account = choose_account({"SUDO_UID": "0"})
    assert account.uid == os.geteuid()
    assert account.credentials() == {}


@as_root
def test_root_prefers_the_user_who_called_sudo() -> None:
    entry = pwd.getpwnam("nobody")
    account = choose_account({"SUDO_UID": str(entry.pw_uid)})
    assert account.name == "nobody"
    assert account.credentials() == {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@as_root
@pytest.mark.parametrize("sudo_uid", ["", "0", "-1", "root", "4294967294", "99999999999999999999", "\uff11\uff10\uff10"])
def test_a_sudo_uid_that_names_no_user_falls_back(sudo_uid: str) -> None:
    account = choose_account({"SUDO_UID": sudo_uid})
    assert account.uid != 0
    assert account.name in ("postgres", "nobody")


@as_root
def test_root_without_any_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.core.programs.account.FALLBACKS", ("no-such-account", "root"))
    with pytest.raises(NoUsableAccount, match="none of the accounts no-such-account, root") as caught:
        choose_account({})
    assert caught.value.hint is not None
    assert "adduser" in caught.value.hint


def test_the_first_directory_that_is_closed_is_named(open_directory: Path) -> None:
    closed = open_directory / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)
    stranger = Account(name="stranger", uid=54_321, gid=54_321, switch=True)
    assert first_barrier(closed / "inner", stranger) == closed
    with pytest.raises(DirectoryUnusable, match=f"'stranger', who may not enter {closed}") as caught:
        require_reachable(closed / "inner", stranger)
    assert caught.value.hint is not None
    assert f"chmod o+x {closed}" in caught.value.hint
    closed.chmod(0o701)
    (closed / "inner").chmod(0o701)
    require_reachable(closed / "inner", stranger)


def test_group_permission_counts_for_the_group_alone(open_directory: Path) -> None:
    shared = open_directory / "shared"
    shared.mkdir()
    shared.chmod(0o710)
    group = shared.stat().st_gid
    member = Account(name="member", uid=54_321, gid=group, switch=True)
    outsider = Account(name="outsider", uid=54_321, gid=54_321, switch=True)
    assert first_barrier(shared, member) is None
    assert first_barrier(shared, outsider) == shared
