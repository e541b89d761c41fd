"""Where the key is that signs the audit log."""

import asyncio
import re
import secrets
import socket
from pathlib import Path

from dbre.core.audit.document import AuditDocument
from dbre.core.audit.errors import SigningKeyInvalid
from dbre.core.audit.private_file import create_private, read_private
from dbre.core.audit.signed_note import SigningKey
from dbre.core.store import Store
from dbre.core.store.address import SqliteAddress
from dbre.core.text import printable

__all__ = ["KEY_FILE", "key_directory", "load_key_file", "load_or_create_key_file", "signing_key"]

KEY_FILE = "dbre.audit-key"
"""Name of the file, beside the state store or, where that is no file, beside the configuration."""


async def signing_key(document: AuditDocument, store: Store, *, directory: Path, create: bool = False) -> SigningKey | None:
    """The key of the configuration or of the file; with ``create``, made where there is none. None: this machine has none.

    ``directory`` is that of the configuration.

    Raises: SigningKeyInvalid; SecretUnavailable.
    """
    if document.key is not None:
        key: SigningKey | None = SigningKey.parse((await document.key.resolve()).reveal())
    else:
        path = key_directory(store, directory) / KEY_FILE
        load = load_or_create_key_file if create else load_key_file
        key = await asyncio.to_thread(load, path, document.origin)
    if key is not None and key.is_witness:
        raise SigningKeyInvalid("audit.key is the key of a witness", hint="give the log a key of its own")
    if key is not None and document.origin not in (None, key.name):
        raise SigningKeyInvalid(
            f"audit.origin is {document.origin}, and the signing key is of the log {key.name}",
            hint=f"write audit.origin: {key.name}, or move the key aside: a new one begins a new series of checkpoints",
        )
    return key


def key_directory(store: Store, configuration: Path) -> Path:
    """Where the key file is."""
    return store.address.path.parent if isinstance(store.address, SqliteAddress) else configuration


def load_key_file(path: Path, _origin: str | None = None) -> SigningKey | None:
    """The key in the file; None where there is no file. Raises: SigningKeyInvalid."""
    try:
        return SigningKey.parse(read_private(path, what="the audit log's signing key"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SigningKeyInvalid(
            f"{printable(str(path))} cannot be read: {error.strerror}", hint="run dbre as its owner"
        ) from error


def load_or_create_key_file(path: Path, origin: str | None = None) -> SigningKey:
    """The key in the file, made first where there is none; processes that do so at once get the same.

    Raises: SigningKeyInvalid.
    """
    found = load_key_file(path)
    if found is not None:
        return found
    made = SigningKey.generate(origin or _new_origin())
    try:
        if create_private(path, made.reveal() + "\n"):
            return made
    except OSError as error:
        raise SigningKeyInvalid(
            f"{printable(str(path))} cannot be made: {error.strerror}", hint="let the user that runs dbre write the directory"
        ) from error
    found = load_key_file(path)
    if found is None:
        raise SigningKeyInvalid(f"{printable(str(path))} was made and removed by others meanwhile")
    return found


def _new_origin() -> str:
    """Two logs never have the same: a witness would take one for a fork of the other."""
    host = re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower()) or "localhost"
    return f"{host[:100]}/dbre-audit/{secrets.token_hex(4)}"
