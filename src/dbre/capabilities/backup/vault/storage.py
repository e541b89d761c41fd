"""What a vault asks of the place where its objects lie. All of it blocks: a vault calls it in threads."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

__all__ = ["LockStrength", "ObjectFacts", "Pace", "Storage", "StorageFacts", "unhurried"]

Pace = Callable[[int], None]
"""Told of bytes that go over the wire; waits where there is a limit, and raises where the work is to end."""


def unhurried(_count: int) -> None:
    """No limit."""


class LockStrength(StrEnum):
    """What a lock is worth."""

    NONE = "none"
    ADVISORY = "advisory"  # dbre keeps it; who has the credentials need not
    ENFORCED = "enforced"  # the service refuses to delete, whoever asks


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """One object as the place knows it."""

    key: str
    size: int
    version_id: str | None = None
    retain_until: datetime | None = None
    modified_at: datetime | None = None  # by the clock of the place; told by ``walk``
    is_hidden: bool = False  # a delete marker or a later version lies over it; it is there all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFacts:
    """What the place is and what it does not do."""

    address: str  # for people; holds no secret
    lock: LockStrength
    is_versioned: bool
    free_bytes: int | None
    problems: Sequence[str] = ()


class Storage(Protocol):
    """A place for objects. Errors are DbreError: Unreachable (try again), Denied, VaultUnusable, ObjectMissing, KeyTaken."""

    @property
    def staging(self) -> Path | None:
        """Where objects are best prepared: a put from there copies nothing. None: anywhere."""
        ...

    def put(self, key: str, source: Path, *, sha256: str, retain_until: datetime | None, pace: Pace) -> str | None:
        """Put a file there durably, whole or not at all, and give its version. Raises: KeyTaken; nothing is overwritten."""
        ...

    def put_bytes(self, key: str, data: bytes, *, retain_until: datetime | None) -> str | None:
        """Likewise, for something small."""
        ...

    def get(self, key: str, into: Path, *, version_id: str | None, limit: int, pace: Pace) -> None:
        """Copy an object of at most ``limit`` bytes to a new file. Raises: ObjectMissing, ObjectDamaged (larger)."""
        ...

    def local(self, key: str) -> Path | None:
        """The file itself where it lies on this machine; never to be changed. Raises: ObjectMissing."""
        ...

    def read(self, key: str, *, limit: int) -> bytes:
        """A small object. Where versions are kept, the first one: no key is rewritten by us. Raises: ObjectMissing."""
        ...

    def look(self, key: str, *, version_id: str | None = None) -> ObjectFacts | None:
        """What lies under a key; None: nothing."""
        ...

    def walk(self, prefix: str) -> Iterator[ObjectFacts]:
        """Every object whose key begins so, in the order of keys, the first version of each."""
        ...

    def folders(self, prefix: str) -> Sequence[str]:
        """What lies directly below a prefix that ends with a slash, as prefixes that end with a slash."""
        ...

    def delete(self, key: str, *, version_id: str | None) -> None:
        """Delete for good; nothing happens where it is gone. Raises: StillLocked, Denied."""
        ...

    def try_writing(self) -> None:
        """See that something could be put there, as far as that can be seen without leaving anything behind."""
        ...

    def facts(self) -> StorageFacts:
        """What the place is; asks it."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...
