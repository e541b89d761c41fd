"""The input of ``ha.failover``."""

from pydantic import Field

from dbre.core.config import Document, Name

__all__ = ["FailoverInput"]


class FailoverInput(Document):
    """Which cluster, and whom to promote."""

    cluster: Name = Field(description="of the inventory")
    to: Name | None = Field(None, description="promote this one; default: the one that loses least")
    primary: Name | None = Field(None, description="who is dead, where nobody can tell; default: it is found out")
    accept_loss: bool = Field(False, description="a person takes the loss, however much it is")
    automatic: bool = Field(False, description="asked for by the control plane: then every gate of automatic failovers holds")
