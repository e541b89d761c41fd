"""What the head of a request says: who sends which batch, in which form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal

__all__ = ["RequestFacts", "facts_of"]

_STREAM = re.compile(rb"[A-Za-z0-9._:-]{1,100}")
_SEQUENCE = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """Of one request; ``sequence`` None: the batch has no number, and counts twice where it is sent twice."""

    headers: Mapping[bytes, bytes]
    content_type: bytes
    encoding: bytes
    length: int | None
    token: str
    stream: str
    sequence: int | None

    def key_of(self, producer: str) -> str:
        """Whose numbers these are: each stream of a producer counts for itself."""
        return f"{producer}/{self.stream}" if self.stream else producer


def facts_of(scope: Mapping[str, Any], path: str) -> RequestFacts:
    """Read the head. Raises: OtlpRefusal."""
    if scope["path"] != path:
        raise OtlpRefusal(404, f"events are sent to {path}")
    if scope["method"] != "POST":
        raise OtlpRefusal(405, "events are sent with POST")
    headers = {name.lower(): value for name, value in scope["headers"]}
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    stream, sequence = headers.get(b"dbre-stream", b""), headers.get(b"dbre-sequence")
    if stream and not _STREAM.fullmatch(stream):
        raise OtlpRefusal(400, "the header Dbre-Stream is not 1 to 100 of letters, digits and . _ : -")
    if sequence is not None and not _SEQUENCE.fullmatch(sequence):
        raise OtlpRefusal(400, "the header Dbre-Sequence is not a whole number below 10**18")
    length, encoding = headers.get(b"content-length", b""), headers.get(b"content-encoding", b"").strip().lower()
    return RequestFacts(
        headers=headers,
        content_type=headers.get(b"content-type", b"").partition(b";")[0].strip().lower(),
        encoding=b"" if encoding == b"identity" else encoding,
        length=int(length) if length.isdigit() and len(length) < 16 else None,
        token=token.strip() if scheme.lower() == "bearer" else "",
        stream=stream.decode(),
        sequence=int(sequence) if sequence is not None else None,
    )
