"""Sends batches over HTTP, and says whether one that was not taken should come again."""

import ssl
from dataclasses import dataclass
from enum import StrEnum

import httpx

from dbre.client.spool import Batch

__all__ = ["Answer", "Sender", "Verdict"]

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_SHOWN = 200


class Verdict(StrEnum):
    """What became of a batch."""

    TAKEN = "taken"
    AGAIN = "again"  # not now
    REFUSED = "refused"  # never


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said."""

    verdict: Verdict
    text: str = ""
    wait_seconds: float | None = None


class Sender:
    """One connection to the receiver, kept open between batches."""

    def __init__(self, url: str, token: str, *, timeout_seconds: float, verify: ssl.SSLContext | bool = True) -> None:
        self._url = url.rstrip("/") + "/ingest/v1/events"
        self._token = token
        self._timeout = timeout_seconds
        self._verify = verify
        self._client: httpx.Client | None = None

    def send(self, batch: Batch) -> Answer:
        """Send one batch; never raises."""
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "dbre-stream": batch.stream,
            "dbre-sequence": str(batch.sequence),
        }
        try:
            response = self._open().post(self._url, content=batch.body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, RuntimeError, ValueError) as error:
            self.close()
            return Answer(Verdict.AGAIN, f"{type(error).__name__}: {str(error)[:_SHOWN]}")
        if response.is_success:
            return Answer(Verdict.TAKEN)
        said = f"HTTP {response.status_code}: {response.text[:_SHOWN]}"
        if response.status_code not in _RETRIED:
            return Answer(Verdict.REFUSED, said)
        asked = response.headers.get("retry-after", "")
        return Answer(Verdict.AGAIN, said, float(asked) if asked.isascii() and asked.isdigit() else None)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def forget(self) -> None:
        """Leave the connection alone: after a fork it is the parent's."""
        self._client = None

    def _open(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(timeout=self._timeout, verify=self._verify, follow_redirects=False)
        return self._client
