"""The section ``streams`` of ``dbre.yaml``: events that come through NATS JetStream or Kafka."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from dbre.core.config import Document, FilePath, SecretReference, Section
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError
from dbre.core.fleet import Address

__all__ = ["STREAMS", "KafkaDocument", "NatsDocument", "StreamDocument"]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$"
_TOPIC = r"^[A-Za-z0-9._-]{1,200}$"
_SUBJECT = r"^[^\s\x00-\x1f]{1,200}$"


def _check_nats_url(text: str) -> str:
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        host, url = None, urlsplit("")
    if url.scheme not in ("nats", "tls") or not host:
        raise UsageError("not the URL of a NATS server", hint="write nats://host:4222, or tls://host:4222")
    if url.username is not None or url.password is not None:
        raise UsageError("a URL holds no password", hint="write user and password beside it")
    return text


def _check_broker(text: str) -> str:
    Address.parse(text, default_port=9092)
    return text


class NatsDocument(Document):
    """One stream of NATS JetStream, whose retention is by limits."""

    kind: Literal["nats"]
    name: str = Field(pattern=_NAME, description="stays the same over time: the consumer on the server is called dbre-NAME")
    servers: list[Annotated[str, AfterValidator(_check_nats_url)]] = Field(min_length=1, max_length=20)
    stream: str = Field(pattern=r"^[^\s.*>/\\\x00-\x1f]{1,200}$", description="that holds the batches; it must be there")
    subject: str | None = Field(default=None, pattern=_SUBJECT, description="only messages of this subject")
    dead_letter: str = Field(pattern=_SUBJECT, description="subject, held by another stream, for messages that cannot be read")
    user: str | None = Field(default=None, max_length=200)
    password: SecretReference | None = Field(default=None, description="of the user")
    token: SecretReference | None = Field(default=None, description="instead of user and password")
    tls_ca_file: FilePath | None = Field(
        default=None, description="authorities that vouch for the server; default the system's"
    )


class KafkaDocument(Document):
    """One topic of Kafka."""

    kind: Literal["kafka"]
    name: str = Field(pattern=_NAME, description="stays the same over time; the consumer group is dbre-NAME")
    brokers: list[Annotated[str, AfterValidator(_check_broker)]] = Field(min_length=1, max_length=20)
    topic: str = Field(pattern=_TOPIC, description="that holds the batches")
    dead_letter: str = Field(pattern=_TOPIC, description="topic for messages that cannot be read")
    tls: bool = Field(default=False, description="encrypt, and check the brokers' certificates")
    tls_ca_file: FilePath | None = Field(default=None, description="authorities that vouch for them; default the system's")
    user: str | None = Field(default=None, max_length=200, description="log in with SASL SCRAM-SHA-512")
    password: SecretReference | None = Field(default=None, description="of the user")


StreamDocument = Annotated[NatsDocument | KafkaDocument, Field(discriminator="kind")]


def _faults(documents: Any) -> Iterator[Fault]:
    seen = set[str]()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        if not isinstance(one, dict):
            continue
        name = one.get("name")
        if isinstance(name, str) and name in seen:
            yield Fault(path=(index, "name"), message=f"another stream has the name {name}", hint="rename one of them")
        if isinstance(name, str):
            seen.add(name)
        if one.get("dead_letter") is not None and one.get("dead_letter") in (one.get("topic"), one.get("subject")):
            message = "what cannot be read would come back to where it came from"
            yield Fault(path=(index, "dead_letter"), message=message, hint="name another topic or subject")


STREAMS: Section[tuple[NatsDocument | KafkaDocument, ...]] = Section(
    key="streams",
    shape=tuple[StreamDocument, ...],
    default=tuple,
    summary="events that come through NATS JetStream or Kafka",
    faults=_faults,
)
