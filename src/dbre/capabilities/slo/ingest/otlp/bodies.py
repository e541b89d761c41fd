"""Bodies of requests: read within limits of size and time, and decompressed within the same limit."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal
from dbre.capabilities.slo.ingest.otlp.limits import MAX_BODY_BYTES

__all__ = ["Receive", "decompress", "read_body"]

Receive = Callable[[], Awaitable[Any]]
_READ_SECONDS = 30.0  # of a whole body: who sends a byte now and then holds no memory for longer
_GZIP = 16 + zlib.MAX_WBITS


async def read_body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """The body as it was sent. Raises: OtlpRefusal where it is too large or too slow, ConnectionError where the client left."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    pieces, size = [], 0
    try:
        async with asyncio.timeout(_READ_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError("the client left before its request was complete")
                piece = message.get("body", b"")
                size += len(piece)
                if size > MAX_BODY_BYTES:
                    raise _too_large()
                pieces.append(piece)
                if not message.get("more_body"):
                    return b"".join(pieces)
    except TimeoutError as error:
        raise OtlpRefusal(408, f"the request did not arrive within {_READ_SECONDS:.0f} s") from error


def decompress(body: bytes, encoding: bytes) -> bytes:
    """The body itself. Raises: OtlpRefusal for another encoding than gzip, a damaged body, or one that unpacks to too much."""
    if encoding in (b"", b"identity"):
        return body
    if encoding != b"gzip":
        raise OtlpRefusal(415, "the content encoding is neither gzip nor identity")
    pieces, size, rest = [], 0, body
    try:
        while rest:  # a gzip file may have several members
            unpacker = zlib.decompressobj(_GZIP)
            piece = unpacker.decompress(rest, MAX_BODY_BYTES - size + 1)
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise _too_large()
            if not unpacker.eof:
                raise OtlpRefusal(400, "the gzip body is cut off")
            pieces.append(piece)
            rest = unpacker.unused_data
    except zlib.error as error:
        raise OtlpRefusal(400, "the body is no gzip though its encoding says so") from error
    return b"".join(pieces)


def _too_large() -> OtlpRefusal:
    return OtlpRefusal(413, f"the body is larger than {MAX_BODY_BYTES // 2**20} MiB: send smaller batches")
