"""URLs of stores: what is understood, what is refused, and that no password is ever repeated."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.errors import ExitCode
from dbre.core.store.address import PostgresAddress, SqliteAddress, parse_store_url
from dbre.core.store.document import StateDocument
from dbre.core.store.errors import StoreUrlInvalid
from dbre.core.text import printable


def test_a_relative_path_starts_at_the_directory_of_the_configuration() -> None:
    assert parse_store_url("sqlite:///state/dbre.db", directory=Path("/etc/dbre")) == SqliteAddress(
        path=Path("/etc/dbre/state/dbre.db")
    )
    assert parse_store_url("sqlite:////var/lib/dbre.db", directory=Path("/etc")) == SqliteAddress(path=Path("/var/lib/dbre.db"))


@pytest.mark.parametrize("name", ["100%.db", "a b.db", "what?.db", "a#b.db", "ü.db", "50%25.db", "it's;.db"])
def test_a_file_name_may_hold_what_urls_find_special(name: str, tmp_path: Path) -> None:
    address = parse_store_url(f"sqlite:///{tmp_path}/{name}")
    assert isinstance(address, SqliteAddress)
    assert address.path == tmp_path / name


def test_a_postgresql_url_is_read_in_parts() -> None:
    address = parse_store_url("postgresql://db%40re@[::1]:5433/st%20ate?sslmode=verify-full&sslrootcert=/ca.pem")
    assert address == PostgresAddress(
        host="::1", port=5433, user="db@re", database="st ate",
        parameters=(("sslmode", "verify-full"), ("sslrootcert", "/ca.pem")),
    )  # fmt: skip
    assert parse_store_url(str(address)) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "scheme"),
        ("mysql://db/state", "scheme is 'mysql'"),
        ("sqlite://", "three slashes"),
        ("sqlite:dbre.db", "three slashes"),
        ("sqlite://dbre.db", "three slashes"),
        ("sqlite:///", "a file is needed"),
        ("sqlite:///:memory:", "a file is needed"),
        ("sqlite:///directory/", "a file is needed"),
        ("sqlite:///a\x00b", "NUL"),
        ("postgresql://host", "database name"),
        ("postgresql://host/a/b", "database name"),
        ("postgresql://host:port/a", "port"),
        ("postgresql://host:70000/a", "port"),
        ("postgresql://[::1/a", "IPv6"),
        ("postgresql://host/a?options=-csearch_path", "parameter 'options'"),
        ("postgresql://host/a?nonsense", "name=value"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(StoreUrlInvalid, match=reason) as caught:
        parse_store_url(url)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "sqlite:///dbre.db" in str(caught.value.hint)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@host/db",
        "postgresql://u:s3cret@host/a/b",
        "mysql://u:s3cret@host/db",
        *(f"postgresql://u:p{sign}s3cret@host/db" for sign in "/@:?#[]&"),
        "postgresql://u:1/s3cret@host",
        "postgresql://u:s3cret",
        "postgresql://u@host/db?password=s3cret",
        "postgresql://u@host/db?s3cret",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StoreUrlInvalid) as caught:
        parse_store_url(url)
    assert "s3cret" not in repr(caught.value.as_document())


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(StoreUrlInvalid, match="cannot be followed"):
        parse_store_url("sqlite:///circle/dbre.db", directory=tmp_path)


def test_the_configuration_refuses_it_too() -> None:
    assert StateDocument().url == "sqlite:///dbre.db"
    with pytest.raises(ValueError, match="password does not belong"):
        StateDocument(url="postgresql://u:pw@host/db")


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    messages = []
    for url in (text, f"sqlite:///{text}", f"postgresql://{text}"):
        try:
            parse_store_url(url)
        except StoreUrlInvalid as error:
            messages.append(error.message)
    assert all(message == printable(message) for message in messages)
