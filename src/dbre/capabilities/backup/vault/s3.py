"""A vault in a bucket of S3 or of a service that speaks its protocol.

Puts are conditional (``If-None-Match: *``), carry their SHA-256, which the service compares, and their lock. Where the bucket
keeps versions, the *first* version of a key is the object: a delete marker or a later version over it changes nothing.
"""

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from dbre.capabilities.backup.vault.errors import KeyTaken, ObjectDamaged, ObjectMissing, StillLocked
from dbre.capabilities.backup.vault.s3_errors import code_of, error_of, status_of
from dbre.capabilities.backup.vault.storage import LockStrength, ObjectFacts, Pace, StorageFacts
from dbre.core.errors import Unreachable
from dbre.core.secrets import Secret
from dbre.core.text import printable

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

__all__ = ["Bucket", "S3Storage"]

_CHUNK = 1 << 20
_CONFLICTS = 5
_CUTS = 4  # connections in a row that bring nothing
_CUT_SECONDS = 0.2
_CONNECT_SECONDS = 10
_READ_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where it is and how to get in. Without keys boto3 looks for credentials by itself."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str
    access_key: Secret | None = None
    secret_key: Secret | None = None
    lock: str = "none"  # governance, compliance

    @property
    def address(self) -> str:
        """For people."""
        where = f" at {self.endpoint}" if self.endpoint else ""
        return printable(f"s3://{self.name}/{self.prefix}{where}")


class S3Storage:
    """Objects in a bucket; boto3's clients may be used by many threads."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._client: S3Client = boto3.session.Session().client(
            "s3",
            region_name=bucket.region,
            endpoint_url=bucket.endpoint,
            aws_access_key_id=bucket.access_key.reveal() if bucket.access_key else None,
            aws_secret_access_key=bucket.secret_key.reveal() if bucket.secret_key else None,
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": 4},
                s3={"addressing_style": "path" if bucket.endpoint else "auto"},
                user_agent_extra="dbre",
            ),
        )

    @property
    def staging(self) -> Path | None:
        """Anywhere on this machine."""
        return None

    def put(self, key: str, source: Path, *, sha256: str, retain_until: datetime | None, pace: Pace) -> str | None:
        """Send a file."""
        with source.open("rb") as file:
            return self._put(key, _Paced(file, pace), sha256, retain_until)

    def put_bytes(self, key: str, data: bytes, *, retain_until: datetime | None) -> str | None:
        """Send something small."""
        return self._put(key, data, hashlib.sha256(data).hexdigest(), retain_until)

    def _put(self, key: str, body: Any, sha256: str, retain_until: datetime | None) -> str | None:
        arguments: dict[str, Any] = {
            "Key": self._bucket.prefix + key,
            "Bucket": self._bucket.name,
            "IfNoneMatch": "*",
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": base64.b64encode(binascii.unhexlify(sha256)).decode(),
        }
        if retain_until is not None and self._bucket.lock != "none":
            arguments |= {"ObjectLockMode": self._bucket.lock.upper(), "ObjectLockRetainUntilDate": retain_until}
        for attempt in range(_CONFLICTS):
            if hasattr(body, "seek"):
                body.seek(0)
            with self._told(f"write {key} to"):
                try:
                    return _version(self._client.put_object(Body=body, **arguments).get("VersionId"))
                except ClientError as error:
                    if status_of(error) == 412:
                        return self._own_or_taken(key, arguments["ChecksumSHA256"], error)
                    if status_of(error) != 409:
                        raise
            time.sleep(0.05 * 2**attempt)  # another put of the same key goes on: AWS says try again
        raise Unreachable(f"cannot write {printable(key)} to {self._bucket.address}: others write it at the same time")

    def _own_or_taken(self, key: str, checksum: str, error: ClientError) -> str | None:
        """A put whose answer was lost is tried again by boto3, and finds its own object."""
        version = self._first_version(key)
        found = self._client.head_object(
            Bucket=self._bucket.name, Key=self._bucket.prefix + key, ChecksumMode="ENABLED", **_by(version)
        )
        if found.get("ChecksumSHA256") == checksum:
            return version
        raise KeyTaken(f"{printable(key)} is in the vault already", hint="nothing in a vault is overwritten") from error

    def get(self, key: str, into: Path, *, version_id: str | None, limit: int, pace: Pace) -> None:
        """Fetch an object to a new file; where a connection is cut, another one goes on from there."""
        with self._told(f"read {key} of"):
            version = version_id or self._first_version(key)
            descriptor = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                tries, before = _CUTS, 0
                while not self._read_on(key, version, file, limit, pace, is_last=not tries):
                    tries, before = _CUTS if file.tell() > before else tries - 1, file.tell()
                    time.sleep(_CUT_SECONDS)

    def _read_on(self, key: str, version: str | None, file: IO[bytes], limit: int, pace: Pace, *, is_last: bool) -> bool:
        """Read from where the file ends; False where the connection was cut before the end, unless it is the last try."""
        begin = file.tell()
        what: dict[str, Any] = {"Bucket": self._bucket.name, "Key": self._bucket.prefix + key, **_by(version)}
        if begin:
            what["Range"] = f"bytes={begin}-"
        try:
            found = self._client.get_object(**what)
            if (size := begin + found["ContentLength"]) > limit:
                raise ObjectDamaged(f"{printable(key)} has {size} bytes, more than the {limit} expected")
            for data in found["Body"].iter_chunks(_CHUNK):
                pace(len(data))
                file.write(data)
        except (HTTPClientError, IncompleteReadError):
            if is_last:
                raise
            return file.tell() == limit  # cut behind the last byte
        return True

    def local(self, key: str) -> Path | None:  # noqa: ARG002 - the protocol's signature
        """Nothing is on this machine."""
        return None

    def read(self, key: str, *, limit: int) -> bytes:
        """A small object, its first version."""
        with self._told(f"read {key} of"):
            version = self._first_version(key)
            found = self._client.get_object(Bucket=self._bucket.name, Key=self._bucket.prefix + key, **_by(version))
            data: bytes = found["Body"].read(limit + 1)
        if len(data) > limit:
            raise ObjectDamaged(f"{printable(key)} has more than the {limit} bytes that are expected")
        return data

    def look(self, key: str, *, version_id: str | None = None) -> ObjectFacts | None:
        """What lies under a key."""
        try:
            with self._told(f"look at {key} of"):
                version = version_id or self._first_version(key)
                found = self._client.head_object(Bucket=self._bucket.name, Key=self._bucket.prefix + key, **_by(version))
        except ObjectMissing:
            return None
        return ObjectFacts(
            key=key, size=found["ContentLength"], version_id=version, retain_until=found.get("ObjectLockRetainUntilDate")
        )

    def walk(self, prefix: str) -> Iterator[ObjectFacts]:
        """Every object whose key begins so, the first version of each."""
        with self._told(f"list {prefix} of"):
            if self.is_versioned:
                yield from self._first_versions(prefix)
                return
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=self._bucket.prefix + prefix
            )
            for page in pages:
                for one in page.get("Contents", ()):
                    yield ObjectFacts(
                        key=one["Key"].removeprefix(self._bucket.prefix), size=one["Size"], modified_at=one.get("LastModified")
                    )

    def _first_versions(self, prefix: str) -> Iterator[ObjectFacts]:
        """Versions come by key, the newest first; so the last of a key is its first version."""
        last: ObjectFacts | None = None
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket.name, Prefix=self._bucket.prefix + prefix
        )
        for page in pages:
            for one in page.get("Versions", ()):
                key = one["Key"].removeprefix(self._bucket.prefix)
                if last is not None and last.key != key:
                    yield last
                last = ObjectFacts(
                    key=key,
                    size=one["Size"],
                    version_id=_version(one["VersionId"]),
                    modified_at=one.get("LastModified"),
                    is_hidden=not one["IsLatest"],
                )
        if last is not None:
            yield last

    def folders(self, prefix: str) -> Sequence[str]:
        """What lies directly below a prefix, hidden or not."""
        found: set[str] = set()
        kind: Any = "list_object_versions" if self.is_versioned else "list_objects_v2"
        with self._told(f"list {prefix} of"):
            pages = self._client.get_paginator(kind).paginate(
                Bucket=self._bucket.name, Prefix=self._bucket.prefix + prefix, Delimiter="/"
            )
            for page in pages:
                found |= {one["Prefix"].removeprefix(self._bucket.prefix) for one in page.get("CommonPrefixes", ())}
        return sorted(found)

    def delete(self, key: str, *, version_id: str | None) -> None:
        """Delete a version for good."""
        with self._told(f"delete {key} of"):
            try:
                version = version_id or self._first_version(key)
            except ObjectMissing:
                return
            try:
                self._client.delete_object(Bucket=self._bucket.name, Key=self._bucket.prefix + key, **_by(version))
            except ClientError as error:
                found = self.look(key, version_id=version) if code_of(error) == "AccessDenied" else None
                until = found.retain_until if found is not None else None
                if until is None or until <= datetime.now(UTC):
                    raise
                raise StillLocked(
                    f"{printable(key)} of {self._bucket.address} is locked until {until:%Y-%m-%dT%H:%M:%SZ} by the service"
                ) from error

    @cached_property
    def is_versioned(self) -> bool:
        """Whether the bucket keeps versions; where that may not be asked, a bucket with locks does."""
        with self._told("look at"):
            try:
                return self._client.get_bucket_versioning(Bucket=self._bucket.name).get("Status") == "Enabled"
            except ClientError as error:
                if code_of(error) != "AccessDenied":
                    raise
                return self._bucket.lock != "none"

    def try_writing(self) -> None:
        """See that the bucket answers: what is put there may stay for good, so nothing is."""
        self.folders("")

    def facts(self) -> StorageFacts:
        """What the bucket is."""
        problems: list[str] = []
        has_lock = self._has_lock()
        if self._bucket.lock != "none" and not has_lock:
            problems.append("object_lock is configured and the bucket has no object lock: every put is refused")
        if self._bucket.lock == "governance":
            problems.append("governance mode: who has s3:BypassGovernanceRetention can delete what is locked")
        if not self.is_versioned:
            problems.append("the bucket keeps no versions: what is overwritten or deleted by others is gone")
        is_enforced = has_lock and self._bucket.lock != "none"
        return StorageFacts(
            address=self._bucket.address,
            lock=LockStrength.ENFORCED if is_enforced else LockStrength.NONE,
            is_versioned=self.is_versioned,
            free_bytes=None,
            problems=tuple(problems),
        )

    def _has_lock(self) -> bool:
        with self._told("look at"):
            try:
                found = self._client.get_object_lock_configuration(Bucket=self._bucket.name)
            except ClientError as error:
                if code_of(error) in ("ObjectLockConfigurationNotFoundError", "AccessDenied", "NotImplemented"):
                    return False
                raise
        return found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"

    def close(self) -> None:
        """Let connections go."""
        self._client.close()

    def _first_version(self, key: str) -> str | None:
        """The first version of a key; None where the bucket keeps none. Raises: ObjectMissing."""
        if not self.is_versioned:
            return None
        found = next((one for one in self._first_versions(key) if one.key == key), None)
        if found is None:
            raise ObjectMissing(f"{printable(key)} is not in {self._bucket.address}")
        return found.version_id

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise error_of(error, printable(what), self._bucket.address) from error


class _Paced:
    """A file that waits while it is read. botocore seeks in it: for the length, and to begin again."""

    def __init__(self, file: IO[bytes], pace: Pace) -> None:
        self._file = file
        self._pace = pace

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._pace(len(data))
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _version(text: str | None) -> str | None:
    return text if text and text != "null" else None


def _by(version_id: str | None) -> dict[str, Any]:
    return {} if version_id is None else {"VersionId": version_id}
