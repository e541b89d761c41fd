"""Who may send events: each has a token that allows this and nothing else, kept as a hash."""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.ingest.errors import IntakeUnavailable
from dbre.capabilities.slo.ingest.tables import ingest_producers
from dbre.core.audit.model import AuditDraft, AuditRecorder
from dbre.core.clock import Clock
from dbre.core.errors import Conflict, StoreError, UsageError
from dbre.core.identity.model import Permission, Principal
from dbre.core.identity.tokens import is_token, make_token, token_digest, token_hash
from dbre.core.secrets import Secret
from dbre.core.store import Store
from dbre.core.text import closest, quoted

__all__ = ["Admission", "Producer", "add_producer", "list_producers", "revoke_producer"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_FRESH_SECONDS = 5.0  # how long a revoked token still works
_log = structlog.get_logger(__name__)
_UNKNOWN = "the state store does not say who may send events"
_MISS_SECONDS = 1.0  # between two looks into the store for tokens that nobody has


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """One sender of events."""

    name: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


async def add_producer(store: Store, recorder: AuditRecorder, clock: Clock, principal: Principal, name: str) -> Secret:
    """Let somebody send events; the token is shown this once. Raises: Denied, UsageError, Conflict where the name is taken."""
    principal.require(Permission.ADMINISTER, None, what=f"producer {name}")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{quoted(name, limit=80)} is no name of a producer", hint="1 to 63 of a-z, 0-9 and -, as checkout-service"
        )
    token = make_token()
    row = {"name": name, "token_hash": token_hash(token), "created_at": clock.now(), "created_by": principal.name}

    async def write(connection: AsyncConnection) -> None:
        known = (await connection.execute(select(ingest_producers).where(ingest_producers.c.name == name))).first()
        if known is not None and known.revoked_at is None:
            raise Conflict(f"producer {name} exists", hint=f"dbre ingest producer revoke {name} ends its token first")
        if known is None:
            await connection.execute(insert(ingest_producers).values(row))
        else:
            await connection.execute(
                update(ingest_producers).where(ingest_producers.c.name == name).values(**row, revoked_at=None)
            )
        draft = AuditDraft(action="ingest.producer_added", actor=principal.name, subject=f"producer/{name}")
        await recorder.record(connection, draft)

    await store.grouped(write)
    return token


async def revoke_producer(store: Store, recorder: AuditRecorder, clock: Clock, principal: Principal, name: str) -> bool:
    """End a producer's token; whether that changes anything. Raises: Denied, UsageError for an unknown name."""
    principal.require(Permission.ADMINISTER, None, what=f"producer {name}")

    async def write(connection: AsyncConnection) -> bool:
        known = {row.name: row.revoked_at for row in await connection.execute(select(ingest_producers))}
        if name not in known:
            near = closest(name, sorted(known))
            raise UsageError(
                f"no producer is named {quoted(name, limit=80)}",
                hint=f"did you mean {near}?" if near else "dbre ingest producer list",
            )
        if known[name] is not None:
            return False
        await connection.execute(update(ingest_producers).where(ingest_producers.c.name == name).values(revoked_at=clock.now()))
        draft = AuditDraft(action="ingest.producer_revoked", actor=principal.name, subject=f"producer/{name}")
        await recorder.record(connection, draft)
        return True

    return await store.grouped(write)


async def list_producers(connection: AsyncConnection) -> list[Producer]:
    """All that ever were, by name."""
    rows = await connection.execute(select(ingest_producers).order_by(ingest_producers.c.name))
    return [
        Producer(name=row.name, created_at=row.created_at, created_by=row.created_by, revoked_at=row.revoked_at) for row in rows
    ]


class Admission:
    """From tokens to producers, from memory: the store is asked every 5 s, and for tokens that are not known."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._asking = asyncio.Lock()
        self._names: dict[str, str] | None = None  # by the hash of the token
        self._fresh_until = self._ask_again_at = clock.monotonic()

    async def admit(self, token: str) -> str | None:
        """The name of the producer whose token this is; None: nobody's. Raises: IntakeUnavailable while that is not known."""
        if not is_token(token):
            return None
        digest = f"sha256:{token_digest(token).hex()}"
        if self._must_ask(digest):
            async with self._asking:  # who comes meanwhile waits for the same answer
                if self._must_ask(digest):
                    await self._load()
        if self._names is None:
            raise IntakeUnavailable(_UNKNOWN, retry_after_seconds=2)
        return self._names.get(digest)

    def _must_ask(self, digest: str) -> bool:
        now = self._clock.monotonic()
        is_missing = self._names is None or digest not in self._names
        return now >= self._fresh_until or (is_missing and now >= self._ask_again_at)

    async def _load(self) -> None:
        valid = select(ingest_producers.c.name, ingest_producers.c.token_hash).where(ingest_producers.c.revoked_at.is_(None))
        try:
            async with self._store.read() as connection:
                self._names = {row.token_hash: row.name for row in await connection.execute(valid)}
        except StoreError as error:
            _log.warning("ingest_producers_not_read", error=error.message)
        finally:  # not before there is an answer: until then everybody waits for it
            now = self._clock.monotonic()
            self._fresh_until, self._ask_again_at = now + _FRESH_SECONDS, now + _MISS_SECONDS
