"""One top-level key of ``dbre.yaml`` and the document that it holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

__all__ = ["Document", "Section"]


class Document(BaseModel):
    """Base of everything that is read from a file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False, validate_default=True)


DocumentType = TypeVar("DocumentType")


@dataclass(frozen=True, slots=True)
class Section(Generic[DocumentType]):
    """A top-level key. The composition root hands all sections to the loader, so that core knows no capability.

    ``shape`` is any type that pydantic can validate: a ``Document``, ``tuple[SloDocument, ...]``, ...; lists of several
    files are joined in the order of the files, documents may be given in one file only.
    """

    key: str
    shape: type[DocumentType]
    default: Callable[[], DocumentType]
    summary: str
