"""How a broker is written in ``dbre.yaml``: never with a password in its URL."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from dbre.core.config.fields import Duration, FilePath, SecretReference, between
from dbre.core.config.section import Document
from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted

__all__ = ["SCHEMES", "BrokerDocument"]

SCHEMES = ("amqp", "amqps", "redis", "rediss")
"""RabbitMQ and Redis; with an ``s`` at the end: over TLS."""
_HINT = "write amqp://dbre@mq.example/dbre, amqps://..., redis://cache.example:6379/0 or rediss://..."


def _checked(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in SCHEMES:
        near = closest(parts.scheme, SCHEMES)
        raise UsageError(
            f"the scheme is {quoted(parts.scheme, limit=50)}; {', '.join(SCHEMES)} are known",
            hint=f"did you mean {near}?" if near else _HINT,
        )
    if parts.password is not None or "@" in parts.path + parts.query + parts.fragment:
        raise UsageError(
            "a password does not belong into a file that is shared",
            hint="leave it out of the URL and write  password: env:NAME  (or file:/path) beside it; @ in a name is written %40",
        )
    if not parts.hostname:
        raise UsageError("the host is missing", hint=_HINT)
    if parts.query or parts.fragment:
        raise UsageError("nothing may follow the path", hint="what is to be set has keys of its own beside url")
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises for what is no port)
    except ValueError:
        raise UsageError("not a URL", hint=_HINT) from None
    return parts


class BrokerDocument(Document):
    """The message broker that carries operations to workers."""

    url: Annotated[str, AfterValidator(_checked)] = Field(
        description="amqp://USER@HOST:PORT/VHOST (RabbitMQ) or redis://HOST:PORT/NUMBER; amqps and rediss: over TLS",
        examples=["amqps://dbre@mq.example/dbre", "rediss://cache.example:6379/0"],
    )
    password: SecretReference | None = Field(default=None, description="Password of the user, as a reference.")
    tls_ca: FilePath | None = Field(
        default=None, description="Certificates that may have signed the broker's. Default: those of the system."
    )
    tls_certificate: FilePath | None = Field(
        default=None, description="Certificate of this client, where the broker asks for it."
    )
    tls_key: FilePath | None = Field(default=None, description="Private key of that certificate.")
    timeout: Annotated[Duration, between("500ms", "60s")] = Field(
        default=timedelta(seconds=5), description="How long to wait for the broker when connecting and when sending."
    )
    visibility_timeout: Annotated[Duration, between("1s", "7d")] = Field(
        default=timedelta(hours=1),
        description="Redis only: when a message that no worker has finished is delivered again. That does no harm.",
    )

    @property
    def is_redis(self) -> bool:
        """Whether it is Redis; else RabbitMQ."""
        return self.url.startswith("redis")

    @property
    def is_encrypted(self) -> bool:
        """Whether it is reached over TLS."""
        return urlsplit(self.url).scheme in ("amqps", "rediss")
