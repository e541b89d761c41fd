"""``POST /ingest/v1/events`` as a plain ASGI application: a framework would cost more than the events."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from dbre.capabilities.slo.ingest.aggregation import MAX_REJECTIONS, Aggregate
from dbre.capabilities.slo.ingest.checking import Rejection
from dbre.capabilities.slo.ingest.decoding import Decoded, decode_json, decode_lines, decode_msgpack
from dbre.capabilities.slo.ingest.errors import BadBatch, IntakeUnavailable
from dbre.capabilities.slo.ingest.intake import Acknowledgement, Intake
from dbre.capabilities.slo.ingest.otlp.bodies import Receive, decompress, read_body
from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal
from dbre.capabilities.slo.ingest.pre_aggregated import counts_of
from dbre.capabilities.slo.ingest.request import RequestFacts, facts_of
from dbre.core.text import printable

__all__ = ["PATH", "AsgiApp", "ingest_app"]

PATH = "/ingest/v1/events"
Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
Admit = Callable[[str], Awaitable[str | None]]
"""From the token of a producer to its name; None where nobody has that token."""

_DECODERS: dict[bytes, Callable[[bytes], Decoded]] = {
    b"application/x-ndjson": decode_lines,
    b"application/json": decode_json,
    b"application/msgpack": decode_msgpack,
}
_LARGE_BYTES = 256 * 1024  # from here on a body is counted beside the event loop, so that the prober keeps its schedule
_NO_TOKEN = "no token of a producer: send Authorization: Bearer TOKEN (dbre ingest producer add NAME)"  # noqa: S105 - a text
_LARGE_AT_ONCE = 4
_BODIES_BYTES = 256 * 2**20  # of all requests under way
_UNKNOWN_BYTES = 2**20  # what a request without a length is taken for


def ingest_app(intake: Intake, admit: Admit) -> AsgiApp:
    """The application; every request carries ``Authorization: Bearer TOKEN`` of a producer."""
    endpoint = _Endpoint(intake, admit)

    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        extra: list[tuple[bytes, bytes]] = []
        try:
            status, body = 200, _answer(await endpoint.take(scope, receive))
        except OtlpRefusal as refusal:
            status, body = refusal.status, _problem(refusal.message)
            if refusal.retry_after_seconds is not None:
                extra.append((b"retry-after", str(refusal.retry_after_seconds).encode()))
            if status in (408, 413):
                extra.append((b"connection", b"close"))  # the rest of the body is not read
        except ConnectionError:
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *extra]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


class _Endpoint:
    """What requests share."""

    def __init__(self, intake: Intake, admit: Admit) -> None:
        self._intake = intake
        self._admit = admit
        self._bodies_bytes = 0
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def take(self, scope: Mapping[str, Any], receive: Receive) -> Acknowledgement:
        """One request. Raises: OtlpRefusal, ConnectionError."""
        facts = facts_of(scope, PATH)
        decode = _DECODERS.get(facts.content_type)
        if decode is None:
            known = ", ".join(sorted(one.decode() for one in _DECODERS))
            raise OtlpRefusal(415, f"the content type is none of {known}")
        try:
            producer = await self._admit(facts.token) if facts.token else None
            if producer is None:
                raise OtlpRefusal(
                    401, "no token of a producer: send Authorization: Bearer TOKEN (dbre ingest producer add NAME)"
                )
            return await self._read_and_count(facts, decode, receive, facts.key_of(producer))
        except BadBatch as error:
            raise OtlpRefusal(400, error.message) from error
        except IntakeUnavailable as error:
            raise OtlpRefusal(503, error.message, retry_after_seconds=error.retry_after_seconds) from error

    async def _read_and_count(
        self, facts: RequestFacts, decode: Callable[[bytes], Decoded], receive: Receive, producer: str
    ) -> Acknowledgement:
        size = facts.length or _UNKNOWN_BYTES
        if self._bodies_bytes + size > _BODIES_BYTES:
            raise OtlpRefusal(503, f"requests of {self._bodies_bytes} bytes are under way", retry_after_seconds=1)
        self._bodies_bytes += size
        try:
            body = await read_body(receive, facts.headers)
            if len(body) < _LARGE_BYTES and not facts.encoding:
                prepared = self._prepare(body, b"", decode)
            else:
                async with self._large:
                    prepared = await asyncio.to_thread(self._prepare, body, facts.encoding, decode)
        finally:
            self._bodies_bytes -= size
        return await self._accept(prepared, producer, facts.sequence)

    def _prepare(self, body: bytes, encoding: bytes, decode: Callable[[bytes], Decoded]) -> "_Prepared":
        decoded = decode(decompress(body, encoding) if encoding else body)
        found = Aggregate()
        if decoded.columns is not None:
            found = self._intake.count(decoded.columns)
        if decoded.rows:
            found.rejections = [Rejection(decoded.rows[one.row], one.reason) for one in found.rejections]
        if decoded.counts:
            found.add(counts_of(decoded.counts, self._intake.matcher, limits=self._intake.time_limits()))
        found.rejected += len(decoded.rejections)
        found.rejections += decoded.rejections
        return _Prepared(found, decoded.alive)

    async def _accept(self, prepared: "_Prepared", producer: str, sequence: int | None) -> Acknowledgement:
        taken = await self._intake.accept_counts(prepared.found, producer=producer, sequence=sequence)
        if not prepared.alive:
            return taken
        lives = self._intake.alive(prepared.alive)
        return replace(
            taken,
            accepted=taken.accepted + lives.accepted,
            rejected=taken.rejected + lives.rejected,
            rejections=taken.rejections + lives.rejections,
        )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A body, counted."""

    found: Aggregate
    alive: Sequence[str]


class _Told(msgspec.Struct):
    """Why a row was not counted."""

    row: int
    reason: str


class _Answer(msgspec.Struct):
    """What a sender is told."""

    accepted: int
    rejected: int
    unmatched: int
    duplicate: bool
    rejections: list[_Told]


_json = msgspec.json.Encoder()


def _answer(taken: Acknowledgement) -> bytes:
    told = [_Told(one.row, printable(one.reason)) for one in taken.rejections[:MAX_REJECTIONS]]
    return _json.encode(_Answer(taken.accepted, taken.rejected, taken.unmatched, taken.is_duplicate, told))


def _problem(message: str) -> bytes:
    return _json.encode({"message": printable(message, limit=1_000)})
