"""Receivers in the configuration: every mistake is reported at its place."""

from pathlib import Path

import pytest

from dbre.capabilities.incident import RECEIVERS
from dbre.core.config import ConfigInvalid, load

GOOD = '{name: pager, url: "https://hooks.example/x", secret: "env:HOOK_SECRET"}'


def read(tmp_path: Path, *receivers: str):
    path = tmp_path / "dbre.yaml"
    path.write_text("receivers:\n" + "".join(f"  - {one}\n" for one in receivers))
    return load([path], sections=[RECEIVERS], environment={}, flags={}).get(RECEIVERS)


def test_a_receiver_is_strict_by_default(tmp_path):
    (found,) = read(tmp_path, GOOD)
    assert (found.allow_loopback, found.allow_private, found.severities) == (False, False, ["page", "ticket"])
    assert found.timeout.total_seconds() == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('url: "ftp://x/"', "not the URL of a web server"),
        ('url: "https:///x"', "not the URL of a web server"),
        ('url: "https://x:99999/"', "not the URL of a web server"),
        ('url: "https://x/a b"', "not the URL of a web server"),
        ('url: "https://user:hunter2@x/"', "a URL holds no password"),
        ('url: "https://x/#part"', "no #fragment"),
        ('secret: "hunter2hunter2hunter2"', "a secret is not written here"),
        ("severities: [sms]", "sms is not a severity"),
        ("severities: []", "at least 1"),
        ("timeout: 5m", "timeout"),
        ("name: A_b", "name"),
        ("allow_lopback: true", "allow_loopback"),
    ],
)
def test_mistakes_are_named_and_secrets_are_not_repeated(tmp_path, change, message):
    keys = {"name": "name: pager", "url": 'url: "https://h.example/"', "secret": "secret: env:HOOK"}
    keys[change.partition(":")[0]] = change
    with pytest.raises(ConfigInvalid, match=message) as caught:
        read(tmp_path, "{" + ", ".join(keys.values()) + "}")
    assert "hunter2" not in str(caught.value)


def test_a_name_is_used_once(tmp_path):
    with pytest.raises(ConfigInvalid, match=r"dbre\.yaml:3.*another receiver has the name pager"):
        read(tmp_path, GOOD, GOOD)
