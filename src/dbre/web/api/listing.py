"""The envelope of every list that the API answers with; the same as ``dbre -o json`` prints."""

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel

from dbre.core.clock import Clock
from dbre.web.problems import ProblemDetail

__all__ = ["Listing", "listing"]

Item = TypeVar("Item")


class Listing(BaseModel, Generic[Item]):
    """A list of items of one kind."""

    api_version: Literal["dbre/v1"] = "dbre/v1"
    kind: str
    generated_at: datetime
    items: list[Item]
    partial: bool = False
    errors: list[ProblemDetail] = []


def listing(kind: str, items: list[Item], clock: Clock) -> Listing[Item]:
    """Wrap ``items`` in the envelope."""
    return Listing[Item](kind=kind, generated_at=clock.now(), items=items)
