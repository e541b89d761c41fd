"""The key ``sentinel`` of a cluster in the section ``ha``."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from dbre.core.config import Document, Duration, Name, SecretReference, between
from dbre.core.errors import UsageError
from dbre.core.fleet import Address

__all__ = ["DEFAULT_PORT", "SentinelDocument"]

DEFAULT_PORT = 26_379


def _address(text: str) -> str:
    Address.parse(text, default_port=DEFAULT_PORT)
    return text


def _once(addresses: tuple[str, ...]) -> tuple[str, ...]:
    if len({Address.parse(one, default_port=DEFAULT_PORT) for one in addresses}) < len(addresses):
        raise UsageError("a Sentinel is named twice", hint="each may stand there once")
    return addresses


_Address = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_address)]


class SentinelDocument(Document):
    """Redis Sentinels, where they choose the primary of the cluster."""

    addresses: Annotated[
        tuple[_Address, ...], Field(min_length=1, max_length=50, description="host:port of each; port 26379 by default"),
        AfterValidator(_once),
    ]  # fmt: skip
    name: Name | None = Field(None, description="their name of the primary; default: the name in the inventory")
    user: str | None = Field(None, min_length=1, max_length=200, description="login at the Sentinels; default: none")
    password: SecretReference | None = Field(None, description="of the Sentinels, not of the databases; default: none is sent")
    timeout: Annotated[Duration, between("100ms", "60s")] = Field(
        timedelta(seconds=3), description="of a question to one of them"
    )

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if self.user is not None and self.password is None:
            raise UsageError("a user needs a password", hint="write both, or the password alone")
        return self
