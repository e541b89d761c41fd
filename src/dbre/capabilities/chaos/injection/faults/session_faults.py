"""Faults that are sessions of ours, or the end of those of clients: locks, idle transactions, deadlocks, ended sessions."""

from enum import StrEnum

from pydantic import Field

from dbre.capabilities.chaos.injection.faults.asking import Asked, asked_of_server
from dbre.ports.mischief import Deed

__all__ = ["DEADLOCKS", "IDLE_TRANSACTIONS", "LOCKS", "SESSION_END", "WRITE_STALL"]

_LONGEST_NAME = 200


class LockMode(StrEnum):
    """What others may not do meanwhile."""

    EXCLUSIVE = "exclusive"  # nothing
    SHARE = "share"  # write


class LockParameters(Asked):
    """Which table, and how many wait."""

    table: str = Field(min_length=1, max_length=_LONGEST_NAME, description="schema.table (MariaDB: database.table)")
    mode: LockMode = Field(LockMode.EXCLUSIVE, description="exclusive: nobody reads or writes; share: nobody writes")
    waiters: int = Field(0, ge=0, le=200, description="so many sessions of ours wait for it too")


class IdleParameters(Asked):
    """How many."""

    sessions: int = Field(5, ge=1, le=1000, description="so many transactions")


class DeadlockParameters(Asked):
    """How many pairs."""

    pairs: int = Field(2, ge=1, le=50, description="so many pairs of sessions")


class EndParameters(Asked):
    """Whose sessions end, and how many each second."""

    user: str = Field("", max_length=_LONGEST_NAME, description="only those of this login")
    application: str = Field("", max_length=_LONGEST_NAME, description="only those that call themselves so")
    database: str = Field("", max_length=_LONGEST_NAME, description="only those in this database")
    sessions: int = Field(1, ge=1, le=1000, description="so many each second")


LOCKS = asked_of_server(
    Deed.LOCKS,
    name="lock-storm",
    summary="a table is locked by one session, and others wait for it",
    privilege="rights to lock the table: PostgreSQL UPDATE on it, MariaDB LOCK TABLES and SELECT",
    proof="the server's list of granted locks, or of who holds the tag",
    undo="close the sessions; they end with the injector's process, and by the server's own timer",
    parameters=LockParameters,
)
IDLE_TRANSACTIONS = asked_of_server(
    Deed.IDLE_TRANSACTIONS,
    name="idle-in-transaction",
    summary="transactions are begun and do nothing: rows that others delete cannot be cleaned up",
    privilege="the cluster's login",
    proof="the server's list of sessions and transactions",
    undo="close the sessions; they end with the injector's process, and by the server's own timer",
    parameters=IdleParameters,
)
DEADLOCKS = asked_of_server(
    Deed.DEADLOCKS,
    name="deadlock-storm",
    summary="pairs of sessions run into each other for ever, on locks that nobody else uses; the server's detector works",
    privilege="the cluster's login",
    proof="the server's list of sessions, and the deadlocks that it told them",
    undo="close the sessions; they end with the injector's process",
    parameters=DeadlockParameters,
)
SESSION_END = asked_of_server(
    Deed.END_SESSIONS,
    name="session-end",
    summary="sessions of clients are ended, some each second; those of dbre and of replication are left",
    privilege="PostgreSQL pg_monitor and pg_signal_backend, MariaDB PROCESS and CONNECTION ADMIN, Redis +client|kill",
    proof="the server's word that they ended",
    undo="no more are ended; clients connect again",
    parameters=EndParameters,
)
WRITE_STALL = asked_of_server(
    Deed.STALL_WRITES,
    name="write-stall",
    summary="writes wait, and reads are answered (CLIENT PAUSE WRITE of Redis, renewed each second)",
    privilege="Redis +client|pause +client|unpause, and the prober's +zadd",
    proof="a write that changes nothing is not answered",
    undo="CLIENT UNPAUSE; by itself 4 s after the injector's last word",
    parameters=Asked,
)
