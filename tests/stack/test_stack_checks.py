"""Checks of services: real ones where there are any here, else their documented answers from a server on loopback."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from pydantic import ValidationError

from dbre.app import Engines
from dbre.capabilities.stack.checker import StackChecker
from dbre.capabilities.stack.checks import check
from dbre.capabilities.stack.documents import STACK, ServiceDocument
from dbre.capabilities.stack.model import CheckResult, ServiceState
from dbre.core.telemetry import Metrics
from dbre.lab.alertmanager import AlertmanagerServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.prometheus import PrometheusServer
from dbre.lab.rabbitmq import RabbitMqServer
from dbre.lab.redis import RedisServer
from dbre.testing.clock import FakeClock

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SETTLING = '{"cluster":{"status":"settling"}}'
Answers = Callable[[str], tuple[int, str]]


def service(kind: str, url: str, **more: object) -> ServiceDocument:
    return ServiceDocument.model_validate({"name": kind, "kind": kind, "url": url, **more})


async def ask(kind: str, url: str, **more: object) -> CheckResult:
    return await check(service(kind, url, **more), engines=Engines(), at=NOW)


@contextlib.asynccontextmanager
async def answering(answers: Answers) -> AsyncIterator[str]:
    """A web server on loopback."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                status, body = answers(head.decode().split()[1])
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_real_prometheus_is_ready_and_tells_its_version(prometheus: PrometheusServer) -> None:
    found = await ask("prometheus", prometheus.url)
    assert (found.state, found.detail) == (ServiceState.UP, "ready")
    assert str(found.version).startswith(prometheus.version_text)


async def test_a_real_alertmanager_is_ready(alertmanager: AlertmanagerServer) -> None:
    found = await ask("alertmanager", alertmanager.url)
    assert found.state in (ServiceState.UP, ServiceState.DEGRADED)  # settling, just after its start
    assert found.version


async def test_real_databases_say_who_they_are(postgres18: PostgresServer, redis_server: RedisServer) -> None:
    password = postgres18.site.write_file(postgres18.site.directory / "stack.password", postgres18.password.reveal())
    given = {"user": postgres18.superuser, "password": f"file:{password}"}
    found = await ask("postgresql", f"postgresql://{postgres18.address}/postgres", **given)
    assert (found.state, found.detail) == (ServiceState.UP, "postgresql primary")
    assert str(found.version).startswith("18")
    denied = await ask("postgresql", f"postgresql://{postgres18.address}", user="nobody-there")
    assert denied.state is ServiceState.DOWN  # a port that is open proves no database
    secret = redis_server.site.write_file(redis_server.site.directory / "stack.redis", redis_server.password.reveal())
    cached = await ask("redis", f"redis://{redis_server.address}", password=f"file:{secret}")
    assert cached.state is ServiceState.UP, cached.detail


async def test_a_real_broker_speaks_amqp_and_a_database_does_not(rabbitmq: RabbitMqServer, redis_server: RedisServer) -> None:
    found = await ask("rabbitmq", f"amqp://{rabbitmq.address}", timeout="20s")
    assert (found.state, found.detail) == (ServiceState.UP, "speaks AMQP 0-9-1")
    assert found.version
    other = await ask("rabbitmq", f"amqp://{redis_server.address}", timeout="2s")
    assert other.state is ServiceState.DOWN


@pytest.mark.parametrize(
    ("kind", "answers", "state", "detail"),
    [
        ("prometheus", {"/-/ready": (503, "Service Unavailable")}, "down", "/-/ready answers 503: Service Unavailable"),
        ("prometheus", {"/-/ready": (200, "ok")}, "up", "ready"),
        ("loki", {"/ready": (200, "ready"), "/loki/api/v1/status/buildinfo": (200, '{"version":"3.2.0"}')}, "up", "ready"),
        ("loki", {"/ready": (503, "Ingester not ready: \x1b[31m")}, "down", "Ingester not ready: \\x1b[31m"),
        ("grafana", {"/api/health": (200, '{"database":"ok","version":"11.6.0"}')}, "up", "database ok"),
        ("grafana", {"/api/health": (503, '{"database":"failing"}')}, "down", "database failing"),
        ("grafana", {"/api/health": (200, "<html>login</html>")}, "down", "answers 200"),
        ("alertmanager", {"/-/ready": (200, "OK"), "/api/v2/status": (200, SETTLING)}, "degraded", "settling"),
        ("alertmanager", {"/-/ready": (200, "OK"), "/api/v2/status": (200, '[{"cluster":3}]')}, "up", "ready"),
        ("rabbitmq", {"/api/health/checks/alarms": (200, '{"status":"ok"}')}, "up", "no alarms"),
        ("rabbitmq", {"/api/health/checks/alarms": (503, '{"status":"failed","reason":"disk"}')}, "degraded", "alarm: disk"),
        ("rabbitmq", {"/api/health/checks/alarms": (401, "")}, "down", "answers 401"),
        ("http", {"/": (204, "")}, "up", "answers 204"),
        ("http", {"/": (302, "")}, "down", "answers 302"),
    ],
)  # fmt: skip
async def test_products_are_read_as_they_tell_it(
    kind: str, answers: dict[str, tuple[int, str]], state: str, detail: str
) -> None:
    async with answering(lambda path: answers.get(path, (404, "no such page"))) as url:
        found = await ask(kind, url if kind != "http" else f"{url}/")
    assert found.state == state
    assert detail in found.detail


async def test_a_text_and_a_status_may_be_wanted() -> None:
    async with answering(lambda _: (418, "all fine here")) as url:
        assert (await ask("http", url, expect_status=[418], expect_text="all fine")).state is ServiceState.UP
        missing = await ask("http", url, expect_status=[418], expect_text="PASS")
    assert (missing.state, missing.detail) == (ServiceState.DOWN, "answers 418 without the text 'PASS'")


async def test_a_late_answer_is_degraded_and_a_very_late_one_is_none() -> None:
    async with answering(lambda _: (200, "")) as url:
        found = await ask("http", url, slow_after="1ms")
    assert found.state is ServiceState.DEGRADED or (found.latency_seconds or 1) <= 0.001

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for kind, scheme in (("http", "http"), ("rabbitmq", "amqp"), ("redis", "redis"), ("postgresql", "postgresql")):
            found = await ask(kind, f"{scheme}://127.0.0.1:{port}", timeout="200ms")
            assert (found.state, found.latency_seconds) == (ServiceState.DOWN, None), kind


async def test_a_port_that_nobody_listens_on_is_down_with_the_reason() -> None:
    with contextlib.closing(await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)) as server:
        port = server.sockets[0].getsockname()[1]
    found = await ask("tcp", f"tcp://127.0.0.1:{port}")
    assert (found.state, found.detail) == (ServiceState.DOWN, "connection refused")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "http", "url": "https://u:secret-x@a.example"},
        {"kind": "tcp", "url": "tcp://a.example"},
        {"kind": "redis", "url": "http://a.example"},
        {"kind": "http", "url": "http://a.example:99999"},
        {"kind": "http", "url": "http://a.example/\r\nX: y"},
        {"kind": "prometheus", "url": "http://a.example", "expect_status": [200]},
        {"kind": "redis", "url": "redis://a.example", "token": "env:T"},
        {"kind": "http", "url": "http://a.example", "timeout": "30s", "interval": "30s"},
        {"kind": "http", "url": "http://a.example", "unknown": 1},
    ],
)
def test_what_cannot_be_is_refused_and_no_password_is_repeated(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        ServiceDocument.model_validate({"name": "a", **wrong})
    assert all("secret-x" not in str(error["msg"]) for error in caught.value.errors())


def test_a_name_is_given_once() -> None:
    (fault,) = STACK.faults([{"name": "a"}, {"name": "b"}, {"name": "a"}, 7])
    assert fault.path == (2, "name")


async def test_a_service_is_called_down_after_so_many_failures_and_up_after_one_success() -> None:
    status = [200, 503, 200, 503, 503, 503, 200]
    events: list[tuple[str, dict[str, object]]] = []
    heard: list[bool | None] = []
    async with answering(lambda _: (status[0], json.dumps({}))) as url:
        one = service("http", f"{url}/", failures=2)
        checker = StackChecker(
            [one],
            engines=Engines(),
            clock=FakeClock(NOW),
            events=lambda kind, subject, data: events.append((kind, dict(data, subject=subject))),
            observer=lambda _, is_good, **__: heard.append(is_good),
            metrics=(metrics := Metrics(version="1")),
        )
        for index in range(7):
            await checker.check_once(one, at=NOW + timedelta(seconds=30 * index))
            status.append(status.pop(0))
    assert heard == [True, False, True, False, False, False, True]
    assert [kind for kind, _ in events] == ["stack.service_down", "stack.service_up"]
    assert events[0][1]["since"] == "2026-11-21T00:01:30Z"  # of the first failure, not of the one that decided
    assert events[1][1]["down_seconds"] == 90.0
    (latest,) = checker.results
    assert latest.state is ServiceState.UP
    assert b'dbre_stack_service_up{kind="http",service="http"} 1.0' in metrics.expose()[0]


async def test_the_checker_keeps_its_schedule_and_tells_of_checks_that_were_not_made() -> None:
    clock, heard, is_enough = FakeClock(NOW), list[tuple[datetime, bool | None]](), asyncio.Event()

    def note(_: str, *, at: datetime, is_good: bool | None) -> None:
        heard.append((at, is_good))
        if len(heard) == 4:
            is_enough.set()

    def answer(_: str) -> tuple[int, str]:
        clock.step_wall(95)  # the machine slept: three checks were due meanwhile
        return 200, ""

    async with answering(answer) as url:
        one = service("http", f"{url}/", interval="30s")
        checker = StackChecker([one], engines=Engines(), clock=clock, events=lambda *_: None, observer=note)
        running = asyncio.ensure_future(checker.run())
        try:
            await clock.advance(31)
            async with asyncio.timeout(30):
                await is_enough.wait()
        finally:
            running.cancel()
            await asyncio.wait({running})
    assert [is_good for _, is_good in heard[:4]] == [True, None, None, None]
    assert {(later - earlier).total_seconds() for (earlier, _), (later, _) in pairwise(heard[:4])} == {30.0}
