"""Facet ``client`` of PostgreSQL: acts of probe clients, each of which knows when it may have been committed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import pq

from dbre.core.errors import UsageError
from dbre.core.pool import abort_on_error
from dbre.core.text import one_line
from dbre.engines.postgres.connection import Connection, open_connection
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.queries import named
from dbre.ports.client_work import ClientReply, ClientWork, ClientWorkload, Fate, NotWritable, WorkFailed
from dbre.ports.engine import Access

__all__ = ["PostgresClient", "fate_of"]

# Classes of SQLSTATE that the server raises before a commit record is written. 40003 says itself that it does not know.
_BEFORE_COMMIT = frozenset({"0A", "21", "22", "23", "25", "28", "2B", "34", "3D", "3F", "40", "42", "44", "53", "54", "55"})
_NOT_BEFORE = frozenset({"40003"})
_CONFLICTS = frozenset({"23", "40"})  # with other clients: not the server's failure
_ALSO_BEFORE = frozenset({"57P03"})
_UNKNOWN_OPTION = "unsupported startup parameter"  # of a pooler that passes none on
_ISOLATIONS = ("serializable", "repeatable-read", "read-committed")
_TABLES = ("ledger", "register", "list", "account")
_ACCOUNTS, _BALANCE = 8, 100


def fate_of(error: Exception, *, is_sent: bool) -> Fate:
    """Whether an error proves that nothing was committed.

    An ``ERROR`` is raised before the commit; a ``FATAL`` may end a session that waits, after its commit, for a replica.
    """
    if not is_sent:
        return Fate.FAILED
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return Fate.UNKNOWN
    if error.sqlstate in _ALSO_BEFORE:
        return Fate.FAILED
    if error.diag.severity_nonlocalized != "ERROR" or error.sqlstate in _NOT_BEFORE:
        return Fate.UNKNOWN
    return Fate.FAILED if error.sqlstate[:2] in _BEFORE_COMMIT else Fate.UNKNOWN


class _Session:
    """Implements ``ports.client_work.ClientConnection``."""

    def __init__(self, connection: Connection, node: str, limit: float) -> None:
        self._connection = connection
        self._limit = limit
        self.node = node
        self.is_sent = False
        self._warning: str | None = None
        connection.driver.add_notice_handler(self._notice)

    @property
    def is_usable(self) -> bool:
        """Open, idle, and the server has not said farewell."""
        return self._connection.is_usable

    def abort(self) -> None:
        """Close the socket at once."""
        self._connection.abort()

    def _notice(self, diag: psycopg.errors.Diagnostic) -> None:
        """A warning beside a commit says that it was not waited for: not replicated as it was promised."""
        if diag.severity_nonlocalized == "WARNING":
            self._warning = one_line(diag.message_primary or "warning")

    async def do(self, work: ClientWork) -> ClientReply:
        """Do one act."""
        self.is_sent, self._warning = False, None
        act = _ACTS.get((work.workload, work.f))
        if act is None:
            raise UsageError(f"a client of PostgreSQL cannot {work.f} in workload {work.workload}")
        try:
            reply = await act(self, work)
        except FAULTS.raised as error:
            fate = fate_of(error, is_sent=self.is_sent)
            await self._end_transaction()
            is_answer = fate is Fate.FAILED and (getattr(error, "sqlstate", None) or "")[:2] in _CONFLICTS
            raise WorkFailed(fate, _reason(error), is_answer=is_answer) from error
        if self._warning is not None:
            raise WorkFailed(Fate.UNKNOWN, self._warning)
        return reply

    async def _end_transaction(self) -> None:
        """Make the session fit for the next act where it failed inside of a transaction."""
        if self._connection.driver.pgconn.transaction_status in (pq.TransactionStatus.INERROR, pq.TransactionStatus.INTRANS):
            try:
                await self.ask("client_rollback")
            except FAULTS.raised:
                self.abort()

    async def ask(self, name: str, *parameters: object) -> Sequence[Any]:
        """The rows of one named statement."""
        query = named(name, version=self._connection.version)
        return await self._connection.run(query, *parameters, limit_seconds=self._limit)

    async def last(self, name: str, *parameters: object) -> Sequence[Any]:
        """The rows of the statement that may commit."""
        self.is_sent = True
        return await self.ask(name, *parameters)

    def reply(self, value: Any, row: Any) -> ClientReply:
        """An acknowledgement in the server's own words."""
        host = row.host if row is not None else None
        node = f"[{host}]:{row.port}" if host and ":" in host else f"{host}:{row.port}" if host else self.node
        return ClientReply(value=value, node=node, position=getattr(row, "position", None))


async def _ledger_write(session: _Session, work: ClientWork) -> ClientReply:
    (row,) = await session.last("client_ledger_write", work.run, work.value)
    return session.reply(work.value, row)


async def _ledger_read(session: _Session, work: ClientWork) -> ClientReply:
    (row,) = await session.last("client_ledger_read", work.run)
    return session.reply(list(row.ids), row)


async def _register_read(session: _Session, work: ClientWork) -> ClientReply:
    (row,) = await session.last("client_register_read", work.run, work.value[0])
    return session.reply([work.value[0], row.value], row)


async def _register_write(session: _Session, work: ClientWork) -> ClientReply:
    (row,) = await session.last("client_register_write", work.run, *work.value)
    return session.reply(work.value, row)


async def _register_cas(session: _Session, work: ClientWork) -> ClientReply:
    key, (old, new) = work.value
    rows = await session.last("client_register_cas", work.run, key, old, new)
    if not rows:
        raise WorkFailed(Fate.FAILED, "another value was there", is_answer=True)
    return session.reply(work.value, rows[0])


async def _transfer(session: _Session, work: ClientWork) -> ClientReply:
    asked: Mapping[str, int] = work.value
    rows = await session.last("client_transfer", work.run, asked["from"], asked["to"], asked["amount"])
    return session.reply(work.value, rows[0] if rows else None)


async def _balances(session: _Session, work: ClientWork) -> ClientReply:
    rows = await session.last("client_balances", work.run)
    return session.reply({str(row.account): row.balance for row in rows}, rows[0] if rows else None)


async def _transaction(session: _Session, work: ClientWork) -> ClientReply:
    """Reads and appends in one transaction, which is in doubt only once COMMIT was sent."""
    if work.isolation not in _ISOLATIONS:
        raise UsageError(f"{work.isolation} is no isolation level", hint=f"known: {', '.join(_ISOLATIONS)}")
    await session.ask(f"client_begin_{work.isolation.replace('-', '_')}")
    done, row = [], None
    for kind, key, value in work.value:
        if kind == "r":
            (row,) = await session.ask("client_list_read", work.run, key)
            done.append([kind, key, list(row.elements)])
        else:
            (row,) = await session.ask("client_list_append", work.run, key, value)
            done.append([kind, key, value])
    await session.last("client_commit")
    return session.reply(done, row)


_ACTS: Mapping[tuple[ClientWorkload, str], Callable[[_Session, ClientWork], Awaitable[ClientReply]]] = {
    (ClientWorkload.LEDGER, "write"): _ledger_write,
    (ClientWorkload.LEDGER, "read"): _ledger_read,
    (ClientWorkload.SET, "add"): _ledger_write,
    (ClientWorkload.SET, "read"): _ledger_read,
    (ClientWorkload.REGISTER, "read"): _register_read,
    (ClientWorkload.REGISTER, "write"): _register_write,
    (ClientWorkload.REGISTER, "cas"): _register_cas,
    (ClientWorkload.BANK, "transfer"): _transfer,
    (ClientWorkload.BANK, "read"): _balances,
    (ClientWorkload.LIST_APPEND, "txn"): _transaction,
}


class PostgresClient:
    """Implements ``ports.client_work.ClientPort``."""

    workloads = frozenset(ClientWorkload)

    def __init__(self, access: Access) -> None:
        self._access = access
        self._has_options = True

    async def prepare(self, run: str, workload: ClientWorkload) -> None:
        """Make schema and tables unless they are there: a login that may only write them needs no right to make them."""
        ((state,),) = await self._run(("client_state",))
        if state.tables < len(_TABLES):
            made = [(f"client_{table}_table",) for table in _TABLES]
            await self._run(("client_schema",), *made, ("client_ledger_index",))
        if workload is ClientWorkload.BANK:
            await self._run(("client_accounts", run, _ACCOUNTS, _BALANCE))

    async def connect(self, *, writable: bool = True) -> _Session:
        """Open a session with the server's timer set, so that an act that is given up ends there, too."""
        limit = self._access.timeouts.statement_seconds
        try:
            connection = await self._open()
            with abort_on_error(connection):
                (who,) = await connection.run(named("client_who", version=connection.version), limit_seconds=limit)
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        if writable and who.is_read_only:
            connection.abort()
            raise NotWritable(f"PostgreSQL at {self._access.address} does not take writes")
        return _Session(connection, str(self._access.address), limit)

    async def remove(self, run: str) -> None:
        """Delete the rows of a run from every table."""
        await self._run(*((f"client_{table}_remove", run) for table in _TABLES))

    async def _open(self) -> Connection:
        try:
            return await open_connection(self._access, what="client", is_limited_at_start=self._has_options)
        except psycopg.Error as error:
            if not self._has_options or _UNKNOWN_OPTION not in str(error):
                raise
        self._has_options = False
        return await open_connection(self._access, what="client", is_limited_at_start=False)

    async def _run(self, *statements: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        limit = max(self._access.timeouts.statement_seconds, 30.0)
        try:
            connection = await self._open()
            with abort_on_error(connection):
                found = [
                    await connection.run(named(name, version=connection.version), *parameters, limit_seconds=limit)
                    for name, *parameters in statements
                ]
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        return found


def _reason(error: Exception) -> str:
    verdict = FAULTS.classify(error)
    if verdict is None:
        return type(error).__name__
    return f"{verdict.code} {verdict.reason}" if verdict.code else verdict.reason
