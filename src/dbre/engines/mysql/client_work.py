"""Facet ``client`` of MySQL and MariaDB: acts of probe clients, each one statement that commits by itself."""

from collections.abc import Sequence
from typing import Any

from dbre.core.pool import abort_on_error
from dbre.engines.mysql.connection import Connection, Row, open_connection
from dbre.engines.mysql.faults import FAULTS, error_number
from dbre.engines.mysql.link import ask_named
from dbre.ports.client_acts import SINGLE_ACT_WORKLOADS, act_on
from dbre.ports.client_work import ClientReply, ClientWork, ClientWorkload, Fate, NotWritable, WorkFailed
from dbre.ports.engine import Access

__all__ = ["MySqlClient", "fate_of"]

# Numbers with which the server refuses a statement before it writes a commit: rights, names, constraints, locks, read-only.
_BEFORE_COMMIT = frozenset(
    {
        1022, 1040, 1044, 1045, 1046, 1048, 1049, 1054, 1062, 1064, 1114, 1129, 1130, 1136, 1142, 1143, 1146, 1203, 1205, 1213,
        1226, 1227, 1264, 1265, 1290, 1451, 1452, 1792, 1836, 4025,
    }
)  # fmt: skip
_CONFLICTS = frozenset({1062, 1205, 1213})  # with other clients: not the server's failure
_TABLES = ("ledger", "register")


def fate_of(error: Exception, *, is_sent: bool) -> Fate:
    """Whether an error proves that nothing was committed: shutdown, kill, time limit and a lost connection prove nothing."""
    if not is_sent or error_number(error) in _BEFORE_COMMIT:
        return Fate.FAILED
    return Fate.UNKNOWN


class _Session:
    """Implements ``ports.client_work.ClientConnection``."""

    def __init__(self, connection: Connection, node: str, limit: float) -> None:
        self._connection = connection
        self._limit = limit
        self.node = node
        self.is_sent = False

    @property
    def is_usable(self) -> bool:
        """Open, and no answer outstanding."""
        return self._connection.is_usable

    def abort(self) -> None:
        """Close the socket at once."""
        self._connection.abort()

    async def do(self, work: ClientWork) -> ClientReply:
        """Do one act."""
        self.is_sent = False
        try:
            return ClientReply(value=await act_on(self, work, product="MySQL"), node=self.node)
        except FAULTS.raised as error:
            verdict = FAULTS.classify(error)
            reason = verdict.reason if verdict else type(error).__name__
            code = f"{verdict.code} " if verdict and verdict.code else ""
            is_answer = error_number(error) in _CONFLICTS
            raise WorkFailed(fate_of(error, is_sent=self.is_sent), code + reason, is_answer=is_answer) from error

    async def ask(self, name: str, *parameters: object) -> Sequence[Row]:
        """The rows of one named statement."""
        self.is_sent = True
        return await ask_named(self._connection, name, *parameters, limit_seconds=self._limit)

    async def append(self, run: str, value: Any) -> None:
        """A row of the ledger (``ports.client_acts.Cells``)."""
        await self.ask("client_ledger_write", run, value)

    async def members(self, run: str) -> list[int]:
        """All rows of the ledger."""
        return [row["id"] for row in await self.ask("client_ledger_read", run)]

    async def get(self, run: str, key: Any) -> int | None:
        """One value of the register."""
        rows = await self.ask("client_register_read", run, key)
        return rows[0]["value"] if rows else None

    async def put(self, run: str, key: Any, value: Any) -> None:
        """Set one."""
        await self.ask("client_register_write", run, key, value)

    async def swap(self, run: str, key: Any, old: Any, new: Any) -> bool:
        """Set one that has the old value; how many rows that changed is asked within the same session."""
        await self.ask("client_register_cas", new, run, key, old)
        (changed,) = await self.ask("client_changed")  # lost on the way, the act is unknown
        return bool(changed["changed"])


class MySqlClient:
    """Implements ``ports.client_work.ClientPort``."""

    workloads = SINGLE_ACT_WORKLOADS

    def __init__(self, access: Access) -> None:
        self._access = access

    async def prepare(self, run: str, workload: ClientWorkload) -> None:  # noqa: ARG002 - nothing to begin with here
        """Make database and tables unless they are there."""
        (state,) = await self._run("client_state")
        if state["tables"] < len(_TABLES):
            for name in ("client_schema", *(f"client_{table}_table" for table in _TABLES)):
                await self._run(name)

    async def connect(self, *, writable: bool = True) -> _Session:
        """Open a session."""
        limit = self._access.timeouts.statement_seconds
        try:
            connection = await open_connection(self._access, what="client")
            with abort_on_error(connection):
                (who,) = await ask_named(connection, "client_who", limit_seconds=limit)
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        if writable and who["is_read_only"]:
            connection.abort()
            raise NotWritable(f"the server at {self._access.address} does not take writes")
        return _Session(connection, str(self._access.address), limit)

    async def remove(self, run: str) -> None:
        """Delete the rows of a run from every table."""
        for table in _TABLES:
            await self._run(f"client_{table}_remove", run)

    async def _run(self, name: str, *parameters: object) -> Sequence[Row]:
        limit = max(self._access.timeouts.statement_seconds, 30.0)
        try:
            connection = await open_connection(self._access, what="client")
            with abort_on_error(connection):
                found = await ask_named(connection, name, *parameters, limit_seconds=limit)
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        return found
