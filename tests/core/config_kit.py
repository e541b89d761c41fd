"""A small set of sections with every kind of field, and a loader for texts, shared by the tests of configuration."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dbre.core.config import (
    Config,
    ConfigInvalid,
    Document,
    Duration,
    FilePath,
    Name,
    Ratio,
    SecretReference,
    Section,
    Size,
    load,
)
from dbre.core.errors import UsageError


class Availability(Document):
    kind: Literal["availability"]
    purpose: Literal["read", "write"]


class Latency(Document):
    kind: Literal["latency"]
    threshold: Duration


class Objective(Document):
    name: Name
    sli: Annotated[Availability | Latency, Field(discriminator="kind")]
    target: Ratio
    selector: dict[str, str | tuple[str, ...]] = Field(default={})

    @field_validator("target")
    @classmethod
    def _below_one(cls, target: object) -> object:
        if target == 1:
            raise UsageError("a target of 100 % leaves no budget", hint="write 99.99%")
        return target


class Door(Document):
    host: str = "127.0.0.1"
    port: int = Field(default=8432, ge=1, le=65_535)
    ratio: float = 0.5
    is_open: bool = False
    token: SecretReference | None = None
    ca_file: FilePath | None = None
    timeout: Duration | None = None
    cache: Size | None = None


DOOR = Section("door", Door, Door, "Where callers knock.")
OBJECTIVES: Section[tuple[Objective, ...]] = Section("objectives", tuple[Objective, ...], tuple, "What is promised.")
SECTIONS = (DOOR, OBJECTIVES)


def load_text(directory: Path, text: str | bytes, **sources: dict[str, str]) -> Config:
    path = directory / "dbre.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load([path], sections=SECTIONS, environment=sources.get("environment", {}), flags=sources.get("flags", {}))


def problems_of(directory: Path, text: str | bytes, **sources: dict[str, str]) -> list[str]:
    """The problems of a text, each as "line:column: message (hint)"."""
    try:
        load_text(directory, text, **sources)
    except ConfigInvalid as error:
        return [str(problem).replace(f"{directory}/dbre.yaml:", "") for problem in error.problems]
    return []
