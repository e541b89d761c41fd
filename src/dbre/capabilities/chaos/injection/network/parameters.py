"""Lists as parameters of faults: ``a,b`` on a command line, a list in a document."""

from typing import Annotated

from pydantic import BeforeValidator, Field

__all__ = ["Named", "Ports"]


def _split(given: object) -> object:
    if isinstance(given, int):
        return [given]
    return [part for one in given.split(",") if (part := one.strip())] if isinstance(given, str) else given


Named = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=253)], ...], BeforeValidator(_split)]
"""Instances, addresses, networks."""
Ports = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], BeforeValidator(_split)]
"""TCP ports."""
