"""What a suite is asked, and ``chaos.suites`` of ``dbre.yaml``: how each question is put to which clusters."""

from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dbre.capabilities.chaos.injection.catalogue import parameters_of
from dbre.capabilities.chaos.scope_documents import ClientsOrder, Objectives
from dbre.capabilities.chaos.suite.required import REQUIRED
from dbre.core.config import Document, Duration, between
from dbre.core.errors import UsageError
from dbre.core.gates.document import SelectorLabels
from dbre.core.selector import Selector
from dbre.core.text import closest, quoted

__all__ = ["AskedSuite", "EntryDocument", "SuiteDocument", "check_entries", "suite_for"]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


def check_entries(names: tuple[str, ...]) -> None:
    """Raises: UsageError for a name that the required catalogue does not have."""
    known = [one.name for one in REQUIRED]
    for name in names:
        if name not in known:
            near = closest(name, known)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"the required catalogue has no entry {quoted(name, limit=100)}", hint=hint)


class EntryDocument(Document):
    """How one question is put, where it differs from what is done without a word about it."""

    fault: str | None = Field(default=None, max_length=100, description="Its name: dbre chaos faults")
    instance: str | None = Field(default=None, max_length=200, description="Default: the primary, or the first replica")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Of the fault")
    lasts: Annotated[Duration, between("1s", "1h")] | None = Field(default=None, alias="for", description="How long it stays")
    may_take_last: bool = Field(default=False, description="Also where no other instance answers")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fault is not None:
            parameters_of(self.fault, self.parameters)
        return self


class SuiteDocument(Document):
    """How the suite is run on some clusters."""

    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and hyphens, at most 63")
    selector: SelectorLabels = Field(default_factory=dict, description="Which clusters: label to value or list; default: all")
    lasts: Annotated[Duration, between("1s", "1h")] = Field(
        default=timedelta(seconds=15), alias="for", description="How long each fault stays"
    )
    recovery: Annotated[Duration, between("1s", "1h")] = Field(
        default=timedelta(minutes=5), description="How long the cluster may take to be whole again between two experiments"
    )
    pause: Annotated[Duration, between("100ms", "24h")] = Field(
        default=timedelta(seconds=5), description="Of calm between two experiments"
    )
    objectives: Objectives = Field(default_factory=Objectives, description="What is expected of the cluster meanwhile")
    clients: ClientsOrder | None = Field(default=None, description="Clients that work meanwhile, and tell what was lost")
    entries: dict[str, EntryDocument] = Field(default_factory=dict, description="Questions of the required catalogue, by name")

    @model_validator(mode="after")
    def _knows_entries(self) -> Self:
        check_entries(tuple(self.entries))
        return self


def suite_for(suites: tuple[SuiteDocument, ...], labels: dict[str, str]) -> SuiteDocument:
    """The first suite that selects a cluster with these labels; else the one that needs no configuration."""
    return next((one for one in suites if Selector.of(one.selector).allows(labels)), SuiteDocument(name="default"))


class AskedSuite(BaseModel):
    """Which questions are put to which cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="of the inventory")
    only: tuple[str, ...] = Field((), max_length=20, description="of the required catalogue; default: all that can be put")

    @model_validator(mode="after")
    def _knows_entries(self) -> Self:
        check_entries(self.only)
        return self
