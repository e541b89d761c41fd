"""The key ``patroni`` of a cluster in the section ``ha``."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from dbre.core.config import Document, Duration, FilePath, Name, SecretReference, between
from dbre.core.errors import UsageError

__all__ = ["EtcdDocument", "PatroniDocument", "PresetName"]


class PresetName(StrEnum):
    """A set of settings that was measured."""

    LAN_FAST = "lan-fast"
    SAFE = "safe"
    WAN = "wan"


def _server_url(text: str) -> str:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:  # its text would repeat the URL, in which a password may stand
        raise UsageError("not the URL of a server", hint="write http://db1.example:8008") from None
    if url.scheme not in ("http", "https") or not host or any(ord(one) <= 32 or ord(one) == 127 for one in text):
        raise UsageError("not the URL of a server", hint="write http://db1.example:8008")
    if url.username is not None or url.password is not None:
        raise UsageError("a URL holds no password", hint="write user and password as keys of their own")
    if url.query or url.fragment or url.path.rstrip("/"):
        raise UsageError("the URL ends after the port", hint="write http://db1.example:8008")
    if port is None:
        raise UsageError("the URL names no port", hint="write http://db1.example:8008; etcd listens on 2379")
    return text.rstrip("/")


def _once(urls: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(urls)) < len(urls):
        raise UsageError("a URL is named twice", hint="each server may stand there once")
    return urls


_Url = Annotated[str, Field(max_length=2_000), AfterValidator(_server_url)]
_Urls = Annotated[tuple[_Url, ...], Field(min_length=1, max_length=50), AfterValidator(_once)]
_Timeout = Annotated[Duration, between("100ms", "60s")]


class _Login(Document):
    user: str | None = Field(None, min_length=1, max_length=200, description="default: none is sent")
    password: SecretReference | None = Field(None, description="of this user")
    tls_ca_file: FilePath | None = Field(None, description="authorities that vouch for the servers; default the system's")
    timeout: _Timeout = Field(timedelta(seconds=3), description="of one question to one server")

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise UsageError("user and password go together", hint="write both, or neither")
        return self


class EtcdDocument(_Login):
    """The etcd in which Patroni keeps its lease."""

    urls: _Urls = Field(description="its members, each with its port")


class PatroniDocument(_Login):
    """Patroni, where it chooses the primary of the cluster."""

    urls: _Urls = Field(description="REST APIs of its members, each with its port; user and password are sent to these alone")
    scope: Name | None = Field(None, description="Patroni's name of the cluster; default: the name in the inventory")
    namespace: str = Field(
        "/service/", pattern=r"^/([A-Za-z0-9_.-]+/)*$", max_length=200, description="under which the lease is kept in etcd"
    )
    preset: PresetName | None = Field(None, description="the settings are compared with it; default: the nearest")
    etcd: EtcdDocument | None = Field(None, description="default: etcd is not asked")
