"""Where a witness gets checkpoints from: the state store, a control plane's API, or a document."""

import asyncio
import sys
from pathlib import Path
from typing import Protocol

from dbre.core.audit.checkpoints import Growth, growth_since
from dbre.core.audit.documents import LONGEST_DOCUMENT, read_growth
from dbre.core.audit.errors import ProofInvalid
from dbre.core.audit.signed_note import VerifierKey
from dbre.core.errors import Denied, Unreachable, UsageError
from dbre.core.secrets import Secret
from dbre.core.store import Store
from dbre.core.text import one_line, printable

__all__ = ["CheckpointSource", "DocumentSource", "HttpSource", "StoreSource"]

_ANSWER_SECONDS = 10.0


class CheckpointSource(Protocol):
    """Who can show a log."""

    async def growth(self, since: int) -> Growth | None:
        """The newest checkpoint, with the proof for somebody who knows ``since`` entries; None: nothing is signed yet."""
        ...


class StoreSource:
    """The state store itself."""

    def __init__(self, store: Store, key: VerifierKey) -> None:
        self._store = store
        self._key = key

    async def growth(self, since: int) -> Growth | None:
        """Read it from the store. Raises: NoteInvalid, EntryMissing; a StoreError."""
        async with self._store.read() as connection:
            return await growth_since(connection, since, self._key)


class DocumentSource:
    """A file that ``dbre audit checkpoint --since SIZE`` made; ``-`` is standard input."""

    def __init__(self, path: str, key: VerifierKey) -> None:
        self._path = path
        self._key = key

    async def growth(self, since: int) -> Growth | None:  # noqa: ARG002 (the document says what it begins with)
        """Read the document. Raises: UsageError, NoteInvalid, ProofInvalid."""
        return read_growth(await asyncio.to_thread(self._text), self._key)

    def _text(self) -> str:
        try:
            if self._path == "-":
                return sys.stdin.read(LONGEST_DOCUMENT + 1)
            with Path(self._path).open() as file:
                return file.read(LONGEST_DOCUMENT + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise UsageError(f"{printable(self._path)} cannot be read: {reason}") from error


class HttpSource:
    """The API of a control plane: ``URL/api/v1/audit/checkpoint?since=SIZE``."""

    def __init__(self, url: str, key: VerifierKey, *, token: Secret | None = None) -> None:
        self._url = url.rstrip("/") + "/api/v1/audit/checkpoint"
        self._key = key
        self._token = token

    async def growth(self, since: int) -> Growth | None:
        """Ask the control plane. Raises: Unreachable, Denied, NoteInvalid, ProofInvalid."""
        import httpx  # here, because it costs time that other sources need not pay

        headers = {"Authorization": f"Bearer {self._token.reveal()}"} if self._token else {}
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
                answer = await client.get(self._url, params={"since": since}, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise Unreachable(f"control plane {printable(self._url)} does not answer: {one_line(str(error))}") from error
        if answer.status_code in (401, 403):
            raise Denied(f"control plane {printable(self._url)} refuses the token", hint="any token of a viewer will do")
        if answer.status_code == 204:
            return None
        if answer.status_code != 200 or len(answer.content) > LONGEST_DOCUMENT:
            raise ProofInvalid(f"control plane {printable(self._url)} answered {answer.status_code} with no checkpoint")
        return read_growth(answer.text, self._key)
