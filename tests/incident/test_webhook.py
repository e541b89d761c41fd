"""Webhooks against a real HTTP server on loopback, through the real event delivery."""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest

from dbre.capabilities.incident import ReceiverDocument, Webhook, posting, verify_signature, webhook_subscriptions
from dbre.capabilities.incident.webhook import webhook_body
from dbre.core.clock import SystemClock
from dbre.core.errors import Unreachable
from dbre.core.events import Backoff, DeliveryPostponed, DeliveryRefused, Event, EventDelivery, EventLog, deliveries
from dbre.core.fleet import Address
from dbre.core.network import Target
from dbre.core.secrets import Secret, SecretReference
from dbre.core.store import Store, open_store

KEY = "a secret of more than sixteen bytes"
CLOCK = SystemClock()
QUICK = Backoff(base_seconds=0.05, cap_seconds=0.2, max_attempts=100)


@dataclass
class Receiver:
    """What came in, and what is answered."""

    answer: Callable[[BaseHTTPRequestHandler], None]
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]


def status(code: int, **headers: str):
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        body = b"because\x1b[2J of a reason" if code >= 400 else b""
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextmanager
def receiver(answer=None, *, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    found = Receiver(answer or status(204))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            found.answer(self)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def key_file(tmp_path: Path) -> SecretReference:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(KEY)
    return SecretReference.parse(f"file:{path}")


def document(key_file, url: str, **changes) -> ReceiverDocument:
    given = {
        "name": "pager",
        "url": url,
        "secret": key_file,
        "allow_loopback": True,
        "timeout": timedelta(seconds=5),
        **changes,
    }
    return ReceiverDocument(**given)


def event(**data) -> Event:
    return Event(
        id=UUID(int=9),
        sequence=4,
        kind="slo.alert_fired",
        subject="orders-writes@orders",
        at=datetime(2026, 11, 21, tzinfo=UTC),
        data={"severity": "page", "summary": "orders\n\x1b[2J<b>", **data},
    )


async def send(key_file, port: int, *, path: str = "/hook?x=1", host: str = "127.0.0.1", one: Event | None = None, **changes):
    await Webhook(document(key_file, f"http://{host}:{port}{path}", **changes), clock=CLOCK)(one or event())


async def test_a_receiver_can_verify_what_it_gets(key_file):
    with receiver() as found:
        await send(key_file, found.port)
    ((headers, body),) = found.requests
    verified = verify_signature(Secret(KEY), headers, body)
    assert verified.id == str(UUID(int=9))
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{found.port}"
    assert json.loads(body) == {
        "id": str(UUID(int=9)),
        "type": "slo.alert_fired",
        "timestamp": "2026-11-21T00:00:00Z",
        "subject": "orders-writes@orders",
        "data": {"severity": "page", "summary": "orders\n\x1b[2J<b>"},
    }
    assert KEY.encode() not in body
    assert KEY not in str(headers)


async def test_only_wanted_severities_are_sent(key_file):
    with receiver() as found:
        await send(key_file, found.port, one=event(severity="ticket"), severities=["page"])
        assert found.requests == []
        await send(key_file, found.port, one=event(severity="ticket"), severities=["ticket"])
        assert len(found.requests) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 422])
async def test_what_the_receiver_refuses_is_not_sent_again(key_file, code):
    with receiver(status(code)) as found, pytest.raises(DeliveryRefused, match=rf"answers {code}: because\\x1b\[2J"):
        await send(key_file, found.port)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503])
async def test_trouble_of_the_receiver_is_worth_another_attempt(key_file, code):
    with receiver(status(code)) as found, pytest.raises(Unreachable, match=f"answers {code}"):
        await send(key_file, found.port)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("999999999999", 86_400.0)])
async def test_a_receiver_may_say_when_to_come_back(key_file, value, seconds):
    with receiver(status(429, Retry_After=value)) as found, pytest.raises(DeliveryPostponed) as caught:
        await send(key_file, found.port)
    assert caught.value.wait_seconds == seconds


@pytest.mark.parametrize("value", ["soon", "", "-5", "Fri, 99 Foo 2026"])
async def test_a_senseless_retry_after_is_no_reason_to_wait(key_file, value):
    with receiver(status(503, Retry_After=value)) as found, pytest.raises(Unreachable):
        await send(key_file, found.port)


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data/", "http://127.0.0.1/other", "/elsewhere"])
async def test_redirects_are_not_followed(key_file, location):
    with receiver(status(302, Location=location)) as found:
        with pytest.raises(DeliveryRefused, match="redirects are not followed"):
            await send(key_file, found.port)
        assert len(found.requests) == 1


async def test_a_name_that_leads_inside_is_refused_before_a_byte_is_sent(key_file):
    with receiver() as found:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(DeliveryRefused, match="allow_loopback: true"):
                await send(key_file, found.port, host=host, allow_loopback=False)
        assert found.requests == []
        await send(key_file, found.port, host="localhost")
    assert found.requests[0][0]["host"] == f"localhost:{found.port}"
    with pytest.raises(DeliveryRefused, match="metadata"):
        await send(key_file, 80, host="169.254.169.254", allow_private=True)


async def test_a_slow_receiver_is_given_up_in_time(key_file):
    release = threading.Event()
    with receiver(lambda _: release.wait(10)) as found:
        started = CLOCK.monotonic()
        with pytest.raises(Unreachable, match=r"did not answer within 0\.3 s"):
            await send(key_file, found.port, timeout=timedelta(milliseconds=300))
        assert CLOCK.monotonic() - started < 3
        release.set()


async def test_an_endless_answer_costs_nothing(key_file):
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(500)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65_536)
        except OSError:
            return

    with receiver(endless) as found, pytest.raises(Unreachable, match=r"answers 500: x+"):
        await send(key_file, found.port)


async def test_nobody_there_is_unreachable(key_file):
    with receiver() as found:
        port = found.port
    with pytest.raises(Unreachable, match="cannot be reached"):
        await send(key_file, port)


async def test_a_dead_address_does_not_keep_a_page_from_the_others(key_file, monkeypatch):
    async def two(address: Address) -> list[Target]:
        return [Target(host="127.0.0.9", port=address.port), Target(host="127.0.0.1", port=address.port)]

    monkeypatch.setattr(posting, "resolve", two)  # a name with two addresses; nobody listens on the first
    with receiver() as found:
        await send(key_file, found.port, host="pager.example")
    ((headers, _),) = found.requests
    assert headers["host"] == f"pager.example:{found.port}"


async def test_proxies_of_the_environment_are_not_used(key_file, monkeypatch):
    with receiver() as proxy, receiver() as found:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        await send(key_file, found.port)
    assert (len(proxy.requests), len(found.requests)) == (0, 1)


async def test_tls_is_verified_against_the_name_in_the_url(key_file, tmp_path):
    certificate, key = make_certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    with receiver(tls=server) as found:
        url = f"https://localhost:{found.port}/"
        await Webhook(document(key_file, url, tls_ca_file=certificate), clock=CLOCK)(event())
        assert len(found.requests) == 1
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await Webhook(document(key_file, url), clock=CLOCK)(event())
        wrong = document(key_file, f"https://127.0.0.1:{found.port}/", tls_ca_file=certificate)
        with pytest.raises(Unreachable, match=r"(?i)certificate|mismatch"):
            await Webhook(wrong, clock=CLOCK)(event())
        assert len(found.requests) == 1


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for ``localhost`` that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def test_the_body_is_the_same_at_each_attempt():
    assert webhook_body(event()) == webhook_body(event())


@asynccontextmanager
async def delivering(store: Store, key_file, url: str):
    subscriptions = webhook_subscriptions((document(key_file, url),), clock=CLOCK, backoff=QUICK)
    task = asyncio.ensure_future(EventDelivery(store, subscriptions, CLOCK, poll_seconds=0.05).run())
    await asyncio.sleep(0.2)  # subscriptions are registered before events are made for them
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def emit(store: Store, number: int) -> None:
    async with store.begin() as connection:
        data = {"severity": "page", "number": number}
        await EventLog(CLOCK).emit(connection, kind="slo.alert_fired", subject="x@y", data=data)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the other side is a thread
            await asyncio.sleep(0.02)


@pytest.fixture
async def store(tmp_path: Path):
    async with open_store(f"sqlite:///{tmp_path / 'state' / 'dbre.db'}", clock=CLOCK, migrate=True) as opened:
        yield opened


async def test_a_receiver_that_is_down_for_a_while_gets_everything_in_order(store, key_file):
    with receiver() as first:
        port = first.port
        async with delivering(store, key_file, f"http://127.0.0.1:{port}/"):
            await emit(store, 1)
            await until(lambda: len(first.requests) == 1)
    async with delivering(store, key_file, f"http://127.0.0.1:{port}/"):
        await emit(store, 2)
        await emit(store, 3)
        await asyncio.sleep(0.5)  # nobody listens
        with receiver(port=port) as second:
            await until(lambda: len(second.requests) >= 2)
    assert [json.loads(body)["data"]["number"] for _, body in second.requests] == [2, 3]


async def test_a_receiver_that_fails_first_sees_the_same_id_again(store, key_file):
    with receiver(status(500)) as found:
        async with delivering(store, key_file, f"http://127.0.0.1:{found.port}/"):
            await emit(store, 1)
            await until(lambda: len(found.requests) >= 3)
            found.answer = status(200)
            seen = len(found.requests)
            await until(lambda: len(found.requests) > seen)
            await asyncio.sleep(0.3)
    assert len(set(found.ids)) == 1
    for headers, body in found.requests:
        assert verify_signature(Secret(KEY), headers, body).id == found.ids[0]


async def test_a_crash_between_sending_and_noting_it_sends_the_same_id_again(store, key_file):
    accepted, crash = threading.Event(), threading.Event()

    def accept_and_hang(handler: BaseHTTPRequestHandler) -> None:
        accepted.set()
        crash.wait(10)  # the receiver has it, the sender never hears of that

    with receiver(accept_and_hang) as found:
        async with delivering(store, key_file, f"http://127.0.0.1:{found.port}/"):
            await emit(store, 1)
            await until(accepted.is_set)
        crash.set()
        found.answer = status(204)
        async with delivering(store, key_file, f"http://127.0.0.1:{found.port}/"):
            await until(lambda: len(found.requests) >= 2)
            await asyncio.sleep(0.3)
    assert len(found.requests) == 2
    assert found.ids[0] == found.ids[1]
    assert found.requests[0][1] == found.requests[1][1]


async def test_a_refused_event_is_dead_and_does_not_hold_up_the_next(store, key_file):
    with receiver(status(400)) as found:
        async with delivering(store, key_file, f"http://127.0.0.1:{found.port}/"):
            await emit(store, 1)
            await until(lambda: len(found.requests) == 1)
            await asyncio.sleep(0.3)
            found.answer = status(204)
            await emit(store, 2)
            await until(lambda: len(found.requests) == 2)
            await asyncio.sleep(0.3)
    async with store.read() as connection:
        outcomes = sorted((one.event.data["number"], str(one.state)) for one in await deliveries(connection))
    assert outcomes == [(1, "dead"), (2, "delivered")]
