"""The files that make a standby: what others wrote stays as it is, and no link leads elsewhere."""

import os
from pathlib import Path

import pytest

from dbre.core.programs.account import Account
from dbre.core.secrets import Secret
from dbre.engines.postgres.standby_files import make_follower, make_primary, store_settings
from dbre.ports.succession import NotDone

OURSELVES = Account(name="", uid=os.geteuid(), gid=os.getegid(), switch=False)
AUTO = "postgresql.auto.conf"


def test_lines_of_others_stay_byte_by_byte(tmp_path: Path) -> None:
    kept = b"cluster_name = 'M\xfcnchen'\nsearch_path = 'a\xe2\x80\xa8b\x0cc'\r\n"
    (tmp_path / AUTO).write_bytes(kept + b"recovery_target_xid = '7'\nprimary_conninfo = 'host=old'\n")
    make_follower(tmp_path, OURSELVES, Secret("host='n e' port=1"), None)
    assert (tmp_path / AUTO).read_bytes() == kept + b"primary_conninfo = 'host=''n e'' port=1'\nprimary_slot_name = ''\n"
    assert (tmp_path / "standby.signal").is_file()
    assert (tmp_path / AUTO).stat().st_mode & 0o777 == 0o600
    make_primary(tmp_path)
    store_settings(tmp_path, OURSELVES, {"CLUSTER_NAME": None, "primary_conninfo": None, "primary_slot_name": None})
    assert (tmp_path / AUTO).read_bytes() == kept.split(b"\n", 1)[1]
    assert not (tmp_path / "standby.signal").exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """What root may read would else stand in a file of the server's account."""
    secret = tmp_path / "shadow"
    secret.write_text("root:secret\n")
    (tmp_path / AUTO).symlink_to(secret)
    with pytest.raises(NotDone, match="cannot be read") as refused:
        make_follower(tmp_path, OURSELVES, Secret("host=new"), None)
    assert "no link" in str(refused.value.hint)
    assert secret.read_text() == "root:secret\n"
    assert not (tmp_path / "standby.signal").exists()
