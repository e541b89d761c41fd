"""One top-level key of ``dbre.yaml`` and the document that it holds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

__all__ = ["Document", "Fault", "Section"]


class Document(BaseModel):
    """Base of everything that is read from a file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False, validate_default=True)


DocumentType = TypeVar("DocumentType")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong that no single field can see: ``path`` leads from the section to the value that is to change."""

    path: tuple[str | int, ...]
    message: str
    hint: str | None = None


def _no_faults(_: Any) -> Iterable[Fault]:
    return ()


@dataclass(frozen=True, slots=True)
class Section(Generic[DocumentType]):
    """A top-level key. The composition root hands all sections to the loader, so that core knows no capability.

    ``shape`` is any type that pydantic can validate: a ``Document``, ``tuple[SloDocument, ...]``, ...; lists of several
    files are joined in the order of the files, and so are lists inside documents; any other key may be given once.
    ``faults`` looks at the plain data (lists, dicts, scalars, possibly of wrong types) for what only shows across fields,
    such as a name given twice: unlike a validator it runs when fields are wrong too, so that all is reported at once.
    """

    key: str
    shape: type[DocumentType]
    default: Callable[[], DocumentType]
    summary: str
    faults: Callable[[Any], Iterable[Fault]] = _no_faults
