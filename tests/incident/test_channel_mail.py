"""E-mail through a real SMTP server on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as email_policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import TypeAdapter

from dbre.capabilities.incident.channels.documents import EmailDocument
from dbre.capabilities.incident.channels.mail import EmailChannel
from dbre.capabilities.incident.notice import Notice, NoticeKind, Urgency
from dbre.core.clock import SystemClock
from dbre.core.errors import Unreachable
from dbre.core.events import DeliveryRefused

NOTICE = Notice(
    id="0192-1",
    kind=NoticeKind.OPENED,
    urgency=Urgency.PAGE,
    thread="incident-1",
    title="INC-7 opened\r\nBcc: evil@example.com\r\n\r\nbody ünï",
    text="burns\x1b[31m 20 times\n.\nQUIT",
    at=datetime(2026, 11, 21, 4, tzinfo=UTC),
    facts=(("cluster", "orders"),),
    link="https://dbre.example/incidents/7",
)


class Mailbox:
    """What the relay took; ``answers`` are its words instead of taking it."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], EmailMessage]] = []
        self.refuse_recipient: dict[str, str] = {}
        self.answer = "250 taken"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:  # noqa: N802
        if address in self.refuse_recipient:
            return self.refuse_recipient[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=email_policy)
            assert isinstance(message, EmailMessage)
            self.taken.append((list(envelope.rcpt_tos), message))
        return self.answer


@asynccontextmanager
async def relay(**options: Any) -> AsyncIterator[tuple[Mailbox, int]]:
    found = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(found, hostname="relay.test", **options), "127.0.0.1", 0)
    try:
        yield found, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def channel(port: int, **document: Any) -> EmailChannel:
    given = {
        "name": "mail",
        "kind": "email",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "dbre@example.com",
        "recipients": ["dba@example.com"],
        "timeout": "30s",
        **document,
    }
    return EmailChannel(TypeAdapter(EmailDocument).validate_python(given), SystemClock())


async def test_a_hostile_title_is_one_header_and_a_thread_is_one_thread() -> None:
    async with relay() as (found, port):
        one = channel(port)
        await one.deliver(NOTICE, earlier=None)
        await one.deliver(NOTICE, earlier=None)  # a timeout after the relay took it: the reader's program sees one message
    (recipients, message), (_, again) = found.taken
    assert recipients == ["dba@example.com"]
    assert message["Bcc"] is None
    assert message["Subject"].startswith("INC-7 opened Bcc: evil@example.com")
    assert message["Message-ID"] == again["Message-ID"] == "<0192-1@example.com>"
    assert message["References"] == "<thread-incident-1@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    body = message.get_content()
    assert "burns\\x1b[31m 20 times\n.\nQUIT" in body.replace("\r\n", "\n")
    assert body.rstrip().endswith("https://dbre.example/incidents/7")


@pytest.mark.parametrize(("answer", "expected"), [("451 later", Unreachable), ("554 never", DeliveryRefused)])
async def test_the_relay_says_whether_another_attempt_helps(answer: str, expected: type[Exception]) -> None:
    async with relay() as (found, port):
        found.answer = answer
        with pytest.raises(expected, match=answer[4:]):
            await channel(port).deliver(NOTICE, earlier=None)


async def test_one_refused_recipient_of_several_is_told_and_the_others_get_it_once() -> None:
    async with relay() as (found, port):
        found.refuse_recipient = {"gone@example.com": "450 mailbox busy"}
        with pytest.raises(DeliveryRefused, match=r"gone@example\.com"):
            await channel(port, recipients=["dba@example.com", "gone@example.com"]).deliver(NOTICE, earlier=None)
    assert [recipients for recipients, _ in found.taken] == [["dba@example.com"]]


async def test_an_escalation_goes_to_its_people_alone() -> None:
    async with relay() as (found, port):
        to = Notice(
            **{name: getattr(NOTICE, name) for name in Notice.__dataclass_fields__} | {"recipients": ("maria@example.com",)}
        )
        await channel(port).deliver(to, earlier=None)
    assert found.taken[0][0] == ["maria@example.com"]


async def test_a_relay_without_starttls_gets_neither_password_nor_mail(tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text("secret")
    word.chmod(0o600)
    async with relay() as (found, port):
        one = channel(port, security="starttls", user="dbre", password=f"file:{word}")
        with pytest.raises(DeliveryRefused, match="STARTTLS"):
            await one.deliver(NOTICE, earlier=None)
    assert found.taken == []


def certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
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
    public, private = directory / "certificate.pem", directory / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return public, private


async def test_starttls_and_login(tmp_path: Path) -> None:
    public, private = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    word = tmp_path / "word"
    word.write_text("secret")
    word.chmod(0o600)

    def check(_: object, __: object, ___: object, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(mechanism, data.login, data.password) == ("PLAIN", b"dbre", b"secret"))

    options = {"tls_context": context, "require_starttls": True, "authenticator": check, "auth_required": True}
    async with relay(**options) as (found, port):
        login = {"security": "starttls", "user": "dbre", "password": f"file:{word}", "host": "localhost"}
        await channel(port, tls_ca_file=public, **login).deliver(NOTICE, earlier=None)
        with pytest.raises(Unreachable, match="certificate"):  # an authority that is not told does not count
            await channel(port, **login).deliver(NOTICE, earlier=None)
    assert len(found.taken) == 1


async def test_a_relay_that_says_nothing_is_not_waited_for() -> None:
    server = await asyncio.start_server(lambda _, __: asyncio.sleep(0), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable, match=r"mail"):
            await channel(port, timeout="300ms").deliver(NOTICE, earlier=None)
