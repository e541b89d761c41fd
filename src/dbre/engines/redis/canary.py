"""Facet ``canary`` of Redis and Valkey: a chain of rows in the stream ``dbre:canary``, by sessions of its own, which write."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dbre.core.errors import DbreError, Unsupported
from dbre.engines.redis.backup.asking import conversation
from dbre.engines.redis.backup.source import read_source, where_log_ends
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection
from dbre.engines.redis.session import server_time
from dbre.ports.backup.model import LogPosition
from dbre.ports.canary import CanaryRow
from dbre.ports.engine import Access

__all__ = ["RedisCanary"]

_NO_HASH = "0" * 64
_MANY = 100_000  # rows that are looked at when old ones go: more than a day of one a second


class RedisCanary:
    """Implements ``ports.canary``. The answer to a write comes after what ``appendfsync`` demands."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def prepare(self) -> None:
        """Nothing: the stream comes with its first row."""

    async def write(self) -> tuple[CanaryRow, LogPosition | None]:
        """Append one row; where two writers meet, the server refuses one of them, which may try again."""
        limit = self._access.timeouts.statement_seconds
        async with conversation(self._access, what="canary") as connection:
            newest = await self._newest(connection, 1)
            now = server_time(await connection.run(named("time"), limit_seconds=limit))
            made = CanaryRow(
                sequence=newest[0].sequence + 1 if newest else 1,
                at=now,
                nonce=secrets.token_hex(8),
                previous=newest[0].hash if newest else _NO_HASH,
                hash="",
            )
            row = replace(made, hash=hashlib.sha256(made.text()).hexdigest())
            at = round(row.at.timestamp() * 1_000_000)
            values = (row.sequence, at, row.nonce, row.previous, row.hash)
            await connection.run(named("canary_write"), *values, limit_seconds=limit)
        return row, await self._position()

    async def newest(self, count: int) -> tuple[CanaryRow, ...]:
        """The newest rows; none where there is no stream."""
        async with conversation(self._access, what="canary") as connection:
            return await self._newest(connection, count)

    async def prune(self, older_than: timedelta) -> int:
        """Delete old rows; the newest stays, because the next one names it."""
        limit = self._access.timeouts.statement_seconds
        async with conversation(self._access, what="canary") as connection:
            horizon = server_time(await connection.run(named("time"), limit_seconds=limit)) - older_than
            newest = await self._newest(connection, 1)
            oldest = _rows(await connection.run(named("canary_oldest"), _MANY, limit_seconds=limit))
            kept = [row.sequence for row in oldest if row.at >= horizon]
            first = min([*kept, newest[0].sequence]) if newest else 0
            return int(await connection.run(named("canary_prune"), first, limit_seconds=limit)) if newest else 0

    async def _newest(self, connection: Connection, count: int) -> tuple[CanaryRow, ...]:
        limit = self._access.timeouts.statement_seconds
        return _rows(await connection.run(named("canary_newest"), count, limit_seconds=limit))

    async def _position(self) -> LogPosition | None:
        """Where the log ends; None where there is none, or its files are not on this machine."""
        try:
            source = await read_source(self._access)
            return where_log_ends(source) if source.has_log else None
        except DbreError:
            return None


def _rows(answer: Sequence[Any]) -> tuple[CanaryRow, ...]:
    try:
        return tuple(_row(identifier, dict(zip(fields[::2], fields[1::2], strict=True))) for identifier, fields in answer)
    except (KeyError, ValueError, TypeError) as error:
        raise Unsupported(
            "dbre:canary has a row that is not ours", hint="somebody else writes the stream: delete it"
        ) from error


def _row(identifier: str, fields: dict[str, str]) -> CanaryRow:
    seconds, microseconds = divmod(int(fields["at"]), 1_000_000)
    return CanaryRow(
        sequence=int(identifier.partition("-")[0]),
        at=datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds),
        nonce=fields["nonce"],
        previous=fields["previous"],
        hash=fields["hash"],
    )
