import asyncio
from typing import Any

import psycopg
import pytest
import sqlalchemy
from client_kit import receiving
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dbre.capabilities.slo.ingest.otlp.judging import judge
from dbre.client import Outcome, Reporter, annotate_sqlalchemy, instrument_psycopg
from dbre.lab.postgres import PostgresServer

GOOD, BAD, INVALID = (True, True), (False, True), (False, False)


def _options(server: PostgresServer) -> dict[str, Any]:
    access = server.access()
    return {
        "host": access.address.host,
        "port": access.address.port,
        "user": access.user,
        "password": access.password.reveal(),
        "dbname": "postgres",
        "connect_timeout": 30,
    }


def test_statements_of_psycopg_are_told(postgres16: PostgresServer):
    with receiving() as receiver:
        reporter = Reporter(receiver.url, token="t", interval_seconds=0.02)
        connect = instrument_psycopg(reporter, psycopg.connect)
        with connect(**_options(postgres16), autocommit=True) as connection:
            connection.execute("SELECT 1")
            with connection.cursor() as cursor:
                cursor.executemany("SELECT %s", [(1,), (2,)])
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute("SELECT * FROM nowhere")
            connection.execute("SET statement_timeout = 10")
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(30)")
        with pytest.raises(psycopg.OperationalError):
            connect(host="127.0.0.1", port=1, connect_timeout=30)
        assert reporter.close(30)
    assert receiver.events == [GOOD, GOOD, INVALID, GOOD, BAD, BAD]
    assert receiver.described[2]["db.response.status_code"] == "42P01"
    assert receiver.described[0]["db.namespace"] == "postgres"


async def test_statements_of_asynchronous_connections_are_told(postgres16: PostgresServer):
    with receiving() as receiver:
        reporter = Reporter(receiver.url, token="t", slo="orders@main", interval_seconds=0.02)
        connect = instrument_psycopg(reporter, psycopg.AsyncConnection.connect)
        async with await connect(**_options(postgres16), autocommit=True) as connection:
            await connection.execute("SELECT 1")
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1 / 0")
        assert await asyncio.to_thread(reporter.close, 30)
    assert receiver.events == [GOOD, INVALID]
    assert not receiver.described


def _judged(exporter: InMemorySpanExporter) -> list[Outcome]:
    found = []
    for span in exporter.get_finished_spans():
        attributes = {name: str(value) for name, value in (span.attributes or {}).items()}
        exceptions = [
            (str((event.attributes or {}).get("exception.type")), str((event.attributes or {}).get("exception.message")))
            for event in span.events
        ]
        failed = not span.status.is_ok and span.status.status_code.name == "ERROR"
        description = span.status.description or ""
        found.append(judge(attributes, has_failed=failed, exceptions=exceptions, description=description))
    return found


def test_spans_of_sqlalchemy_carry_the_code_of_the_error(postgres16: PostgresServer):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    url = sqlalchemy.URL.create("postgresql+psycopg", username="x")
    engine = sqlalchemy.create_engine(url, creator=lambda: psycopg.connect(**_options(postgres16)))
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(engine=engine, tracer_provider=provider, skip_dep_check=True)  # it knows SQLAlchemy up to 2.0
    try:
        annotate_sqlalchemy()
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            with pytest.raises(sqlalchemy.exc.ProgrammingError):
                connection.execute(sqlalchemy.text("SELECT * FROM nowhere"))
            connection.rollback()
            connection.execute(sqlalchemy.text("SET statement_timeout = 10"))
            with pytest.raises(sqlalchemy.exc.OperationalError):
                connection.execute(sqlalchemy.text("SELECT pg_sleep(30)"))
    finally:
        instrumentor.uninstrument()
        engine.dispose()
    judged = [
        outcome
        for outcome, span in zip(_judged(exporter), exporter.get_finished_spans(), strict=True)
        if span.name != "connect"
    ]
    assert judged == [Outcome.GOOD, Outcome.INVALID, Outcome.GOOD, Outcome.BAD]


def test_spans_of_psycopg_are_judged_by_the_name_of_the_exception(postgres16: PostgresServer):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with psycopg.connect(**_options(postgres16), autocommit=True) as plain:
        connection = PsycopgInstrumentor().instrument_connection(plain, tracer_provider=provider)
        connection.execute("SELECT 1")
        with pytest.raises(psycopg.errors.UndefinedTable), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere")
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 10")
            with pytest.raises(psycopg.errors.QueryCanceled):
                cursor.execute("SELECT pg_sleep(30)")
    assert [one for one in _judged(exporter) if one is not Outcome.GOOD] == [Outcome.INVALID, Outcome.BAD]
