"""Section ``server`` of the configuration."""

from typing import Annotated

from pydantic import Field

from dbre.core.config import Document, SecretReference, Section

__all__ = ["SERVER", "ServerDocument"]


class ServerDocument(Document):
    """Where the control plane listens, and who may come in."""

    host: Annotated[str, Field(min_length=1, max_length=255, description="Address to listen on; loopback by default.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="TCP port; 0 takes a free one and prints it.")] = 8432
    token: Annotated[
        SecretReference | None,
        Field(description="The login token. Default: made once, kept in a file of mode 0600 beside the state store."),
    ] = None
    is_metrics_public: Annotated[bool, Field(description="Serve /metrics without the token.")] = False
    allowed_hosts: Annotated[
        tuple[str, ...],
        Field(description="Host names of this server besides its addresses; guards against DNS rebinding."),
    ] = ()


SERVER = Section("server", ServerDocument, ServerDocument, "The control plane's address and login.")
