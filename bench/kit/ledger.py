"""A client in a process of its own that commits row after row to a lab, and the gaps between its acknowledgements."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection

import psycopg

from dbre.lab import Lab


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the client was told, and what is there afterwards."""

    acknowledged: list[int]
    moments: list[float]  # of each acknowledgement
    missing: set[int]

    def longest_gap(self, began: float, ended: float) -> float:
        """Between two acknowledgements, of which one or the time between them lies in the window."""
        return max(later - one for one, later in pairwise(self.moments) if began <= later and one <= ended)


class Ledger:
    """The table of a lab, and its one writer."""

    def __init__(self, lab: Lab, *, pause_seconds: float, options: Mapping[str, str] | None = None) -> None:
        """``pause_seconds``: after an error; ``options`` of libpq that the writer adds."""
        load = lab.load_target()
        self._target = {
            "host": ",".join(one.host for one in load.addresses),
            "port": ",".join(str(one.port) for one in load.addresses),
            "user": load.user,
            "password": load.password.reveal(),
            "dbname": str(load.database),
            "sslmode": "disable",
            "target_session_attrs": "read-write",
        }
        with psycopg.connect(**self._target, autocommit=True) as connection:
            connection.execute("CREATE TABLE bench_ledger (number bigint)")
        self._ours, theirs = multiprocessing.Pipe()
        given = ({**self._target, "connect_timeout": "2", **(options or {})}, theirs, pause_seconds)
        self._process = multiprocessing.get_context("spawn").Process(target=_write_on, args=given, daemon=True)

    @contextmanager
    def writing(self) -> "Iterator[Ledger]":
        """The writer is at work; it is gone at the end, whatever becomes of the block."""
        self._process.start()
        try:
            yield self
        finally:
            self._process.kill()
            self._process.join()

    async def end(self) -> Written:
        """Let the writer end, and look for what it was told is there."""
        self._ours.send("end")
        acknowledged, moments = await asyncio.to_thread(self._ours.recv)
        with psycopg.connect(**self._target, autocommit=True) as connection:
            present = {one for (one,) in connection.execute("SELECT number FROM bench_ledger")}
        return Written(acknowledged=acknowledged, moments=moments, missing=set(acknowledged) - present)


def _write_on(target: dict[str, str], orders: Connection, pause_seconds: float) -> None:
    """Commit row after row until told to end, connecting again where it is cut off; then tell what was acknowledged."""
    acknowledged: list[int] = []
    moments: list[float] = []
    number, connection = 0, None
    while not orders.poll():
        try:
            if connection is None:
                connection = psycopg.connect(**target, autocommit=True)
            number += 1
            connection.execute("INSERT INTO bench_ledger VALUES (%s)", [number])
        except psycopg.Error:
            connection = None  # whether the row is there is not known: it was not acknowledged
            time.sleep(pause_seconds)
            continue
        acknowledged.append(number)
        moments.append(time.time())
    orders.send((acknowledged, moments))
