"""The file with databases of PgBouncer: host and port of an entry change, and no other character."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.errors import Denied, UsageError
from dbre.core.fleet import Address
from dbre.tools.pgbouncer.databases_file import is_replaceable, pointed, read, targets, write

NEW = Address("10.0.0.2", 5433)
TEXT = '''\
; the shop
shop = host=10.0.0.1 port=5432 dbname=shop connect_query='SELECT 1 AS host'
"odd ""name""" = dbname=odd password='a b'
local =
* = host=10.0.0.1
[pgbouncer]
listen_port = 6432
'''


def test_only_host_and_port_of_the_named_entry_change() -> None:
    assert pointed(TEXT, ["shop"], NEW) == TEXT.replace("shop = host=10.0.0.1 port=5432", "shop = host=10.0.0.2 port=5433")
    assert pointed(TEXT, ['odd "name"'], NEW) == TEXT.replace("= dbname=odd", "= port=5433 host=10.0.0.2 dbname=odd")
    assert targets(pointed(TEXT, ["local", "*"], NEW))["*"] == NEW


def test_where_each_database_leads_is_read() -> None:
    old = Address("10.0.0.1", 5432)
    assert targets(TEXT) == {"shop": old, 'odd "name"': None, "local": None, "*": old}


def test_a_database_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="has no database listen_port") as refused:
        pointed(TEXT, ["listen_port"], NEW)
    assert "shop" in str(refused.value.hint)


@pytest.mark.parametrize("host", ["a b", "x;y", "x'y", "x\ny"])
def test_a_host_that_would_be_something_else_in_the_file_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a file"):
        pointed(TEXT, ["shop"], Address(host, 1))


@given(st.text(max_size=80))
def test_any_text_is_read_and_pointing_leads_there(text: str) -> None:
    for name in targets(text):
        assert targets(pointed(text, [name], NEW))[name] == NEW


def test_the_file_keeps_its_mode_and_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "databases.ini"
    path.write_text("a = host=x")
    path.chmod(0o640)
    assert is_replaceable(path)
    write(path, "a = host=y")
    assert (path.read_text(), path.stat().st_mode & 0o777, list(tmp_path.iterdir())) == ("a = host=y", 0o640, [path])
    with pytest.raises(Denied, match="cannot be replaced"):
        write(tmp_path / "missing" / "x", "")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "missing")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        read(path)
