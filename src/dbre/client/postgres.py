"""Tells how each statement of a psycopg connection ended, without a change of the application."""

import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

from dbre.client.reporter import Reporter

__all__ = ["instrument_connection", "instrument_psycopg"]

Connection = TypeVar("Connection")
_METHODS = ("execute", "executemany")


def instrument_psycopg(reporter: Reporter, connect: Callable[..., Connection]) -> Callable[..., Connection]:
    """Wrap ``psycopg.connect`` or ``psycopg.AsyncConnection.connect``: logins and statements are told.

    ``connect = instrument_psycopg(reporter, psycopg.connect)``; a pool takes an instrumented class through
    ``configure=lambda connection: instrument_connection(reporter, connection)``.
    """
    if inspect.iscoroutinefunction(connect):

        async def connect_async(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                connection = await connect(*arguments, **options)
            except BaseException as error:
                reporter.record_error(error, duration_seconds=time.perf_counter() - began)
                raise
            return instrument_connection(reporter, connection)

        return connect_async  # type: ignore[return-value] # what it wraps is a coroutine function as well

    def connect_sync(*arguments: Any, **options: Any) -> Connection:
        began = time.perf_counter()
        try:
            connection = connect(*arguments, **options)
        except BaseException as error:
            reporter.record_error(error, duration_seconds=time.perf_counter() - began)
            raise
        return instrument_connection(reporter, connection)

    return connect_sync


def instrument_connection(reporter: Reporter, connection: Connection) -> Connection:
    """Let the cursors of one connection tell; twice does no more than once. Its own factory stays the base class."""
    factory = getattr(connection, "cursor_factory", None)
    if not isinstance(factory, type) or getattr(factory, "dbre_reporter", None) is reporter:
        return connection
    connection.cursor_factory = _telling(reporter, factory)  # type: ignore[attr-defined] # a documented attribute of psycopg
    return connection


def _telling(reporter: Reporter, factory: type) -> type:
    """A cursor class whose ``execute`` and ``executemany`` are told."""
    wrap = _told_async if inspect.iscoroutinefunction(getattr(factory, "execute", None)) else _told_sync
    methods = {name: wrap(reporter, getattr(factory, name)) for name in _METHODS}
    return type(f"Told{factory.__name__}", (factory,), {"dbre_reporter": reporter, **methods})


def _told_sync(reporter: Reporter, method: Callable[..., Any]) -> Callable[..., Any]:
    def told(cursor: Any, *arguments: Any, **options: Any) -> Any:
        with reporter.observe(attributes=_attributes(cursor)):
            return method(cursor, *arguments, **options)

    return told


def _told_async(reporter: Reporter, method: Callable[..., Any]) -> Callable[..., Any]:
    async def told(cursor: Any, *arguments: Any, **options: Any) -> Any:
        with reporter.observe(attributes=_attributes(cursor)):
            return await method(cursor, *arguments, **options)

    return told


def _attributes(cursor: Any) -> dict[str, str]:
    try:
        info = cursor.connection.info
        return {
            "db.system.name": "postgresql",
            "db.namespace": str(info.dbname),
            "server.address": str(info.host),
            "server.port": str(info.port),
        }
    except Exception:  # noqa: BLE001 - a lost connection has no parameters any more; the statement is told all the same
        return {"db.system.name": "postgresql"}
