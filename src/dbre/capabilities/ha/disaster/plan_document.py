"""The key ``disaster`` of a cluster in the section ``ha``: the document ``DisasterPlan``."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from dbre.capabilities.ha.route.config_document import Routes
from dbre.core.config import Document, Duration, Name, Size, between
from dbre.core.errors import UsageError

__all__ = ["DisasterPlan", "ObjectivesDocument", "ProvingDocument", "RehearseDocument", "SiteDocument"]


class SiteDocument(Document):
    """One place with instances, or only with observers: a witness."""

    name: Name = Field(description="unique within the plan")
    instances: tuple[Name, ...] = Field((), max_length=100, description="of the cluster, the best candidate first")
    observers: tuple[Name, ...] = Field((), max_length=15, description="of failover: observers, which look from there")


class ObjectivesDocument(Document):
    """What is promised to whom loses a site."""

    rpo: Annotated[Duration, between("0s", "30d")] = Field(description="how old what is lost may be")
    rto: Annotated[Duration, between("1s", "30d")] = Field(description="how long nobody can write, from the decision on")


class ProvingDocument(Document):
    """Synthetic checks of a primary: writes that are read back."""

    count: int = Field(20, ge=1, le=1000, description="writes, each read back")
    latency: Annotated[Duration, between("1ms", "1m")] = Field(
        timedelta(milliseconds=500), description="95 of 100 are at most so slow"
    )


class RehearseDocument(Document):
    """How often the plan is tried, and what may be changed for it."""

    max_age: Annotated[Duration, between("1h", "1000d")] = Field(
        timedelta(days=90), description="an older rehearsal is a finding"
    )
    routes: Routes = Field((), description="records of DNS that no client uses: led to the other site and back")

    @model_validator(mode="after")
    def _only_records(self) -> Self:
        wrong = [one.name for one in self.routes if one.dns is None and one.route53 is None]
        if wrong:
            raise UsageError(
                f"{wrong[0]} is no record of DNS: only a name that no client uses may be turned for a rehearsal",
                hint="write dns: or route53: with a record of its own",
            )
        return self


class DisasterPlan(Document):
    """What is done when a site is lost, and what is promised."""

    sites: tuple[SiteDocument, ...] = Field(min_length=2, max_length=10, description="home first")
    objectives: ObjectivesDocument = Field(description="what is promised")
    max_lag: Size = Field(  # type: ignore[assignment]  # the default is read like what is given
        "64MiB", description="what the candidate may lack of the log; more is a finding, and forbids a switch"
    )
    max_lag_time: Annotated[Duration, between("100ms", "30d")] = Field(
        timedelta(seconds=30), description="the same in time, as heartbeats tell"
    )
    people: int | None = Field(
        None, ge=1, le=6, description="who consent, the requester counted; default 2 in the environment production, else 1"
    )
    attestation: bool = Field(True, description="whether a person's word that a site is dead may stand for a fence")
    checks: ProvingDocument = Field(
        default_factory=lambda: ProvingDocument.model_validate({}), description="of a primary, before and after"
    )
    rehearse: RehearseDocument = Field(
        default_factory=lambda: RehearseDocument.model_validate({}), description="how often, and with what"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for what, names in (
            ("site", [one.name for one in self.sites]),
            ("instance", [name for one in self.sites for name in one.instances]),
            ("observer", [name for one in self.sites for name in one.observers]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise UsageError(f"the {what} {twice[0]} is in the plan twice", hint="each is at one place")
        if not self.sites[0].instances or sum(bool(one.instances) for one in self.sites) < 2:
            raise UsageError(
                "the first site, home, and another one need instances: with one place there is nowhere to go",
                hint="write sites: [{name: east, instances: [...]}, {name: west, instances: [...]}]",
            )
        return self

    @property
    def home(self) -> SiteDocument:
        """Where the primary belongs."""
        return self.sites[0]

    def site(self, name: str) -> SiteDocument | None:
        """The site of that name."""
        return next((one for one in self.sites if one.name == name), None)

    def site_of(self, instance: str) -> SiteDocument | None:
        """Where an instance is; None: the plan does not say."""
        return next((one for one in self.sites if instance in one.instances), None)

    def people_for(self, environment: str) -> int:
        """How many people consent to what is done to a cluster of that environment, the requester counted."""
        return self.people if self.people is not None else 2 if environment == "production" else 1
