"""The section ``state`` of ``dbre.yaml``: where dbre keeps what it knows."""

from typing import Annotated

from pydantic import AfterValidator, Field

from dbre.core.config.fields import SecretReference
from dbre.core.config.section import Document, Section
from dbre.core.errors import UsageError
from dbre.core.store.address import parse_store_url
from dbre.core.store.errors import StoreUrlInvalid

__all__ = ["STATE", "StateDocument"]


def _checked(url: str) -> str:
    try:
        parse_store_url(url)
    except StoreUrlInvalid as error:
        raise UsageError(error.message.removeprefix("state.url: "), hint=error.hint) from error
    return url


class StateDocument(Document):
    """Where the state store is."""

    url: Annotated[str, AfterValidator(_checked)] = Field(
        default="sqlite:///dbre.db",
        description="sqlite:///FILE (relative to this file), sqlite:////ABSOLUTE/FILE or postgresql://USER@HOST/DATABASE",
        examples=["sqlite:////var/lib/dbre/dbre.db", "postgresql://dbre@db.example/dbre_state"],
    )
    password: SecretReference | None = Field(default=None, description="Password of the PostgreSQL user, as a reference")


STATE: Section[StateDocument] = Section(
    key="state",
    shape=StateDocument,
    default=StateDocument,
    summary="where dbre keeps its own state: a SQLite file, or a PostgreSQL database for a team",
)
"""The section that the composition root hands to the loader."""
