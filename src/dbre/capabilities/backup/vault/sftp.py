"""A vault in a directory of another machine, over SSH. The machine's host key is configured: none is ever trusted unseen.

A file comes to its name by the plain rename of SFTP 3, which fails where the name is taken (OpenSSH makes a hard link);
``posix-rename`` would overwrite.
"""

import base64
import errno
import io
import secrets
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import IO

import paramiko
from paramiko.pkey import UnknownKeyType
from paramiko.sftp import CMD_EXTENDED

from dbre.capabilities.backup.vault.errors import KeyTaken, ObjectDamaged, ObjectMissing, VaultMisconfigured, VaultUnusable
from dbre.capabilities.backup.vault.storage import LockStrength, ObjectFacts, Pace, StorageFacts, unhurried
from dbre.core.errors import Denied, Unreachable
from dbre.core.secrets import Secret
from dbre.core.text import one_line, printable

__all__ = ["SftpPlace", "SftpStorage"]

_STAGING = "staging"
_CHUNK = 256 << 10
_TRIED = 4096  # a block: a full disk still makes empty files
_SECONDS = 30.0
_KEYS: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpPlace:
    """Where it is and how to get in."""

    host: str
    port: int
    user: str
    path: str
    host_key: str  # "ssh-ed25519 AAAA..."
    private_key: Secret | None = None
    password: Secret | None = None
    is_locked: bool = False

    @property
    def address(self) -> str:
        """For people."""
        return printable(f"sftp://{self.user}@{self.host}:{self.port}{self.path}")


class SftpStorage:
    """Objects as files of another machine; one connection, made at the first use and again after it was lost."""

    def __init__(self, place: SftpPlace) -> None:
        self._place = place
        self._lock = RLock()
        self._client: paramiko.SFTPClient | None = None
        self._transport: paramiko.Transport | None = None

    @property
    def staging(self) -> Path | None:
        """Anywhere on this machine."""
        return None

    def put(self, key: str, source: Path, *, sha256: str, retain_until: datetime | None, pace: Pace) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Send a file."""
        with source.open("rb") as file:
            self._put(key, file, pace)
        return None

    def put_bytes(self, key: str, data: bytes, *, retain_until: datetime | None) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Send something small."""
        self._put(key, io.BytesIO(data), unhurried)
        return None

    def _put(self, key: str, source: IO[bytes], pace: Pace) -> None:
        part = self._path(f"{_STAGING}/{secrets.token_hex(8)}.part")
        with self._told(f"write {key} to") as client:
            self._require_root(client)
            _make_folder(client, self._path(""), _STAGING)
            try:
                with client.open(part, "wx") as file:
                    client.chmod(part, 0o600)
                    size = _send(source, file, pace)
                    _flush(client, file)
                if client.stat(part).st_size != size:
                    raise VaultUnusable(f"{self._place.address} did not take all of {printable(key)}", hint="is its disk full?")
                _make_folder(client, self._path(""), key.rpartition("/")[0])
                self._name(client, part, key)
            finally:
                with suppress(OSError, EOFError, paramiko.SSHException):
                    client.remove(part)

    def _name(self, client: paramiko.SFTPClient, part: str, key: str) -> None:
        try:
            client.rename(part, self._path(key))
        except OSError as error:
            with suppress(FileNotFoundError):
                client.lstat(self._path(key))
                raise KeyTaken(f"{printable(key)} is in the vault already", hint="nothing in a vault is overwritten") from error
            raise

    def get(self, key: str, into: Path, *, version_id: str | None, limit: int, pace: Pace) -> None:  # noqa: ARG002 - the protocol's signature
        """Fetch an object to a new file."""
        with self._told(f"read {key} of") as client, client.open(self._path(key), "rb") as file:
            size = _plain_size(client.lstat(self._path(key)), key)
            if size > limit:
                raise ObjectDamaged(f"{printable(key)} has {size} bytes, more than the {limit} that are expected")
            file.prefetch(size)
            with into.open("xb") as copy:
                into.chmod(0o600)
                while data := file.read(_CHUNK):
                    pace(len(data))
                    copy.write(data)

    def local(self, key: str) -> Path | None:  # noqa: ARG002 - the protocol's signature
        """Nothing is on this machine."""
        return None

    def read(self, key: str, *, limit: int) -> bytes:
        """A small object."""
        with self._told(f"read {key} of") as client, client.open(self._path(key), "rb") as file:
            size = _plain_size(client.lstat(self._path(key)), key)
            if size > limit:
                raise ObjectDamaged(f"{printable(key)} has more than the {limit} bytes that are expected")
            file.prefetch(size)
            return file.read()

    def look(self, key: str, *, version_id: str | None = None) -> ObjectFacts | None:  # noqa: ARG002 - the protocol's signature
        """What lies under a key."""
        try:
            with self._told(f"look at {key} of") as client:
                return ObjectFacts(key=key, size=_plain_size(client.lstat(self._path(key)), key))
        except ObjectMissing:
            return None

    def walk(self, prefix: str) -> Iterator[ObjectFacts]:
        """Every object below a folder, in the order of keys."""
        with self._told(f"list {prefix} of") as client:
            found = list(self._below(client, prefix.rstrip("/")))
        yield from sorted(found, key=lambda one: one.key)

    def _below(self, client: paramiko.SFTPClient, folder: str) -> Iterator[ObjectFacts]:
        try:
            entries = client.listdir_attr(self._path(folder))
        except FileNotFoundError:
            return
        for one in entries:
            key = f"{folder}/{one.filename}" if folder else one.filename
            if stat.S_ISDIR(one.st_mode or 0):
                yield from self._below(client, key)
            elif stat.S_ISREG(one.st_mode or 0):
                changed = None if one.st_mtime is None else datetime.fromtimestamp(one.st_mtime, UTC)
                yield ObjectFacts(key=key, size=one.st_size or 0, modified_at=changed)

    def folders(self, prefix: str) -> Sequence[str]:
        """What lies directly below a prefix."""
        with self._told(f"list {prefix} of") as client:
            try:
                entries = client.listdir_attr(self._path(prefix.rstrip("/")))
            except FileNotFoundError:
                self._require_root(client)
                return ()
        return sorted(f"{prefix}{one.filename}/" for one in entries if stat.S_ISDIR(one.st_mode or 0))

    def delete(self, key: str, *, version_id: str | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Delete for good."""
        with suppress(ObjectMissing), self._told(f"delete {key} of") as client:
            client.remove(self._path(key))

    def try_writing(self) -> None:
        """Write a file to the staging directory and remove it."""
        part = self._path(f"{_STAGING}/{secrets.token_hex(8)}.part")
        with self._told("write to") as client:
            self._require_root(client)
            _make_folder(client, self._path(""), _STAGING)
            try:
                with client.open(part, "wx") as file:
                    file.write(bytes(_TRIED))
            finally:
                with suppress(OSError, EOFError, paramiko.SSHException):
                    client.remove(part)

    def facts(self) -> StorageFacts:
        """What the directory is."""
        with self._told("look at") as client:
            self._require_root(client)
            mode = client.stat(self._path("")).st_mode or 0
        problems = ["others than its owner can read or write the directory"] if mode & 0o077 else []
        return StorageFacts(
            address=self._place.address,
            lock=LockStrength.ADVISORY if self._place.is_locked else LockStrength.NONE,
            is_versioned=False,
            free_bytes=None,
            problems=tuple(problems),
        )

    def close(self) -> None:
        """Let the connection go."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()
            self._client = self._transport = None

    def _path(self, key: str) -> str:
        return f"{self._place.path.rstrip('/')}/{key}"

    def _require_root(self, client: paramiko.SFTPClient) -> None:
        try:
            client.stat(self._path(""))
        except FileNotFoundError as error:
            raise Unreachable(
                f"the directory of {self._place.address} is not there", hint="mount it there, or make it: mkdir -m 700"
            ) from error

    def _connected(self) -> paramiko.SFTPClient:
        with self._lock:
            if self._client is None or self._transport is None or not self._transport.is_active():
                self.close()
                self._transport = _connect(self._place)
                self._client = paramiko.SFTPClient.from_transport(self._transport)
                if self._client is None:
                    raise Unreachable(f"{self._place.address} opens no session")
                channel = self._client.get_channel()
                if channel is not None:
                    channel.settimeout(_SECONDS)
            return self._client

    @contextmanager
    def _told(self, what: str) -> Iterator[paramiko.SFTPClient]:
        words = f"cannot {printable(what)} {self._place.address}"
        try:
            with self._lock:  # one at a time: paramiko gives an answer to whichever thread reads it first, and drops it
                yield self._connected()
        except FileNotFoundError as error:
            raise ObjectMissing(f"{words}: it is not there") from error
        except PermissionError as error:
            raise Denied(f"{words}: permission denied", hint="let the user own the directory") from error
        except (EOFError, TimeoutError, ConnectionError, paramiko.SSHException) as error:
            self.close()
            raise Unreachable(f"{words}: {one_line(str(error)) or type(error).__name__}") from error
        except OSError as error:
            if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
                raise Unreachable(f"{words}: {error.strerror}") from error
            raise VaultUnusable(f"{words}: {one_line(str(error))}", hint="is the disk there full?") from error


def _connect(place: SftpPlace) -> paramiko.Transport:
    expected = _host_key(place)
    try:
        connection = socket.create_connection((place.host, place.port), timeout=_SECONDS)
    except OSError as error:
        raise Unreachable(f"cannot reach {place.address}: {error}") from error
    transport = paramiko.Transport(connection)
    try:
        transport.banner_timeout = transport.auth_timeout = _SECONDS
        options = transport.get_security_options()
        wanted = "rsa-sha2" if expected.get_name() == "ssh-rsa" else expected.get_name()
        options.key_types = tuple(one for one in options.key_types if one.startswith(wanted))
        transport.start_client(timeout=_SECONDS)
        _check_host(transport, place, expected)
        _log_in(transport, place)
    except paramiko.AuthenticationException as error:
        transport.close()
        raise Denied(
            f"{place.address} refuses the user: {one_line(str(error))}", hint="vaults.private_key, password"
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        transport.close()
        raise Unreachable(f"cannot talk to {place.address}: {one_line(str(error)) or type(error).__name__}") from error
    except BaseException:
        transport.close()
        raise
    return transport


def _check_host(transport: paramiko.Transport, place: SftpPlace, expected: paramiko.PKey) -> None:
    if transport.get_remote_server_key() != expected:
        raise Denied(
            f"{place.address} has another host key than vaults.host_key says",
            hint="a machine that was set up anew, or somebody in between: ask its operator",
        )


def _log_in(transport: paramiko.Transport, place: SftpPlace) -> None:
    if place.private_key is not None:
        transport.auth_publickey(place.user, _private_key(place.private_key))
    elif place.password is not None:
        transport.auth_password(place.user, place.password.reveal())
    else:
        raise VaultMisconfigured(f"{place.address}: neither private_key nor password is given")


def _host_key(place: SftpPlace) -> paramiko.PKey:
    kind, _, rest = place.host_key.strip().partition(" ")
    try:
        return paramiko.PKey.from_type_string(kind, base64.b64decode(rest.split()[0], validate=True))
    except (ValueError, IndexError, paramiko.SSHException, UnknownKeyType) as error:
        raise VaultMisconfigured(
            f"{place.address}: host_key is not 'ssh-ed25519 AAAA...'",
            hint=f"ssh-keyscan {place.host} prints it; compare it with the machine's own",
        ) from error


def _private_key(secret: Secret) -> paramiko.PKey:
    text = secret.reveal() + "\n"
    for kind in _KEYS:
        make: Callable[[IO[str]], paramiko.PKey] = kind.from_private_key
        try:
            return make(io.StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
    raise VaultMisconfigured("vaults.private_key holds no SSH key without a passphrase", hint="ssh-keygen -t ed25519")


def _plain_size(found: paramiko.SFTPAttributes, key: str) -> int:
    if not stat.S_ISREG(found.st_mode or 0):
        raise ObjectDamaged(f"{printable(key)} is no plain file: somebody put something else in its place")
    return found.st_size or 0


def _make_folder(client: paramiko.SFTPClient, root: str, folder: str) -> None:
    path = root.rstrip("/")
    for part in folder.split("/"):
        path = f"{path}/{part}"
        try:
            mode = client.lstat(path).st_mode or 0
        except FileNotFoundError:
            with suppress(OSError):  # another writer made it meanwhile; if not, what follows tells
                client.mkdir(path, 0o700)
            mode = client.lstat(path).st_mode or 0
        if not stat.S_ISDIR(mode):
            raise ObjectDamaged(f"{printable(path)} is no directory: a link lies in the way")


def _send(source: IO[bytes], file: paramiko.SFTPFile, pace: Pace) -> int:
    """Write all, and see every answer: in a pipeline paramiko drops those that nobody waits for, errors among them."""
    size, data = 0, source.read(_CHUNK)
    file.set_pipelined(True)
    while data:
        following = source.read(_CHUNK)
        if not following:
            file.set_pipelined(False)  # the next write waits for the answers to all before it
        pace(len(data))
        file.write(data)
        size, data = size + len(data), following
    file.flush()
    return size


def _flush(client: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Let the other machine bring the file to its disk (OpenSSH's extension; paramiko has no method for it)."""
    with suppress(OSError):  # a server that does not know it answers so: nothing more can be asked of it
        client._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)  # type: ignore[attr-defined] # noqa: SLF001
