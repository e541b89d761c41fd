"""What etcd answers with."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dbre.core.errors import DbreError, Unreachable

__all__ = ["Compared", "EtcdError", "Event", "KeyValue", "LeaseLife", "MemberHealth", "NoQuorum", "Range", "decoded", "encoded"]


class EtcdError(DbreError):
    """etcd refused a request."""

    code = "etcd.refused"


class NoQuorum(Unreachable):
    """The members that answer do not have a majority: nothing can be written, and no read is sure to be the newest."""

    code = "etcd.no_quorum"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """A key and its value, and the revisions by which they are compared."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int  # writes since it was made
    lease: int  # 0: none

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From the gateway's form, in which zeros are left out. Raises: ValueError, TypeError."""
        return cls(
            key=decoded(given.get("key", "")),
            value=decoded(given.get("value", "")),
            create_revision=int(given.get("create_revision", 0)),
            mod_revision=int(given.get("mod_revision", 0)),
            version=int(given.get("version", 0)),
            lease=int(given.get("lease", 0)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The keys that were asked for, and the revision of the whole store at which they were read."""

    revision: int
    items: tuple[KeyValue, ...]

    @property
    def only(self) -> KeyValue | None:
        """The one key that was asked for, where it exists."""
        return self.items[0] if self.items else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A transaction that did something only if a key was as expected."""

    is_done: bool
    revision: int
    found: KeyValue | None  # what stood there instead; None where it was done, or where nothing stands there


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of a key that is watched."""

    is_delete: bool
    item: KeyValue


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLife:
    """How long a lease still lives; ``remaining_seconds`` is None where it has ended."""

    granted_seconds: int
    remaining_seconds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberHealth:
    """One member as it describes itself."""

    url: str
    error: str | None  # None: it answered
    member_id: int = 0
    leader_id: int = 0  # 0: it knows none
    term: int = 0
    version: str = ""
    db_bytes: int = 0

    @property
    def is_leader(self) -> bool:
        """Whether it leads, by its own word."""
        return self.error is None and self.member_id != 0 and self.member_id == self.leader_id


def encoded(data: bytes | str) -> str:
    """As the gateway wants bytes."""
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def decoded(text: str) -> bytes:
    """Bytes of the gateway's form. Raises: ValueError."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
